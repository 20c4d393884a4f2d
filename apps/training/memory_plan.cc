#include "apps/training/memory_plan.h"

#include <algorithm>

#include "apps/inference/model_batch.h"
#include "apps/inference/translator.h"
#include "apps/training/training_model.h"

namespace bough {
namespace {

constexpr int64_t sentence_rows = 30;
constexpr size_t product_bytes = size_t{2} * 64 << 20;  // CudaOptions::workspace_bytes, for two streams
constexpr size_t small_bytes = size_t{64} << 20;        // partial sums, StepState, batches, tables of positions

std::string gibibytes(size_t bytes) {
  const double mib = double(bytes) / (1 << 20);
  return mib < 1024 ? fmt::format("{:.0f} MiB", mib) : fmt::format("{:.1f} GiB", mib / 1024);
}

/// What validation needs beyond training's activations, whose memory it uses: the parameters put aside for their
/// average, and beam search (its cache, and half as much for everything else).
size_t validation_bytes(const MemoryOptions& options, TrainingModel& model, size_t activation_bytes) {
  if (!options.validates) return 0;
  const size_t aside = model.optimizer().has_average() ? model.parameters().values().bytes() : 0;
  const size_t search = size_t(TranslatorSettings().cache_bytes) * 3 / 2;
  return aside + (search > activation_bytes ? search - activation_bytes : 0);
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
  TrainingModel model(*backend, options.model, options.dropout, options.optimizer, 1);
  model.set_recompute(recomputed_layers);
  if (options.measures_layers) model.enable_layer_norms(false);
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
  model.accumulate_gradients(imagined_batch(plan.source_rows, plan.target_rows, longest), true);
  plan.activation_bytes = backend->allocator().peak();
  plan.flops = backend->flops;
  if (is_gpu) plan.other_bytes = product_bytes + small_bytes + validation_bytes(options, model, plan.activation_bytes);
  return plan;
}

MemoryPlan plan_training(const MemoryOptions& options, int64_t source_rows, int64_t target_rows, int least_recomputed,
                         const DeviceChoice& device) {
  const Checkpointing checkpointing = options.gradient_checkpointing;
  if (checkpointing == Checkpointing::all && !options.mini_batch_fit) least_recomputed = options.model.layers();
  const MemoryPlan plan = plan_memory(options, source_rows, target_rows, least_recomputed);
  if (checkpointing == Checkpointing::none || fits(plan, device)) return plan;
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
        "products "
        "and validation), but {} of GPU {}'s {} are free; lower mini-batch-words or mini-batch{}, or free the GPU of "
        "other programs",
        gibibytes(needed_bytes(plan)), gibibytes(plan.state_bytes), gibibytes(plan.activation_bytes),
        all ? " with all layers recomputed" : "", gibibytes(plan.other_bytes), gibibytes(device.free_bytes), device.id,
        gibibytes(device.total_bytes), all ? "" : ", leave out gradient-checkpointing: false");
}

MemoryPlan fit_memory(const MemoryOptions& options, double length_ratio) {
  const Checkpointing checkpointing = options.gradient_checkpointing;
  int layers = checkpointing == Checkpointing::all ? options.model.layers() : 0;
  const auto source_rows = [&](int64_t target_rows) { return int64_t(double(target_rows) * length_ratio); };
  const auto plan = [&](int64_t target_rows) {
    return plan_memory(options, source_rows(target_rows), target_rows, layers);
  };
  const auto holds = [&](int64_t target_rows) { return fits(plan(target_rows), options.machine); };
  int64_t low = options.max_length, high = low;
  if (checkpointing == Checkpointing::automatic && !holds(low)) layers = options.model.layers();
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
  if (const int64_t multiple = preferred_row_multiple(options.machine); low > multiple) low -= low % multiple;
  if (layers == 0) return plan(low);
  return recompute_until_it_fits(options, source_rows(low), low, -1, options.machine);
}

std::string format_plan(const MemoryPlan& p) {
  return fmt::format(
      "{} + {} tokens a batch: {} of parameters, gradients and optimizer state, {} of activations{}, {}"
      "{:.2f} TFLOP",
      p.source_rows, p.target_rows, gibibytes(p.state_bytes), gibibytes(p.activation_bytes),
      p.recomputed_layers ? fmt::format(" ({} of {} layers recomputed)", p.recomputed_layers, p.layers) : "",
      p.other_bytes ? fmt::format("{} for products and validation, {} in all, ", gibibytes(p.other_bytes),
                                  gibibytes(p.state_bytes + p.activation_bytes + p.other_bytes))
                    : "",
      p.flops * 1e-12);
}

}  // namespace bough
