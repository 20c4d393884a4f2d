// y[t] = dropout(word[t] scale table[ids[t]] + position_table[positions[t]]), and the gradients of
// both tables.
#include "core/base/special_ids.h"
#include "core/cpu/backend.h"
#include "core/cpu/dropout.h"
#include "core/cpu/rows.h"

namespace bough {
namespace {

template <class T>
void forward(ThreadPool& pool, Out y, In table, In position_table, In ids, In positions, double scale,
             const Dropout& word, const Dropout& dropout) {
  const int64_t C = y.cols();
  const DropoutFactors<T> words(word), elements(dropout);
  pool.parallel_for(y.rows(), row_grain(C), [&](int64_t begin, int64_t end) {
    std::vector<T> factor(size_t(C), T(0));
    for (int64_t row = begin; row < end; ++row) {
      T* out = y.data<T>() + row * C;
      std::fill_n(out, C, T(0));
      const int32_t id = ids.data<int32_t>()[row];
      if (id < 0 && id != start_id) continue;
      if (id >= 0) {
        check(id < table.rows(), "embedding: id {} is outside the vocabulary of {}", id, table.rows());
        const T* vector = table.data<T>() + id * C;
        const T weight = words.first_of_row(row) * T(scale);
        for (int64_t c = 0; c < C; ++c) out[c] = weight * vector[c];
      }
      if (position_table) {
        const int32_t place = positions.data<int32_t>()[row];
        check(place >= 0 && place < position_table.rows(), "embedding: position {} is outside the table of {}", place,
              position_table.rows());
        const T* vector = position_table.data<T>() + place * C;
        for (int64_t c = 0; c < C; ++c) out[c] += vector[c];
      }
      if (!elements) continue;
      elements.fill(factor.data(), row, 0, C);
      for (int64_t c = 0; c < C; ++c) out[c] *= factor[size_t(c)];
    }
  });
}

/// The rows that have the same id are one run of `order`; whoever gets a run's first row sums all
/// of it.
template <class T>
void table_backward(ThreadPool& pool, const Grad& dtable, In dy, In ids, In order, double scale,
                    const DropoutFactors<T>& words, const DropoutFactors<T>& elements) {
  const int64_t C = dy.cols(), rows = order.size();
  const int32_t *id = ids.data<int32_t>(), *sorted = order.data<int32_t>();
  T* const out = dtable.tensor.data<T>();
  if (dtable.mode == GradMode::write)
    pool.parallel_for(dtable.tensor.size(), 65536,
                      [&](int64_t begin, int64_t end) { std::fill(out + begin, out + end, T(0)); });
  pool.parallel_for(rows, row_grain(C), [&](int64_t begin, int64_t end) {
    std::vector<T> sum(size_t(C), T(0)), factor(size_t(C), T(0));
    for (int64_t first = begin; first < end; ++first) {
      const int32_t run = id[sorted[first]];
      if (run < 0 || (first > 0 && id[sorted[first - 1]] == run)) continue;
      std::fill(sum.begin(), sum.end(), T(0));
      for (int64_t i = first; i < rows && id[sorted[i]] == run; ++i) {
        const int64_t row = sorted[i];
        const T* g = dy.data<T>() + row * C;
        const T weight = words.first_of_row(row) * T(scale);
        elements.fill(factor.data(), row, 0, C);
        for (int64_t c = 0; c < C; ++c) sum[size_t(c)] += weight * factor[size_t(c)] * g[c];
      }
      for (int64_t c = 0; c < C; ++c) out[run * C + c] += sum[size_t(c)];
    }
  });
}

/// Owners have columns here, and go through all rows: a column of every position is summed in row
/// order.
template <class T>
void position_backward(ThreadPool& pool, const Grad& dposition_table, In dy, In ids, In positions,
                       const DropoutFactors<T>& elements) {
  const int64_t C = dy.cols(), L = dposition_table.tensor.rows();
  pool.parallel_for(C, 64, [&](int64_t begin, int64_t end) {
    std::vector<T> factor(size_t(end - begin)), sum(size_t(L * (end - begin)));
    for (int64_t row = 0; row < dy.rows(); ++row) {
      const int32_t id = ids.data<int32_t>()[row];
      if (id < 0 && id != start_id) continue;
      const T* g = dy.data<T>() + row * C + begin;
      T* into = sum.data() + positions.data<int32_t>()[row] * (end - begin);
      elements.fill(factor.data(), row, begin, end - begin);
      for (int64_t c = 0; c < end - begin; ++c) into[c] += factor[size_t(c)] * g[c];
    }
    for (int64_t place = 0; place < L; ++place) {
      const T* from = sum.data() + place * (end - begin);
      deposit<T>(dposition_table, place * C + begin, end - begin, [&](int64_t c) { return from[c]; });
    }
  });
}

}  // namespace

void CpuBackend::embedding_impl(Out y, In table, In position_table, In ids, In positions, double scale,
                                const Dropout& word, const Dropout& dropout) {
  dispatch(y.dtype(),
           [&]<class T>() { forward<T>(pool_, y, table, position_table, ids, positions, scale, word, dropout); });
}

void CpuBackend::embedding_backward_impl(const Grad& dtable, const Grad& dposition_table, In dy, In ids, In positions,
                                         In order, In, double scale, const Dropout& word, const Dropout& dropout) {
  check(!dtable || (order && order.size() == ids.size()),
        "embedding: the gradient of the table needs the rows sorted by id");
  dispatch(dy.dtype(), [&]<class T>() {
    const DropoutFactors<T> words(word), elements(dropout);
    if (dtable) table_backward<T>(pool_, dtable, dy, ids, order, scale, words, elements);
    if (dposition_table) position_backward<T>(pool_, dposition_table, dy, ids, positions, elements);
  });
}

}  // namespace bough
