// bough-report: what it reads of a file of metrics, what it draws of long runs, and that its page holds whatever it
// reads.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/report/page.h"
#include "apps/report/page_source.h"
#include "apps/report/thinning.h"
#include "core/base/files.h"
#include "test/catch.h"
#include "test/scratch_folder.h"
#include "test/throws.h"

using namespace bough;
using Strings = std::vector<std::string>;

namespace {

const std::string log_line =
    R"({"epoch":1,"update":10,"sentences":72,"labels":1946,"cost_mean_words":6.5,"seconds":2.0,"words_per_second":973.0,)"
    R"("gradient_norm":1.25,"learning_rate":0.0,"alpha":0.5,"fill":0.0,"source_fill":0.9,"skipped_updates":0})";
const std::string layer_line =
    R"({"epoch":1,"update":15,"labels":2900,"layers":["embeddings","encoder_l1"],"layer_gradient_norms":[0.5,null],)"
    R"("layer_update_norms":[0.1,0.2],"sites":["encoder_l1_self"],"branch_ratios":[0.25],"site_alphas":[1.0]})";

/// The log line at another update, with another loss.
std::string line_at(int64_t update, double loss = 6.5) {
  auto line = nlohmann::json::parse(log_line);
  line["update"] = update;
  line["cost_mean_words"] = loss;
  return line.dump();
}
std::string validation_at(int64_t update, double value) {
  return fmt::format(R"({{"epoch":1,"update":{},"labels":3000,"valid":"bleu","value":{}}})", update, value);
}

class MetricsFiles : public ScratchFolder {
 public:
  std::string write(const std::string& text) const {
    write_file(*this / "m.jsonl", text);
    return *this / "m.jsonl";
  }
  RunMetrics read(const std::string& text) const { return read_run_metrics(write(text)); }
  /// The sentence of a failed reading, without the folder.
  std::string error_of(const std::string& text) const {
    const std::string path = write(text), message = message_of([&] { read_run_metrics(path); });
    return message.starts_with(path) ? message.substr(path.size()) : message;
  }
};

nlohmann::json data_of(const std::string& page) {
  const std::string begin = R"(<script type="application/json" id="data">)";
  const size_t at = page.find(begin) + begin.size();
  return nlohmann::json::parse(page.substr(at, page.find("</script>", at) - at));
}
size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("metrics are read: log lines, validations, layers, divergence", "[report]") {
  const MetricsFiles files;
  const RunMetrics run =
      files.read(log_line + "\n" + layer_line + "\n" + line_at(20, 0.0) + "\n" + validation_at(25, 3.5) +
                 "\n{\"epoch\":1,\"update\":25,\"labels\":4000,\"diverged\":\"too high\"}\n");
  CHECK(run.curves.places.size() == 2);
  CHECK(run.curves.columns[0][0] == 6.5);
  CHECK(std::isnan(run.curves.columns[0][1]));  // a loss that was not finite is logged as 0
  CHECK(std::isnan(run.curves.columns[5][0]));  // no budget, no fill
  CHECK(run.curves.columns[2][0] == 0);         // but a learning rate of 0 is one
  CHECK(run.curves.places[1].seconds == 4);
  CHECK(run.layers.layers == Strings{"embeddings", "encoder_l1"});
  CHECK(run.layers.places[0].seconds == 3);  // half-way between the log lines
  CHECK(run.layers.gradient_norms[0][0] == 0.5);
  CHECK(std::isnan(run.layers.gradient_norms[0][1]));
  CHECK(std::isnan(run.layers.model_updates[0]));
  CHECK(run.validation.at(0).metric == "bleu");
  CHECK(run.validation[0].values == std::vector{3.5});
  CHECK(run.validation[0].places[0].seconds == 4);
  CHECK(run.divergence == "too high");
  CHECK(run.written > 0);
}

TEST_CASE("what a run is still writing is left out", "[report]") {
  const MetricsFiles files;
  for (size_t bytes : {size_t(1), log_line.size() / 2, log_line.size() - 1})
    CHECK(files.read(line_at(5) + "\n" + log_line.substr(0, bytes)).curves.places.size() == 1);
  CHECK(files.read(line_at(5) + "\n" + log_line).curves.places.size() == 2);
}

TEST_CASE("lines that a full disk has cut are left out and counted", "[report]") {
  const MetricsFiles files;
  const std::string half = line_at(10).substr(0, 40);
  RunMetrics run = files.read(line_at(5) + "\n" + half + line_at(20) + "\n\n" + line_at(30) + "\n" + half);
  CHECK(run.curves.places.size() == 2);
  CHECK(run.damaged_lines == 2);
  CHECK(data_of(format_page({run}, 0))["runs"][0]["damaged"] == 2);
}

TEST_CASE("the speed of a run is that of the lines that there are", "[report]") {
  const MetricsFiles files;
  auto line = nlohmann::json::parse(log_line);  // of a run whose earlier lines are elsewhere
  line["labels"] = 1'000'000;
  const std::string first = line.dump();
  line["update"] = 20;
  line["seconds"] = 6;
  line["words_per_second"] = 573;
  CHECK(data_of(format_page({files.read(first + "\n" + line.dump() + "\n")}, 0))["runs"][0]["speed"] == 673);
}

TEST_CASE("a run that was resumed forgets what came after", "[report]") {
  const MetricsFiles files;
  const std::string begin = line_at(10) + "\n" + validation_at(10, 1) + "\n" + line_at(20) + "\n" +
                            validation_at(20, 2) + "\n" + line_at(30) + "\n";
  const RunMetrics run = files.read(begin + line_at(15, 3) + "\n" + validation_at(30, 4) + "\n");
  REQUIRE(run.curves.places.size() == 2);
  CHECK(run.curves.places[1].update == 15);
  CHECK(run.curves.columns[0][1] == 3);
  CHECK(run.validation[0].values == std::vector<double>{1, 4});
}

TEST_CASE("what is no metrics is one sentence with file and line", "[report]") {
  const MetricsFiles files;
  CHECK(files.error_of("") == ": no line of training metrics, must be written by bough-train. Has the run begun?");
  CHECK(files.error_of("{\"upd") == files.error_of(""));
  CHECK(files.error_of("a\nb\n") == " line 1: no JSON, must be a line of training metrics. Is it a file of metrics?");
  CHECK(files.error_of("{}\n") == " line 1: 'update' must be a number from 0. Is it a file of metrics?");
  CHECK(files.error_of(R"({"update":-1})").starts_with(" line 1: 'update' must"));
  CHECK(files.error_of(R"({"update":"1"})") == " line 1: 'update' is string, must be a number");
  CHECK(files.error_of(R"({"update":1,"valid":7})") == " line 1: 'valid' is number, must be text");
  CHECK(files.error_of(R"({"update":1,"layers":["a"],"layer_gradient_norms":[1,2]})") ==
        " line 1: 'layer_gradient_norms' has 2 numbers, must have 1, as many as there are names");
  CHECK(files.error_of(R"({"update":1,"layers":[3]})") == " line 1: 'layers' has number, must have names");
  CHECK(files.error_of(R"({"update":1,"layers":{}})") == " line 1: 'layers' is object, must be a list");
  std::string other = layer_line;
  other.replace(other.find("_l1\""), 3, "_l2");
  CHECK(files.error_of(layer_line + "\n" + other) ==
        " line 2: 'layers' are others than before, must be those of one model");
  CHECK(message_of([&] { read_run_metrics(files / "none"); }).find("none") != std::string::npos);
}

TEST_CASE("a model stands for its metrics", "[report]") {
  const MetricsFiles files;
  CHECK(metrics_file_of("x.jsonl") == "x.jsonl");
  const std::string model = files / "model.npz";
  CHECK(message_of([&] { metrics_file_of(model); }) ==
        "'" + model + "' is a model, and there is no '" + model + ".metrics.jsonl'. Give the file of its metrics.");
  write_file(model + ".metrics.jsonl", "");
  CHECK(metrics_file_of(model) == model + ".metrics.jsonl");
}

TEST_CASE("runs are named by what tells them apart", "[report]") {
  CHECK(run_names({"a/model.npz.metrics.jsonl"}) == Strings{"a/model.npz"});
  CHECK(run_names({"-"}) == Strings{"standard input"});
  CHECK(run_names({"/runs/a/model.npz.metrics.jsonl", "/runs/b/model.npz.metrics.jsonl"}) == Strings{"a", "b"});
  CHECK(run_names({"runs/a/1/m.jsonl", "runs/b/2/m.jsonl.gz"}) == Strings{"a/1", "b/2"});
  CHECK(run_names({"model.npz.metrics.jsonl", "b/model.npz.metrics.jsonl"}) == Strings{"model.npz", "b/model.npz"});
  CHECK(run_names({"a/m.jsonl", "a/n.jsonl"}) == Strings{"m.jsonl", "n.jsonl"});
  CHECK(run_names({"a/m.jsonl", "a/m.jsonl"}) == Strings{"m.jsonl", "m.jsonl"});
  CHECK(run_names({"a/x.metrics.jsonl", "a/x.metrics.jsonl.gz"}) == Strings{"x.metrics.jsonl", "x.metrics.jsonl.gz"});
}

TEST_CASE("of a long curve the extremes are kept", "[report]") {
  std::vector<std::vector<double>> curves(2, std::vector<double>(100'000));
  for (size_t i = 0; i < curves[0].size(); ++i) {
    curves[0][i] = 1 / (1 + double(i));
    curves[1][i] = std::sin(double(i) / 5000);
  }
  curves[0][77'777] = 50;
  curves[1][12'345] = -50;
  curves[1][12'346] = std::numeric_limits<double>::quiet_NaN();
  const auto kept = thinned(curves, curves[0].size(), 4000);
  CHECK(kept.size() <= 4002);
  CHECK(kept.size() > 2000);
  CHECK(std::ranges::is_sorted(kept));
  CHECK(std::ranges::adjacent_find(kept) == kept.end());
  for (const size_t point : {size_t(0), size_t(77'777), size_t(12'345), size_t(12'346), curves[0].size() - 1})
    CHECK(std::ranges::binary_search(kept, point));
  CHECK(thinned(curves, 3, 4000) == std::vector<size_t>{0, 1, 2});
  CHECK(thinned(curves, 0, 4000).empty());

  CHECK(every_kth(0, 5).empty());
  CHECK(every_kth(3, 5) == std::vector<size_t>{0, 1, 2});
  for (size_t size = 1; size < 60; ++size)
    for (size_t most : {2, 3, 7}) {
      const auto some = every_kth(size, most);
      CHECK(some.size() <= most);
      CHECK(some.front() == 0);
      CHECK(some.back() == size - 1);
    }
}

TEST_CASE("the page has the numbers of all runs", "[report]") {
  const MetricsFiles files;
  RunMetrics run = files.read(log_line + "\n" + layer_line + "\n" + validation_at(20, 3.5));
  run.name = "first";
  RunMetrics other = files.read(line_at(7));
  other.name = "second";
  const auto data = data_of(format_page({run, other}, 1234));
  CHECK(data["now"] == 1234);
  REQUIRE(data["runs"].size() == 2);
  CHECK(data["runs"][0]["name"] == "first");
  CHECK(data["runs"][0]["curves"]["update"] == nlohmann::json{10});
  CHECK(data["runs"][0]["curves"]["cost_mean_words"] == nlohmann::json{6.5});
  CHECK(data["runs"][0]["curves"]["fill"][0].is_null());
  CHECK(data["runs"][0]["validation"][0]["values"] == nlohmann::json{3.5});
  CHECK(data["runs"][0]["layers"]["gradient_norms"] == nlohmann::json::parse("[[0.5,null]]"));
  CHECK(data["runs"][1]["curves"]["update"] == nlohmann::json{7});
}

TEST_CASE("a long run is thinned, and the page says how many lines there were", "[report]") {
  const MetricsFiles files;
  std::string text;
  for (int64_t update = 1; update <= 9000; ++update)
    text += line_at(update, update == 4567 ? 99 : 2) + "\n" + validation_at(update, 3) + "\n";
  const auto run = data_of(format_page({files.read(text)}, 0))["runs"][0], data = run["curves"];
  CHECK(run["validation"][0]["lines"] == 9000);
  CHECK(run["validation"][0]["update"].size() <= 4002);
  CHECK(data["lines"] == 9000);
  CHECK(data["update"].size() <= 4002);
  CHECK(std::ranges::count(data["cost_mean_words"], nlohmann::json(99.0)) == 1);
}

TEST_CASE("no text ends the script that it is in", "[report]") {
  const MetricsFiles files;
  const std::string evil = "a\"</script><script>alert(1)</script><!--\\\n\x01é";
  RunMetrics run = files.read(log_line + "\n" + validation_at(20, 3.5));
  run.name = run.path = run.divergence = run.validation[0].metric = run.layers.layers.emplace_back(evil);
  const std::string page = format_page({run}, 0);
  CHECK(count_of(page, "</script>") == 2);
  CHECK(count_of(page, "<!--") == 0);
  const auto data = data_of(page)["runs"][0];
  CHECK(data["name"] == evil);
  CHECK(data["divergence"] == evil);
  CHECK(data["validation"][0]["metric"] == evil);
  CHECK(data["layers"]["layers"][0] == evil);
}

TEST_CASE("the page asks for nothing from elsewhere", "[report]") {
  const MetricsFiles files;
  const std::string page = format_page({files.read(log_line)}, 0);
  for (const char* part :
       {"src=", "href=", "@import", "url(h", "fetch(", "import(", "XMLHttpRequest", "%STYLE%", "%DATA%", "%SCRIPT%"})
    CHECK(count_of(page, part) == 0);
  CHECK(count_of(page, "http") == 2);  // the policy that forbids it, and the name space of SVG
  CHECK(count_of(page, "default-src 'none'") == 1);
  CHECK(page.find(page_source::style) != page.npos);
  CHECK(page.find(page_source::script) != page.npos);
}
