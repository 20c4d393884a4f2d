// Which device the options choose, and what is said when it cannot be used. The emulator shows machines that a
// test machine is not.
#include "apps/inference/device.h"

#include "cuda/factory.h"
#include "test/catch.h"
#include "test/throws.h"
#if defined(BOUGH_EMULATOR)
#include "test/emulator/machine.h"
#endif

using namespace bough;

namespace {

MachineOptions options(std::vector<int> devices, int cpu_threads, std::vector<ComputeType> precision = {}) {
  MachineOptions o;
  o.devices.ids = std::move(devices);
  o.cpu_threads = cpu_threads;
  o.precision = std::move(precision);
  return o;
}

std::string error(const MachineOptions& o) {
  return message_of([&] { make_backend(o); });
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("cpu-threads chooses the CPU, in float32 only", "[device]") {
  const auto cpu = make_backend(options({}, 1));
  CHECK(cpu->name() == "cpu");
  CHECK(cpu->compute_dtype() == DType::f32);
  CHECK(has(error(options({}, 1, {ComputeType::bfloat16})), "precision: bfloat16 needs a GPU"));
  CHECK(has(error(options({}, 1, {ComputeType::tf32})), "precision: tf32 needs a GPU"));
  MachineOptions debug = options({}, 1);
  debug.debug_sync = true;
  CHECK(has(error(debug), "debug-sync is for GPUs"));
  CHECK(!plans_for_gpu(options({}, 1)));
}

TEST_CASE("cpu-level chooses instructions that the machine has", "[device]") {
  MachineOptions o = options({}, 1);
  CHECK(choose_device(o).cpu_level == cpu_levels().back());
  for (const CpuLevel level : {CpuLevel::generic, CpuLevel::avx2, CpuLevel::avx512}) {
    o.cpu_level = level;
    const auto& levels = cpu_levels();
    if (std::find(levels.begin(), levels.end(), level) != levels.end())
      CHECK(make_backend(o)->name() == "cpu");
    else
      CHECK(has(error(o), fmt::format("cpu-level: {} is asked for, this machine lacks it", name_of(level))));
  }
}

#if defined(BOUGH_EMULATOR)
namespace {

/// Another machine, for the time of the object.
struct Machine {
  emulator::Settings saved = emulator::settings();
  ~Machine() { emulator::settings() = saved; }
};

}  // namespace

TEST_CASE("a GPU is used where there is one", "[device][emulator]") {
  const Machine machine;
  const auto gpu = make_backend(options({}, 0));
  CHECK(gpu->name() == "cuda");
  CHECK(gpu->compute_dtype() == DType::bf16);
  CHECK(make_backend(options({}, 0, {ComputeType::float32}))->compute_dtype() == DType::f32);
  CHECK(make_backend(options({}, 0, {ComputeType::tf32}))->compute_dtype() == DType::f32);
  CHECK(planned_type(options({}, 0)) == DType::bf16);
  // tf32 is another way to multiply: its plans are not those of float32.
  CHECK(has(make_backend(options({}, 0, {ComputeType::tf32}))->plans(), "| tf32"));
  CHECK(choose_device(options({0}, 0)).is_gpu);
  MachineOptions int8 = options({0}, 0);
  int8.gemm_precision = GemmPrecision::int8;
  CHECK(choose_device(int8).dtype() == DType::bf16);

  emulator::settings().devices = 0;
  CHECK(make_backend(options({}, 0))->name() == "cpu");
  CHECK(planned_type(options({}, 0)) == DType::f32);
  // A plan for a GPU can be made where none is.
  CHECK(planned_type(options({0}, 0)) == DType::bf16);
  CHECK(planned_type(options({}, 0, {ComputeType::bfloat16})) == DType::bf16);
}

TEST_CASE("a GPU that cannot be used is an error in one sentence", "[device][emulator]") {
  const Machine machine;
  CHECK(has(error(options({3}, 0)), "cuda: device 3 does not exist, must be 0 to 0"));
  emulator::settings().capability = 7;
  CHECK(has(error(options({}, 0)), "compute capability 7.0, must be 8.0 or later"));
  CHECK(has(error(options({}, 0)), "cpu-threads"));
  emulator::settings() = machine.saved;
  emulator::settings().has_kernel_image = false;  // a bundle for other GPUs
  emulator::settings().capability = 8;
  CHECK(has(error(options({0}, 0)),
            "cuda: device 0 (emulated device) has compute capability 8.0, but this bough was built "
            "for emulation. Build it with -DBOUGH_CUDA_ARCHITECTURES=80"));
  CHECK(has(error(options({0}, 0)), "cpu-threads"));
  emulator::settings() = machine.saved;
  emulator::settings().devices = 0;
  CHECK(has(error(options({0}, 0)), "finds no GPU"));
  CHECK(has(error(options({}, 0, {ComputeType::bfloat16})), "precision: bfloat16 needs a GPU"));
  emulator::settings() = machine.saved;
  emulator::settings().driver_error = 35;
  emulator::settings().driver_version = 0;
  CHECK(has(error(options({0}, 0)), "no NVIDIA driver"));
  CHECK(make_backend(options({}, 0))->name() == "cpu");
}

TEST_CASE("a negative workspace is what that leaves of the device's memory", "[device][emulator]") {
  const Machine machine;
  emulator::settings().memory = size_t{8} << 30;
  MachineOptions o = options({}, 0);
  o.workspace = -1024;
  CHECK(workspace_bytes(o) == size_t{7} << 30);
  o.workspace = -9000;
  CHECK(has(message_of([&] { workspace_bytes(o); }), "of the 8192 MiB"));
}
#endif
