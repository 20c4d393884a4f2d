#include "apps/inference/model_scorer.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <optional>

#include "apps/inference/device.h"
#include "apps/inference/nbest_list.h"
#include "apps/inference/pair_scorer.h"
#include "apps/inference/text_encoder.h"
#include "apps/inference/translation_printer.h"
#include "core/base/io.h"
#include "core/base/text_output.h"
#include "data/parallel_reader.h"

namespace bough {
namespace {

/// The pairs of the input, as text: lines of two files (or fields of one), or hypotheses of an n-best list
/// with the source lines they belong to.
class PairReader {
 public:
  explicit PairReader(const ModelScorerOptions& options) {
    const auto& files = options.corpus.train_sets;
    if (!options.n_best) {
      pairs_.emplace(options.corpus);
      return;
    }
    check(files.size() == 2, "train-sets: {} file{} given, must be two with n-best: source and n-best list",
          files.size(), files.size() == 1 ? "" : "s");
    LineReader sources(files[0]);
    for (std::string line; sources.next(line);) sources_.push_back(line);
    list_.emplace(files[1]);
  }

  /// False at the end. `list_line` gets the n-best list's line.
  bool next(std::string& source, std::string& target, std::string& list_line) {
    if (pairs_) return pairs_->next(source, target);
    if (!list_->next(list_line)) return false;
    const NBestLine line = parse_nbest_line(list_line, list_->path(), list_->line_number());
    check(line.number < int64_t(sources_.size()),
          "'{}' line {}: sentence {}, but the source has {} lines (counted from 0). Give the source that the "
          "list was made from",
          list_->path(), list_->line_number(), line.number, sources_.size());
    source = sources_[size_t(line.number)];
    source_number_ = line.number + 1;
    target = line.text;
    return true;
  }
  /// See LineReader::stop.
  void stop() { pairs_ ? pairs_->stop() : list_->stop(); }
  int64_t line_number() const { return pairs_ ? pairs_->line_number() : list_->line_number(); }
  int64_t source_line_number() const { return pairs_ ? pairs_->line_number() : source_number_; }

 private:
  std::optional<ParallelReader> pairs_;
  std::optional<LineReader> list_;
  std::vector<std::string> sources_;
  int64_t source_number_ = 0;  // of an n-best list's line
};

/// What --summary sums up.
struct Totals {
  double log_probability = 0;
  int64_t tokens = 0, sentences = 0;

  double summary(ScoreSummary kind) const {
    const double per_token = -log_probability / double(std::max<int64_t>(tokens, 1));
    if (sentences == 0) return kind == ScoreSummary::perplexity ? 1 : 0;  // not -0
    if (kind == ScoreSummary::ce_sum) return -log_probability;
    if (kind == ScoreSummary::ce_mean_words) return per_token;
    if (kind == ScoreSummary::perplexity) return std::exp(per_token);
    return -log_probability / double(std::max<int64_t>(sentences, 1));
  }
};

class Scoring {
 public:
  explicit Scoring(const ModelScorerOptions& options)
      : options_(options),
        loaded_(load_ensembles(options.models, options.weights, options.vocabulary.paths,
                               make_backends(options.machine), options.machine.gemm_precision)),
        reader_(options),
        alignment_(AlignmentFormat::parse(options.alignment)),
        output_(options.output) {
    const int64_t longest = std::min<int64_t>(options.corpus.max_length, loaded_.ensemble().longest_sentence());
    for (size_t side = 0; side < 2; ++side)
      encoders_.emplace_back("'" + file_of_side(options.corpus, side) + "'", loaded_.vocabularies()[side], longest,
                             options.vocabulary.no_spm_encode, options.corpus.max_length_crop);
  }

  void run() {
    const std::vector<EnsembleOnDevice> devices = loaded_.on_devices();
    WorkerBackends workers(backends_of(devices), cpu_thread_count(options_.machine));
    std::vector<std::shared_ptr<void>> kept;
    for (const auto& [ensemble, backend] : devices)
      kept.push_back(backend->keep_weights(ensemble.weights(false, true)));
    PairScorer{devices, workers, options_.batch, int64_t(workspace_bytes(options_.machine)), bool(alignment_)}.run(
        [this] { return read_window(); }, [this](PairScores&& scores) { write(scores); }, [this] { reader_.stop(); });
    if (options_.summary != ScoreSummary::none)
      output_.write(fmt::format("{:.6g}\n", totals_.summary(options_.summary)));
    output_.close();
  }

 private:
  std::vector<ScoredPair> read_window() {
    const size_t most = size_t(options_.batch.mini_batch) * size_t(options_.batch.maxi_batch);
    std::vector<ScoredPair> window;
    for (std::string source, target, line; window.size() < most && reader_.next(source, target, line);) {
      ScoredPair pair{encoders_[0].encode(source, reader_.source_line_number()),
                      encoders_[1].encode(target, reader_.line_number())};
      if (loaded_.ensemble().right_left()) std::reverse(pair.target.begin(), pair.target.end());
      window.push_back(std::move(pair));
      if (!options_.n_best) continue;
      const std::lock_guard lock(list_mutex_);
      list_lines_.push_back(line);
    }
    return window;
  }

  void write(PairScores& pair) {
    TokenScores& scores = pair.tokens;
    const double sum = std::accumulate(scores.begin(), scores.end(), 0.0);
    totals_.log_probability += sum;
    totals_.tokens += int64_t(scores.size());
    ++totals_.sentences;
    if (options_.summary != ScoreSummary::none) return;
    const double score = options_.normalize ? sum / double(scores.size()) : sum;
    const bool right_left = loaded_.ensemble().right_left();
    std::string alignment;
    if (alignment_) alignment = format_alignment(in_reading_order(std::move(pair.alignment), right_left), alignment_);
    if (options_.n_best) {
      output_.write(with_feature(next_list_line(), options_.n_best_feature, score, alignment) + "\n");
      return;
    }
    output_.write(fmt::format(
        "{:.6f}{}{}\n", score, alignment_ ? " ||| " + alignment : "",
        options_.word_scores ? " ||| " + format_word_scores(in_reading_order(std::move(scores), right_left)) : ""));
  }

  std::string next_list_line() {
    const std::lock_guard lock(list_mutex_);
    std::string line = std::move(list_lines_.front());
    list_lines_.pop_front();
    return line;
  }

  const ModelScorerOptions& options_;
  LoadedEnsembles loaded_;
  PairReader reader_;
  AlignmentFormat alignment_;
  TextOutput output_;
  std::vector<TextEncoder> encoders_;
  std::mutex list_mutex_;  // reading and writing go on at once
  std::deque<std::string> list_lines_;
  Totals totals_;
};

}  // namespace

void run_model_scorer(const ModelScorerOptions& options) { Scoring(options).run(); }

}  // namespace bough
