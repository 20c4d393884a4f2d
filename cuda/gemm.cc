#include "cuda/gemm.h"

#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <vector>

#include "cuda/memory.h"

namespace bough::cuda {
namespace {

constexpr int most_candidates = 32;
constexpr int64_t most_row_sums = int64_t{1} << 18;
constexpr std::string_view epilogue_letters = "-brs";  // of Epilogue, in exported plans

void check_blas(cublasStatus_t status, const char* what) {
  check(status == CUBLAS_STATUS_SUCCESS, "cuda: cuBLASLt: {} failed: {}", what, cublasLtGetStatusName(status));
}

cudaDataType_t type_of(DType t) { return t == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

/// cuBLASLt's descriptors belong to one owner.
template <class T, auto destroy>
class Owned {
 public:
  Owned() = default;
  Owned(const Owned&) = delete;
  ~Owned() {
    if (value_) destroy(value_);
  }
  T* out() { return &value_; }
  operator T() const { return value_; }

 private:
  T value_ = nullptr;
};
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Description = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

template <class T>
void set(cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t attribute, T value) {
  check_blas(cublasLtMatmulDescSetAttribute(description, attribute, &value, sizeof value), "describing a product");
}
template <class T>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, T value) {
  check_blas(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
             "describing a preference");
}

cublasLtEpilogue_t epilogue_of(Epilogue e) {
  switch (e) {
    case Epilogue::bias:
      return CUBLASLT_EPILOGUE_BIAS;
    case Epilogue::bias_relu:
      return CUBLASLT_EPILOGUE_RELU_BIAS;
    case Epilogue::row_sums:
      return CUBLASLT_EPILOGUE_BGRADB;  // of its B, which is our a
    case Epilogue::none:
      break;
  }
  return CUBLASLT_EPILOGUE_DEFAULT;
}

/// The largest of 16, 8, 4, 2 that divides every address: kernels ask for no more than 16.
int common_alignment(std::initializer_list<const void*> pointers) {
  uintptr_t bits = 16;
  for (const void* p : pointers) bits |= reinterpret_cast<uintptr_t>(p);
  return int(bits & ~(bits - 1));
}

GemmShape shape_of(const Grad& c, In a, In b, const Gemm& gemm) {
  const GemmShape shape{
      .m = c.tensor.rows(),
      .n = c.tensor.cols(),
      .k = gemm.transpose_a ? a.rows() : a.cols(),
      .transpose_a = gemm.transpose_a,
      .transpose_b = gemm.transpose_b,
      .epilogue = gemm.row_sums ? Epilogue::row_sums
                  : gemm.relu   ? Epilogue::bias_relu
                  : gemm.bias   ? Epilogue::bias
                                : Epilogue::none,
      .in = a.dtype(),
      .out = c.tensor.dtype(),
      .alignment = common_alignment({a.data<void>(), b.data<void>(), c.tensor.data<void>(), gemm.bias.data<void>()})};
  check((shape.in == DType::f32 || shape.in == DType::bf16) && b.dtype() == shape.in &&
            (shape.out == shape.in || shape.out == DType::f32),
        "gemm: a is {}, b is {} and c is {}, must be float32 or bfloat16 alike, c of that type or float32",
        name_of(a.dtype()), name_of(b.dtype()), name_of(shape.out));
  check(!gemm.bias || (gemm.bias.dtype() == shape.out && c.mode == GradMode::write),
        "gemm: a bias must be of c's type ({}) and goes with write mode only", name_of(shape.out));
  return shape;
}

}  // namespace

struct Gemms::Algorithm {
  cublasLtMatmulAlgo_t algorithm{};
  bool is_none() const {
    return std::all_of(std::begin(algorithm.data), std::end(algorithm.data), [](uint64_t word) { return word == 0; });
  }
};

struct Gemms::Operands {
  const void *a, *b, *vector;  ///< vector: the bias, or where row sums go
  void* c;
};

// Row-major memory read as column-major is the transpose. So c = op(a) op(b) is asked for as
// c^T (n, m) = op(b)^T op(a)^T: cuBLASLt's A is our b and its B our a, each transposed where ours is, and the bias
// along our columns is its bias along rows.
struct Gemms::Plan {
  Description description;
  Layout a, b, c;
  cublasLtMatmulAlgo_t algorithm{};
  bool does_all = true;  ///< false: not to be run, other kernels do a part (all zero in exported plans)

  Plan(const GemmShape& s, bool allow_tf32) {
    const auto compute = s.in == DType::f32 && allow_tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    check_blas(cublasLtMatmulDescCreate(description.out(), compute, CUDA_R_32F), "describing a product");
    const auto op = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
    set(description, CUBLASLT_MATMUL_DESC_TRANSA, op(s.transpose_b));
    set(description, CUBLASLT_MATMUL_DESC_TRANSB, op(s.transpose_a));
    if (s.epilogue != Epilogue::none) set(description, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(s.epilogue));
    const auto layout = [](Layout& l, DType type, int64_t rows, int64_t columns) {
      check_blas(cublasLtMatrixLayoutCreate(l.out(), type_of(type), uint64_t(rows), uint64_t(columns), rows),
                 "describing a matrix");
    };
    layout(a, s.in, s.transpose_b ? s.k : s.n, s.transpose_b ? s.n : s.k);
    layout(b, s.in, s.transpose_a ? s.m : s.k, s.transpose_a ? s.k : s.m);
    layout(c, s.out, s.n, s.m);
  }

  cublasStatus_t run(void* handle, const Operands& o, bool add, void* workspace, size_t workspace_bytes,
                     cudaStream_t stream) {
    const float alpha = 1, beta = add ? 1 : 0;
    if (o.vector) set(description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, o.vector);
    return cublasLtMatmul(static_cast<cublasLtHandle_t>(handle), description, &alpha, o.b, a, o.a, b, &beta, o.c, c,
                          o.c, c, &algorithm, workspace, workspace_bytes, stream);
  }
};

Gemms::Gemms(const Stream& stream, Options options) : stream_(stream), options_(std::move(options)) {
  cublasLtHandle_t handle = nullptr;
  check_blas(cublasLtCreate(&handle), "starting");
  handle_ = handle;
  workspace_of(stream);
  row_sums_ = allocate_device(most_row_sums * sizeof(float), "sums of products", memory_advice);
}

Gemms::~Gemms() {
  plans_.clear();
  cublasLtDestroy(static_cast<cublasLtHandle_t>(handle_));
}

std::byte* Gemms::workspace_of(const Stream& stream) {
  std::shared_ptr<std::byte>& memory = workspaces_[stream.handle];
  if (!memory) memory = allocate_device(options_.workspace_bytes, "matrix products", memory_advice);
  return memory.get();
}

bool Gemms::does_all(const Grad& c, In a, In b, const Gemm& gemm) {
  if (!gemm.relu && !gemm.row_sums) return true;
  const GemmShape shape = shape_of(c, a, b, gemm);
  if (shape.m == 0 || shape.n == 0 || shape.k == 0 || (gemm.relu && (!gemm.bias || gemm.row_sums))) return false;
  if (gemm.row_sums && (shape.out != DType::f32 || shape.m > most_row_sums)) return false;
  return plan_for(shape).does_all;
}

void Gemms::multiply(const Grad& c, In a, In b, const Gemm& gemm, const Stream& stream) {
  if (!c) return;
  const GemmShape shape = shape_of(c, a, b, gemm);
  if (shape.m == 0 || shape.n == 0) return;
  if (shape.k == 0) {  // an empty sum, which cuBLASLt does not know
    check(!gemm.bias, "gemm: a product over no terms with a bias");
    if (c.mode == GradMode::write)
      check_cuda(cudaMemsetAsync(c.tensor.data<void>(), 0, c.tensor.bytes(), stream.handle), "clearing a product");
    return;
  }
  // Row sums that are added, or go to where the library may not write vectors, take a detour.
  void* const sums = gemm.row_sums.tensor.data<void>();
  const bool is_direct = gemm.row_sums.mode == GradMode::write && common_alignment({sums}) == 16;
  const Operands operands{.a = a.data<void>(),
                          .b = b.data<void>(),
                          .vector = !gemm.row_sums ? gemm.bias.data<void>()
                                    : is_direct    ? sums
                                                   : row_sums_.get(),
                          .c = c.tensor.data<void>()};
  Plan& plan = plan_for(shape);
  const cublasStatus_t status = plan.run(handle_, operands, c.mode == GradMode::add, workspace_of(stream),
                                         options_.workspace_bytes, stream.handle);
  check(status == CUBLAS_STATUS_SUCCESS, "gemm: cuBLASLt failed on ({}, {}) x ({}, {}): {}", shape.m, shape.k, shape.k,
        shape.n, cublasLtGetStatusName(status));
  check_launch(cudaSuccess, "gemm", stream);
  if (gemm.row_sums && !is_direct)
    deposit_row_sums(stream, gemm.row_sums, reinterpret_cast<const float*>(row_sums_.get()));
}

Gemms::Plan& Gemms::plan_for(const GemmShape& shape) {
  if (const auto known = plans_.find(shape); known != plans_.end()) return *known->second;
  auto fresh = std::make_unique<Plan>(shape, options_.allow_tf32);
  // Proposals may look at the address: any that is aligned as the real ones are.
  const void* const vector = row_sums_.get() + shape.alignment;
  if (shape.epilogue != Epilogue::none) set(fresh->description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);
  if (!take_imported(*fresh, shape)) choose(*fresh, shape);
  return *plans_.emplace(shape, std::move(fresh)).first->second;
}

bool Gemms::take_imported(Plan& plan, const GemmShape& shape) {
  const auto known = imported_.find(shape);
  if (known == imported_.end()) return false;
  plan.algorithm = known->second.algorithm;
  plan.does_all = !known->second.is_none();
  if (!plan.does_all) return true;
  cublasLtMatmulHeuristicResult_t result{};
  const cublasStatus_t status = cublasLtMatmulAlgoCheck(static_cast<cublasLtHandle_t>(handle_), plan.description,
                                                        plan.a, plan.b, plan.c, plan.c, &plan.algorithm, &result);
  check(status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= options_.workspace_bytes,
        "gemm: the saved plan for ({}, {}) x ({}, {}) does not run here; it belongs to another device or cuBLASLt",
        shape.m, shape.k, shape.k, shape.n);
  return true;
}

void Gemms::choose(Plan& plan, const GemmShape& shape) {
  Preference preference;
  check_blas(cublasLtMatmulPreferenceCreate(preference.out()), "describing a preference");
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(options_.workspace_bytes));
  // Partial sums of a split inner dimension stay in f32; the other schemes round them to bf16.
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      uint32_t(CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  for (const auto alignment : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                               CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    set(preference, alignment, uint32_t(shape.alignment));
  std::array<cublasLtMatmulHeuristicResult_t, most_candidates> candidates{};
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      static_cast<cublasLtHandle_t>(handle_), plan.description, plan.a, plan.b, plan.c, plan.c, preference,
      options_.autotune ? most_candidates : 1, candidates.data(), &count);
  const bool is_optional = shape.epilogue == Epilogue::bias_relu || shape.epilogue == Epilogue::row_sums;
  plan.does_all = status == CUBLAS_STATUS_SUCCESS && count > 0;
  if (!plan.does_all && is_optional) return;
  check(plan.does_all, "gemm: cuBLASLt knows no way to multiply ({}, {}) by ({}, {}) in {}: {}", shape.m, shape.k,
        shape.k, shape.n, name_of(shape.in), cublasLtGetStatusName(status));
  plan.algorithm = candidates[0].algo;
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  check_cuda(cudaStreamIsCapturing(stream_.handle, &capture), "asking for the state of a stream");
  if (!options_.autotune || capture != cudaStreamCaptureStatusNone) return;  // a capture cannot be timed
  std::vector<Algorithm> proposals;
  for (int i = 0; i < count; ++i)
    if (candidates[size_t(i)].state == CUBLAS_STATUS_SUCCESS) proposals.push_back({candidates[size_t(i)].algo});
  const float time = tune(plan, shape, proposals);
  if (shape.epilogue != Epilogue::row_sums) return;
  GemmShape plain = shape;
  plain.epilogue = Epilogue::none;
  const float apart = measure(plan_for(plain), plain) + measure_pass(size_t(shape.m * shape.k) * size_of(shape.in));
  plan.does_all = time > 0 && time <= apart;
}

/// Makes the fastest of the algorithms the plan's; returns its milliseconds, 0 when none runs.
float Gemms::tune(Plan& plan, const GemmShape& shape, std::span<const Algorithm> candidates) {
  float best = 0;
  cublasLtMatmulAlgo_t fastest = plan.algorithm;
  for (const Algorithm& candidate : candidates) {
    plan.algorithm = candidate.algorithm;
    const float time = measure(plan, shape);
    if (time > 0 && (best == 0 || time < best)) {
      best = time;
      fastest = plan.algorithm;
    }
  }
  plan.algorithm = fastest;
  return best;
}

/// Milliseconds for one product with plan.algorithm, the median of several; 0 when it does not run. Random data:
/// zeros draw less power and run faster. Operands take turns among copies that do not fit the L2 cache
/// together, as in training.
float Gemms::measure(Plan& plan, const GemmShape& shape) {
  constexpr size_t cache_bytes = size_t{128} << 20;
  constexpr int repeats = 9;
  const auto aligned = [](size_t bytes) { return (bytes + 255) / 256 * 256; };
  const size_t a = aligned(size_t(shape.m * shape.k) * size_of(shape.in));
  const size_t b = aligned(size_t(shape.k * shape.n) * size_of(shape.in));
  const size_t c = aligned(size_t(shape.m * shape.n) * size_of(shape.out));
  const size_t one = a + b + c + aligned(size_t(std::max(shape.m, shape.n)) * size_of(shape.out));
  const size_t copies = std::clamp<size_t>(cache_bytes / one + 1, 2, repeats);
  const auto memory = allocate_device(copies * one, "buffers for autotuning", "Autotune with a smaller batch.");
  fill_random(stream_, memory.get(), copies * one, shape.in);

  std::array<OwnedEvent, repeats + 1> events;
  for (OwnedEvent& event : events) event = make_event(cudaEventDefault);
  bool has_run = true;
  check_cuda(cudaEventRecord(events[0].get(), stream_.handle), "recording an event");
  for (int i = 0; i < repeats && has_run; ++i) {
    std::byte* const base = memory.get() + size_t(i) % copies * one;
    const bool has_vector = shape.epilogue != Epilogue::none;
    const Operands operands{base, base + a, has_vector ? base + a + b + c : nullptr, base + a + b};
    has_run = plan.run(handle_, operands, false, workspace_of(stream_), options_.workspace_bytes, stream_.handle) ==
              CUBLAS_STATUS_SUCCESS;
    check_cuda(cudaEventRecord(events[size_t(i) + 1].get(), stream_.handle), "recording an event");
  }
  check_cuda(cudaStreamSynchronize(stream_.handle), "timing a product");
  std::vector<float> times;
  for (int i = 0; i < repeats && has_run; ++i) {
    float time = 0;
    check_cuda(cudaEventElapsedTime(&time, events[size_t(i)].get(), events[size_t(i) + 1].get()), "timing a product");
    times.push_back(time);
  }
  if (!has_run) return 0;
  std::nth_element(times.begin(), times.begin() + repeats / 2, times.end());
  return times[repeats / 2];
}

/// Milliseconds that a kernel takes for reading `bytes` and doing little else: as long as copying half of them.
float Gemms::measure_pass(size_t bytes) {
  const auto memory =
      allocate_device(std::max<size_t>(bytes, 2), "buffers for autotuning", "Autotune with a smaller batch.");
  const OwnedEvent begin = make_event(cudaEventDefault), end = make_event(cudaEventDefault);
  const auto copy = [&] {
    check_cuda(
        cudaMemcpyAsync(memory.get(), memory.get() + bytes / 2, bytes / 2, cudaMemcpyDeviceToDevice, stream_.handle),
        "timing a copy");
  };
  copy();  // the first one warms up
  check_cuda(cudaEventRecord(begin.get(), stream_.handle), "recording an event");
  copy();
  check_cuda(cudaEventRecord(end.get(), stream_.handle), "recording an event");
  check_cuda(cudaStreamSynchronize(stream_.handle), "timing a copy");
  float time = 0;
  check_cuda(cudaEventElapsedTime(&time, begin.get(), end.get()), "timing a copy");
  return time;
}

std::string Gemms::header() const {
  return fmt::format("gemm-plans 2 | {} | cublasLt {} | {}", options_.device_name, cublasLtGetVersion(),
                     options_.allow_tf32 ? "tf32" : "f32");
}

std::string Gemms::export_plans() const {
  std::map<GemmShape, Algorithm> all = imported_;
  for (const auto& [shape, plan] : plans_) all[shape] = plan->does_all ? Algorithm{plan->algorithm} : Algorithm{};
  std::string text = header() + "\n";
  for (const auto& [s, plan] : all) {
    text += fmt::format("{} {} {} {}{}{} {} {} {}", s.m, s.n, s.k, s.transpose_a ? 't' : 'n', s.transpose_b ? 't' : 'n',
                        epilogue_letters[size_t(s.epilogue)], name_of(s.in), name_of(s.out), s.alignment);
    for (const uint64_t word : plan.algorithm.data) text += fmt::format(" {:x}", word);
    text += "\n";
  }
  return text;
}

bool Gemms::import_plans(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || line != header()) return false;
  std::map<GemmShape, Algorithm> plans;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    GemmShape s;
    std::string form, in, out;
    Algorithm algorithm;
    words >> s.m >> s.n >> s.k >> form >> in >> out >> s.alignment >> std::hex;
    for (uint64_t& word : algorithm.algorithm.data) words >> word;
    const auto type = [](const std::string& name) { return name == name_of(DType::bf16) ? DType::bf16 : DType::f32; };
    check(!words.fail() && form.size() == 3 && epilogue_letters.find(form[2]) != std::string::npos,
          "gemm: '{}' is no plan of a product; the list is damaged", line);
    s.transpose_a = form[0] == 't';
    s.transpose_b = form[1] == 't';
    s.epilogue = Epilogue(epilogue_letters.find(form[2]));
    s.in = type(in);
    s.out = type(out);
    plans[s] = algorithm;
  }
  // Plans already in use would differ from the saved run's.
  plans_.clear();
  imported_ = std::move(plans);
  return true;
}

}  // namespace bough::cuda
