#include <algorithm>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "core/base/rounding.h"
#include "core/cpu/backend.h"
#include "core/cpu/softmax.h"

// One decoding step: attention of single queries over cached keys and values, and the choice of the
// best words. A row's result depends on its own data only, never on the rows beside it.

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors never cross a call that is not inlined

namespace bough {
namespace {

/// 32 bytes of a row: the order of sums is the same on every machine.
template <class T>
struct Lanes;
template <>
struct Lanes<float> {
  using type [[gnu::vector_size(32)]] = float;
};
template <>
struct Lanes<double> {
  using type [[gnu::vector_size(32)]] = double;
};
template <class T>
constexpr int64_t lanes = 32 / int64_t(sizeof(T));

template <class T>
typename Lanes<T>::type load(const T* from) {
  typename Lanes<T>::type v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <class T>
void store(T* to, const typename Lanes<T>::type& v) {
  std::memcpy(to, &v, sizeof v);
}

/// Sum of all lanes, halves first.
template <class T>
T total(typename Lanes<T>::type v) {
  for (int64_t half = lanes<T> / 2; half > 0; half /= 2)
    for (int64_t i = 0; i < half; ++i) v[i] += v[i + half];
  return v[0];
}

/// total() of several vectors: lane i is that of part[i].
template <class T>
[[gnu::always_inline]] inline typename Lanes<T>::type totals(const typename Lanes<T>::type (&part)[lanes<T>]) {
  typename Lanes<T>::type sums{};
  for (int64_t i = 0; i < lanes<T>; ++i) sums[i] = total<T>(part[i]);
  return sums;
}
template <>
[[gnu::always_inline]] inline Lanes<float>::type totals<float>(const Lanes<float>::type (&part)[8]) {
  using Vector = Lanes<float>::type;
  Vector two[4], four[2];  // each holds the sums of two parts, of four
  for (int i = 0; i < 4; ++i)
    two[i] = __builtin_shufflevector(part[i], part[i + 4], 0, 1, 2, 3, 8, 9, 10, 11) +
             __builtin_shufflevector(part[i], part[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  for (int i = 0; i < 2; ++i)
    four[i] = __builtin_shufflevector(two[2 * i], two[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13) +
              __builtin_shufflevector(two[2 * i], two[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
  return __builtin_shufflevector(four[0], four[1], 0, 2, 8, 10, 4, 6, 12, 14) +
         __builtin_shufflevector(four[0], four[1], 1, 3, 9, 11, 5, 7, 13, 15);
}

/// Queries of a few rows that see the same keys, and where their results go.
template <class T>
struct Queries {
  const T* q;
  T* o;
  int64_t stride, rows;  ///< of both
};

constexpr int64_t most_queries = 4;

/// The weights of a few rows: those of a key lie side by side, one a head and filled up to whole vectors.
template <class T>
class HeadWeights {
 public:
  HeadWeights(int64_t rows, int64_t keys, int64_t heads) : keys_(keys), width_(round_up(heads, lanes<T>)) {
    thread_local std::vector<T> memory;
    memory.resize(std::max(memory.size(), size_t(rows * keys * width_)));
    weights_ = memory.data();
  }
  int64_t width() const { return width_; }
  T* at(int64_t row, int64_t key) { return weights_ + (row * keys_ + key) * width_; }

  /// w <- softmax(scale w) over the keys of a row.
  void normalize(int64_t row, T scale) {
    using Vector = typename Lanes<T>::type;
    for (int64_t h = 0; h < width_; h += lanes<T>) {
      Vector most = load(at(row, 0) + h);
      for (int64_t t = 1; t < keys_; ++t) {
        const Vector w = load(at(row, t) + h);
        most = most < w ? w : most;
      }
      for (int64_t t = 0; t < keys_; ++t) store<T>(at(row, t) + h, (load(at(row, t) + h) - most) * scale);
    }
    T* const all = at(row, 0);
#pragma omp simd
    for (int64_t i = 0; i < keys_ * width_; ++i) all[i] = math::softmax_exp(all[i]);
    for (int64_t h = 0; h < width_; h += lanes<T>) {
      Vector sum{};
      for (int64_t t = 0; t < keys_; ++t) sum += load(at(row, t) + h);
      const Vector inverse = T(1) / sum;
      for (int64_t t = 0; t < keys_; ++t) store<T>(at(row, t) + h, load(at(row, t) + h) * inverse);
    }
  }

 private:
  int64_t keys_, width_;
  T* weights_;
};

template <class F, int64_t... I>
[[gnu::always_inline]] inline void unroll(F f, std::integer_sequence<int64_t, I...>) {
  (f(I), ...);
}

/// Products of `count` heads of a query and a key, which lie `dim` columns apart. W: dim, or 0 where it is not known to
/// the compiler.
template <int64_t W, class T>
[[gnu::always_inline]] inline typename Lanes<T>::type dots(const T* q, const T* k, int64_t count, int64_t width) {
  using Vector = typename Lanes<T>::type;
  const int64_t dim = W > 0 ? W : width, whole = dim / lanes<T> * lanes<T>;
  Vector part[lanes<T>] = {};
  const auto multiply = [&](int64_t h) {
    for (int64_t d = h * dim; d < h * dim + whole; d += lanes<T>) part[h] += load(q + d) * load(k + d);
  };
  // Without branches, one head's sum need not wait for another's.
  if (W > 0 && count >= lanes<T>)
    unroll(multiply, std::make_integer_sequence<int64_t, lanes<T>>());
  else if (W > 0 && count == lanes<T> / 2)
    unroll(multiply, std::make_integer_sequence<int64_t, lanes<T> / 2>());
  else
    for (int64_t h = 0; h < std::min(count, lanes<T>); ++h) multiply(h);
  Vector result = totals<T>(part);
  if (whole < dim)
    for (int64_t h = 0; h < std::min(count, lanes<T>); ++h)
      for (int64_t d = h * dim + whole; d < (h + 1) * dim; ++d) result[h] += q[d] * k[d];
  return result;
}

/// o += w(t) v(t), t = t0 .. t1-1, for `dim` columns.
template <int64_t W, class T, class Weight, class Value>
void add_weighted(T* o, int64_t width, int64_t t0, int64_t t1, Weight weight, Value value) {
  using Vector = typename Lanes<T>::type;
  constexpr int64_t block = W > 0 ? W / lanes<T> : 1;  // vectors of the sum that stay in registers
  const int64_t dim = W > 0 ? W : width, whole = dim / lanes<T> * lanes<T>;
  for (int64_t d = 0; d < whole; d += block * lanes<T>) {
    Vector sum[block];
    for (int64_t i = 0; i < block; ++i) sum[i] = load(o + d + i * lanes<T>);
    for (int64_t t = t0; t < t1; ++t) {
      const T w = weight(t);
      const T* const v = value(t) + d;
      for (int64_t i = 0; i < block; ++i) sum[i] += w * load(v + i * lanes<T>);
    }
    for (int64_t i = 0; i < block; ++i) store<T>(o + d + i * lanes<T>, sum[i]);
  }
  for (int64_t d = whole; d < dim; ++d)
    for (int64_t t = t0; t < t1; ++t) o[d] += weight(t) * value(t)[d];
}

/// o = softmax(q k^T / sqrt(D)) v for every head. key(t) and value(t) are rows of H D columns: each is read from
/// beginning to end once, as it lies in memory.
template <int64_t W, class T, class Key, class Value>
void attend(const Queries<T>& s, int64_t keys, int64_t heads, int64_t dim, Key key, Value value) {
  constexpr int64_t most_keys = 4;  // values at a time: results are loaded and stored less often
  HeadWeights<T> weights(s.rows, keys, heads);
  for (int64_t t = 0; t < keys; ++t) {
    const T* const k = key(t);
    for (int64_t r = 0; r < s.rows; ++r)
      for (int64_t h = 0; h < weights.width(); h += lanes<T>)
        store<T>(weights.at(r, t) + h, dots<W>(s.q + r * s.stride + h * dim, k + h * dim, heads - h, dim));
  }
  for (int64_t r = 0; r < s.rows; ++r) {
    weights.normalize(r, T(1.0 / std::sqrt(double(dim))));
    std::fill_n(s.o + r * s.stride, heads * dim, T(0));
  }
  for (int64_t t = 0; t < keys; t += most_keys)
    for (int64_t r = 0; r < s.rows; ++r)
      for (int64_t h = 0; h < heads; ++h)
        add_weighted<W>(
            s.o + r * s.stride + h * dim, dim, t, std::min(keys, t + most_keys),
            [&](int64_t i) { return weights.at(r, i)[h]; }, [&](int64_t i) { return value(i) + h * dim; });
}

template <class T, class Key, class Value>
void attend(const Queries<T>& s, int64_t keys, int64_t heads, int64_t dim, Key key, Value value) {
  if (dim == 64)
    attend<64>(s, keys, heads, dim, key, value);
  else if (dim == 32)
    attend<32>(s, keys, heads, dim, key, value);
  else
    attend<0>(s, keys, heads, dim, key, value);
}

/// The words that a sentence may have, and rows [first, first + rows) of x that ask for them.
struct ListedRows {
  std::span<const int32_t> words;
  int64_t first, rows;
};

/// compute(listed) for rows [begin, end): those of a sentence at once.
template <class Compute>
void for_each_list(In offsets, In ids, In sentences, int64_t begin, int64_t end, const Compute& compute) {
  const int32_t *first = offsets.data<int32_t>(), *sentence = sentences.data<int32_t>();
  for (int64_t r = begin, rows; r < end; r += rows) {
    rows = 1;  // beams of a sentence lie side by side
    while (r + rows < end && sentence[r + rows] == sentence[r]) ++rows;
    compute(
        ListedRows{{ids.data<int32_t>() + first[sentence[r]], ids.data<int32_t>() + first[sentence[r] + 1]}, r, rows});
  }
}

/// The logits of rows that have the same words: those rows of the table are read once.
template <class T>
void list_logits(Out logits, In x, In table, In bias, const ListedRows& listed) {
  const int64_t columns = x.cols(), whole = columns / lanes<T> * lanes<T>, length = logits.cols();
  for (size_t j = 0; j < listed.words.size(); ++j) {
    const int32_t word = listed.words[j];
    const T* const weights = table.data<T>() + word * columns;
    for (int64_t i = listed.first; i < listed.first + listed.rows; ++i) {
      const T* const in = x.data<T>() + i * columns;
      typename Lanes<T>::type sum{};
      for (int64_t d = 0; d < whole; d += lanes<T>) sum += load(in + d) * load(weights + d);
      T dot = total<T>(sum);
      for (int64_t d = whole; d < columns; ++d) dot += in[d] * weights[d];
      logits.data<T>()[i * length + int64_t(j)] = dot + (bias ? bias.data<T>()[word] : T(0));
    }
  }
}

/// The same in 8 bits.
void list_logits(const Int8Kernels& kernels, Out logits, const Int8Rows& x, const Int8Weight& table, In bias,
                 const ListedRows& listed) {
  kernels.multiply_words({.rows = listed.rows,
                          .words = int64_t(listed.words.size()),
                          .width = x.width,
                          .x = x.bytes + listed.first * x.width,
                          .row_scales = x.scales + listed.first,
                          .table = table.bytes.data()->byte,
                          .table_scales = table.scales.data(),
                          .ids = listed.words.data(),
                          .bias = bias ? bias.data<float>() : nullptr,
                          .c = logits.data<float>() + listed.first * logits.cols(),
                          .ldc = logits.cols()});
}

/// Columns that no word of the list has.
template <class T>
void fill_unlisted(Out logits, const ListedRows& listed) {
  const int64_t length = logits.cols();
  for (int64_t i = listed.first; i < listed.first + listed.rows; ++i)
    std::fill(logits.data<T>() + i * length + int64_t(listed.words.size()), logits.data<T>() + (i + 1) * length,
              T(unlisted_logit));
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

void CpuBackend::listed_logits_impl(Out logits, In x, In table, In bias, In offsets, In ids, In sentences) {
  const KeptForm* const kept = packed_weights_->find(table.data<void>(), table.rows(), table.cols(), true);
  Int8Rows int8_x{};
  if (kept) int8_x = quantize_rows(pool_, *int8_kernels_, *kept->int8, x);
  dispatch(logits.dtype(), [&]<class T>() {
    pool_.parallel_for(x.rows(), most_queries, [&](int64_t begin, int64_t end) {
      for_each_list(offsets, ids, sentences, begin, end, [&](const ListedRows& listed) {
        kept ? list_logits(*int8_kernels_, logits, int8_x, *kept->int8, bias, listed)
             : list_logits<T>(logits, x, table, bias, listed);
        fill_unlisted<T>(logits, listed);
      });
    });
  });
}

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
        attend(
            Queries<T>{qkv.data<T>() + r * 3 * width, o.data<T>() + r * width, 0, 1}, step[r] + 1, heads, width / heads,
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
    pool_.parallel_for(q.rows(), most_queries, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin, rows; r < end; r += rows) {
        rows = 1;  // beams of a sentence lie side by side
        while (r + rows < end && sentence[r + rows] == sentence[r]) ++rows;
        const int64_t key0 = first[sentence[r]], keys = first[sentence[r] + 1] - key0;
        attend(
            Queries<T>{q.data<T>() + r * width, o.data<T>() + r * width, width, rows}, keys, heads, width / heads,
            [&](int64_t t) { return k.tensor.data<T>() + (key0 + t) * k.tensor.cols() + k.first; },
            [&](int64_t t) { return v.tensor.data<T>() + (key0 + t) * v.tensor.cols() + v.first; });
      }
    });
  });
}

void CpuBackend::log_softmax_top_k_impl(Out scores, Out ids, In logits, int64_t vocabulary, int64_t k,
                                        int64_t banned_id, bool skips_softmax) {
  check(k >= 1 && k + (banned_id >= 0 && banned_id < vocabulary) <= vocabulary,
        "log_softmax_top_k: the {} best of {} words", k, vocabulary);
  dispatch(logits.dtype(), [&]<class T>() {
    pool_.parallel_for(logits.rows(), 2, [&](int64_t begin, int64_t end) {
      std::vector<Candidate<T>> best;
      std::vector<T> groups;
      for (int64_t r = begin; r < end; ++r) {
        const T* const x = logits.data<T>() + r * logits.cols();
        const T maximum = group_maxima(groups, x, vocabulary);
        const T normalizer = skips_softmax ? T(0) : maximum + std::log(sum_of_exponentials(x, vocabulary, maximum));
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
