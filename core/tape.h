#pragma once
#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "core/backend.h"

namespace bough {

/// Where d(loss)/d(value) is collected during the backward pass.
struct GradSlot {
  static constexpr int no_section = std::numeric_limits<int>::max();
  Tensor tensor;         ///< empty until the first claim, but for parameters
  bool written = false;  ///< the first claim writes, later ones add
  Shape shape;
  DType dtype = DType::f32;
  int first_section = no_section;  ///< of a parameter's: of the tape, where it was used first; see begin_section
};

/// A handle on a gradient, held by the closures of the tape. Empty where no gradient flows.
class Gradient {
 public:
  Gradient() = default;
  Gradient(std::shared_ptr<GradSlot> slot, Backend* backend) : slot_(std::move(slot)), backend_(backend) {}
  explicit operator bool() const { return slot_ != nullptr; }

  /// The next contribution: write for the first claimant, add for the others, none where empty.
  Grad claim() const;
  /// A contribution to columns [first, first + count) only, always in write mode: the claimants of a
  /// gradient either all claim columns, disjoint and covering it, or all claim the whole.
  GradColumns claim_columns(int64_t first, int64_t count) const;
  /// A contribution to the columns that an earlier claimant has written; where there was none, the first one.
  GradColumns join_columns(int64_t first, int64_t count) const;
  /// What has been collected; empty when nobody contributed.
  const Tensor& value() const { return slot_->tensor; }

 private:
  friend class Tape;
  std::shared_ptr<GradSlot> slot_;
  Backend* backend_ = nullptr;
};

class Tape;
class Var;

/// outputs = body(inputs), keeping only inputs and outputs: the backward pass runs `body` again
/// (Chen et al. 2016). Same bits as without, dropout included. `body` must use the tape of the inputs
/// that it is given, and its captured variables must outlive the backward pass.
std::vector<Var> recompute(const std::vector<Var>& inputs,
                           std::function<std::vector<Var>(const std::vector<Var>&)> body);

/// A value in the computation. Cheap to copy; the value's memory lives while a Var or a closure of the
/// tape holds it.
class Var {
 public:
  Var() = default;
  /// What the operation computed.
  const Tensor& value() const { return value_; }
  /// What rounding left of a value that is kept as the sum of two (ResidualArguments::splits); else empty. Operations
  /// other than residual_norm compute with value() alone; no gradient belongs to it.
  const Tensor& low() const { return low_; }
  Var with_low(Tensor low) const {
    Var copy = *this;
    copy.low_ = std::move(low);
    return copy;
  }
  int64_t rows() const { return value_.rows(); }
  int64_t cols() const { return value_.cols(); }
  /// Where pullbacks add what flows to this value.
  Gradient gradient() const;
  bool needs_gradient() const { return slot_ != nullptr; }
  Tape& tape() const { return *tape_; }
  explicit operator bool() const { return bool(value_); }

 private:
  friend class Tape;
  friend std::vector<Var> recompute(const std::vector<Var>&, std::function<std::vector<Var>(const std::vector<Var>&)>);
  Var(Tape* tape, Tensor value, std::shared_ptr<GradSlot> slot)
      : tape_(tape), value_(std::move(value)), slot_(std::move(slot)) {}
  Tape* tape_ = nullptr;
  Tensor value_, low_;
  std::shared_ptr<GradSlot> slot_;
};

/// Records operations as they run (an op runs its kernel when it is called) and replays their
/// derivatives in reverse. A tape that does not record is plain inference.
class Tape {
 public:
  explicit Tape(Backend& backend, bool is_recording = true) : backend(backend), is_recording_(is_recording) {}
  Backend& backend;
  bool is_recording() const { return is_recording_; }

  /// A value that no gradient flows to.
  Var constant(Tensor value) { return {this, std::move(value), nullptr}; }
  /// A value whose gradient the caller owns: slot->tensor is written or added to (slot->written).
  Var parameter(Tensor value, std::shared_ptr<GradSlot> slot) {
    if (slot) slot->first_section = std::min(slot->first_section, section_);
    return {this, std::move(value), is_recording_ ? std::move(slot) : nullptr};
  }
  /// The result of an op; it gets a gradient when the tape records and `needs_gradient`.
  Var result(Tensor value, bool needs_gradient);
  /// `pullback` runs in the backward pass once all users of `outputs` have contributed to their
  /// gradients, unless none did. The memory of those gradients is free after it.
  void record(std::vector<Var> outputs, std::function<void()> pullback);
  /// Makes `gradient` (d loss / d y) the start of the backward pass. y must need a gradient.
  void seed(const Var& y, Tensor gradient);

  /// What is recorded from here on is a section, the first of which is 0.
  void begin_section();
  /// The backward pass calls done(s), for s from the last section down to 1, when all pullbacks of section s have run.
  void watch_sections(std::function<void(int section)> done) { done_ = std::move(done); }

  /// Runs every pullback in reverse and forgets it, memory included. Contributions go to the
  /// gradients of parameters.
  void backward();

 private:
  friend std::vector<Var> recompute(const std::vector<Var>&, std::function<std::vector<Var>(const std::vector<Var>&)>);
  struct Record {
    std::vector<std::shared_ptr<GradSlot>> outputs;
    std::function<void()> pullback;
  };
  std::vector<Record> records_;
  std::vector<size_t> sections_;  // where each but the first begins in the records
  std::function<void(int)> done_;
  int section_ = 0;
  bool is_recording_;
};

}  // namespace bough
