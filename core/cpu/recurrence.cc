#include <algorithm>
#include <vector>

#include "core/cpu/backend.h"
#include "core/cpu/rows.h"
#include "core/math.h"

// With f = sigmoid(u_f + b), c = u_c + f (c' - u_c), c' the one before, and g = dy (c > 0) + what comes from the row
// after:
//   du_c = g (1 - f),  du_f = g (c' - u_c) f (1 - f),  db = sum of du_f,  the row before gets g f.
// One part of the work owns a sentence: every sum has one owner and a fixed order.

namespace bough {
namespace {

/// The next row of a recurrence: c becomes c_t.
template <class T>
void advance(T* y, T* c, const T* u, const T* bias, int64_t columns) {
  for (int64_t i = 0; i < columns; ++i) {
    const T candidate = u[columns + i];
    c[i] = candidate + math::sigmoid(u[i] + bias[i]) * (c[i] - candidate);
    y[i] = std::max(c[i], T(0));
  }
}

/// What every row of ssru_backward reads and writes; `gate_sums`: of the sentence, (C).
template <class T>
struct BackwardRow {
  const T *dy, *c, *before, *u, *bias;  ///< before: c of the row before
  const Grad* du;
  int64_t first;  ///< element of du
};

template <class T>
void retreat(const BackwardRow<T>& row, T* upstream, T* gradient, T* gate_sums, int64_t columns) {
  for (int64_t i = 0; i < columns; ++i) {
    const T f = math::sigmoid(row.u[i] + row.bias[i]);
    const T g = upstream[i] + (row.c[i] > 0 ? row.dy[i] : T(0));
    gradient[i] = g * (row.before[i] - row.u[columns + i]) * f * (1 - f);
    gradient[columns + i] = g * (1 - f);
    gate_sums[i] += gradient[i];
    upstream[i] = g * f;
  }
  deposit<T>(*row.du, row.first, 2 * columns, [&](int64_t i) { return gradient[i]; });
}

}  // namespace

void CpuBackend::ssru_impl(Out y, Out c, In u, In bias, const Packing& rows) {
  dispatch(y.dtype(), [&]<class T>() {
    const int64_t columns = y.cols();
    const int32_t* const offsets = rows.offsets.data<int32_t>();
    pool_.parallel_for(rows.sentences, 1, [&](int64_t begin, int64_t end) {
      auto state = std::vector<T>(size_t(columns));
      for (int64_t s = begin; s < end; ++s) {
        std::fill(state.begin(), state.end(), T(0));
        for (int64_t t = offsets[s]; t < offsets[s + 1]; ++t) {
          advance(y.data<T>() + t * columns, state.data(), u.data<T>() + t * 2 * columns, bias.data<T>(), columns);
          if (c) std::copy(state.begin(), state.end(), c.data<T>() + t * columns);
        }
      }
    });
    const int64_t used = offsets[rows.sentences] * columns;
    std::fill(y.data<T>() + used, y.data<T>() + y.size(), T(0));
    if (c) std::fill(c.data<T>() + used, c.data<T>() + c.size(), T(0));
  });
}

void CpuBackend::ssru_backward_impl(const Grad& du, const Grad& dbias, In dy, In c, In u, In bias,
                                    const Packing& rows) {
  dispatch(dy.dtype(), [&]<class T>() {
    const int64_t columns = dy.cols();
    const int32_t* const offsets = rows.offsets.data<int32_t>();
    const auto zeros = std::vector<T>(size_t(columns));
    auto gate_sums = std::vector<T>(size_t(rows.sentences * columns));
    pool_.parallel_for(rows.sentences, 1, [&](int64_t begin, int64_t end) {
      auto upstream = std::vector<T>(size_t(columns)), gradient = std::vector<T>(size_t(2 * columns));
      for (int64_t s = begin; s < end; ++s) {
        std::fill(upstream.begin(), upstream.end(), T(0));
        for (int64_t t = offsets[s + 1] - 1; t >= offsets[s]; --t) {
          const T* const now = c.data<T>() + t * columns;
          const BackwardRow<T> row{dy.data<T>() + t * columns,
                                   now,
                                   t > offsets[s] ? now - columns : zeros.data(),
                                   u.data<T>() + t * 2 * columns,
                                   bias.data<T>(),
                                   &du,
                                   t * 2 * columns};
          retreat(row, upstream.data(), gradient.data(), gate_sums.data() + s * columns, columns);
        }
      }
    });
    const int64_t used = offsets[rows.sentences] * 2 * columns;
    deposit<T>(du, used, u.size() - used, [](int64_t) { return T(0); });
    deposit<T>(dbias, 0, columns, [&](int64_t i) {
      T sum = 0;
      for (int64_t s = 0; s < rows.sentences; ++s) sum += gate_sums[size_t(s * columns + i)];
      return sum;
    });
  });
}

void CpuBackend::ssru_step_impl(Out y, Out state, In u, In bias, In ancestry, In slots, In steps) {
  dispatch(y.dtype(), [&]<class T>() {
    const int64_t columns = y.cols();
    const auto place = [&](int64_t slot, int64_t t) { return state.data<T>() + (2 * slot + t % 2) * columns; };
    pool_.parallel_for(y.rows(), row_grain(columns), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const int64_t t = steps.data<int32_t>()[r];
        T* const c = place(slots.data<int32_t>()[r], t);
        if (t == 0)
          std::fill_n(c, columns, T(0));
        else
          std::copy_n(place(ancestry.data<int32_t>()[r * ancestry.cols() + t - 1], t - 1), columns, c);
        advance(y.data<T>() + r * columns, c, u.data<T>() + r * 2 * columns, bias.data<T>(), columns);
      }
    });
  });
}

}  // namespace bough
