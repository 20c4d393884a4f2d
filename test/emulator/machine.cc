#include "machine.h"

#include <cuda_runtime.h>
#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/random.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace bough::emulator {
namespace {

namespace context = boost::context::detail;

constexpr size_t stack_bytes = 256 * 1024;
constexpr unsigned warp = 32;

struct AsyncCopy {
  std::byte* shared;
  const std::byte* source;  // null: zeros
  int group;
};

enum class State : uint8_t { ready, at_block_barrier, in_warp, done };

struct Fiber {
  std::byte* stack = nullptr;
  context::fcontext_t context = nullptr;
  State state = State::done;
  const char* reason = nullptr;
  void* fake_stack = nullptr;
  std::vector<AsyncCopy> copies;
  int groups = 0;  // of copies closed so far
};

struct Warp {
  unsigned arrived = 0;
  const char* name = nullptr;
  unsigned first_lane = 0;  // that arrived
  void* lanes[warp];
};

class Machine {
 public:
  void run(const dim3& grid, const dim3& block, size_t shared_bytes, const std::function<void()>& body);
  void suspend();
  [[noreturn]] void stop(std::string what);

  Fiber& fiber() { return fibers_[current_]; }
  Warp& warp_of_current() { return warps_[current_ / warp]; }
  unsigned lane() const { return current_ % warp; }
  Fiber& lane_fiber(unsigned lane) { return fibers_[current_ / warp * warp + lane]; }
  std::byte* shared() { return shared_.get(); }
  uint64_t block_number() const { return block_number_; }

  std::vector<std::pair<const std::byte*, size_t>> static_shared;
  size_t shared_bytes = 0;

 private:
  void prepare(unsigned threads);
  void start(unsigned i);
  void resume(unsigned i);
  void run_block();
  void release_barrier();
  static void entry(context::transfer_t from);

  std::deque<Fiber> fibers_;  // a suspended fiber holds a reference to its own: it must not move
  std::vector<Warp> warps_;
  unsigned threads_ = 0, current_ = 0;
  const std::function<void()>* body_ = nullptr;
  context::fcontext_t scheduler_ = nullptr;
  void* scheduler_fake_stack_ = nullptr;
  const void* scheduler_stack_ = nullptr;
  size_t scheduler_stack_bytes_ = 0;
  std::string fault_;
  std::unique_ptr<std::byte, decltype(&std::free)> shared_{nullptr, &std::free};
  uint64_t block_number_ = 0;
};

Machine& machine() {
  static Machine m;
  return m;
}

// AddressSanitizer must know which stack is in use.
void before_switch([[maybe_unused]] void** save, [[maybe_unused]] const void* stack, [[maybe_unused]] size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(save, stack, bytes);
#endif
}
void after_switch([[maybe_unused]] void* saved, [[maybe_unused]] const void** stack, [[maybe_unused]] size_t* bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(saved, stack, bytes);
#endif
}

void Machine::prepare(unsigned threads) {
  check(threads > 0 && threads <= 1024 && threads % warp == 0,
        "emulator: a block of {} threads, must be a multiple of 32 up to 1024", threads);
  threads_ = threads;
  warps_.assign(threads / warp, Warp());
  if (fibers_.size() < threads) fibers_.resize(threads);
}

/// Gives a fiber that never ran, or was stopped by a fault, a fresh context.
void Machine::start(unsigned i) {
  Fiber& f = fibers_[i];
  if (!f.stack) {
    void* const memory =
        mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(memory != MAP_FAILED, "emulator: no memory for the stack of a thread");
    f.stack = static_cast<std::byte*>(memory);
  }
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(f.stack, stack_bytes);
#endif
  f.context = context::make_fcontext(f.stack + stack_bytes, stack_bytes, entry);
}

void Machine::entry(context::transfer_t from) {
  Machine& m = machine();
  after_switch(nullptr, &m.scheduler_stack_, &m.scheduler_stack_bytes_);
  m.scheduler_ = from.fctx;
  for (;;) {  // one round a block
    (*m.body_)();
    m.fiber().state = State::done;
    m.suspend();
  }
}

void Machine::suspend() {
  Fiber& f = fiber();
  before_switch(&f.fake_stack, scheduler_stack_, scheduler_stack_bytes_);
  scheduler_ = context::jump_fcontext(scheduler_, nullptr).fctx;
  after_switch(f.fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
}

void Machine::resume(unsigned i) {
  current_ = i;
  threadIdx = dim3(i);
  Fiber& f = fibers_[i];
  before_switch(&scheduler_fake_stack_, f.stack, stack_bytes);
  f.context = context::jump_fcontext(f.context, nullptr).fctx;
  after_switch(scheduler_fake_stack_, nullptr, nullptr);
}

void Machine::stop(std::string what) {
  fault_ =
      fmt::format("emulator: block ({}, {}, {}), thread {}: {}", blockIdx.x, blockIdx.y, blockIdx.z, current_, what);
  std::string().swap(what);  // nothing on this stack is destroyed
  suspend();
  std::abort();  // never resumed
}

void Machine::run_block() {
  for (unsigned i = 0; i < threads_; ++i) {
    if (!fibers_[i].context) start(i);
    fibers_[i].state = State::ready;
    fibers_[i].copies.clear();
    fibers_[i].groups = 0;
  }
  for (Warp& w : warps_) w.arrived = 0;
  const bool reverse = settings().reverse_threads;
  for (unsigned done = 0; done < threads_;) {
    bool has_progressed = false;
    for (unsigned n = 0; n < threads_; ++n) {
      const unsigned i = reverse ? threads_ - 1 - n : n;
      if (fibers_[i].state != State::ready) continue;
      has_progressed = true;
      resume(i);
      if (!fault_.empty()) return;
      done += fibers_[i].state == State::done;
    }
    if (!has_progressed) release_barrier();
    if (!fault_.empty()) return;
  }
}

/// Nobody can run: either all threads of the block wait at one barrier, or they wait for ever.
void Machine::release_barrier() {
  const Fiber& first = fibers_[0];
  for (unsigned i = 1; i < threads_; ++i) {
    const Fiber& f = fibers_[i];
    if (f.state == first.state && (f.state == State::done || std::strcmp(f.reason, first.reason) == 0)) continue;
    const auto place = [](const Fiber& at) -> std::string {
      if (at.state == State::done) return "has left the kernel";
      return fmt::format("waits at {} \"{}\"", at.state == State::in_warp ? "the warp's" : "the block's barrier",
                         at.reason);
    };
    fault_ = fmt::format("emulator: block ({}, {}, {}): divergent barrier: thread 0 {}, thread {} {}", blockIdx.x,
                         blockIdx.y, blockIdx.z, place(first), i, place(f));
    return;
  }
  for (unsigned i = 0; i < threads_; ++i) fibers_[i].state = State::ready;
}

void Machine::run(const dim3& grid, const dim3& block, size_t bytes, const std::function<void()>& body) {
  check(block.y == 1 && block.z == 1, "emulator: blocks have one dimension");
  prepare(block.x);
  body_ = &body;
  gridDim = grid;
  blockDim = block;
  std::vector<uint64_t> order(size_t(grid.x) * grid.y * grid.z);
  std::iota(order.begin(), order.end(), uint64_t{0});
  if (settings().block_seed != 0) {
    RandomStream random(settings().block_seed);
    for (size_t n = order.size(); n > 1; --n) std::swap(order[n - 1], order[random.below(n)]);
  }
  // A block of its own, so that AddressSanitizer sees its ends.
  shared_bytes = bytes;
  void* memory = nullptr;
  check(posix_memalign(&memory, 128, bytes) == 0, "emulator: no memory for {} shared bytes", bytes);
  shared_.reset(static_cast<std::byte*>(memory));
  for (const uint64_t b : order) {
    blockIdx = dim3(unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / grid.x / grid.y));
    ++block_number_;
    std::memset(shared_.get(), 0xff, bytes);
    run_block();
    if (fault_.empty()) continue;
    for (Fiber& f : fibers_) f.context = nullptr;
    const std::string what = std::exchange(fault_, {});
    fail("{}", what);
  }
}

}  // namespace

Settings& settings() {
  static Settings s = [] {
    const char* const devices = std::getenv("BOUGH_EMULATED_GPUS");
    return Settings{.devices = devices ? std::atoi(devices) : 1};
  }();
  return s;
}

void run_grid(const dim3& grid, const dim3& block, size_t shared_bytes, const std::function<void()>& body) {
  machine().run(grid, block, shared_bytes, body);
}

void fault(std::string what) { machine().stop(std::move(what)); }

void block_barrier(const char* reason) {
  Fiber& f = machine().fiber();
  f.state = State::at_block_barrier;
  f.reason = reason;
  machine().suspend();
}

void warp_collective(const char* name, void* mine, void (*combine)(void* const* lanes)) {
  Machine& m = machine();
  Warp& w = m.warp_of_current();
  if (w.arrived == 0) {
    w.name = name;
    w.first_lane = m.lane();
  } else if (std::strcmp(w.name, name) != 0) {
    m.stop(
        fmt::format("divergent warp: lane {} is at \"{}\", lane {} at \"{}\"", m.lane(), name, w.first_lane, w.name));
  }
  w.lanes[m.lane()] = mine;
  if (++w.arrived < warp) {
    m.fiber().state = State::in_warp;
    m.fiber().reason = name;
    m.suspend();
    return;
  }
  combine(w.lanes);
  w.arrived = 0;
  for (unsigned l = 0; l < warp; ++l) m.lane_fiber(l).state = State::ready;
}

std::byte* dynamic_shared_memory() { return machine().shared(); }
uint64_t block_number() { return machine().block_number(); }

bool is_shared(const void* p, size_t bytes) {
  const auto* const begin = static_cast<const std::byte*>(p);
  const auto inside = [&](const std::byte* area, size_t size) { return begin >= area && begin + bytes <= area + size; };
  if (inside(machine().shared(), machine().shared_bytes)) return true;
  for (const auto& [area, size] : machine().static_shared)
    if (inside(area, size)) return true;
  return false;
}

void add_shared(const void* p, size_t bytes) {
  machine().static_shared.emplace_back(static_cast<const std::byte*>(p), bytes);
}

void copy_async_begin(void* shared, const void* source, bool is_inside) {
  if (!is_shared(shared, 16)) fault("copy_async: the destination is not in the shared memory of the block");
  std::memset(shared, 0xff, 16);  // NaN until somebody has waited
  Fiber& f = machine().fiber();
  f.copies.push_back(
      {static_cast<std::byte*>(shared), is_inside ? static_cast<const std::byte*>(source) : nullptr, f.groups});
}

void copy_async_commit() { ++machine().fiber().groups; }

void copy_async_wait(int pending) {
  Fiber& f = machine().fiber();
  std::erase_if(f.copies, [&](const AsyncCopy& copy) {
    if (copy.group >= f.groups - pending) return false;
    if (copy.source)
      std::memcpy(copy.shared, copy.source, 16);
    else
      std::memset(copy.shared, 0, 16);
    return true;
  });
}

}  // namespace bough::emulator
