// Curves over x, those of all runs over each other.

/// series: run -> {places, values}, or nothing. best: Math.min, Math.max: which value is marked.
class Chart extends Plot {
  constructor(parent, title, unit, series, {isLog = false, best = null} = {}) {
    super(parent, title, unit);
    Object.assign(this, {series, best});
    const label = element("label", this.caption);
    this.log = element("input", label);
    this.log.type = "checkbox";
    this.log.checked = isLog;
    label.append(" log");
    this.log.addEventListener("change", () => this.draw());
  }

  /// What is drawn: of every run that is shown its xs and ys.
  curves() {
    const found = [];
    data.runs.forEach((run, index) => {
      const series = isShown(run) && this.series(run);
      if (series && series.values.some(isNumber)) found.push({run, index, xs: xsOf(series.places), ys: series.values, places: series.places});
    });
    return found;
  }
  draw() {
    this.shown = this.curves();
    this.figure.hidden = this.shown.length === 0;
    if (this.figure.hidden) return;
    const {left, right, top, bottom} = this.begin(230, 52);
    this.y = this.yScale(bottom, top);
    const ticks = this.y.isLog ? roundPowers(this.y.low, this.y.high) : roundNumbers(this.y.low, this.y.high, 5).ticks;
    const grid = ticks.map(tick => {
      const y = this.y.at(tick).toFixed(1);
      return `<line class="grid" x1="${left}" x2="${right}" y1="${y}" y2="${y}"/><text class="end" x="${left - 6}" y="${Number(y) + 4}">${short(tick)}</text>`;
    }).join("");
    this.clip = `clip${plots.indexOf(this)}`;
    const clip = `<clipPath id="${this.clip}"><rect x="${left}" y="0" width="${right - left + (view.range ? 0 : 6)}" height="${bottom + 6}"/></clipPath>`;
    this.finish(grid + clip + `<g clip-path="url(#${this.clip})">${this.shown.map(curve => this.curve(curve)).join("")}</g>` + this.xAxis());
  }
  canShow(value) { return isNumber(value) && (value > 0 || !this.log.checked); }
  /// Over the values within the part of x that is shown, and those before and after, to which the curve goes on.
  yScale(bottom, top) {
    let low = Infinity, high = -Infinity;
    for (const {xs, ys} of this.shown)
      ys.forEach((y, i) => {
        if (!this.canShow(y) || (xs[i + 1] ?? xs[i]) < this.x.low || (xs[i - 1] ?? xs[i]) > this.x.high) return;
        low = Math.min(low, y);
        high = Math.max(high, y);
      });
    if (low > high) [low, high] = [1, 2];
    if (this.log.checked) {
      const factor = low === high ? 2 : 10 ** ((Math.log10(high) - Math.log10(low)) * 0.05);
      return new Scale(Math.max(low / factor, Number.MIN_VALUE), Math.min(high * factor, Number.MAX_VALUE), bottom, top, true);
    }
    const room = (high - low) * 0.05 || Math.abs(high) * 0.1 || 1;
    return new Scale(low >= 0 ? Math.max(0, low - room) : low - room, Math.min(high + room, Number.MAX_VALUE), bottom, top);
  }
  curve({index, xs, ys}) {
    let path = "", pen = "M", dots = "";
    const points = xs.filter(x => x >= this.x.low && x <= this.x.high).length;
    ys.forEach((y, i) => {
      if (!this.canShow(y)) { pen = "M"; return; }
      const place = `${this.x.at(xs[i]).toFixed(1)} ${this.y.at(y).toFixed(1)}`, [cx, cy] = place.split(" ");
      path += pen + place;
      pen = "L";
      if (points <= 40) dots += `<circle class="dot" cx="${cx}" cy="${cy}" r="2.3"/>`;
    });
    return `<g style="${runStyle(index)}"><path class="curve" d="${path}"/>${dots}${this.bestMark(xs, ys)}</g>`;
  }
  bestMark(xs, ys) {
    if (!this.best) return "";
    const best = ys.indexOf(this.best(...ys.filter(isNumber)));
    if (!this.canShow(ys[best])) return "";
    return `<circle class="best" cx="${this.x.at(xs[best]).toFixed(1)}" cy="${this.y.at(ys[best]).toFixed(1)}" r="5"/>`;
  }

  /// The values of all runs at the place that is nearest.
  describe(pixel) {
    const x = this.x.value(pixel), rows = [];
    let marks = "";
    for (const {run, index, xs, ys, places} of this.shown) {
      const i = nearest(xs, x);
      const isOutside = x < xs[0] || x > xs[xs.length - 1];
      if (isOutside && Math.abs(this.x.at(x) - this.x.at(xs[i])) > 12) continue;
      rows.push({run: index, name: run.name, value: number(ys[i]), note: `at update ${grouped(places.update[i])}, epoch ${places.epoch[i]}`});
      if (this.canShow(ys[i])) marks += `<g style="${runStyle(index)}"><circle class="dot" cx="${this.x.at(xs[i])}" cy="${this.y.at(ys[i])}" r="4"/></g>`;
    }
    const axis = axes[view.axis];
    return rows.length ? {x: pixel, head: `${axis.text(x)}${view.axis === "seconds" ? "" : " " + axis.name}`, rows, marks} : null;
  }
}
