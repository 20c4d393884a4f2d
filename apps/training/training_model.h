#pragma once
#include <algorithm>
#include <functional>
#include <memory>

#include "apps/inference/model_batch.h"
#include "apps/training/layer_norms.h"
#include "core/arena_share.h"
#include "core/backend.h"
#include "data/training_data.h"
#include "layers/transformer.h"
#include "optim/clock.h"
#include "optim/optimizer.h"

namespace bough {

/// What happens in an update besides the data.
struct UpdateSettings {
  TrainingClock done;  ///< before the update
  double learning_rate = 0;
  double average_rate = 0;       ///< weight of the new parameters in the exponential average
  bool measures_layers = false;  ///< after enable_layer_norms(): fills UpdateResult::layers
  bool measures_terms = false;   ///< for branch_ratios(); alphas that follow the branches measure them always
};

/// What an update did. Costs one wait for the backend.
struct UpdateResult {
  double loss = 0;  ///< label-smoothed cross-entropy and the alignments' loss, summed over target tokens, in nats
  int64_t target_tokens = 0;
  UpdateStatistics statistics;
  std::optional<LayerReport> layers;
};

/// A Transformer with its parameters and optimizer on one backend: everything between batches of
/// numbers and new parameters. With several ranks each has such a model, is given its own micro-batches of the same
/// updates, and works on its share of the optimizer's state; all then have the same parameters, to the bit.
class TrainingModel {
 public:
  TrainingModel(Backend& backend, const ModelOptions& model, const DropoutOptions& dropout,
                const OptimizerOptions& optimizer, uint64_t seed, Communicator& ranks = one_process());

  /// Parameters from their initial distributions; optimizer state cleared.
  void initialize();
  /// initialize() lets this change values, see ParameterSet::initialize.
  void change_initial_values(std::function<void(const ParameterPart&, std::vector<float>&)> change) {
    change_initial_values_ = std::move(change);
  }

  /// The gradient of the sum over all micro-batches, then one update. Micro-batches are summed
  /// in order: one batch of their rows gives the same up to rounding, dropout included.
  UpdateResult update(const UpdateBatches& batches, const UpdateSettings& settings) {
    return start_update(batches, settings)();
  }
  /// The same without waiting for the backend: calling what is returned does, also when another update was started
  /// meanwhile.
  std::function<UpdateResult()> start_update(const UpdateBatches& batches, const UpdateSettings& settings);
  /// Forward and backward of one micro-batch: gradients are written, or added after the first. The same for the
  /// loss. In the last one of an update, ranks begin to sum gradients as they become known.
  void accumulate_gradients(const Batch& batch, bool is_first, bool is_last = false);

  /// Pads batches to few shapes, so that the backend can record an update (on where it does). `source_rows`,
  /// `target_rows`: of the usual micro-batch; 0: not known.
  void use_shape_classes(int64_t source_rows, int64_t target_rows) {
    has_shape_classes_ = true;
    places_.set_usual_rows(source_rows, target_rows);
  }

  /// alpha_t and dropout keys as in the update that `clock` counts last.
  void set_update_state(const TrainingClock& clock, double learning_rate, double average_rate, int64_t target_tokens);
  /// Cross-entropy of a batch in nats, summed over its target rows, without dropout and smoothing.
  double evaluate(const Batch& batch);

  /// Takes the memory that measures_layers needs. with_model_update: those updates also run the first micro-batch
  /// through the new parameters, with the same dropout.
  void enable_layer_norms(bool with_model_update);
  /// Norm of every layer's gradient / target tokens, as the last update left it. All ranks call alike.
  std::vector<double> gradient_norms(int64_t target_tokens);
  /// Of every residual site: |branch| / |residual| over the last update, where that measured its terms.
  std::vector<double> branch_ratios() const;
  /// See LayerNorms::layers.
  const std::vector<std::string>& layers() { return layer_norms().layers(); }

  /// See Transformer::set_recompute.
  void set_recompute(int layers) { transformer_.set_recompute(layers); }
  void set_recompute(bool) = delete;
  Transformer& transformer() { return transformer_; }
  ParameterSet& parameters() { return parameters_; }
  Optimizer& optimizer() { return optimizer_; }
  ArenaShare& share() { return share_; }
  /// All parameters, on the first rank; and those to validate with and to save, the average where there is one. All
  /// ranks call alike.
  WholeArena whole_values() {
    return parameters_.has_all_values() ? parameters_.values() : share_.whole_on_first(parameters_.kept_values());
  }
  WholeArena whole_best_parameters() {
    const Tensor& average = optimizer_.arenas().average;
    return average ? share_.whole_on_first(average) : whole_values();
  }
  Backend& backend() { return backend_; }
  /// alpha in force at every residual site, and the smallest: how far the ramp is. Those that follow the branches are
  /// fetched: a wait for the backend.
  std::vector<double> site_branch_scales() const;
  double branch_scale() const;
  /// The model's options as a file of its parameters holds them: with alpha's progress, or its values where they follow
  /// the branches. Waits for the backend.
  ModelOptions options_at(const TrainingClock& clock) const;
  /// Alphas that follow the branches go on from those of a file of this model at `progress`, whatever its schedule was.
  void take_branch_scales(const ModelOptions& saved, int64_t progress);

  /// For the time of the object, the parameters are those to validate with (the average), and the optimizer holds the
  /// others in its place. All ranks have one.
  class BestParameters {
   public:
    static constexpr int64_t most_spare = int64_t{1} << 20;  ///< elements of memory that it takes

    explicit BestParameters(TrainingModel& model);
    ~BestParameters();
    BestParameters(const BestParameters&) = delete;

   private:
    void exchange();
    TrainingModel& model_;
    Tensor spare_;  // empty: there is no average
  };

 private:
  BatchShape shape_of(const Batch& batch) const;
  const ModelBatch& place(const Batch& batch);
  void bound_branches();
  void start_branch_scales();
  void set_branch_scales(const std::vector<double>& scales);
  void start_from_alignments(Tape& tape, const Var& loss);
  void forward_and_backward(const ModelBatch& batch, bool is_first, bool is_last, int64_t target_rows);
  void take_known_gradients(int section, bool is_first, bool is_last);
  void sum_aside();
  void clear_sums();
  void add_up_over_ranks();
  LayerNorms& layer_norms();
  void finish_measuring(const UpdateBatches& batches, LayerReport& report);

  Backend& backend_;
  uint64_t seed_;
  double label_smoothing_, alignment_weight_, clip_norm_;
  ParameterSet parameters_;
  std::function<void(const ParameterPart&, std::vector<float>&)> change_initial_values_;
  Transformer transformer_;
  ArenaShare share_;
  Optimizer optimizer_;
  std::unique_ptr<LayerNorms> layer_norms_;
  bool with_model_update_ = false, is_measuring_ = false;
  int64_t passed_rounds_ = 0;  ///< of the share, known before the backward pass ends: the same in all passes
  /// Alphas that follow the branches; empty tensors for other schedules.
  struct BoundedBranches {
    Tensor scales;  ///< (sites) i32, floats
    Tensor limits;  ///< (sites, 3) f64
  };
  BoundedBranches bounded_;
  Tensor term_sums_;  ///< (sites, 4) f64, of the last update that measured its terms
  bool sums_terms_ = false;
  UpdateState update_;
  Tensor update_words_, loss_sum_;
  bool has_shape_classes_;
  BatchPlaces places_;
  ModelBatch exact_;  ///< the batch in work where there are no shape classes
};

}  // namespace bough
