#include "core/base/random.h"

#include <array>
#include <cmath>

#include "core/update_state.h"
#include "test/catch.h"

using namespace bough;

TEST_CASE("philox gives the known answers of Random123", "[random]") {
  const auto is = [](const Philox4& r, std::array<uint32_t, 4> x) {
    return r.x[0] == x[0] && r.x[1] == x[1] && r.x[2] == x[2] && r.x[3] == x[3];
  };
  const uint32_t all = ~0u;
  CHECK(is(philox(0, 0, 0, 0, 0, 0), {0x5f6fb709, 0x0d893f64, 0x4f121f81, 0x4f730a48}));
  CHECK(is(philox(all, all, all, all, all, all), {0x5207ddc2, 0x45165e59, 0x4d8ee751, 0x8c52f662}));
  CHECK(is(philox(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0),
           {0x4dfccaba, 0x190a87f0, 0xc47362ba, 0xb6b5242a}));
}

TEST_CASE("dropout keeps the share it promises and scales by its inverse", "[random]") {
  for (const double p : {0.1, 0.3, 0.5}) {
    const uint32_t threshold = dropout_threshold(p);
    CHECK(std::abs(threshold / 65536.0 - p) <= 0.5 / 65536);
    CHECK(dropout_scale(threshold) * (1 - threshold / 65536.0) == 1.0);
    int kept = 0;
    for (uint32_t row = 0; row < 2000; ++row) {
      const Philox4 bits = dropout_bits(1, 2, 3, 0, row, 5);
      for (int c = 0; c < 8; ++c) kept += dropout_draw(bits, c) >= threshold;
    }
    CHECK(std::abs(kept / 16000.0 - (1 - p)) < 0.02);  // five standard deviations
  }
  CHECK(dropout_draw({{0xBBBBAAAA, 0xDDDDCCCC, 0, 0}}, 0) == 0xAAAA);  // low half first
  CHECK(dropout_draw({{0xBBBBAAAA, 0xDDDDCCCC, 0, 0}}, 3) == 0xDDDD);
}

TEST_CASE("streams are reproducible, differ by number, and stay in range", "[random]") {
  RandomStream a(7, 1), b(7, 1), other(7, 2);
  int same = 0;
  double sum = 0;
  for (int i = 0; i < 2000; ++i) {
    const double u = a.uniform();
    CHECK(u == b.uniform());
    same += u == other.uniform();
    sum += u;
  }
  CHECK(same == 0);
  CHECK(std::abs(sum / 2000 - 0.5) < 0.04);
  std::array<int, 3> counts{};
  for (int i = 0; i < 3000; ++i) ++counts.at(a.below(3));
  for (const int count : counts) CHECK(std::abs(count - 1000) < 150);
}

TEST_CASE("every update has its own dropout key, a function of seed and update", "[random]") {
  UpdateState s;
  s.seed = 5;
  s.update = 1;
  const auto first = s.pack();
  CHECK(s.pack() == first);
  s.update = 2;
  CHECK(s.pack()[0] != first[0]);
  CHECK(s.pack()[1] != first[1]);
  s.update = 1;
  s.seed = 6;
  CHECK(s.pack()[0] != first[0]);
}
