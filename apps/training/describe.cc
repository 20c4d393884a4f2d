#include "apps/training/describe.h"

#include "apps/inference/device.h"
#include "apps/inference/model_batch.h"
#include "apps/training/memory_plan.h"
#include "apps/training/training_model.h"
#include "core/base/files.h"
#include "core/base/rounding.h"
#include "data/vocabulary.h"

namespace bough {
namespace {

void set_vocabulary_sizes(TrainOptions& options) {
  constexpr int usual_size = 32000;
  const auto& paths = options.vocabulary.paths;
  for (size_t i = 0; i < 2; ++i) {
    const int wanted = i < options.corpus.dim_vocabs.size() ? options.corpus.dim_vocabs[i] : 0;
    const bool exists = i < paths.size() && file_exists(paths[i]);
    options.model.vocab_sizes.push_back(exists   ? load_vocabulary(paths[i], wanted)->size()
                                        : wanted ? wanted
                                                 : usual_size);
  }
}

}  // namespace

std::string describe_model(TrainOptions options, int ranks) {
  set_vocabulary_sizes(options);
  const auto backend = make_null_backend(planned_type(options.machine));
  TrainingModel model(*backend, options.model, options.dropout, options.optimizer, 1);
  std::string text;
  for (const auto& part : model.parameters().parts())
    text += fmt::format("{:<44} {:>18} {:>12}\n", part.name, to_string(part.file_shape()), part.size());
  text += fmt::format("{:<44} {:>18} {:>12}\n", "all parameters", "", model.parameters().trained_elements());

  const MemoryOptions memory = options.memory(ranks);
  const int64_t of_all =
      options.batch.mini_batch_words > 0 ? options.batch.mini_batch_words : options.batch.mini_batch * usual_length;
  const int64_t budget = divide_up(of_all, ranks);
  for (const int layers : {0, options.model.layers()})
    text += fmt::format("gradient-checkpointing {:<5}: {}\n", layers > 0,
                        format_plan(plan_memory(memory, budget, budget, layers)));
  if (options.batch.mini_batch_fit)
    text += fmt::format("mini-batch-fit in {} MiB: {}\n", workspace_bytes(options.machine) >> 20,
                        format_plan(fit_memory(memory, 1)));
  return text;
}

}  // namespace bough
