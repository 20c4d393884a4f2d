#include "apps/inference/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/interrupt.h"
#include "core/base/special_ids.h"

namespace bough {
namespace {

/// The beam of one sentence.
class SentenceBeam {
 public:
  SentenceBeam(int32_t sentence, int64_t limit, int32_t end, std::span<const int32_t> prefix,
               const DecodingOptions& options)
      : sentence_(sentence), end_(end), limit_(limit), prefix_(prefix), options_(options) {
    living_.push_back({-1, 0, {sentence * options.beam_size}});
  }

  void add_rows(StepRows& rows) const;
  /// Takes the model's answers for the rows that add_rows gave, the first of them in row `first`.
  void advance(const StepScores& scores, size_t first);
  bool is_done() const;
  size_t living() const { return living_.size(); }
  std::vector<Hypothesis> results();

 private:
  /// A token of a hypothesis; hypotheses share their beginnings.
  struct Node {
    int32_t parent;  // -1: the first token
    int32_t token;
    double score;  // its own log-probability
  };
  struct Living {
    int32_t node;  // -1 before the first token
    double log_probability;
    std::vector<int32_t> slots;  // of every step; the last is its own
  };
  struct Finished {
    int32_t node;  // the last token before the end
    double end_score, log_probability, score;
  };
  struct Candidate {
    double log_probability, score;
    size_t parent;  // index into living_
    int32_t token;
  };

  int64_t beam() const { return options_.beam_size; }
  int32_t forced_token() const {
    if (length_ < int64_t(prefix_.size())) return prefix_[size_t(length_)];
    return length_ + 1 >= limit_ ? end_ : -1;
  }
  std::vector<Candidate> candidates(const StepScores& scores, size_t first) const;
  void finish(const Candidate& candidate);
  void live_on(const std::vector<Candidate>& chosen);
  Hypothesis trace(const Finished& finished) const;

  int32_t sentence_, end_;
  int64_t limit_, length_ = 0;  // tokens of every living hypothesis
  std::span<const int32_t> prefix_;
  DecodingOptions options_;
  std::vector<Node> nodes_;
  std::vector<Living> living_;
  std::vector<Finished> finished_;
};

void SentenceBeam::add_rows(StepRows& rows) const {
  for (const Living& h : living_) {
    rows.ids.push_back(h.node < 0 ? start_id : nodes_[size_t(h.node)].token);
    rows.steps.push_back(int32_t(length_));
    rows.slots.push_back(h.slots.back());
    rows.sentences.push_back(sentence_);
    rows.forced.push_back(forced_token());
    rows.ancestry.insert(rows.ancestry.end(), h.slots.begin(), h.slots.end());
  }
  rows.length = length_ + 1;  // all sentences begin together
  rows.has_forced = rows.has_forced || forced_token() >= 0;
}

/// All continuations that the model offers, best first; equal ones in the order of their parents.
std::vector<SentenceBeam::Candidate> SentenceBeam::candidates(const StepScores& scores, size_t first) const {
  std::vector<Candidate> all;
  const auto add = [&](size_t parent, double score, int32_t token) {
    const double sum = living_[parent].log_probability + score;
    if (sum > -std::numeric_limits<double>::infinity()) all.push_back({sum, score, parent, token});
  };
  for (size_t i = 0; i < living_.size(); ++i) {
    if (forced_token() >= 0) {
      add(i, scores.forced_scores[first + i], forced_token());
      continue;
    }
    for (size_t c = (first + i) * size_t(scores.k); c < (first + i + 1) * size_t(scores.k); ++c)
      add(i, scores.scores[c], scores.ids[c]);
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Candidate& a, const Candidate& b) { return a.log_probability > b.log_probability; });
  return all;
}

void SentenceBeam::advance(const StepScores& scores, size_t first) {
  const auto offered = candidates(scores, first);
  std::vector<Candidate> chosen;
  for (size_t i = 0; i < offered.size() && i < size_t(2 * beam()); ++i) {
    if (offered[i].token != end_)
      chosen.push_back(offered[i]);
    else if (i < size_t(beam()))
      finish(offered[i]);
    if (chosen.size() == size_t(beam())) break;
  }
  ++length_;
  live_on(chosen);
}

void SentenceBeam::finish(const Candidate& c) {
  finished_.push_back(
      {living_[c.parent].node, c.score, c.log_probability, hypothesis_score(c.log_probability, length_ + 1, options_)});
}

void SentenceBeam::live_on(const std::vector<Candidate>& chosen) {
  std::vector<Living> next;
  for (const Candidate& c : chosen) {
    const Living& parent = living_[c.parent];
    nodes_.push_back({parent.node, c.token, c.score});
    next.push_back({int32_t(nodes_.size()) - 1, c.log_probability, parent.slots});
    next.back().slots.push_back(int32_t(sentence_ * beam() + int64_t(next.size()) - 1));
  }
  living_ = std::move(next);
}

bool SentenceBeam::is_done() const {
  if (living_.empty()) return true;
  // Whoever follows the best word alone has come to the end; scores, which may be logits, have no say.
  if (beam() == 1 && !finished_.empty()) return true;
  if (int64_t(finished_.size()) < beam()) return false;
  double best = -std::numeric_limits<double>::infinity();
  for (const Finished& f : finished_) best = std::max(best, f.score);
  // Living hypotheses are sorted by log-probability and of equal length: the first scores best.
  return hypothesis_score(living_.front().log_probability, length_, options_) <= best;
}

Hypothesis SentenceBeam::trace(const Finished& f) const {
  Hypothesis h;
  h.word_scores.push_back(f.end_score);
  for (int32_t n = f.node; n >= 0; n = nodes_[size_t(n)].parent) {
    h.tokens.push_back(nodes_[size_t(n)].token);
    h.word_scores.push_back(nodes_[size_t(n)].score);
  }
  std::reverse(h.tokens.begin(), h.tokens.end());
  std::reverse(h.word_scores.begin(), h.word_scores.end());
  h.log_probability = f.log_probability;
  h.score = f.score;
  return h;
}

std::vector<Hypothesis> SentenceBeam::results() {
  std::stable_sort(finished_.begin(), finished_.end(),
                   [](const Finished& a, const Finished& b) { return a.score > b.score; });
  if (int64_t(finished_.size()) > beam()) finished_.resize(size_t(beam()));
  std::vector<Hypothesis> best;
  for (const Finished& f : finished_) best.push_back(trace(f));
  return best;
}

}  // namespace

double hypothesis_score(double log_probability, int64_t length, const DecodingOptions& options) {
  const double penalised = log_probability - options.word_penalty * double(length);
  return options.normalize == 0 ? penalised : penalised / std::pow(double(length), options.normalize);
}

int64_t length_limit(int64_t source_tokens, const DecodingOptions& options) {
  constexpr double most = 1 << 30;
  return std::max<int64_t>(1, int64_t(std::min(most, options.max_length_factor * double(source_tokens))));
}

std::vector<std::vector<Hypothesis>> beam_search(StepModel& model, std::span<const int64_t> limits,
                                                 const DecodingOptions& options,
                                                 std::span<const std::vector<int32_t>> prefixes) {
  std::vector<SentenceBeam> beams;
  std::vector<size_t> unfinished;
  for (size_t s = 0; s < limits.size(); ++s) {
    const std::span<const int32_t> prefix = prefixes.empty() ? std::span<const int32_t>() : prefixes[s];
    beams.emplace_back(int32_t(s), limits[s], model.end_of_sentence(), prefix, options);
    unfinished.push_back(s);
  }
  StepScores scores;
  while (!unfinished.empty()) {
    stop_if_interrupted();
    StepRows rows;
    for (size_t s : unfinished) beams[s].add_rows(rows);
    model.step(rows, 2 * int64_t(options.beam_size), scores);
    size_t row = 0;
    for (size_t s : unfinished) {
      const size_t first = row;
      row += beams[s].living();
      beams[s].advance(scores, first);
    }
    std::erase_if(unfinished, [&](size_t s) { return beams[s].is_done(); });
  }
  std::vector<std::vector<Hypothesis>> results;
  for (SentenceBeam& beam : beams) results.push_back(beam.results());
  return results;
}

}  // namespace bough
