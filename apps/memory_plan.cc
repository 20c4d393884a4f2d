#include "apps/memory_plan.h"

#include <algorithm>
#include <filesystem>

#include "apps/device.h"
#include "apps/model_batch.h"
#include "apps/training_model.h"

namespace bough {
namespace {

constexpr int64_t sentence_rows = 30;  // attention needs memory per row only, so any length would do

std::string gibibytes(size_t bytes) {
  const double mib = double(bytes) / (1 << 20);
  return mib < 1024 ? fmt::format("{:.0f} MiB", mib) : fmt::format("{:.1f} GiB", mib / 1024);
}

void set_vocabulary_sizes(TrainOptions& options) {
  constexpr int usual_size = 32000;
  const auto& paths = options.vocabulary.paths;
  for (size_t i = 0; i < 2; ++i) {
    const int wanted = i < options.corpus.dim_vocabs.size() ? options.corpus.dim_vocabs[i] : 0;
    const bool exists = i < paths.size() && std::filesystem::exists(paths[i]);
    options.model.vocab_sizes.push_back(exists   ? load_vocabulary(paths[i], wanted)->size()
                                        : wanted ? wanted
                                                 : usual_size);
  }
}

}  // namespace

MemoryPlan plan_memory(const TrainOptions& options, int64_t source_rows, int64_t target_rows) {
  const auto backend = make_null_backend(planned_type(options.machine));
  TrainingModel model(*backend, options.model, options.dropout, options.optimizer, 1);
  model.set_recompute(options.run.gradient_checkpointing);
  if (options.run.log_layer_norms) model.enable_layer_norms(false);
  MemoryPlan plan;
  plan.parameters = model.parameters().trained_elements();
  plan.state_bytes = backend->persistent_bytes;
  plan.recompute = options.run.gradient_checkpointing;

  const int64_t sentences = std::max<int64_t>(target_rows / sentence_rows, 1);
  const Batch batch = imagined_batch(sentences, std::max<int64_t>(source_rows / sentences, 1),
                                     std::max<int64_t>(target_rows / sentences, 1));
  model.parameters().begin_update();
  model.accumulate_gradients(batch, true);
  plan.source_rows = batch.source.rows();
  plan.target_rows = batch.target.rows();
  plan.activation_bytes = backend->allocator().peak();
  plan.flops = backend->flops;
  return plan;
}

MemoryPlan fit_memory(const TrainOptions& options, double length_ratio) {
  const size_t workspace = workspace_bytes(options.machine);
  const auto fits = [&](int64_t target_rows) {
    const MemoryPlan plan =
        plan_memory(options, int64_t(double(target_rows) * length_ratio), target_rows);
    return plan.activation_bytes <= workspace;
  };
  int64_t low = options.corpus.max_length, high = low;
  check(fits(low),
        "workspace: {} MiB cannot hold one sentence of max-length {}; raise workspace, lower "
        "max-length or set gradient-checkpointing",
        workspace >> 20, options.corpus.max_length);
  constexpr int64_t most_rows = 1 << 20;
  while (high < most_rows && fits(2 * high)) high *= 2;
  low = high;
  high = 2 * high;
  for (int64_t step = (high - low) / 2; step >= std::max<int64_t>(low / 64, 1); step /= 2)
    if (fits(low + step)) low += step;
  return plan_memory(options, int64_t(double(low) * length_ratio), low);
}

std::string format_plan(const MemoryPlan& p) {
  return fmt::format(
      "{} + {} tokens a batch: {} of parameters, gradients and optimizer state, {} of activations{}, "
      "{:.2f} TFLOP",
      p.source_rows, p.target_rows, gibibytes(p.state_bytes), gibibytes(p.activation_bytes),
      p.recompute ? " (layers recomputed)" : "", p.flops * 1e-12);
}

std::string describe_model(TrainOptions options) {
  set_vocabulary_sizes(options);
  const auto backend = make_null_backend(planned_type(options.machine));
  TrainingModel model(*backend, options.model, options.dropout, options.optimizer, 1);
  std::string text;
  for (const auto& part : model.parameters().parts())
    text += fmt::format("{:<44} {:>18} {:>12}\n", part.name, to_string(part.file_shape()), part.size());
  text += fmt::format("{:<44} {:>18} {:>12}\n", "all parameters", "",
                      model.parameters().trained_elements());

  const int64_t budget = options.batch.mini_batch_words > 0
                             ? options.batch.mini_batch_words
                             : options.batch.mini_batch * sentence_rows;
  for (const bool recompute : {false, true}) {
    options.run.gradient_checkpointing = recompute;
    text += fmt::format("gradient-checkpointing {:<5}: {}\n", recompute,
                        format_plan(plan_memory(options, budget, budget)));
    if (options.batch.mini_batch_fit)
      text += fmt::format("  mini-batch-fit in {} MiB: {}\n", workspace_bytes(options.machine) >> 20,
                          format_plan(fit_memory(options, 1)));
  }
  return text;
}

}  // namespace bough
