#include "core/allocator.h"

#include <iterator>
#include <map>

#include "core/base/random.h"
#include "test/catch.h"

using bough::Allocator;

TEST_CASE("the allocator rounds to its unit and reuses the best gap", "[allocator]") {
  Allocator a;
  const size_t unit = Allocator::alignment;
  CHECK(a.allocate(0) == 0);  // takes a unit: two tensors never share an address
  CHECK(a.allocate(1) == unit);
  CHECK(a.allocate(unit + 1) == 2 * unit);
  CHECK(a.allocate(unit) == 4 * unit);
  CHECK(a.allocate(1) == 5 * unit);
  CHECK(a.peak() == 6 * unit);

  a.release(2 * unit);           // a gap of two units
  a.release(0);                  // and one of one
  CHECK(a.allocate(unit) == 0);  // the smaller gap fits
  CHECK(a.allocate(unit) == 2 * unit);
  CHECK(a.allocate(2 * unit) == 6 * unit);  // nothing is large enough: the end grows
  CHECK(a.peak() == 8 * unit);
}

TEST_CASE("released neighbours become one gap", "[allocator]") {
  const size_t unit = Allocator::alignment;
  for (const auto& order : {std::array<size_t, 3>{1, 2, 3}, {3, 2, 1}, {1, 3, 2}, {2, 1, 3}}) {
    Allocator a;
    for (int i = 0; i < 5; ++i) a.allocate(unit);
    for (const size_t i : order) a.release(i * unit);
    CHECK(a.allocate(3 * unit) == unit);
    CHECK(a.peak() == 5 * unit);
  }
}

TEST_CASE("the peak is the end of the last range, and the end falls back", "[allocator]") {
  Allocator a;
  const size_t unit = Allocator::alignment, first = a.allocate(unit), second = a.allocate(3 * unit);
  a.release(second);
  CHECK(a.peak() == 4 * unit);
  a.reset_peak();
  CHECK(a.peak() == unit);
  a.release(first);
  a.reset_peak();
  CHECK(a.peak() == 0);
  CHECK(a.allocate(2 * unit) == 0);
}

TEST_CASE("ranges in use never overlap, and the same calls give the same offsets", "[allocator]") {
  Allocator a, twin;
  std::map<size_t, size_t> used;  // offset -> bytes
  bough::RandomStream random(5);
  for (int i = 0; i < 3000; ++i) {
    if (used.size() > 40 || (!used.empty() && random.below(2) == 0)) {
      const auto it = std::next(used.begin(), int64_t(random.below(used.size())));
      a.release(it->first);
      twin.release(it->first);
      used.erase(it);
      continue;
    }
    const size_t bytes = random.below(5000), offset = a.allocate(bytes);
    REQUIRE(twin.allocate(bytes) == offset);
    REQUIRE(offset % Allocator::alignment == 0);
    const auto next = used.lower_bound(offset);
    if (next != used.end()) REQUIRE(offset + bytes <= next->first);
    if (next != used.begin()) REQUIRE(std::prev(next)->first + std::prev(next)->second <= offset);
    REQUIRE(offset + bytes <= a.peak());
    used[offset] = bytes;
  }
}
