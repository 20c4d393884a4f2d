#include "core/communicator.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "core/base/log.h"

namespace bough {
namespace {

constexpr size_t most_bytes_at_once = size_t{1} << 22;  // of a text: rooms for all ranks' pieces stay small

/// The first of so many ranks, which hears nothing of the others.
class FirstRankAlone : public Communicator {
 public:
  explicit FirstRankAlone(int size) : size_(size) {}
  int rank() const override { return 0; }
  int size() const override { return size_; }
  std::string engine() const override { return {}; }
  using Communicator::all_gather, Communicator::broadcast;
  void all_gather(const void* mine, size_t bytes, void* all) override { std::memcpy(all, mine, bytes); }
  void broadcast(void*, size_t) override {}
  std::function<bool(bool)> start_all_to_all(const std::vector<Message>&, const std::vector<Message>&) override {
    return [](bool) { return true; };
  }
  [[noreturn]] void abort(int code, const std::string& why) override {
    say_why_rank_ends(0, why);
    std::_Exit(code);
  }

 private:
  int size_;
};

/// The variables of one kind of launcher.
struct Variables {
  const char* launcher;
  const char* rank;
  const char* size;
};
constexpr Variables known[] = {{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                               {"mpirun", "PMI_RANK", "PMI_SIZE"},
                               {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}};

int number_in(const char* name, int least, int most) {
  const std::string_view text = std::getenv(name);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size() && value >= least && value <= most,
        "mpi: the environment has {}={}, must be a number from {} to {}, as mpirun and srun set it; unset it to train "
        "in one process",
        name, text, least, most);
  return value;
}

}  // namespace

std::vector<std::string> Communicator::all_gather(const std::string& mine) {
  const std::vector<size_t> sizes = all_gather(mine.size());
  const size_t longest = *std::max_element(sizes.begin(), sizes.end());
  std::vector<std::string> texts(sizes.size());
  std::string all;
  for (size_t at = 0; at < longest; at += most_bytes_at_once) {
    const size_t piece = std::min(longest - at, most_bytes_at_once);
    std::string padded = at < mine.size() ? mine.substr(at, piece) : std::string();
    padded.resize(piece);
    all.resize(piece * sizes.size());
    all_gather(padded.data(), piece, all.data());
    for (size_t r = 0; r < sizes.size(); ++r)
      if (at < sizes[r]) texts[r].append(all, r * piece, std::min(piece, sizes[r] - at));
  }
  return texts;
}

void Communicator::add_up(std::vector<double>& values) {
  if (is_alone()) return;
  const size_t n = values.size();
  std::vector<double> all(n * size_t(size()));
  all_gather(values.data(), n * sizeof(double), all.data());
  for (size_t i = 0; i < n; ++i) {
    values[i] = all[i];
    for (size_t at = n + i; at < all.size(); at += n) values[i] += all[at];
  }
}

std::string Communicator::broadcast(std::string text) {
  size_t bytes = text.size();
  broadcast(&bytes, sizeof bytes);
  text.resize(bytes);
  for (size_t at = 0; at < bytes; at += most_bytes_at_once)
    broadcast(text.data() + at, std::min(bytes - at, most_bytes_at_once));
  return text;
}

Communicator& one_process() {
  static FirstRankAlone alone(1);
  return alone;
}

std::unique_ptr<Communicator> imagined_ranks(int size) { return std::make_unique<FirstRankAlone>(size); }

void say_why_rank_ends(int rank, const std::string& why) {
  if (rank > 0) std::this_thread::sleep_for(std::chrono::seconds(2));
  log::error("Error: {}{}", rank > 0 ? fmt::format("rank {}: ", rank) : "", why);
}

LaunchedRank launched_rank() {
  constexpr int most_ranks = 1 << 20;
  for (const Variables& v : known) {
    if (!std::getenv(v.rank) || !std::getenv(v.size)) continue;
    const int size = number_in(v.size, 1, most_ranks);
    return {number_in(v.rank, 0, size - 1), size, v.launcher};
  }
  return {};
}

}  // namespace bough
