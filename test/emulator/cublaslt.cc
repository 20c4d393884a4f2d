// cuBLASLt on the host. It is as strict as the documentation allows the real one to be: three algorithms
// with requirements of their own, which give different bits, and nothing that the manual does not promise.
#include <cublasLt.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "cuda/device.h"
#include "machine.h"

using bough::cuda::bf16;

struct EmulatedBlas {};
struct EmulatedProduct {
  cublasComputeType_t compute;
  cublasOperation_t op_a = CUBLAS_OP_N, op_b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};
struct EmulatedLayout {
  cudaDataType type;
  uint64_t rows, cols;
  int64_t ld;
};
struct EmulatedPreference {
  uint64_t workspace = 0;
  uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
  uint32_t alignment[4] = {256, 256, 256, 256};
};

namespace {

/// data[0] of an algorithm is its number here + 1; data[1..5] say which product it was proposed for.
struct Algorithm {
  uint32_t alignment;  // of every address, in bytes
  uint64_t splits;     // of the inner dimension, summed in f32
  size_t workspace;    // bytes
  double us;           // what the clock says it takes
};
constexpr Algorithm algorithms[] = {{16, 1, 0, 30}, {16, 4, size_t{1} << 20, 20}, {2, 1, 0, 90}};

size_t size_of(cudaDataType t) { return t == CUDA_R_16BF ? 2 : 4; }

bool is_vector_aligned(const void* p, size_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; }

float read(const void* p, cudaDataType type, uint64_t i) {
  return type == CUDA_R_16BF ? bough::cuda::to_float(static_cast<const bf16*>(p)[i]) : static_cast<const float*>(p)[i];
}
void write(void* p, cudaDataType type, uint64_t i, float value) {
  if (type == CUDA_R_16BF)
    static_cast<bf16*>(p)[i] = bough::cuda::to_bf16(value);
  else
    static_cast<float*>(p)[i] = value;
}

/// Status of a product as described, whatever the algorithm.
cublasStatus_t check_product(const EmulatedProduct& p, const EmulatedLayout& a, const EmulatedLayout& b,
                             const EmulatedLayout& c, const EmulatedLayout& d) {
  const uint64_t m = d.rows, n = d.cols;
  const uint64_t k = p.op_a == CUBLAS_OP_N ? a.cols : a.rows;
  const bool fits = (p.op_a == CUBLAS_OP_N ? a.rows : a.cols) == m && (p.op_b == CUBLAS_OP_N ? b.rows : b.cols) == k &&
                    (p.op_b == CUBLAS_OP_N ? b.cols : b.rows) == n && c.rows == m && c.cols == n;
  if (!fits || m == 0 || n == 0 || k == 0) return CUBLAS_STATUS_INVALID_VALUE;
  for (const EmulatedLayout* l : {&a, &b, &c, &d})
    if (l->ld < int64_t(l->rows)) return CUBLAS_STATUS_INVALID_VALUE;
  const bool all_f32 = a.type == CUDA_R_32F && d.type == CUDA_R_32F;
  const bool is_bf16 = a.type == CUDA_R_16BF && p.compute == CUBLAS_COMPUTE_32F;
  if (a.type != b.type || c.type != d.type || !(all_f32 || is_bf16)) return CUBLAS_STATUS_NOT_SUPPORTED;
  const bool is_rare = p.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS || p.epilogue == CUBLASLT_EPILOGUE_BGRADB;
  if (is_rare && !bough::emulator::settings().has_all_epilogues) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (p.epilogue != CUBLASLT_EPILOGUE_DEFAULT && !p.bias) return CUBLAS_STATUS_INVALID_VALUE;
  return CUBLAS_STATUS_SUCCESS;
}

/// A proposal carries what it was made for: another product's is refused.
void stamp(cublasLtMatmulAlgo_t& algorithm, size_t number, const EmulatedProduct& p, const EmulatedLayout& a,
           const EmulatedLayout& d) {
  const uint64_t k = p.op_a == CUBLAS_OP_N ? a.cols : a.rows;
  algorithm = {{number + 1, d.rows, d.cols, k, uint64_t(p.op_a) | uint64_t(p.op_b) << 1 | uint64_t(p.epilogue) << 2,
                uint64_t(a.type) | uint64_t(d.type) << 8, 0, 0}};
}
const Algorithm* find(const cublasLtMatmulAlgo_t& algorithm, const EmulatedProduct& p, const EmulatedLayout& a,
                      const EmulatedLayout& d) {
  const uint64_t number = algorithm.data[0];
  if (number == 0 || number > std::size(algorithms)) return nullptr;
  cublasLtMatmulAlgo_t expected;
  stamp(expected, number - 1, p, a, d);
  return std::memcmp(&expected, &algorithm, sizeof algorithm) == 0 ? &algorithms[number - 1] : nullptr;
}

/// What tensor cores see of a float: TF32 keeps 10 bits of the mantissa.
float operand(float x, bool tf32) {
  if (!tf32) return x;
  const uint32_t bits = bough::math::bits_of(x);
  return bough::math::float_of((bits + 0xfffu + ((bits >> 13) & 1)) & 0xffffe000u);
}

struct Work {
  EmulatedProduct product;
  EmulatedLayout a, b, d;
  const void *a_data, *b_data, *c_data;
  void *d_data, *workspace;
  float alpha, beta;
  const Algorithm* algorithm;
};

/// op(x) as a dense row-major (rows, cols) of f32.
std::vector<float> gather(const void* data, const EmulatedLayout& l, bool transpose, bool tf32) {
  const uint64_t rows = transpose ? l.cols : l.rows, cols = transpose ? l.rows : l.cols;
  std::vector<float> out(rows * cols);
  for (uint64_t r = 0; r < rows; ++r)
    for (uint64_t c = 0; c < cols; ++c) {
      const uint64_t row = transpose ? c : r, column = transpose ? r : c;
      out[r * cols + c] = operand(read(data, l.type, column * uint64_t(l.ld) + row), tf32);
    }
  return out;
}

void run(const Work& w) {
  const uint64_t m = w.d.rows, n = w.d.cols;
  const uint64_t k = w.product.op_a == CUBLAS_OP_N ? w.a.cols : w.a.rows;
  const bool tf32 = w.product.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  // Columns of D are contiguous; of op(A) rows are needed as columns: (k, m) row-major.
  const std::vector<float> a = gather(w.a_data, w.a, w.product.op_a == CUBLAS_OP_N, tf32);
  const std::vector<float> b = gather(w.b_data, w.b, w.product.op_b == CUBLAS_OP_N, tf32);  // (n, k)
  if (w.workspace) std::memset(w.workspace, 0xff, w.algorithm->workspace);
  const uint64_t splits = std::min(w.algorithm->splits, k);
  std::vector<float> sum(m), part(m);
  for (uint64_t j = 0; j < n; ++j) {
    std::fill(sum.begin(), sum.end(), 0.0f);
    for (uint64_t s = 0; s < splits; ++s) {
      std::fill(part.begin(), part.end(), 0.0f);
      for (uint64_t l = k * s / splits; l < k * (s + 1) / splits; ++l)
        for (uint64_t i = 0; i < m; ++i) part[i] += a[l * m + i] * b[j * k + l];
      for (uint64_t i = 0; i < m; ++i) sum[i] += part[i];
    }
    for (uint64_t i = 0; i < m; ++i) {
      const uint64_t at = j * uint64_t(w.d.ld) + i;
      float value = w.alpha * sum[i];
      if (w.beta != 0) value += w.beta * read(w.c_data, w.d.type, at);  // C is not read where beta is 0
      const bool has_relu = w.product.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
      if (has_relu || w.product.epilogue == CUBLASLT_EPILOGUE_BIAS) value += read(w.product.bias, w.d.type, i);
      if (has_relu) value = value > 0 ? value : 0;  // NaN too
      write(w.d_data, w.d.type, at, value);
    }
  }
  if (w.product.epilogue == CUBLASLT_EPILOGUE_BGRADB) {
    for (uint64_t j = 0; j < n; ++j) {
      float total = 0;
      for (uint64_t l = 0; l < k; ++l) total += b[j * k + l];
      write(const_cast<void*>(w.product.bias), w.d.type, j, total);
    }
    bough::emulator::clock_us += bough::emulator::settings().row_sums_us;
  }
  bough::emulator::clock_us += w.algorithm->us;
}

template <class T>
cublasStatus_t copy_value(T& to, const void* value, size_t bytes) {
  if (bytes != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&to, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return *handle = new EmulatedBlas, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return delete handle, CUBLAS_STATUS_SUCCESS; }
const char* cublasLtGetStatusName(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS         ? "CUBLAS_STATUS_SUCCESS"
         : status == CUBLAS_STATUS_INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE"
                                                 : "CUBLAS_STATUS_NOT_SUPPORTED";
}
size_t cublasLtGetVersion() { return 130000; }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* product, cublasComputeType_t compute, cudaDataType_t) {
  return *product = new EmulatedProduct{compute}, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) { return delete product, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return copy_value(product->op_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return copy_value(product->op_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return copy_value(product->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return copy_value(product->bias, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t cols, int64_t ld) {
  return *layout = new EmulatedLayout{type, rows, cols, ld}, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return delete layout, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return *preference = new EmulatedPreference, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return delete preference, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return copy_value(preference->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return copy_value(preference->reductions, value, bytes);
    default:
      return copy_value(preference->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, bytes);
  }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference,
                                              int requested, cublasLtMatmulHeuristicResult_t* results, int* count) {
  *count = 0;
  const cublasStatus_t status = check_product(*product, *a, *b, *c, *d);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  const uint32_t alignment = *std::min_element(std::begin(preference->alignment), std::end(preference->alignment));
  // A column must begin as aligned as the matrix for the first two.
  const auto columns_aligned = [&](uint32_t bytes) {
    for (const EmulatedLayout* l : {a, b, d})
      if (uint64_t(l->ld) * size_of(l->type) % bytes != 0) return false;
    return true;
  };
  for (size_t i = 0; i < std::size(algorithms) && *count < requested; ++i) {
    const Algorithm& x = algorithms[i];
    const bool reduces = x.splits == 1 || (preference->reductions & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
    if (x.alignment > alignment || !columns_aligned(x.alignment) || x.workspace > preference->workspace || !reduces)
      continue;
    cublasLtMatmulHeuristicResult_t& r = results[(*count)++];
    stamp(r.algo, i, *product, *a, *d);
    r.workspaceSize = x.workspace;
    r.state = CUBLAS_STATUS_SUCCESS;
    r.wavesCount = 1;
  }
  return *count > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algorithm, cublasLtMatmulHeuristicResult_t* result) {
  const cublasStatus_t status = check_product(*product, *a, *b, *c, *d);
  const Algorithm* const found = find(*algorithm, *product, *a, *d);
  if (status != CUBLAS_STATUS_SUCCESS || !found) return CUBLAS_STATUS_NOT_SUPPORTED;
  *result = {*algorithm, found->workspace, CUBLAS_STATUS_SUCCESS, 1, {}};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
  const cublasStatus_t status = check_product(*product, *a_layout, *b_layout, *c_layout, *d_layout);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  const Algorithm* const found = find(*algorithm, *product, *a_layout, *d_layout);
  if (!found) return CUBLAS_STATUS_NOT_SUPPORTED;
  for (const void* p : {a, b, c, static_cast<const void*>(d)})
    if (!is_vector_aligned(p, found->alignment) || !bough::emulator::is_on_device_of(stream, p))
      return CUBLAS_STATUS_INVALID_VALUE;
  if (product->epilogue != CUBLASLT_EPILOGUE_DEFAULT && !is_vector_aligned(product->bias, found->alignment))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (found->workspace > 0 && (!workspace || workspace_bytes < found->workspace || !is_vector_aligned(workspace, 256)))
    return CUBLAS_STATUS_INVALID_VALUE;
  bough::emulator::enqueue_work(
      stream, [w = Work{*product, *a_layout, *b_layout, *d_layout, a, b, c, d, workspace,
                        *static_cast<const float*>(alpha), *static_cast<const float*>(beta), found}] { run(w); });
  return CUBLAS_STATUS_SUCCESS;
}
