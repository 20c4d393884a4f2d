// bough-kernel-speed: how fast the kernels of core/kernels.def run on a GPU. One JSON object a line on stdout.
//   bough-kernel-speed probe [--toy] [--device N]             the device, its copy bandwidth and large product
//   bough-kernel-speed run   [--toy] [--device N] [KERNEL...] a line a row: seconds of a call, bytes, FLOPs
//   bough-kernel-speed list                                   kernel and variant of every row
//   bough-kernel-speed device [--device N]                    what the device is
// A row's calls are recorded as one graph that goes round buffers which do not fit the L2 cache together, and timed
// by replaying it: the launch overhead of a training step, and no data left in the cache by the call before.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cuda/factory.h"
#include "experiments/speed/kernel_rows.h"
#include "experiments/speed/probes.h"
#include "experiments/speed/program.h"

namespace {

using namespace bough;
using namespace bough::speed;

struct Options {
  std::string command;
  bool is_toy = false;
  int device = 0;
  std::vector<std::string> kernels;
};

Options parse(int argc, char** argv) {
  check(argc >= 2, "kernel_speed: no command given, must be probe, run, list or device");
  Options options{.command = argv[1]};
  for (int i = 2; i < argc; ++i) {
    if (std::strcmp(argv[i], "--toy") == 0)
      options.is_toy = true;
    else if (std::strcmp(argv[i], "--device") == 0 && i + 1 < argc)
      options.device = std::stoi(argv[++i]);
    else
      options.kernels.push_back(argv[i]);
  }
  return options;
}

void check_cuda(cudaError_t status) {
  check(status == cudaSuccess, "kernel_speed: CUDA says: {}", cudaGetErrorString(status));
}

/// Bytes read and written a second by the runtime's own copy, which is no kernel of ours.
double copy_rate(Backend& backend, int64_t bytes, int repeats) {
  const Tensor from = backend.allocate_persistent({bytes / 4}, DType::f32),
               to = backend.allocate_persistent({bytes / 4}, DType::f32);
  fill_random(backend, from);
  const auto copies = [&] {
    for (int i = 0; i < repeats; ++i)
      check_cuda(cudaMemcpyAsync(to.data<void>(), from.data<void>(), from.bytes(), cudaMemcpyDeviceToDevice, nullptr));
    check_cuda(cudaDeviceSynchronize());
  };
  copies();
  return 2.0 * double(from.bytes()) * repeats / median_seconds(backend, 3, copies);
}

/// `more`: further members of the object.
void print_device(const Options& options, const std::string& more) {
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, options.device));
  std::printf("{\"device\": \"%s\", \"capability\": \"%d.%d\", \"multiprocessors\": %d, \"l2_bytes\": %d%s}\n",
              properties.name, properties.major, properties.minor, properties.multiProcessorCount,
              properties.l2CacheSize, more.c_str());
}

void print_probe(Backend& backend, const Options& options) {
  const double copy = options.is_toy ? copy_rate(backend, 1 << 16, 2) : copy_rate(backend, int64_t{1} << 30, 10);
  const double product = options.is_toy ? gemm_rate(backend, 32, 1) : gemm_rate(backend, 8192, 10);
  print_device(options,
               fmt::format(", \"copy_bytes_per_second\": {:.6g}, \"gemm_flops_per_second\": {:.6g}", copy, product));
}

/// Seconds of one call, median of several replays.
double seconds_per_call(Backend& backend, const std::string& key, const std::vector<Call>& calls, bool is_toy) {
  const auto once = [&] {
    for (const Call& call : calls) call.run();
  };
  once();
  const double estimate = median_seconds(backend, is_toy ? 1 : 3, once) / double(calls.size());
  constexpr double sample_seconds = 0.01;
  const int rounds = is_toy ? 1 : int(std::clamp(sample_seconds / (estimate * double(calls.size())), 1.0, 64.0));
  const auto all = [&] {
    backend.repeat(key, [&] {
      for (int i = 0; i < rounds; ++i) once();
    });
  };
  all();  // as it is
  all();  // recorded
  return median_seconds(backend, is_toy ? 1 : 7, all) / (rounds * double(calls.size()));
}

/// Buffers for as many calls as it takes to fill the L2 twice over.
std::vector<Call> make_calls(Buffers& buffers, const KernelRow& row, bool is_toy) {
  const double enough = is_toy ? 0 : double(int64_t{512} << 20);
  constexpr size_t fewest = 2, most = 256;
  std::vector<Call> calls;
  for (double bytes = 0; calls.size() < fewest || (bytes < enough && calls.size() < most);) {
    buffers.take_bytes();
    calls.push_back(row.make(buffers));
    bytes += buffers.take_bytes();
  }
  return calls;
}

void run_row(Buffers& buffers, const KernelRow& row, bool is_toy) {
  Backend& backend = buffers.backend;
  const int64_t before = backend.calls[row.kernel];
  const std::vector<Call> calls = make_calls(buffers, row, is_toy);
  const double seconds = seconds_per_call(backend, row.kernel + "/" + row.variant, calls, is_toy);
  check(backend.calls[row.kernel] > before, "kernel_speed: the row {} / {} does not call its kernel", row.kernel,
        row.variant);
  std::printf(
      "{\"kernel\": \"%s\", \"variant\": \"%s\", \"seconds\": %.6g, \"bytes\": %.0f, \"flops\": %.0f, "
      "\"buffers\": %zu}\n",
      row.kernel.c_str(), row.variant.c_str(), seconds, calls[0].bytes, calls[0].flops, calls.size());
  std::fflush(stdout);
}

void run_rows(const std::vector<KernelRow>& rows, const Options& options) {
  const auto is_wanted = [&](const KernelRow& row) {
    return options.kernels.empty() ||
           std::find(options.kernels.begin(), options.kernels.end(), row.kernel) != options.kernels.end();
  };
  for (const std::string& name : options.kernels)
    check(std::find(std::begin(kernel_names), std::end(kernel_names), name) != std::end(kernel_names),
          "kernel_speed: '{}' is not a kernel; `bough-kernel-speed list` prints them", name);
  // A fresh backend a row: its buffers and graphs go with it.
  for (const KernelRow& row : rows) {
    if (!is_wanted(row)) continue;
    const auto backend = make_cuda_backend({.device = options.device, .autotune = !options.is_toy});
    Buffers buffers(*backend, options.is_toy ? toy_sizes : Sizes());
    run_row(buffers, row, options.is_toy);
  }
}

int run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const std::vector<KernelRow> rows = kernel_rows();
  if (options.command == "list") {
    for (const KernelRow& row : rows) std::printf("%s / %s\n", row.kernel.c_str(), row.variant.c_str());
  } else if (options.command == "probe") {
    print_probe(*make_cuda_backend({.device = options.device, .autotune = !options.is_toy}), options);
  } else if (options.command == "device") {
    make_cuda_backend({.device = options.device});  // says in a sentence why it cannot be used
    print_device(options, "");
  } else {
    check(options.command == "run", "kernel_speed: '{}' is no command, must be probe, run, list or device",
          options.command);
    run_rows(rows, options);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return bough::speed::run_program("bough-kernel-speed", run, argc, argv); }
