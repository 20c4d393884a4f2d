// The fake CUDA runtime: memory, streams, events, graphs. Work is queued and runs when somebody waits, in an
// order drawn among the streams that may go on, so that code which forgets to wait reads old values.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/random.h"
#include "machine.h"

using bough::emulator::settings;

namespace {

struct Flag {
  bool is_set = false;
  double time = 0;
};

struct Operation {
  std::function<void()> run;
  std::shared_ptr<Flag> wait;  // goes on when set; null: at once
};

}  // namespace

struct EmulatedGraphNode {
  std::function<void()> run;
  std::set<size_t> after;
  cudaEvent_t external = nullptr;  // that it records, in place of run
};
struct EmulatedGraph {
  std::vector<EmulatedGraphNode> nodes;
  bool is_sending = false;  // to other processes
};
struct EmulatedGraphExec {
  EmulatedGraph graph;
};
namespace {
struct Capture {
  EmulatedGraph graph;
  bool is_valid = true;
};
}  // namespace
struct EmulatedStream {
  int device = 0;
  std::deque<Operation> queue;
  std::shared_ptr<Capture> capture;
  bool is_origin = false;
  std::set<size_t> captured;  // nodes that the next one comes after
};
struct EmulatedEvent {
  int device = 0;
  std::shared_ptr<Flag> flag;
  std::shared_ptr<Capture> capture;
  std::set<size_t> captured;
};

namespace {

struct Area {
  size_t bytes;
  int device;
};
using Areas = std::map<std::byte*, Area>;

struct Runtime {
  Areas device_memory, pinned_memory;
  std::vector<EmulatedStream*> streams;
  std::map<const void*, size_t> shared_limits;
  std::map<int, size_t> allocated;  // of a device
  cudaError_t last_error = cudaSuccess;
  int captures = 0;
  uint64_t draws = 0;
};
Runtime& runtime() {
  static Runtime r;
  return r;
}
thread_local int current_device = 0;

/// Threads take turns: what is queued runs on the one that waits.
[[nodiscard]] std::unique_lock<std::recursive_mutex> turn() {
  static std::recursive_mutex mutex;
  return std::unique_lock(mutex);
}

cudaError_t result(cudaError_t error) {
  if (error != cudaSuccess) runtime().last_error = error;
  return error;
}

EmulatedStream& stream_of(cudaStream_t stream) {
  static EmulatedStream* const null_stream = [] {
    static EmulatedStream s;
    runtime().streams.push_back(&s);
    return &s;
  }();
  return stream ? *stream : *null_stream;
}

/// Runs one operation of a stream that can go on; false when there is none.
bool step() {
  std::vector<EmulatedStream*> ready;
  for (EmulatedStream* s : runtime().streams)
    if (!s->queue.empty() && (!s->queue.front().wait || s->queue.front().wait->is_set)) ready.push_back(s);
  if (ready.empty()) return false;
  const uint64_t draw = bough::mix_bits(settings().stream_seed + ++runtime().draws);
  EmulatedStream& s = *ready[draw % ready.size()];
  Operation operation = std::move(s.queue.front());
  s.queue.pop_front();
  bough::emulator::clock_us += 1;
  try {
    if (operation.run) operation.run();
  } catch (...) {  // the device is lost: nothing that was queued will run
    for (EmulatedStream* each : runtime().streams) each->queue.clear();
    throw;
  }
  return true;
}

template <class Done>
void drain_until(Done done) {
  while (!done()) bough::check(step(), "emulator: streams wait for one another, or for an event nobody records");
}
void drain_all() {
  while (step()) {
  }
  for (EmulatedStream* s : runtime().streams)
    bough::check(s->queue.empty(), "emulator: a stream waits for an event that never comes");
}
/// For functions that CUDA calls from destructors.
cudaError_t drain_quietly() {
  try {
    drain_all();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
  }
  return cudaSuccess;
}

void enqueue(cudaStream_t handle, std::function<void()> run) {
  EmulatedStream& s = stream_of(handle);
  if (s.capture) {
    s.capture->graph.nodes.push_back({std::move(run), s.captured});
    s.captured = {s.capture->graph.nodes.size() - 1};
    return;
  }
  s.queue.push_back({std::move(run), nullptr});
  if (settings().eager) drain_all();
}

/// What a capturing thread must not do: invalidates every capture.
std::optional<cudaError_t> refuse_in_capture() {
  if (runtime().captures == 0) return {};
  for (EmulatedStream* s : runtime().streams)
    if (s->capture) s->capture->is_valid = false;
  return result(cudaErrorStreamCaptureUnsupported);
}

/// The area that holds all of it; null: none does.
const Area* area_of(const Areas& areas, const void* p, size_t bytes) {
  auto* const begin = static_cast<std::byte*>(const_cast<void*>(p));
  auto area = areas.upper_bound(begin);
  if (area == areas.begin()) return nullptr;
  --area;
  return begin + bytes <= area->first + area->second.bytes ? &area->second : nullptr;
}
bool lies_in(const Areas& areas, const void* p, size_t bytes) { return area_of(areas, p, bytes) != nullptr; }

cudaError_t allocate(Areas& areas, void** p, size_t bytes) {
  *p = nullptr;
  ++bough::emulator::counters().allocations;
  if (const auto refused = refuse_in_capture()) return *refused;
  if (bytes == 0) return cudaSuccess;
  if (posix_memalign(p, 256, bytes) != 0) return result(cudaErrorMemoryAllocation);
  if (&areas == &runtime().device_memory) std::memset(*p, 0xff, bytes);  // NaN
  areas[static_cast<std::byte*>(*p)] = {bytes, current_device};
  return cudaSuccess;
}
cudaError_t release(Areas& areas, void* p) {
  if (!p) return cudaSuccess;
  if (const auto refused = refuse_in_capture()) return *refused;
  const auto area = areas.find(static_cast<std::byte*>(p));
  if (area == areas.end()) return result(cudaErrorInvalidValue);
  drain_quietly();
  areas.erase(area);
  std::free(p);
  return cudaSuccess;
}

/// Runs every node after those it comes after, in an order that is drawn.
void run_graph(const std::vector<EmulatedGraphNode>& nodes) {
  std::vector<size_t> missing(nodes.size()), ready;
  std::vector<std::vector<size_t>> next(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    missing[i] = nodes[i].after.size();
    for (const size_t before : nodes[i].after) next[before].push_back(i);
    if (missing[i] == 0) ready.push_back(i);
  }
  while (!ready.empty()) {
    const uint64_t draw = bough::mix_bits(settings().stream_seed + ++runtime().draws);
    std::swap(ready[draw % ready.size()], ready.back());
    const size_t i = ready.back();
    ready.pop_back();
    nodes[i].run();
    for (const size_t n : next[i])
      if (--missing[n] == 0) ready.push_back(n);
  }
}

}  // namespace

double bough::emulator::clock_us = 0;

bough::emulator::Counters& bough::emulator::counters() {
  static Counters c;
  return c;
}
size_t bough::emulator::queued_operations() {
  size_t count = 0;
  for (const EmulatedStream* s : runtime().streams) count += s->queue.size();
  return count;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorNoKernelImageForDevice:
      return "cudaErrorNoKernelImageForDevice";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
    case cudaErrorStreamCaptureUnmatched:
      return "cudaErrorStreamCaptureUnmatched";
    case cudaErrorStreamCaptureUnjoined:
      return "cudaErrorStreamCaptureUnjoined";
  }
  return "unknown error";
}
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }
cudaError_t cudaGetLastError() {
  const auto mine = turn();
  return std::exchange(runtime().last_error, cudaSuccess);
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = settings().driver_error ? 0 : settings().devices;
  if (settings().driver_error) return result(cudaError_t(settings().driver_error));
  return settings().devices ? cudaSuccess : result(cudaErrorNoDevice);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= settings().devices) return result(cudaErrorInvalidDevice);
  *properties = {"emulated device", settings().memory, 227 * 1024, settings().capability, 0, 4, 60 << 20};
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= settings().devices) return result(cudaErrorInvalidDevice);
  current_device = device;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) { return *device = current_device, cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const auto mine = turn();
  *total = settings().memory;
  *free = *total - std::min(*total, runtime().allocated[current_device]);
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  return *version = settings().driver_error ? settings().driver_version : 13000, cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }

cudaError_t cudaMalloc(void** p, size_t bytes) {
  const auto mine = turn();
  size_t& allocated = runtime().allocated[current_device];
  if (allocated + bytes > settings().memory) return result(cudaErrorMemoryAllocation);
  const cudaError_t error = allocate(runtime().device_memory, p, bytes);
  if (error == cudaSuccess) allocated += bytes;
  return error;
}
cudaError_t cudaFree(void* p) {
  const auto mine = turn();
  if (bough::emulator::settings().hangs) std::fprintf(stderr, "emulator: cudaFree waits for work that never ends\n");
  const auto area = runtime().device_memory.find(static_cast<std::byte*>(p));
  const Area freed = area == runtime().device_memory.end() ? Area{} : area->second;
  const cudaError_t error = release(runtime().device_memory, p);
  if (error == cudaSuccess) runtime().allocated[freed.device] -= freed.bytes;
  return error;
}
cudaError_t cudaMallocHost(void** p, size_t bytes) {
  const auto mine = turn();
  return allocate(runtime().pinned_memory, p, bytes);
}
cudaError_t cudaFreeHost(void* p) {
  const auto mine = turn();
  return release(runtime().pinned_memory, p);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const auto mine = turn();
  if (bytes == 0) return cudaSuccess;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const Runtime& r = runtime();
  if (from_device && !lies_in(r.device_memory, from, bytes)) return result(cudaErrorInvalidValue);
  if (to_device && !lies_in(r.device_memory, to, bytes)) return result(cudaErrorInvalidValue);
  const bool is_capturing = stream_of(stream).capture != nullptr;
  if (!from_device && !is_capturing && !lies_in(r.pinned_memory, from, bytes)) {
    // Pageable memory is staged at once and may be reused.
    const auto* const begin = static_cast<const std::byte*>(from);
    enqueue(stream, [to, staged = std::vector<std::byte>(begin, begin + bytes)] {
      std::memcpy(to, staged.data(), staged.size());
    });
    return cudaSuccess;
  }
  enqueue(stream, [to, from, bytes] { std::memcpy(to, from, bytes); });
  if (!to_device && !is_capturing && !lies_in(r.pinned_memory, to, bytes)) return cudaStreamSynchronize(stream);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream) {
  const auto mine = turn();
  if (!lies_in(runtime().device_memory, p, bytes)) return result(cudaErrorInvalidValue);
  enqueue(stream, [p, value, bytes] { std::memset(p, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const auto mine = turn();
  *stream = new EmulatedStream{.device = current_device};
  runtime().streams.push_back(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const auto mine = turn();
  drain_quietly();
  std::erase(runtime().streams, stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const auto mine = turn();
  ++bough::emulator::counters().waits;
  if (const auto refused = refuse_in_capture()) return *refused;
  drain_until([&] { return stream_of(stream).queue.empty(); });
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() {
  const auto mine = turn();
  ++bough::emulator::counters().waits;
  if (const auto refused = refuse_in_capture()) return *refused;
  drain_all();
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  const auto mine = turn();
  *event = new EmulatedEvent{.device = current_device};
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
/// What records the event when it runs; those who wait for it from now on wait for that.
std::function<void()> flag_setter(cudaEvent_t event) {
  event->flag = std::make_shared<Flag>();
  return [flag = event->flag] {
    flag->is_set = true;
    flag->time = bough::emulator::clock_us;
  };
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const auto mine = turn();
  EmulatedStream& s = stream_of(stream);
  if (event->device != s.device) return result(cudaErrorInvalidResourceHandle);
  event->capture = s.capture;
  event->captured = s.captured;
  if (s.capture) return cudaSuccess;
  enqueue(stream, flag_setter(event));
  return cudaSuccess;
}
/// External: a node of the graph, whose every launch records the event for streams outside.
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  const auto mine = turn();
  EmulatedStream& s = stream_of(stream);
  if ((flags == cudaEventRecordExternal) != bool(s.capture)) return result(cudaErrorInvalidValue);
  if (!s.capture) return cudaEventRecord(event, stream);
  if (event->device != s.device) return result(cudaErrorInvalidResourceHandle);
  enqueue(stream, {});
  s.capture->graph.nodes.back().external = event;
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const auto mine = turn();
  ++bough::emulator::counters().waits;
  if (const auto refused = refuse_in_capture()) return *refused;
  if (event->flag) drain_until([&] { return event->flag->is_set; });
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  return bough::emulator::settings().hangs ? result(cudaErrorNotReady) : cudaEventSynchronize(event);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  const auto mine = turn();
  if (!begin->flag || !end->flag || !begin->flag->is_set || !end->flag->is_set) return result(cudaErrorNotReady);
  *milliseconds = float((end->flag->time - begin->flag->time) * 1e-3);
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const auto mine = turn();
  EmulatedStream& s = stream_of(stream);
  if (event->capture) {
    if (s.capture && s.capture != event->capture) return result(cudaErrorInvalidValue);
    s.capture = event->capture;  // the stream joins the capture
    s.captured.insert(event->captured.begin(), event->captured.end());
    return cudaSuccess;
  }
  if (s.capture) {  // outside work cannot be waited for
    s.capture->is_valid = false;
    return result(cudaErrorStreamCaptureUnsupported);
  }
  if (event->flag) s.queue.push_back({nullptr, event->flag});
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const auto mine = turn();
  EmulatedStream& s = stream_of(stream);
  if (s.capture) return result(cudaErrorInvalidValue);
  s.capture = std::make_shared<Capture>();
  s.is_origin = true;
  s.captured.clear();
  ++runtime().captures;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const auto mine = turn();
  EmulatedStream& origin = stream_of(stream);
  *graph = nullptr;
  if (!origin.capture || !origin.is_origin) return result(cudaErrorStreamCaptureUnmatched);
  const std::shared_ptr<Capture> capture = origin.capture;
  std::set<size_t> joined = origin.captured;  // nodes that the end of the origin comes after
  for (size_t i = capture->graph.nodes.size(); i-- > 0;)
    if (joined.count(i)) joined.insert(capture->graph.nodes[i].after.begin(), capture->graph.nodes[i].after.end());
  bool is_joined = joined.size() == capture->graph.nodes.size();
  for (EmulatedStream* s : runtime().streams) {
    if (s->capture != capture) continue;
    s->capture = nullptr;
    s->captured.clear();
    s->is_origin = false;
  }
  --runtime().captures;
  if (!capture->is_valid) return result(cudaErrorStreamCaptureInvalidated);
  if (!is_joined) return result(cudaErrorStreamCaptureUnjoined);
  *graph = new EmulatedGraph(capture->graph);
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const auto mine = turn();
  const EmulatedStream& s = stream_of(stream);
  *status = !s.capture            ? cudaStreamCaptureStatusNone
            : s.capture->is_valid ? cudaStreamCaptureStatusActive
                                  : cudaStreamCaptureStatusInvalidated;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  if (!graph) return result(cudaErrorInvalidValue);
  *exec = new EmulatedGraphExec{*graph};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  const auto mine = turn();
  if (!exec) return result(cudaErrorInvalidValue);
  const auto has_run = std::make_shared<bool>(false);
  std::vector<EmulatedGraphNode> launched = exec->graph.nodes;
  for (EmulatedGraphNode& node : launched)
    if (node.external) {
      ++bough::emulator::counters().external_events;
      node.run = flag_setter(node.external);
    }
  enqueue(stream, [nodes = std::move(launched), has_run] {
    run_graph(nodes);
    *has_run = true;
  });
  if (exec->graph.is_sending) drain_until([&] { return *has_run; });
  return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
  *count = graph->nodes.size();
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  const auto mine = turn();
  if (value > 227 * 1024) return result(cudaErrorInvalidValue);
  runtime().shared_limits[kernel] = size_t(value);
  return cudaSuccess;
}

cudaError_t bough::emulator::enqueue_kernel(const cudaLaunchConfig_t& config, const void* kernel,
                                            std::function<void()> body) {
  const auto mine = turn();
  const auto limit = runtime().shared_limits.find(kernel);
  // A device counts static arrays too, which are not known here: it is 48 KiB for both.
  const size_t unasked = 40 * 1024;
  const size_t allowed = limit == runtime().shared_limits.end() ? unasked : std::max(limit->second, unasked);
  if (!settings().has_kernel_image) return result(cudaErrorNoKernelImageForDevice);
  if (stream_of(config.stream).device != current_device) return result(cudaErrorInvalidResourceHandle);
  ++counters().kernels;
  const dim3 grid = config.gridDim, block = config.blockDim;
  if (config.dynamicSmemBytes > allowed || block.x == 0 || block.x > 1024 || grid.x == 0 || grid.y == 0 ||
      grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    return result(cudaErrorInvalidConfiguration);
  enqueue(config.stream, [grid, block, shared = config.dynamicSmemBytes, body = std::move(body)] {
    run_grid(grid, block, shared, body);
  });
  return cudaSuccess;
}

bool bough::emulator::is_on_device_of(cudaStream_t stream, const void* memory) {
  const auto mine = turn();
  const Area* const area = area_of(runtime().device_memory, memory, 1);
  return stream_of(stream).device == current_device && area && area->device == current_device;
}
void bough::emulator::enqueue_work(cudaStream_t stream, std::function<void()> work) {
  const auto mine = turn();
  enqueue(stream, std::move(work));
}

void bough::emulator::enqueue_sending(cudaStream_t stream, std::function<void()> work) {
  const auto mine = turn();
  enqueue(stream, std::move(work));
  if (const auto& capture = stream_of(stream).capture) capture->graph.is_sending = true;
}

void bough::emulator::run_until(const std::function<bool()>& done) {
  const auto mine = turn();
  drain_until(done);
}

bool bough::emulator::is_device_memory(const void* p, size_t bytes) {
  const auto mine = turn();
  return lies_in(runtime().device_memory, p, bytes);
}
