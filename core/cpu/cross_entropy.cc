#include <algorithm>
#include <bit>

#include "core/cpu/backend.h"
#include "core/cpu/softmax.h"

// loss = -(1-e) log p(y) - e/V sum_v log p(v) = log sum_v exp(x_v) - (1-e) x_y - e/V sum_v x_v,
// d loss / d x_v = p(v) - (1-e) [v = y] - e/V, both times the row's weight.  A row stays in the cache between its three
// passes.

namespace bough {
namespace {

template <class T>
T row_loss(T* x, int64_t columns, int32_t label, T weight, T smoothing, int64_t vocabulary, bool with_gradient) {
  if (label < 0) {
    if (with_gradient) std::fill_n(x, columns, T(0));
    return 0;
  }
  const T label_logit = x[label], uniform = smoothing / T(vocabulary);
  const T maximum = largest(x, vocabulary), logits = sum_of(x, vocabulary);
  T sum;
  if (with_gradient) {
    sum = exponentiate(x, vocabulary, maximum);
    const T inverse = weight / sum, taken = weight * uniform;
    for (int64_t i = 0; i < vocabulary; ++i) x[i] = x[i] * inverse - taken;
    x[label] -= weight * (T(1) - smoothing);
    std::fill(x + vocabulary, x + columns, T(0));
  } else {
    sum = sum_of_exponentials(x, vocabulary, maximum);
  }
  return weight * (maximum + std::log(sum) - (T(1) - smoothing) * label_logit - uniform * logits);
}

}  // namespace

void CpuBackend::cross_entropy_impl(Out loss, Out logits, In labels, In weights, double smoothing, int64_t vocabulary,
                                    bool with_gradient) {
  dispatch(logits.dtype(), [&]<class T>() {
    const int64_t columns = logits.cols();
    const int32_t* label = labels.data<int32_t>();
    const int32_t* weight = weights ? weights.data<int32_t>() : nullptr;
    pool_.parallel_for(logits.rows(), 8, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t)
        loss.data<T>()[t] =
            row_loss(logits.data<T>() + t * columns, columns, label[t],
                     weight ? T(std::bit_cast<float>(weight[t])) : T(1), T(smoothing), vocabulary, with_gradient);
    });
  });
}

}  // namespace bough
