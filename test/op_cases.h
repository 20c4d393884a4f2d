#pragma once
#include "test/op_cases_kernels.h"
#include "test/op_cases_recurrence.h"

// The op table: a row for every kernel of core/kernels.def and every way to use it. The checks of
// test/ops_test.cc run on every row, backend and (where it has one) width.
// To add an op: write its case beside its like in op_cases_{layers,kernels}.h and list it here.

namespace bough::test {

inline void add_linear_rows(std::vector<Row>& rows) {
  rows.push_back({"linear", true, [](int64_t T, int64_t K) { return linear_case(T, K, 7, false); }});
  rows.push_back({"linear bias", true, [](int64_t T, int64_t N) { return linear_case(T, 5, N, true); }});
  rows.push_back({"linear_relu", true, [](int64_t T, int64_t N) { return linear_case(T, 5, N, true, true); }});
  for (const int64_t M : {1, 7, 33, 257})
    for (int form = 0; form < 10; ++form) {
      const bool ta = form & 1, tb = form & 2, adds = form & 4, bias = form >= 8;
      const std::string name = fmt::format("gemm {}{}{}{} M = {}", ta ? "T" : "N", bias || tb ? "T" : "N",
                                           adds ? " add" : "", bias ? " bias" : "", M);
      rows.push_back({name, false, [=](int64_t, int64_t) { return gemm_case(M, 65, 50, ta, bias || tb, adds, bias); }});
    }
  for (const int64_t M : {1, 33, 257})
    for (const bool adds : {false, true})
      rows.push_back({fmt::format("gemm TN{} row sums M = {}", adds ? " add" : "", M), false,
                      [=](int64_t, int64_t) { return row_sums_case(M, 65, 50, adds); }});
}

inline void add_embedding_rows(std::vector<Row>& rows) {
  const auto add = [&](const std::string& name, PositionTable kind, double word, double dropout) {
    rows.push_back({name, true, [=](int64_t T, int64_t C) { return embedding_case(T, C, kind, word, dropout); }});
  };
  add("embedding", PositionTable::absent, 0, 0);
  add("embedding sinusoids", PositionTable::constant, 0, 0);
  add("embedding learned positions", PositionTable::parameter, 0, 0);
  add("embedding dropout", PositionTable::constant, 0, 0.25);
  add("embedding all", PositionTable::parameter, 0.4, 0.25);
}

inline void add_residual_rows(std::vector<Row>& rows) {
  using enum ScaleKind;
  const auto add = [&](const std::string& name, const ResidualForm& form) {
    rows.push_back({"residual_norm " + name, true, [=](int64_t T, int64_t C) { return residual_case(T, C, form); }});
  };
  add("post-ln", {.dropout = 0.3});
  add("post-ln without dropout and bias", {.bias = false});
  add("deepnorm", {.dropout = 0.1});
  add("branchnorm", {.dropout = 0.3, .branch_scale = word});
  add("pre-ln", {.keep_sum = true, .dropout = 0.3});
  add("pre-ln, last sum", {.norm = false, .dropout = 0.3});
  add("norm alone", {.branch = false, .bias = false});
  add("norm alone with its sum", {.branch = false, .bias = false, .keep_sum = true});
  add("two residuals", {.second = true, .dropout = 0.3, .residual_scale = word});
  add("two residuals, sum alone", {.second = true, .norm = false});
  add("rezero", {.norm = false, .dropout = 0.3, .branch_scale = scalar});
  add("admin", {.dropout = 0.3, .residual_scale = vector});
  add("b2t", {.second = true, .dropout = 0.3});
  add("dlcl", {.second = true, .bias = false, .norm = false, .residual_scale = scalar, .branch_scale = scalar});
  add("dlcl, first sum", {.branch = false, .bias = false, .keep_sum = true, .residual_scale = scalar});
  add("scalar parameters", {.dropout = 0.3, .residual_scale = scalar, .branch_scale = scalar});
  add("vector parameters", {.bias = false, .residual_scale = vector, .branch_scale = vector});
  add("post-ln in two parts", {.dropout = 0.3, .branch_scale = word, .lows = true});
  add("pre-ln in two parts", {.keep_sum = true, .dropout = 0.3, .lows = true});
  add("two residuals in two parts", {.second = true, .norm = false, .residual_scale = word, .lows = true});
  add("everything",
      {.second = true, .keep_sum = true, .dropout = 0.3, .residual_scale = vector, .branch_scale = vector});
}

inline void add_activation_rows(std::vector<Row>& rows) {
  const std::pair<const char*, Activation> kinds[] = {
      {"relu", Activation::relu}, {"gelu", Activation::gelu}, {"swish", Activation::swish}};
  for (const auto& [name, kind] : kinds)
    for (const double p : {0.0, 0.3}) {
      const std::string text = fmt::format("bias_activation {} dropout {}", name, p);
      const Activation activation = kind;
      rows.push_back({text, true, [=](int64_t T, int64_t F) { return activation_case(T, F, activation, p > 0, p); }});
    }
}

inline void add_attention_rows(std::vector<Row>& rows) {
  const auto add = [&](const std::string& name, const AttentionForm& form) {
    rows.push_back({"attention " + name, false, [=](int64_t, int64_t) { return attention_case(form); }});
  };
  const std::vector<int> ragged{5, 1, 12, 3, 30, 30}, others{4, 9, 1, 17, 2, 40}, target{30, 1, 7};
  add("self", {.queries = ragged});
  add("self, causal", {.queries = ragged, .is_causal = true});
  add("self, causal, dropout", {.queries = ragged, .is_causal = true, .dropout = 0.3});
  add("cross", {.queries = ragged, .keys = others});
  add("cross, dropout", {.queries = ragged, .keys = others, .dropout = 0.3});
  add("longer than a bin", {.queries = {3, 70}, .heads = 1, .dropout = 0.2});
  add("longer than a bin, causal", {.queries = {67, 1, 2}, .heads = 1, .is_causal = true});
  add("longer than a bin, cross", {.queries = {66, 2}, .keys = {3, 131}, .heads = 1});
  // A sentence that begins within one tile and goes on in the next, out of step with the draws of dropout.
  add("bins of several tiles",
      {.queries = {3, 70, 5}, .keys = {5, 75, 9}, .heads = 1, .dropout = 0.3, .bin_rows = 128});
  add("bins of several tiles, causal",
      {.queries = {3, 70, 5}, .heads = 1, .is_causal = true, .dropout = 0.3, .bin_rows = 128});
  for (const int64_t D : {12, 32, 64, 128}) {
    add(fmt::format("D = {}", D), {.queries = target, .heads = 3, .head_dim = D, .is_causal = true, .dropout = 0.1});
    add(fmt::format("cross D = {}", D), {.queries = {2, 9, 1}, .keys = target, .head_dim = D, .tail = 0});
  }
}

inline void add_alignment_rows(std::vector<Row>& rows) {
  const std::vector<int> ragged{5, 1, 12, 3, 30, 40}, others{4, 9, 1, 17, 2, 70};
  const auto add = [&](const std::string& name, const AttentionForm& form, double weight) {
    rows.push_back(
        {"alignment_loss " + name, false, [=](int64_t, int64_t) { return alignment_loss_case(form, weight); }});
  };
  add("ragged", {.queries = ragged, .keys = others}, 1);
  add("many queries", {.queries = others, .keys = ragged}, 0.1);
  for (const int64_t D : {12, 64, 128})
    add(fmt::format("D = {}", D), {.queries = {2, 9, 1}, .keys = {30, 1, 7}, .head_dim = D, .tail = 0}, 0.5);
  for (const int64_t D : {12, 16, 64})
    rows.push_back({fmt::format("attention_weights D = {}", D), false,
                    [=](int64_t, int64_t) { return attention_weights_case(D); }});
}

inline void add_recurrence_rows(std::vector<Row>& rows) {
  rows.push_back({"ssru ragged", true, [](int64_t, int64_t C) { return ssru_case({5, 1, 12, 3, 30, 100}, 3, C); }});
  rows.push_back({"ssru without a tail", true, [](int64_t, int64_t C) { return ssru_case({1, 2}, 0, C); }});
  rows.push_back({"ssru_step", true, [](int64_t, int64_t C) { return ssru_step_case(C); }});
}

inline void add_loss_rows(std::vector<Row>& rows) {
  for (const double smoothing : {0.0, 0.1})
    for (const int padding : {0, 5})
      rows.push_back(
          {fmt::format("cross_entropy smoothing {} padding {}", smoothing, padding), true,
           [=](int64_t T, int64_t V) { return cross_entropy_case(T + 1, V + 1, V + 1 + padding, smoothing, true); }});
  rows.push_back({"cross_entropy weighted", true,
                  [](int64_t T, int64_t V) { return cross_entropy_case(T + 1, V + 1, V + 4, 0.1, true, true); }});
  rows.push_back({"cross_entropy without gradient", true,
                  [](int64_t T, int64_t V) { return cross_entropy_case(T + 1, V + 1, V + 4, 0.1, false); }});
}

inline void add_elementwise_rows(std::vector<Row>& rows) {
  for (const bool adds : {false, true}) {
    const std::string mode = adds ? " add" : " write";
    rows.push_back({"sum" + mode, true, [=](int64_t, int64_t T) { return sum_case(T, adds); }});
    rows.push_back({"column_sum" + mode, true, [=](int64_t T, int64_t C) { return column_sum_case(T, C, adds); }});
    rows.push_back({"accumulate" + mode, true, [=](int64_t, int64_t C) { return accumulate_case(C, adds); }});
    rows.push_back(
        {adds ? "cast to f32" : "cast from f32", true, [=](int64_t, int64_t C) { return cast_case(C, adds); }});
  }
  rows.push_back({"column_sum of many rows", false, [](int64_t, int64_t) { return column_sum_case(2100, 3, false); }});
  rows.push_back({"fill", true, [](int64_t, int64_t C) { return fill_case(C); }});
}

inline void add_optimizer_rows(std::vector<Row>& rows) {
  const auto add = [&](const std::string& name, const OptimizerForm& form) {
    rows.push_back({"optimizer_update " + name, true, [=](int64_t, int64_t N) { return optimizer_case(N, form); }});
  };
  const OptimizerConstants adam{OptimizerKind::adam, 0.9, 0.98, 1e-3, 0.1};
  add("adam", {adam});
  add("adam without average", {adam, false});
  add("adam, gradient not finite", {adam, true, false});
  add("adagrad", {{.kind = OptimizerKind::adagrad, .epsilon = 1e-3}});
  add("sgd", {{.kind = OptimizerKind::sgd}});
  rows.push_back({"optimizer_update of many", false, [=](int64_t, int64_t) { return optimizer_case(40001, {adam}); }});
  rows.push_back(
      {"gradient_statistics clipped", true, [](int64_t, int64_t N) { return statistics_case(N, 1e3, true); }});
  rows.push_back(
      {"gradient_statistics small", true, [](int64_t, int64_t N) { return statistics_case(N, 0.01, true); }});
  rows.push_back(
      {"gradient_statistics not finite", true, [](int64_t, int64_t N) { return statistics_case(N, 1, false); }});
  rows.push_back({"gradient_statistics many blocks", false,
                  [](int64_t, int64_t) { return statistics_case(3 * 65536 + 17, 1, true); }});
}

inline void add_measuring_rows(std::vector<Row>& rows) {
  using enum ScaleKind;
  rows.push_back({"square_sums", true, [](int64_t, int64_t N) { return square_sums_case(N, false); }});
  rows.push_back(
      {"square_sums of a difference", true, [](int64_t, int64_t N) { return square_sums_case(N + 1, true); }});
  const auto add = [&](const std::string& name, const ResidualForm& form, bool segments) {
    rows.push_back({"row sums of residuals, " + name, true,
                    [=](int64_t T, int64_t C) { return row_sums_case(T + 20, C, form, segments); }});
  };
  add("post-ln", {.branch_scale = word}, true);
  add("no bias", {.bias = false, .branch_scale = word}, true);
  add("all terms", {.second = true, .residual_scale = vector, .branch_scale = scalar}, false);
  add("no branch", {.branch = false, .bias = false, .norm = false}, false);
  rows.push_back({"total_row_sums write", true, [](int64_t, int64_t N) { return total_row_sums_case(3, N, false); }});
  rows.push_back({"total_row_sums add", true, [](int64_t, int64_t N) { return total_row_sums_case(2, N, true); }});
  rows.push_back({"adapt_branch_scales", false, [](int64_t, int64_t) { return branch_scales_case(true); }});
  rows.push_back(
      {"adapt_branch_scales after a skip", false, [](int64_t, int64_t) { return branch_scales_case(false); }});
}

inline void add_decoding_rows(std::vector<Row>& rows) {
  // Widths that a kernel knows and that it does not; fewer heads than a vector has lanes, as many, more.
  for (const auto& [heads, D] : {std::pair{2, 12}, {2, 16}, {2, 64}, {8, 32}, {8, 6}, {11, 64}}) {
    rows.push_back({fmt::format("self_attention_step H = {}, D = {}", heads, D), false,
                    [=](int64_t, int64_t) { return self_attention_step_case(heads, D); }});
    rows.push_back({fmt::format("cross_attention_step H = {}, D = {}", heads, D), false,
                    [=](int64_t, int64_t) { return cross_attention_step_case(heads, D); }});
  }
  for (const bool has_bias : {true, false})
    rows.push_back({has_bias ? "listed_logits" : "listed_logits without bias", true,
                    [=](int64_t, int64_t C) { return listed_logits_case(C, has_bias); }});
  rows.push_back({"log_softmax_top_k", true, [](int64_t T, int64_t V) { return top_k_case(T, V + 3, V + 8, 3, -1); }});
  rows.push_back(
      {"log_softmax_top_k banned", true, [](int64_t T, int64_t V) { return top_k_case(T, V + 9, V + 9, 7, 1); }});
  rows.push_back({"log_softmax_top_k, logits", true,
                  [](int64_t T, int64_t V) { return top_k_case(T, V + 3, V + 8, 3, -1, true); }});
}

inline const std::vector<Row>& op_rows() {
  static const std::vector<Row> all = [] {
    std::vector<Row> rows;
    add_linear_rows(rows);
    add_embedding_rows(rows);
    add_residual_rows(rows);
    add_activation_rows(rows);
    add_attention_rows(rows);
    add_alignment_rows(rows);
    add_recurrence_rows(rows);
    add_loss_rows(rows);
    add_elementwise_rows(rows);
    add_optimizer_rows(rows);
    add_measuring_rows(rows);
    add_decoding_rows(rows);
    return rows;
  }();
  return all;
}

}  // namespace bough::test
