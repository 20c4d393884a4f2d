// Tensors between the GPUs of a run: the only file that knows NCCL.
#include <nccl.h>

#include <cstdlib>
#include <exception>
#include <utility>

#include "cuda/cuda_backend.h"

namespace bough {
namespace {

void check_nccl(ncclResult_t status, const char* what) {
  check(status == ncclSuccess, "nccl: {} failed: {}; NCCL_DEBUG=INFO in the environment makes it say more", what,
        ncclGetErrorString(status));
}

/// Messages in host memory go the way they came; tensors follow the backend's stream, and what is called returns before
/// they have arrived.
class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(Communicator& host, CudaBackend& backend) : host_(host), backend_(backend) {
    ncclUniqueId id{};
    if (host.is_first()) check_nccl(ncclGetUniqueId(&id), "making an id");
    host.broadcast(&id, sizeof id);
    check_nccl(ncclCommInitRank(&communicator_, host.size(), id, host.rank()), "connecting the GPUs");
    // A broken connection is told nowhere else: its kernels wait for the other rank.
    backend.watch_waits([this] { check_connection(); });
  }
  ~NcclCommunicator() override {
    backend_.watch_waits(nullptr);
    if (std::uncaught_exceptions() > 0) break_off();  // the others may never come to an orderly end
    backend_.forget_records();
    if (communicator_) ncclCommDestroy(communicator_);
  }

  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }
  std::string engine() const override { return host_.engine() + ", NCCL"; }
  void all_gather(const void* mine, size_t bytes, void* all) override { host_.all_gather(mine, bytes, all); }
  void broadcast(void* data, size_t bytes) override { host_.broadcast(data, bytes); }

  std::function<bool(bool)> start_all_to_all(const std::vector<Message>& received,
                                             const std::vector<Message>& sent) override {
    cudaStream_t stream = backend_.stream().handle;
    check_nccl(ncclGroupStart(), "an exchange");
    for (const auto& [rank, x] : sent)
      check_nccl(ncclSend(x.data<void>(), x.bytes(), ncclChar, rank, communicator_, stream), "sending");
    for (const auto& [rank, x] : received)
      check_nccl(ncclRecv(x.data<void>(), x.bytes(), ncclChar, rank, communicator_, stream), "receiving");
    check_nccl(ncclGroupEnd(), "an exchange");
    return [](bool) { return true; };
  }

  [[noreturn]] void abort(int code, const std::string& why) override {
    backend_.watch_waits(nullptr);
    break_off();
    host_.abort(code, why);
    std::_Exit(code);  // nvcc does not see that it never comes here
  }

 private:
  void check_connection() {
    if (!communicator_) return;
    ncclResult_t state = ncclSuccess;
    check_nccl(ncclCommGetAsyncError(communicator_, &state), "asking for errors");
    if (state == ncclSuccess) return;
    break_off();  // the error frees memory on its way up, which waits for the kernels
    check_nccl(state, "an exchange with another GPU");
  }

  /// Ends the communicator and its kernels. NCCL, asked to end one in this or the orderly way, first waits until no
  /// graph has an exchange of it, for ever if need be.
  void break_off() {
    backend_.forget_records();
    if (communicator_) ncclCommAbort(std::exchange(communicator_, nullptr));
  }

  Communicator& host_;
  CudaBackend& backend_;
  ncclComm_t communicator_ = nullptr;
};

}  // namespace

void require_nccl(int) {}

std::unique_ptr<Communicator> connect_gpus(Communicator& host, Backend& backend) {
  return std::make_unique<NcclCommunicator>(host, dynamic_cast<CudaBackend&>(backend));
}

}  // namespace bough
