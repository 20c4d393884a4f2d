#include "apps/scoring/command.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "apps/scoring/corpus.h"
#include "apps/scoring/html.h"
#include "apps/scoring/input.h"
#include "apps/scoring/options.h"
#include "apps/scoring/report.h"
#include "core/base/io.h"
#include "core/base/text_output.h"
#include "core/base/version.h"

namespace bough {
namespace {

/// errno does not say it: a stream may have failed long before.
bool nobody_reads_stdout() {
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  return poll(&output, 1, 0) > 0 && (output.revents & POLLERR) != 0;
}

constexpr int user_error = 1;
constexpr size_t many_tokenized_lines = 100;

/// Refuses tests that do not fit the number of systems; bad fields in the references come first.
void check_tests(const ScoreOptions& options, SegmentReader& reader) {
  const size_t systems = reader.system_count();
  std::string problem;
  if (options.is_sentence_level && systems > 1)
    problem = "--sentence-level: several systems, must be one. Run once for each.";
  if (options.paired() != PairedTest::none && systems == 1)
    problem =
        "bough-score: a paired test of one system, must be two or more. Give more files to "
        "-i, or use --confidence.";
  if (options.with_confidence && systems > 1)
    problem = "--confidence: several systems, must be one. Use --paired-bs or --paired-ar.";
  if (problem.empty()) return;
  reader.drain_references();
  throw ScoreError(user_error, problem);
}

void score_sentences(const ScoreOptions& options, SegmentReader& reader, std::ostream& out) {
  const Metric metric = options.metrics()[0];
  MetricResult result{metric, 0, "", {}, {}, signature(metric, {reader.reference_count(), 0, 0, ""})};
  CorpusScoring corpus;
  corpus.threads = options.threads;
  corpus.on_segment = [&](std::span<const double> statistics) {
    result.score = score_from(statistics, metric);
    if (const auto* bleu = std::get_if<BleuOptions>(&metric)) result.details = details(bleu_from(statistics, *bleu));
    out << (options.is_score_only ? fmt::format("{:.{}f}", result.score, options.width) : format_line(result, options))
        << '\n';
  };
  score_corpus(reader, {metric}, corpus);
}

void write_html(const ScoredCorpus& corpus, const ScoreReport& report, const ScoreOptions& options) {
  TextOutput file(options.html);
  file.write(format_html(corpus, report, options));
  file.close();
}

void score_systems(const ScoreOptions& options, SegmentReader& reader, std::ostream& out, std::ostream& messages,
                   bool is_terminal) {
  const bool for_people = options.format == ScoreFormat::table || !options.html.empty();
  CorpusScoring wanted;
  wanted.threads = options.threads;
  wanted.keep_text = !options.html.empty();
  wanted.keep_segments = for_people || options.with_confidence || options.paired() != PairedTest::none;
  const ScoredCorpus corpus = score_corpus(reader, options.metrics(), wanted);
  if (corpus.tokenized_lines >= many_tokenized_lines && !options.is_forced && !options.is_quiet)
    messages << "bough-score: " << corpus.tokenized_lines
             << " lines end in ' .', so the text looks tokenized, must be plain text for "
                "comparable scores. Detokenize it, or give --force.\n";
  const ScoreReport full = for_people ? make_full_report(corpus, options) : ScoreReport{};
  out << format_report(options.format == ScoreFormat::table ? full : make_report(corpus, options), options,
                       is_terminal);
  if (!options.html.empty()) write_html(corpus, full, options);
}

/// What is written must not be what is read.
void check_outputs(const ScoreOptions& options) {
  std::vector<std::string> read = options.references;
  read.insert(read.end(), options.inputs.begin(), options.inputs.end());
  if (options.reads_stdin) read.push_back("stdin");
  check_one_stdin("an input", read, "Give all but one as files");
  for (const std::string& path : read) {
    if (!options.html.empty()) check_not_input("--html", options.html, "an input", path);
    check_not_input("standard output", "stdout", "an input", path);
  }
}

void run(ScoreOptions options, std::ostream& out, std::ostream& messages, bool is_terminal) {
  if (options.wants_help) {
    out << score_help();
    return;
  }
  if (options.wants_version) {
    out << fmt::format("bough-score {} (scores as sacreBLEU {})\n", version(), sacrebleu_version);
    return;
  }
  apply_environment(options);
  check_score_options(options);
  check_outputs(options);
  SegmentReader reader(options);
  check_tests(options, reader);
  if (!options.reads_stdin && options.inputs.empty()) {
    out << "[]\n";  // sacreBLEU's answer to no system
  } else if (options.is_sentence_level) {
    score_sentences(options, reader, out);
  } else {
    score_systems(options, reader, out, messages, is_terminal);
  }
  out.flush();
  if (!out && nobody_reads_stdout()) throw OutputClosed();
  if (!out)
    throw ScoreError(user_error,
                     "bough-score: the output cannot be written. Is the disk "
                     "full?");
}

}  // namespace

bool asks_for_model_scores(std::span<const std::string> arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "-c" || argument == "--model" || argument == "--config") return true;
    if (argument.starts_with("--model=") || argument.starts_with("--config=")) return true;
    if (argument != "-m" || i + 1 == arguments.size()) continue;
    if (const std::string& name = arguments[i + 1]; name.ends_with(".npz") || name.ends_with(".bin")) return true;
  }
  return false;
}

int run_score(std::span<const std::string> arguments, std::ostream& out, std::ostream& messages, bool is_terminal) {
  try {
    run(parse_score_options(arguments), out, messages, is_terminal);
    return 0;
  } catch (const ScoreError& error) {
    out.flush();
    messages << error.what() << '\n';
    return error.exit_code;
  } catch (const Error& error) {
    out.flush();
    messages << error.what() << '\n';
    return user_error;
  }
}

}  // namespace bough
