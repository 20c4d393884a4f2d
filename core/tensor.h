#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>

#include "core/base/error.h"

namespace bough {

class Backend;

/// Element types; i32 for ids, positions and words of UpdateState.
enum class DType : uint8_t { f32, f64, bf16, i32 };

/// Bytes of an element.
inline size_t size_of(DType t) { return t == DType::f64 ? 8 : t == DType::bf16 ? 2 : 4; }
std::string name_of(DType t);

/// Axis lengths, outermost first; at most 3 axes, row-major.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> axes) {
    check(axes.size() <= 3, "shape: {} axes, at most 3 are supported", axes.size());
    for (int64_t a : axes) axes_[rank_++] = a;
  }
  size_t rank() const { return rank_; }
  int64_t operator[](size_t i) const { return axes_[i]; }
  int64_t back() const { return rank_ == 0 ? 1 : axes_[rank_ - 1]; }
  int64_t elements() const {
    int64_t n = 1;
    for (size_t i = 0; i < rank_; ++i) n *= axes_[i];
    return n;
  }
  bool operator==(const Shape&) const = default;

 private:
  std::array<int64_t, 3> axes_{};
  size_t rank_ = 0;
};

/// "(32, 128)", for messages.
std::string to_string(const Shape& shape);

}  // namespace bough

/// A shape among the arguments of check() becomes text only where that fails.
template <>
struct fmt::formatter<bough::Shape> : fmt::formatter<std::string> {
  auto format(const bough::Shape& shape, fmt::format_context& context) const {
    return fmt::formatter<std::string>::format(to_string(shape), context);
  }
};

namespace bough {

/// A contiguous row-major array on one backend. Copying a Tensor shares its memory; the memory
/// returns to the backend when the last Tensor that shares it is gone.
class Tensor {
 public:
  Tensor() = default;
  /// `block` keeps the memory alive; `data` lies inside it (null on the null backend).
  Tensor(std::shared_ptr<void> block, std::byte* data, Shape shape, DType dtype)
      : block_(std::move(block)), data_(data), shape_(shape), dtype_(dtype) {}

  const Shape& shape() const { return shape_; }
  int64_t size() const { return shape_.elements(); }
  int64_t cols() const { return shape_.back(); }
  int64_t rows() const { return cols() == 0 ? 0 : size() / cols(); }
  size_t bytes() const { return size_t(size()) * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  template <class T>
  T* data() const {
    return reinterpret_cast<T*>(data_);
  }
  explicit operator bool() const { return block_ != nullptr; }

  /// The same memory from element `first` on, seen as `shape`.
  Tensor view(int64_t first, Shape shape) const {
    check(first >= 0 && first + shape.elements() <= size(), "tensor: a view of {} from element {} does not fit into {}",
          to_string(shape), first, to_string(shape_));
    return {block_, data_ ? data_ + size_t(first) * size_of(dtype_) : nullptr, shape, dtype_};
  }

 private:
  std::shared_ptr<void> block_;
  std::byte* data_ = nullptr;
  Shape shape_;
  DType dtype_ = DType::f32;
};

// The three ways a kernel touches memory, visible in every signature of core/kernels.def.
using In = const Tensor&;   ///< read
using Out = const Tensor&;  ///< overwritten; a kernel may skip an empty one where its text says so

/// What a kernel does with a gradient it produces.
enum class GradMode : uint8_t {
  none,   ///< not wanted: compute nothing
  write,  ///< overwrite (the memory may hold anything, NaN included)
  add     ///< add to what is there
};

/// Where a gradient goes, and how. The tape sets the mode: the first writer of a gradient in the
/// backward pass writes, later ones add, and nothing is ever filled with zeros.
struct Grad {
  Tensor tensor;
  GradMode mode = GradMode::none;
  explicit operator bool() const { return mode != GradMode::none; }
};
/// A gradient that is overwritten; and one that is added to.
inline Grad write_to(const Tensor& t) { return {t, GradMode::write}; }
inline Grad add_to(const Tensor& t) { return {t, GradMode::add}; }

/// Columns [first, first + count) of a matrix: a head group inside a fused projection, without a copy.
/// Row r starts at data + r * tensor.cols() + first.
struct Columns {
  Tensor tensor;
  int64_t first = 0, count = 0;
};
/// The gradient of Columns.
struct GradColumns {
  Tensor tensor;
  int64_t first = 0, count = 0;
  GradMode mode = GradMode::none;
  explicit operator bool() const { return mode != GradMode::none; }
};
/// A whole matrix as Columns.
inline Columns all_columns(const Tensor& t) { return {t, 0, t.cols()}; }

/// Calls f.template operator()<T>() with the C++ type of a floating-point `dtype` of the CPU.
template <class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  if (dtype == DType::f64) return f.template operator()<double>();
  check(dtype == DType::f32, "no CPU kernel for {}", name_of(dtype));
  return f.template operator()<float>();
}

}  // namespace bough
