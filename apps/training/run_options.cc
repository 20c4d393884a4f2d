#include "apps/training/run_options.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace bough {

const EnumNames<Recomputation> recomputation_names = {
    {"auto", Recomputation::automatic}, {"false", Recomputation::none}, {"true", Recomputation::all}};

void RunOptions::settings(Settings& v) {
  v.group("Training");
  v.alias("task",
          "presets of model size and training recipe, from Vaswani 2017; whatever is given beside one "
          "wins over it, and of several the later ones in this list win",
          true, {"transformer-base", "transformer-big", "transformer-base-prenorm", "transformer-big-prenorm"});
  v(after, {"after", 'a'},
    "stop after this many epochs, updates or target tokens, whichever comes first; 0e = never. With a plus sign after "
    "so many more than there were when this run started or went on: +10e");
  v(after_epochs, {"after-epochs", 'e'}, "older spelling of after Ne; 0 = never", Range<int64_t>{0});
  v(after_batches, "after-batches", "older spelling of after Nu; 0 = never", Range<int64_t>{0});
  v(recomputation, {"gradient-checkpointing", 0, "true"},
    "recompute layers in the backward pass instead of keeping their activations: more work, less memory, the same "
    "bits. auto = as few layers, from the first on, as a GPU's memory or mini-batch-fit asks for; true = all of "
    "them, with mini-batch-fit as few as its largest batch asks for",
    recomputation_names);
  v(gemm_autotune, "gemm-autotune",
    "on a GPU, time the ways to compute each matrix product and use the fastest, instead of the one that the library "
    "proposes. The choices are saved with the training state: a resumed run has the same bits");
  v(describe, "describe",
    "print parameters, FLOPs and the memory plan, and exit; dim-vocabs gives the sizes of "
    "vocabularies that do not exist yet");
  v.transient();
  accepted_settings(v);
  v.group("Divergence");
  v(divergence_threshold, "divergence-threshold",
    "a training loss above this many nats per target token counts as diverged; 0 = only one that is not "
    "finite. Guessing costs ln(vocabulary), 10.4 for 32,000 entries",
    Range<double>{0});
  v(divergence_updates, "divergence-updates",
    "end the run with exit code 3 when this many updates in a row have diverged", Range<int>{1});
}

void RunOptions::accepted_settings(Settings& v) {
  v.accepted<bool>("sync-sgd", "updates are always synchronous");
  v.accepted<bool>("check-gradient-nan",
                   "an update with NaN or infinity in its gradient is always skipped and counted");
  v.accepted<bool>("normalize-gradient", "gradients are always per target token");
  v.accepted<std::string>("sharding",
                          "where Marian keeps the optimizer's state of several devices; results are the same");
  v.remark("has no effect: results do not depend on where the optimizer's state is", "global");
  v.accepted<SchedulePeriod>("sync-freq", "belongs to Marian's sharding local");
  v.remark("has no effect: parameters are the same on all devices after every update", "200u");
  v.accepted<bool>("no-nccl", "how Marian's devices exchange gradients; results are the same");
  v.remark("has no effect", "false");
  v.accepted_list({"cost-scaling", 0, "8.f 10000 1.f 8.f"},
                  "it keeps float16 from overflowing, and bfloat16 has the range of float32");
  v.remark("has no effect: bfloat16 has the range of float32, so there is no cost scaling", "");
  v.accepted<bool>("fp16-fallback-to-fp32", "bfloat16 needs nothing to fall back to");
  v.remark("has no effect: bfloat16 needs nothing to fall back to", "false");
}

StopCriteria RunOptions::stop_criteria() const {
  auto sooner = [](int64_t a, int64_t b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); };
  StopCriteria stop = after;
  stop.updates = sooner(after.updates, after_batches);
  stop.epochs = sooner(after.epochs, after_epochs);
  return stop;
}

void RunOptions::start_at(int64_t updates, int64_t labels, int64_t epochs) {
  const auto begin_at = [](bool& is_more, int64_t& count, int64_t done) {
    if (std::exchange(is_more, false)) count += std::min(done, std::numeric_limits<int64_t>::max() - count);
  };
  begin_at(after.more_updates, after.updates, updates);
  begin_at(after.more_labels, after.labels, labels);
  begin_at(after.more_epochs, after.epochs, epochs);
}

}  // namespace bough
