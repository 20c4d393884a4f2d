#pragma once
#include <vector>

#include "core/base/special_ids.h"
#include "layers/transformer.h"

namespace bough {

/// The models that translate or score together, by reference, and the special ids of the vocabularies they share. One
/// model is an ensemble, too. p(word) of several: exp(sum_i weight_i log p_i(word)), not normalised, as in Marian.
struct Ensemble {
  struct Member {
    Transformer* transformer = nullptr;
    double weight = 1;
  };
  std::vector<Member> members;  ///< at least one
  SpecialIds source, target;

  Ensemble() = default;
  Ensemble(Transformer& transformer, SpecialIds source_ids = {}, SpecialIds target_ids = {})
      : members{{&transformer, 1}}, source(source_ids), target(target_ids) {}

  /// Whose options say what all have in common: sizes of vocabularies, right-left.
  const ModelOptions& options() const { return members.front().transformer->options(); }
  int64_t target_vocabulary() const { return members.front().transformer->target_vocabulary(); }
  EndIds ends() const { return {source.end, target.end}; }
  /// Whether log-probabilities are those of the one model.
  bool is_one_model() const { return members.size() == 1 && members.front().weight == 1; }
};

}  // namespace bough
