#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "core/cpu/backend.h"

namespace bough {
namespace {

/// The system takes back the whole pages of a tensor's memory, which are zeros from now on.
void give_back(const Tensor& tensor) {
  const auto page = uintptr_t(sysconf(_SC_PAGESIZE)), begin = reinterpret_cast<uintptr_t>(tensor.data<void>());
  const uintptr_t first = (begin + page - 1) / page * page, end = (begin + tensor.bytes()) / page * page;
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
}

}  // namespace

std::shared_ptr<void> CpuBackend::keep_weights(const std::vector<KeptWeight>& weights) {
  if (compute_dtype_ != DType::f32) return nullptr;
  struct Kept {
    std::shared_ptr<PackedWeights> packed;
    std::vector<std::pair<Tensor, bool>> weights;
    ~Kept() {
      for (const auto& [weight, is_listed] : weights) packed->remove(weight.data<void>(), is_listed);
    }
  };
  const auto kept = std::make_shared<Kept>();
  kept->packed = packed_weights_;
  for (const KeptWeight& w : weights) {
    const void* const place = w.weight.data<void>();
    KeptForm form{.n = w.weight.rows(), .k = w.weight.cols()};
    if (packed_weights_->find(place, form.n, form.k, w.is_listed)) continue;  // somebody else keeps them
    if (!w.int8.weight.empty())
      form.int8 =
          std::make_shared<Int8Weight>((w.is_listed ? pack_int8_rows : pack_int8_panels)(pool_, *int8_kernels_, w));
    else if (w.is_listed)
      continue;  // read as they lie
    else
      form.memory = pack_panels(w.weight, form.panels);
    packed_weights_->add(place, w.is_listed, std::move(form));
    if (w.memory_may_go) give_back(w.weight);
    kept->weights.emplace_back(w.weight, w.is_listed);
  }
  return kept;
}

}  // namespace bough
