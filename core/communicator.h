#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace bough {

/// A tensor on its way to another rank, or from it.
struct Message {
  int rank;
  Tensor tensor;
};

/// The processes, called ranks, that compute one run together. All of them make the same calls in the same order with
/// the same sizes; each call returns when this rank's part is done. One thread at a time.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;  ///< 0 .. size() - 1; rank 0 speaks for all
  virtual int size() const = 0;
  bool is_alone() const { return size() == 1; }
  bool is_first() const { return rank() == 0; }
  /// What carries the data: "MPI (Open MPI v4.1.4)"; empty for one process.
  virtual std::string engine() const = 0;

  /// Host memory: `bytes` bytes of every rank, in the order of ranks.
  virtual void all_gather(const void* mine, size_t bytes, void* all) = 0;
  /// Host memory: rank 0's content becomes everybody's.
  virtual void broadcast(void* data, size_t bytes) = 0;
  /// Tensors, of any number: what is sent goes to its ranks, what is received is overwritten with what those send here,
  /// in their order. Sizes agree on both ends; nothing overlaps.
  void all_to_all(const std::vector<Message>& received, const std::vector<Message>& sent) {
    start_all_to_all(received, sent)(true);
  }
  /// Starts that. What is returned tells whether this rank's part is done, if `waits` after waiting for it; until it
  /// has said so, the tensors belong to the exchange, and no other call is made.
  virtual std::function<bool(bool waits)> start_all_to_all(const std::vector<Message>& received,
                                                           const std::vector<Message>& sent) = 0;
  /// Ends all ranks at once for the reason `why`, which one of them or their parent says in the log: what has gone
  /// wrong on all alike, once. With the exit code `code` as far as their launcher lets it through.
  [[noreturn]] virtual void abort(int code, const std::string& why) = 0;

  template <class T>
  std::vector<T> all_gather(const T& mine) {
    std::vector<T> all(size_t(size()), mine);
    if (!is_alone()) all_gather(&mine, sizeof mine, all.data());
    return all;
  }
  /// Texts of any length.
  std::vector<std::string> all_gather(const std::string& mine);
  /// Rank 0's text.
  std::string broadcast(std::string text);
  /// values[i] = its sum over all ranks, in their order.
  void add_up(std::vector<double>& values);
  /// Returns when all ranks have come here.
  void barrier() { all_gather(char()); }
};

/// The communicator of a run of one process: does nothing.
Communicator& one_process();

/// The first of so many ranks that are not there, for plans on the null backend: nothing is exchanged.
std::unique_ptr<Communicator> imagined_ranks(int size);

/// What a launcher (mpirun, srun) says of this process in its environment.
struct LaunchedRank {
  int rank = 0, size = 1;
  std::string launcher;  ///< "mpirun" or "srun"; empty: there is none
};
/// From the variables of Open MPI (OMPI_COMM_WORLD_*), of MPICH and Intel MPI (PMI_*), of Slurm (of a step: an sbatch
/// script that starts no step is one process). Throws Error naming a variable whose value makes no sense.
LaunchedRank launched_rank();

/// Says for one of several processes why it ends. What is wrong on all of them the first says; the others wait for it
/// to end them.
void say_why_rank_ends(int rank, const std::string& why);

/// Connects to the other ranks that the launcher has started, by MPI; null where it has started this one alone. Throws
/// Error when bough was built without MPI, or with that of another launcher. Once in a program.
std::unique_ptr<Communicator> connect_ranks(const LaunchedRank& launched);

}  // namespace bough
