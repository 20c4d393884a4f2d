// y = dropout(activation(x + bias)) and its derivative; sums, casts, fills. All are bound by memory: a thread moves
// 16 bytes at a time where rows are whole chunks.
#include "cuda/column_sums.h"
#include "cuda/cuda_backend.h"

namespace bough::cuda {
namespace {

constexpr unsigned flat_threads = 256, sum_threads = 1024;
constexpr unsigned column_threads = 64;  // of a block that sums columns: 512 columns
constexpr int column_slices = 8;         // of the rows of a block, where nothing but sums is to be done

struct Relu {
  __device__ static float value(float x) { return x > 0 ? x : 0.0f; }
};
struct Gelu {
  __device__ static float value(float x) { return math::gelu(x); }
  __device__ static float derivative(float x) { return math::gelu_derivative(x); }
};
struct Swish {
  __device__ static float value(float x) { return math::swish(x); }
  __device__ static float derivative(float x) { return math::swish_derivative(x); }
};

template <class F>
void with_activation(Activation activation, F&& f) {
  if (activation == Activation::relu) return f.template operator()<Relu>();
  if (activation == Activation::gelu) return f.template operator()<Gelu>();
  f.template operator()<Swish>();
}

/// x + bias, or x.
template <class T>
__device__ Chunk biased(const T* row, const T* bias, int64_t col, int64_t cols, bool is_vector) {
  Chunk v = load_chunk(row, col, cols, is_vector);
  if (!bias) return v;
  const Chunk b = load_chunk(bias, col, cols, is_vector);
#pragma unroll
  for (int i = 0; i < chunk_cols; ++i) v[i] += b[i];
  return v;
}

/// A block a row. y may be x: a thread writes only what it has read.
template <class T, class F>
__global__ void activation_kernel(T* y, const T* x, const T* bias, int64_t cols, bool is_vector, DropoutSite site) {
  const int64_t row = blockIdx.x;
  const DropoutFactors dropout(site);
  for (int64_t col = int64_t(threadIdx.x) * chunk_cols; col < cols; col += int64_t(blockDim.x) * chunk_cols) {
    Chunk v = biased(x + row * cols, bias, col, cols, is_vector);
    const Chunk keep = dropout.of_chunk(row, col);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) v[i] = keep[i] * F::value(v[i]);
    store_chunk(y + row * cols, col, cols, is_vector, v);
  }
}

/// d loss / d (x + bias) without what arrives from above: dropout factor times derivative.
template <class T, class F>
struct Slope {
  const T *x, *y, *bias;
  __device__ Chunk operator()(const DropoutFactors& dropout, int64_t row, int64_t col, int64_t cols,
                              bool is_vector) const {
    Chunk slope = dropout.of_chunk(row, col);
    const Chunk v = biased(x + row * cols, bias, col, cols, is_vector);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) slope[i] *= F::derivative(v[i]);
    return slope;
  }
};
template <class T>
struct Slope<T, Relu> {
  const T *x, *y, *bias;
  __device__ Chunk operator()(const DropoutFactors& dropout, int64_t row, int64_t col, int64_t cols,
                              bool is_vector) const {
    Chunk slope = load_chunk(y + row * cols, col, cols, is_vector);
#pragma unroll
    // What was dropped is not above 0: y tells it all.
    for (int i = 0; i < chunk_cols; ++i) slope[i] = slope[i] > 0 ? dropout.scale() : 0.0f;
    return slope;
  }
};

/// A thread owns 8 columns of a block of rows. partial: (row blocks, cols), or null.
template <class T, class F>
__global__ void activation_backward_kernel(Target dx, float* partial, const T* dy, Slope<T, F> slope, int64_t rows,
                                           int64_t block_rows, int64_t cols, bool is_vector, DropoutSite site) {
  const int64_t col = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * chunk_cols;
  if (col >= cols) return;
  const DropoutFactors dropout(site);
  const int64_t begin = blockIdx.y * block_rows, end = begin + block_rows < rows ? begin + block_rows : rows;
  Chunk sum = filled(0.0f);
  constexpr int ahead = 2;  // rows that are loaded before the first is stored
  for (int64_t first = begin; first < end; first += ahead) {
    Chunk g[ahead], above[ahead];
#pragma unroll
    for (int k = 0; k < ahead; ++k) {
      const int64_t row = first + k < end ? first + k : end - 1;
      g[k] = slope(dropout, row, col, cols, is_vector);
      above[k] = load_chunk(dy + row * cols, col, cols, is_vector);
    }
#pragma unroll
    for (int k = 0; k < ahead; ++k) {
      if (first + k >= end) break;
#pragma unroll
      for (int i = 0; i < chunk_cols; ++i) {
        g[k][i] *= above[k][i];
        sum[i] += g[k][i];
      }
      deposit_chunk(dx, (first + k) * cols, col, cols, is_vector, g[k]);
    }
  }
  if (partial) store_chunk(partial + blockIdx.y * cols, col, cols, is_vector, sum);
}

/// The sum of 8 columns over every column_slices-th row, several loads under way at a time.
template <bool is_vector, class T>
__device__ Chunk slice_sum(const T* x, int64_t row, int64_t end, int64_t col, int64_t cols) {
  Chunk sum = filled(0.0f);
#pragma unroll 4
  for (; row < end; row += column_slices) {
    const Chunk v = load_chunk(x + row * cols, col, cols, is_vector);
#pragma unroll
    for (int i = 0; i < chunk_cols; ++i) sum[i] += v[i];
  }
  return sum;
}

/// column_slices threads share 8 columns of a block of rows; their sums are added in order.
template <class T>
__global__ void column_sum_kernel(float* partial, const T* x, int64_t rows, int64_t block_rows, int64_t cols,
                                  bool is_vector) {
  constexpr int block_cols = int(column_threads) * chunk_cols;
  __shared__ SharedArray<float, column_slices * block_cols> of_slice;
  const int thread = int(threadIdx.x) % int(column_threads), slice = int(threadIdx.x) / int(column_threads);
  const int64_t first = int64_t(blockIdx.x) * block_cols, col = first + thread * chunk_cols;
  const int64_t begin = blockIdx.y * block_rows, end = begin + block_rows < rows ? begin + block_rows : rows;
  Chunk sum = filled(0.0f);
  if (col < cols)
    sum = is_vector ? slice_sum<true>(x, begin + slice, end, col, cols)
                    : slice_sum<false>(x, begin + slice, end, col, cols);
  store_floats(of_slice.data() + slice * block_cols + thread * chunk_cols, sum);
  sync_block("sums of other slices would be missing");
  for (int c = int(threadIdx.x); c < block_cols && first + c < cols; c += int(blockDim.x)) {
    float total = 0;
#pragma unroll
    for (int s = 0; s < column_slices; ++s) total += of_slice[s * block_cols + c];
    partial[blockIdx.y * cols + first + c] = total;
  }
}

/// One block: n is a number of rows, and the order of summation must be fixed. f64: sums of many losses.
template <class T>
__global__ void sum_kernel(double* total, const T* x, int64_t n, bool adds) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += double(to_float(x[i]));
  sum = block_sum(sum);
  if (threadIdx.x == 0) *total = adds ? *total + sum : sum;
}

/// Chunks of one long row of n elements. f: chunk of x -> what is stored.
template <class To, class From>
__global__ void copy_kernel(To* y, const From* x, int64_t n, bool is_vector, bool adds) {
  const int64_t i = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * chunk_cols;
  if (i < n) deposit_chunk_as(y, i, n, is_vector, load_chunk(x, i, n, is_vector), adds);
}

/// f64 is met in tables that the host makes: rare and small.
template <class To, class From>
__global__ void convert_kernel(To* y, const From* x, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  if constexpr (std::is_same_v<To, double>)
    y[i] = double(to_float(x[i]));
  else
    y[i] = from_float<To>(float(x[i]));
}

/// 16 bytes a thread, one behind the other over a warp: in chunks of f32, every store would be half of a 32-byte
/// sector.
template <class T>
__global__ void fill_kernel(T* y, int64_t n, bool is_vector, float value) {
  constexpr int count = 16 / sizeof(T);
  const int64_t first = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * count;
  Vector<T, count> v;
#pragma unroll
  for (int i = 0; i < count; ++i) v[i] = from_float<T>(value);
  if (is_vector && first + count <= n) return store_vector(y + first, v);
  for (int64_t i = first; i < first + count && i < n; ++i) y[i] = v[0];
}

__global__ void fill_f64_kernel(double* y, int64_t n, double value) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) y[i] = value;
}

LaunchShape flat_shape(int64_t n) { return {blocks_for(n, flat_threads), flat_threads}; }
LaunchShape chunk_shape(int64_t n, int64_t of_thread = chunk_cols) {
  return {blocks_for(n, flat_threads * of_thread), flat_threads};
}
LaunchShape column_shape(const RowBlocks& blocks, int64_t cols) {
  return {dim3(blocks_for(cols, column_threads * chunk_cols), unsigned(blocks.count())), column_threads};
}

template <class To, class From>
void copy(const Stream& stream, const char* name, Out y, In x, bool adds) {
  launch(stream, name, copy_kernel<To, From>, chunk_shape(x.size()), y.data<To>(), x.data<From>(), x.size(),
         rows_are_vectors(x.size(), y, x), adds);
}

}  // namespace

void deposit_row_sums(const Stream& stream, const Grad& target, const float* sums) {
  const int64_t n = target.tensor.size();
  launch(stream, "gemm row sums", copy_kernel<float, float>, chunk_shape(n), target.tensor.data<float>(), sums, n,
         rows_are_vectors(n, target.tensor), target.mode == GradMode::add);
}

}  // namespace bough::cuda

namespace bough {

using namespace cuda;

void CudaBackend::bias_activation_dropout_impl(Out y, In x, In bias, Activation activation, const Dropout& dropout) {
  dispatch_float(x.dtype(), [&]<class T>() {
    with_activation(activation, [&]<class F>() {
      launch(stream(), "bias_activation_dropout", activation_kernel<T, F>,
             {unsigned(x.rows()), threads_for_row(x.cols())}, y.data<T>(), x.data<T>(), bias.data<T>(), x.cols(),
             rows_are_vectors(x.cols(), y, x, bias), DropoutSite(dropout));
    });
  });
}

void CudaBackend::bias_activation_dropout_backward_impl(const Grad& dx, const Grad& dbias, In dy, In x, In y, In bias,
                                                        Activation activation, const Dropout& dropout) {
  const int64_t cols = dy.cols();
  const RowBlocks blocks(dy.rows());
  float* const partial = dbias ? scratch<float>(blocks.count() * cols) : nullptr;
  dispatch_float(dy.dtype(), [&]<class T>() {
    with_activation(activation, [&]<class F>() {
      launch(stream(), "bias_activation_dropout_backward", activation_backward_kernel<T, F>, column_shape(blocks, cols),
             target_of(dx), partial, dy.data<T>(), Slope<T, F>{x.data<T>(), y.data<T>(), bias.data<T>()}, blocks.rows,
             blocks.block_rows, cols, rows_are_vectors(cols, dx.tensor, dy, x, y, bias), DropoutSite(dropout));
    });
  });
  finish_column_sums(stream(), partial, blocks.count(), cols, {{target_of(dbias)}});
}

void CudaBackend::column_sum_impl(const Grad& total, In x) {
  const RowBlocks blocks(x.rows());
  float* const partial = scratch<float>(blocks.count() * x.cols());
  dispatch_float(x.dtype(), [&]<class T>() {
    LaunchShape shape = column_shape(blocks, x.cols());
    shape.threads *= column_slices;
    launch(stream(), "column_sum", column_sum_kernel<T>, shape, partial, x.data<T>(), blocks.rows, blocks.block_rows,
           x.cols(), rows_are_vectors(x.cols(), x));
  });
  finish_column_sums(stream(), partial, blocks.count(), x.cols(), {{target_of(total)}});
}

void CudaBackend::sum_impl(const Grad& total, In x) {
  dispatch_float(x.dtype(), [&]<class T>() {
    launch(stream(), "sum", sum_kernel<T>, {1, sum_threads}, total.tensor.data<double>(), x.data<T>(), x.size(),
           total.mode == GradMode::add);
  });
}

void CudaBackend::cast_impl(Out y, In x) {
  if (y.dtype() == DType::f64) {
    dispatch_float(x.dtype(), [&]<class T>() {
      launch(stream(), "cast", convert_kernel<double, T>, flat_shape(x.size()), y.data<double>(), x.data<T>(),
             x.size());
    });
    return;
  }
  dispatch_float(y.dtype(), [&]<class To>() {
    if (x.dtype() == DType::f64)
      launch(stream(), "cast", convert_kernel<To, double>, flat_shape(x.size()), y.data<To>(), x.data<double>(),
             x.size());
    else
      dispatch_float(x.dtype(), [&]<class From>() { copy<To, From>(stream(), "cast", y, x, false); });
  });
}

void CudaBackend::fill_impl(Out y, double value) {
  if (y.dtype() == DType::f64) {
    launch(stream(), "fill", fill_f64_kernel, flat_shape(y.size()), y.data<double>(), y.size(), value);
    return;
  }
  dispatch_float(y.dtype(), [&]<class T>() {
    launch(stream(), "fill", fill_kernel<T>, chunk_shape(y.size(), 16 / sizeof(T)), y.data<T>(), y.size(),
           is_aligned(y), float(value));
  });
}

void CudaBackend::accumulate_impl(const Grad& y, In x) {
  if (!y) return;
  dispatch_float(y.tensor.dtype(), [&]<class To>() {
    dispatch_float(x.dtype(),
                   [&]<class From>() { copy<To, From>(stream(), "accumulate", y.tensor, x, y.mode == GradMode::add); });
  });
}

}  // namespace bough
