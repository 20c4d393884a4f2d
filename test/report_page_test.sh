#!/usr/bin/env bash
# The page of bough-report in a browser, where one is installed (Debian: chromium): what it draws, and what follows the
# pointer. Usage: report_page_test.sh BUILD_FOLDER
set -u
if ! command -v chromium >/dev/null; then
  echo "report_page_test: chromium is not installed; nothing was done"
  exit 77
fi
tests=$(cd "$(dirname "$0")" && pwd)
. "$(dirname "$0")/checks.sh"

cp "$tests"/fixtures/checkpoint_7c3ff0f/*.metrics.jsonl "$tests/fuzz/seeds/report/lines" .
"$bin/bough-report" ./*.metrics.jsonl lines >report.html || exit 1
# Errors of the page's script are gathered before it, and what it drew is looked at after it.
cat >before.html <<'HTML'
<script>const errors = []; addEventListener("error", event => errors.push(event.message));</script>
HTML
cat >between.html <<'HTML'
<script>
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const shownFigures = () => all("figure").filter(figure => !figure.hidden);
const titles = () => shownFigures().map(figure => figure.querySelector("h3").textContent);
function point(plot, x, share) {
  const box = plot.plot.getBoundingClientRect();
  plot.plot.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + plot.x.at(x), clientY: box.top + share * box.height}));
  return all("#tip b").map(value => value.textContent).join(" ");
}
const ticks = plot => all("text", plot.svg).map(text => text.textContent).join(" ");
const found = {};
const note = (name, value) => found[name] = value;
const areFinite = () => !/NaN|Infinity|undefined/.test(all("svg").map(svg => svg.innerHTML).join());
HTML
cat >last.html <<'HTML'
note("errors", errors.join(";"));
element("pre", document.body, "", Object.entries(found).map(([name, value]) => `found ${name}: ${value}.`).join("\n"));
</script>
HTML
drawn() {  # drawn REPORT: what is noted of it by the script on standard input
  cat between.html - last.html >after.html
  sed -e '/<meta charset/r before.html' -e '/<\/noscript>/r after.html' "$1" >watched.html
  chromium --headless --no-sandbox --disable-gpu --user-data-dir=profile --window-size=1200,900 \
    --virtual-time-budget=5000 --dump-dom "file://$PWD/watched.html" >dom.html 2>browser.txt
}
finds() { check "$1" says "found $2." dom.html; }
drawn report.html <<'HTML'
note("rows", all("tbody tr").length);
note("figures", titles().join(", "));
note("curves", all(".curve", plots[0].svg).length);
note("finite", areFinite());
note("tip", point(plots[0], 10, 0.5));
plots[0].plot.dispatchEvent(new PointerEvent("pointerleave"));
note("left", document.getElementById("tip").hidden);
const heat = plots.find(plot => plot instanceof HeatMap);
note("heat", `${point(heat, 10, 0.2)}, ${point(heat, 10, 0.7)}`);
all("tbody input")[1].click();
note("without", all(".curve", plots[0].svg).length);
all("input[value=seconds]")[0].click();
note("time", ticks(plots[0]).includes(" s"));
showRange([0, 0.01]);
note("part", !document.getElementById("whole").hidden);
document.getElementById("whole").click();
note("whole", document.getElementById("whole").hidden && view.range === null);
plots[0].log.click();
note("log", plots[0].y.isLog);
HTML
finds "no error" "errors: "
finds "a row for each run" "rows: 3"
finds "what was logged is drawn" "figures: Loss, Gradient norm, Learning rate, Alpha, Speed, Fill, Model update, bleu, lines, lines, lines"
finds "... as a curve for each run" "curves: 3"
finds "... with numbers" "finite: true"
finds "values of all runs at the pointer" "tip: 2.1843 1.7753 6.5"
finds "... which go with it" "left: true"
finds "... of a layer, too" "heat: 0.5, not a number"
finds "a run can be left out" "without: 2"
finds "x can be time" "time: true"
finds "a part can be enlarged" "part: true"
finds "... and all shown again" "whole: true"
finds "y can be logarithmic" "log: true"

# Seventeen runs of odd numbers and names.
line() { printf '{"epoch":1,"update":%d,"labels":%d,"cost_mean_words":%s,"seconds":1,"gradient_norm":%s}\n' "$@"; }
{
  line 1000 1000 6.5 1e-307 && line 10000 10000 4.5 1.7e308 && line 11000 11000 null null
  for update in $(seq 1 300); do
    printf '{"update":%d,"labels":%d,"layers":["<b>&"],"layer_gradient_norms":[1],"layer_update_norms":[1],' \
      "$((11000 + update))" "$((11000 + update))"
    printf '"sites":["s"],"branch_ratios":[1],"site_alphas":[%d]}\n' "$((update / 300))"
  done
} >odd1
for i in $(seq 2 17); do ln -s odd1 "odd$i"; done
"$bin/bough-report" odd{1..17} >report.html || exit 1
drawn report.html <<'HTML'
note("finite", areFinite());
note("names", all("text", plots.find(plot => plot instanceof HeatMap).svg)[0].textContent);
note("alphas", all("h2").some(title => title.textContent.startsWith("Alpha")));
note("loss", all("td[data-name='last loss']")[0].textContent);
note("dashes", [0, 8, 16].map(i => getComputedStyle(all(".curve", plots[0].svg)[i]).strokeDasharray).join("; "));
note("swatches", [0, 8, 16].map(i => getComputedStyle(all("#summary .swatch")[i]).borderTopStyle).join("; "));
showRange([4000, 5000]);
note("y", ticks(plots[0]));
showRange([4000.001, 4000.002]);
note("range", view.range);
HTML
finds "no error" "errors: "
finds "the largest numbers are drawn" "finite: true"
finds "names are text" "names: &lt;b&gt;&amp;"
finds "one that differs has its colour" "alphas: true"
finds "an old loss says when it was" "loss: 4.5 at 10,000"
finds "every run looks otherwise" "dashes: none; 6px, 3px; 2px, 3px"
finds "... beside its name, too" "swatches: solid; dashed; dotted"
finds "y is that of a curve between its points" "y: 4.5 5 5.5 6 6.5 4k 4.2k 4.4k 4.6k 4.8k 5k"
finds "a part is not too small" "range: 4000,5000"
[ "$failed" = 0 ] || grep -a -A 20 '<pre>found' dom.html
report
