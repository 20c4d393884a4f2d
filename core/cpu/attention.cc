#include <algorithm>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/cpu/backend.h"
#include "core/cpu/dropout.h"
#include "core/cpu/lanes.h"
#include "core/cpu/small_product.h"
#include "core/cpu/softmax.h"

// Per sentence and head, with q, k, v of that sentence's rows:
//   s_ij = q_i k_j / sqrt(D),  p_ij = exp(s_ij - lse_i),  o_i = sum_j m_ij p_ij v_j,
// m_ij = 0 or 1/(1-p), dropout's factor. Backwards, with delta_i = sum_j m_ij p_ij (do_i v_j), which is do_i o_i, but
// needs no o from memory:
//   dv_j = sum_i m_ij p_ij do_i,   ds_ij = p_ij (m_ij (do_i v_j) - delta_i) / sqrt(D),
//   dq_i = sum_j ds_ij k_j,        dk_j = sum_i ds_ij q_i.
// One part of the work owns a (sentence, head), so every sum has one owner and a fixed order. The
// matrices of a head are copied into dense ones, padded to whole vectors with zeros; queries go by
// in blocks.

namespace bough {
namespace {

constexpr int64_t query_block = 32;

/// A head's columns of some rows: element (i, d) lies at data[i * stride + d].
template <class T>
struct Rows {
  T* data;
  int64_t stride, rows;
};

template <class T, class Columns>
Rows<T> rows_of(const Columns& c, int64_t begin, int64_t end, int64_t head, int64_t head_dim) {
  const int64_t stride = c.tensor.cols();
  return {c.tensor.template data<T>() + begin * stride + c.first + head * head_dim, stride, end - begin};
}

/// What is the same for all heads and sentences.
template <class T>
struct HeadShape {
  int64_t dim, padded_dim;
  T scale;  ///< 1 / sqrt(D)
  bool is_causal;

  /// The number of keys that query `i` sees.
  int64_t visible(int64_t i, int64_t keys) const { return is_causal ? std::min(i + 1, keys) : keys; }
};

/// Working memory of one thread, grown to the longest sentence seen.
template <class T>
class Scratch {
 public:
  /// `n` elements that stay put until the next reset().
  T* take(int64_t n) {
    const size_t begin = used_;
    used_ += size_t(round_up_to_vector<T>(n));
    return memory_.data() + begin;
  }
  void reset(int64_t total) {
    used_ = 0;
    if (memory_.size() < size_t(total)) memory_.resize(size_t(total));
  }

 private:
  std::vector<T> memory_;
  size_t used_ = 0;
};

/// Copies a head's rows into a dense matrix, every row followed by zeros up to `padded` elements.
template <class T>
void pack(T* to, int64_t padded, const Rows<const T>& from, int64_t dim) {
  for (int64_t i = 0; i < from.rows; ++i) {
    const T* const row = from.data + i * from.stride;
    int64_t d = 0;  // a call of memcpy would take longer than these few vectors
    for (; d + vector_width<T> <= dim; d += vector_width<T>) detail::store(to + i * padded + d, detail::load(row + d));
    for (; d < padded; ++d) to[i * padded + d] = d < dim ? row[d] : T(0);
  }
}

/// The same, transposed: to (dim, padded), keys along the rows.
template <class T>
void pack_transposed(T* to, int64_t padded, const Rows<const T>& from, int64_t dim) {
  constexpr int64_t block = 8;  // padded is a multiple of it, or of 4 doubles
  for (int64_t i = 0; i < padded; i += block) {
    const int64_t columns = std::min(block, padded - i), rows = std::clamp<int64_t>(from.rows - i, 0, columns);
    const T* const first = from.data + i * from.stride;
    int64_t d = 0;
    if constexpr (std::is_same_v<T, float>)
      for (; d + block <= dim; d += block) transpose_block(to + d * padded + i, padded, first + d, from.stride, rows);
    for (; d < dim; ++d)
      for (int64_t r = 0; r < columns; ++r) to[d * padded + i + r] = r < rows ? first[r * from.stride + d] : T(0);
  }
}

template <class T>
void unpack(const Rows<T>& to, const T* from, int64_t padded, int64_t dim, bool adds) {
  for (int64_t i = 0; i < to.rows; ++i) {
    T* const row = to.data + i * to.stride;
    for (int64_t d = 0; d < dim; ++d) row[d] = from[i * padded + d] + (adds ? row[d] : T(0));
  }
}

/// Turns scores into exp(score - lse) over the visible keys and 0 beyond, up to `padded`; returns
/// lse.
template <class T>
T softmax_row(T* s, int64_t visible, int64_t padded, T scale) {
  std::fill(s + visible, s + padded, -std::numeric_limits<T>::infinity());
  const T maximum = largest(s, padded), sum = exponentiate(s, padded, maximum, scale), inverse = T(1) / sum;
  for (int64_t j = 0; j < padded; ++j) s[j] *= inverse;
  return maximum * scale + std::log(sum);
}

template <class T>
struct ForwardHead {
  Rows<const T> q, k, v;
  Rows<T> o, log_sum_exp;     // log_sum_exp: one column
  int64_t head, first_query;  // first_query: row within the batch
};

template <class T>
void attend(const ForwardHead<T>& h, const HeadShape<T>& shape, const DropoutFactors<T>& dropout) {
  thread_local Scratch<T> scratch;
  const int64_t keys = h.k.rows, padded = round_up_to_vector<T>(keys), width = shape.padded_dim;
  scratch.reset(padded * (shape.dim + width + query_block + 1) + query_block * width);
  T* const key = scratch.take(shape.dim * padded);
  T* const value = scratch.take(keys * width);
  T* const p = scratch.take(query_block * padded);
  T* const factors = scratch.take(padded);
  T* const o = scratch.take(query_block * width);
  pack_transposed(key, padded, h.k, shape.dim);
  pack(value, width, h.v, shape.dim);

  for (int64_t begin = 0; begin < h.q.rows; begin += query_block) {
    const int64_t count = std::min(query_block, h.q.rows - begin);
    const int64_t seen = shape.visible(begin + count - 1, keys);  // by the block's last query
    const int64_t columns = round_up_to_vector<T>(seen);
    small_product(p, padded, h.q.data + begin * h.q.stride, h.q.stride, 1, key, padded, count, columns, shape.dim,
                  false);
    for (int64_t i = 0; i < count; ++i) {
      T* const row = p + i * padded;
      h.log_sum_exp.data[(begin + i) * h.log_sum_exp.stride] =
          softmax_row(row, shape.visible(begin + i, keys), columns, shape.scale);
      if (!dropout) continue;
      dropout.fill(factors, h.first_query + begin + i, 0, seen, h.head);
      for (int64_t j = 0; j < seen; ++j) row[j] *= factors[j];
    }
    small_product(o, width, p, padded, 1, value, width, count, width, seen, false);
    unpack({h.o.data + begin * h.o.stride, h.o.stride, count}, o, width, shape.dim, false);
  }
}

template <class T>
struct BackwardHead {
  Rows<const T> q, k, v, d_o, log_sum_exp;
  Rows<T> dq, dk, dv;
  GradMode dq_mode, dk_mode, dv_mode;
  int64_t head, first_query;
};

/// From scores (in p) and do v (in dp): m p in p, and ds in dp; both 0 from `visible` to `padded`. `factors` are finite
/// up to `padded`.
template <class T>
void score_gradient_row(T* p, T* dp, const T* factors, int64_t visible, int64_t padded, T scale, T log_sum_exp) {
  std::fill(p + visible, p + padded, -std::numeric_limits<T>::infinity());
  for (int64_t j = 0; j < padded; ++j) p[j] = math::softmax_exp(p[j] * scale - log_sum_exp);
  if (factors)
    for (int64_t j = 0; j < padded; ++j) dp[j] *= factors[j];
  const T delta = dot(p, dp, padded);
  for (int64_t j = 0; j < padded; ++j) dp[j] = p[j] * (dp[j] - delta) * scale;
  if (factors)
    for (int64_t j = 0; j < padded; ++j) p[j] *= factors[j];
}

/// The dense matrices of one head in the backward pass; (D) is the padded head width.
template <class T>
struct BackwardMatrices {
  T *key, *key_transposed, *value_transposed;  // (keys, D), (dim, padded keys) twice
  T *dk, *dv;                                  // (keys, D)
  T *q, *d_o, *dq;                             // (query_block, D)
  T *p, *dp, *factors;                         // (query_block, padded keys) twice, (padded keys)

  BackwardMatrices(Scratch<T>& s, const HeadShape<T>& shape, int64_t keys) {
    const int64_t padded = round_up_to_vector<T>(keys), width = shape.padded_dim;
    s.reset(padded * (3 * width + 2 * shape.dim + 2 * query_block + 1) + 3 * query_block * width);
    for (T** m : {&key, &dk, &dv}) *m = s.take(padded * width);
    for (T** m : {&key_transposed, &value_transposed}) *m = s.take(padded * shape.dim);
    for (T** m : {&q, &d_o, &dq}) *m = s.take(query_block * width);
    for (T** m : {&p, &dp}) *m = s.take(query_block * padded);
    factors = s.take(padded);
  }
};

template <class T>
Rows<const T> slice(const Rows<const T>& r, int64_t begin, int64_t count) {
  return {r.data + begin * r.stride, r.stride, count};
}

/// p and dp of queries begin .. begin+count: see score_gradient_row.
template <class T>
void score_gradients(const BackwardMatrices<T>& m, const BackwardHead<T>& h, const HeadShape<T>& shape,
                     const DropoutFactors<T>& dropout, int64_t begin, int64_t count, int64_t seen) {
  const int64_t keys = h.k.rows, padded = round_up_to_vector<T>(keys), width = shape.padded_dim;
  const int64_t columns = round_up_to_vector<T>(seen);
  small_product(m.p, padded, m.q, width, 1, m.key_transposed, padded, count, columns, shape.dim, false);
  small_product(m.dp, padded, m.d_o, width, 1, m.value_transposed, padded, count, columns, shape.dim, false);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t visible = shape.visible(begin + i, keys);
    if (dropout) {
      dropout.fill(m.factors, h.first_query + begin + i, 0, visible, h.head);
      std::fill(m.factors + visible, m.factors + columns, T(0));  // what stood there may be NaN, and 0 NaN is NaN
    }
    score_gradient_row(m.p + i * padded, m.dp + i * padded, dropout ? m.factors : nullptr, visible, columns,
                       shape.scale, h.log_sum_exp.data[(begin + i) * h.log_sum_exp.stride]);
  }
}

template <class T>
void attend_backward(const BackwardHead<T>& h, const HeadShape<T>& shape, const DropoutFactors<T>& dropout) {
  thread_local Scratch<T> scratch;
  const int64_t keys = h.k.rows, padded = round_up_to_vector<T>(keys), width = shape.padded_dim;
  const BackwardMatrices<T> m(scratch, shape, keys);
  pack(m.key, width, h.k, shape.dim);
  pack_transposed(m.key_transposed, padded, h.k, shape.dim);
  pack_transposed(m.value_transposed, padded, h.v, shape.dim);
  std::fill_n(m.dk, keys * width, T(0));
  std::fill_n(m.dv, keys * width, T(0));

  for (int64_t begin = 0; begin < h.q.rows; begin += query_block) {
    const int64_t count = std::min(query_block, h.q.rows - begin);
    const int64_t seen = shape.visible(begin + count - 1, keys);
    pack(m.q, width, slice(h.q, begin, count), shape.dim);
    pack(m.d_o, width, slice(h.d_o, begin, count), shape.dim);
    score_gradients(m, h, shape, dropout, begin, count, seen);
    small_product(m.dv, width, m.p, 1, padded, m.d_o, width, seen, width, count, true);
    small_product(m.dk, width, m.dp, 1, padded, m.q, width, seen, width, count, true);
    if (h.dq_mode == GradMode::none) continue;
    small_product(m.dq, width, m.dp, padded, 1, m.key, width, count, width, seen, false);
    unpack({h.dq.data + begin * h.dq.stride, h.dq.stride, count}, m.dq, width, shape.dim, h.dq_mode == GradMode::add);
  }
  if (h.dk_mode != GradMode::none) unpack(h.dk, m.dk, width, shape.dim, h.dk_mode == GradMode::add);
  if (h.dv_mode != GradMode::none) unpack(h.dv, m.dv, width, shape.dim, h.dv_mode == GradMode::add);
}

/// f(sentence, head) for all of them: a whole sentence per part where there are many.
template <class F>
void for_each_head(ThreadPool& pool, int64_t sentences, int64_t heads, const F& f) {
  pool.parallel_for(sentences * heads, sentences >= 16 ? heads : 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i / heads, i % heads);
  });
}

/// Zeros columns [first, first + count) of the rows from `begin` on: rows of no sentence.
template <class T>
void clear_tail(In tensor, int64_t first, int64_t count, int64_t begin) {
  for (int64_t t = begin; t < tensor.rows(); ++t)
    std::fill_n(tensor.data<T>() + t * tensor.cols() + first, count, T(0));
}

template <class T>
HeadShape<T> head_shape(const Columns& q, const Attention& p) {
  const int64_t dim = q.count / p.heads;
  return {dim, round_up_to_vector<T>(dim), T(1.0 / std::sqrt(double(dim))), p.is_causal};
}

}  // namespace

void CpuBackend::attention_impl(Out o, Out log_sum_exp, const Columns& q, const Columns& k, const Columns& v,
                                const Attention& p) {
  dispatch(o.dtype(), [&]<class T>() {
    const HeadShape<T> shape = head_shape<T>(q, p);
    const DropoutFactors<T> dropout(p.dropout);
    const int32_t *queries = p.queries.offsets.data<int32_t>(), *keys = p.keys.offsets.data<int32_t>();
    const Columns outputs = all_columns(o), sums{log_sum_exp, 0, p.heads};
    for_each_head(pool_, p.queries.sentences, p.heads, [&](int64_t s, int64_t head) {
      const int64_t q0 = queries[s], q1 = queries[s + 1], k0 = keys[s], k1 = keys[s + 1];
      attend<T>({rows_of<const T>(q, q0, q1, head, shape.dim), rows_of<const T>(k, k0, k1, head, shape.dim),
                 rows_of<const T>(v, k0, k1, head, shape.dim), rows_of<T>(outputs, q0, q1, head, shape.dim),
                 rows_of<T>(sums, q0, q1, head, 1), head, q0},
                shape, dropout);
    });
    clear_tail<T>(o, 0, o.cols(), queries[p.queries.sentences]);
    clear_tail<T>(log_sum_exp, 0, p.heads, queries[p.queries.sentences]);
  });
}

void CpuBackend::attention_backward_impl(const GradColumns& dq, const GradColumns& dk, const GradColumns& dv, In d_o,
                                         In o, In log_sum_exp, const Columns& q, const Columns& k, const Columns& v,
                                         const Attention& p) {
  dispatch(o.dtype(), [&]<class T>() {
    const HeadShape<T> shape = head_shape<T>(q, p);
    const DropoutFactors<T> dropout(p.dropout);
    const int32_t *queries = p.queries.offsets.data<int32_t>(), *keys = p.keys.offsets.data<int32_t>();
    const Columns upstream = all_columns(d_o), sums{log_sum_exp, 0, p.heads};
    for_each_head(pool_, p.queries.sentences, p.heads, [&](int64_t s, int64_t head) {
      const auto of_query = [&]<class E>(const auto& c, int64_t dim) {
        return rows_of<E>(c, queries[s], queries[s + 1], head, dim);
      };
      const auto of_key = [&]<class E>(const auto& c) { return rows_of<E>(c, keys[s], keys[s + 1], head, shape.dim); };
      attend_backward<T>(
          {of_query.template operator()<const T>(q, shape.dim), of_key.template operator()<const T>(k),
           of_key.template operator()<const T>(v), of_query.template operator()<const T>(upstream, shape.dim),
           of_query.template operator()<const T>(sums, 1), of_query.template operator()<T>(dq, shape.dim),
           of_key.template operator()<T>(dk), of_key.template operator()<T>(dv), dq.mode, dk.mode, dv.mode, head,
           queries[s]},
          shape, dropout);
    });
    if (dq.mode == GradMode::write) clear_tail<T>(dq.tensor, dq.first, dq.count, queries[p.queries.sentences]);
    for (const GradColumns* d : {&dk, &dv})
      if (d->mode == GradMode::write) clear_tail<T>(d->tensor, d->first, d->count, keys[p.keys.sentences]);
  });
}

}  // namespace bough
