// The memory plan: what is planned besides a usual update.
#include "apps/option_parser.h"
#include "apps/training/memory_plan.h"
#include "apps/training/trainer.h"
#include "test/catch.h"
#include "test/corpus_files.h"
#include "test/scratch_folder.h"

using namespace bough;

namespace {

TrainOptions planned_options() {
  TrainOptions o;
  o.machine.precision = {ComputeType::bfloat16};
  o.machine.devices = {};
  o.model.vocab_sizes = {32000, 32000};
  o.model.model_dim = 64;
  o.model.heads = 4;
  o.model.ffn_dim = 128;
  o.model.tied_embeddings_all = true;
  return o;
}

}  // namespace

TEST_CASE("updates that log their effect on the model are planned", "[training]") {
  TrainOptions o = planned_options();
  o.display.log_layer_norms = {10};
  const MemoryPlan without = plan_memory(o.memory(), 512, 512, 0);
  o.display.log_model_update = true;
  const MemoryPlan with = plan_memory(o.memory(), 512, 512, 0);
  CHECK(with.state_bytes - without.state_bytes >= size_t{2} * 512 * 64 * sizeof(float));
  CHECK(with.parameters == without.parameters);
  CHECK(with.flops == without.flops);
}

TEST_CASE("validation batches are bounded by those of training, and planned", "[training]") {
  TrainOptions o = planned_options();
  if (plans_for_gpu(o.machine)) {
    const MemoryPlan without = plan_memory(o.memory(), 256, 256, 0);
    CHECK(without.arena_bytes == without.activation_bytes);
    o.validation.valid_sets = {"a", "b"};
    o.validation.max_length = 4000;  // the logits of one sentence are more than a whole batch's activations
    const MemoryPlan with = plan_memory(o.memory(), 256, 256, 0);
    CHECK(with.activation_bytes == without.activation_bytes);
    CHECK(with.arena_bytes > size_t{4000} * 32000 * 2);
    CHECK(with.other_bytes >= without.other_bytes + with.arena_bytes - with.activation_bytes);
    o.optimizer.ema_decay = 1e-4;  // the average changes places with the parameters: no arena more
    const MemoryPlan averaged = plan_memory(o.memory(), 256, 256, 0);
    CHECK(averaged.other_bytes > with.other_bytes);
    CHECK(averaged.other_bytes - with.other_bytes < size_t(with.parameters) * sizeof(float) / 2);
  }

  const ScratchFolder folder;
  const ParallelText text = make_parallel_text(60, 3, 40);
  for (const char* part : {"train", "valid"}) {
    write_text(folder / (std::string(part) + ".en"), join_lines(text.source));
    write_text(folder / (std::string(part) + ".de"), join_lines(text.target));
  }
  const std::vector<std::string> words = {"bough-train",
                                          "--quiet",
                                          "--log-level",
                                          "off",
                                          "-m",
                                          folder / "model.npz",
                                          "--no-reload",
                                          "--cpu-threads",
                                          "1",
                                          "-t",
                                          folder / "train.en",
                                          folder / "train.de",
                                          "-v",
                                          folder / "v.en.yml",
                                          folder / "v.de.yml",
                                          "--dim-vocabs",
                                          "50",
                                          "50",
                                          "--tempdir",
                                          folder / "",
                                          "--dim-emb",
                                          "16",
                                          "--transformer-heads",
                                          "2",
                                          "--transformer-dim-ffn",
                                          "16",
                                          "--max-length",
                                          "40",
                                          "--mini-batch-words",
                                          "80",
                                          "--after",
                                          "4u",
                                          "--valid-metrics",
                                          "ce-mean-words",
                                          "--seed",
                                          "1",
                                          "--valid-sets",
                                          folder / "valid.en",
                                          folder / "valid.de",
                                          "--valid-mini-batch",
                                          "64"};
  std::vector<const char*> arguments;
  for (const auto& word : words) arguments.push_back(word.c_str());
  TrainOptions options = *parse_train_options(int(arguments.size()), arguments.data());
  Trainer trainer(options);
  CHECK(trainer.run() == 0);
  options.model.vocab_sizes = {50, 50};
  // mini-batch-words counts the target side; a source is at most a half longer here.
  CHECK(trainer.model().backend().allocator().peak() <= plan_memory(options.memory(), 120, 80, 0).activation_bytes);
  CHECK(plan_memory(options.memory(), 400, 400, 0).activation_bytes >
        2 * plan_memory(options.memory(), 120, 80, 0).activation_bytes);
}
