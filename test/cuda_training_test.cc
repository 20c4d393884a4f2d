// Whole updates on the GPU's backend: the CPU's losses, recorded updates, shape classes, the same bits twice.
#include <cmath>
#include <map>

#include "apps/training/training_model.h"
#include "core/base/random.h"
#include "core/cpu/factory.h"
#include "cuda/factory.h"
#include "test/catch.h"
#include "test/skip.h"
#include "test/throws.h"
#if defined(BOUGH_EMULATOR)
#include "test/emulator/machine.h"
#endif

using namespace bough;

namespace {

constexpr int vocabulary = 60;
constexpr size_t most_updates = 20;

ModelOptions small_model() {
  ModelOptions o;
  o.vocab_sizes = {vocabulary, vocabulary};
  o.model_dim = 32;
  o.heads = 2;
  o.ffn_dim = 64;
  o.encoder_layers = o.decoder_layers = 1;
  o.activation = Activation::relu;
  o.tied_embeddings_all = true;
  o.residual = ResidualKind::branchnorm;
  o.branchnorm_max_step = {40, ScheduleUnit::updates};
  return o;
}

DropoutOptions dropouts() {
  DropoutOptions d;
  d.dropout = d.attention_dropout = d.activation_dropout = 0.1;
  d.source_word_dropout = d.target_word_dropout = 0.05;
  d.label_smoothing = 0.1;
  return d;
}

OptimizerOptions adam() {
  OptimizerOptions o;
  o.beta2 = 0.98;
  o.epsilon = 1e-9;
  o.clip_norm = 1;
  o.ema_decay = 1e-2;
  return o;
}

/// Random pairs, the target the source reversed, of about `rows` rows a side, and of one long sentence now and then.
/// is_aligned: with a point for every other target token, and both ends.
Batch batch_of(int64_t rows, RandomStream& random, bool is_aligned = false) {
  std::vector<std::vector<int32_t>> sources, targets, points;
  for (int64_t left = rows; left > 12;) {
    std::vector<int32_t> s(random.below(6) == 0 ? size_t(std::min<int64_t>(left - 1, 70)) : 3 + random.below(8));
    for (auto& id : s) id = int32_t(2 + random.below(vocabulary - 2));
    left -= int64_t(s.size()) + 1;
    sources.push_back(s);
    targets.emplace_back(s.rbegin(), s.rend());
    const auto length = int32_t(s.size());
    points.emplace_back();
    for (int32_t t = 0; t < length; t += 2) points.back().insert(points.back().end(), {length - 1 - t, t});
    points.back().insert(points.back().end(), {length, length});
  }
  std::vector<SentencePair> pairs;
  for (size_t i = 0; i < sources.size(); ++i) {
    pairs.push_back({sources[i], targets[i], int64_t(i)});
    if (is_aligned) pairs.back().alignment = points[i];
  }
  return pack(pairs);
}

/// Micro-batches of two shape classes (128 and 256 rows), which take turns in being the first.
std::vector<UpdateBatches> two_shapes(bool is_aligned) {
  RandomStream random(5);
  std::vector<UpdateBatches> all;
  for (size_t u = 0; u < most_updates; ++u) {
    UpdateBatches update;
    for (const int64_t rows : {u % 2 ? 110 : 240, u % 2 ? 240 : 110}) {
      Batch batch = batch_of(rows, random, is_aligned);
      batch.source.row_offset = int32_t(update.source_tokens);
      batch.target.row_offset = int32_t(update.target_tokens);
      update.source_tokens += batch.source.rows();
      update.target_tokens += batch.target.rows();
      update.micro.push_back(std::move(batch));
    }
    all.push_back(std::move(update));
  }
  return all;
}

struct Outcome {
  std::vector<double> losses, norms;
  std::vector<float> parameters, average;
};

struct Setup {
  int recomputed_layers = 0;
  size_t lag = 0;  ///< results are fetched so many updates late
  ModelOptions model = small_model();
  DropoutOptions dropout = dropouts();
  size_t updates = most_updates;
  bool is_aligned = false;
};

Outcome train(std::unique_ptr<Backend> backend, const Setup& setup = {}) {
  auto data = two_shapes(setup.is_aligned);
  data.resize(setup.updates);
  TrainingModel model(*backend, setup.model, setup.dropout, adam(), 7);
  model.set_recompute(setup.recomputed_layers);
  model.initialize();
  Outcome outcome;
  TrainingClock clock;
  std::vector<std::function<UpdateResult()>> under_way;
  const auto finish = [&](size_t left) {
    while (under_way.size() > left) {
      const UpdateResult result = under_way.front()();
      under_way.erase(under_way.begin());
      outcome.losses.push_back(result.loss / double(result.target_tokens));
      outcome.norms.push_back(result.statistics.gradient_norm);
      CHECK(result.statistics.is_finite);
    }
  };
  for (const UpdateBatches& update : data) {
    under_way.push_back(model.start_update(update, {clock, 3e-3, 0.01}));
    clock.finish_update(update.target_tokens);
    finish(setup.lag);
  }
  finish(0);
  outcome.parameters = model.parameters().download(model.parameters().values());
  outcome.average = model.parameters().download(model.optimizer().arenas().average);
  return outcome;
}

void check_same_bits(const Outcome& a, const Outcome& b) {
  CHECK(a.losses == b.losses);
  CHECK(a.norms == b.norms);
  CHECK(a.parameters == b.parameters);
  CHECK(a.average == b.average);
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]) / std::abs(b[i]);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

std::unique_ptr<Backend> gpu(DType dtype, int graph_limit = 16) {
  return make_cuda_backend({.compute_dtype = dtype, .workspace_bytes = size_t{1} << 20, .graph_limit = graph_limit});
}

}  // namespace

TEST_CASE("shape classes: multiples of 128, an eighth of an octave apart, around the usual size", "[packing]") {
  CHECK(shape_class(8448, 8448) == 8448);
  CHECK(shape_class(8447, 8448) == 8448);
  CHECK(shape_class(8400, 8400) == 8448);
  CHECK(shape_class(1, 8448) == 128);
  CHECK(shape_class(0, 0) == 128);
  CHECK(shape_class(8449, 8448) > 8448);
  CHECK(shape_class(128, 0) == 128);
  CHECK(shape_class(1 << 20, 8448) >= 1 << 20);
  for (const int64_t usual : {int64_t{0}, int64_t{300}, int64_t{4224}, int64_t{8448}, int64_t{33792}}) {
    std::map<int64_t, int> classes;
    bool holds = true;
    for (int64_t rows = 1; rows <= 40000; ++rows) {
      const int64_t size = shape_class(rows, usual);
      holds = holds && size >= rows && size % 128 == 0 && double(size) <= double(rows) * 1.0906 + 128;
      holds = holds && shape_class(size, usual) == size;
      ++classes[size];
    }
    CHECK(holds);
    CHECK(classes.size() <= 60);
  }
}

TEST_CASE("a padded batch is the batch and tail rows", "[packing]") {
  const auto backend = make_cpu_backend(1);
  RandomStream random(3);
  const Batch batch = batch_of(100, random);
  BatchPlaces places;
  const BatchShape shape = places.shape_of(batch, 0);
  CHECK(shape.source_rows == 128);
  const ModelBatch padded = places.upload(*backend, batch, shape);
  const auto ints = [](const Tensor& t) {
    return std::vector<int32_t>(t.data<int32_t>(), t.data<int32_t>() + t.size());
  };
  const auto ids = ints(padded.target.tokens.ids), order = ints(padded.target.tokens.order);
  REQUIRE(ids.size() == 128);
  for (size_t i = 0; i + 1 < order.size(); ++i) {  // still sorted by (id, row), every row once
    const auto key = [&](size_t at) { return std::pair(ids[size_t(order[at])], order[at]); };
    CHECK(key(i) < key(i + 1));
  }
  const size_t rows = size_t(batch.target.rows());
  CHECK(std::vector(ids.begin(), ids.begin() + int64_t(rows)) == batch.target.ids);
  CHECK(ids[rows] == -1);
  CHECK(ids.back() == -1);
  CHECK(ints(padded.labels).back() == -1);
  CHECK(ints(padded.target.packing.segments).back() == -1);
  CHECK(ints(padded.target.packing.offsets).back() == batch.target.rows());
  // Each side's own bins hold rows of that side twice.
  const auto cross = ints(padded.bins), source = ints(padded.source.bins), target = ints(padded.target.bins);
  REQUIRE(source.size() == size_t(4 * shape.bins));
  for (size_t b = 0; b < batch.bins.size(); ++b) {
    const Bin& bin = batch.bins[b];
    CHECK(std::vector(cross.begin() + int64_t(4 * b), cross.begin() + int64_t(4 * b) + 4) ==
          std::vector{bin.q0, bin.nq, bin.k0, bin.nk});
    CHECK(std::vector(source.begin() + int64_t(4 * b), source.begin() + int64_t(4 * b) + 4) ==
          std::vector{bin.k0, bin.nk, bin.k0, bin.nk});
    CHECK(std::vector(target.begin() + int64_t(4 * b), target.begin() + int64_t(4 * b) + 4) ==
          std::vector{bin.q0, bin.nq, bin.q0, bin.nq});
  }
  // Places of other shapes do not move this one.
  const int32_t* const where = padded.labels.data<int32_t>();
  const Batch larger = batch_of(3000, random);
  places.upload(*backend, larger, places.shape_of(larger, 0));
  CHECK(places.upload(*backend, batch, shape).labels.data<int32_t>() == where);
}

TEST_CASE("padding to shape classes changes no loss and no gradient", "[packing][training]") {
  const bool is_aligned = GENERATE(false, true);
  const auto run = [is_aligned](bool pads) {
    const auto backend = make_cpu_backend(1, DType::f64);
    TrainingModel model(*backend, small_model(), dropouts(), adam(), 7);
    if (pads) model.use_shape_classes(0, 0);
    model.initialize();
    const UpdateResult result = model.update(two_shapes(is_aligned).front(), {TrainingClock(), 0, 0});
    return std::pair(result.loss, model.parameters().download(model.parameters().gradients()));
  };
  const auto [loss, gradients] = run(false);
  const auto [padded_loss, padded_gradients] = run(true);
  CHECK(std::abs(padded_loss - loss) <= 1e-12 * loss);
  double largest = 0, error = 0;
  for (size_t i = 0; i < gradients.size(); ++i) {
    largest = std::max(largest, std::abs(double(gradients[i])));
    const double difference = std::abs(double(gradients[i]) - padded_gradients[i]);
    if (!(difference <= error)) error = difference;
  }
  CHECK(largest > 0);
  CHECK(error <= 1e-6 * largest);
}

TEST_CASE("word alignments are learned on a GPU as on the CPU, recorded as eagerly", "[cuda][training][alignment]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  Setup setup{.updates = 6, .is_aligned = true};
  setup.dropout.guided_alignment_weight = 0.5;
  const Outcome cpu = train(make_cpu_backend(2), setup);
  const Outcome recorded = train(gpu(DType::f32), setup);
  CHECK(largest_difference(recorded.losses, cpu.losses) <= 1e-5);
  CHECK(largest_difference(recorded.norms, cpu.norms) <= 1e-4);
  check_same_bits(recorded, train(gpu(DType::f32, 0), setup));
  const Outcome bf16 = train(gpu(DType::bf16), setup);
  CHECK(largest_difference(bf16.losses, cpu.losses) <= 0.02);
  setup.recomputed_layers = 2;
  check_same_bits(recorded, train(gpu(DType::f32), setup));
}

TEST_CASE("twenty updates on a GPU: the CPU's losses; recorded = eager = late, bit for bit", "[cuda][training]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const Outcome cpu = train(make_cpu_backend(2));
  const Outcome recorded = train(gpu(DType::f32), {.lag = 1});
  CHECK(largest_difference(recorded.losses, cpu.losses) <= 1e-5);
  CHECK(largest_difference(recorded.norms, cpu.norms) <= 1e-4);
  CHECK(cpu.losses.back() < 0.9 * cpu.losses.front());
#if defined(BOUGH_EMULATOR)
  const emulator::Settings saved = emulator::settings();
  emulator::settings().reverse_threads = true;
  emulator::settings().block_seed = 77;
  emulator::settings().stream_seed = 12;
  check_same_bits(recorded, train(gpu(DType::f32, 0)));  // no record is kept: all runs eagerly
  emulator::settings() = saved;
#else
  check_same_bits(recorded, train(gpu(DType::f32, 0)));
  check_same_bits(recorded, train(gpu(DType::f32)));
#endif
  for (const int layers : {1, small_model().layers()})
    check_same_bits(recorded, train(gpu(DType::f32), {.recomputed_layers = layers}));
}

TEST_CASE("twenty updates on a GPU in bfloat16 follow the CPU's losses", "[cuda][training]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const Outcome cpu = train(make_cpu_backend(2)), recorded = train(gpu(DType::bf16), {.lag = 1});
  CHECK(largest_difference(recorded.losses, cpu.losses) <= 2e-2);
  check_same_bits(recorded, train(gpu(DType::bf16, 0)));
}

TEST_CASE("updates with TF32 products follow the CPU's losses", "[cuda][training]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const Setup few{.updates = 5};
  const Outcome cpu = train(make_cpu_backend(2), few);
  const Outcome tf32 = train(make_cuda_backend({.compute_dtype = DType::f32, .allow_tf32 = true}), few);
  const double difference = largest_difference(tf32.losses, cpu.losses);
  CHECK(difference <= 2e-3);
  CHECK(difference > 1e-6);  // 10 bits of mantissa were in use
}

TEST_CASE("every residual kind trains on a GPU as on the CPU", "[cuda][training]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  for (const ResidualTraits& traits : all_residual_traits()) DYNAMIC_SECTION("transformer-residual: " << traits.name) {
      Setup few{.model = small_model(), .updates = 4};
      few.model.residual = traits.kind;
      few.model.encoder_layers = few.model.decoder_layers = 2;
      few.model.resolve(true, false);
      few.dropout.activation_dropout = 0;  // relu is a part of the product
      const Outcome cpu = train(make_cpu_backend(2), few);
      CHECK(largest_difference(train(gpu(DType::f32), few).losses, cpu.losses) <= 1e-5);
      CHECK(largest_difference(train(gpu(DType::bf16), few).losses, cpu.losses) <= 2e-2);
    }
}

TEST_CASE("many small gradients of one value are added in f32", "[cuda][training]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const auto b = gpu(DType::bf16);
  const Tensor x = b->allocate_persistent({4, 8}, DType::bf16), w = b->allocate_persistent({1, 8}, DType::bf16);
  b->fill(x, 1);
  b->fill(w, 1);
  const auto gradient = [&](bool is_wide) {
    const auto slot = std::make_shared<GradSlot>(GradSlot{{}, false, {4, 8}, DType::bf16});
    Tape tape(*b);
    const Var leaf = tape.parameter(x, slot), users = is_wide ? sum_gradients_in_f32(leaf) : leaf;
    for (int i = 0; i < 64; ++i) {
      const Var y = linear(users, tape.constant(w));
      const Tensor dy = b->allocate({4, 1});
      b->fill(dy, i == 63 ? 1 : 0x1p-9);  // the backward pass begins with the last
      tape.seed(y, dy);
    }
    tape.backward();
    const Tensor wide = b->allocate({4, 8}, DType::f32);
    b->cast(wide, slot->tensor);
    std::vector<float> values(32);
    b->download(values.data(), wide);
    return values;
  };
  CHECK(gradient(false) == std::vector<float>(32, 1.0f));
  CHECK(gradient(true) == std::vector<float>(32, 1.125f));  // 1 + 63/512, in bf16
}

TEST_CASE("the encoder's result gets its gradient in f32 from several groups of decoder layers", "[training]") {
  const auto sums = [](int decoder_layers) {
    const auto backend = make_null_backend(DType::bf16);
    ModelOptions o = small_model();
    o.decoder_layers = decoder_layers;
    TrainingModel model(*backend, o, dropouts(), adam(), 1);
    model.accumulate_gradients(two_shapes(false).front().micro.front(), true);
    return backend->calls["accumulate"];
  };
  CHECK(sums(9) == sums(8) + 1);  // groups are of 8 layers
  CHECK(sums(40) == sums(9));
}

#if defined(BOUGH_EMULATOR)
TEST_CASE("in the middle of training nothing is allocated, and only the update before is waited for",
          "[cuda][emulator][training]") {
  const auto backend = gpu(DType::bf16);
  TrainingModel model(*backend, small_model(), dropouts(), adam(), 7);
  model.initialize();
  TrainingClock clock;
  std::vector<std::function<UpdateResult()>> under_way;
  std::vector<double> losses;
  int updates_done = 0;
  for (const UpdateBatches& update : two_shapes(false)) {
    const emulator::Counters before = emulator::counters();
    const size_t queued = emulator::queued_operations();
    under_way.push_back(model.start_update(update, {clock, 3e-3, 0.01}));
    clock.finish_update(update.target_tokens);
    // Uploads are under way beside the update before, whose batch and pinned memory are still being read.
    CHECK(emulator::queued_operations() > queued);
    if (updates_done > 0) CHECK(emulator::counters().waits == before.waits);
    if (under_way.size() > 1) {
      const UpdateResult result = under_way.front()();
      under_way.erase(under_way.begin());
      losses.push_back(result.loss / double(result.target_tokens));
      CHECK(emulator::queued_operations() > 0);               // this update has not been run
      CHECK(emulator::counters().waits == before.waits + 2);  // for the loss and the statistics
    }
    // Two shapes, each first and later: as they are in updates 1 and 2, recorded in 3 and 4.
    if (++updates_done > 4) {
      CHECK(emulator::counters().allocations == before.allocations);
      CHECK(emulator::counters().kernels == before.kernels);  // replays are graphs
    }
  }
  const Outcome patient = train(gpu(DType::bf16));
  CHECK(losses == std::vector<double>(patient.losses.begin(), patient.losses.end() - 1));
}
#endif

TEST_CASE("what cannot be recorded is an error", "[cuda]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const auto backend = gpu(DType::f32);
  const Tensor small = backend->allocate_persistent({4}, DType::f32);
  float host[4] = {};
  const auto twice = [&](const char* key, const std::function<void()>& work) {
    backend->repeat(key, work);  // as it is
    return message_of([&] { backend->repeat(key, work); });
  };
  CHECK(twice("fine", [&] { backend->fill(small, 1); }) == "no exception");
  CHECK(twice("allocates", [&] { backend->allocate_persistent({1000}, DType::f32); }).find("cuda:") == 0);
  CHECK(twice("waits", [&] { backend->synchronize(); }).find("cuda:") == 0);
  CHECK(twice("downloads", [&] { backend->download(host, small); }).find("cuda:") == 0);
  // And the backend is still of use.
  backend->fill(small, 3);
  backend->download(host, small);
  CHECK(host[3] == 3);
}

TEST_CASE("a download that was started has the value of then", "[cuda]") {
  if (skips(cuda_device_count() == 0, "no GPU")) return;
  const auto backend = gpu(DType::f32);
  const Tensor small = backend->allocate_persistent({4}, DType::f32);
  std::vector<std::function<void(void*)>> started;
  for (int i = 0; i < 5; ++i) {
    backend->fill(small, i);
    started.push_back(backend->start_download(small));
  }
  for (const size_t i : {3u, 0u, 4u, 1u, 2u}) {
    float host[4] = {};
    started[i](host);
    CHECK(host[2] == float(i));
  }
  CHECK(message_of([&] { backend->start_download(backend->allocate({100000}, DType::f32)); }).find("at most") !=
        std::string::npos);
}
