#pragma once
#include "core/backend.h"

// What the programs here measure a machine with. Data is random: a product of zeros runs faster than one of numbers.

namespace bough::speed {

/// Fills a floating-point tensor with uniform numbers in [-1, 1), the same 2^20 numbers over and over.
void fill_random(Backend& backend, Out tensor);

/// Seconds that `work` takes, median of `samples`; each ends with an idle backend.
double median_seconds(Backend& backend, int samples, const std::function<void()>& work);

/// FLOP/s of an n x n x n product in the backend's compute type.
double gemm_rate(Backend& backend, int64_t n, int repeats);

}  // namespace bough::speed
