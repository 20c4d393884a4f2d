// bough-product-speed: how fast one core multiplies matrices as the layers of a model do, ours beside oneDNN.
//   bough-product-speed LEVEL [ROUNDS]    LEVEL: avx2 or avx512, for both
// A JSON object a line: first the rates of a loop of multiply-adds in registers and of reading 64 MiB, then for every
// layer, number of rows and kind of product FLOP/s of processor time, medians of rounds in which all take turns.
//   forward: x W^T + b. kept: ours by weights packed once, oneDNN's by weights in the order that it asks for
//   int8:    the same in 8 bits; ours rounds x within the call, oneDNN gets it in 8 bits
//   packed:  the same, ours packs within the call, oneDNN's weights are as they lie
//   dx: dy W; dw: dy^T x; oneDNN's by its sgemm
//   step, int8_step: kept and int8 for all layers of a decoder in turn, as in a step of decoding: their weights, 129 MB
//   of
//            floats, come from memory
#include <immintrin.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "core/base/random.h"
#include "core/cpu/factory.h"
#include "experiments/speed/program.h"

namespace {

using namespace bough;

double processor_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

/// Seconds of one call, for each of `calls`: medians of rounds that take turns.
std::vector<double> times(const std::vector<std::function<void()>>& calls, int rounds) {
  std::vector<std::vector<double>> seconds(calls.size());
  std::vector<int> repeats(calls.size());
  const auto time = [&](size_t i) {
    const double start = processor_seconds();
    for (int r = 0; r < repeats[i]; ++r) calls[i]();
    return (processor_seconds() - start) / repeats[i];
  };
  for (size_t i = 0; i < calls.size(); ++i) {
    repeats[i] = 1;
    time(i);  // what is made for a shape is made
    repeats[i] = int(std::clamp(0.005 / time(i), 1.0, 1000.0));
  }
  for (int round = 0; round < rounds; ++round)
    for (size_t i = 0; i < calls.size(); ++i) seconds[i].push_back(time(i));
  std::vector<double> medians;
  for (auto& s : seconds) {
    std::nth_element(s.begin(), s.begin() + int64_t(s.size() / 2), s.end());
    medians.push_back(s[s.size() / 2]);
  }
  return medians;
}

volatile float sink = 1;

// Twelve sums: no multiply-add waits for another.
__attribute__((target("avx2,fma"))) void multiply_add_avx2(int64_t n) {
  __m256 sum[12];
  for (__m256& s : sum) s = _mm256_set1_ps(sink);
  const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-6f);
  for (int64_t i = 0; i < n; ++i)
    for (__m256& s : sum) s = _mm256_fmadd_ps(s, x, y);
  for (const __m256& s : sum) sink = _mm256_cvtss_f32(s);
}
__attribute__((target("avx512f"))) void multiply_add_avx512(int64_t n) {
  __m512 sum[12];
  for (__m512& s : sum) s = _mm512_set1_ps(sink);
  const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-6f);
  for (int64_t i = 0; i < n; ++i)
    for (__m512& s : sum) s = _mm512_fmadd_ps(s, x, y);
  for (const __m512& s : sum) sink = _mm512_cvtss_f32(s);
}
// Twelve sums of products of bytes.
__attribute__((target("avx2"))) void multiply_bytes_avx2(int64_t n) {
  __m256i sum[12];
  for (__m256i& s : sum) s = _mm256_set1_epi32(int(sink));
  const __m256i x = _mm256_set1_epi8(char(sink)), ones = _mm256_set1_epi16(1);
  for (int64_t i = 0; i < n; ++i)
    for (__m256i& s : sum) {
      __m256i four = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_xor_si256(x, s), x), ones);
      asm("" : "+x"(four));  // or they become one instruction of VNNI
      s = _mm256_add_epi32(s, four);
    }
  for (const __m256i& s : sum) sink = float(_mm256_extract_epi32(s, 0));
}
__attribute__((target("avx512f,avx512vnni"))) void multiply_bytes_vnni(int64_t n) {
  __m512i sum[12];
  for (__m512i& s : sum) s = _mm512_set1_epi32(int(sink));
  const __m512i x = _mm512_set1_epi32(int(sink));
  for (int64_t i = 0; i < n; ++i)
    for (__m512i& s : sum) s = _mm512_dpbusd_epi32(s, x, x);
  for (const __m512i& s : sum) {
    int32_t first;
    std::memcpy(&first, &s, sizeof first);
    sink = float(first);
  }
}
__attribute__((target("avx2"))) void read_all(const std::vector<float>& values) {
  __m256 sum[8] = {};
  for (size_t i = 0; i < values.size(); i += 64)
    for (size_t j = 0; j < 8; ++j) sum[j] = _mm256_add_ps(sum[j], _mm256_loadu_ps(values.data() + i + 8 * j));
  for (const __m256& s : sum) sink = _mm256_cvtss_f32(s);
}

void print_machine(CpuLevel level, int rounds) {
  constexpr int64_t steps = 1'000'000;
  const std::vector<float> values(size_t{16} << 20, 1.0f);
  const bool is_wide = level == CpuLevel::avx512, has_vnni = is_wide && __builtin_cpu_supports("avx512vnni");
  const auto seconds =
      times({[&] { is_wide ? multiply_add_avx512(steps) : multiply_add_avx2(steps); }, [&] { read_all(values); },
             [&] { has_vnni ? multiply_bytes_vnni(steps) : multiply_bytes_avx2(steps); }},
            rounds);
  std::printf(
      "{\"level\": \"%s\", \"multiply_add_flops\": %.4g, \"read_bytes\": %.4g, \"multiply_bytes_flops\": %.4g}\n",
      std::string(name_of(level)).c_str(), 2.0 * 12 * (is_wide ? 16 : 8) * steps / seconds[0],
      double(values.size() * sizeof(float)) / seconds[1], 2.0 * 12 * (has_vnni ? 64 : 32) * steps / seconds[2]);
}

/// oneDNN's matmul: x (m, k) by W (n, k), as it lies or in the order that it asks for, and a bias. is_int8: x and W are
/// bytes, unsigned and signed.
class Matmul {
 public:
  Matmul(int64_t m, int64_t n, int64_t k, void* x, void* w, float* bias, float* y, bool reorders, bool is_int8 = false)
      : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    using tag = dnnl::memory::format_tag;
    using type = dnnl::memory::data_type;
    const auto f32 = type::f32;
    const dnnl::memory::desc plain({k, n}, is_int8 ? type::s8 : f32, tag::ba);
    const dnnl::matmul::desc operation({{m, k}, is_int8 ? type::u8 : f32, tag::ab},
                                       {{k, n}, is_int8 ? type::s8 : f32, reorders ? tag::any : tag::ba},
                                       {{1, n}, f32, tag::ab}, {{m, n}, f32, tag::ab});
    const dnnl::matmul::primitive_desc plan(operation, engine_);
    dnnl::memory weights(plain, engine_, w);
    if (plan.weights_desc() != plain) {
      dnnl::memory ordered(plan.weights_desc(), engine_);
      dnnl::reorder(weights, ordered).execute(stream_, weights, ordered);
      weights = ordered;
    }
    primitive_ = dnnl::matmul(plan);
    arguments_ = {{DNNL_ARG_SRC, dnnl::memory(plan.src_desc(), engine_, x)},
                  {DNNL_ARG_WEIGHTS, weights},
                  {DNNL_ARG_BIAS, dnnl::memory(plan.bias_desc(), engine_, bias)},
                  {DNNL_ARG_DST, dnnl::memory(plan.dst_desc(), engine_, y)}};
  }
  void run() { primitive_.execute(stream_, arguments_); }

 private:
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::matmul primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

struct Layer {
  const char* name;
  int64_t n, k;
};

/// A layer's operands for m rows.
struct Operands {
  Operands(Backend& backend, const Layer& layer, int64_t rows)
      : m(rows),
        n(layer.n),
        k(layer.k),
        x(random(backend, {m, k})),
        w(random(backend, {n, k})),
        bias(random(backend, {n})),
        y(random(backend, {m, n})),
        dx(random(backend, {m, k})),
        dw(random(backend, {n, k})) {}
  static Tensor random(Backend& backend, Shape shape) {
    RandomStream stream(1);
    std::vector<float> values(size_t(shape.elements()));
    for (float& v : values) v = float(stream.uniform() - 0.5);
    const Tensor t = backend.allocate_persistent(shape, DType::f32);
    backend.upload(t, values.data());
    return t;
  }
  int64_t m, n, k;
  Tensor x, w, bias, y, dx, dw;
};

double work_of(const Layer& layer, int64_t m) { return 2.0 * double(m) * double(layer.n) * double(layer.k); }

void print_rows(const Layer& layer, int64_t m, const char* kind, double work, const std::vector<double>& seconds) {
  std::printf(
      "{\"layer\": \"%s\", \"n\": %lld, \"k\": %lld, \"m\": %lld, \"kind\": \"%s\", \"own\": %.4g, \"onednn\": %.4g}\n",
      layer.name, static_cast<long long>(layer.n), static_cast<long long>(layer.k), static_cast<long long>(m), kind,
      work / seconds[0], work / seconds[1]);
  std::fflush(stdout);
}

void time_layer(CpuLevel level, const Layer& layer, int64_t m, int rounds) {
  const auto backend = make_cpu_backend(1, DType::f32, level);
  const Operands o(*backend, layer, m);
  const auto raw = [](const Tensor& t) { return t.data<float>(); };
  const auto print = [&](const char* kind, const std::vector<double>& seconds) {
    print_rows(layer, m, kind, work_of(layer, m), seconds);
  };
  const auto forward = [&] { backend->gemm(write_to(o.y), o.x, o.w, Gemm{.transpose_b = true, .bias = o.bias}); };
  Matmul ordered(m, o.n, o.k, raw(o.x), raw(o.w), raw(o.bias), raw(o.y), true),
      plain(m, o.n, o.k, raw(o.x), raw(o.w), raw(o.bias), raw(o.y), false);
  {
    const auto kept = backend->keep_weights({o.w});
    print("kept", times({forward, [&] { ordered.run(); }}, rounds));
  }
  {
    const auto kept = backend->keep_weights({{o.w, {std::vector<float>(size_t(o.n), 120)}}});
    Matmul bytes(m, o.n, o.k, raw(o.x), raw(o.w), raw(o.bias), raw(o.y), true, true);
    print("int8", times({forward, [&] { bytes.run(); }}, rounds));
  }
  print("packed", times({forward, [&] { plain.run(); }}, rounds));
  if (m < 128) return;
  const auto sgemm = [&](char ta, int64_t rows, int64_t cols, int64_t inner, const Tensor& a, const Tensor& b,
                         const Tensor& c) {
    dnnl_sgemm(ta, 'N', rows, cols, inner, 1.0f, raw(a), a.cols(), raw(b), b.cols(), 0.0f, raw(c), c.cols());
  };
  print("dx", times({[&] { backend->gemm(write_to(o.dx), o.y, o.w, Gemm{}); },
                     [&] { sgemm('N', m, o.k, o.n, o.y, o.w, o.dx); }},
                    rounds));
  print("dw", times({[&] { backend->gemm(write_to(o.dw), o.y, o.x, Gemm{.transpose_a = true}); },
                     [&] { sgemm('T', o.n, o.k, m, o.y, o.x, o.dw); }},
                    rounds));
}

/// The products of a step of decoding: each layer has weights of its own.
void time_step(CpuLevel level, const std::vector<Layer>& layers, int64_t m, bool is_int8, int rounds) {
  const auto backend = make_cpu_backend(1, DType::f32, level);
  std::vector<std::unique_ptr<Operands>> operands;
  std::vector<KeptWeight> weights;
  std::vector<Matmul> peers;
  double work = 0;
  for (const Layer& layer : layers) {
    const Operands& o = *operands.emplace_back(std::make_unique<Operands>(*backend, layer, m));
    KeptWeight& weight = weights.emplace_back(o.w);
    if (is_int8) weight.int8.weight.assign(size_t(o.n), 120);
    peers.emplace_back(m, o.n, o.k, o.x.data<float>(), o.w.data<float>(), o.bias.data<float>(), o.y.data<float>(), true,
                       is_int8);
    work += work_of(layer, m);
  }
  const auto kept = backend->keep_weights(weights);
  const auto own = [&] {
    for (const auto& o : operands)
      backend->gemm(write_to(o->y), o->x, o->w, Gemm{.transpose_b = true, .bias = o->bias});
  };
  const auto peer = [&] {
    for (Matmul& matmul : peers) matmul.run();
  };
  print_rows({"all of a decoder", 0, 0}, m, is_int8 ? "int8_step" : "step", work, times({own, peer}, rounds));
}

/// Six layers of a decoder, whose keys and values of the source are there, and the output.
std::vector<Layer> decoder(const Layer& attention, const Layer& projections, const Layer& inner, const Layer& outer,
                           const Layer& words) {
  std::vector<Layer> layers;
  for (int layer = 0; layer < 6; ++layer)
    for (const Layer& part : {projections, attention, attention, attention, inner, outer}) layers.push_back(part);
  layers.push_back(words);
  return layers;
}

int run(int argc, char** argv) {
  check(argc >= 2, "bough-product-speed: no level given, must be avx2 or avx512");
  const int rounds = argc > 2 ? std::stoi(argv[2]) : 9;
  const auto& levels = cpu_levels();
  const auto level = std::find_if(levels.begin(), levels.end(), [&](CpuLevel l) { return name_of(l) == argv[1]; });
  check(level != levels.end() && *level != CpuLevel::generic, "bough-product-speed: level '{}' is not this machine's",
        argv[1]);
  if (*level == CpuLevel::avx2) dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
  print_machine(*level, rounds);
  const Layer attention{"attention output", 512, 512}, projections{"queries, keys, values", 1536, 512},
      inner{"inner", 2048, 512}, outer{"outer", 512, 2048}, words{"words", 20096, 512};
  const int64_t sizes[] = {1, 4, 8, 16, 32, 64, 128, 256, 1024};
  for (const Layer& layer : {attention, projections, inner, outer, words})
    for (const int64_t m : sizes) time_layer(*level, layer, m, rounds);
  for (const bool is_int8 : {false, true})
    for (const int64_t m : sizes)
      time_step(*level, decoder(attention, projections, inner, outer, words), m, is_int8, rounds);
  print_machine(*level, rounds);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return bough::speed::run_program("bough-product-speed", run, argc, argv); }
