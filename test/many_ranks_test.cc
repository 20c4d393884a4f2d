// Several ranks compute one run: sums over them, what an update then is, and what launchers say. test/mpi_test.sh
// starts the cases tagged [mpi] as processes.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>

#include "test/catch.h"
#include "test/rank_checks.h"
#include "test/skip.h"
#include "test/thread_ranks.h"
#include "test/throws.h"
#include "test/training_run.h"

using namespace bough;

namespace {

ModelOptions model_of(ResidualKind kind) {
  ModelOptions options = small_model(kind);
  options.model_dim = 64;  // four slices
  options.ffn_dim = 256;
  options.branchnorm_schedule = BranchSchedule::bounded;  // its alphas must be the same on all ranks, too
  return options;
}

struct Trained {
  std::vector<float> parameters, gradients, average;
  std::vector<double> losses, norms, branch_scales, gradient_norms, update_norms;  // the last two: layers'
  bool operator==(const Trained&) const = default;
};

/// Three updates, the second of fewer micro-batches than ranks.
Trained train(Communicator& ranks, ResidualKind kind, DType type, const Sentences& corpus) {
  OptimizerOptions optimizer = adam(0);
  optimizer.ema_decay = 0.1;
  Run run(model_of(kind), all_dropouts(0.2), optimizer, 1, type, ranks);
  run.perturb();
  run.model.enable_layer_norms(false);
  Trained result;
  for (const size_t parts : {4, 1, 4}) {
    const UpdateResult made = run.train(share_of(update_of(corpus, parts), ranks), 1e-3, true);
    result.losses.push_back(made.loss);
    result.norms.push_back(made.statistics.gradient_norm);
    result.gradient_norms = made.layers->gradient_norms;
    result.update_norms = made.layers->update_norms;
  }
  const auto& set = run.model.parameters();
  result.parameters = run.parameters();
  run.model.share().gather(set.gradients());
  result.gradients = set.download(set.gradients());
  {
    const TrainingModel::BestParameters best(run.model);
    result.average = run.parameters();
  }
  check(run.parameters() == result.parameters, "the average was not taken back");
  result.branch_scales = run.model.site_branch_scales();
  return result;
}

/// Of every rank in turn.
std::vector<Trained> train_all(int size, ResidualKind kind, DType type, const Sentences& corpus) {
  auto results = std::vector<Trained>(size_t(size));
  run_ranks(size, [&](Communicator& ranks) { results[size_t(ranks.rank())] = train(ranks, kind, type, corpus); });
  return results;
}

/// Sets environment variables for its time.
class Environment {
 public:
  explicit Environment(std::map<std::string, std::string> values) : values_(std::move(values)) {
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE", "SLURM_PROCID",
                             "SLURM_STEP_NUM_TASKS"})
      unsetenv(name);
    for (const auto& [name, value] : values_) setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : values_) unsetenv(name.c_str());
  }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace

TEST_CASE("ranks own pieces of whole blocks in turn", "[ranks]") {
  for (const int64_t elements : {int64_t{1}, int64_t{1} << 16, int64_t{1000000}, int64_t{123456789}})
    for (const int ranks : {1, 2, 3, 8, 64}) {
      const RankPieces pieces(elements, ranks, 2 * ArenaShare::block);
      int64_t at = 0;
      auto totals = std::vector<int64_t>(size_t(ranks));
      for (int64_t round = 0; round < pieces.rounds(); ++round) {
        for (int r = 0; r < ranks; ++r) {
          CHECK(pieces.first(round, r) == at);
          if (pieces.size(round, r) > 0) CHECK(at % ArenaShare::block == 0);
          CHECK(pieces.size(round, r) <= pieces.longest());
          at += pieces.size(round, r);
          totals[size_t(r)] += pieces.size(round, r);
        }
        CHECK(pieces.end(round) == at);
      }
      CHECK(at == elements);
      for (int r = 0; r < ranks; ++r) CHECK(pieces.total(r) == totals[size_t(r)]);
    }
}

TEST_CASE("an exchange begins while later gradients are unknown", "[ranks]") {
  run_ranks(2, [](Communicator& ranks) {
    const auto backend = make_cpu_backend(1);
    const int64_t n = 7 * ArenaShare::block;
    const Tensor arena = backend->allocate_persistent({n}, DType::f32);
    ArenaShare share(ranks, *backend, n, DType::f32);
    check(share.rounds() == 4, "{} rounds", share.rounds());
    backend->fill(arena, ranks.rank() + 1.0);
    share.start_sum(arena, share.end(1) - 1);  // one round; the second lacks an element
    const float* const mine = share.piece_of_arena(arena, 0).data<float>();
    check(mine[0] == 3, "the first round is not summed: {}", mine[0]);
    check(share.piece_of_arena(arena, 1).data<float>()[0] < 3, "the second round is summed");
    backend->fill(arena.view(share.end(0), {n - share.end(0)}), 10.0 * (ranks.rank() + 1));
    share.start_sum(arena, share.end(2));
    share.sum(arena);
    share.gather(arena);
    for (int64_t i = 0; i < n; ++i)
      check(arena.data<float>()[i] == (i < share.end(0) ? 3 : 30), "element {} is {}", i, arena.data<float>()[i]);
  });
}

TEST_CASE("gradients are known layer by layer, recomputed or not", "[ranks][training]") {
  const Sentences corpus(24);
  for (const bool recomputes : {false, true}) {
    std::vector<int64_t> known;
    Run run(model_of(ResidualKind::branchnorm), all_dropouts(0.1), adam(0));
    ParameterSet& set = run.model.parameters();
    Transformer& transformer = run.model.transformer();
    if (recomputes) transformer.set_recompute(4);
    set.begin_update();
    set.begin_tape();
    transformer.set_training(true);
    const Batch host = corpus.pack(0, corpus.size());
    const ModelBatch batch = upload_batch(*run.backend, host);
    Tape tape(*run.backend);
    const Var top = transformer.decode_layers(transformer.encode(tape, batch.source), batch, nullptr);
    cross_entropy(transformer.logits(top), batch.labels, 0, transformer.target_vocabulary(), batch.weights);
    std::vector<std::vector<float>> fronts;
    tape.watch_sections([&](int section) {
      known.push_back(set.known_elements(section));
      fronts.push_back(set.download(set.gradients().view(0, {known.back()})));
    });
    tape.backward();
    CHECK(known.size() == 5);  // the output layer and four more
    CHECK(std::is_sorted(known.begin(), known.end()));
    CHECK(known.back() > set.elements() / 2);  // all but embeddings
    CHECK(std::set(known.begin() + 1, known.end()).size() == 4);
    for (const std::vector<float>& front : fronts)
      CHECK(front == set.download(set.gradients().view(0, {int64_t(front.size())})));
  }
}

TEST_CASE("ranks exchange messages and sum in their order", "[ranks]") {
  for (const int size : {1, 2, 3, 4}) {
    CHECK_NOTHROW(run_ranks(size, check_messages));
    CHECK_NOTHROW(run_ranks(size, [](Communicator& ranks) { check_sums(ranks, *make_cpu_backend(1)); }));
  }
  CHECK_NOTHROW(check_messages(one_process()));
}

TEST_CASE("an update shared by ranks is that of one process, dropout on", "[ranks][training]") {
  const Sentences corpus(24);
  for (ResidualKind kind : all_residual_kinds()) {
    DYNAMIC_SECTION(name_of(kind)) {
      const Trained alone = train(one_process(), kind, DType::f64, corpus);
      for (const int size : {2, 3, 4, 5}) {
        const std::vector<Trained> all = train_all(size, kind, DType::f64, corpus);
        INFO(size);
        for (const Trained& rank : all) CHECK(rank == all[0]);
        CHECK(distance(alone.gradients, all[0].gradients) < 1e-6);
        CHECK(distance(alone.parameters, all[0].parameters) < 1e-6);
        CHECK(distance(alone.average, all[0].average) < 1e-6);
        for (size_t i = 0; i < alone.losses.size(); ++i) {
          CHECK(all[0].losses[i] == Approx(alone.losses[i]).epsilon(1e-10));
          CHECK(all[0].norms[i] == Approx(alone.norms[i]).epsilon(1e-8));
        }
        for (size_t i = 0; i < alone.branch_scales.size(); ++i)
          CHECK(all[0].branch_scales[i] == Approx(alone.branch_scales[i]).epsilon(1e-6));
        for (size_t i = 0; i < alone.update_norms.size(); ++i) {
          CHECK(all[0].gradient_norms[i] == Approx(alone.gradient_norms[i]).epsilon(1e-6));
          CHECK(all[0].update_norms[i] == Approx(alone.update_norms[i]).epsilon(1e-6));
        }
      }
    }
  }
}

TEST_CASE("the same ranks give the same bits, and in f32 those of one process but for rounding", "[ranks][training]") {
  const Sentences corpus(24);
  const std::vector<Trained> first = train_all(4, ResidualKind::branchnorm, DType::f32, corpus);
  CHECK(first == train_all(4, ResidualKind::branchnorm, DType::f32, corpus));
  const Trained alone = train(one_process(), ResidualKind::branchnorm, DType::f32, corpus);
  CHECK(distance(alone.gradients, first[0].gradients) < 1e-5);
}

TEST_CASE("parameters and their average change places without another arena", "[ranks][training]") {
  ModelOptions options = small_model(ResidualKind::post_ln);
  options.model_dim = 256;
  options.ffn_dim = 1024;
  OptimizerOptions optimizer = adam(0);
  optimizer.ema_decay = 0.1;
  for (const int size : {1, 3})
    CHECK_NOTHROW(run_ranks(size, [&](Communicator& ranks) {
      Run run(options, {}, optimizer, 1, DType::f32, ranks);
      const auto arena = run.model.parameters().values();
      check(arena.size() > 2 * TrainingModel::BestParameters::most_spare, "the arena is small: {}", arena.size());
      run.backend->fill(run.model.optimizer().arenas().average, 0.5);
      const std::vector<float> before = run.parameters();
      const size_t memory = run.backend->persistent_bytes;
      {
        const TrainingModel::BestParameters best(run.model);
        const size_t more = run.backend->persistent_bytes - memory;
        check(more <= TrainingModel::BestParameters::most_spare * sizeof(float), "{} bytes more", more);
        const std::vector<float> average = run.parameters();
        check(std::ranges::count(average, 0.5f) == std::ssize(average), "not the average");
      }
      check(run.parameters() == before, "the parameters were not taken back");
    }));
}

TEST_CASE("a gradient that is not finite on one rank skips the update on all", "[ranks][training]") {
  const Sentences corpus(24);
  run_ranks(2, [&](Communicator& ranks) {
    Run run(model_of(ResidualKind::branchnorm), all_dropouts(0.1), adam(0), 2, DType::f32, ranks);
    const std::vector<float> before = run.parameters();
    run.train(share_of(update_of(corpus, 2), ranks), 0);
    if (ranks.rank() == 1) {
      // Of the first rank's slice, so that the next gather mends it.
      const auto& parts = run.model.parameters().parts();
      const int64_t first = std::ranges::min_element(parts, {}, &ParameterPart::first)->first;
      run.model.parameters().values().data<float>()[first] = INFINITY;
    }
    const UpdateResult result = run.train(share_of(update_of(corpus, 2), ranks), 1e-3);
    check(!result.statistics.is_finite, "rank {} did not skip", ranks.rank());
    if (ranks.rank() == 0) check(run.parameters() == before, "rank 0 has changed its parameters");
  });
}

TEST_CASE("each rank puts the moments of fixed parameters to rest in its own slice", "[ranks][training]") {
  DropoutOptions dropout;
  dropout.fix_source_embedding = true;
  for (const int size : {1, 3})
    CHECK_NOTHROW(run_ranks(size, [&](Communicator& ranks) {
      Run run(model_of(ResidualKind::post_ln), dropout, adam(0), 1, DType::f32, ranks);
      Optimizer& optimizer = run.model.optimizer();
      run.backend->fill(optimizer.arenas().first_moment, 1.0);
      optimizer.rest_fixed_parameters();
      const WholeArena whole = run.model.share().whole_on_first(optimizer.arenas().first_moment);
      if (!ranks.is_first()) return;
      const ParameterSet& set = run.model.parameters();
      int64_t fixed = 0;
      for (const ParameterPart& part : set.parts()) {
        fixed += set.is_fixed(part);
        const float expected = set.is_fixed(part) ? 0 : 1;
        for (const float moment : set.extract(whole, part))
          check(moment == expected, "{} has {}, must have {}", part.name, moment, expected);
      }
      check(fixed == 1, "{} parts are fixed", fixed);
    }));
}

TEST_CASE("what launchers say of a process", "[ranks]") {
  const auto said = [](std::map<std::string, std::string> values) {
    const Environment environment(std::move(values));
    const LaunchedRank rank = launched_rank();
    return fmt::format("{} {}/{}", rank.launcher, rank.rank, rank.size);
  };
  CHECK(said({}) == " 0/1");
  CHECK(said({{"OMPI_COMM_WORLD_RANK", "3"}, {"OMPI_COMM_WORLD_SIZE", "4"}}) == "mpirun 3/4");
  CHECK(said({{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}}) == "mpirun 1/2");
  CHECK(said({{"SLURM_PROCID", "5"}, {"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_LOCALID", "1"}}) == "srun 5/8");
  // A batch script of Slurm: no step, one process.
  CHECK(said({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}) == " 0/1");
  CHECK_THAT(message_of([&] {
               said({{"PMI_RANK", "2"}, {"PMI_SIZE", "2"}});
             }),
             Catch::Contains("the environment has PMI_RANK=2, must be a number from 0 to 1"));
  CHECK_THAT(message_of([&] { said({{"PMI_RANK", "0"}, {"PMI_SIZE", "many"}}); }), Catch::Contains("PMI_SIZE=many"));
}

TEST_CASE("processes exchange messages, sum in their order and train alike", "[.mpi]") {
  const std::unique_ptr<Communicator> joined = connect_ranks(launched_rank());
  if (skips(!joined, "not started by mpirun")) return;
  Communicator& ranks = *joined;
  CHECK_NOTHROW(check_messages(ranks));
  CHECK_NOTHROW(check_sums(ranks, *make_cpu_backend(1)));
  // The same bits as threads have.
  const Sentences corpus(24);
  const Trained mine = train(ranks, ResidualKind::branchnorm, DType::f32, corpus);
  CHECK(mine == train_all(ranks.size(), ResidualKind::branchnorm, DType::f32, corpus)[0]);
}
