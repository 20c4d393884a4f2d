// The memory plan: how many layers are recomputed, for which memory.
#include "apps/training/memory_plan.h"

#include <chrono>

#include "apps/training/train_options.h"
#include "test/catch.h"
#include "test/throws.h"
#include "test/training_run.h"

using namespace bough;

namespace {

TrainOptions deep_options(int layers_a_stack) {
  TrainOptions o;
  o.machine.precision = {ComputeType::bfloat16};
  o.machine.devices.ids = {0};
  o.model = small_model(ResidualKind::branchnorm);
  o.model.encoder_layers = o.model.decoder_layers = layers_a_stack;
  return o;
}

size_t needed(const MemoryPlan& plan) { return plan.state_bytes + plan.activation_bytes + plan.other_bytes; }

DeviceChoice gpu_with(size_t free_bytes) {
  return {.is_gpu = true, .free_bytes = free_bytes, .total_bytes = size_t{1} << 40};
}

}  // namespace

TEST_CASE("the fewest layers are recomputed that fit a GPU's memory", "[memory]") {
  TrainOptions o = deep_options(6);
  const auto with = [&](int layers) { return plan_memory(o.memory(), 512, 512, layers); };
  const auto planned = [&](size_t bytes, int least = 0) {
    return plan_training(o.memory(), 512, 512, least, gpu_with(bytes)).recomputed_layers;
  };
  CHECK(planned(needed(with(0))) == 0);
  for (int layers = 1; layers < 12; ++layers) {
    INFO(layers);
    CHECK(needed(with(layers)) < needed(with(layers - 1)));
    CHECK(planned(needed(with(layers))) == layers);
    CHECK(planned(needed(with(layers - 1)) - 1) == layers);
    CHECK_NOTHROW(check_memory(with(layers), gpu_with(needed(with(layers)))));
  }
  CHECK(planned(needed(with(2)), 5) == 5);
  CHECK(planned(1) == 12);                                                   // nothing fits
  CHECK(plan_training(o.memory(), 512, 512, 0, {}).recomputed_layers == 0);  // the CPU takes what it needs

  const std::string all = message_of([&] { check_memory(with(12), gpu_with(1)); });
  CHECK(all.find("of activations with all layers recomputed, ") != std::string::npos);
  CHECK(all.find("are free; lower mini-batch-words or mini-batch, or free the GPU of other programs") !=
        std::string::npos);

  o.run.recomputation = Recomputation::none;
  CHECK(planned(1) == 0);
  const std::string none = message_of([&] { check_memory(with(0), gpu_with(1)); });
  CHECK(none.find("leave out gradient-checkpointing: false") != std::string::npos);
  o.run.recomputation = Recomputation::all;
  CHECK(planned(size_t{1} << 40) == 12);
}

TEST_CASE("ranks share moments and average, and master values beside a copy, not gradients", "[memory]") {
  TrainOptions o = deep_options(6);
  o.optimizer.ema_decay = 1e-4;
  o.model.model_dim = 256;
  o.model.ffn_dim = 1024;
  const auto state = [&](int ranks) {
    MemoryOptions memory = o.memory();
    memory.ranks = ranks;
    return double(plan_memory(memory, 100, 100, 0).state_bytes);
  };
  const double bytes = 4 * double(plan_memory(o.memory(), 100, 100, 0).parameters);
  CHECK(state(1) > 5 * bytes);
  CHECK(state(4) < state(1) - 1.5 * bytes);  // 3/4 of three arenas, less what is exchanged at once
  o.machine.precision = {ComputeType::bfloat16};
  o.machine.devices.ids = {0};
  CHECK(state(4) < state(1) - 2 * bytes);  // 3/4 of four
  CHECK(state(4) > 2 * bytes);             // gradients, half as much for the copy, and a quarter of four
}

TEST_CASE("mini-batch-fit recomputes as few layers as its batch asks for", "[memory]") {
  TrainOptions o = deep_options(6);
  o.batch.mini_batch_fit = true;
  o.machine.workspace = 16;
  const size_t workspace = size_t{16} << 20;
  const MemoryPlan kept = fit_memory(o.memory(), 1);
  CHECK(kept.recomputed_layers == 0);
  CHECK(kept.activation_bytes <= workspace);

  o.run.recomputation = Recomputation::all;
  const MemoryPlan recomputed = fit_memory(o.memory(), 1);
  CHECK(recomputed.target_rows > kept.target_rows);
  CHECK(recomputed.activation_bytes <= workspace);
  CHECK(recomputed.recomputed_layers > 0);
  CHECK(plan_memory(o.memory(), recomputed.source_rows, recomputed.target_rows, recomputed.recomputed_layers - 1)
            .activation_bytes > workspace);

  // Where one sentence does not fit without, all can be recomputed, unless that is forbidden.
  o.corpus.max_length = int(recomputed.target_rows * 3 / 4);
  o.run.recomputation = Recomputation::automatic;
  const MemoryPlan automatic = fit_memory(o.memory(), 1);
  CHECK(automatic.target_rows == recomputed.target_rows);
  CHECK(automatic.recomputed_layers == recomputed.recomputed_layers);
  o.run.recomputation = Recomputation::none;
  CHECK(message_of([&] { fit_memory(o.memory(), 1); })
            .find("raise workspace or lower max-length, or leave out "
                  "gradient-checkpointing: false") != std::string::npos);
  o.run.recomputation = Recomputation::automatic;
  o.corpus.max_length = 100'000;
  CHECK(message_of([&] { fit_memory(o.memory(), 1); })
            .find("workspace: 16 MiB cannot hold one sentence of max-length 100000, even with all layers recomputed; "
                  "raise workspace or lower max-length") == 0);
}

TEST_CASE("the plan of 500+500 layers says how many are recomputed", "[memory]") {
  TrainOptions o = deep_options(500);
  const MemoryPlan all = plan_memory(o.memory(), 4096, 4096, 1000), none = plan_memory(o.memory(), 4096, 4096, 0);
  const auto start = std::chrono::steady_clock::now();
  const MemoryPlan plan = plan_training(o.memory(), 4096, 4096, 0, gpu_with((needed(all) + needed(none)) / 2));
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(30));  // about one
  CHECK(plan.recomputed_layers > 400);
  CHECK(plan.recomputed_layers < 600);
  CHECK(plan.flops < all.flops);
  CHECK(format_plan(plan).find(fmt::format(" ({} of 1000 layers recomputed)", plan.recomputed_layers)) !=
        std::string::npos);
}
