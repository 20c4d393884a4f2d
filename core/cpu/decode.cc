#include <algorithm>
#include <vector>

#include "core/cpu/backend.h"
#include "core/cpu/softmax.h"

// One decoding step: attention of single queries over cached keys and values, and the choice of the
// best words. A row's result depends on its own data only, never on the rows beside it.

namespace bough {
namespace {

template <class T>
T dot(const T* x, const T* y, int64_t n) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += x[i] * y[i];
  return sum;
}

/// o = softmax(q k^T / sqrt(D)) v for all heads of one query. Key t of head h starts at key(t) + h
/// D, and value(t) likewise.
template <class T, class Key, class Value>
void attend_row(T* o, const T* q, int64_t keys, int64_t heads, int64_t dim, Key key, Value value) {
  thread_local std::vector<T> weights;
  weights.resize(size_t(keys));
  T* const p = weights.data();
  const T scale = T(1.0 / std::sqrt(double(dim)));
  for (int64_t h = 0; h < heads; ++h) {
    const int64_t column = h * dim;
    for (int64_t t = 0; t < keys; ++t) p[t] = dot(q + column, key(t) + column, dim);
    const T sum = exponentiate(p, keys, largest(p, keys), scale);
    T* const out = o + column;
    std::fill_n(out, dim, T(0));
    for (int64_t t = 0; t < keys; ++t) {
      const T weight = p[t] / sum;
      const T* const v = value(t) + column;
      for (int64_t d = 0; d < dim; ++d) out[d] += weight * v[d];
    }
  }
}

template <class T>
struct Candidate {
  T value;
  int32_t id;
};

constexpr int64_t group = 64;  // logits that are compared with the k-th best at once

/// The largest of every group of x[0 .. n), into `groups`; returns the largest of all.
template <class T>
T group_maxima(std::vector<T>& groups, const T* x, int64_t n) {
  groups.clear();
  for (int64_t begin = 0; begin < n; begin += group) groups.push_back(largest(x + begin, std::min(group, n - begin)));
  return *std::max_element(groups.begin(), groups.end());
}

/// The k largest of x[0 .. n), largest first, equal values by smaller id; `banned` is passed over.
/// Almost no group reaches the k-th best, so almost none is looked at.
template <class T>
void select_best(std::vector<Candidate<T>>& best, const std::vector<T>& groups, const T* x, int64_t n, int64_t k,
                 int64_t banned) {
  best.clear();
  const auto offer = [&](int64_t id) {
    if (id == banned || (int64_t(best.size()) == k && !(x[id] > best.back().value))) return;
    if (int64_t(best.size()) == k) best.pop_back();
    auto place = best.end();
    while (place != best.begin() && (place - 1)->value < x[id]) --place;
    best.insert(place, {x[id], int32_t(id)});
  };
  for (size_t g = 0; g < groups.size(); ++g) {
    if (int64_t(best.size()) == k && !(groups[g] > best.back().value)) continue;
    const int64_t begin = int64_t(g) * group;
    for (int64_t i = begin; i < std::min(n, begin + group); ++i) offer(i);
  }
}

}  // namespace

void CpuBackend::self_attention_step_impl(Out o, Out cache, In qkv, In ancestry, In slots, In steps, int64_t heads) {
  dispatch(o.dtype(), [&]<class T>() {
    const int64_t rows = qkv.rows(), width = qkv.cols() / 3, length = cache.shape()[1];
    const int32_t *slot = slots.data<int32_t>(), *step = steps.data<int32_t>();
    T* const memory = cache.data<T>();
    const auto entry = [&](int64_t s, int64_t t) { return memory + (s * length + t) * 2 * width; };
    // All rows write before any reads: a row may attend over what another has written.
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(qkv.data<T>() + r * 3 * width + width, 2 * width, entry(slot[r], step[r]));
    pool_.parallel_for(rows, 4, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const int32_t* const ancestors = ancestry.data<int32_t>() + r * ancestry.cols();
        attend_row(
            o.data<T>() + r * width, qkv.data<T>() + r * 3 * width, step[r] + 1, heads, width / heads,
            [&](int64_t t) { return entry(ancestors[t], t); },
            [&](int64_t t) { return entry(ancestors[t], t) + width; });
      }
    });
  });
}

void CpuBackend::cross_attention_step_impl(Out o, In q, const Columns& k, const Columns& v, In offsets, In sentences,
                                           int64_t heads) {
  dispatch(o.dtype(), [&]<class T>() {
    const int64_t width = q.cols();
    const int32_t *first = offsets.data<int32_t>(), *sentence = sentences.data<int32_t>();
    pool_.parallel_for(q.rows(), 4, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const int64_t key0 = first[sentence[r]], keys = first[sentence[r] + 1] - key0;
        attend_row(
            o.data<T>() + r * width, q.data<T>() + r * width, keys, heads, width / heads,
            [&](int64_t t) { return k.tensor.data<T>() + (key0 + t) * k.tensor.cols() + k.first; },
            [&](int64_t t) { return v.tensor.data<T>() + (key0 + t) * v.tensor.cols() + v.first; });
      }
    });
  });
}

void CpuBackend::log_softmax_top_k_impl(Out scores, Out ids, In logits, int64_t vocabulary, int64_t k,
                                        int64_t banned_id) {
  check(k >= 1 && k + (banned_id >= 0 && banned_id < vocabulary) <= vocabulary,
        "log_softmax_top_k: the {} best of {} words", k, vocabulary);
  dispatch(logits.dtype(), [&]<class T>() {
    pool_.parallel_for(logits.rows(), 2, [&](int64_t begin, int64_t end) {
      std::vector<Candidate<T>> best;
      std::vector<T> groups;
      for (int64_t r = begin; r < end; ++r) {
        const T* const x = logits.data<T>() + r * logits.cols();
        const T maximum = group_maxima(groups, x, vocabulary);
        const T normalizer = maximum + std::log(sum_of_exponentials(x, vocabulary, maximum));
        select_best(best, groups, x, vocabulary, k, banned_id);
        for (int64_t i = 0; i < k; ++i) {
          scores.data<T>()[r * k + i] = best[size_t(i)].value - normalizer;
          ids.data<int32_t>()[r * k + i] = best[size_t(i)].id;
        }
      }
    });
  });
}

}  // namespace bough
