// The page: table of runs, choices, charts, notes.

const isLowerBetter = metric => /^(cross-entropy|ce-|perplexity|ter$)/.test(metric);
const last = list => list[list.length - 1];
const validationOf = (run, metric) => run.validation.find(curve => curve.metric === metric);
const metrics = [...new Set(data.runs.flatMap(run => run.validation.map(curve => curve.metric)))];
const bestOf = metric => isLowerBetter(metric) ? Math.min : Math.max;
/// {value, update} of the best validation of a run, or nothing.
function bestValue(run, metric) {
  const curve = validationOf(run, metric), values = curve ? curve.values.filter(isNumber) : [];
  if (!values.length) return null;
  const value = bestOf(metric)(...values);
  return {value, update: curve.update[curve.values.indexOf(value)]};
}

function localTime(seconds) {
  const date = new Date(seconds * 1000), two = n => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}
/// Columns of the table: [name, text and note of a run].
function columns() {
  const loss = ({curves}) => {
    const i = curves.cost_mean_words.findLastIndex(isNumber), isLast = i === curves.update.length - 1;
    return [number(curves.cost_mean_words[i]), i < 0 || isLast ? "" : `at ${grouped(curves.update[i])}`];
  };
  const count = key => run => [isNumber(last(run.curves[key])) ? grouped(last(run.curves[key])) : "–"];
  const time = run => last(run.curves.seconds) || 0;
  return [
    ["updates", count("update")], ["epoch", count("epoch")], ["target tokens", count("labels")],
    ["training time", run => [time(run) ? duration(time(run)) : "–"]],
    ["tokens a second", run => [run.speed ? grouped(run.speed) : "–"]],
    ["last loss", loss],
    ...metrics.map(metric => [`best ${metric}`, run => {
      const best = bestValue(run, metric);
      return best ? [number(best.value), `at ${grouped(best.update)}`] : ["–"];
    }, metric]),
    ["last written", run => [run.written ? localTime(run.written) : "–"]],
  ];
}

function runCell(row, run, index) {
  const cell = element("td", row), label = element("label", cell), box = element("input", label);
  element("span", label, "swatch");
  box.type = "checkbox";
  box.checked = true;
  cell.style = runStyle(index);
  label.title = run.path;
  element("span", label, "", run.name);
  box.addEventListener("change", () => {
    box.checked ? view.hidden.delete(run) : view.hidden.add(run);
    drawAll();
  });
  if (run.divergence) element("p", cell, "bad", run.divergence);
  if (run.skipped) element("p", cell, "bad", `${grouped(run.skipped)} updates skipped: their gradient was not finite`);
}

function makeSummary(parent) {
  const table = element("table", parent), head = element("tr", element("thead", table)), body = element("tbody", table), all = columns();
  for (const [name] of [["run"], ...all]) element("th", head, "", name);
  data.runs.forEach((run, index) => {
    const row = element("tr", body);
    runCell(row, run, index);
    for (const [name, textOf, metric] of all) {
      const [text, note] = textOf(run), cell = element("td", row), words = element("span", cell, "", text);
      cell.dataset.name = name;
      if (note) element("small", words, "", ` ${note}`);
      if (metric && data.runs.length > 1 && isBestRun(run, metric)) cell.className = "best";
    }
  });
}
function isBestRun(run, metric) {
  const values = data.runs.map(other => bestValue(other, metric)).filter(isNumber).map(best => best.value);
  return bestValue(run, metric)?.value === bestOf(metric)(...values);
}

function makeAxisChoice(parent) {
  const choice = element("span", parent);
  for (const [key, axis] of Object.entries(axes)) {
    if (!data.runs.some(run => last(run.curves[key]) > 0 || last(run.layers[key]) > 0)) continue;
    const label = element("label", choice), radio = element("input", label);
    Object.assign(radio, {type: "radio", name: "axis", value: key, checked: key === view.axis});
    label.append(axis.name);
    radio.addEventListener("change", () => {
      view.axis = key;
      showRange(null);
    });
  }
  document.getElementById("whole").addEventListener("click", () => showRange(null));
}

function makeCharts(training, validation) {
  const chart = (title, unit, key, options) => new Chart(training, title, unit, run => ({places: run.curves, values: run.curves[key]}), options);
  chart("Loss", "nats per target token", "cost_mean_words");
  chart("Gradient norm", "moving average", "gradient_norm", {isLog: true});
  chart("Learning rate", "", "learning_rate");
  if (data.runs.some(run => run.curves.alpha.some(alpha => isNumber(alpha) && alpha !== 1))) chart("Alpha", "the smallest of all branches", "alpha");
  chart("Speed", "target tokens a second", "words_per_second");
  chart("Fill", "target tokens over the budget", "fill");
  new Chart(training, "Model update", "change of the output", run => ({places: run.layers, values: run.layers.model_updates}), {isLog: true});
  for (const metric of metrics) {
    const series = run => {
      const curve = validationOf(run, metric);
      return curve && {places: curve, values: curve.values};
    };
    new Chart(validation, metric, isLowerBetter(metric) ? "lower is better" : "higher is better", series, {best: bestOf(metric)});
  }
  validation.parentNode.hidden = metrics.length === 0;
}

function makeNotes(parent) {
  for (const run of data.runs) {
    const thinned = (places, what, how) => {
      const drawn = places.update.length;
      if (drawn < places.lines) element("p", parent, "", `${run.name}: ${grouped(drawn)} of ${grouped(places.lines)} ${what} are drawn, ${how}.`);
    };
    thinned(run.curves, "log lines", "in each stretch those where a curve is lowest or highest");
    for (const curve of run.validation) thinned(curve, `values of ${curve.metric}`, "in each stretch the lowest and the highest");
    thinned(run.layers, "lines with norms of layers", "evenly chosen");
    if (run.damaged) element("p", parent, "", `${run.name}: ${grouped(run.damaged)} damaged lines are left out.`);
  }
  element("p", parent, "", `Made by bough-report ${data.version}. A ring marks the best value. Time is that of training, without validation and saving.`);
}

document.title = `bough report: ${data.runs.map(run => run.name).join(", ")}`;
document.getElementById("when").textContent = `as of ${localTime(data.now)}`;
makeSummary(document.getElementById("summary"));
makeAxisChoice(document.getElementById("axes"));
makeCharts(document.getElementById("training"), document.getElementById("validation"));
makeHeatMaps(document.getElementById("layers"));
makeNotes(document.getElementById("notes"));
drawAll();
let drawnWidth = document.body.clientWidth;
new ResizeObserver(() => {
  if (drawnWidth !== (drawnWidth = document.body.clientWidth)) drawAll();
}).observe(document.body);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
