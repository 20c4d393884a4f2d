// bough-train's run on the emulated GPU: resume, validation, memory, divergence.
#if defined(BOUGH_EMULATOR)
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/option_parser.h"
#include "apps/training/memory_plan.h"
#include "apps/training/trainer.h"
#include "cuda/memory.h"
#include "test/catch.h"
#include "test/corpus_files.h"
#include "test/emulator/machine.h"
#include "test/scratch_folder.h"
#include "test/throws.h"

using namespace bough;

namespace {

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// A small corpus and runs on it.
struct Runs : ScratchFolder {
  Runs() {
    ParallelText text = make_parallel_text(80, 3, 40);
    write_text(*this / "train.en", join_lines(text.source));
    write_text(*this / "train.de", join_lines(text.target));
    text.source.resize(6);
    text.target.resize(6);
    write_text(*this / "valid.en", join_lines(text.source));
    write_text(*this / "valid.de", join_lines(text.target));
  }
  TrainOptions options(const std::string& name, const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"bough-train",
                                      "--quiet",
                                      "--model",
                                      *this / (name + ".npz"),
                                      "--train-sets",
                                      *this / "train.en",
                                      *this / "train.de",
                                      "--vocabs",
                                      *this / "v.en.yml",
                                      *this / "v.de.yml",
                                      "--dim-vocabs",
                                      "50",
                                      "50",
                                      "--tempdir",
                                      *this / "",
                                      "--dim-emb",
                                      "32",
                                      "--transformer-heads",
                                      "2",
                                      "--transformer-dim-ffn",
                                      "48",
                                      "--enc-depth",
                                      "1",
                                      "--dec-depth",
                                      "1",
                                      "--transformer-dropout",
                                      "0.1",
                                      "--max-length",
                                      "40",
                                      "--mini-batch-words",
                                      "120",
                                      "--optimizer-delay",
                                      "2",
                                      "--learn-rate",
                                      "0.003",
                                      "--exponential-smoothing",
                                      "--seed",
                                      "3",
                                      "--overwrite",
                                      "--disp-freq",
                                      "2u",
                                      "--log-level",
                                      "off"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<const char*> arguments;
    for (const auto& word : words) arguments.push_back(word.c_str());
    return *parse_train_options(int(arguments.size()), arguments.data());
  }
  void train(const std::string& name, const std::vector<std::string>& more) const {
    Trainer trainer(options(name, more));
    CHECK(trainer.run() == 0);
  }
  std::vector<nlohmann::json> metrics(const std::string& name) const {
    std::ifstream in(*this / (name + ".npz.metrics.jsonl"));
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }
};

struct Machine {
  emulator::Settings saved = emulator::settings();
  ~Machine() { emulator::settings() = saved; }
};

}  // namespace

TEST_CASE("a run on the GPU that was interrupted ends with the bits of one that was not",
          "[cuda][emulator][training]") {
  const Runs corpus;
  corpus.train("whole", {"--precision", "float32", "--after", "6u"});
  corpus.train("parts", {"--precision", "float32", "--after", "3u"});
  corpus.train("parts", {"--precision", "float32", "--after", "6u"});
  const std::string whole = content(corpus / "whole.npz.optimizer.npz");
  CHECK(whole.size() > 10000);
  CHECK(whole == content(corpus / "parts.npz.optimizer.npz"));
  CHECK(whole.find("gemm-plans 2 | emulated device") != std::string::npos);

  // The CPU may go on with it, and says that it multiplies in another way.
  const std::string log = corpus / "cpu.log";
  corpus.train("parts", {"--cpu-threads", "1", "--after", "7u", "--log", log, "--log-level", "warn"});
  CHECK(content(log).find("choices of how to compute matrix products are for another device") != std::string::npos);
}

TEST_CASE("training, validation and translation on the GPU in float32 are the CPU's", "[cuda][emulator][training]") {
  const Runs corpus;
  const auto run = [&](const std::string& name, std::vector<std::string> machine) {
    machine.insert(machine.end(), {"--after",
                                   "4u",
                                   "--valid-freq",
                                   "4u",
                                   "--valid-sets",
                                   corpus / "valid.en",
                                   corpus / "valid.de",
                                   "--valid-metrics",
                                   "ce-mean-words",
                                   "translation",
                                   "--valid-script-path",
                                   "wc -c <",
                                   "--beam-size",
                                   "3",
                                   "--max-length-factor",
                                   "1",
                                   "--valid-translation-output",
                                   corpus / (name + ".out"),
                                   "--valid-mini-batch",
                                   "4"});
    corpus.train(name, machine);
  };
  run("cpu", {"--cpu-threads", "2"});
  run("gpu", {"--precision", "float32"});
  const auto cpu = corpus.metrics("cpu"), gpu = corpus.metrics("gpu");
  REQUIRE(cpu.size() == 4);  // two lines of training, two metrics
  REQUIRE(gpu.size() == 4);
  for (size_t i = 0; i < 4; ++i) {
    INFO(gpu[i].dump());
    const char* const key = i < 2 ? "cost_mean_words" : "value";
    const double want = cpu[i][key], found = gpu[i][key];
    CHECK(std::abs(found - want) <= 1e-5 * std::abs(want));
    CHECK(cpu[i]["labels"] == gpu[i]["labels"]);
  }
  CHECK(content(corpus / "cpu.out").size() > 0);
  CHECK(content(corpus / "cpu.out") == content(corpus / "gpu.out"));
}

TEST_CASE("too little memory is an error before the first update", "[cuda][emulator][training]") {
  const Runs corpus;
  const Machine machine;
  emulator::settings().memory = size_t{150} << 20;
  const std::string message = message_of([&] { corpus.train("small", {"--precision", "float32", "--after", "1u"}); });
  INFO(message);
  CHECK(message.find("memory: this run needs") == 0);
  CHECK(message.find("of GPU 0's 150 MiB are free; lower mini-batch-words") != std::string::npos);
  CHECK(corpus.metrics("small").empty());
}

TEST_CASE("the memory plan is in the log before the first update", "[cuda][emulator][training]") {
  const Runs corpus;
  const std::string log = corpus / "plan.log";
  corpus.train("plan", {"--precision", "float32", "--after", "1u", "--log", log, "--log-level", "info", "--quiet"});
  const std::string text = content(log);
  const size_t plan = text.find("[memory] "), total = text.find(" in all, ", plan),
               start = text.find("Training started");
  REQUIRE(plan != std::string::npos);
  CHECK(plan < total);
  CHECK(total < start);
  CHECK(start != std::string::npos);
}

TEST_CASE("layers are recomputed when the GPU's memory asks for it", "[cuda][emulator][training]") {
  const Runs corpus;
  const Machine machine;
  const std::vector<std::string> words = {"--precision", "float32", "--after", "3u", "--enc-depth", "2"};
  TrainOptions o = corpus.options("plan", words);
  o.model.vocab_sizes = {50, 50};
  const auto needed = [&](int layers) {
    const MemoryPlan p = plan_memory(o.memory(), 120, 120, layers);
    return p.state_bytes + p.activation_bytes + p.other_bytes;
  };
  CHECK(needed(1) < needed(0));
  corpus.train("kept", words);
  emulator::settings().memory = needed(0) - 1;
  corpus.train("recomputed", words);
  CHECK(content(corpus / "kept.npz") == content(corpus / "recomputed.npz"));
  const auto run = [&](const char* recomputed) {
    auto more = words;
    more.insert(more.end(), {"--gradient-checkpointing", recomputed});
    return message_of([&] { corpus.train("no", more); });
  };
  CHECK(run("false").find("lower mini-batch-words or mini-batch, leave out gradient-checkpointing: false, or") !=
        std::string::npos);
  CHECK(run("true") == "no exception");
}

TEST_CASE("mini-batch-fit fills workspace with rows that fill a GPU evenly", "[cuda][emulator][training]") {
  const Runs corpus;
  TrainOptions o = corpus.options("fit", {"--mini-batch-fit", "--workspace", "20"});
  o.model.vocab_sizes = {50, 50};
  const MemoryPlan plan = fit_memory(o.memory(), 1.0);
  const int64_t multiple = preferred_row_multiple(o.machine);
  CHECK(multiple == 64 * 4);  // the emulated device has 4 multiprocessors
  CHECK(plan.target_rows % multiple == 0);
  CHECK(plan.activation_bytes <= size_t{20} << 20);
  CHECK(plan.recomputed_layers == 0);
  CHECK(plan_memory(o.memory(), plan.target_rows * 5 / 4, plan.target_rows * 5 / 4, 0).activation_bytes > size_t{20}
                                                                                                              << 20);
}

TEST_CASE("500+500 layers fit on one GPU of 141 GB", "[training]") {
  TrainOptions o;
  o.machine.precision = {ComputeType::bfloat16};
  o.model.vocab_sizes = {32000, 32000};
  o.model.model_dim = 512;
  o.model.heads = 8;
  o.model.ffn_dim = 2048;
  o.model.encoder_layers = o.model.decoder_layers = 500;
  o.model.tied_embeddings_all = true;
  o.model.residual = ResidualKind::branchnorm;
  REQUIRE(o.model.splits_residual());
  const MemoryPlan plan = plan_memory(o.memory(), 8448, 8448, 1000);
  const size_t total = plan.state_bytes + plan.activation_bytes + plan.other_bytes;
  CHECK(plan.parameters == 3'694'624'000);
  const size_t states = 18 * size_t(plan.parameters);  // bf16 copy; f32 value, gradient, two moments
  CHECK(plan.state_bytes >= states);
  CHECK(plan.state_bytes < states + 900'000);  // alphas, sums of blocks
  // Of a layer pair its two inputs stay, each in two parts.
  CHECK(plan.activation_bytes > size_t{1000} * 2 * 2 * 8448 * 512);
  CHECK(total < 130'000'000'000u);
  CHECK(message_of([&] { check_memory(plan, {.is_gpu = true, .free_bytes = 139'000'000'000u}); }) == "no exception");

  const std::string message = message_of([&] {
    check_memory(plan, {.is_gpu = true, .id = 2, .free_bytes = size_t{79} << 30, .total_bytes = size_t{80} << 30});
  });
  INFO(message);
  CHECK(message.find("memory: this run needs ") == 0);
  CHECK(message.find("but 79.0 GiB of GPU 2's 80.0 GiB are free; lower mini-batch-words") != std::string::npos);
  // Activations of all layers at once would not fit.
  const MemoryPlan whole = plan_memory(o.memory(), 8448, 8448, 0);
  CHECK(whole.state_bytes + whole.activation_bytes + whole.other_bytes > 141'000'000'000u);
}

TEST_CASE("a run that diverges on the GPU ends with the update and a parameter", "[cuda][emulator][training]") {
  const Runs corpus;
  Trainer trainer(corpus.options("wild", {"--precision", "float32", "--learn-rate", "1e38", "--optimizer-delay", "1"}));
  std::string message;
  try {
    trainer.run();
  } catch (const Diverged& e) {
    message = e.what();
  }
  INFO(message);
  CHECK(message.find("the gradient was not finite in 10 updates in a row (at update") != std::string::npos);
  CHECK(trainer.state().skipped_updates == 10);

  // The one that ends the run is judged before the next begins: its gradients are there to be named.
  Trainer at_once(corpus.options("once", {"--precision", "float32", "--learn-rate", "1e38", "--optimizer-delay", "1",
                                          "--divergence-updates", "1", "--disp-freq", "100u"}));
  CHECK_THROWS_AS(at_once.run(), Diverged);
  CHECK(at_once.state().skipped_updates == 1);
  CHECK(at_once.state().clock.updates == 2);  // after the first, nothing is finite
}

TEST_CASE("the arena grows by what is needed, not by itself", "[cuda][emulator]") {
  const Machine machine;
  emulator::settings().memory = size_t{130} << 20;
  cuda::Arena arena;
  constexpr size_t mib = size_t{1} << 20;
  arena.reserve(96 * mib);
  CHECK(arena.at(95 * mib, 2 * mib) != nullptr);
  CHECK(arena.capacity() <= 112 * mib);
  CHECK(arena.at(110 * mib, 4 * mib) != nullptr);  // where little is left, no more than that
}

TEST_CASE("mini-batch-fit holds every sentence", "[cuda][emulator][training]") {
  const Runs corpus;
  for (const int length : {150, 200, 300, 400, 500}) {
    TrainOptions o = corpus.options("fit", {"--mini-batch-fit", "--max-length", std::to_string(length)});
    o.model.vocab_sizes = {50, 50};
    const auto needed = [&](int64_t rows) { return plan_memory(o.memory(), rows, rows, 0).activation_bytes; };
    o.machine.workspace = int(needed(length) >> 20) + 1;
    CHECK(fit_memory(o.memory(), 1.0).target_rows >= length);
  }
}
#endif
