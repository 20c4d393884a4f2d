#include "apps/training/memory_plan.h"

#include <algorithm>

#include "apps/inference/model_batch.h"
#include "apps/inference/translator.h"
#include "apps/training/training_model.h"

namespace bough {
namespace {

constexpr size_t product_bytes = size_t{2} * 64 << 20;  // CudaOptions::workspace_bytes, for two streams
constexpr size_t small_bytes = size_t{64} << 20;        // partial sums, UpdateState, batches, tables of positions
// Estimates: code that is loaded when first used, and records; NCCL's buffers for every other rank.
constexpr size_t driver_bytes = size_t{256} << 20, connection_bytes = size_t{256} << 20;

std::string gibibytes(size_t bytes) {
  const double mib = double(bytes) / (1 << 20);
  return mib < 1024 ? fmt::format("{:.0f} MiB", mib) : fmt::format("{:.1f} GiB", mib / 1024);
}

/// The arena's peak over a validation batch of the plan's rows (Validation::limit_rows), or of one sentence of
/// valid-max-length where that has more.
size_t validation_batch_bytes(const MemoryOptions& options, TrainingModel& model, const MemoryPlan& plan) {
  const bool learned = options.model.learned_positions;
  const int64_t positions = learned ? options.model.max_positions : plan.target_rows + options.longest_validated;
  const int64_t longest = std::min<int64_t>(options.longest_validated, positions);
  model.backend().allocator().reset_peak();
  model.evaluate(imagined_batch(std::max(plan.source_rows, longest), std::max(plan.target_rows, longest), positions));
  return model.backend().allocator().peak();
}

/// Plans what validation needs beyond training's activations, whose memory it uses: its batches, room for parameters
/// and average to change places, and beam search (its cache, and half as much for everything else).
void plan_validation(const MemoryOptions& options, TrainingModel& model, MemoryPlan& plan) {
  plan.arena_bytes = std::max(plan.arena_bytes, validation_batch_bytes(options, model, plan));
  const ParameterSet& set = model.parameters();
  const int64_t spare = std::min(TrainingModel::BestParameters::most_spare, set.elements());
  const size_t aside = model.optimizer().arenas().average ? size_t(spare) * size_of(set.kept_values().dtype()) : 0;
  const size_t search = size_t(TranslatorSettings().cache_bytes) * 3 / 2;
  plan.other_bytes += aside + std::max(search, plan.arena_bytes) - plan.activation_bytes;
}

/// What an update with log-layer-norms puts outside the arena beyond a usual one: log-model-update keeps outputs.
size_t measuring_bytes(TrainingModel& model, const Batch& batch) {
  const size_t before = model.backend().persistent_bytes;
  model.update({.micro = {batch}, .target_tokens = batch.target.rows()}, {.measures_layers = true});
  return model.backend().persistent_bytes - before;
}

size_t needed_bytes(const MemoryPlan& plan) { return plan.state_bytes + plan.activation_bytes + plan.other_bytes; }

bool fits(const MemoryPlan& plan, const DeviceChoice& device) {
  return !device.is_gpu || needed_bytes(plan) <= device.free_bytes;
}

/// Whether the plan is within `workspace`; a negative one speaks of all memory, not of activations alone.
bool fits(const MemoryPlan& plan, const MachineOptions& machine) {
  return (machine.workspace < 0 ? needed_bytes(plan) : plan.activation_bytes) <= workspace_bytes(machine);
}

/// The plan with the fewest recomputed layers, more than `too_few`, that fits into `memory`, by bisection: with each
/// layer the memory falls and the work grows. All layers where nothing fits.
template <class Memory>
MemoryPlan recompute_until_it_fits(const MemoryOptions& options, int64_t source_rows, int64_t target_rows, int too_few,
                                   const Memory& memory) {
  MemoryPlan best = plan_memory(options, source_rows, target_rows, options.model.layers());
  if (!fits(best, memory)) return best;
  while (best.recomputed_layers - too_few > 1) {
    const int middle = (too_few + best.recomputed_layers) / 2;
    const MemoryPlan plan = plan_memory(options, source_rows, target_rows, middle);
    if (fits(plan, memory))
      best = plan;
    else
      too_few = middle;
  }
  return best;
}

}  // namespace

MemoryPlan plan_memory(const MemoryOptions& options, int64_t source_rows, int64_t target_rows, int recomputed_layers) {
  const auto backend = make_null_backend(planned_type(options.machine));
  const std::unique_ptr<Communicator> ranks = imagined_ranks(options.ranks);
  TrainingModel model(*backend, options.model, options.dropout, options.optimizer, 1, *ranks);
  model.set_recompute(recomputed_layers);
  if (options.measures_layers) model.enable_layer_norms(options.measures_model_update);
  MemoryPlan plan;
  plan.parameters = model.parameters().trained_elements();
  plan.state_bytes = backend->persistent_bytes;
  plan.layers = model.transformer().layers();
  plan.recomputed_layers = recomputed_layers;

  const bool is_gpu = plans_for_gpu(options.machine);
  if (is_gpu) model.use_shape_classes(source_rows, target_rows);
  plan.source_rows = is_gpu ? shape_class(source_rows, source_rows) : source_rows;
  plan.target_rows = is_gpu ? shape_class(target_rows, target_rows) : target_rows;
  const int64_t longest = options.model.learned_positions ? options.model.max_positions : plan.target_rows + 1;
  const Batch batch =
      imagined_batch(plan.source_rows, plan.target_rows, longest, options.learns_alignments, options.has_weights);
  model.accumulate_gradients(batch, true);
  plan.flops = backend->flops;
  if (options.measures_layers) plan.state_bytes += measuring_bytes(model, batch);
  plan.activation_bytes = plan.arena_bytes = backend->allocator().peak();
  if (!is_gpu) return plan;
  plan.other_bytes = product_bytes + small_bytes + driver_bytes + size_t(options.ranks - 1) * connection_bytes;
  if (options.longest_validated > 0) plan_validation(options, model, plan);
  return plan;
}

MemoryPlan plan_training(const MemoryOptions& options, int64_t source_rows, int64_t target_rows, int least_recomputed,
                         const DeviceChoice& device) {
  const Recomputation recomputation = options.recomputation;
  if (recomputation == Recomputation::all && !options.mini_batch_fit) least_recomputed = options.model.layers();
  const MemoryPlan plan = plan_memory(options, source_rows, target_rows, least_recomputed);
  if (recomputation == Recomputation::none || fits(plan, device)) return plan;
  return recompute_until_it_fits(options, source_rows, target_rows, least_recomputed, device);
}

void check_memory(const MemoryPlan& plan, const DeviceChoice& device) {
  check(device.is_gpu || plan.state_bytes <= device.total_bytes,
        "memory: parameters, gradients and optimizer state of this model need {}, this machine has {}; make the model "
        "smaller",
        gibibytes(plan.state_bytes), gibibytes(device.total_bytes));
  const bool all = plan.recomputed_layers == plan.layers;
  check(fits(plan, device),
        "memory: this run needs {} ({} of parameters, gradients and optimizer state, {} of activations{}, {} for "
        "products, validation and the driver), but {} of GPU {}'s {} are free; lower mini-batch-words or mini-batch{}, "
        "or free the GPU of other programs",
        gibibytes(needed_bytes(plan)), gibibytes(plan.state_bytes), gibibytes(plan.activation_bytes),
        all ? " with all layers recomputed" : "", gibibytes(plan.other_bytes), gibibytes(device.free_bytes), device.id,
        gibibytes(device.total_bytes), all ? "" : ", leave out gradient-checkpointing: false");
}

MemoryPlan fit_memory(const MemoryOptions& options, double length_ratio) {
  const Recomputation recomputation = options.recomputation;
  int layers = recomputation == Recomputation::all ? options.model.layers() : 0;
  const auto source_rows = [&](int64_t target_rows) { return int64_t(double(target_rows) * length_ratio); };
  const auto plan = [&](int64_t target_rows) {
    return plan_memory(options, source_rows(target_rows), target_rows, layers);
  };
  const auto holds = [&](int64_t target_rows) { return fits(plan(target_rows), options.machine); };
  int64_t low = options.max_length, high = low;
  if (recomputation == Recomputation::automatic && !holds(low)) layers = options.model.layers();
  check(holds(low),
        "workspace: {} MiB cannot hold one sentence of max-length {}{}; raise workspace or lower max-length{}",
        workspace_bytes(options.machine) >> 20, options.max_length, layers ? ", even with all layers recomputed" : "",
        layers ? "" : ", or leave out gradient-checkpointing: false");
  constexpr int64_t most_rows = 1 << 20;
  while (high < most_rows && holds(2 * high)) high *= 2;
  low = high;
  high = 2 * high;
  for (int64_t step = (high - low) / 2; step >= std::max<int64_t>(low / 64, 1); step /= 2)
    if (holds(low + step)) low += step;
  const int64_t multiple = preferred_row_multiple(options.machine), even = low - low % multiple;
  if (even >= options.max_length) low = even;  // a batch of fewer rows could not hold every sentence
  if (layers == 0) return plan(low);
  return recompute_until_it_fits(options, source_rows(low), low, -1, options.machine);
}

std::string format_plan(const MemoryPlan& p) {
  return fmt::format(
      "{} + {} tokens a batch: {} of parameters, gradients and optimizer state, {} of activations{}, {}"
      "{:.2f} TFLOP",
      p.source_rows, p.target_rows, gibibytes(p.state_bytes), gibibytes(p.activation_bytes),
      p.recomputed_layers ? fmt::format(" ({} of {} layers recomputed)", p.recomputed_layers, p.layers) : "",
      p.other_bytes ? fmt::format("{} for products, validation and the driver, {} in all, ", gibibytes(p.other_bytes),
                                  gibibytes(p.state_bytes + p.activation_bytes + p.other_bytes))
                    : "",
      p.flops * 1e-12);
}

}  // namespace bough
