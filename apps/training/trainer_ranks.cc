// What a trainer has to settle with the other ranks of its run.
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <map>

#include "apps/inference/device.h"
#include "apps/training/trainer.h"
#include "core/base/log.h"
#include "core/base/settings_reader.h"
#include "core/base/signals.h"
#include "core/base/version.h"
#include "data/corpus.h"

namespace bough {
namespace {

std::string machine_name() {
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "?";
}

/// Throws Error naming the first rank whose text is not the first rank's, and its first line that differs.
void check_alike(Communicator& ranks, const std::string& text, const char* what, const char* advice) {
  const std::vector<std::string> all = ranks.all_gather(text);
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    const auto at = std::mismatch(all[0].begin(), all[0].end(), all[rank].begin(), all[rank].end());
    const auto line_at = [](const std::string& whole, size_t place) {
      const size_t begin = place == 0 ? 0 : whole.rfind('\n', place - 1) + 1;
      return whole.substr(begin, whole.find('\n', begin) - begin);
    };
    const size_t place = size_t(at.first - all[0].begin());
    fail("train: {} of rank {} differs from that of rank 0 ('{}', not '{}'), must be the same on all ranks; {}", what,
         rank, line_at(all[rank], place), line_at(all[0], place), advice);
  }
}

}  // namespace

/// One seed, the same program and options everywhere, and a GPU for each. Says who takes part.
void Trainer::meet_ranks() {
  if (ranks_.is_alone()) return;
  check_alike(ranks_, build_info(), "the program", "start one build of bough on all machines");
  ranks_.broadcast(&options_.general.seed, sizeof options_.general.seed);
  check_alike(ranks_, format_yaml(dump(options_)), "an option",
              "give all ranks the same command line and configuration files");
  const std::string once = find_read_once(options_.validation.valid_sets);
  check(once.empty(), "valid-sets: '{}' can be read only once, and all {} processes read it; save it to a file", once,
        ranks_.size());
  bool is_dealt = !find_read_once(files_of(options_.corpus)).empty();
  ranks_.broadcast(&is_dealt, sizeof is_dealt);
  if (is_dealt) deal_ = std::make_shared<WindowDeal>(!ranks_.is_first());
  const std::vector<std::string> machines = ranks_.all_gather(machine_name());
  std::map<std::string, int> sizes;
  int local_rank = 0, local_ranks = 0;
  for (int r = 0; r < ranks_.size(); ++r) {
    if (r == ranks_.rank()) local_rank = sizes[machines[size_t(r)]];
    local_ranks = std::max(local_ranks, ++sizes[machines[size_t(r)]]);
  }
  machine_ = machine_of_rank(options_.machine, local_rank, local_ranks);
  std::vector<std::string_view> names;
  for (const auto& [name, size] : sizes) names.push_back(name);
  log::info("[train] {} processes on {} machine{} ({}), {}{}", ranks_.size(), names.size(),
            names.size() == 1 ? "" : "s", fmt::join(names, ", "), ranks_.engine(),
            plans_for_gpu(machine_) ? ", NCCL" : "");
}

void Trainer::check_same_text() {
  std::string text = fmt::format("training text {:016x}", data_->state().corpus);
  for (const auto& vocabulary : vocabularies_)
    text += fmt::format("\n{} with {} entries", vocabulary->path(), vocabulary->size());
  check_alike(ranks_, text, "the text or a vocabulary", "let all ranks read the same files");
}

int64_t Trainer::least_of_ranks(int64_t value) {
  const std::vector<int64_t> all = ranks_.all_gather(value);
  return *std::min_element(all.begin(), all.end());
}

bool Trainer::any_of_ranks(bool value) {
  const std::vector<int> all = ranks_.all_gather(int(value));
  return std::ranges::find(all, 1) != all.end();
}

/// Whether every rank has batches and none has caught a signal, as all of them see it.
bool Trainer::all_go_on(const UpdateBatches& batches) {
  bool go_on = true;
  for (const RankWord& word : ranks_.all_gather(RankWord{caught_signal(), batches.sentences > 0, false})) {
    if (signal_ == 0) signal_ = word.signal;
    go_on = go_on && word.signal == 0 && word.has_batches;
  }
  return go_on;
}

/// After something that the first rank does alone.
void Trainer::take_first_ranks_state() {
  if (ranks_.is_alone()) return;
  const std::string text = ranks_.broadcast(ranks_.is_first() ? format_yaml(state_.to_yaml()) : "");
  if (ranks_.is_first()) return;
  state_ = TrainingState::from_yaml(parse_yaml(text, "rank 0"), "rank 0");
}

}  // namespace bough
