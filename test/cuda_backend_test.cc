// The CUDA backend without kernels: choosing a device, memory, copies. On the emulator also what a test
// machine cannot show: no driver, no device, too little memory.
#include <numeric>
#include <vector>

#include "core/base/random.h"
#include "cuda/factory.h"
#include "test/catch.h"
#include "test/skip.h"
#include "test/throws.h"
#if defined(BOUGH_EMULATOR)
#include "test/emulator/machine.h"
#endif

using namespace bough;

namespace {

bool says(const std::string& message, std::initializer_list<const char*> parts) {
  for (const char* part : parts)
    if (message.find(part) == std::string::npos) return false;
  return true;
}

std::vector<float> numbers(size_t n, float first) {
  std::vector<float> x(n);
  std::iota(x.begin(), x.end(), first);
  return x;
}

}  // namespace

TEST_CASE("cuda backend: copies of every size arrive", "[cuda]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const auto b = make_cuda_backend({.compute_dtype = DType::f32});
  // A staging buffer holds 8 MiB: below, at and beyond one and two.
  for (const size_t n : {size_t{1}, size_t{1000}, size_t{2} << 20, (size_t{2} << 20) + 1, size_t{5} << 20}) {
    const Tensor t = b->allocate_persistent({int64_t(n)}, DType::f32);
    std::vector<float> x = numbers(n, 1), y(n);
    b->upload(t, x.data());
    std::fill(x.begin(), x.end(), 0.0f);  // an upload has read its source when it returns
    b->download(y.data(), t);
    CHECK(y == numbers(n, 1));
  }
  // Many small ones share a buffer.
  std::vector<Tensor> tensors;
  for (int i = 0; i < 300; ++i) {
    tensors.push_back(b->allocate_persistent({20000}, DType::f32));
    b->upload(tensors.back(), numbers(20000, float(i)).data());
  }
  std::vector<float> y(20000);
  for (int i = 0; i < 300; ++i) {
    b->download(y.data(), tensors[size_t(i)]);
    REQUIRE(y == numbers(20000, float(i)));
  }
}

TEST_CASE("cuda backend: arena memory is apart, also when it grows", "[cuda]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const auto b = make_cuda_backend({.compute_dtype = DType::f32, .arena_bytes = size_t{1} << 20});
  RandomStream random(1);
  std::vector<std::pair<Tensor, float>> live;
  for (int step = 0; step < 400; ++step) {
    if (live.size() > 12) live.erase(live.begin() + int64_t(random.below(live.size())));
    const int64_t n = int64_t(random.below(400000)) + 1;
    live.emplace_back(b->allocate({n}), float(step));
    b->upload(live.back().first, std::vector<float>(size_t(n), float(step)).data());
    const auto& [tensor, value] = live[random.below(live.size())];
    std::vector<float> content(size_t(tensor.size()));
    b->download(content.data(), tensor);
    for (const float v : content)
      if (v != value) FAIL("step " << step << ": " << v << " instead of " << value);
  }
}

TEST_CASE("cuda backend: wrong devices and types are refused in a sentence", "[cuda]") {
  const int devices = cuda_device_count();
  if (skips(devices == 0, "no GPU")) return;
  CHECK(says(message_of([&] { make_cuda_backend({.device = devices}); }),
             {"cuda: device", "does not exist, must be 0 to"}));
  CHECK(says(message_of([] { make_cuda_backend({.compute_dtype = DType::f64}); }), {"must be float32 or bfloat16"}));
}

#if defined(BOUGH_EMULATOR)
TEST_CASE("cuda backend: machines without a usable GPU", "[cuda][emulator]") {
  const emulator::Settings saved = emulator::settings();
  const auto message = [] { return message_of([] { make_cuda_backend({}); }); };
  emulator::settings().driver_error = 35;
  CHECK(cuda_device_count() == 0);
  CHECK(says(message(), {"cuda: the NVIDIA driver supports CUDA 12.2, must be 13.0 or later"}));
  emulator::settings().driver_version = 0;
  CHECK(says(message(), {"cuda: no NVIDIA driver is installed"}));
  emulator::settings() = saved;
  emulator::settings().devices = 0;
  CHECK(says(message(), {"cuda: the NVIDIA driver finds no GPU"}));
  emulator::settings() = saved;
  emulator::settings().capability = 7;
  CHECK(says(message(), {"compute capability 7.0, must be 8.0 or later"}));
  emulator::settings() = saved;
  emulator::settings().memory = size_t{1} << 30;
  CHECK(says(message_of([] { make_cuda_backend({.arena_bytes = size_t{3} << 30}); }),
             {"cuda: activations need 3.0 GiB in one piece, but", "of the device's 1.0 GiB are free", "mini-batch"}));
  emulator::settings() = saved;
}
#endif
