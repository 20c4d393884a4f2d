#include <algorithm>
#include <cmath>
#include <utility>

#include "apps/inference/model_batch.h"
#include "core/base/random.h"
#include "experiments/speed/kernel_rows.h"
#include "experiments/speed/probes.h"

namespace bough::speed {
namespace {

/// A rank with probability about 1/rank: what frequent and rare words are like.
int32_t draw_word(RandomStream& random, int64_t vocabulary) {
  return int32_t(std::pow(double(vocabulary - 2), random.uniform())) + 1;
}

/// Lognormal lengths, mean 30, E[L^2] / E[L] = 42.8, at most 100; the last one fills `rows`.
std::vector<int32_t> draw_lengths(RandomStream& random, int64_t rows) {
  constexpr double sigma = 0.596, mu = 3.2235;
  std::vector<int32_t> lengths;
  for (int64_t left = rows; left > 0; left -= lengths.back()) {
    const double normal = std::sqrt(-2 * std::log(1 - random.uniform())) * std::cos(6.283185307 * random.uniform());
    const int64_t length = std::clamp<int64_t>(int64_t(std::exp(mu + sigma * normal)), 1, std::min<int64_t>(100, left));
    lengths.push_back(int32_t(length));
  }
  return lengths;
}

/// `rows` tokens on each side. A target is as long as the next pair's source.
Batch draw_batch(const Sizes& sizes) {
  RandomStream random(7);
  const std::vector<int32_t> lengths = draw_lengths(random, sizes.rows);
  std::vector<std::vector<int32_t>> sides[2];
  for (auto& side : sides)
    for (size_t s = 0; s < lengths.size(); ++s) {
      const size_t length = size_t(lengths[(s + size_t(&side - sides)) % lengths.size()]) - 1;
      std::vector<int32_t>& words = side.emplace_back();
      for (size_t i = 0; i < length; ++i) words.push_back(draw_word(random, sizes.vocabulary));
    }
  std::vector<SentencePair> pairs;
  for (size_t s = 0; s < lengths.size(); ++s) pairs.push_back({sides[0][s], sides[1][s], int64_t(s)});
  return pack(pairs);
}

}  // namespace

Buffers::Buffers(Backend& b, const Sizes& s) : Buffers(b, s, draw_batch(s)) {}

Buffers::Buffers(Backend& b, const Sizes& s, const Batch& host) : backend(b), sizes(s), batch(upload_batch(b, host)) {
  std::vector<int32_t> source, target;
  for (const Bin& bin : host.bins) {
    source.insert(source.end(), {bin.k0, bin.nk, bin.k0, bin.nk});
    target.insert(target.end(), {bin.q0, bin.nq, bin.q0, bin.nq});
  }
  const Shape shape{int64_t(host.bins.size()), 4};
  source_bins = integers(source).view(0, shape);
  target_bins = integers(target).view(0, shape);
  UpdateState step;
  step.seed = 1;
  step.update = 1;
  step.lr = 1e-4;
  step.tokens = double(s.rows);
  step.clip = 1;
  step.average = 1e-4;
  step.branch_scales = {1};
  state = integers(step.pack());
}

Tensor Buffers::memory(Shape shape, DType dtype) {
  const Tensor t = backend.allocate_persistent(shape, dtype);
  bytes_ += double(t.bytes());
  return t;
}
Tensor Buffers::numbers(Shape shape, DType dtype) {
  const Tensor t = memory(shape, dtype);
  fill_random(backend, t);
  return t;
}
Tensor Buffers::integers(const std::vector<int32_t>& values) {
  const Tensor t = backend.allocate_persistent({int64_t(values.size())}, DType::i32);
  backend.upload(t, values.data());
  return t;
}
double Buffers::take_bytes() { return std::exchange(bytes_, 0); }

}  // namespace bough::speed
