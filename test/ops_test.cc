// The checks that every row of the op table must pass on every backend.
#include <algorithm>
#include <array>
#include <numeric>

#include "test/catch.h"
#include "test/op_cases.h"

using namespace bough;
using namespace bough::test;

namespace {

constexpr int64_t few_rows = 3, many_rows = 150;
// On both sides of a warp, a vector and a block.
constexpr int64_t all_widths[] = {1, 31, 32, 33, 255, 256, 257, 264, 1000};

// ---- random data

uint64_t seed_of(const std::string& text) {
  uint64_t seed = 0;
  for (const char c : text) seed = mix_bits(seed ^ uint64_t(uint8_t(c)));
  return seed;
}

double draw(RandomStream& random, Input::Range range) {
  const double normal = std::sqrt(-2 * std::log(1 - random.uniform())) * std::cos(6.283185307 * random.uniform());
  switch (range) {
    case Input::Range::normal:
      return normal;
    case Input::Range::near_one:
      return 0.5 + random.uniform();
    case Input::Range::off_zero:
      return normal + std::copysign(0.1, normal);
    case Input::Range::small:
      return 0.1 * (random.uniform() - 0.5);
  }
  return 0;
}

/// Values that every precision under test can hold.
Values random_values(int64_t count, Input::Range range, RandomStream& random, Precision precision) {
  Values values;
  for (int64_t i = 0; i < count; ++i) {
    const float v = float(draw(random, range));
    values.push_back(double(precision == Precision::bf16 ? float_of_bf16(bf16_of(v)) : v));
  }
  return values;
}

// ---- running a case

/// A case on a backend: its inputs, and what the results are compared with.
struct Problem {
  Problem(const Row& row, const BackendRow& backend, int64_t rows, int64_t width)
      : row(row), backend(backend), op(row.make(rows, width)), random(seed_of(row.name) + uint64_t(width)) {
    for (const Input& input : op.inputs)
      inputs.push_back(input.values.empty()
                           ? random_values(input.shape.elements(), input.range, random, backend.precision)
                           : input.values);
  }
  const Row& row;
  const BackendRow& backend;
  Case op;
  RandomStream random;
  Lists<double> inputs;

  Values cotangent(size_t count) {
    return random_values(int64_t(count), Input::Range::normal, random, backend.precision);
  }
  std::vector<size_t> differentiable() const {
    std::vector<size_t> which;
    for (size_t i = 0; i < op.inputs.size(); ++i)
      if (op.inputs[i].differentiable) which.push_back(i);
    return which;
  }
};

Tensor upload(Bench& b, const Input& input, const Values& values) {
  if (input.type == Input::Type::f64) return b.tensor(input.shape, values, DType::f64);
  if (input.type == Input::Type::statistics) return b.tensor(input.shape, values, b.statistics_type());
  return b.tensor(input.shape, values);
}

std::vector<Tensor> forward(Bench& b, const Problem& problem, const Lists<double>& inputs) {
  Tape tape(b.backend(), false);
  std::vector<Var> vars;
  for (size_t i = 0; i < inputs.size(); ++i) vars.push_back(tape.constant(upload(b, problem.op.inputs[i], inputs[i])));
  std::vector<Tensor> outputs;
  for (const Var& y : problem.op.apply(b, vars)) outputs.push_back(y.value());
  return outputs;
}

Lists<double> download(Bench& b, const std::vector<Tensor>& tensors) {
  Lists<double> lists;
  for (const Tensor& t : tensors) lists.push_back(b.values(t));
  return lists;
}

/// What is asked of a backward pass: cotangents of the outputs (an empty one: no gradient arrives
/// there), the inputs whose gradient is wanted, and what gradients hold before (empty: NaN, to be
/// overwritten).
struct Pullback {
  Lists<double> cotangents;
  std::vector<bool> wanted;
  Lists<double> start = {};
};

/// The gradients of all inputs; empty where not wanted or not contributed to.
Lists<double> backward(Bench& b, const Problem& problem, const Pullback& pull) {
  Tape tape(b.backend());
  std::vector<Var> vars;
  std::vector<std::shared_ptr<GradSlot>> slots;
  for (size_t i = 0; i < problem.inputs.size(); ++i) {
    const Input& input = problem.op.inputs[i];
    const Tensor value = upload(b, input, problem.inputs[i]);
    slots.push_back(pull.wanted[i] ? std::make_shared<GradSlot>() : nullptr);
    if (pull.wanted[i]) {
      const bool adds = !pull.start.empty() && !input.by_columns;
      const Tensor memory = adds ? b.tensor(input.shape, pull.start[i]) : b.output(input.shape);
      *slots[i] = {memory, adds, input.shape, value.dtype()};
    }
    vars.push_back(pull.wanted[i] ? tape.parameter(value, slots[i]) : tape.constant(value));
  }
  const std::vector<Var> outputs = problem.op.apply(b, vars);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (!pull.cotangents[i].empty() && outputs[i].needs_gradient())
      tape.seed(outputs[i], b.tensor(outputs[i].value().shape(), pull.cotangents[i], outputs[i].value().dtype()));
  tape.backward();
  Lists<double> gradients;
  for (const auto& slot : slots) gradients.push_back(slot && slot->written ? b.values(slot->tensor) : Values());
  return gradients;
}

// ---- comparing

double largest(const Values& values) {
  double result = 1;
  for (const double v : values)
    if (std::isfinite(v)) result = std::max(result, std::abs(v));
  return result;
}

/// Empty where all is well. An expected NaN stands for any finite value.
std::string difference(const Values& actual, const Values& expected, double bound) {
  if (actual.size() != expected.size()) return fmt::format("{} values, not {}", actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    const bool is_free = std::isnan(expected[i]);
    if (is_free ? std::isfinite(actual[i]) : is_close(actual[i], expected[i], bound)) continue;
    return fmt::format("element {}: {} instead of {}, bound {}", i, actual[i], expected[i], bound);
  }
  return {};
}

std::string bit_difference(const Lists<double>& actual, const Lists<double>& expected) {
  if (actual.size() != expected.size()) return "another number of results";
  for (size_t k = 0; k < actual.size(); ++k) {
    if (actual[k].size() != expected[k].size()) return fmt::format("result {}: another size", k);
    for (size_t i = 0; i < actual[k].size(); ++i)
      if (std::memcmp(&actual[k][i], &expected[k][i], sizeof(double)) != 0)
        return fmt::format("result {} element {}: {} and {}", k, i, actual[k][i], expected[k][i]);
  }
  return {};
}

/// Twice the error of the naive implementation in f32 (none is granted to f64), and a little.
double forward_bound(Precision precision, const Values& exact, const std::vector<float>& naive) {
  double error = 0;
  if (precision != Precision::f64)
    for (size_t i = 0; i < exact.size(); ++i)
      if (std::isfinite(exact[i])) error = std::max(error, std::abs(double(naive[i]) - exact[i]));
  return 2 * error + tolerance(precision).forward * largest(exact);
}

Lists<float> in_f32(const Lists<double>& lists) {
  Lists<float> result;
  for (const Values& list : lists) result.emplace_back(list.begin(), list.end());
  return result;
}

std::string shapes_of(const Case& op) {
  std::string text;
  for (const Input& input : op.inputs) text += to_string(input.shape) + " ";
  return text;
}

std::vector<bool> every(const Problem& problem) {
  std::vector<bool> wanted;
  for (const Input& input : problem.op.inputs) wanted.push_back(input.differentiable);
  return wanted;
}

/// Random cotangents for all outputs: a loss that sums the outputs would hide a scaled gradient.
Lists<double> random_cotangents(Problem& problem) {
  Lists<double> cotangents;
  for (const Values& y : problem.op.reference.f64(problem.inputs)) cotangents.push_back(problem.cotangent(y.size()));
  return cotangents;
}

/// Calls check(problem) for every row, backend and width; a section for every row.
template <class F>
void for_each_problem(std::initializer_list<int64_t> some_widths, int64_t row_count, F&& check) {
  for (const Row& row : op_rows()) DYNAMIC_SECTION(row.name) {
      for (const BackendRow& backend : backends()) {
        std::vector<int64_t> widths(some_widths);
        if (widths.empty()) widths.assign(std::begin(all_widths), std::end(all_widths));
        if (!row.has_width) widths.resize(1);
        for (const int64_t width : widths) {
          Problem problem(row, backend, row_count, width);
          INFO(row.name << " on " << backend.name << ", width " << width << ", inputs " << shapes_of(problem.op)
                        << "seed " << seed_of(row.name) + uint64_t(width));
          check(problem);
        }
      }
    }
}

}  // namespace

TEST_CASE("ops equal their references and stay inside their memory", "[ops]") {
  for_each_problem({}, few_rows, [](Problem& problem) {
    const Lists<double> exact = problem.op.reference.f64(problem.inputs);
    const Lists<float> naive = problem.op.reference.f32(in_f32(problem.inputs));
    Bench bench(problem.backend);
    const std::vector<Tensor> outputs = forward(bench, problem, problem.inputs);
    CHECK(bench.guards_are_whole());
    for (const Tensor& y : outputs) CHECK(bench.padding_is_whole(y));
    const Lists<double> actual = download(bench, outputs);
    REQUIRE(actual.size() == exact.size());
    for (size_t i = 0; i < exact.size(); ++i)
      CHECK(difference(actual[i], exact[i], forward_bound(problem.backend.precision, exact[i], naive[i])) == "");
  });
}

namespace {

/// All elements of a small input; of a large one the ends and some between.
std::vector<size_t> elements_to_check(size_t count, RandomStream& random) {
  constexpr size_t enough = 48;
  std::vector<size_t> which(std::min(count, enough));
  std::iota(which.begin(), which.end(), 0);
  if (count > enough)
    for (size_t i = 2; i < enough; ++i) which[i] = random.below(count);
  which[which.size() - 1] = count - 1;
  return which;
}

/// sum over outputs of cotangent * (y(x + h) - y(x - h)) / 2h.
double central_difference(Bench& bench, const Problem& problem, size_t input, size_t element,
                          const Lists<double>& cotangents) {
  std::array<Lists<double>, 2> sides;
  for (const int side : {0, 1}) {
    Lists<double> moved = problem.inputs;
    moved[input][element] += side ? difference_step : -difference_step;
    sides[size_t(side)] = download(bench, forward(bench, problem, moved));
    bench.forget();
  }
  double sum = 0;
  for (size_t k = 0; k < cotangents.size(); ++k)
    for (size_t i = 0; i < cotangents[k].size(); ++i) sum += cotangents[k][i] * (sides[1][k][i] - sides[0][k][i]);
  return sum / (2 * difference_step);
}

void check_gradients(Problem& problem, const Lists<double>& cotangents) {
  Bench bench(problem.backend);
  const Lists<double> gradients = backward(bench, problem, {cotangents, every(problem)});
  CHECK(bench.guards_are_whole());
  for (const size_t input : problem.differentiable()) {
    REQUIRE(gradients[input].size() == problem.inputs[input].size());
    REQUIRE(difference(gradients[input], Values(gradients[input].size(), NAN), 0) == "");
    for (const size_t k : elements_to_check(gradients[input].size(), problem.random)) {
      const double numeric = central_difference(bench, problem, input, k, cotangents), analytic = gradients[input][k];
      if (is_close(analytic, numeric, difference_tolerance * (1 + std::abs(numeric)))) continue;
      FAIL_CHECK("gradient of input " << input << ", element " << k << ": " << analytic << " instead of " << numeric);
      break;
    }
    const Input& rows = problem.op.inputs[input];
    const size_t tail = size_t(rows.by_columns ? problem.op.tail_rows * rows.shape.back() : 0);
    for (size_t k = gradients[input].size() - tail; k < gradients[input].size(); ++k)
      if (!(gradients[input][k] == 0)) FAIL_CHECK("the tail has a gradient at " << k << ": " << gradients[input][k]);
  }
}

}  // namespace

TEST_CASE("gradients equal central differences under a random cotangent", "[ops]") {
  for_each_problem({}, few_rows, [](Problem& problem) {
    if (problem.backend.precision != Precision::f64 || problem.differentiable().empty()) return;
    const Lists<double> cotangents = random_cotangents(problem);
    check_gradients(problem, cotangents);
    // Each output alone: the others' gradients never arrive.
    for (size_t only = 0; cotangents.size() > 1 && only < cotangents.size(); ++only) {
      INFO("only output " << only << " is used");
      Lists<double> some(cotangents.size());
      some[only] = cotangents[only];
      check_gradients(problem, some);
    }
  });
}

namespace {

/// How far f64 gradients move, at most, when inputs move by up to half a unit in the last place of bf16: what the naive
/// implementation in that type cannot tell apart. Sums of many terms move more than their size says.
Values rounding_errors(Problem& problem, const Pullback& pull, const Lists<double>& exact) {
  constexpr int samples = 8;
  Values errors(exact.size());
  Problem moved = problem;
  for (int sample = 0; sample < samples; ++sample) {
    for (size_t i = 0; i < moved.inputs.size(); ++i)
      for (size_t k = 0; k < moved.inputs[i].size() && problem.op.inputs[i].values.empty(); ++k)
        moved.inputs[i][k] = problem.inputs[i][k] * (1 + (problem.random.uniform() - 0.5) / 128);
    Bench bench(backends().front());
    const Lists<double> other = backward(bench, moved, pull);
    for (size_t i = 0; i < exact.size(); ++i)
      for (size_t k = 0; k < exact[i].size(); ++k) errors[i] = std::max(errors[i], std::abs(other[i][k] - exact[i][k]));
  }
  return errors;
}

/// `rows`: a sum over rows whose terms cancel keeps their rounding errors, which grow with the square root of their
/// number; the tolerance is for few_rows.
void check_against_f64(Problem& problem, int64_t rows) {
  const Precision precision = problem.backend.precision;
  if (precision == Precision::f64 || problem.differentiable().empty()) return;
  const Pullback pull{random_cotangents(problem), every(problem)};
  Bench bench(problem.backend), exact(backends().front());
  const Lists<double> actual = backward(bench, problem, pull), expected = backward(exact, problem, pull);
  const Values naive =
      precision == Precision::bf16 ? rounding_errors(problem, pull, expected) : Values(expected.size());
  const double allowed = tolerance(precision).gradient * std::sqrt(double(rows) / few_rows);
  for (size_t i = 0; i < actual.size(); ++i)
    CHECK(difference(actual[i], expected[i], 2 * naive[i] + allowed * largest(expected[i])) == "");
}

}  // namespace

TEST_CASE("gradients agree with those of f64", "[ops]") {
  for_each_problem({1, 33, 257, 264, 1000}, few_rows, [](Problem& problem) { check_against_f64(problem, few_rows); });
}

TEST_CASE("gradients summed over many blocks of rows agree with those of f64", "[ops]") {
  for_each_problem({33, 264}, many_rows, [](Problem& problem) {
    if (problem.row.has_width) check_against_f64(problem, many_rows);
  });
}

TEST_CASE("gradients are added to what is there, or overwrite it", "[ops]") {
  for_each_problem({1, 33, 264, 1000}, few_rows, [](Problem& problem) {
    if (problem.differentiable().empty()) return;
    Pullback pull{random_cotangents(problem), every(problem)};
    Bench bench(problem.backend);
    const Lists<double> written = backward(bench, problem, pull);
    for (const Values& x : problem.inputs) pull.start.push_back(problem.cotangent(x.size()));
    const Lists<double> added = backward(bench, problem, pull);
    for (const size_t i : problem.differentiable()) {
      if (problem.op.inputs[i].by_columns) continue;
      Values expected = pull.start[i];
      for (size_t k = 0; k < expected.size(); ++k) expected[k] += written[i][k];
      CHECK(difference(added[i], expected, tolerance(problem.backend.precision).gradient * largest(expected)) == "");
    }
  });
}

TEST_CASE("inputs without gradient do not change the gradients of the others", "[ops]") {
  for_each_problem({33}, few_rows, [](Problem& problem) {
    const std::vector<size_t> inputs = problem.differentiable();
    if (inputs.size() < 2) return;
    Pullback pull{random_cotangents(problem), every(problem)};
    Bench bench(problem.backend);
    const Lists<double> all = backward(bench, problem, pull);
    for (size_t subset = 1; subset + 1 < size_t(1) << inputs.size(); ++subset) {
      Lists<double> expected(all.size());
      for (size_t i = 0; i < inputs.size(); ++i) {
        pull.wanted[inputs[i]] = subset >> i & 1;
        if (pull.wanted[inputs[i]]) expected[inputs[i]] = all[inputs[i]];
      }
      INFO("subset " << subset);
      const Lists<double> actual = backward(bench, problem, pull);
      // On a GPU a bias's gradient comes with that of the weight from cuBLASLt, alone from a kernel: other sums.
      if (problem.op.has_exact_bits || !problem.backend.name.starts_with("cuda")) {
        CHECK(bit_difference(actual, expected) == "");
      } else {
        for (size_t i = 0; i < all.size(); ++i)
          CHECK(difference(actual[i], expected[i], tolerance(problem.backend.precision).gradient * largest(all[i])) ==
                "");
      }
      bench.forget();
    }
  });
}

TEST_CASE("results have the same bits in every run and for every number of threads", "[ops]") {
  for_each_problem({257, 264}, 150, [](Problem& problem) {
    Pullback pull{random_cotangents(problem), every(problem)};
    Lists<double> first;
    for (const int threads : {1, 1, 2, 3, 3}) {
      if (threads > 1 && !problem.op.has_exact_bits) continue;
      Bench bench(problem.backend, threads);
      Lists<double> bits = download(bench, forward(bench, problem, problem.inputs));
      if (!problem.differentiable().empty())
        for (const Values& gradient : backward(bench, problem, pull)) bits.push_back(gradient);
      if (first.empty()) first = bits;
      INFO(threads << " threads");
      CHECK(bit_difference(bits, first) == "");
    }
  });
}

TEST_CASE("wrong shapes are refused with the op's name", "[ops]") {
  for_each_problem({33}, few_rows, [](Problem& problem) {
    for (const auto& [input, shape] : problem.op.bad_shapes) {
      Problem bad = problem;
      bad.op.inputs[input].shape = shape;
      bad.inputs[input] = bad.cotangent(size_t(shape.elements()));
      Bench bench(problem.backend);
      INFO("input " << input << " is " << to_string(shape));
      CHECK_THROWS_WITH(forward(bench, bad, bad.inputs), Catch::Contains(problem.row.op() + ":"));
    }
  });
}

TEST_CASE("the op table runs on a GPU", "[.gpu]") {  // for experiments/gpu_check.sh
  CHECK(std::any_of(backends().begin(), backends().end(),
                    [](const BackendRow& row) { return row.name.starts_with("cuda"); }));
}

TEST_CASE("every kernel has a row", "[ops]") {
  for (const BackendRow& backend : backends()) {
    std::map<std::string_view, int64_t> calls;
    for (const Row& row : op_rows()) {
      Problem problem(row, backend, few_rows, 33);
      Bench bench(backend);
      forward(bench, problem, problem.inputs);
      if (!problem.differentiable().empty()) backward(bench, problem, {random_cotangents(problem), every(problem)});
      for (const auto& [name, count] : bench.backend().calls) calls[name] += count;
    }
    for (const std::string_view name : kernel_names) {
      INFO(name << " on " << backend.name);
      CHECK(calls[name] > 0);
    }
  }
}
