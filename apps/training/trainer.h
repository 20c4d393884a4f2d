#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "apps/inference/device.h"
#include "apps/training/checkpoint.h"
#include "apps/training/train_options.h"
#include "apps/training/training_log.h"
#include "apps/training/training_model.h"
#include "apps/training/training_state.h"
#include "apps/training/validation.h"
#include "core/base/files.h"
#include "core/communicator.h"
#include "data/training_data.h"

namespace bough {

/// The run has diverged, see divergence-threshold: exit code 3.
struct Diverged : Error {
  using Error::Error;
};

/// A training run from options to saved model: data -> update -> log, validation, checkpoint.
class Trainer {
 public:
  /// Locks the model, reads or makes vocabularies, opens the corpus, builds the model and resumes an earlier run. One
  /// of `ranks`, of which the first writes and validates. Throws Error where their programs, options or texts differ.
  explicit Trainer(TrainOptions options, Communicator& ranks = one_process());
  ~Trainer();

  /// Trains until a stop criterion, early stopping, the end of the input or a signal; saves.
  /// Returns the exit code: 0, or 128 + the signal.
  int run();

  /// As the last update left it.
  const TrainingState& state() const { return state_; }
  TrainingModel& model() { return *model_; }

 private:
  void lock_model();
  void keep_seed();
  void open_vocabularies();
  void open_data();
  uint64_t vocabulary_hash() const;
  int64_t fitted_before() const;
  void start_or_resume();
  bool is_finished() const;
  bool is_measured(const std::string& metric) const;
  void make_backend_on(const DeviceChoice& device);
  void meet_ranks();
  MemoryOptions memory() const;
  void check_same_text();
  int64_t least_of_ranks(int64_t value);
  bool any_of_ranks(bool value);
  bool all_go_on(const UpdateBatches& batches);
  void read_in_turn(const std::function<void()>& work);
  void deal_windows();
  UpdateBatches next_dealt_batches();
  void take_first_ranks_state();
  UpdateBatches next_batches();
  void start_update(const UpdateBatches& batches);
  void finish_updates(size_t under_way);
  size_t most_under_way() const;
  void count_skipped(const UpdateResult& result, int64_t update);
  void watch_depth() const;
  void watch_loss(const UpdateResult& result, int64_t update);
  void warn_of_unfinished_ramp() const;
  void tell_final_alpha() const;
  void finish_epoch();
  void decay_learning_rate();
  void restart_warmup();
  void cycle_warmup();
  void validate();
  void run_validation();
  int64_t stalls() const;
  bool should_stop_early() const;
  bool save();
  void keep_what_is_trained();
  [[noreturn]] void fail_diverged(const std::string& what, const UpdateResult& result, int64_t update);

  /// What a rank says of itself between two updates.
  struct RankWord {
    int signal = 0;
    bool has_batches = false, has_failed = false;
  };

  struct UnderWay {
    int64_t number;
    std::function<UpdateResult()> result;
  };

  TrainOptions options_;
  Communicator& ranks_;
  MachineOptions machine_;                         ///< of this rank: options_.machine names the GPUs of all
  std::optional<FileLock> lock_;                   ///< of the model: one run at a time
  std::optional<TrainingState> checkpoint_state_;  ///< of the run that this one goes on with
  std::unique_ptr<Backend> backend_;
  std::vector<std::shared_ptr<Vocabulary>> vocabularies_;
  std::unique_ptr<TrainingModel> model_;
  std::shared_ptr<WindowDeal> deal_;  ///< of text that the first rank reads for all; null: every rank reads
  std::unique_ptr<TrainingData> data_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<Validation> validation_;
  std::unique_ptr<TrainingLog> log_;
  TrainingState state_;
  int64_t last_target_tokens_ = 1;  ///< of the last update that was started
  int64_t saved_ = -1;              ///< update of the last save, if nothing has changed since
  bool owes_save_ = false;          ///< while updates diverge, the last good checkpoint stays
  bool has_checkpoint_ = false;     ///< of this run
  int recomputed_layers_ = 0;       ///< by the memory plan
  int signal_ = 0;                  ///< that some rank has caught, as all have agreed
  std::deque<UnderWay> under_way_;  ///< updates that were started and not looked at, oldest first
  /// That moves tensors where ranks_ does not. Goes first: after an error freeing memory would wait for its exchanges.
  std::unique_ptr<Communicator> device_ranks_;
};

}  // namespace bough
