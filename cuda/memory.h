#pragma once
#include <cuda_runtime.h>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>
#include <vector>

#include "cuda/launch.h"

namespace bough::cuda {

/// Streams and events that go with their owner, also when its construction fails half-way.
struct Destroy {
  void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
  void operator()(cudaEvent_t event) const { cudaEventDestroy(event); }
};
using OwnedStream = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, Destroy>;
using OwnedEvent = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, Destroy>;
OwnedStream make_stream();
OwnedEvent make_event(unsigned flags = cudaEventDisableTiming);

/// "3.2 GiB", "17 MiB".
std::string format_bytes(size_t bytes);

inline constexpr const char* memory_advice = "Free the device of other programs, or use a smaller model.";

/// Device memory that lives as long as the pointer; null for 0 bytes. `purpose`, `advice`: for the Error when
/// the device has no more ("<purpose> need ..., but ... are free. <advice>").
std::shared_ptr<std::byte> allocate_device(size_t bytes, const char* purpose, const char* advice);

/// Fills memory with uniform values in [-1, 1): what products are timed on.
void fill_random(const Stream& stream, std::byte* memory, size_t bytes, DType dtype);

/// The memory behind an Allocator's offsets. It grows by blocks of device memory; a range of offsets
/// lies in one block. Ranges that live at the same time never share memory: within a block offsets
/// differ, and blocks are different memory. Blocks stay, so that captured graphs stay valid.
class Arena {
 public:
  void reserve(size_t bytes);
  std::byte* at(size_t offset, size_t bytes);
  size_t capacity() const { return capacity_; }

 private:
  struct Block {
    size_t offset, bytes;
    std::shared_ptr<std::byte> memory;
  };
  void add(size_t offset, size_t bytes);
  std::vector<Block> blocks_;
  size_t capacity_ = 0;
};

/// How the host waits for the device.
class Waits {
 public:
  /// `check` is asked every millisecond of a wait, and throws where what is waited for will never come.
  void watch(std::function<void()> check) { check_ = std::move(check); }
  void for_event(cudaEvent_t event, const char* what) const;

 private:
  std::function<void()> check_;
};

/// Copies between pageable host memory and the device through pinned buffers, so that an upload
/// returns before it has happened. Chunks take turns in the halves of one pinned block.
class Staging {
 public:
  Staging(const Stream& stream, std::shared_ptr<const Waits> waits);
  void upload(void* destination, const void* source, size_t bytes);
  void download(void* destination, const void* source, size_t bytes);
  /// Backend::start_download: the copy lands in pinned memory of its own, which is used again once it was read.
  std::function<void(void*)> start_download(const void* source, size_t bytes);

 private:
  struct Landing {
    std::shared_ptr<std::byte> pinned;
    OwnedEvent arrived;
  };
  std::shared_ptr<Landing> take_landing();
  struct Half {
    std::byte* memory = nullptr;
    size_t used = 0;
    OwnedEvent free;  ///< behind the last copy out of or into it
  };
  Half& take(size_t bytes);
  void turn();

  Stream stream_;
  std::shared_ptr<const Waits> waits_;
  std::shared_ptr<std::byte> pinned_;
  std::array<Half, 2> halves_;
  int current_ = 0;
  std::shared_ptr<std::vector<std::unique_ptr<Landing>>> free_landings_ =
      std::make_shared<std::vector<std::unique_ptr<Landing>>>();  // also of those who return one
};

}  // namespace bough::cuda
