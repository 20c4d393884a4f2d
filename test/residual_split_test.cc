// The residual stream as bf16 hi + lo: what the op table cannot say about the low parts of results.
#include "test/catch.h"
#include "test/op_cases.h"
#include "test/small_model.h"

using namespace bough;
using namespace bough::test;

namespace {

Values normal_values(int64_t count, uint64_t seed, double size = 1) {
  RandomStream random(seed);
  Values values;
  for (int64_t i = 0; i < count; ++i) {
    double sum = -6;
    for (int k = 0; k < 12; ++k) sum += random.uniform();
    values.push_back(double(float_of_bf16(bf16_of(float(size * sum)))));
  }
  return values;
}

/// Of values that a precision holds in two parts, relative to the largest: half of the last bit, or what f32
/// arithmetic loses.
double split_tolerance(Precision precision) {
  return precision == Precision::f64 ? 1e-12 : precision == Precision::f32 ? 1e-6 : 1.0 / 65536;
}

double largest_of(const Values& values) {
  double largest = 0;
  for (const double v : values) largest = std::max(largest, std::abs(v));
  return largest;
}

struct Split {
  Values high, low;
};
/// Both parts of y or of sum, into memory that held NaN; x has a low part itself.
Split split_result(Bench& b, int64_t T, int64_t C, bool keeps_sum, Lists<double>& inputs) {
  inputs = {normal_values(T * C, 1), normal_values(T * C, 2), normal_values(C, 3),
            normal_values(C, 4),     normal_values(C, 5),     normal_values(T * C, 6, 1.0 / 512)};
  ResidualInputs in{b.tensor({T, C}, inputs[0]), {},
                    b.tensor({T, C}, inputs[1]), b.tensor({C}, inputs[2]),
                    b.tensor({C}, inputs[3]),    b.tensor({C}, inputs[4]),
                    b.tensor({T, C}, inputs[5]), {}};
  ResidualOutputs out{
      .y = b.output({T, C}), .mean = b.output({T}, b.statistics_type()), .rstd = b.output({T}, b.statistics_type())};
  if (keeps_sum) out.sum = b.output({T, C});
  (keeps_sum ? out.sum_low : out.y_low) = b.output({T, C});
  ResidualNorm p;
  p.residual_scale.constant = 1.25;
  p.branch_scale.constant = 0.75;
  b.backend().residual_dropout_norm(out, in, p);
  return keeps_sum ? Split{b.values(out.sum), b.values(out.sum_low)} : Split{b.values(out.y), b.values(out.y_low)};
}

}  // namespace

TEST_CASE("both parts of a residual stream add up to 16 bits", "[ops][kernels]") {
  const ResidualForm form{.keep_sum = true, .lows = true};
  for (const BackendRow& row : backends())
    for (const int64_t C : {1, 31, 33, 257, 1000, 1032})
      for (const bool keeps_sum : {false, true}) {
        const int64_t T = 3;
        Bench b(row);
        Lists<double> inputs;
        const Split actual = split_result(b, T, C, keeps_sum, inputs);
        CHECK(b.guards_are_whole());
        std::vector<Input> unused;
        const Values exact =
            residual_reference(form, residual_inputs(form, T, C, unused), T, C, inputs)[keeps_sum ? 1 : 0];
        const double bound = split_tolerance(row.precision) * largest_of(exact);
        for (size_t i = 0; i < exact.size(); ++i) {
          INFO(row.name << ", width " << C << (keeps_sum ? ", sum " : ", y ") << i << ": " << actual.high[i] << " + "
                        << actual.low[i] << " instead of " << exact[i]);
          if (!is_close(actual.high[i] + actual.low[i], exact[i], bound)) FAIL_CHECK("the parts do not add up");
          // The high part is the value rounded: what is left is less than its last bit.
          if (!is_close(actual.low[i], 0, std::abs(actual.high[i]) / 256 + 1e-30))
            FAIL_CHECK("the low part is too large");
        }
      }
}

namespace {

constexpr int64_t stream_rows = 4, stream_width = 64;

/// A stack of sublayers whose branches are given: x' = LN(x + 0.05 F), or the plain sum of pre-norm.
Values stream_after(const BackendRow& row, int sublayers, bool is_pre, bool splits) {
  Bench b(row);
  Tape tape(b.backend(), false);
  const int64_t T = stream_rows, C = stream_width;
  const Var one = tape.constant(b.tensor({C}, Values(size_t(C), 1))),
            zero = tape.constant(b.tensor({C}, Values(size_t(C), 0)));
  Var x = tape.constant(b.tensor({T, C}, normal_values(T * C, 100)));
  for (int i = 0; i < sublayers; ++i) {
    const Var branch = tape.constant(b.tensor({T, C}, normal_values(T * C, 200 + uint64_t(i))));
    ResidualNorm p;
    p.branch_scale.constant = 0.05;
    const ResidualResult r =
        residual_norm({.x = x, .branch = branch, .gamma = one, .beta = zero, .keep_sum = is_pre, .splits = splits}, p);
    x = is_pre ? r.sum : r.y;
  }
  Values values = b.values(x.value());
  const Values low = x.low() ? b.values(x.low()) : Values(values.size());
  for (size_t i = 0; i < values.size(); ++i) values[i] += low[i];
  return values;
}

double root_mean_square(const Values& x, const Values& y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
  return std::sqrt(sum / double(x.size()));
}

}  // namespace

TEST_CASE("over 50 sublayers a stream in two parts stays far closer to f64 than one in bf16", "[ops][kernels]") {
  for (const BackendRow& row : backends()) {
    if (row.precision != Precision::bf16) continue;
    for (const bool is_pre : {false, true}) {
      const Values exact = stream_after(backends().front(), 50, is_pre, false);
      const double plain = root_mean_square(stream_after(row, 50, is_pre, false), exact),
                   split = root_mean_square(stream_after(row, 50, is_pre, true), exact);
      INFO((is_pre ? "pre-ln" : "post-ln") << ": error " << plain << " in bf16, " << split << " in two parts");
      CHECK(plain > 1e-3);
      CHECK(split < plain / 50);
    }
  }
}

TEST_CASE("recomputing a layer sees both parts of its input", "[ops][kernels]") {
  for (const BackendRow& row : backends()) {
    const int64_t T = stream_rows, C = stream_width;
    const auto gradient = [&](bool recomputes) {
      Bench b(row);
      Tape tape(b.backend());
      auto slot = std::make_shared<GradSlot>();
      *slot = {b.output({T, C}), false, {T, C}, b.backend().compute_dtype()};
      // A low part as large as x: losing it is no matter of rounding.
      const Var x = tape.parameter(b.tensor({T, C}, normal_values(T * C, 1)), slot)
                        .with_low(b.tensor({T, C}, normal_values(T * C, 2)));
      const Var one = tape.constant(b.tensor({C}, Values(size_t(C), 1)));
      const auto layer = [one](const std::vector<Var>& in) {
        Tape& on = in[0].tape();
        const Var gamma = on.constant(one.value());
        const Var y = residual_norm({.x = in[0], .gamma = gamma, .beta = gamma, .splits = true}, {}).y;
        return std::vector{
            residual_norm({.x = y, .second = in[0], .gamma = gamma, .beta = gamma, .splits = true}, {}).y};
      };
      const Var y = recomputes ? recompute({x}, layer)[0] : layer({x})[0];
      REQUIRE(y.low());
      Values result = b.values(y.value());
      tape.seed(y, b.tensor({T, C}, normal_values(T * C, 3)));
      tape.backward();
      for (const double v : b.values(slot->tensor)) result.push_back(v);
      return result;
    };
    CHECK(gradient(false) == gradient(true));
  }
}

TEST_CASE("residual-precision decides where the stream has two parts", "[model]") {
  ModelOptions o;
  o.encoder_layers = 24;
  o.decoder_layers = 24;
  CHECK_FALSE(o.splits_residual());
  o.decoder_layers = 25;
  CHECK(o.splits_residual());
  o.residual_precision = ResidualPrecision::bfloat16;
  CHECK_FALSE(o.splits_residual());
  o.residual_precision = ResidualPrecision::split;
  CHECK(ModelOptions::from_yaml(
            [&] {
              ModelOptions saved = small_options(ResidualKind::pre_ln);
              saved.residual_precision = ResidualPrecision::split;
              return saved.to_yaml();
            }(),
            "m.npz")
            .splits_residual());
  for (const ResidualKind kind : all_residual_kinds())
    for (const DType dtype : {DType::bf16, DType::f32}) {
      // The memory of a forward pass says whether low parts were made.
      const auto peak = [&](ResidualPrecision precision) {
        ModelOptions options = small_options(kind);
        options.residual_precision = precision;
        const auto backend = make_null_backend(dtype);
        ParameterSet parameters(*backend);
        Transformer model(options, nullptr, parameters);
        parameters.allocate(false);
        model.set_update_state(inference_state(
            branch_scales(options, model.residual_site_layers(), options.branchnorm_progress), *backend));
        backend->allocator().reset_peak();
        Tape tape(*backend, false);
        const auto words = random_sentences(1, 9, 60, 1).front();
        const ModelBatch batch = upload_batch(*backend, pack(std::vector<SentencePair>{{words, words, 0}}));
        model.encode(tape, batch.source);
        return backend->allocator().peak();
      };
      const auto plain = peak(ResidualPrecision::bfloat16), split = peak(ResidualPrecision::split);
      INFO(name_of(kind) << " in " << name_of(dtype));
      CHECK((dtype == DType::bf16 ? split > plain : split == plain));
    }
}
