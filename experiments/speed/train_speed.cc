// bough-train-speed: updates of bough, obeying another program that measures them (bough.py beside this file).
//   bough-train-speed BATCHES.txt [bough-train options]
// writes the model before training to --model, the batches of --after updates to BATCHES.txt (a line of source ids,
// a line of target ids, an empty line after an update; ids without end of sentence), prints "ready" and answers each
// line of standard input by one line:
//   loss        mean cross-entropy of the first update in nats, without dropout and smoothing
//   losses K    label-smoothed cross-entropy per target token of each of the next K updates, which are done
//   run K       seconds that the next K updates take, from an idle device to an idle device
//   flops       floating-point operations so far
//   memory      MiB: of the process on the CPU; of parameters, optimizer and the activations' peak on a GPU
//   gemm        GFLOP/s of a large product
// After the last update the first comes again.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "apps/inference/device.h"
#include "apps/inference/model_file.h"
#include "apps/option_parser.h"
#include "apps/training/memory_plan.h"
#include "apps/training/training_model.h"
#include "core/base/log.h"
#include "experiments/speed/probes.h"
#include "experiments/speed/program.h"

namespace {

using namespace bough;
using Seconds = std::chrono::duration<double>;

void write_sentences(std::ofstream& out, const Batch& batch) {
  const auto line = [&](const PackedSide& side, size_t s, bool is_target) {
    // Source rows end with end_id, target rows begin with start_id.
    for (int32_t r = side.offsets[s] + is_target; r < side.offsets[s + 1] - !is_target; ++r)
      out << side.ids[size_t(r)] << ' ';
    out << '\n';
  };
  for (size_t s = 0; s < size_t(batch.sentences()); ++s) {
    line(batch.source, s, false);
    line(batch.target, s, true);
  }
}

class Session {
 public:
  Session(TrainingModel& model, std::vector<UpdateBatches> updates) : model_(model), updates_(std::move(updates)) {}

  void answer(const std::string& command) {
    if (command == "loss")
      std::printf("%.9f\n", first_loss());
    else if (command == "losses")
      print_losses(read_count());
    else if (command == "run")
      std::printf("%.6f\n", run(read_count()));
    else if (command == "flops")
      std::printf("%.0f\n", model_.backend().flops);
    else if (command == "memory")
      std::printf("%.0f\n", memory());
    else if (command == "gemm")
      std::printf("%.3f\n", speed::gemm_rate(model_.backend(), 2048, 20) * 1e-9);
    else
      fail("bough-train-speed: '{}' is no command; see the first lines of train_speed.cc", command);
    std::fflush(stdout);
  }

 private:
  static int read_count() {
    int count = 0;
    check(bool(std::cin >> count) && count > 0, "bough-train-speed: a command lacks its number of updates");
    return count;
  }

  std::function<UpdateResult()> start_update() {
    const UpdateBatches& batches = updates_[next_++ % updates_.size()];
    const auto result = model_.start_update(batches, {clock_, 1e-4, 0});
    clock_.finish_update(batches.target_tokens);
    return result;
  }

  /// As bough-train does it: while the device works on an update, the next is prepared.
  double run(int count) {
    model_.backend().synchronize();
    const auto start = std::chrono::steady_clock::now();
    std::function<UpdateResult()> under_way;
    for (int i = 0; i < count; ++i) {
      const auto next = start_update();
      if (under_way) under_way();
      under_way = next;
    }
    under_way();
    model_.backend().synchronize();
    return Seconds(std::chrono::steady_clock::now() - start).count();
  }

  void print_losses(int count) {
    for (int i = 0; i < count; ++i) {
      const UpdateResult result = start_update()();
      std::printf("%s%.9f", i > 0 ? " " : "", result.loss / double(result.target_tokens));
    }
    std::printf("\n");
  }

  double first_loss() {
    double sum = 0;
    model_.set_update_state({1, 1, 1}, 0, 0, 1);
    for (const Batch& batch : updates_.front().micro) sum += model_.evaluate(batch);
    return sum / double(updates_.front().target_tokens);
  }

  double memory() {
    const Backend& backend = model_.backend();
    if (backend.name() != "cpu") return double(backend.persistent_bytes + backend.allocator().peak()) / 0x1p20;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return double(usage.ru_maxrss) / 1024;
  }

  TrainingModel& model_;
  std::vector<UpdateBatches> updates_;
  TrainingClock clock_;
  size_t next_ = 0;
};

int run(int argc, char** argv) {
  check(argc >= 2, "bough-train-speed: no file for the batches given; see the first lines of train_speed.cc");
  const std::string batches_path = argv[1];
  auto options = parse_train_options(argc - 1, argv + 1);
  if (!options) return 0;
  log::configure({.quiet = true});
  const auto vocabularies = load_or_create_vocabularies(options->vocabulary, options->corpus);
  for (const auto& v : vocabularies) options->model.vocab_sizes.push_back(v->size());
  TrainingData data({options->vocabulary, options->corpus, options->batch, {}, options->general.seed}, vocabularies);
  const DeviceChoice device = choose_device(options->machine);
  const MemoryPlan plan = plan_training(options->memory(), data.most_source_rows(), data.most_target_rows(), 0, device);
  check_memory(plan, device);
  const auto backend = make_backend(device, options->machine,
                                    {.arena_bytes = plan.activation_bytes, .tune_gemm = options->run.gemm_autotune});
  TrainingModel model(*backend, options->model, options->dropout, options->optimizer, options->general.seed);
  model.set_recompute(plan.recomputed_layers);
  if (backend->records()) model.use_shape_classes(data.most_source_rows(), data.most_target_rows());
  model.initialize();
  save_model(options->saving.model, options->model, model.parameters(), model.parameters().values());

  std::vector<UpdateBatches> updates;
  std::ofstream out(batches_path);
  for (int64_t u = 0; u < options->run.stop_criteria().updates; ++u) {
    updates.push_back(data.next());
    for (const Batch& batch : updates.back().micro) write_sentences(out, batch);
    out << '\n';
  }
  out.close();
  check(bool(out), "bough-train-speed: '{}' cannot be written", batches_path);
  std::printf("ready\n");
  std::fflush(stdout);

  Session session(model, std::move(updates));
  for (std::string command; std::cin >> command;) session.answer(command);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return bough::speed::run_program("bough-train-speed", run, argc, argv); }
