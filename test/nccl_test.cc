// cuda/nccl.cc between processes that have an emulated GPU each, and what the emulated NCCL takes for a mistake.
#if defined(BOUGH_EMULATOR)
#include <nccl.h>

#include "cuda/factory.h"
#include "test/catch.h"
#include "test/emulator/machine.h"
#include "test/process_runs.h"
#include "test/rank_checks.h"

using namespace bough;

namespace {

/// Four GPUs, for the time of the object and in the processes that it starts.
struct Machine {
  emulator::Settings saved = emulator::settings();
  Machine() {
    emulator::settings().devices = 4;
    emulator::settings().nccl_patience_ms = 20000;
  }
  ~Machine() { emulator::settings() = saved; }
};

/// A rank with the GPU of its number.
struct GpuRank {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Communicator> ranks;
  explicit GpuRank(Communicator& host, int graphs = 16, DType type = DType::f32)
      : backend(make_cuda_backend({.device = host.rank(), .compute_dtype = type, .graph_limit = graphs})),
        ranks(connect_gpus(host, *backend)) {}
};

/// Every rank sends every other a piece of a size of its own; what has come is read in the stream's order.
void exchange_odd_sizes(Communicator& host) {
  GpuRank gpu(host);
  const int size = host.size(), rank = host.rank();
  const auto count = [](int from, int to) { return int64_t{1} + 997 * from + 65537 * to * to; };
  const auto value = [](int from, int to, int64_t i) { return float(from * 100 + to * 10) + float(i % 7); };
  for (int round = 0; round < 3; ++round) {
    std::vector<Message> sent, received;
    for (int r = 0; r < size; ++r) {
      if (r == rank) continue;
      auto values = std::vector<float>(size_t(count(rank, r)));
      for (size_t i = 0; i < values.size(); ++i) values[i] = value(rank, r, int64_t(i) + round);
      sent.push_back({r, gpu.backend->allocate_persistent({count(rank, r)}, DType::f32)});
      gpu.backend->upload(sent.back().tensor, values.data());
      received.push_back({r, gpu.backend->allocate_persistent({count(r, rank)}, DType::f32)});
    }
    gpu.ranks->all_to_all(received, sent);
    for (const auto& [r, tensor] : received) {
      auto values = std::vector<float>(size_t(count(r, rank)));
      gpu.backend->download(values.data(), tensor);
      for (size_t i = 0; i < values.size(); ++i)
        check(values[i] == value(r, rank, int64_t(i) + round), "rank {}: value {} of rank {} is wrong", rank, i, r);
    }
  }
}

/// What two ranks say when each does its part, by plain calls of NCCL.
struct PlainRank {
  int rank;
  ncclComm_t ranks = nullptr;
  cudaStream_t stream = nullptr;
  float* memory = nullptr;

  explicit PlainRank(Communicator& host, int device) : rank(host.rank()) {
    cudaSetDevice(device);
    ncclUniqueId id{};
    if (host.is_first()) ncclGetUniqueId(&id);
    static_cast<Communicator&>(host).broadcast(&id, sizeof id);
    const ncclResult_t result = ncclCommInitRank(&ranks, host.size(), id, rank);
    check(result == ncclSuccess, "{}", ncclGetErrorString(result));
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaMalloc(reinterpret_cast<void**>(&memory), 4096);
  }
  void send(size_t count, ncclDataType_t type = ncclFloat32) {
    check(ncclSend(memory, count, type, 1 - rank, ranks, stream) == ncclSuccess, "send");
  }
  void receive(size_t count, ncclDataType_t type = ncclFloat32) {
    check(ncclRecv(memory + 512, count, type, 1 - rank, ranks, stream) == ncclSuccess, "receive");
  }
  void wait() { cudaStreamSynchronize(stream); }
  void destroy() { check(ncclCommDestroy(ranks) == ncclSuccess, "something was sent and never received"); }
};

std::string log_of(const std::function<void(PlainRank&)>& first, const std::function<void(PlainRank&)>& second) {
  const Machine machine;
  emulator::settings().nccl_patience_ms = 500;
  return run_processes(2,
                       [&](Communicator& host) {
                         PlainRank rank(host, host.rank());
                         (host.is_first() ? first : second)(rank);
                         host.barrier();
                         rank.destroy();
                       })
      .log;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

ModelOptions model_options() {
  ModelOptions o = small_model(ResidualKind::branchnorm);
  o.model_dim = 64;
  o.ffn_dim = 512;
  o.encoder_layers = o.decoder_layers = 1;  // two rounds of pieces, the first without the embeddings
  return o;
}

void write_values(const std::string& file, const std::vector<float>& values) {
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(values.data()), std::streamsize(values.size() * sizeof(float)));
}

/// Adam's epsilon is large, so that gradients which are nothing but rounding move nothing.
OptimizerOptions steady_adam() {
  OptimizerOptions optimizer = adam(0);
  optimizer.epsilon = 1e-3;
  return optimizer;
}

/// Updates of two micro-batches; what this rank computes with after the sixth and the last goes into files, NAME.6 and
/// so on, the first rank's parameters into NAME.6.whole, by how much the last one has moved each layer into NAME.norms.
void train(Run& run, const Communicator& ranks, const std::string& name, int updates) {
  const Sentences corpus(24);
  run.model.enable_layer_norms(false);
  for (int i = 1; i <= updates; ++i) {
    const UpdateResult result = run.train(share_of(update_of(corpus, 2), ranks), 1e-3, i == updates);
    if (i == updates)
      write_values(name + ".norms", {result.layers->update_norms.begin(), result.layers->update_norms.end()});
    if (i != 6 && i != updates) continue;
    const ParameterSet& set = run.model.parameters();
    const std::string file = fmt::format("{}.{}", name, i);
    write_values(file, set.download(set.compute_copy() ? set.compute_copy() : set.values()));
    const WholeArena whole = run.model.whole_values();
    if (ranks.is_first()) write_values(file + ".whole", whole.tensor ? set.download(whole.tensor) : whole.on_host);
  }
}

void train_rank(GpuRank gpu, const std::string& name, int updates) {
  const Communicator& ranks = *gpu.ranks;
  Run run(std::move(gpu.backend), std::move(gpu.ranks), model_options(), all_dropouts(0.1), steady_adam());
  train(run, ranks, name, updates);
}

void train_alone(DType type, const std::string& name, int updates) {
  Run run(make_cuda_backend({.compute_dtype = type}), model_options(), all_dropouts(0.1), steady_adam());
  train(run, one_process(), name, updates);
}

std::vector<float> values_in(const std::string& file) {
  const std::string text = text_of(file);
  auto values = std::vector<float>(text.size() / sizeof(float));
  std::memcpy(values.data(), text.data(), values.size() * sizeof(float));
  return values;
}

}  // namespace

TEST_CASE("GPUs exchange pieces of any size", "[nccl][emulator]") {
  const Machine machine;
  for (const int size : {2, 4}) {
    const ProcessesEnd end = run_processes(size, exchange_odd_sizes);
    CHECK(end.log == "");
    CHECK(end.code == 0);
  }
}

TEST_CASE("GPUs sum in the order of ranks", "[nccl][emulator]") {
  const Machine machine;
  for (const bool eager : {false, true})
    for (const int size : {2, 3, 4}) {
      emulator::settings().eager = eager;
      const ProcessesEnd end = run_processes(size, [](Communicator& host) {
        const GpuRank gpu(host);
        check_messages(*gpu.ranks);
        check_sums(*gpu.ranks, *gpu.backend);
      });
      CHECK(end.log == "");
      CHECK(end.code == 0);
    }
}

TEST_CASE("twenty updates of two GPUs are those of one that accumulates, recorded or not",
          "[nccl][emulator][training]") {
  const Machine machine;
  const ScratchFolder folder;
  const auto train_two = [&](const std::string& name, int graphs, int updates) {
    const ProcessesEnd end = run_processes(2, [&](Communicator& host) {
      train_rank(GpuRank(host, graphs), folder / (name + std::to_string(host.rank())), updates);
      const int64_t beside = emulator::counters().external_events;
      check((beside > 0) == (graphs > 0), "{} exchanges beside recorded backward passes", beside);
    });
    CHECK(end.log == "");
    CHECK(end.code == 0);
  };
  train_two("recorded", 16, 20);
  train_two("eager", 0, 6);
  train_alone(DType::f32, folder / "one", 20);
  const std::vector<float> two = values_in(folder / "recorded0.20");
  REQUIRE(!two.empty());
  CHECK(two == values_in(folder / "recorded1.20"));
  CHECK(values_in(folder / "recorded0.6") == values_in(folder / "eager0.6"));
  CHECK(distance(values_in(folder / "one.20"), two) < 1e-5);
}

TEST_CASE("GPUs that compute in bfloat16 keep pieces of the parameters, whole when asked for",
          "[nccl][emulator][training]") {
  const Machine machine;
  const ScratchFolder folder;
  const auto elements = [](int ranks) {
    const auto imagined = imagined_ranks(ranks);
    const auto backend = make_null_backend(DType::bf16);
    return TrainingModel(*backend, model_options(), {}, adam(0), 1, *imagined).parameters().kept_values().size();
  };
  CHECK(elements(2) < elements(1) * 3 / 4);
  const ProcessesEnd end = run_processes(2, [&](Communicator& host) {
    train_rank(GpuRank(host, 16, DType::bf16), folder / ("rank" + std::to_string(host.rank())), 6);
  });
  CHECK(end.log == "");
  CHECK(end.code == 0);
  train_alone(DType::bf16, folder / "one", 6);
  const std::vector<float> two = values_in(folder / "rank0.6"), whole = values_in(folder / "rank0.6.whole");
  REQUIRE(!two.empty());
  CHECK(two == values_in(folder / "rank1.6"));
  CHECK(distance(whole, two) < 1e-2);
  CHECK(distance(whole, two) > 1e-4);  // they are not the rounded ones
  CHECK(distance(values_in(folder / "one.6.whole"), whole) < 1e-3);
  const std::vector<float> norms = values_in(folder / "one.norms"), of_two = values_in(folder / "rank1.norms");
  REQUIRE(norms.size() == of_two.size());
  for (size_t i = 0; i < norms.size(); ++i) CHECK(of_two[i] == Approx(norms[i]).epsilon(0.02));
}

TEST_CASE("what NCCL would wait for without end, or mix up, is an error", "[nccl][emulator]") {
  const auto exchange = [](size_t sent, size_t received, ncclDataType_t type = ncclFloat32) {
    return [=](PlainRank& rank) {
      ncclGroupStart();
      if (sent > 0) rank.send(sent, type);
      if (received > 0) rank.receive(received);
      ncclGroupEnd();
      rank.wait();
    };
  };
  CHECK(log_of(exchange(5, 7), exchange(7, 5)) == "");
  CHECK(has(log_of(exchange(5, 7), exchange(8, 5)),
            "rank 0 receives from rank 1 7 elements of type 7, but that sends 8"));
  CHECK(has(log_of(exchange(5, 7), exchange(7, 5, ncclInt32)), "7 elements of type 7, but that sends 7 of type 2"));
  CHECK(has(log_of(exchange(0, 7), exchange(0, 0)), "rank 0 waits for rank 1, which sends nothing"));
  CHECK(has(log_of(exchange(0, 0), exchange(5, 0)), "something was sent and never received"));
  const auto twice = [&](auto first, auto second) {
    return [=](PlainRank& rank) {
      first(rank);
      second(rank);
    };
  };
  CHECK(has(log_of(twice(exchange(5, 0), exchange(5, 0)), twice(exchange(0, 0), exchange(0, 5))),
            "rank 1 receives from rank 0 in exchange 2 what that sent in its exchange 1"));

  // Outside a group a stream waits until what it sends was received.
  const auto alone = [](bool sends_first) {
    return [=](PlainRank& rank) {
      for (const bool sends : {sends_first, !sends_first}) sends ? rank.send(3) : rank.receive(3);
      rank.wait();
    };
  };
  CHECK(log_of(alone(true), alone(false)) == "");
  CHECK(has(log_of(alone(true), alone(true)), "both send before they receive, outside a group"));
}

TEST_CASE("an exchange in a graph is one on all ranks", "[nccl][emulator]") {
  const auto replay = [](bool is_captured, bool leaves_graph = false) {
    return [=](PlainRank& rank) {
      const auto exchange = [&] {
        ncclGroupStart();
        rank.send(3);
        rank.receive(3);
        ncclGroupEnd();
      };
      if (is_captured) {
        cudaGraph_t graph = nullptr;
        cudaGraphExec_t executable = nullptr;
        cudaStreamBeginCapture(rank.stream, cudaStreamCaptureModeThreadLocal);
        exchange();
        cudaStreamEndCapture(rank.stream, &graph);
        cudaGraphInstantiate(&executable, graph);
        cudaGraphDestroy(graph);
        for (int i = 0; i < 2; ++i) cudaGraphLaunch(executable, rank.stream);
        rank.wait();
        if (!leaves_graph) cudaGraphExecDestroy(executable);
      } else {
        exchange();
      }
      rank.wait();
    };
  };
  CHECK(log_of(replay(true), replay(true)) == "");
  CHECK(has(log_of(replay(true), replay(false)), "but only one of them does so in a graph"));
  CHECK(has(log_of(replay(true, true), replay(true)), "graphs have 1 exchanges of rank 0, whose end would wait"));
}

TEST_CASE("a rank leaves before its backend, whose records have exchanges", "[nccl][emulator]") {
  const Machine machine;
  for (const bool fails : {false, true}) {
    const ProcessesEnd end = run_processes(2, [&](Communicator& host) {
      GpuRank gpu(host);
      const Tensor mine = gpu.backend->allocate_persistent({3}, DType::f32),
                   other = gpu.backend->allocate_persistent({3}, DType::f32);
      const int peer = 1 - host.rank();
      for (int i = 0; i < 3; ++i)
        gpu.backend->repeat("x", [&] { gpu.ranks->all_to_all({{peer, other}}, {{peer, mine}}); });
      gpu.backend->synchronize();
      check(!fails, "this rank fails");
    });
    CHECK(end.code == int(fails));
    CHECK((fails ? has(end.log, "Error: this rank fails") : end.log == ""));
  }
}

TEST_CASE("a broken connection ends a wait", "[nccl][emulator]") {
  const Machine machine;
  const std::function<void(Backend&, Out)> waits[] = {
      [](Backend& gpu, Out x) {
        std::vector<float> values(3);
        gpu.start_download(x)(values.data());
      },
      [](Backend& gpu, Out x) {
        std::vector<float> values(3);
        gpu.download(values.data(), x);
      },
      [](Backend& gpu, Out) { gpu.synchronize(); },
  };
  for (const auto& wait : waits) {
    const ProcessesEnd end = run_processes(2, [&](Communicator& host) {
      GpuRank gpu(host);
      std::string message;
      try {
        // Freed on the error's way up, which would wait for the exchange.
        const Tensor x = gpu.backend->allocate_persistent({3}, DType::f32);
        const std::vector<float> values(3);
        gpu.backend->upload(x, values.data());
        gpu.backend->synchronize();
        emulator::settings().hangs = true;
        emulator::settings().nccl_error = int(ncclSystemError);
        wait(*gpu.backend, x);
      } catch (const Error& e) {
        message = e.what();
      }
      check(has(message, "nccl: an exchange with another GPU failed: unhandled system error"), "it says '{}'", message);
      check(!emulator::settings().hangs, "the exchange has not ended");
    });
    CHECK(end.log == "");
  }
}

TEST_CASE("what is no rank, GPU or device memory is refused", "[nccl][emulator]") {
  CHECK(log_of(
            [](PlainRank& rank) {
              float host = 0;
              check(ncclSend(&host, 1, ncclFloat32, 1, rank.ranks, rank.stream) == ncclInvalidArgument, "host memory");
              check(ncclSend(rank.memory, 1, ncclFloat32, 0, rank.ranks, rank.stream) == ncclInvalidArgument, "itself");
              check(ncclRecv(rank.memory, 1, ncclFloat32, 2, rank.ranks, rank.stream) == ncclInvalidArgument, "rank 2");
              check(ncclGroupEnd() == ncclInvalidUsage, "no group");
            },
            [](PlainRank&) {}) == "");
  const Machine machine;
  const ProcessesEnd end = run_processes(2, [](Communicator& host) { PlainRank(host, 0); });
  CHECK(has(end.log, "Error: invalid usage"));  // NCCL takes no GPU twice
}
#endif
