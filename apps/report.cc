// bough-report: a page for a browser that shows training runs.
#include <cstdio>
#include <ctime>

#include "apps/option_parser.h"
#include "apps/report/page.h"
#include "core/base/files.h"
#include "core/base/io.h"
#include "core/base/program.h"
#include "core/base/text_output.h"

namespace {

using namespace bough;

void write_report(const ReportOptions& options) {
  check_one_stdin("files", options.files, "Give all but one as files");
  std::vector<std::string> paths;
  for (const std::string& file : options.files) paths.push_back(metrics_file_of(file));
  for (size_t i = 0; i < paths.size(); ++i)
    for (const std::string& path : {options.files[i], paths[i]})
      check_not_input("output", options.output, "files", path);
  const std::vector<std::string> names = run_names(paths);
  std::vector<RunMetrics> runs;
  for (size_t i = 0; i < paths.size(); ++i) {
    runs.push_back(read_run_metrics(paths[i]));
    runs.back().name = names[i];
  }
  const std::string page = format_page(runs, std::time(nullptr));
  if (is_stdout(options.output) || is_stream(options.output)) {
    TextOutput output(options.output);
    output.write(page);
    output.close();
  } else {
    // Whole or not at all: a browser may load it again in between.
    write_file(options.output, content_for(options.output, page));
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bough::run_program("bough-report", [&] {
    if (const auto options = parse_report_options(argc, argv)) write_report(*options);
    return 0;
  });
}
