#pragma once
#include <cstdint>

namespace bough {

/// a / b, rounded up; a >= 0, b > 0.
constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// The smallest multiple of `multiple` that is at least n.
constexpr int64_t round_up(int64_t n, int64_t multiple) { return divide_up(n, multiple) * multiple; }

}  // namespace bough
