"use strict";
// What charts and heat maps share: numbers as text, scales, the x axis, the pointer.

const data = JSON.parse(document.getElementById("data").textContent);
// axis: key of `axes`; range: the part of x that is shown, null = all; hidden: runs that are not.
const view = {axis: "update", range: null, hidden: new Set()};
const plots = [];

function element(name, parent, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

const isNumber = value => value !== null && value !== undefined;
/// A text within the source of an SVG.
const escaped = text => text.replace(/[&<>]/g, letter => `&#${letter.charCodeAt(0)};`);
// Eight colours, and eight again of other lines: dashes in charts, borders beside names.
const lineKinds = [["none", "solid"], ["6 3", "dashed"], ["2 3", "dotted"], ["12 3 2 3", "double"]];
function runStyle(i) {
  const [dashes, border] = lineKinds[Math.floor(i / 8) % lineKinds.length];
  return `--run:var(--run${i % 8});--dashes:${dashes};--border:${border}`;
}

/// Five digits, for tooltips and tables.
function number(value) {
  if (!isNumber(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(3);
  const text = String(Number(value.toPrecision(5)));
  return size >= 1e4 ? grouped(value) : text;
}
function grouped(value) {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}
/// 1500000 -> 1.5M: for axes.
function short(value) {
  const size = Math.abs(value);
  if (size !== 0 && size < 1e-4) return value.toExponential().replace("e+", "e");
  for (const [unit, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (size >= unit) return Number((value / unit).toPrecision(6)) + letter;
  return String(Number(value.toPrecision(6)));
}
/// The two largest units of a time in seconds.
function duration(seconds) {
  if (seconds < 60) return Number(seconds.toPrecision(3)) + " s";
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return minutes < 1440 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 1440)} d ${Math.floor(minutes / 60) % 24} h`;
}
/// Times on an axis: all in the unit of the step.
function shortDuration(seconds, step) {
  const [unit, name] = [[86400, " d"], [3600, " h"], [60, " min"], [1, " s"]].find(([size]) => step >= size) || [1, " s"];
  return Number((seconds / unit).toPrecision(6)) + name;
}

const axes = {
  update: {name: "updates", text: grouped, tick: short},
  seconds: {name: "time", text: duration, tick: shortDuration},
  labels: {name: "target tokens", text: grouped, tick: short},
};

/// About `count` round numbers within [low, high].
function roundNumbers(low, high, count, isTime) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].map(x => x * power).find(x => x >= rough);
  if (isTime) step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400].find(x => x >= rough) || Math.ceil(rough / 86400) * 86400;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) ticks.push(Number((i * step).toPrecision(12)));
  return {ticks, step};
}
/// Round numbers of a logarithmic axis: powers of ten, with 2 and 5 times those where there is room.
function roundPowers(low, high) {
  const decades = Math.log10(high) - Math.log10(low), factors = decades < 1.5 ? [1, 2, 5] : [1], every = Math.ceil(decades / 6);
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); ++power)
    for (const factor of factors) {
      const tick = Number((factor * 10 ** power).toPrecision(3));
      if (power % every === 0 && tick >= low * 0.999 && tick / 1.001 <= high) ticks.push(tick);
    }
  return ticks.length > 1 ? ticks : roundNumbers(low, high, 4).ticks;
}

/// value -> pixel, and back; logarithmic or not.
class Scale {
  constructor(low, high, first, last, isLog) {
    Object.assign(this, {low, high, first, last, isLog});
    this.from = isLog ? Math.log(low) : low;
    this.per = (last - first) / ((isLog ? Math.log(high) : high) - this.from);
  }
  at(value) { return this.first + ((this.isLog ? Math.log(value) : value) - this.from) * this.per; }
  value(pixel) {
    const value = this.from + (pixel - this.first) / this.per;
    return this.isLog ? Math.exp(value) : value;
  }
}

/// Index of the number nearest to x; xs ascend.
function nearest(xs, x) {
  let low = 0, high = xs.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1; else high = middle;
  }
  return low > 0 && x - xs[low - 1] <= xs[low] - x ? low - 1 : low;
}

const isShown = run => !view.hidden.has(run);
const xsOf = places => places[view.axis].map(x => x || 0);

/// The same for all plots, so that they can be compared.
function wholeRange() {
  let high = 0;
  for (const run of data.runs.filter(isShown))
    for (const places of [run.curves, run.layers, ...run.validation]) high = Math.max(high, ...xsOf(places).slice(-1));
  return [0, high || 1];
}

/// A figure with an SVG drawing over x. Those derived from it have draw() and describe(x, y).
class Plot {
  constructor(parent, title, unit) {
    this.figure = element("figure", parent);
    this.caption = element("figcaption", this.figure);
    element("h3", this.caption, "", title);
    element("span", this.caption, "soft", unit).title = unit;
    this.plot = element("div", this.figure, "plot");
    this.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.svg.setAttribute("role", "img");
    this.svg.setAttribute("aria-label", title);
    this.plot.append(this.svg);
    this.followPointer();
    plots.push(this);
  }

  /// Sizes the drawing and returns its frame; left: room for labels.
  begin(height, left) {
    this.width = this.plot.clientWidth;
    this.frame = {left, right: this.width - 8, top: 6, bottom: height - 22};
    this.x = new Scale(...(view.range || wholeRange()), left, this.frame.right);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
    this.svg.style.height = this.plot.style.height = height + "px";
    return this.frame;
  }
  xAxis() {
    const {left, right, bottom} = this.frame, axis = axes[view.axis];
    const {ticks, step} = roundNumbers(this.x.low, this.x.high, Math.max(2, (right - left) / 90), view.axis === "seconds");
    return `<line class="axis" x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>` + ticks.map(tick => {
      const x = this.x.at(tick).toFixed(1), side = x > right - 18 ? "end" : "middle";
      return `<line class="axis" x1="${x}" x2="${x}" y1="${bottom}" y2="${bottom + 4}"/><text class="${side}" x="${x}" y="${bottom + 16}">${axis.tick(tick, step)}</text>`;
    }).join("");
  }
  /// The drawing, under what follows the pointer.
  finish(svg) {
    this.svg.innerHTML = `${svg}<rect class="part" width="0" y="${this.frame.top}" height="${this.frame.bottom - this.frame.top}"/><g class="pointer"></g>`;
    [this.part, this.pointer] = this.svg.querySelectorAll(".part, .pointer");
  }

  followPointer() {
    const at = event => {
      const box = this.plot.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const within = x => Math.min(Math.max(x, this.frame.left), this.frame.right);
    let start = null;
    this.plot.addEventListener("pointerdown", event => {
      if (event.pointerType === "mouse" && event.button === 0) start = within(at(event)[0]);
    });
    this.plot.addEventListener("pointermove", event => {
      const [x, y] = at(event);
      this.show(x, y, event);
      if (start === null) return;
      this.plot.setPointerCapture(event.pointerId);
      this.part.setAttribute("x", Math.min(start, within(x)));
      this.part.setAttribute("width", Math.abs(within(x) - start));
    });
    this.plot.addEventListener("pointerup", event => {
      const from = start, to = within(at(event)[0]);
      start = null;
      if (from === null) return;
      if (Math.abs(to - from) > 5) showRange([this.x.value(Math.min(from, to)), this.x.value(Math.max(from, to))]);
    });
    this.plot.addEventListener("pointerleave", () => this.show());
    this.plot.addEventListener("dblclick", () => showRange(null));
  }
  /// The values under the pointer, in a box beside it; none: away with it.
  show(x, y, event) {
    const tip = document.getElementById("tip"), {left, right, top, bottom} = this.frame;
    const found = event && x >= left && x <= right ? this.describe(x, y) : null;
    tip.hidden = !found;
    this.pointer.innerHTML = found ? `<line class="cursor" x1="${found.x}" x2="${found.x}" y1="${top}" y2="${bottom}"/>${found.marks}` : "";
    if (!found) return;
    tip.replaceChildren();
    element("div", tip, "soft", found.head);
    for (const {run, name, value, note} of found.rows) {
      const row = element("div", tip);
      const swatch = element("span", row, "swatch");
      swatch.style = runStyle(run);
      element("span", row, "", name);
      element("b", row, "", value);
      if (note) element("small", row, "", note);
    }
    const box = tip.getBoundingClientRect(), {innerWidth, innerHeight} = window;
    const besides = event.clientX + 16 + box.width > innerWidth ? event.clientX - 16 - box.width : event.clientX + 16;
    tip.style.left = Math.max(4, besides) + "px";
    tip.style.top = Math.min(event.clientY + 12, innerHeight - box.height - 4) + "px";
  }
}

function drawAll() {
  for (const plot of plots) plot.draw();
}
/// A part of x, null = all. Parts are left alone in which numbers on the axis would all be alike.
function showRange(range) {
  if (range && range[1] - range[0] < 1e-6 * wholeRange()[1]) return;
  view.range = range;
  document.getElementById("whole").hidden = !range;
  drawAll();
}
