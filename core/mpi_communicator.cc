// Ranks on one or many machines, their data in host memory: the only file that knows MPI.
#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/communicator.h"

namespace bough {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t message_bytes = size_t{1} << 28;  // MPI counts in int

std::string library_name() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string whole(text);
  return whole.substr(0, whole.find_first_of(",\n"));
}

/// Whether all requests are done: in such calls MPI does its work.
bool are_done(std::vector<MPI_Request>& requests) {
  int done = 0;
  MPI_Testall(int(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
  return done != 0;
}

/// Waits for all requests. MPI itself would keep a core busy; here a rank that waits for long, for a validation say,
/// sleeps between two looks.
void wait_for(std::vector<MPI_Request>& requests) {
  constexpr std::chrono::microseconds awake(20000), nap(200);
  const auto start = Clock::now();
  while (!are_done(requests)) {
    if (Clock::now() - start < awake)
      sched_yield();
    else
      std::this_thread::sleep_for(nap);
  }
}

class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator() {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  ~MpiCommunicator() override { MPI_Finalize(); }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string engine() const override { return "MPI (" + library_name() + ")"; }
  using Communicator::all_gather, Communicator::broadcast;

  void all_gather(const void* mine, size_t bytes, void* all) override {
    std::vector<MPI_Request> request(1);
    MPI_Iallgather(mine, small(bytes), MPI_BYTE, all, small(bytes), MPI_BYTE, MPI_COMM_WORLD, request.data());
    wait_for(request);
  }

  void broadcast(void* data, size_t bytes) override {
    std::vector<MPI_Request> request(1);
    MPI_Ibcast(data, small(bytes), MPI_BYTE, 0, MPI_COMM_WORLD, request.data());
    wait_for(request);
  }

  std::function<bool(bool)> start_all_to_all(const std::vector<Message>& received,
                                             const std::vector<Message>& sent) override {
    auto requests = std::make_shared<std::vector<MPI_Request>>();
    for (const Message& message : received)
      in_parts(message.tensor, [&](std::byte* data, int bytes) {
        MPI_Irecv(data, bytes, MPI_BYTE, message.rank, 0, MPI_COMM_WORLD, &requests->emplace_back());
      });
    for (const Message& message : sent)
      in_parts(message.tensor, [&](const std::byte* data, int bytes) {
        MPI_Isend(data, bytes, MPI_BYTE, message.rank, 0, MPI_COMM_WORLD, &requests->emplace_back());
      });
    return [requests](bool waits) {
      if (waits) wait_for(*requests);
      return waits || are_done(*requests);
    };
  }

  [[noreturn]] void abort(int code, const std::string& why) override {
    say_why_rank_ends(rank_, why);
    MPI_Abort(MPI_COMM_WORLD, code);
    std::_Exit(code);
  }

 private:
  static int small(size_t bytes) {
    check(bytes <= message_bytes, "mpi: {} bytes at once, must be at most {}: a defect of bough; please report", bytes,
          message_bytes);
    return int(bytes);
  }

  template <class Part>
  static void in_parts(const Tensor& tensor, const Part& part) {
    for (size_t at = 0, bytes = tensor.bytes(); at < bytes; at += message_bytes)
      part(tensor.data<std::byte>() + at, int(std::min(message_bytes, bytes - at)));
  }

  int rank_ = 0, size_ = 1;
};

}  // namespace

std::unique_ptr<Communicator> connect_ranks(const LaunchedRank& launched) {
  if (launched.size == 1) return nullptr;
  auto ranks = std::make_unique<MpiCommunicator>();
  check(ranks->size() == launched.size,
        "mpi: {} has started {} processes, but MPI sees {}: bough was built with {}, which that launcher does not "
        "speak with; use the mpirun of that library, srun with --mpi=pmix, or build bough with the launcher's MPI",
        launched.launcher, launched.size, ranks->size(), library_name());
  return ranks;
}

}  // namespace bough
