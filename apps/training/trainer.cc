#include "apps/training/trainer.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <optional>
#include <utility>

#include "apps/inference/device.h"
#include "apps/training/admin_profile.h"
#include "apps/training/embedding_vectors.h"
#include "apps/training/memory_plan.h"
#include "core/base/files.h"
#include "core/base/interrupt.h"
#include "core/base/io.h"
#include "core/base/log.h"
#include "core/base/outputs.h"
#include "core/base/progress.h"
#include "core/base/settings_reader.h"
#include "core/base/signals.h"
#include "core/base/yaml.h"
#include "optim/schedule.h"

namespace bough {
namespace {

using Clock = std::chrono::steady_clock;

/// A link to a model is that model: its state, settings and lock stand beside the file, not beside the link.
TrainOptions with_one_name(TrainOptions options) {
  std::string& model = options.saving.model;
  const std::string linked = std::exchange(model, without_links(model));
  if (linked != model) log::info("[train] '{}' is a link: the model is '{}'", linked, model);
  return options;
}

/// Whether MODEL.decoder.yml names files from its own folder: as is asked for, or as it did in the run that goes on,
/// whose MODEL.yml names them from here.
bool names_files_from_model(const TrainOptions& o, bool goes_on) {
  const std::string decoder = o.saving.model + ".decoder.yml";
  if (o.general.relative_paths || !goes_on || !file_exists(decoder)) return o.general.relative_paths;
  bool did = false;
  try {
    const Yaml written = read_yaml_file(decoder);
    if (const Yaml* const found = written.find("relative-paths")) parse_value(found->text, did);
  } catch (const Error&) {  // the next save writes it anew
  }
  return did;
}

RunDescription describe_run(const TrainOptions& o, bool goes_on) {
  Yaml settings = dump(o);
  SavingOptions::drop_options_of_one_start(settings);
  return {.settings = format_yaml(settings),
          .vocabularies = o.vocabulary.paths,
          .relative_paths = names_files_from_model(o, goes_on),
          .decoding = o.decoding,
          .decoding_batch = o.validation.mini_batch};
}

ValidationSettings validation_settings(const TrainOptions& o) {
  return {.options = o.validation,
          .decoding = o.decoding,
          .tsv = o.corpus.tsv,
          .fields = o.corpus.fields(),
          .text_fields = o.corpus.tsv ? o.corpus.text_fields() : std::array<size_t, 2>{0, 1},
          .no_spm_encode = o.vocabulary.no_spm_encode,
          .model = o.saving.model,
          .workers = cpu_thread_count(o.machine),
          .check_output = [o](const std::string& name) {
            TrainOptions options = o;
            Settings rows;
            options.settings(rows);
            check_output(rows, *rows.find("valid-translation-output"), name);
          }};
}

}  // namespace

Trainer::Trainer(TrainOptions options, Communicator& ranks)
    : options_(with_one_name(std::move(options))), ranks_(ranks), machine_(options_.machine) {
  meet_ranks();
  if (ranks_.is_first()) lock_model();
  checkpoint_state_ = Checkpoint::saved_state(options_.saving);
  keep_seed();
  const DeviceChoice device = choose_device(machine_);
  open_vocabularies();
  open_data();
  make_backend_on(device);
  device_ranks_ = connect_devices(device, ranks_, *backend_);
  model_ = std::make_unique<TrainingModel>(*backend_, options_.model, options_.dropout, options_.optimizer,
                                           options_.general.seed, device_ranks_ ? *device_ranks_ : ranks_);
  model_->set_recompute(recomputed_layers_);
  if (backend_->records()) model_->use_shape_classes(data_->most_source_rows(), data_->most_target_rows());
  if (options_.display.log_layer_norms) model_->enable_layer_norms(options_.display.log_model_update);
  log::info("[model] {} parameters, residual {}, {}+{} layers", with_commas(model_->parameters().trained_elements()),
            name_of(options_.model.residual), options_.model.encoder_layers, options_.model.decoder_layers);
  if (options_.model.decoder_cell == "ssru" && !options_.model.has_rnn_decoder())
    log::warn(
        "[model] dec-cell is ssru, but there is no cell: it needs transformer-decoder-autoreg rnn. Give that for an "
        "SSRU decoder");
  checkpoint_ =
      std::make_unique<Checkpoint>(options_.saving, describe_run(options_, checkpoint_state_.has_value()), *model_);
  if (options_.validation.measures())
    validation_ = std::make_unique<Validation>(validation_settings(options_), vocabularies_, *model_, ranks_);
  const auto& metrics = options_.validation.metrics;
  if (!validation_ && !metrics.empty() && metrics != ValidationOptions().metrics)
    log::warn("[valid] valid-metrics is given, but nothing is measured: valid-sets is missing");
  if (validation_) validation_->limit_rows(data_->most_source_rows(), data_->most_target_rows());
  if (Checkpoint::begins_anew(options_.saving))
    model_->change_initial_values([this](const ParameterPart& part, std::vector<float>& values) {
      place_embedding_vectors(options_.embedding, vocabularies_, part, values);
    });
  start_or_resume();
}

Trainer::~Trainer() = default;

/// Two runs would overwrite each other's checkpoints.
void Trainer::lock_model() {
  const std::string& model = options_.saving.model;
  lock_.emplace(model + ".lock");
  check(lock_->state() != FileLock::State::taken,
        "model: '{}' is being trained by {}, which holds '{}.lock'; stop that run, or give another model", model,
        lock_->holder(), model);
  if (lock_->state() == FileLock::State::unsupported)
    log::warn(
        "[train] the file system of '{}' has no locks, so nothing keeps a second run from writing the same files; "
        "see to it that there is none",
        model);
}

/// A run whose seed came from the clock goes on with that seed: order of the corpus and dropout.
void Trainer::keep_seed() {
  const uint64_t saved = checkpoint_state_ ? checkpoint_state_->seed : 0;
  if (saved == 0) return;
  if (options_.general.is_seed_from_clock)
    options_.general.seed = saved;
  else if (options_.general.seed != saved)
    log::warn(
        "[train] seed is {}, but this model was trained with {} so far; going on with {}: the epoch in "
        "progress may see some sentences twice and others not",
        options_.general.seed, saved, options_.general.seed);
}

MemoryOptions Trainer::memory() const {
  MemoryOptions memory = options_.memory(ranks_.size());
  memory.machine = machine_;
  return memory;
}

/// With memory for the largest batch, or an Error before anything was trained.
void Trainer::make_backend_on(const DeviceChoice& device) {
  const MemoryPlan plan =
      plan_training(memory(), data_->most_source_rows(), data_->most_target_rows(), recomputed_layers_, device);
  log::info("[memory] {}", format_plan(plan));
  check_memory(plan, device);
  recomputed_layers_ = plan.recomputed_layers;
  // Records of very deep models are large, on the device too.
  const int classes = options_.model.layers() > 200 ? 1 : 4;
  const int variants = data_->limits().micro_batches > data_->limits().ranks ? 2 : 1;
  backend_ = make_backend(
      device, machine_,
      {.arena_bytes = plan.arena_bytes, .graph_limit = classes * variants, .tune_gemm = options_.run.gemm_autotune});
}

void Trainer::start_or_resume() {
  if (auto resumed = checkpoint_->resume()) {
    state_ = *resumed;
    has_checkpoint_ = true;
    if (options_.saving.no_restore_corpus) {
      data_->keep_progress(state_.loader);
      state_.loader = data_->state();
      state_.clock.epochs = 1;
      state_.sentences = 0;
      state_.display = {};
    } else {
      read_in_turn([this] { data_->restore(state_.loader); });
    }
    if (validation_) std::erase_if(state_.metrics, [&](const auto& m) { return !is_measured(m.first); });
    if (options_.validation.reset_all) state_.metrics.clear();
    if (options_.validation.reset_all || options_.validation.reset_stalled) state_.most_stalls = 0;
    if (options_.validation.reset_stalled)
      for (auto& [name, metric] : state_.metrics) metric.stalled = 0;
    log::info("[train] resumed {} at update {}, {} labels", options_.saving.model, state_.clock.updates,
              with_commas(state_.clock.labels));
    if (state_.order != 0 && state_.order != data_->order() && !options_.saving.no_restore_corpus)
      log::warn(
          "[train] what the order of the corpus depends on (shuffle, maxi-batch-sort, with that maxi-batch and the "
          "size of a device's batch) has changed: the epoch in progress may see some sentences twice and others not");
    const SchedulePeriod warmup = options_.optimizer.warmup;
    const bool is_in_another_unit =
        warmup && state_.warmup_start > 0 && state_.warmup_unit >= 0 && state_.warmup_unit != int64_t(warmup.unit);
    if (options_.optimizer.warmup_at_reload || is_in_another_unit) restart_warmup();
    ranks_.barrier();  // others may still read what is written now
    checkpoint_->save_derived(state_);
  } else {
    state_.loader = data_->state();
  }
  if (!validation_) state_.owes_validation = false;
  if (validation_ && options_.validation.valid_first && state_.clock.updates == 0 && state_.metrics.empty())
    state_.owes_validation = true;
  options_.run.start_at(state_.clock.updates, state_.clock.labels,
                        options_.display.logical_epoch.finished(state_.clock));
  state_.seed = options_.general.seed;
  state_.vocabulary = vocabulary_hash();
  state_.order = data_->order();
  state_.fitted_delay = std::llround(options_.optimizer.delay);
  state_.warmup_unit = int64_t(options_.optimizer.warmup.unit);
  const std::string metrics = ranks_.is_first() ? options_.display.metrics_path(options_.saving.model) : "";
  log_ = std::make_unique<TrainingLog>(options_.display,
                                       TrainingLog::Fields{.learning_rate = options_.optimizer.report_learning_rate,
                                                           .alpha = options_.model.traits().has_branch_scales},
                                       metrics, state_.clock.updates);
}

bool Trainer::is_measured(const std::string& metric) const {
  const auto& metrics = options_.validation.metrics;
  return std::ranges::find(metrics, metric, &ValidationMetric::name) != metrics.end();
}

bool Trainer::is_finished() const {
  const StopCriteria stop = options_.run.stop_criteria();
  return (stop.updates && state_.clock.updates >= stop.updates) ||
         (stop.labels && state_.clock.labels >= stop.labels) ||
         (stop.epochs && options_.display.logical_epoch.at(state_.clock) > double(stop.epochs));
}

int Trainer::run() {
  catch_signals(options_.saving.sigterm == SigtermAction::exit_immediately);
  log::info("Training started");
  warn_of_unfinished_ramp();
  if (is_finished() || should_stop_early())
    log::info("[train] nothing is left to do after {} updates, {} epochs: raise {} to train on", state_.clock.updates,
              state_.clock.epochs - 1,
              is_finished() ? "what ends it (after, after-batches, after-epochs)" : "early-stopping");
  if (state_.owes_validation) validate();
  const auto alpha = [this] { return model_->branch_scale(); };
  std::optional<Progress> bar;
  const int64_t pairs = is_stdin(options_.corpus.train_sets.front()) ? 0 : data_->statistics().pairs;
  while (!is_finished() && !should_stop_early()) {
    const UpdateBatches batches = next_batches();
    if (!all_go_on(batches)) break;
    const TrainingClock before = state_.clock;
    start_update(batches);
    const bool validates = validation_ && is_due(options_.validation.valid_freq, before, state_.clock);
    const bool saves = is_due(options_.saving.save_freq, before, state_.clock);
    const bool measures = is_due(options_.display.log_layer_norms, before, state_.clock);
    owes_save_ |= saves;
    finish_updates(validates || owes_save_ || measures || log_->is_due(state_, before) ? 0 : most_under_way());
    if (!bar) bar.emplace(fmt::format("epoch {}", state_.clock.epochs), pairs);
    bar->advance_to(state_.sentences);
    log_->after_update(state_, before, alpha);
    if (batches.ends_epoch) {
      bar.reset();
      finish_epoch();
    }
    if (validates) {
      watch_depth();
      validate();
    }
    if (owes_save_ && state_.skipped_in_a_row == 0 && state_.diverged_in_a_row == 0) save();
  }
  bar.reset();
  finish_updates(0);
  if (log_->after_update(state_, state_.clock, alpha, true)) saved_ = -1;  // with sums that the line has ended
  log::info("{}", signal_ != 0 ? "Training interrupted (via signal)." : "Training finished");
  if (is_finished()) tell_final_alpha();
  if (signal_ == 0 && validation_ && state_.last_validation != state_.clock.updates) validate();
  const bool is_saved = saved_ == state_.clock.updates || save();
  all_go_on({});  // a signal that has come since
  constexpr int diverged = 3;
  return signal_ != 0 ? 128 + signal_ : is_saved ? 0 : diverged;
}

void Trainer::start_update(const UpdateBatches& batches) {
  if (state_.clock.updates == 0 && needs_admin_profile(*model_)) {
    const std::vector<double> omegas = profile_admin(*model_, batches);
    log::info("[model] admin: omega from the first batch: at most {:.3f} in {} residuals",
              *std::max_element(omegas.begin(), omegas.end()), omegas.size());
  }
  UpdateSettings settings;
  settings.done = state_.clock;
  settings.learning_rate =
      learning_rate(options_.optimizer, state_.clock, state_.learning_rate_factor, state_.warmup_start);
  cycle_warmup();
  settings.average_rate = average_rate(options_.optimizer.ema_decay, state_.clock.updates);
  TrainingClock after = state_.clock;
  after.finish_update(batches.target_tokens);
  settings.measures_layers = is_due(options_.display.log_layer_norms, state_.clock, after);
  settings.measures_terms = validation_ && is_due(options_.validation.valid_freq, state_.clock, after);
  last_target_tokens_ = batches.target_tokens;
  state_.clock = after;
  under_way_.push_back({state_.clock.updates, model_->start_update(batches, settings)});

  state_.loader = data_->state();
  state_.learning_rate = settings.learning_rate;
  state_.sentences += batches.sentences;
  state_.sentences_total += batches.sentences;
  DisplayState& d = state_.display;
  d.updates += 1;
  d.labels += batches.target_tokens;
  d.sentences += batches.sentences;
  d.source_fill += batches.source_fill;
  d.target_fill += batches.target_fill;
  if (decays_at_update(options_.optimizer, {0, state_.clock.updates, 0})) decay_learning_rate();
}

/// While the device works on one update, the host prepares the next: its result is looked at one update late. Not
/// where it could end the run: the gradients must still be those of the update that is judged.
size_t Trainer::most_under_way() const {
  const bool may_end =
      state_.skipped_in_a_row > 0 || state_.diverged_in_a_row > 0 || options_.run.divergence_updates == 1;
  return backend_->records() && !may_end ? 1 : 0;
}

/// Takes in the results of all updates but the last `under_way`.
void Trainer::finish_updates(size_t under_way) {
  while (under_way_.size() > std::min(under_way, most_under_way())) {
    const UnderWay update = std::move(under_way_.front());
    under_way_.pop_front();
    const UpdateResult result = update.result();
    if (std::isfinite(result.loss))
      state_.display.loss += result.loss;
    else
      state_.display.lost_labels += result.target_tokens;
    if (result.layers)
      log_->layers(state_, model_->layers(), model_->transformer().residual_site_names(), model_->site_branch_scales(),
                   *result.layers);
    watch_loss(result, update.number);
    count_skipped(result, update.number);
  }
}

void Trainer::finish_epoch() {
  log::info("Seen {} samples", with_commas(state_.sentences));
  ++state_.clock.epochs;
  if (decays_at_epoch_end(options_.optimizer, {state_.clock.epochs, state_.clock.updates, state_.most_stalls}))
    decay_learning_rate();
  state_.sentences = 0;
  if (is_finished()) return;
  const LogicalEpoch& logical = options_.display.logical_epoch;
  if (logical.is_usual())
    log::info("Starting epoch {}", state_.clock.epochs);
  else
    log::info("Starting data epoch {} in logical epoch {}", state_.clock.epochs, logical.text(state_.clock));
}

/// Every rank computes its part; the first one scores, and the others take over what it found. A validation that does
/// not come to its end is owed: a resumed run begins with it.
void Trainer::validate() {
  state_.owes_validation = true;
  saved_ = -1;
  const auto metrics_before = state_.metrics;
  const int64_t stalls_before = stalls();
  std::exception_ptr failure;
  try {
    run_validation();
    state_.owes_validation = false;
  } catch (const Interrupted&) {
    log::info("[valid] interrupted; a resumed run begins with it");  // run() sees the signal and saves
  } catch (const Error&) {
    // A script failed, or was ended by the signal that comes to us next: what has been trained is kept.
    state_.metrics = metrics_before;
    failure = std::current_exception();
  }
  take_first_ranks_state();
  if (const int64_t now = stalls(); now > stalls_before) {
    if (now > state_.most_stalls) ++state_.most_stalls;
    if (decays_at_stall(options_.optimizer, {state_.clock.epochs, state_.clock.updates, now})) decay_learning_rate();
  }
  if (any_of_ranks(failure != nullptr)) save();
  if (failure && caught_signal() == 0) std::rethrow_exception(failure);
}

void Trainer::run_validation() {
  const auto start = Clock::now();
  {
    const TrainingModel::BestParameters best(*model_);
    model_->set_update_state(state_.clock, state_.learning_rate, 0, 1);
    // Fetched by all ranks alike, before the first one alone knows what it needs.
    const bool needs_parameters = options_.validation.keep_best || validation_->needs_parameters();
    const WholeArena parameters = needs_parameters ? model_->whole_values() : WholeArena();
    for (const MetricValue& m : validation_->run(state_, parameters)) {
      const MetricState& metric = state_.metrics[m.name];
      log_->validation(state_, m.name, m.value,
                       m.is_better
                           ? "new best"
                           : fmt::format("stalled {} times (last best: {})", metric.stalled, float(metric.best)));
      if (m.is_best && options_.validation.keep_best) checkpoint_->save_best(state_, m.name, parameters);
    }
  }
  state_.last_validation = state_.clock.updates;
  log_->exclude(Clock::now() - start);
}

/// Validations in a row without improvement, of the metrics that early-stopping-on names.
int64_t Trainer::stalls() const {
  std::vector<int64_t> counts;  // of metrics that are measured now, not of those of a checkpoint
  for (const ValidationMetric* metric : options_.validation.metrics) {
    const auto found = state_.metrics.find(std::string(metric->name));
    counts.push_back(found == state_.metrics.end() ? 0 : found->second.stalled);
  }
  if (counts.empty()) return 0;
  switch (options_.validation.early_stopping_on) {
    case StopOn::any:
      return std::ranges::max(counts);
    case StopOn::all:
      return std::ranges::min(counts);
    case StopOn::first:
      break;
  }
  return counts.front();
}

bool Trainer::should_stop_early() const {
  const int64_t limit = options_.validation.early_stopping;
  return validation_ && limit > 0 && stalls() >= limit;
}

/// False where updates diverge and an earlier checkpoint is there: that one stays. A single skipped update is chance,
/// and has changed nothing.
bool Trainer::save() {
  owes_save_ = false;
  if (has_checkpoint_ && (state_.skipped_in_a_row > 1 || state_.diverged_in_a_row > 1)) {
    log::warn("[train] not saved while the updates diverge: '{}' stays what it was", options_.saving.model);
    return false;
  }
  log_->count_time(state_.display);
  const auto start = Clock::now();
  checkpoint_->save(state_);
  has_checkpoint_ = true;
  saved_ = state_.clock.updates;
  if (options_.optimizer.kind == OptimizerKind::adam)
    log::info("[train] Adam's sqrt(v) is below epsilon for {:.2f} % of the parameters",
              100 * model_->optimizer().small_moment_share());
  log_->exclude(Clock::now() - start);
  return true;
}

}  // namespace bough
