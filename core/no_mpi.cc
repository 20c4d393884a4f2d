// Builds without MPI: one process is all there is.
#include "core/communicator.h"

namespace bough {

std::unique_ptr<Communicator> connect_ranks(const LaunchedRank& launched) {
  check(launched.size == 1,
        "mpi: {} has started {} processes, but this bough was built without MPI; install an MPI library "
        "(libopenmpi-dev and openmpi-bin, or your cluster's) and build bough again, or start one process",
        launched.launcher, launched.size);
  return nullptr;
}

}  // namespace bough
