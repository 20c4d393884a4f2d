#include "apps/inference/translate_command.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "apps/inference/device.h"
#include "apps/inference/text_encoder.h"
#include "apps/inference/translation_printer.h"
#include "core/base/io.h"
#include "core/base/log.h"
#include "core/base/progress.h"
#include "core/base/text_output.h"

namespace bough {
namespace {

TranslatorSettings translator_settings(const TranslateOptions& options) {
  TranslatorSettings settings;
  settings.batch = options.batch;
  settings.workers = cpu_thread_count(options.machine);
  settings.cache_bytes = int64_t(workspace_bytes(options.machine));
  return settings;
}

/// Reads and translates one input; results go out as they come.
class Translation {
 public:
  explicit Translation(const TranslateOptions& options)
      : options_(options),
        backend_(make_backend(options.machine)),
        loaded_(load_ensemble(options.models, options.weights, options.vocabulary.paths, *backend_)),
        printer_(loaded_.vocabularies.back(), loaded_.ensemble.right_left(), options.decoding, options.no_spm_decode),
        lines_(options.input.front()),
        encoder_(is_stdin(lines_.path()) ? "standard input" : "'" + lines_.path() + "'", loaded_.vocabularies.front(),
                 std::min<int64_t>(options.corpus.max_length, loaded_.ensemble.longest_sentence()),
                 options.vocabulary.no_spm_encode, options.corpus.max_length_crop),
        output_(options.output) {}

  void run() {
    const auto start = std::chrono::steady_clock::now();
    if (!output_.is_stdout() || !isatty(STDOUT_FILENO)) progress_.emplace("translate");
    Translator translator(loaded_.ensemble, *backend_, options_.decoding, translator_settings(options_));
    translator.run([this] { return read_window(); }, [this](Translator::Result&& result) { write(result); },
                   [this] { lines_.stop(); });
    output_.close();
    progress_.reset();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    log::info("Total translation time: {:.2f}s", seconds.count());
  }

 private:
  std::vector<std::vector<int32_t>> read_window() {
    const size_t most = size_t(options_.batch.mini_batch) * size_t(options_.batch.maxi_batch);
    std::vector<std::vector<int32_t>> window;
    for (std::string line; window.size() < most && lines_.next(line);)
      window.push_back(encoder_.encode(std::move(line), lines_.line_number()));
    return window;
  }

  void write(const Translator::Result& result) {
    if (result.empty() && !std::exchange(warned_scores_, true))
      log::warn(
          "[translate] line {}: the model gives no finite score, so the line stays empty; the model "
          "has diverged in training",
          written_ + 1);
    output_.write(printer_.lines(written_, result));
    if (!options_.decoding.quiet_translation) log::info("Best translation {} : {}", written_, printer_.text(result));
    ++written_;
    if (progress_) progress_->advance_to(written_);
  }

  const TranslateOptions& options_;
  std::unique_ptr<Backend> backend_;
  LoadedEnsemble loaded_;
  TranslationPrinter printer_;
  LineReader lines_;
  TextEncoder encoder_;
  TextOutput output_;
  std::optional<Progress> progress_;
  int64_t written_ = 0;
  bool warned_scores_ = false;
};

}  // namespace

void run_translate(const TranslateOptions& options) {
  check(options.input.size() == 1, "input: {} files given, must be one: bough models have one source",
        options.input.size());
  Translation(options).run();
}

}  // namespace bough
