// Layers (or residual sites) by x, values as colours.

// viridis: as light as the value is high, also for those who see few colours.
const colors = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"]
  .map(text => [0, 2, 4].map(i => parseInt(text.slice(i, i + 2), 16)));
const badColor = [208, 60, 50];
function colorOf(share) {
  const place = Math.min(Math.max(share, 0), 1) * (colors.length - 1), i = Math.min(Math.floor(place), colors.length - 2);
  return colors[i].map((value, c) => value + (place - i) * (colors[i + 1][c] - value));
}

/// A picture with a pixel for each value: a column for a line, a row for a layer.
function pictureOf(table, rows, scale) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [table.length, rows];
  const context = canvas.getContext("2d"), image = context.createImageData(table.length, rows);
  table.forEach((column, x) => column.forEach((value, y) => {
    const share = scale.isLog && value <= 0 ? 0 : scale.at(value);
    image.data.set([...(isNumber(value) ? colorOf(share) : badColor), 255], 4 * (y * table.length + x));
  }));
  context.putImageData(image, 0, 0);
  return canvas;
}

/// One scale for the maps of all runs: all but the outermost values, since one that is huge would hide the others,
/// unless all but the outermost are alike. None without values, or with nothing to tell apart, as the alphas of kinds
/// that have none.
function heatScale(tables, isLog) {
  const values = tables.flat(2).filter(value => isNumber(value) && (value > 0 || !isLog)).sort((a, b) => a - b);
  if (!values.length) return null;
  const at = share => values[Math.round(share * (values.length - 1))];
  const ends = [at(0.002), at(0.998)], [low, high] = ends[0] < ends[1] ? ends : [at(0), at(1)];
  if (!isLog && low === high) return null;
  return new Scale(low, high > low ? high : low * 1.01, 0, 1, isLog);
}

/// encoder_l3_self -> enc 3 self
const shortName = name => name.replace("encoder", "enc").replace("decoder", "dec").replace("_l", " ").replaceAll("_", " ");

class HeatMap extends Plot {
  constructor(parent, run, names, table, scale) {
    super(parent, run.name, "");
    Object.assign(this, {run, index: data.runs.indexOf(run), names, table, scale});
    this.picture = pictureOf(table, names.length, scale);
    this.canvas = element("canvas");
    this.plot.prepend(this.canvas);
  }
  draw() {
    this.figure.hidden = !isShown(this.run);
    if (this.figure.hidden) return;
    const rows = this.names.length, {left, right, top, bottom} = this.begin(28 + Math.min(Math.max(14 * rows, 120), 420), 92);
    this.row = (bottom - top) / rows;
    this.xs = xsOf(this.run.layers);
    this.paint();
    const every = Math.ceil(12 / this.row);
    const labels = this.names.map((name, i) => i % every ? "" : `<text class="end" x="${left - 6}" y="${top + (i + 0.5) * this.row + 4}">${escaped(shortName(name))}</text>`);
    this.finish(labels.join("") + this.xAxis());
  }
  /// Where column i begins: halfway from the one before.
  edge(i) {
    const {xs} = this, last = xs.length - 1;
    if (i === 0) return xs[0] - (last ? (xs[1] - xs[0]) / 2 : this.x.high / 20);
    return i > last ? xs[last] + (last ? (xs[last] - xs[last - 1]) / 2 : this.x.high / 20) : (xs[i - 1] + xs[i]) / 2;
  }
  paint() {
    const ratio = window.devicePixelRatio || 1, {left, right, top, bottom} = this.frame, context = this.canvas.getContext("2d");
    [this.canvas.width, this.canvas.height] = [this.width * ratio, (bottom + 22) * ratio];
    context.scale(ratio, ratio);
    context.imageSmoothingEnabled = false;
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    context.clip();
    for (let i = 0; i < this.xs.length; ++i) {
      const from = Math.round(this.x.at(this.edge(i))), to = Math.round(this.x.at(this.edge(i + 1)));
      context.drawImage(this.picture, i, 0, 1, this.names.length, from, top, Math.max(to - from, 1), bottom - top);
    }
  }
  describe(pixel, y) {
    const x = this.x.value(pixel), {top, bottom, left, right} = this.frame, i = nearest(this.xs, x);
    if (y < top || y >= bottom || x < this.edge(0) || x > this.edge(this.xs.length)) return null;
    const row = Math.floor((y - top) / this.row), value = this.table[i][row];
    const line = top + (row + 0.5) * this.row;
    return {x: pixel, head: `update ${grouped(this.run.layers.update[i])}`, rows: [{run: this.index, name: this.names[row], value: isNumber(value) ? number(value) : "not a number"}],
      marks: `<line class="cursor" x1="${left}" x2="${right}" y1="${line}" y2="${line}"/>`};
  }
}

/// What log-layer-norms writes, and how it is shown.
const heatMaps = [
  {title: "Gradient norm of each layer", names: "layers", table: "gradient_norms", isLog: true},
  {title: "Branch over residual, |F(x)| / |x|, at each sublayer", names: "sites", table: "branch_ratios", isLog: true},
  {title: "Update norm of each layer", names: "layers", table: "update_norms", isLog: true},
  {title: "Alpha of each sublayer", names: "sites", table: "site_alphas", isLog: false},
];

function makeHeatMaps(section) {
  for (const {title, names, table, isLog} of heatMaps) {
    const runs = data.runs.filter(run => run.layers[names].length && run.layers[table].length);
    const scale = heatScale(runs.map(run => run.layers[table]), isLog);
    if (!scale) continue;
    element("h2", section, "", title);
    const legend = element("p", section, "scale");
    element("span", legend, "", number(scale.low));
    element("i", legend).style.background = `linear-gradient(to right, ${colors.map(color => `rgb(${color})`)})`;
    element("span", legend, "", number(scale.high) + (isLog ? ", logarithmic" : ""));
    if (runs.some(run => run.layers[table].flat().includes(null))) {
      element("i", legend, "bad").style.background = `rgb(${badColor})`;
      element("span", legend, "", "not a finite number");
    }
    const charts = element("div", section, "charts maps");
    for (const run of runs) new HeatMap(charts, run, run.layers[names], run.layers[table], scale);
  }
}
