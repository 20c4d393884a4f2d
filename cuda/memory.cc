#include "cuda/memory.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

namespace bough::cuda {
namespace {

constexpr size_t half_bytes = size_t{8} << 20;
constexpr size_t smallest_block = size_t{16} << 20;
constexpr size_t alignment = 256;
constexpr size_t landing_bytes = 4096;

}  // namespace

OwnedStream make_stream() {
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  return OwnedStream(stream);
}

OwnedEvent make_event(unsigned flags) {
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreateWithFlags(&event, flags), "creating an event");
  return OwnedEvent(event);
}

std::string format_bytes(size_t bytes) {
  const double mebibytes = double(bytes) / double(1 << 20);
  return mebibytes >= 1024 ? fmt::format("{:.1f} GiB", mebibytes / 1024) : fmt::format("{:.1f} MiB", mebibytes);
}

std::shared_ptr<std::byte> allocate_device(size_t bytes, const char* purpose, const char* advice) {
  if (bytes == 0) return nullptr;
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // it would be reported again behind the next launch
    size_t free = 0, total = 0;
    check_cuda(cudaMemGetInfo(&free, &total), "reading the free memory");
    fail("cuda: {} need {} in one piece, but {} of the device's {} are free. {}", purpose, format_bytes(bytes),
         format_bytes(free), format_bytes(total), advice);
  }
  check_cuda(status, "allocating memory");
  return {static_cast<std::byte*>(memory), [](std::byte* p) { cudaFree(p); }};
}

void Arena::reserve(size_t bytes) {
  if (bytes > capacity_) add(0, bytes);
}

std::byte* Arena::at(size_t offset, size_t bytes) {
  const size_t end = offset + std::max<size_t>(bytes, 1);
  const auto find = [&]() -> std::byte* {
    for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block)
      if (offset >= block->offset && end <= block->offset + block->bytes)
        return block->memory.get() + (offset - block->offset);
    return nullptr;
  };
  if (std::byte* const memory = find()) return memory;
  // A share of what there is, so that growth ends after a few blocks; no more than needed where memory is short.
  const size_t needed = end - offset, roomy = std::max({needed, capacity_ / 8, smallest_block});
  size_t free = 0, total = 0;
  check_cuda(cudaMemGetInfo(&free, &total), "reading the free memory");
  add(offset, roomy <= free ? roomy : needed);
  return find();
}

void Arena::add(size_t offset, size_t bytes) {
  bytes = (bytes + alignment - 1) / alignment * alignment;
  blocks_.push_back(
      {offset, bytes,
       allocate_device(bytes, "activations", "Lower mini-batch-words or mini-batch, or set gradient-checkpointing.")});
  capacity_ = std::max(capacity_, offset + bytes);
}

void Waits::for_event(cudaEvent_t event, const char* what) const {
  if (!check_) return check_cuda(cudaEventSynchronize(event), what);
  using Clock = std::chrono::steady_clock;
  Clock::time_point checked = Clock::now();
  while (true) {
    const cudaError_t status = cudaEventQuery(event);
    if (status != cudaErrorNotReady) return check_cuda(status, what);
    cudaGetLastError();  // it would be reported again behind the next launch
    if (Clock::now() - checked < std::chrono::milliseconds(1)) {
      std::this_thread::yield();
      continue;
    }
    check_();
    checked = Clock::now();
  }
}

namespace {

std::shared_ptr<std::byte> allocate_pinned(size_t bytes) {
  void* memory = nullptr;
  check_cuda(cudaMallocHost(&memory, bytes), "allocating pinned memory");
  return {static_cast<std::byte*>(memory), [](std::byte* p) { cudaFreeHost(p); }};
}

}  // namespace

Staging::Staging(const Stream& stream, std::shared_ptr<const Waits> waits)
    : stream_(stream), waits_(std::move(waits)), pinned_(allocate_pinned(2 * half_bytes)) {
  for (size_t i = 0; i < halves_.size(); ++i) {
    halves_[i].memory = pinned_.get() + i * half_bytes;
    halves_[i].free = make_event();
  }
}

/// The half with room for `bytes` more; waits until what was copied from there is done.
Staging::Half& Staging::take(size_t bytes) {
  if (halves_[size_t(current_)].used + bytes > half_bytes) turn();
  return halves_[size_t(current_)];
}

void Staging::turn() {
  check_cuda(cudaEventRecord(halves_[size_t(current_)].free.get(), stream_.handle), "recording an event");
  current_ ^= 1;
  Half& next = halves_[size_t(current_)];
  waits_->for_event(next.free.get(), "waiting for a copy");
  next.used = 0;
}

void Staging::upload(void* destination, const void* source, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    const size_t chunk = std::min(bytes - done, half_bytes);
    Half& half = take(chunk);
    std::byte* const pinned = half.memory + half.used;
    std::memcpy(pinned, static_cast<const std::byte*>(source) + done, chunk);
    check_cuda(cudaMemcpyAsync(static_cast<std::byte*>(destination) + done, pinned, chunk, cudaMemcpyHostToDevice,
                               stream_.handle),
               "an upload");
    half.used += (chunk + alignment - 1) / alignment * alignment;
    done += chunk;
  }
}

void Staging::download(void* destination, const void* source, size_t bytes) {
  // While one half is copied out by the host, the device fills the other.
  struct Chunk {
    std::byte* from = nullptr;
    std::byte* to = nullptr;
    size_t bytes = 0;
    cudaEvent_t ready = nullptr;
  };
  const auto finish = [this](const Chunk& chunk) {
    if (chunk.bytes == 0) return;
    waits_->for_event(chunk.ready, "waiting for a download");
    std::memcpy(chunk.to, chunk.from, chunk.bytes);
  };
  Chunk under_way;
  for (size_t done = 0; done < bytes;) {
    turn();
    Half& half = halves_[size_t(current_)];
    const size_t size = std::min(bytes - done, half_bytes);
    const Chunk chunk{half.memory, static_cast<std::byte*>(destination) + done, size, half.free.get()};
    check_cuda(cudaMemcpyAsync(chunk.from, static_cast<const std::byte*>(source) + done, size, cudaMemcpyDeviceToHost,
                               stream_.handle),
               "a download");
    check_cuda(cudaEventRecord(half.free.get(), stream_.handle), "recording an event");
    half.used = half_bytes;
    finish(under_way);
    under_way = chunk;
    done += size;
  }
  finish(under_way);
}

std::shared_ptr<Staging::Landing> Staging::take_landing() {
  auto& list = *free_landings_;
  if (list.empty()) list.push_back(std::make_unique<Landing>(Landing{allocate_pinned(landing_bytes), make_event()}));
  Landing* const taken = list.back().release();
  list.pop_back();
  return {taken, [home = free_landings_](Landing* landing) { home->emplace_back(landing); }};
}

std::function<void(void*)> Staging::start_download(const void* source, size_t bytes) {
  check(bytes <= landing_bytes, "cuda: start_download: {} bytes, must be at most {}", bytes, landing_bytes);
  const std::shared_ptr<Landing> landing = take_landing();
  check_cuda(cudaMemcpyAsync(landing->pinned.get(), source, bytes, cudaMemcpyDeviceToHost, stream_.handle),
             "a download");
  check_cuda(cudaEventRecord(landing->arrived.get(), stream_.handle), "recording an event");
  return [waits = waits_, landing, bytes](void* destination) {
    waits->for_event(landing->arrived.get(), "waiting for a download");
    std::memcpy(destination, landing->pinned.get(), bytes);
  };
}

}  // namespace bough::cuda
