#include "cuda/cuda_backend.h"

#include <algorithm>
#include <utility>

namespace bough {
namespace {

using cuda::check_cuda;

/// "13.0" of 13000.
std::string format_version(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

}  // namespace

int require_cuda_devices() {
  int count = 0, driver = 0, runtime = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (status == cudaErrorInsufficientDriver) {
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    check(driver > 0, "cuda: no NVIDIA driver is installed. Install one, or leave out `devices` to use the CPU.");
    fail(
        "cuda: the NVIDIA driver supports CUDA {}, must be {} or later. Update the driver, or leave out `devices` "
        "to use the CPU.",
        format_version(driver), format_version(runtime));
  }
  check(status != cudaErrorNoDevice && !(status == cudaSuccess && count == 0),
        "cuda: the NVIDIA driver finds no GPU. Check `nvidia-smi` and CUDA_VISIBLE_DEVICES, or leave out "
        "`devices` to use the CPU.");
  check_cuda(status, "looking for devices");
  return count;
}

namespace {

constexpr size_t smallest_scratch = size_t{1} << 20;
using cuda::memory_advice;

/// Selects the device for this thread, if it can be used.
cudaDeviceProp select_device(int id) {
  const int count = require_cuda_devices();
  check(id >= 0 && id < count, "cuda: device {} does not exist, must be 0 to {}: this machine has {}", id, count - 1,
        count);
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, id), "reading the device's properties");
  check(properties.major >= 8,
        "cuda: device {} ({}) has compute capability {}.{}, must be 8.0 or later. Choose another with `devices`, or "
        "set cpu-threads to use the CPU.",
        id, properties.name, properties.major, properties.minor);
  check_cuda(cudaSetDevice(id), "selecting the device");
  return properties;
}

}  // namespace

CudaDevice find_cuda_device(int id) {
  const cudaDeviceProp properties = select_device(id);
  CudaDevice device{.name = properties.name, .multiprocessors = properties.multiProcessorCount};
  check_cuda(cudaMemGetInfo(&device.free_bytes, &device.total_bytes), "reading the free memory");
  return device;
}

CudaBackend::CudaBackend(const CudaOptions& options) : options_(options), graphs_(size_t(options.graph_limit)) {
  check(options.compute_dtype == DType::f32 || options.compute_dtype == DType::bf16,
        "cuda: the compute type is {}, must be float32 or bfloat16", name_of(options.compute_dtype));
  const cudaDeviceProp properties = select_device(options.device);
  multiprocessors_ = properties.multiProcessorCount;

  owned_streams_ = {cuda::make_stream(), cuda::make_stream(), cuda::make_stream()};
  stream_ = {owned_streams_[0].get(), options.debug_sync};
  beside_ = {owned_streams_[1].get(), options.debug_sync};
  aside_ = {owned_streams_[2].get(), options.debug_sync};
  forked_ = cuda::make_event();
  joined_ = cuda::make_event();
  finished_ = cuda::make_event();
  aside_done_ = cuda::make_event();
  gemms_ = std::make_unique<cuda::Gemms>(stream_, cuda::Gemms::Options{.device_name = properties.name,
                                                                       .allow_tf32 = options.allow_tf32,
                                                                       .autotune = options.autotune,
                                                                       .workspace_bytes = options.workspace_bytes});
  staging_ = std::make_unique<cuda::Staging>(stream_, waits_);
  // A kernel that cannot start says so here rather than after the memory was filled.
  cuda::fill_random(stream_, scratch_bytes(smallest_scratch), 256, DType::f32);
  if (options.arena_bytes > 0) arena_.reserve(options.arena_bytes);
}

CudaBackend::~CudaBackend() {
  cudaStreamSynchronize(aside_.handle);
  cudaStreamSynchronize(beside_.handle);  // an error here has nowhere to go
  cudaStreamSynchronize(stream_.handle);
}

Tensor CudaBackend::allocate_outside(Shape shape, DType dtype) {
  const size_t bytes = std::max<size_t>(size_t(shape.elements()) * size_of(dtype), 1);
  auto memory = cuda::allocate_device(bytes, "parameters and optimizer state", memory_advice);
  std::byte* const data = memory.get();
  return {std::move(memory), data, shape, dtype};
}

std::byte* CudaBackend::arena_memory(size_t offset, size_t bytes) { return arena_.at(offset, bytes); }

std::byte* CudaBackend::scratch_bytes(size_t bytes) {
  if (scratch_.empty() || bytes > scratch_size_) {
    scratch_size_ = std::max({bytes, 2 * scratch_size_, smallest_scratch});
    scratch_.push_back(cuda::allocate_device(scratch_size_, "partial sums", memory_advice));
  }
  return scratch_.back().get();
}

const cuda::Stream& CudaBackend::fork() {
  check_cuda(cudaEventRecord(forked_.get(), stream().handle), "recording an event");
  check_cuda(cudaStreamWaitEvent(beside_.handle, forked_.get(), 0), "forking a stream");
  beside_is_busy_ = true;
  return beside_;
}

void CudaBackend::join() {
  check_cuda(cudaEventRecord(joined_.get(), beside_.handle), "recording an event");
  check_cuda(cudaStreamWaitEvent(stream_.handle, joined_.get(), 0), "joining a stream");
  beside_is_busy_ = false;
}

void CudaBackend::gemm_impl(const Grad& c, In a, In b, const Gemm& gemm) {
  const bool is_weight_gradient = gemm.transpose_a && !gemm.transpose_b;
  // Reading the same gradient of the output tells that this is the other half of one derivative.
  const bool may_run_beside = beside_is_busy_ && !gemm.transpose_a && a.data<void>() == beside_reads_;
  const bool does_all = !c || gemms_->does_all(c, a, b, gemm);
  Gemm product = gemm;
  if (!does_all && gemm.row_sums) {
    column_sum_impl(gemm.row_sums, a);  // before the fork, which it would end
    product.row_sums = {};
  }
  if (!does_all && gemm.relu) product.bias = {}, product.relu = false;
  if (is_weight_gradient) {
    gemms_->multiply(c, a, b, product, fork());
    beside_reads_ = a.data<void>();
  } else {
    gemms_->multiply(c, a, b, product, may_run_beside ? stream_ : stream());
  }
  if (!does_all && gemm.relu) bias_activation_dropout_impl(c.tensor, c.tensor, gemm.bias, Activation::relu, {});
}

void CudaBackend::repeat(const std::string& key, const std::function<void()>& work, Keep keep) {
  graphs_.run(
      stream(), key,
      [&] {
        work();
        stream();  // a forked stream must join before the record ends
      },
      keep, flops);
}

void CudaBackend::mark(int number) {
  while (marks_.size() <= size_t(number)) marks_.push_back(cuda::make_event());
  const cudaStream_t work = stream().handle;
  cudaStreamCaptureStatus status{};
  check_cuda(cudaStreamIsCapturing(work, &status), "asking for a record");
  // In a graph, every launch is to record it for streams that are not in the graph.
  const unsigned flags = status == cudaStreamCaptureStatusNone ? cudaEventRecordDefault : cudaEventRecordExternal;
  check_cuda(cudaEventRecordWithFlags(marks_[size_t(number)].get(), work, flags), "recording an event");
}

void CudaBackend::start_aside(int number, const std::function<void()>& work) {
  stream();
  check_cuda(cudaStreamWaitEvent(aside_.handle, marks_.at(size_t(number)).get(), 0), "waiting for an event");
  struct Aside {
    CudaBackend& backend;
    explicit Aside(CudaBackend& b) : backend(b) { std::swap(backend.stream_, backend.aside_); }
    ~Aside() { std::swap(backend.stream_, backend.aside_); }
  } const aside(*this);
  work();
}

void CudaBackend::wait_aside() {
  check_cuda(cudaEventRecord(aside_done_.get(), aside_.handle), "recording an event");
  check_cuda(cudaStreamWaitEvent(stream().handle, aside_done_.get(), 0), "waiting for an event");
}

void CudaBackend::upload(Out destination, const void* source) {
  stream();
  staging_->upload(destination.data<std::byte>(), source, destination.bytes());
}

void CudaBackend::download(void* destination, In source) {
  stream();
  staging_->download(destination, source.data<std::byte>(), source.bytes());
}

std::function<void(void*)> CudaBackend::start_download(In source) {
  stream();
  return staging_->start_download(source.data<std::byte>(), source.bytes());
}

void CudaBackend::use_on_this_thread() { check_cuda(cudaSetDevice(options_.device), "selecting the device"); }

void CudaBackend::synchronize() {
  check_cuda(cudaEventRecord(finished_.get(), stream().handle), "recording an event");
  waits_->for_event(finished_.get(), "waiting for the device");
}

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options) {
  return std::make_unique<CudaBackend>(options);
}

int cuda_device_count() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  return status == cudaSuccess ? count : 0;
}

}  // namespace bough
