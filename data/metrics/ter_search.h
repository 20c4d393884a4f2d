#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bough {

/// Levenshtein distance from hypothesis to reference inside Tercom's beam: row i of the table only
/// has the columns within `beam` of the diagonal. Words are numbers.
class BeamEditDistance {
 public:
  using Words = std::span<const uint32_t>;

  /// Fills the tables for this pair; both spans must outlive the use of the object.
  void start(Words hypothesis, Words reference);
  /// Of the pair given to start().
  int distance() const;

  /// The distance if words [begin, end) of the hypothesis read `changed` instead.
  int distance_with(Words changed, size_t begin, size_t end);

  /// Follows one best path; ties prefer substitution or match, then a hypothesis word without
  /// counterpart, then a reference word without. aligned[j] is the hypothesis word of reference
  /// word j (of the word before it where none is; may be -1); errors are 0 or 1 per word.
  void trace(std::vector<int>& aligned, std::vector<int>& hypothesis_errors, std::vector<int>& reference_errors) const;

 private:
  /// Columns [first, last) of one row; cells_[offset] is column `first`.
  struct Band {
    size_t first = 0, last = 0, offset = 0;
  };
  void plan_bands();
  void fill_forward();
  void fill_backward();
  void fill_row(const Band& above, const int* above_cells, const Band& band, uint32_t word, int* cells);
  int cell(size_t row, size_t column) const;

  Words hypothesis_, reference_;
  std::vector<Band> bands_;                          // per row: 0..|hypothesis|
  std::vector<int> forward_;                         // cost from the start to a cell
  std::vector<int> backward_;                        // cost from a cell to the end
  std::vector<int> shifted_above_, row_, next_row_;  // scratch
};

/// Edits that turn the hypothesis into the reference: block shifts, found greedily as Tercom does,
/// plus insertions, deletions and substitutions (Snover et al. 2006).
class TerSearch {
 public:
  using Words = std::span<const uint32_t>;
  /// The number of edits, a shift counting one.
  int edits(Words hypothesis, Words reference);

 private:
  struct Shift {
    int gain = 0;
    size_t length = 0, begin = 0, target = 0;
  };
  bool find_best_shift(Shift& best);
  bool try_targets(size_t begin, size_t reference_begin, size_t length, Shift& best, bool& found);
  bool is_worth_trying(size_t begin, size_t reference_begin, size_t length) const;
  int gain_of(const Shift& shift, int before);
  std::pair<size_t, size_t> perform(const Shift& shift, std::vector<uint32_t>& words) const;

  BeamEditDistance distance_;
  Words reference_;
  std::vector<uint32_t> words_, shifted_;
  std::vector<int> aligned_, hypothesis_errors_, reference_errors_;
  int candidates_ = 0;
};

}  // namespace bough
