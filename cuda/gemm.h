#pragma once
#include <map>
#include <memory>
#include <span>
#include <string>

#include "core/kernel_types.h"
#include "cuda/launch.h"

namespace bough::cuda {

/// What a product does besides (core/kernel_types.h, Gemm).
enum class Epilogue : uint8_t { none, bias, bias_relu, row_sums };

/// Everything that decides how a product is computed, and with it its bits.
struct GemmShape {
  int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  Epilogue epilogue = Epilogue::none;
  DType in = DType::f32, out = DType::f32;
  int alignment = 16;  ///< bytes that every address is a multiple of: 16, 8, 4 or 2
  auto operator<=>(const GemmShape&) const = default;
};

/// Matrix products by cuBLASLt, the one place that includes it. How a shape is computed (its plan) is
/// chosen once: taken from an imported list, else cuBLASLt's first proposal, else with autotuning the fastest
/// of its proposals. Plans split the inner dimension only with sums in f32, in a fixed order: the
/// same plan gives the same bits. A plan also says whether relu and row sums are left to other kernels: where
/// cuBLASLt does not have them, or autotuning found row sums slower than a pass of their own.
class Gemms {
 public:
  struct Options {
    std::string device_name;  ///< marks exported plans: they mean something on the same kind of device only
    bool allow_tf32 = false, autotune = false;
    size_t workspace_bytes = size_t{64} << 20;
  };
  Gemms(const Stream& stream, Options options);
  ~Gemms();
  Gemms(const Gemms&) = delete;

  /// Whether multiply can do all that `gemm` asks for; if not, the caller leaves relu with its bias, or row_sums, out.
  bool does_all(const Grad& c, In a, In b, const Gemm& gemm);
  /// c = (write) or += (add) op(a) op(b), and what `gemm` asks for besides; a, b of one type; f32 accumulation. c is of
  /// that type or f32; bias is of c's type. Throws Error for other types, and when cuBLASLt knows no way. `stream`: one
  /// of two that each have a workspace; products with row_sums always go to the same one.
  void multiply(const Grad& c, In a, In b, const Gemm& gemm, const Stream& stream);

  /// The plans in use and those imported, one a line, for the training state.
  std::string export_plans() const;
  /// Takes over plans written by export_plans; false when they are for another device or cuBLASLt version:
  /// they are then left aside. Throws Error when the text is damaged.
  bool import_plans(const std::string& text);

 private:
  struct Plan;
  struct Operands;
  struct Algorithm;
  Plan& plan_for(const GemmShape& shape);
  void choose(Plan& plan, const GemmShape& shape);
  bool take_imported(Plan& plan, const GemmShape& shape);
  float tune(Plan& plan, const GemmShape& shape, std::span<const Algorithm> candidates);
  float measure(Plan& plan, const GemmShape& shape);
  float measure_pass(size_t bytes);
  std::string header() const;
  std::byte* workspace_of(const Stream& stream);

  Stream stream_;
  Options options_;
  void* handle_ = nullptr;
  std::map<GemmShape, std::unique_ptr<Plan>> plans_;
  std::map<GemmShape, Algorithm> imported_;
  std::map<cudaStream_t, std::shared_ptr<std::byte>> workspaces_;
  std::shared_ptr<std::byte> row_sums_;  // on their way to where they are added
};

/// target (=|+=) sums, both f32 (elementwise.cu).
void deposit_row_sums(const Stream& stream, const Grad& target, const float* sums);

}  // namespace bough::cuda
