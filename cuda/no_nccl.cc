// Builds for GPUs without NCCL, and emulated GPUs.
#include "cuda/factory.h"

namespace bough {

std::unique_ptr<Communicator> connect_gpus(Communicator& host, Backend&) {
  fail(
      "nccl: {} processes are to train on GPUs, but this bough was built without NCCL; install libnccl-dev, or what of "
      "your CUDA has nccl.h, and build bough again, or start one process",
      host.size());
}

}  // namespace bough
