// The emulator itself: each class of error that a GPU passes over in silence is planted once and must be
// caught; and what is right must pass, in every order of threads, blocks and streams.
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "cuda/graph.h"
#include "cuda/launch.h"
#include "cuda/memory.h"
#include "test/catch.h"
#include "test/emulator/machine.h"
#include "test/throws.h"

using namespace bough;
using namespace bough::cuda;

namespace {

/// Puts the emulator's settings back.
struct Restore {
  emulator::Settings saved = emulator::settings();
  ~Restore() { emulator::settings() = saved; }
};

template <class T>
class Device {
 public:
  explicit Device(const std::vector<T>& values) : size_(values.size()), memory_(allocate_device(bytes(), "test", "")) {
    check_cuda(cudaMemcpyAsync(memory_.get(), values.data(), bytes(), cudaMemcpyHostToDevice, nullptr), "upload");
  }
  explicit Device(size_t n) : Device(std::vector<T>(n)) {}
  T* data() const { return reinterpret_cast<T*>(memory_.get()); }
  std::vector<T> read() const {
    std::vector<T> values(size_);
    check_cuda(cudaMemcpyAsync(values.data(), data(), bytes(), cudaMemcpyDeviceToHost, nullptr), "download");
    return values;
  }

 private:
  size_t bytes() const { return size_ * sizeof(T); }
  size_t size_;
  std::shared_ptr<std::byte> memory_;
};

const Stream stream;

template <class... P, class... A>
void run(void (*kernel)(P...), const LaunchShape& shape, A&&... arguments) {
  launch(stream, "test", kernel, shape, std::forward<A>(arguments)...);
  check_cuda(cudaDeviceSynchronize(), "waiting");
}

std::vector<float> numbers(size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = float(i % 97) - 48;
  return x;
}

__global__ void sum_kernel(float* y, const float* x, int n) {
  float sum = 0;
  for (int i = int(threadIdx.x); i < n; i += int(blockDim.x)) sum += x[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) y[blockIdx.x] = sum;
}

/// Each thread reads what its neighbour wrote to shared memory.
__global__ void neighbour_kernel(float* y, bool with_barrier) {
  __shared__ SharedArray<float, 64> values;
  const int i = int(threadIdx.x);
  values[i] = float(i);
  if (with_barrier) sync_block("the neighbour's value would be missing");
  y[i] = values[(i + 1) % 64];
}

__global__ void divergent_kernel(int kind) {
  if (kind == 0 && threadIdx.x < 7) sync_block("some threads only");
  if (kind == 1) threadIdx.x < 32 ? sync_block("here") : sync_block("there");
  if (kind == 2 && threadIdx.x < 7) shuffle(1.0f, 0);
  if (kind == 3) threadIdx.x < 7 ? void(ballot(true)) : void(shuffle(1.0f, 0));
}

__global__ void outside_kernel(float* y, int n) { y[n] = 1; }
__global__ void outside_shared_kernel(float* y) {
  __shared__ SharedArray<float, 32> values;
  values[int(threadIdx.x) + 1] = 1;
  y[threadIdx.x] = values[1];
}
__global__ void misaligned_kernel(float* y) { store_vector<4>(y + 1, Vector<float, 4>{}); }

/// y = x through background copies.
__global__ void copy_kernel(float* y, const float* x, bool waits, int rows) {
  auto* const tile = reinterpret_cast<float*>(dynamic_shared());
  const int at = 4 * int(threadIdx.x);
  copy_async(tile + at, x + at, int(threadIdx.x) < rows);
  commit_copies();
  if (waits) wait_copies<0>();
  for (int i = at; i < at + 4; ++i) y[i] = tile[i];
}

/// c (16, 8) = a (16, 16) b (16, 8), all row-major; `swapped`: with two registers of a exchanged.
__global__ void product_kernel(float* c, const bf16* a, const bf16* b, bool swapped) {
  auto* const tile_a = reinterpret_cast<bf16*>(dynamic_shared());
  bf16* const tile_b = tile_a + 256;
  for (int i = lane_id(); i < 256; i += warp_size) tile_a[i] = a[i];
  for (int i = lane_id(); i < 128; i += warp_size) tile_b[i] = b[i];
  sync_warp("tiles are incomplete");
  uint32_t fa[4], fb[4];
  load_matrices(fa, tile_a + (lane_id() % 16) * 16 + lane_id() / 16 * 8);
  load_matrices_transposed(fb, tile_b + (lane_id() % 16) * 8);
  if (swapped) {
    const uint32_t kept = fa[1];
    fa[1] = fa[2];
    fa[2] = kept;
  }
  float fc[4] = {};
  multiply_add(fc, fa, fb[0], fb[1]);
  const int row = lane_id() / 4, column = 2 * (lane_id() % 4);
  c[row * 8 + column] = fc[0];
  c[row * 8 + column + 1] = fc[1];
  c[(row + 8) * 8 + column] = fc[2];
  c[(row + 8) * 8 + column + 1] = fc[3];
}

__global__ void add_kernel(float* x, float value) { *x += value; }
__global__ void scale_kernel(float* x, float factor) { *x *= factor; }

/// Whether the message of what action() throws has all these parts.
template <class Action>
bool says(Action action, std::initializer_list<const char*> parts) {
  const std::string message = message_of(action);
  INFO(message);
  for (const char* part : parts)
    if (message.find(part) == std::string::npos) return false;
  return true;
}

/// Exit status of `body` in a child process.
template <class Body>
int status_of(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    if (!std::freopen("/dev/null", "w", stderr)) _exit(3);
    body();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("emulator: sums over blocks of any order", "[emulator]") {
  const Restore restore;
  emulator::settings().reverse_threads = GENERATE(false, true);
  emulator::settings().block_seed = GENERATE(0u, 1u, 2u);
  const int n = GENERATE(1, 31, 33, 1000);
  const std::vector<float> x = numbers(size_t(n));
  const float expected = std::accumulate(x.begin(), x.end(), 0.0f);  // small integers: exact
  const Device<float> dx(x), dy(5);
  run(sum_kernel, {5, 256}, dy.data(), dx.data(), n);
  for (const float y : dy.read()) CHECK(y == expected);
}

TEST_CASE("emulator: shared memory read without a barrier is NaN", "[emulator]") {
  const Device<float> y(64);
  run(neighbour_kernel, {2, 64}, y.data(), true);
  CHECK(y.read()[62] == 63);
  run(neighbour_kernel, {2, 64}, y.data(), false);
  CHECK(std::isnan(y.read()[62]));
}

TEST_CASE("emulator: divergent barriers and warps are errors", "[emulator]") {
  CHECK(says([&] { run(divergent_kernel, {1, 64}, 0); }, {"divergent barrier", "some threads only"}));
  CHECK(says([&] { run(divergent_kernel, {1, 64}, 1); }, {"here", "there"}));
  CHECK(says([&] { run(divergent_kernel, {1, 64}, 2); }, {"shuffle", "has left the kernel"}));
  CHECK(says([&] { run(divergent_kernel, {1, 64}, 3); }, {"divergent warp"}));
  run(divergent_kernel, {1, 64}, 4);
}

TEST_CASE("emulator: accesses outside and misaligned ones are errors", "[emulator]") {
  const Device<float> y(32);
  CHECK(says([&] { run(outside_shared_kernel, {1, 32}, y.data()); }, {"element 32 of an array of 32"}));
  CHECK(says([&] { run(misaligned_kernel, {1, 32}, y.data()); }, {"not aligned to 16"}));
  const int outside = status_of([&] { run(outside_kernel, {1, 32}, y.data(), 32); });
#if defined(__SANITIZE_ADDRESS__)
  CHECK(outside != 0);
#else
  (void)outside;  // global memory is guarded by AddressSanitizer alone (preset asan)
#endif
}

TEST_CASE("emulator: background copies arrive when waited for", "[emulator]") {
  const std::vector<float> x = numbers(128);
  const Device<float> dx(x), dy(128);
  run(copy_kernel, {1, 32, 512}, dy.data(), dx.data(), true, 32);
  CHECK(dy.read() == x);
  run(copy_kernel, {1, 32, 512}, dy.data(), dx.data(), true, 31);
  CHECK(dy.read()[123] == x[123]);
  CHECK(dy.read()[124] == 0);
  run(copy_kernel, {1, 32, 512}, dy.data(), dx.data(), false, 32);
  CHECK(std::isnan(dy.read()[0]));
}

TEST_CASE("emulator: the tensor core's fragments are the manual's", "[emulator]") {
  std::vector<bf16> a(256), b(128);
  std::vector<float> expected(128), wide_a(256), wide_b(128);
  for (size_t i = 0; i < 256; ++i) a[i] = to_bf16(wide_a[i] = float(int(i * 7 % 31) - 15));
  for (size_t i = 0; i < 128; ++i) b[i] = to_bf16(wide_b[i] = float(int(i * 5 % 23) - 11));
  for (size_t r = 0; r < 16; ++r)
    for (size_t c = 0; c < 8; ++c)
      for (size_t k = 0; k < 16; ++k) expected[r * 8 + c] += wide_a[r * 16 + k] * wide_b[k * 8 + c];
  const Device<bf16> da(a), db(b);
  const Device<float> dc(128);
  run(product_kernel, {1, 32, 768}, dc.data(), da.data(), db.data(), false);
  CHECK(dc.read() == expected);
  run(product_kernel, {1, 32, 768}, dc.data(), da.data(), db.data(), true);
  CHECK(dc.read() != expected);
}

TEST_CASE("emulator: launches that hardware refuses", "[emulator]") {
  const Device<float> y(128);
  CHECK(says([&] { launch(stream, "wide", outside_kernel, {1, 2048}, y.data(), 0); }, {"kernel wide failed"}));
  CHECK(says(
      [&] {
        launch(stream, "hungry", copy_kernel, {1, 32, 300 * 1024}, y.data(), y.data(), true, 32);
      },
      {"hungry needs 307200 bytes"}));
  run(copy_kernel, {1, 32, 100 * 1024}, y.data(), y.data(), true, 32);  // allowed by launch()
}

TEST_CASE("emulator: what is not waited for has not happened", "[emulator]") {
  const Restore restore;
  emulator::settings().eager = false;
  cudaStream_t other = nullptr;
  cudaEvent_t event = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), "stream");
  check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "event");
  const Device<float> x(1);
  check_cuda(cudaDeviceSynchronize(), "waiting");
  launch(stream, "add", add_kernel, {1, 32}, x.data(), 1.0f);
  CHECK(*x.data() == 0);
  check_cuda(cudaDeviceSynchronize(), "waiting");
  CHECK(*x.data() == 32);

  int both_orders = 0;
  for (uint64_t seed = 0; seed < 16; ++seed) {
    emulator::settings().stream_seed = seed * 1000;
    const Device<float> y(std::vector<float>{1});
    check_cuda(cudaDeviceSynchronize(), "waiting");
    launch(stream, "add", add_kernel, {1, 32}, y.data(), 1.0f);
    launch(Stream{other}, "scale", scale_kernel, {1, 32}, y.data(), 0.0f);
    both_orders |= y.read()[0] == 32 ? 1 : 2;
  }
  CHECK(both_orders == 3);  // without an event either may come first
  for (uint64_t seed = 0; seed < 16; ++seed) {
    emulator::settings().stream_seed = seed * 1000;
    const Device<float> y(std::vector<float>{1});
    launch(stream, "add", add_kernel, {1, 32}, y.data(), 1.0f);
    check_cuda(cudaEventRecord(event, nullptr), "record");
    check_cuda(cudaStreamWaitEvent(other, event, 0), "wait");
    launch(Stream{other}, "add", add_kernel, {1, 32}, y.data(), 1.0f);
    check_cuda(cudaStreamSynchronize(other), "waiting");
    CHECK(*y.data() == 65);
  }
  cudaEventDestroy(event);
  cudaStreamDestroy(other);
}

TEST_CASE("emulator: graphs replay with the arguments they were recorded with", "[emulator]") {
  cudaStream_t handle = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "stream");
  const Stream recorded{handle};
  const Device<float> x(1);
  check_cuda(cudaDeviceSynchronize(), "waiting");
  float value = 1;
  {
    const Graph graph(recorded, [&] { launch(recorded, "add", add_kernel, {1, 32}, x.data(), value); });
    CHECK(x.read()[0] == 0);  // recording runs nothing
    value = 100;
    graph.launch(recorded);
    graph.launch(recorded);
    check_cuda(cudaDeviceSynchronize(), "waiting");
    CHECK(x.read()[0] == 64);
  }
  const auto allocates = [&] { allocate_device(16, "test", ""); };
  CHECK(says([&] { const Graph graph(recorded, allocates); }, {"Capture"}));
  const auto waits = [&] { check_cuda(cudaStreamSynchronize(handle), "waiting"); };
  CHECK(says([&] { const Graph graph(recorded, waits); }, {"Capture"}));
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "event");
  const auto forks = [&] {
    check_cuda(cudaEventRecord(event, handle), "record");
    check_cuda(cudaStreamWaitEvent(nullptr, event, 0), "wait");
    launch(stream, "add", add_kernel, {1, 32}, x.data(), value);
  };
  CHECK(says([&] { const Graph graph(recorded, forks); }, {"Unjoined"}));
  cudaEventDestroy(event);
  cudaStreamDestroy(handle);
}
