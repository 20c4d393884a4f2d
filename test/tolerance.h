#pragma once
#include <algorithm>
#include <cmath>

// How far a result may lie from the truth: the one table of the op tests.

namespace bough::test {

/// How exactly a backend computes.
enum class Precision { f64, f32, bf16 };

/// `forward`: allowed beside twice the error of the naive implementation in the same type (bf16: of
/// the one in f32), relative to the largest value of the tensor. The naive error alone would be too
/// strict where it happens to be zero. `gradient`: allowed against the f64 gradient, relative
/// likewise.
struct Tolerance {
  double forward, gradient;
};

inline Tolerance tolerance(Precision precision) {
  switch (precision) {
    case Precision::f64:
      return {1e-12, 1e-11};
    case Precision::f32:
      return {1e-6, 1e-5};
    case Precision::bf16:
      return {1.0 / 128, 1.0 / 64};
  }
  return {};
}

/// Of a gradient against central differences, both f64, step 1e-5; relative to 1 + |gradient|.
constexpr double difference_tolerance = 1e-7;
constexpr double difference_step = 1e-5;

/// Written so that NaN fails: never err > bound.
inline bool is_close(double actual, double expected, double bound) { return std::abs(actual - expected) <= bound; }

}  // namespace bough::test
