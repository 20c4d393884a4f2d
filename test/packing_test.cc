// What a packed batch must look like.
#include <algorithm>
#include <numeric>
#include <set>

#include "core/base/random.h"
#include "data/batch.h"
#include "data/vocabulary.h"
#include "test/catch.h"
#include "test/concatenated_batch.h"

using namespace bough;

namespace {

using Ids = std::vector<int32_t>;

/// Pairs with ids of their own to point to.
struct Pairs {
  std::vector<Ids> sides;
  std::vector<SentencePair> all;

  Pairs(int count, uint64_t seed, int longest = 40) {
    RandomStream random(seed);
    const auto sentence = [&] {
      Ids ids(random.below(uint64_t(longest)));
      for (auto& id : ids) id = int32_t(2 + random.below(50));
      return ids;
    };
    for (int i = 0; i < 2 * count; ++i) sides.push_back(sentence());
    for (size_t i = 0; i < size_t(count); ++i) all.push_back({sides[2 * i], sides[2 * i + 1], int64_t(100 + i)});
  }
};

void check_side(const PackedSide& side) {
  REQUIRE(side.offsets.front() == 0);
  REQUIRE(side.offsets.back() == side.rows());
  for (int32_t s = 0; s < side.sentences(); ++s)
    for (int32_t row = side.offsets[size_t(s)]; row < side.offsets[size_t(s) + 1]; ++row) {
      REQUIRE(side.segments[size_t(row)] == s);
      REQUIRE(side.positions[size_t(row)] == row - side.offsets[size_t(s)]);
    }
  Ids rows(side.ids.size());
  std::iota(rows.begin(), rows.end(), 0);
  std::stable_sort(rows.begin(), rows.end(),
                   [&](int32_t a, int32_t b) { return side.ids[size_t(a)] < side.ids[size_t(b)]; });
  REQUIRE(side.order == rows);
  std::iota(rows.begin(), rows.end(), 0);
  std::stable_sort(rows.begin(), rows.end(),
                   [&](int32_t a, int32_t b) { return side.positions[size_t(a)] < side.positions[size_t(b)]; });
  REQUIRE(side.position_order == rows);
}

void check_bins(const Batch& batch) {
  int32_t sentence = 0, q = 0, k = 0;
  for (const Bin& bin : batch.bins) {
    REQUIRE(bin.first_sentence == sentence);
    REQUIRE(bin.q0 == q);
    REQUIRE(bin.k0 == k);
    if (bin.end_sentence - bin.first_sentence > 1) REQUIRE(std::max(bin.nq, bin.nk) <= bin_tokens);
    sentence = bin.end_sentence;
    q += bin.nq;
    k += bin.nk;
  }
  REQUIRE(sentence == batch.sentences());
  REQUIRE(q == batch.target.rows());
  REQUIRE(k == batch.source.rows());
}

}  // namespace

TEST_CASE("pack: rows, labels and bins of two sentences", "[packing]") {
  const Ids a = {5, 6}, b = {7}, c = {8, 8, 9}, none;
  const std::vector<SentencePair> pairs = {{a, b, 3}, {none, c, 4}};
  const Batch batch = pack(pairs);
  CHECK(batch.sentence_ids == std::vector<int64_t>{4, 3});  // longest first
  CHECK(batch.source.ids == Ids{0, 5, 6, 0});
  CHECK(batch.target.ids == Ids{-2, 8, 8, 9, -2, 7});
  CHECK(batch.labels == Ids{8, 8, 9, 0, 7, 0});
  CHECK(batch.target.order == Ids{0, 4, 5, 1, 2, 3});
  CHECK(batch.bins == std::vector<Bin>{{0, 2, 0, 6, 0, 4}});
  CHECK(batch.source.offsets == Ids{0, 1, 4});
  const Batch other = pack(pairs, {.source = 2, .target = 3});
  CHECK(other.source.ids == Ids{2, 5, 6, 2});
  CHECK(other.labels == Ids{8, 8, 9, 3, 7, 3});
  CHECK(pack_source(pairs, 2).source.ids == Ids{5, 6, 2, 2});
}

TEST_CASE("pack: every pair once, in valid bins that are well filled", "[packing]") {
  for (const int longest : {1, 10, 40, 63, 64, 65, 200}) {
    const Pairs pairs(700, 3, longest);
    const Batch batch = pack(pairs.all);
    check_side(batch.source);
    check_side(batch.target);
    check_bins(batch);
    std::set<int64_t> ids(batch.sentence_ids.begin(), batch.sentence_ids.end());
    REQUIRE(ids.size() == pairs.all.size());
    for (int32_t s = 0; s < batch.sentences(); ++s) {
      const auto& pair = pairs.all[size_t(batch.sentence_ids[size_t(s)] - 100)];
      const auto* source = batch.source.ids.data() + batch.source.offsets[size_t(s)];
      REQUIRE(std::equal(pair.source.begin(), pair.source.end(), source));
      const auto* labels = batch.labels.data() + batch.target.offsets[size_t(s)];
      REQUIRE(std::equal(pair.target.begin(), pair.target.end(), labels));
      REQUIRE(labels[pair.target.size()] == end_id);
    }
  }
  const Pairs pairs(1000, 3, 40);
  const Batch batch = pack(pairs.all);
  const double rows = std::max(batch.source.rows(), batch.target.rows());
  CHECK(rows / (bin_tokens * double(batch.bins.size())) > 0.85);  // sides differ at random here
}

TEST_CASE("pack_source keeps the order of the sentences", "[packing]") {
  const Pairs pairs(300, 5, 90);
  const Batch batch = pack_source(pairs.all);
  check_side(batch.source);
  REQUIRE(std::is_sorted(batch.sentence_ids.begin(), batch.sentence_ids.end()));
  int32_t sentence = 0, k = 0;
  for (const Bin& bin : batch.bins) {
    REQUIRE(bin.first_sentence == sentence);
    REQUIRE(bin.k0 == k);
    REQUIRE((bin.nk <= bin_tokens || bin.end_sentence == sentence + 1));
    REQUIRE(bin.nq == 0);
    sentence = bin.end_sentence;
    k += bin.nk;
  }
  CHECK(sentence == 300);
  CHECK(k == batch.source.rows());
  CHECK(batch.target.rows() == 0);
  CHECK(pack_source({}).bins.empty());
}

TEST_CASE("concatenate: the same rows in the same order", "[packing]") {
  const Pairs pairs(90, 6);
  const std::span<const SentencePair> all(pairs.all);
  std::vector<Batch> parts = {pack(all.subspan(0, 30)), pack(all.subspan(30, 40)), pack(all.subspan(70))};
  const Batch whole = concatenate(parts);
  check_side(whole.source);
  check_side(whole.target);
  check_bins(whole);
  Ids ids, labels;
  for (const Batch& part : parts) {
    ids.insert(ids.end(), part.target.ids.begin(), part.target.ids.end());
    labels.insert(labels.end(), part.labels.begin(), part.labels.end());
  }
  CHECK(whole.target.ids == ids);
  CHECK(whole.labels == labels);
}
