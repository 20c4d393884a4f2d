#include "apps/inference/speed_log.h"

#include "core/base/log.h"

namespace bough {

void SpeedLog::Counts::add(int64_t more_sentences, int64_t more_tokens) {
  ++batches;
  sentences += more_sentences;
  tokens += more_tokens;
}

void SpeedLog::note(int64_t sentences, int64_t source_tokens) {
  if (every_ == 0) return;
  const std::lock_guard lock(mutex_);
  all_.add(sentences, source_tokens);
  last_.add(sentences, source_tokens);
  if (all_.batches % every_ != 0) return;
  write("since last", last_);
  last_ = {};
}

void SpeedLog::finish() {
  if (every_ > 0) write("total", all_);
}

void SpeedLog::write(const char* of_what, const Counts& counts) const {
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const double seconds = seconds_since(counts.since);
  log::info(
      "Processed {} batches, {} lines, {} source tokens in {:.2f}s - Speed ({}): {:.2f} batches/s - {:.2f} lines/s - "
      "{:.2f} tokens/s",
      all_.batches, all_.sentences, all_.tokens, seconds_since(all_.since), of_what, double(counts.batches) / seconds,
      double(counts.sentences) / seconds, double(counts.tokens) / seconds);
}

}  // namespace bough
