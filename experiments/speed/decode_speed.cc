// bough-decode-speed: target tokens a second of bough-translate's search, without reading and writing text.
//   bough-decode-speed REPEATS [--as-trained] [bough-translate options]
// The end of sentence is made impossible, so that every hypothesis lives until max-length-factor ends it: the work
// is the same for any weights, trained or not; with --as-trained sentences end where the model ends them. Prints
// {"sentences": S, "target_tokens": N, "seconds": [...], "processor_seconds": [...]}; a first pass over all sentences
// is not counted. Tokens are those of the best hypotheses, end of sentence included.
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string_view>

#include "apps/inference/device.h"
#include "apps/inference/ensemble.h"
#include "apps/inference/translator.h"
#include "apps/option_parser.h"
#include "core/base/io.h"
#include "core/base/log.h"
#include "data/vocabulary.h"
#include "experiments/speed/program.h"

namespace {

using namespace bough;

void forbid_end_of_sentence(ParameterSet& parameters, int32_t end) {
  for (const ParameterPart& part : parameters.parts()) {
    if (part.name != "decoder_ff_logit_out_b") continue;
    std::vector<float> bias = parameters.extract(parameters.values(), part);
    bias[size_t(end)] = -1e9f;
    parameters.insert(parameters.kept_pieces(), part, std::move(bias));
    parameters.values_changed();
    return;
  }
  fail("decode_speed: the model has no bias of its output, must have one; train it without output-omit-bias");
}

std::vector<std::vector<int32_t>> read_sentences(const TranslateOptions& options, const Vocabulary& vocabulary) {
  std::vector<std::vector<int32_t>> sentences;
  LineReader lines(options.input.front());
  for (std::string line; lines.next(line);) sentences.push_back(vocabulary.encode(line));
  check(!sentences.empty(), "decode_speed: '{}' has no lines", options.input.front());
  return sentences;
}

int run(int argc, char** argv) {
  check(argc >= 2, "bough-decode-speed: no number of repeats given; see the first lines of decode_speed.cc");
  const int repeats = std::stoi(argv[1]);
  const int own = argc >= 3 && std::string_view(argv[2]) == "--as-trained" ? 2 : 1;
  const auto options = parse_translate_options(argc - own, argv + own);
  if (!options) return 0;
  options->machine.check_one_device("this program");
  log::configure({.quiet = true});
  const auto backend = make_backend(options->machine);
  const LoadedEnsemble loaded = load_ensemble(options->models, options->weights, options->vocabulary.paths, *backend,
                                              options->machine.gemm_precision);
  if (own == 1)
    for (const Model& model : loaded.models) forbid_end_of_sentence(*model.parameters, loaded.ensemble.target.end);
  const auto sentences = read_sentences(*options, *loaded.vocabularies.front());
  TranslatorSettings settings;
  settings.batch = options->batch;
  settings.workers = cpu_thread_count(options->machine);
  settings.cache_bytes = int64_t(workspace_bytes(options->machine));
  settings.consumes_models = true;
  Translator translator(loaded.ensemble, *backend, options->decoding, settings);

  std::string seconds, processor_seconds;
  int64_t tokens = 0;
  for (int i = 0; i <= repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t processor_start = std::clock();
    const auto results = translator.translate(sentences);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    tokens = 0;
    for (const Translator::Result& result : results) {
      check(!result.empty(), "decode_speed: the model gives no finite score");
      tokens += int64_t(result[0].tokens.size()) + 1;
    }
    if (i == 0) continue;
    const char* const comma = i > 1 ? ", " : "";
    seconds += fmt::format("{}{:.6f}", comma, time.count());
    processor_seconds += fmt::format("{}{:.3f}", comma, double(std::clock() - processor_start) / CLOCKS_PER_SEC);
  }
  std::printf("{\"sentences\": %zu, \"target_tokens\": %lld, \"seconds\": [%s], \"processor_seconds\": [%s]}\n",
              sentences.size(), static_cast<long long>(tokens), seconds.c_str(), processor_seconds.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return bough::speed::run_program("bough-decode-speed", run, argc, argv); }
