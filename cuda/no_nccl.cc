// Builds for GPUs without NCCL.
#include "cuda/factory.h"

namespace bough {

void require_nccl(int processes) {
  fail(
      "nccl: {} processes are to train on GPUs, but this bough was built without NCCL; install libnccl-dev, or what of "
      "your CUDA has nccl.h, and build bough again, or start one process",
      processes);
}

std::unique_ptr<Communicator> connect_gpus(Communicator& host, Backend&) {
  require_nccl(host.size());
  return nullptr;
}

}  // namespace bough
