#pragma once
#include <memory>

#include "core/backend.h"

namespace bough {

/// The CPU: f32, or f64 for tests. `threads` fixes the work split, and with it the bits of a result.
std::unique_ptr<Backend> make_cpu_backend(int threads, DType compute_dtype = DType::f32);

}  // namespace bough
