// bough-train-speed: times updates of bough side by side with another program (train_speed.py).
//   bough-train-speed BATCHES.txt [bough-train options]
// writes the model before training to --model, the batches of --after updates to BATCHES.txt (a line of
// source ids, a line of target ids, an empty line after an update; ids without end of sentence), then
// obeys lines on standard input: "loss" prints the first update's mean cross-entropy without dropout and
// smoothing, "run K" prints the seconds that the next K updates take, "gemm" the GFLOP/s of a large product.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sys/resource.h>

#include "apps/device.h"
#include "apps/model_file.h"
#include "apps/training_model.h"
#include "core/log.h"

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

double gemm_rate(Backend& backend) {
  constexpr int64_t n = 2048;
  constexpr int repeats = 20;
  const Tensor a = backend.allocate({n, n}), b = backend.allocate({n, n}), c = backend.allocate({n, n});
  backend.fill(a, 0.5);
  backend.fill(b, 0.25);
  backend.gemm(write_to(c), a, b, Gemm{.transpose_b = true});
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; ++i) backend.gemm(write_to(c), a, b, Gemm{.transpose_b = true});
  return repeats * 2.0 * n * n * n * 1e-9 / Seconds(std::chrono::steady_clock::now() - start).count();
}

int run(int argc, char** argv) {
  check(argc >= 2, "bough-train-speed: no file for the batches given; see the first lines of train_speed.cc");
  const std::string batches_path = argv[1];
  auto options = parse_train_options(argc - 1, argv + 1);
  if (!options) return 0;
  log::configure({.quiet = true});
  const auto vocabularies = load_or_create_vocabularies(options->vocabulary, options->corpus);
  for (const auto& v : vocabularies) options->model.vocab_sizes.push_back(v->size());
  TrainingData data({options->vocabulary, options->corpus, options->batch, {}, options->general.seed},
                    vocabularies);
  const auto backend = make_backend(options->machine);
  TrainingModel model(*backend, options->model, options->dropout, options->optimizer,
                      options->general.seed);
  model.initialize();
  save_model(options->run.model, options->model, model.parameters(), model.parameters().values());

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

  TrainingClock clock;
  size_t next = 0;
  for (std::string command; std::cin >> command;) {
    if (command == "loss") {
      model.set_step_state({1, 1, 1}, 0, 0, 1);
      std::printf("%.9f\n", model.evaluate(updates.front().micro.front()) /
                                double(updates.front().micro.front().target.rows()));
    } else if (command == "gemm") {
      std::printf("%.3f\n", gemm_rate(*backend));
    } else if (command == "flops") {
      std::printf("%.0f\n", backend->flops);
    } else if (command == "memory") {
      rusage usage{};
      getrusage(RUSAGE_SELF, &usage);
      std::printf("%ld\n", usage.ru_maxrss);
    } else {
      int count = 0;
      std::cin >> count;
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < count; ++i) {
        const UpdateBatches& update = updates[next++ % updates.size()];
        model.update(update, {clock, 1e-4, 0});
        clock.finish_update(update.target_tokens);
      }
      std::printf("%.6f\n", Seconds(std::chrono::steady_clock::now() - start).count());
    }
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bough-train-speed: %s\n", error.what());
    return 1;
  }
}
