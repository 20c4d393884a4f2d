#pragma once
#include "test/op_bench.h"

// What one row of the op table is (test/op_cases.h lists them, test/ops_test.cc runs them).

namespace bough::test {

/// An input is filled with random values of a kind, or with the values given.
struct Input {
  enum class Range { normal, near_one, off_zero, small };
  enum class Type { compute, statistics, f64 };
  Shape shape;
  Range range = Range::normal;
  bool differentiable = true;
  bool by_columns = false;  ///< its gradient is claimed by columns, always in write mode
  Type type = Type::compute;
  Values values = {};
};

template <class T>
using Lists = std::vector<std::vector<T>>;

/// The naive definition, from the inputs to the outputs, as one generic function. NaN in a result:
/// any finite value will do.
struct Reference {
  template <class F>
  Reference(F f) : f64(f), f32(f) {}
  std::function<Lists<double>(const Lists<double>&)> f64;
  std::function<Lists<float>(const Lists<float>&)> f32;
};

struct Case {
  std::vector<Input> inputs;
  /// Runs the op, or a kernel without gradient, on inputs whose memory may be overwritten.
  std::function<std::vector<Var>(Bench&, const std::vector<Var>&)> apply;
  Reference reference;
  /// Input `input` with this shape instead must be refused in a sentence that names the op.
  struct BadShape {
    size_t input;
    Shape shape;
  };
  std::vector<BadShape> bad_shapes = {};
  int64_t tail_rows = 0;       ///< gradients of the last rows of input 0 are exactly 0
  bool has_exact_bits = true;  ///< not through a GEMM, whose bits depend on the thread count
};

/// `name` begins with the op's name. `make` gets a number of rows and a width, which it may ignore.
struct Row {
  std::string name;
  bool has_width;
  std::function<Case(int64_t rows, int64_t width)> make;
  std::string op() const { return name.substr(0, name.find(' ')); }
};

inline Input data(Shape shape, Input::Type type = Input::Type::compute) {
  return {.shape = shape, .differentiable = false, .type = type};
}
inline Input given(Shape shape, Values values, Input::Type type) {
  return {.shape = shape, .differentiable = false, .type = type, .values = std::move(values)};
}
inline std::vector<Var> constants(const Var& like, const std::vector<Tensor>& tensors) {
  std::vector<Var> vars;
  for (const Tensor& t : tensors) vars.push_back(like.tape().constant(t));
  return vars;
}

/// The dropout factor of an element of the test update.
template <class T>
T keep(double probability, uint32_t site, int64_t row, int64_t column, int64_t head = 0) {
  if (probability == 0) return 1;
  static const std::vector<int32_t> words = test_state().pack();
  const Philox4 bits = dropout_bits(uint32_t(words[0]), uint32_t(words[1]), site, uint32_t(head),
                                    uint32_t(row + test_first_row), uint32_t(column / 8));
  const uint32_t threshold = uint32_t(probability * 65536 + 0.5);
  return dropout_draw(bits, int(column % 8)) >= threshold ? T(65536.0 / (65536.0 - threshold)) : T(0);
}

}  // namespace bough::test
