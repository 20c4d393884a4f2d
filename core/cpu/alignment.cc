#include <algorithm>
#include <vector>

#include "core/cpu/backend.h"
#include "core/cpu/lanes.h"
#include "core/cpu/softmax.h"

// With s_j = q k_j / sqrt(D) and p_j = exp(s_j - lse) of a query, and its n points j:
//   loss = -w/n sum log(p_j + e),  g_j = dloss w/n p_j / (p_j + e) for each point, 0 elsewhere,
//   ds_j = p_j sum(g) - g_j,       dq = sum_j ds_j k_j / sqrt(D),  dk_j = sum over queries of ds_j q / sqrt(D).
// One part of the work owns a sentence: every sum has one owner and a fixed order.

namespace bough {
namespace {

/// The keys of one sentence: element (j, d) lies at data[j * stride + d].
template <class T>
struct Keys {
  const T* data;
  int64_t stride, count, dim;
  T scale;  ///< 1 / sqrt(D)

  Keys(const Columns& k, int64_t begin, int64_t end)
      : data(k.tensor.data<T>() + begin * k.tensor.cols() + k.first),
        stride(k.tensor.cols()),
        count(end - begin),
        dim(k.count),
        scale(T(1.0 / std::sqrt(double(k.count)))) {}
  const T* row(int64_t j) const { return data + j * stride; }
  T score(const T* q, int64_t j) const { return dot(q, row(j), dim) * scale; }
};

/// Fills `scores` with those of a query; returns their log sum exp.
template <class T>
T score_row(std::vector<T>& scores, const T* q, const Keys<T>& keys) {
  scores.resize(size_t(keys.count));
  for (int64_t j = 0; j < keys.count; ++j) scores[size_t(j)] = keys.score(q, j);
  const T maximum = largest(scores.data(), keys.count);
  return maximum + std::log(sum_of_exponentials(scores.data(), keys.count, maximum));
}

template <class T>
const T* row_of(const Columns& c, int64_t t) {
  return c.tensor.template data<T>() + t * c.tensor.cols() + c.first;
}

/// The points of a row, and what each counts.
template <class T>
struct RowPoints {
  const int32_t *begin, *end;
  T share;  ///< weight / number of points

  RowPoints(const AlignmentLoss& p, int64_t t) {
    const int32_t* const offsets = p.points.offsets.data<int32_t>();
    begin = p.points.keys.data<int32_t>() + offsets[t];
    end = p.points.keys.data<int32_t>() + offsets[t + 1];
    share = T(p.weight / double(std::max<int64_t>(end - begin, 1)));
  }
};

/// Turns the scores of a row into ds / sqrt(D).
template <class T>
void score_gradients(std::vector<T>& scores, const RowPoints<T>& points, T upstream, T log_sum_exp, T scale) {
  const T epsilon = T(alignment_epsilon);
  const auto gradient = [&](T p) { return upstream * points.share * p / (p + epsilon); };
  for (T& s : scores) s = math::exp(s - log_sum_exp);
  T total = 0;
  std::vector<T> at_points;
  for (const int32_t* key = points.begin; key != points.end; ++key) {
    at_points.push_back(gradient(scores[size_t(*key)]));
    total += at_points.back();
  }
  for (T& s : scores) s *= total * scale;
  for (size_t i = 0; i < at_points.size(); ++i) scores[size_t(points.begin[i])] -= at_points[i] * scale;
}

/// to[0 .. n) = (write) or += (add) from.
template <class T>
void put_row(const GradColumns& gradient, int64_t t, const T* from) {
  if (!gradient) return;
  T* const to = gradient.tensor.data<T>() + t * gradient.tensor.cols() + gradient.first;
  for (int64_t d = 0; d < gradient.count; ++d) to[d] = from[d] + (gradient.mode == GradMode::add ? to[d] : T(0));
}

/// Zeros in the rows of no sentence, from `begin` on.
template <class T>
void clear_tail(const GradColumns& gradient, int64_t begin) {
  if (gradient.mode != GradMode::write) return;
  const std::vector<T> zeros(size_t(gradient.count));
  for (int64_t t = begin; t < gradient.tensor.rows(); ++t) put_row(gradient, t, zeros.data());
}

template <class T>
void learn_sentence(const GradColumns& dq, const GradColumns& dk, In dloss, In log_sum_exp, const Columns& q,
                    const Columns& k, const AlignmentLoss& p, int64_t sentence) {
  const int32_t *queries = p.queries.offsets.data<int32_t>(), *first_key = p.keys.offsets.data<int32_t>() + sentence;
  const Keys<T> keys(k, first_key[0], first_key[1]);
  std::vector<T> scores, query_gradient(size_t(keys.dim)), key_gradients(size_t(keys.count * keys.dim));
  for (int64_t t = queries[sentence]; t < queries[sentence + 1]; ++t) {
    const T* const query = row_of<T>(q, t);
    score_row(scores, query, keys);
    score_gradients(scores, RowPoints<T>(p, t), dloss.data<T>()[t], log_sum_exp.data<T>()[t], keys.scale);
    std::fill(query_gradient.begin(), query_gradient.end(), T(0));
    for (int64_t j = 0; j < keys.count; ++j) {
      const T ds = scores[size_t(j)];
      T* const key_gradient = key_gradients.data() + j * keys.dim;
      for (int64_t d = 0; d < keys.dim; ++d) {
        query_gradient[size_t(d)] += ds * keys.row(j)[d];
        key_gradient[d] += ds * query[d];
      }
    }
    put_row(dq, t, query_gradient.data());
  }
  for (int64_t j = 0; j < keys.count; ++j) put_row(dk, first_key[0] + j, key_gradients.data() + j * keys.dim);
}

}  // namespace

void CpuBackend::alignment_loss_impl(Out loss, Out log_sum_exp, const Columns& q, const Columns& k,
                                     const AlignmentLoss& p) {
  dispatch(q.tensor.dtype(), [&]<class T>() {
    const int32_t *segments = p.queries.segments.data<int32_t>(), *first_key = p.keys.offsets.data<int32_t>();
    pool_.parallel_for(loss.size(), 16, [&](int64_t begin, int64_t end) {
      std::vector<T> scores;
      for (int64_t t = begin; t < end; ++t) {
        T sum = 0, lse = 0;
        if (const int32_t s = segments[t]; s >= 0) {
          lse = score_row(scores, row_of<T>(q, t), Keys<T>(k, first_key[s], first_key[s + 1]));
          const RowPoints<T> points(p, t);
          for (const int32_t* key = points.begin; key != points.end; ++key)
            sum -= points.share * std::log(math::exp(scores[size_t(*key)] - lse) + T(alignment_epsilon));
        }
        loss.data<T>()[t] = sum;
        log_sum_exp.data<T>()[t] = lse;
      }
    });
  });
}

void CpuBackend::alignment_loss_backward_impl(const GradColumns& dq, const GradColumns& dk, In dloss, In log_sum_exp,
                                              const Columns& q, const Columns& k, const AlignmentLoss& p) {
  dispatch(q.tensor.dtype(), [&]<class T>() {
    const int64_t sentences = p.queries.sentences;
    pool_.parallel_for(sentences, 1, [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) learn_sentence<T>(dq, dk, dloss, log_sum_exp, q, k, p, s);
    });
    clear_tail<T>(dq, p.queries.offsets.data<int32_t>()[sentences]);
    clear_tail<T>(dk, p.keys.offsets.data<int32_t>()[sentences]);
  });
}

void CpuBackend::attention_weights_impl(Out weights, const Columns& q, const Columns& k, In offsets, In sentences) {
  dispatch(q.tensor.dtype(), [&]<class T>() {
    const int64_t length = weights.cols();
    const int32_t *sentence = sentences.data<int32_t>(), *first_key = offsets.data<int32_t>();
    pool_.parallel_for(weights.rows(), 16, [&](int64_t begin, int64_t end) {
      std::vector<T> scores;
      for (int64_t r = begin; r < end; ++r) {
        T* const row = weights.data<T>() + r * length;
        std::fill_n(row, length, T(0));
        if (sentence[r] < 0) continue;
        const T lse =
            score_row(scores, row_of<T>(q, r), Keys<T>(k, first_key[sentence[r]], first_key[sentence[r] + 1]));
        for (size_t j = 0; j < scores.size(); ++j) row[j] = math::exp(scores[j] - lse);
      }
    });
  });
}

}  // namespace bough
