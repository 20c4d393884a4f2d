#include <algorithm>
#include <functional>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "core/base/rounding.h"
#include "core/cpu/backend.h"
#include "core/cpu/lanes.h"
#include "core/cpu/softmax.h"

// One decoding step: attention of single queries over cached keys and values, and the choice of the
// best words. A row's result depends on its own data only, never on the rows beside it.

namespace bough {
namespace {

/// total() of several vectors: lane i is that of part[i].
template <class T>
[[gnu::always_inline]] inline Lanes<T> totals(const Lanes<T> (&part)[lanes<T>]) {
  Lanes<T> sums{};
  for (int64_t i = 0; i < lanes<T>; ++i) sums[i] = total<T>(part[i]);
  return sums;
}
template <>
[[gnu::always_inline]] inline Lanes<float> totals<float>(const Lanes<float> (&part)[8]) {
  using Vector = Lanes<float>;
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
    using Vector = Lanes<T>;
    for (int64_t h = 0; h < width_; h += lanes<T>) {
      Vector most = load_lanes(at(row, 0) + h);
      for (int64_t t = 1; t < keys_; ++t) {
        const Vector w = load_lanes(at(row, t) + h);
        most = most < w ? w : most;
      }
      for (int64_t t = 0; t < keys_; ++t) store_lanes<T>(at(row, t) + h, (load_lanes(at(row, t) + h) - most) * scale);
    }
    T* const all = at(row, 0);
#pragma omp simd
    for (int64_t i = 0; i < keys_ * width_; ++i) all[i] = math::softmax_exp(all[i]);
    for (int64_t h = 0; h < width_; h += lanes<T>) {
      Vector sum{};
      for (int64_t t = 0; t < keys_; ++t) sum += load_lanes(at(row, t) + h);
      const Vector inverse = T(1) / sum;
      for (int64_t t = 0; t < keys_; ++t) store_lanes<T>(at(row, t) + h, load_lanes(at(row, t) + h) * inverse);
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
[[gnu::always_inline]] inline Lanes<T> dots(const T* q, const T* k, int64_t count, int64_t width) {
  using Vector = Lanes<T>;
  const int64_t dim = W > 0 ? W : width, whole = dim / lanes<T> * lanes<T>;
  Vector part[lanes<T>] = {};
  const auto multiply = [&](int64_t h) {
    for (int64_t d = h * dim; d < h * dim + whole; d += lanes<T>) part[h] += load_lanes(q + d) * load_lanes(k + d);
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
  using Vector = Lanes<T>;
  constexpr int64_t block = W > 0 ? W / lanes<T> : 1;  // vectors of the sum that stay in registers
  const int64_t dim = W > 0 ? W : width, whole = dim / lanes<T> * lanes<T>;
  for (int64_t d = 0; d < whole; d += block * lanes<T>) {
    Vector sum[block];
    for (int64_t i = 0; i < block; ++i) sum[i] = load_lanes(o + d + i * lanes<T>);
    for (int64_t t = t0; t < t1; ++t) {
      const T w = weight(t);
      const T* const v = value(t) + d;
      for (int64_t i = 0; i < block; ++i) sum[i] += w * load_lanes(v + i * lanes<T>);
    }
    for (int64_t i = 0; i < block; ++i) store_lanes<T>(o + d + i * lanes<T>, sum[i]);
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
        store_lanes<T>(weights.at(r, t) + h, dots<W>(s.q + r * s.stride + h * dim, k + h * dim, heads - h, dim));
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
      Lanes<T> sum{};
      for (int64_t d = 0; d < whole; d += lanes<T>) sum += load_lanes(in + d) * load_lanes(weights + d);
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
  bool operator<(const Candidate& other) const {
    return value > other.value || (value == other.value && id < other.id);
  }
};

/// The k best words of a row of logits: the largest first, equal ones by id; `banned` is passed over. In blocks, of
/// which each keeps the largest in each of its lanes: few blocks, and few lanes of theirs, reach the k-th best.
template <class T>
class BestWords {
 public:
  BestWords(int64_t k, int64_t banned) : k_(size_t(k)), banned_(banned) {}

  /// Reads x[0 .. n); returns the largest. x must stay until best() is called.
  T read(const T* x, int64_t n) {
    x_ = x;
    n_ = n;
    lane_maxima_.clear();
    block_maxima_.clear();
    int64_t i = 0;
    for (; i + block <= n; i += block) add_block(x + i);
    if (i < n) {
      std::fill(std::copy(x + i, x + n, rest_), rest_ + block, -std::numeric_limits<T>::infinity());
      add_block(rest_);
    }
    return *std::max_element(block_maxima_.begin(), block_maxima_.end());
  }

  const std::vector<Candidate<T>>& best() {
    best_.clear();
    const T threshold = lower_bound();
    for (size_t b = 0; b < block_maxima_.size(); ++b)
      if (block_maxima_[b] >= threshold)
        for (int64_t lane = 0; lane < lanes<T>; ++lane)
          if (lane_maxima_[b * lanes<T> + size_t(lane)] >= threshold)
            for (int64_t i = int64_t(b) * block + lane; i < std::min(n_, int64_t(b + 1) * block); i += lanes<T>)
              if (x_[i] >= threshold) offer(int32_t(i));
    // Numbers that are none are not counted above.
    for (int32_t i = 0; best_.size() < k_; ++i)
      if (i != banned_ && std::none_of(best_.begin(), best_.end(), [&](const auto& c) { return c.id == i; }))
        best_.push_back({x_[i], i});
    return best_;
  }

 private:
  static constexpr int64_t block = 32 * lanes<T>;

  void add_block(const T* x) {
    Lanes<T> first = load_lanes(x), second = load_lanes(x + lanes<T>);
    for (int64_t i = 2 * lanes<T>; i < block; i += 2 * lanes<T>) {
      first = larger<T>(load_lanes(x + i), first);
      second = larger<T>(load_lanes(x + i + lanes<T>), second);
    }
    first = larger<T>(second, first);
    const size_t end = lane_maxima_.size();
    lane_maxima_.resize(end + size_t(lanes<T>));
    store_lanes<T>(&lane_maxima_[end], first);
    block_maxima_.push_back(fold<T>(first, larger<T>));
  }

  /// The k best are at least this: as many words have it, and the banned one. Of blocks, or of lanes where those are
  /// few.
  T lower_bound() {
    const size_t count = k_ + (banned_ >= 0 && banned_ < n_);
    const std::vector<T>& maxima = block_maxima_.size() >= count ? block_maxima_ : lane_maxima_;
    if (maxima.size() < count) return -std::numeric_limits<T>::infinity();
    sorted_.resize(count);
    std::partial_sort_copy(maxima.begin(), maxima.end(), sorted_.begin(), sorted_.end(), std::greater<T>());
    return sorted_.back();
  }

  void offer(int32_t id) {
    const Candidate<T> candidate{x_[id], id};
    if (id == banned_ || (best_.size() == k_ && !(candidate < best_.back()))) return;
    if (best_.size() == k_) best_.pop_back();
    best_.insert(std::upper_bound(best_.begin(), best_.end(), candidate), candidate);
  }

  size_t k_;
  int64_t banned_, n_ = 0;
  const T* x_ = nullptr;
  T rest_[block];
  std::vector<T> lane_maxima_, block_maxima_, sorted_;
  std::vector<Candidate<T>> best_;
};

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
      BestWords<T> words(k, banned_id);
      for (int64_t r = begin; r < end; ++r) {
        const T* const x = logits.data<T>() + r * logits.cols();
        const T maximum = words.read(x, vocabulary);
        const T normalizer = skips_softmax ? T(0) : maximum + std::log(sum_of_exponentials(x, vocabulary, maximum));
        const std::vector<Candidate<T>>& best = words.best();
        for (int64_t i = 0; i < k; ++i) {
          scores.data<T>()[r * k + i] = best[size_t(i)].value - normalizer;
          ids.data<int32_t>()[r * k + i] = best[size_t(i)].id;
        }
      }
    });
  });
}

}  // namespace bough
