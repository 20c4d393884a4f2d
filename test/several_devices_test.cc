// Several GPUs in one process: each translates or scores a part, with a copy of the models. Emulated.
#if defined(BOUGH_EMULATOR)
#include "apps/inference/device.h"
#include "apps/inference/pair_scorer.h"
#include "apps/inference/translator.h"
#include "cuda/factory.h"
#include "test/catch.h"
#include "test/emulator/machine.h"
#include "test/file_lines.h"
#include "test/model_folder.h"
#include "test/small_model.h"
#include "test/throws.h"

using namespace bough;

namespace {

/// A machine with two GPUs, for the time of the object.
struct TwoGpus {
  emulator::Settings saved = emulator::settings();
  TwoGpus() { emulator::settings().devices = 2; }
  ~TwoGpus() { emulator::settings() = saved; }
};

/// The same model on each of so many GPUs.
struct Copies {
  std::vector<std::unique_ptr<Backend>> backends;
  std::vector<Model> models;

  explicit Copies(int count) {
    for (int id = 0; id < count; ++id) {
      backends.push_back(make_cuda_backend({.device = id, .compute_dtype = DType::f32}));
      models.push_back(random_model(small_options(ResidualKind::branchnorm), *backends.back()));
    }
  }
  std::vector<EnsembleOnDevice> on_devices() const {
    std::vector<EnsembleOnDevice> all;
    for (size_t i = 0; i < backends.size(); ++i) all.push_back({*models[i].transformer, backends[i].get()});
    return all;
  }
};

int64_t calls_of(const Backend& backend) {
  int64_t calls = 0;
  for (const auto& [kernel, count] : backend.calls) calls += count;
  return calls;
}

}  // namespace

TEST_CASE("work of another GPU than the thread's is an error, as on a machine", "[emulator]") {
  const TwoGpus machine;
  const auto first = make_cuda_backend({.device = 0, .compute_dtype = DType::f32});
  const auto second = make_cuda_backend({.device = 1, .compute_dtype = DType::f32});
  const Tensor of_second = second->allocate({4}, DType::f32);
  CHECK_NOTHROW(second->fill(of_second, 1.0));
  CHECK_THAT(message_of([&] { first->fill(first->allocate({4}, DType::f32), 1.0); }),
             Catch::Contains("cudaErrorInvalidResourceHandle"));
  first->use_on_this_thread();
  CHECK_NOTHROW(first->fill(first->allocate({4}, DType::f32), 1.0));
  second->use_on_this_thread();
}

TEST_CASE("two GPUs translate and score as one does, each a part", "[translate][emulator]") {
  const TwoGpus machine;
  const auto sentences = random_sentences(24, 9, 60, 3);
  DecodingOptions decoding;
  decoding.beam_size = 3;
  decoding.n_best = true;
  TranslatorSettings settings;
  settings.batch.mini_batch = 3;
  std::vector<std::vector<Translator::Result>> results;
  std::vector<std::vector<TokenScores>> scores;
  for (const int count : {1, 2}) {
    const Copies copies(count);
    std::vector<int64_t> before;
    for (const auto& backend : copies.backends) before.push_back(calls_of(*backend));
    results.push_back(Translator(copies.on_devices(), decoding, settings).translate(sentences));
    for (size_t i = 0; i < before.size(); ++i) CHECK(calls_of(*copies.backends[i]) > before[i]);

    std::vector<ScoredPair> pairs;
    for (size_t i = 0; i < sentences.size(); ++i) pairs.push_back({sentences[i], sentences[(i + 1) % 24]});
    const std::vector<EnsembleOnDevice> devices = copies.on_devices();
    WorkerBackends workers(backends_of(devices), 4);
    CHECK(workers.count() == size_t(count));
    CHECK(workers.on_a_device() == 1);
    auto& list = scores.emplace_back();
    PairScorer{devices, workers, settings.batch}.run([&] { return std::exchange(pairs, {}); },
                                                     [&](PairScores&& s) { list.push_back(std::move(s.tokens)); });
  }
  CHECK(scores[0] == scores[1]);
  REQUIRE(results[1].size() == sentences.size());
  for (size_t i = 0; i < sentences.size(); ++i) {
    REQUIRE(results[0][i].size() == results[1][i].size());
    for (size_t n = 0; n < results[0][i].size(); ++n) {
      CHECK(results[0][i][n].tokens == results[1][i][n].tokens);
      CHECK(results[0][i][n].score == results[1][i][n].score);
    }
  }
}

TEST_CASE("bough-translate takes all devices, the first num-devices, or those named", "[translate][emulator]") {
  const TwoGpus machine;
  const ModelFolder folder;
  std::string input;
  for (const auto& sentence : random_sentences(12, 7, 60, 5)) {
    for (const int32_t id : sentence) input += fmt::format("w{} ", id);
    input += "\n";
  }
  TranslateOptions options = folder.translate_options(input);
  options.machine.cpu_threads = 0;
  options.machine.precision = {ComputeType::float32};
  options.batch.mini_batch = 2;
  options.machine.devices.ids = {0};
  const auto lines = folder.translate(options);
  REQUIRE(lines.size() == 12);
  const auto gpus = [&](DeviceList devices, int num_devices) {
    options.machine.devices = std::move(devices);
    options.machine.num_devices = num_devices;
    CHECK(folder.translate(options) == lines);
    return make_backends(options.machine).size();
  };
  CHECK(gpus({.ids = {0, 1}}, 0) == 2);
  CHECK(gpus({.ids = {1, 0}}, 1) == 1);
  CHECK(gpus({.all = true}, 0) == 2);
  CHECK(gpus({.all = true}, 1) == 1);
  CHECK(gpus({}, 2) == 2);
  CHECK(gpus({}, 0) == 1);
  options.machine.devices = {.ids = {0, 2}};
  CHECK_THAT(message_of([&] { folder.translate(options); }),
             Catch::Contains("device 2 does not exist, must be 0 to 1: this machine has 2"));
  options.machine.devices = {};
  options.machine.num_devices = 2;
  emulator::settings().devices = 0;
  CHECK_THAT(message_of([&] { folder.translate(options); }), Catch::Contains("finds no GPU"));
}
#endif
