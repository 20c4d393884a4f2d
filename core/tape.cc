#include "core/tape.h"

#include <algorithm>
#include <cassert>

namespace bough {

Grad Gradient::claim() const {
  if (!slot_) return {};
  if (!slot_->tensor) slot_->tensor = backend_->allocate(slot_->shape, slot_->dtype);
  const GradMode mode = slot_->written ? GradMode::add : GradMode::write;
  slot_->written = true;
  return {slot_->tensor, mode};
}

GradColumns Gradient::claim_columns(int64_t first, int64_t count) const {
  if (!slot_) return {};
  if (!slot_->tensor) slot_->tensor = backend_->allocate(slot_->shape, slot_->dtype);
  slot_->written = true;
  return {slot_->tensor, first, count, GradMode::write};
}

GradColumns Gradient::join_columns(int64_t first, int64_t count) const {
  const Grad whole = claim();
  return {whole.tensor, first, count, whole.mode};
}

Gradient Var::gradient() const { return slot_ ? Gradient(slot_, &tape_->backend) : Gradient(); }

Var Tape::result(Tensor value, bool needs_gradient) {
  std::shared_ptr<GradSlot> slot;
  if (is_recording_ && needs_gradient) {
    slot = std::make_shared<GradSlot>();
    slot->shape = value.shape();
    slot->dtype = value.dtype();
  }
  return {this, std::move(value), std::move(slot)};
}

void Tape::record(std::vector<Var> outputs, std::function<void()> pullback) {
  Record record{{}, std::move(pullback)};
  for (Var& y : outputs)
    if (y.slot_) record.outputs.push_back(std::move(y.slot_));
  if (!record.outputs.empty()) records_.push_back(std::move(record));
}

void Tape::seed(const Var& y, Tensor gradient) {
  assert(y.slot_ && !y.slot_->written);
  y.slot_->tensor = std::move(gradient);
  y.slot_->written = true;
}

void Tape::begin_section() {
  ++section_;
  sections_.push_back(records_.size());
}

void Tape::backward() {
  while (!records_.empty()) {
    Record record = std::move(records_.back());
    records_.pop_back();
    const bool is_wanted =
        std::any_of(record.outputs.begin(), record.outputs.end(), [](const auto& slot) { return slot->written; });
    if (is_wanted) record.pullback();
    for (const auto& slot : record.outputs) slot->tensor = {};
    for (; !sections_.empty() && sections_.back() == records_.size(); sections_.pop_back())
      if (done_) done_(int(sections_.size()));
  }
}

std::vector<Var> recompute(const std::vector<Var>& inputs,
                           std::function<std::vector<Var>(const std::vector<Var>&)> body) {
  Tape& tape = inputs.front().tape();
  if (!tape.is_recording()) return body(inputs);

  Tape forward(tape.backend, false);
  forward.section_ = tape.section_;  // what it uses of parameters is used here
  std::vector<Var> untaped;
  for (const Var& x : inputs) untaped.push_back(forward.constant(x.value()).with_low(x.low()));
  std::vector<Var> outputs;
  // Parameters inside the body make every output need a gradient.
  for (const Var& y : body(untaped)) outputs.push_back(tape.result(y.value(), true).with_low(y.low()));

  std::vector<std::shared_ptr<GradSlot>> slots;
  for (const Var& y : outputs) slots.push_back(y.slot_);
  tape.record(outputs, [&backend = tape.backend, inputs, slots, section = tape.section_, body = std::move(body)] {
    Tape again(backend);
    again.section_ = section;
    std::vector<Var> leaves;
    for (const Var& x : inputs) leaves.push_back(again.parameter(x.value(), x.slot_).with_low(x.low()));
    const std::vector<Var> outputs = body(leaves);
    for (size_t i = 0; i < outputs.size(); ++i)
      if (slots[i]->written) again.seed(outputs[i], slots[i]->tensor);
    again.backward();
  });
  return outputs;
}

}  // namespace bough
