#include "experiments/speed/probes.h"

#include <algorithm>
#include <bit>
#include <chrono>

#include "core/base/random.h"

namespace bough::speed {

void fill_random(Backend& backend, Out tensor) {
  const DType dtype = tensor.dtype();
  check(dtype == DType::f32 || dtype == DType::bf16, "fill_random: the tensor is {}, must be f32 or bf16",
        name_of(dtype));
  static const std::vector<float> numbers = [] {
    RandomStream random(1);
    std::vector<float> list(1 << 20);
    for (float& x : list) x = float(2 * random.uniform() - 1);
    return list;
  }();
  static const std::vector<uint16_t> narrow = [] {
    std::vector<uint16_t> list;
    for (const float x : numbers) list.push_back(uint16_t(std::bit_cast<uint32_t>(x) >> 16));
    return list;
  }();
  const void* source = dtype == DType::f32 ? static_cast<const void*>(numbers.data()) : narrow.data();
  const int64_t block = int64_t(numbers.size());
  for (int64_t first = 0; first < tensor.size(); first += block)
    backend.upload(tensor.view(first, {std::min(block, tensor.size() - first)}), source);
}

double median_seconds(Backend& backend, int samples, const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int i = 0; i < samples; ++i) {
    backend.synchronize();
    const auto start = std::chrono::steady_clock::now();
    work();
    backend.synchronize();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + samples / 2, seconds.end());
  return seconds[size_t(samples / 2)];
}

double gemm_rate(Backend& backend, int64_t n, int repeats) {
  const DType dtype = backend.compute_dtype();
  const Tensor a = backend.allocate_persistent({n, n}, dtype), b = backend.allocate_persistent({n, n}, dtype),
               c = backend.allocate_persistent({n, n}, dtype);
  fill_random(backend, a);
  fill_random(backend, b);
  const auto products = [&] {
    for (int i = 0; i < repeats; ++i) backend.gemm(write_to(c), a, b, Gemm{.transpose_b = true});
  };
  products();
  return repeats * 2.0 * double(n) * double(n) * double(n) / median_seconds(backend, 3, products);
}

}  // namespace bough::speed
