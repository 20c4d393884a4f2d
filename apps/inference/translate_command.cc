#include "apps/inference/translate_command.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "apps/inference/device.h"
#include "apps/inference/speed_log.h"
#include "apps/inference/text_encoder.h"
#include "apps/inference/translation_input.h"
#include "apps/inference/translation_printer.h"
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
        loaded_(load_ensembles(options.models, options.weights, options.vocabulary.paths,
                               make_backends(options.machine), options.machine.gemm_precision)),
        printer_(loaded_.vocabularies().back(), loaded_.ensemble().right_left(), options.decoding,
                 options.no_spm_decode),
        lines_(options),
        source_encoder_(encoder(0)),
        prefix_encoder_(encoder(1)),
        speed_(options.stat_freq.count),
        output_(options.output) {
    check(!options.decoding.force_decode || !loaded_.ensemble().right_left(),
          "force-decode: '{}' writes from right to left, so it cannot be given the beginning. Use a model that writes "
          "from left to right",
          options.models.front());
    if (!options.shortlist.path.empty())
      shortlist_.emplace(options.shortlist, *loaded_.vocabularies().front(), *loaded_.vocabularies().back());
    if (options.decoding.sampling)
      log::info("[translate] sampling {}, seed {}", fmt::join(format_items(options.decoding.sampling), " "),
                options.decoding.seed);
  }

  void run() {
    const auto start = std::chrono::steady_clock::now();
    if (!output_.is_stdout() || !isatty(STDOUT_FILENO)) progress_.emplace("translate");
    TranslatorSettings settings = translator_settings(options_);
    settings.shortlist = shortlist_ ? &*shortlist_ : nullptr;
    settings.consumes_models = true;
    settings.on_batch = [this](int64_t sentences, int64_t tokens) { speed_.note(sentences, tokens); };
    Translator translator(loaded_.on_devices(), options_.decoding, settings);
    translator.run([this] { return read_window(); }, [this](Translator::Result&& result) { write(result); },
                   [this] { lines_.stop(); });
    output_.close();
    progress_.reset();
    speed_.finish();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    log::info("Total translation time: {:.2f}s", seconds.count());
  }

 private:
  /// side: 0 the source, 1 what translations begin with.
  TextEncoder encoder(size_t side) const {
    return TextEncoder(lines_.name(side), loaded_.vocabularies()[side],
                       std::min<int64_t>(options_.corpus.max_length, loaded_.ensemble().longest_sentence()),
                       options_.vocabulary.no_spm_encode, options_.corpus.max_length_crop);
  }

  std::vector<Translator::Source> read_window() {
    const size_t most = size_t(options_.batch.mini_batch) * size_t(options_.batch.maxi_batch);
    std::vector<Translator::Source> window;
    for (std::string source, prefix; window.size() < most && lines_.next(source, prefix);) {
      const int64_t number = lines_.line_number();
      std::vector<std::string> words;
      window.emplace_back(
          source_encoder_.encode(std::move(source), number, options_.decoding.replace_unk ? &words : nullptr));
      if (options_.decoding.replace_unk) keep(std::move(words));
      if (options_.decoding.force_decode) window.back().prefix = prefix_encoder_.encode(std::move(prefix), number);
    }
    return window;
  }

  void keep(std::vector<std::string> words) {
    const std::lock_guard lock(words_mutex_);
    words_.push_back(std::move(words));
  }
  /// Of the next sentence that is written.
  std::vector<std::string> next_words() {
    if (!options_.decoding.replace_unk) return {};
    const std::lock_guard lock(words_mutex_);
    std::vector<std::string> words = std::move(words_.front());
    words_.pop_front();
    return words;
  }

  void write(const Translator::Result& result) {
    const std::vector<std::string> words = next_words();
    if (result.empty() && !std::exchange(warned_scores_, true))
      log::warn(
          "[translate] line {}: the model gives no finite score, so the line stays empty; the model "
          "has diverged in training",
          written_ + 1);
    output_.write(printer_.lines(written_, result, words));
    if (!options_.decoding.quiet_translation)
      log::info("Best translation {} : {}", written_, printer_.text(result, words));
    ++written_;
    if (progress_) progress_->advance_to(written_);
  }

  const TranslateOptions& options_;
  LoadedEnsembles loaded_;
  std::optional<Shortlist> shortlist_;
  TranslationPrinter printer_;
  TranslationInput lines_;
  TextEncoder source_encoder_, prefix_encoder_;
  SpeedLog speed_;
  TextOutput output_;
  std::mutex words_mutex_;  // reading and writing go on at once
  std::deque<std::vector<std::string>> words_;
  std::optional<Progress> progress_;
  int64_t written_ = 0;
  bool warned_scores_ = false;
};

}  // namespace

void run_translate(const TranslateOptions& options) { Translation(options).run(); }

}  // namespace bough
