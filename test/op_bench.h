#pragma once
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/cpu/factory.h"
#include "core/ops.h"
#include "cuda/factory.h"
#include "test/tolerance.h"
#if defined(BOUGH_EMULATOR)
#include "test/emulator/machine.h"
#endif

// The backends under test, and tensors on them that notice when they are misused.

namespace bough::test {

using Values = std::vector<double>;

/// A backend of the op table. Adding a row here tests it with every case; bits must not depend on
/// `threads`, GEMM aside. In the emulator an even number runs the threads of a block last to first.
struct BackendRow {
  std::string name;
  Precision precision;
  std::function<std::unique_ptr<Backend>(int threads)> make;
};

inline std::unique_ptr<Backend> make_cuda_backend_for_test([[maybe_unused]] int threads, DType dtype) {
#if defined(BOUGH_EMULATOR)
  emulator::settings().reverse_threads = threads % 2 == 0;
#endif
  return make_cuda_backend({.compute_dtype = dtype, .workspace_bytes = size_t{1} << 20});
}

inline std::vector<BackendRow>& backends() {
  static std::vector<BackendRow> rows = [] {
    std::vector<BackendRow> list = {
        {"cpu f64", Precision::f64, [](int threads) { return make_cpu_backend(threads, DType::f64); }},
    };
    for (const CpuLevel level : cpu_levels())
      list.push_back({fmt::format("cpu f32 {}", name_of(level)), Precision::f32,
                      [level](int threads) { return make_cpu_backend(threads, DType::f32, level); }});
    if (cuda_device_count() == 0) return list;
    list.push_back(
        {"cuda f32", Precision::f32, [](int threads) { return make_cuda_backend_for_test(threads, DType::f32); }});
    list.push_back(
        {"cuda bf16", Precision::bf16, [](int threads) { return make_cuda_backend_for_test(threads, DType::bf16); }});
    return list;
  }();
  return rows;
}

inline uint16_t bf16_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return uint16_t((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}
inline float float_of_bf16(uint16_t x) {
  const uint32_t bits = uint32_t(x) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// Numbers as they lie in memory in a type.
inline std::vector<std::byte> encode(const Values& values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  const auto put = [&](auto convert) {
    using T = decltype(convert(0.0));
    for (size_t i = 0; i < values.size(); ++i) {
      const T value = convert(values[i]);
      std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
    }
  };
  switch (dtype) {
    case DType::f64:
      put([](double v) { return v; });
      break;
    case DType::f32:
      put([](double v) { return float(v); });
      break;
    case DType::bf16:
      put([](double v) { return bf16_of(float(v)); });
      break;
    case DType::i32:
      put([](double v) { return int32_t(v); });
      break;
  }
  return bytes;
}

inline Values decode(const std::vector<std::byte>& bytes, DType dtype) {
  Values values(bytes.size() / size_of(dtype));
  const auto get = [&](auto example, auto convert) {
    for (size_t i = 0; i < values.size(); ++i) {
      std::memcpy(&example, bytes.data() + i * sizeof example, sizeof example);
      values[i] = double(convert(example));
    }
  };
  const auto same = [](auto v) { return v; };
  switch (dtype) {
    case DType::f64:
      get(double{}, same);
      break;
    case DType::f32:
      get(float{}, same);
      break;
    case DType::bf16:
      get(uint16_t{}, float_of_bf16);
      break;
    case DType::i32:
      get(int32_t{}, same);
      break;
  }
  return values;
}

/// The update that the dropout masks and schedules of all rows belong to.
inline UpdateState test_state() {
  UpdateState s;
  s.seed = 1234;
  s.update = 7;
  s.lr = 0.01;
  s.tokens = 5;
  s.clip = 0.5;
  s.average = 0.125;
  s.bound = 0.25;
  s.branch_scales = {0.25, 0.5};
  return s;
}
constexpr int32_t test_first_row = 1000;

/// Sentences of the given lengths, packed, and `tail` rows that belong to none.
struct Sentences {
  std::vector<int32_t> offsets{0}, segments, positions;
  int64_t longest = 0;
  explicit Sentences(const std::vector<int>& lengths, int tail = 0) {
    for (size_t s = 0; s < lengths.size(); ++s) {
      for (int i = 0; i < lengths[s]; ++i) {
        segments.push_back(int32_t(s));
        positions.push_back(i);
      }
      offsets.push_back(int32_t(segments.size()));
      longest = std::max<int64_t>(longest, lengths[s]);
    }
    for (int i = 0; i < tail; ++i) {
      segments.push_back(-1);
      positions.push_back(0);
    }
  }
  int64_t tokens() const { return int64_t(segments.size()); }
  int64_t count() const { return int64_t(offsets.size()) - 1; }
};

/// One fresh backend with poisoned memory: floats that nobody wrote are NaN.
class Bench {
 public:
  explicit Bench(const BackendRow& row, int threads = 1) : backend_(row.make(threads)), precision(row.precision) {
    poison_arena();
    backend_->allocator().reset_peak();
  }
  Backend& backend() { return *backend_; }

  /// Values in the backend's compute type (or another), between two guards.
  Tensor tensor(Shape shape, const Values& values) { return tensor(shape, values, backend_->compute_dtype()); }
  Tensor tensor(Shape shape, const Values& values, DType dtype) {
    const int64_t guard = guard_bytes / int64_t(size_of(dtype));
    const Tensor whole = backend_->allocate_persistent({shape.elements() + 2 * guard}, dtype);
    std::vector<std::byte> bytes(whole.bytes(), sentinel);
    const std::vector<std::byte> inside = encode(values, dtype);
    std::copy(inside.begin(), inside.end(), bytes.begin() + guard_bytes);
    backend_->upload(whole, bytes.data());
    guarded_.push_back(whole);
    return whole.view(guard, shape);
  }
  Tensor ints(const std::vector<int32_t>& values) { return ints({int64_t(values.size())}, values); }
  Tensor ints(Shape shape, const std::vector<int32_t>& values) {
    return tensor(shape, Values(values.begin(), values.end()), DType::i32);
  }
  /// Memory for a result: NaN.
  Tensor output(Shape shape) { return output(shape, backend_->compute_dtype()); }
  Tensor output(Shape shape, DType dtype) {
    return tensor(shape, Values(size_t(shape.elements()), dtype == DType::i32 ? -1 : NAN), dtype);
  }
  DType statistics_type() const { return precision == Precision::f64 ? DType::f64 : DType::f32; }

  Tensor state() {
    if (!state_) state_ = ints(test_state().pack());
    return state_;
  }
  Dropout dropout(double probability, uint32_t site) {
    if (probability == 0) return {};
    return {probability, site, state(), ints({test_first_row})};
  }
  Packing packing(const Sentences& s) {
    return {.offsets = ints(s.offsets),
            .segments = ints(s.segments),
            .positions = ints(s.positions),
            .first_row = ints({test_first_row}),
            .sentences = s.count(),
            .tokens = s.tokens(),
            .longest = s.longest};
  }

  std::vector<std::byte> bytes(In t) {
    std::vector<std::byte> result(t.bytes());
    backend_->synchronize();
    backend_->download(result.data(), t);
    return result;
  }
  Values values(In t) { return decode(bytes(t), t.dtype()); }

  /// Lets go of the tensors made so far.
  void forget() {
    guarded_.clear();
    state_ = {};
  }
  /// True while no kernel has written beside the tensors made here.
  bool guards_are_whole() {
    for (const Tensor& whole : guarded_) {
      const std::vector<std::byte> all = bytes(whole);
      for (size_t i = 0; i < size_t(guard_bytes); ++i)
        if (all[i] != sentinel || all[all.size() - 1 - i] != sentinel) return false;
    }
    return true;
  }
  /// The same for a tensor of the arena that nothing was released before: the rest of its last 256
  /// bytes.
  bool padding_is_whole(In t) {
    for (const Tensor& whole : guarded_)
      if (t.data<std::byte>() >= whole.data<std::byte>() &&
          t.data<std::byte>() < whole.data<std::byte>() + whole.bytes())
        return true;  // memory of ours: guards_are_whole() looks at it
    const size_t unit = Allocator::alignment, rest = (unit - t.bytes() % unit) % unit;
    if (rest == 0) return true;
    const std::shared_ptr<void> nobody(static_cast<void*>(this), [](void*) {});
    const Tensor padding(nobody, t.data<std::byte>() + t.bytes(), {int64_t(rest / 2)}, DType::bf16);
    for (const std::byte b : bytes(padding))
      if (b != poison) return false;
    return true;
  }

 private:
  static constexpr std::byte poison{0xFF}, sentinel{0xA5};
  static constexpr int64_t guard_bytes = 256;  // keeps the alignment that kernels may count on

  void poison_arena() {
    const Tensor all = backend_->allocate({1 << 20}, DType::f32);
    const std::vector<std::byte> nan(all.bytes(), poison);
    backend_->upload(all, nan.data());
  }

  std::unique_ptr<Backend> backend_;
  std::vector<Tensor> guarded_;
  Tensor state_;

 public:
  const Precision precision;
};

}  // namespace bough::test
