#include "experiments/speed/kernel_rows.h"

#include <algorithm>

// Bytes are those of reference form: each input read once, each result written once, U = rows * width elements
// of the compute type. Vectors of a model's width and integers are left out where they are below 1 %.

namespace bough::speed {
namespace {

double size(const Buffers& b) { return double(size_of(b.backend.compute_dtype())); }
/// Bytes of one activation of the model's width.
double unit(const Buffers& b) { return double(b.sizes.rows) * double(b.sizes.width) * size(b); }

/// How a product of a Transformer's layer lies in memory; with relu behind a bias, or with the bias' gradient too.
enum class Product { forward, forward_relu, input_gradient, weight_gradient, both_gradients };

/// Of a layer with `in` inputs and `out` outputs.
Call product(Buffers& b, int64_t in, int64_t out, Product kind) {
  const int64_t T = b.sizes.rows;
  const bool is_weight = kind == Product::weight_gradient || kind == Product::both_gradients;
  const bool is_forward = kind == Product::forward || kind == Product::forward_relu;
  const Tensor x = b.numbers({T, is_forward || is_weight ? in : out});
  const Tensor w = is_weight ? b.numbers({T, out}) : b.numbers({out, in});
  const Tensor y = is_weight ? b.memory({out, in}, DType::f32) : b.memory({T, is_forward ? out : in});
  Gemm form{.transpose_a = is_weight, .transpose_b = is_forward, .relu = kind == Product::forward_relu};
  if (form.relu) form.bias = b.numbers({out});
  if (kind == Product::both_gradients) form.row_sums = write_to(b.memory({out}, DType::f32));
  Backend& backend = b.backend;
  return {[=, &backend] {
            if (is_weight)
              backend.gemm(write_to(y), w, x, form);
            else
              backend.gemm(write_to(y), x, w, form);
          },
          double(x.bytes() + w.bytes() + y.bytes()), 2.0 * double(T) * double(in) * double(out)};
}

void add_products(std::vector<KernelRow>& rows) {
  const auto add = [&](const std::string& name, auto dimensions, Product kind) {
    rows.push_back({"gemm", name, [=](Buffers& b) {
                      const auto [in, out] = dimensions(b.sizes);
                      return product(b, in, out, kind);
                    }});
  };
  using Pair = std::pair<int64_t, int64_t>;
  const auto qkv = [](const Sizes& s) { return Pair(s.width, 3 * s.width); };
  const auto square = [](const Sizes& s) { return Pair(s.width, s.width); };
  const auto key_value = [](const Sizes& s) { return Pair(s.width, 2 * s.width); };
  const auto ffn1 = [](const Sizes& s) { return Pair(s.width, s.inner); };
  const auto ffn2 = [](const Sizes& s) { return Pair(s.inner, s.width); };
  const auto head = [](const Sizes& s) { return Pair(s.width, s.vocabulary); };
  add("qkv", qkv, Product::forward);
  add("output", square, Product::forward);
  add("keys and values", key_value, Product::forward);
  add("ffn1", ffn1, Product::forward);
  add("ffn1 with relu", ffn1, Product::forward_relu);
  add("ffn2", ffn2, Product::forward);
  add("head", head, Product::forward);
  add("ffn1 input gradient", ffn1, Product::input_gradient);
  add("ffn2 input gradient", ffn2, Product::input_gradient);
  add("head input gradient", head, Product::input_gradient);
  add("output weight gradient", square, Product::weight_gradient);
  add("qkv weight gradient", qkv, Product::weight_gradient);
  add("qkv gradients of weight and bias", qkv, Product::both_gradients);
  add("ffn1 weight gradient", ffn1, Product::weight_gradient);
  add("head weight gradient", head, Product::weight_gradient);
}

void add_embeddings(std::vector<KernelRow>& rows) {
  rows.push_back({"embedding", "dropout", [](Buffers& b) {
                    const Tensor table = b.numbers({b.sizes.vocabulary, b.sizes.width}),
                                 positions = b.numbers({128, b.sizes.width}),
                                 y = b.memory({b.sizes.rows, b.sizes.width});
                    return Call{[=, &b] {
                                  b.backend.embedding(y, table, positions, b.batch.target.tokens.ids,
                                                      b.batch.target.packing.positions, 22.6, Dropout(), b.dropout(1));
                                },
                                2 * unit(b)};
                  }});
  // Added to the table's gradient, as with tied embeddings: a row that occurs is read and written.
  rows.push_back({"embedding_backward", "dropout", [](Buffers& b) {
                    const Tensor dtable = b.numbers({b.sizes.vocabulary, b.sizes.width}, DType::f32),
                                 dy = b.numbers({b.sizes.rows, b.sizes.width});
                    std::vector<int32_t> ids(size_t(b.sizes.rows));
                    b.backend.download(ids.data(), b.batch.target.tokens.ids);
                    std::sort(ids.begin(), ids.end());
                    const double distinct = double(std::unique(ids.begin(), ids.end()) - ids.begin());
                    return Call{[=, &b] {
                                  const TokenRows& t = b.batch.target.tokens;
                                  b.backend.embedding_backward(add_to(dtable), Grad(), dy, t.ids,
                                                               b.batch.target.packing.positions, t.order, Tensor(),
                                                               22.6, Dropout(), b.dropout(1));
                                },
                                unit(b) + distinct * double(b.sizes.width) * 8};
                  }});
}

struct ResidualBuffers {
  ResidualOutputs out;
  ResidualInputs in;
  ResidualNorm p;
};
ResidualBuffers residual_buffers(Buffers& b, bool keep_sum) {
  const Shape whole{b.sizes.rows, b.sizes.width}, column{b.sizes.width}, rows{b.sizes.rows};
  ResidualBuffers r;
  r.in = {.x = b.numbers(whole),
          .branch = b.numbers(whole),
          .bias = b.numbers(column),
          .gamma = b.numbers(column),
          .beta = b.numbers(column)};
  r.out = {.y = b.numbers(whole), .mean = b.memory(rows, DType::f32), .rstd = b.memory(rows, DType::f32)};
  if (keep_sum) r.out.sum = b.memory(whole);
  r.p.dropout = b.dropout(2);
  r.p.branch_scale = {1, b.state, UpdateState::first_branch_scale};
  b.backend.residual_dropout_norm(r.out, r.in, r.p);  // mean and rstd for the backward pass
  return r;
}

void add_residuals(std::vector<KernelRow>& rows) {
  for (const bool keep_sum : {false, true})
    rows.push_back(
        {"residual_dropout_norm", keep_sum ? "pre-ln" : "post-ln", [=](Buffers& b) {
           const ResidualBuffers r = residual_buffers(b, keep_sum);
           return Call{[=, &b] { b.backend.residual_dropout_norm(r.out, r.in, r.p); }, (keep_sum ? 4 : 3) * unit(b)};
         }});
  rows.push_back({"residual_dropout_norm_backward", "post-ln", [](Buffers& b) {
                    ResidualBuffers r = residual_buffers(b, false);
                    const Shape whole{b.sizes.rows, b.sizes.width}, column{b.sizes.width};
                    const Tensor dy = b.numbers(whole);
                    const ResidualGrads d{.x = write_to(b.memory(whole)),
                                          .branch = write_to(b.memory(whole)),
                                          .bias = write_to(b.memory(column, DType::f32)),
                                          .gamma = write_to(b.memory(column, DType::f32)),
                                          .beta = write_to(b.memory(column, DType::f32))};
                    r.in.x = r.in.branch = {};
                    return Call{
                        [=, &b] { b.backend.residual_dropout_norm_backward(d, dy, Tensor(), r.out, r.in, r.p); },
                        4 * unit(b)};
                  }});
  rows.push_back({"residual_dropout_norm", "post-ln with row sums", [](Buffers& b) {
                    ResidualBuffers r = residual_buffers(b, false);
                    r.out.row_sums = b.memory({b.sizes.rows, 4}, DType::f32);
                    r.in.segments = b.batch.target.packing.segments;
                    return Call{[=, &b] { b.backend.residual_dropout_norm(r.out, r.in, r.p); }, 3 * unit(b)};
                  }});
  rows.push_back({"total_row_sums", "30 sites", [](Buffers& b) {
                    constexpr int64_t sites = 30;
                    const Tensor x = b.memory({sites, b.sizes.rows, 4}, DType::f32);
                    const Tensor totals = b.memory({sites, 4}, DType::f64);
                    return Call{[=, &b] { b.backend.total_row_sums(write_to(totals), x); }, double(x.bytes())};
                  }});
  rows.push_back({"adapt_branch_scales", "30 sites", [](Buffers& b) {
                    constexpr int64_t sites = 30;
                    const Tensor scales = b.memory({sites}, DType::i32), sums = b.memory({sites, 4}, DType::f64);
                    const Tensor limits = b.memory({sites, 3}, DType::f64);
                    const Tensor statistics = b.memory({gradient_stat::count}, DType::f64);
                    return Call{
                        [=, &b] { b.backend.adapt_branch_scales(scales, sums, limits, statistics, b.state, 1.02); },
                        double(sums.bytes() + limits.bytes())};
                  }});
}

void add_activations(std::vector<KernelRow>& rows) {
  const auto bytes = [](Buffers& b) { return double(b.sizes.rows * b.sizes.inner) * size(b); };
  rows.push_back({"bias_activation_dropout", "relu", [=](Buffers& b) {
                    const Shape whole{b.sizes.rows, b.sizes.inner};
                    const Tensor x = b.numbers(whole), y = b.memory(whole), bias = b.numbers({b.sizes.inner});
                    return Call{[=, &b] { b.backend.bias_activation_dropout(y, x, bias, Activation::relu, Dropout()); },
                                2 * bytes(b)};
                  }});
  rows.push_back({"bias_activation_dropout_backward", "relu", [=](Buffers& b) {
                    const Shape whole{b.sizes.rows, b.sizes.inner};
                    const Tensor y = b.numbers(whole), dy = b.numbers(whole), dx = b.memory(whole);
                    const Tensor bias = b.numbers({b.sizes.inner}), dbias = b.memory({b.sizes.inner}, DType::f32);
                    return Call{[=, &b] {
                                  b.backend.bias_activation_dropout_backward(write_to(dx), write_to(dbias), dy,
                                                                             Tensor(), y, bias, Activation::relu,
                                                                             Dropout());
                                },
                                3 * bytes(b)};
                  }});
}

enum class Attends { self, causal, cross };

struct AttentionBuffers {
  Columns q, k, v;
  Tensor o, log_sum_exp;
  Attention p;
};
AttentionBuffers attention_buffers(Buffers& b, Attends kind) {
  const int64_t C = b.sizes.width, T = b.sizes.rows;
  const bool is_cross = kind == Attends::cross;
  const Tensor queries = b.numbers({T, is_cross ? C : 3 * C});
  const Tensor keys = is_cross ? b.numbers({T, 2 * C}) : queries;
  AttentionBuffers a{{queries, 0, C}, {keys, is_cross ? 0 : C, C}, {keys, is_cross ? C : 2 * C, C}, {}, {}, {}};
  a.o = b.numbers({T, C});
  a.log_sum_exp = b.memory({T, b.sizes.heads}, DType::f32);
  const Packing &source = b.batch.source.packing, &target = b.batch.target.packing;
  a.p = {.queries = kind == Attends::self ? source : target,
         .keys = kind == Attends::causal ? target : source,
         .bins = is_cross                ? b.batch.bins
                 : kind == Attends::self ? b.source_bins
                                         : b.target_bins,
         .heads = b.sizes.heads,
         .is_causal = kind == Attends::causal};
  a.p.pair_count = is_cross ? b.batch.pair_count : a.p.queries.square_sum / (a.p.is_causal ? 2 : 1);
  b.backend.attention(a.o, a.log_sum_exp, a.q, a.k, a.v, a.p);  // log_sum_exp for the backward pass
  return a;
}

void add_attention(std::vector<KernelRow>& rows) {
  const std::pair<Attends, const char*> kinds[] = {
      {Attends::self, "self"}, {Attends::causal, "causal"}, {Attends::cross, "cross"}};
  for (const auto& [kind, name] : kinds) {
    rows.push_back({"attention", name, [kind = kind](Buffers& b) {
                      const AttentionBuffers a = attention_buffers(b, kind);
                      return Call{[=, &b] { b.backend.attention(a.o, a.log_sum_exp, a.q, a.k, a.v, a.p); },
                                  4 * unit(b) + double(a.log_sum_exp.bytes()),
                                  4 * a.p.pair_count * double(b.sizes.width)};
                    }});
    rows.push_back(
        {"attention_backward", name, [kind = kind](Buffers& b) {
           const AttentionBuffers a = attention_buffers(b, kind);
           const Tensor d_o = b.numbers(a.o.shape()), dqueries = b.memory(a.q.tensor.shape());
           const Tensor dkeys = kind == Attends::cross ? b.memory(a.k.tensor.shape()) : dqueries;
           const auto columns = [](const Tensor& t, const Columns& of) {
             return GradColumns{t, of.first, of.count, GradMode::write};
           };
           return Call{[=, &b] {
                         b.backend.attention_backward(columns(dqueries, a.q), columns(dkeys, a.k), columns(dkeys, a.v),
                                                      d_o, a.o, a.log_sum_exp, a.q, a.k, a.v, a.p);
                       },
                       8 * unit(b) + double(a.log_sum_exp.bytes()), 10 * a.p.pair_count * double(b.sizes.width)};
         }});
  }
}

void add_loss_and_sums(std::vector<KernelRow>& rows) {
  rows.push_back({"cross_entropy", "gradient in place", [](Buffers& b) {
                    const Tensor logits = b.numbers({b.sizes.rows, b.sizes.vocabulary}),
                                 loss = b.memory({b.sizes.rows}, DType::f32);
                    return Call{[=, &b] {
                                  b.backend.cross_entropy(loss, logits, b.batch.labels, Tensor(), 0.1,
                                                          b.sizes.vocabulary, true);
                                },
                                2 * double(logits.bytes())};
                  }});
  rows.push_back({"sum", "losses", [](Buffers& b) {
                    const Tensor x = b.numbers({b.sizes.rows}, DType::f32), total = b.memory({1}, DType::f64);
                    return Call{[=, &b] { b.backend.sum(write_to(total), x); }, double(x.bytes())};
                  }});
  rows.push_back(
      {"column_sum", "bias gradient", [](Buffers& b) {
         const Tensor x = b.numbers({b.sizes.rows, b.sizes.width}), total = b.memory({b.sizes.width}, DType::f32);
         return Call{[=, &b] { b.backend.column_sum(write_to(total), x); }, unit(b)};
       }});
}

void add_arenas(std::vector<KernelRow>& rows) {
  rows.push_back({"cast", "parameters to the compute type", [](Buffers& b) {
                    const Tensor x = b.numbers({b.sizes.parameters}, DType::f32), y = b.memory({b.sizes.parameters});
                    return Call{[=, &b] { b.backend.cast(y, x); }, double(x.bytes() + y.bytes())};
                  }});
  rows.push_back({"fill", "parameters", [](Buffers& b) {
                    const Tensor y = b.memory({b.sizes.parameters}, DType::f32);
                    return Call{[=, &b] { b.backend.fill(y, 0.5); }, double(y.bytes())};
                  }});
  rows.push_back({"accumulate", "add", [](Buffers& b) {
                    const Tensor x = b.numbers({b.sizes.parameters}, DType::f32),
                                 y = b.numbers({b.sizes.parameters}, DType::f32);
                    return Call{[=, &b] { b.backend.accumulate(add_to(y), x); }, 3 * double(x.bytes())};
                  }});
  const auto block_sums = [](Buffers& b) { return b.memory({(b.sizes.parameters + 65535) / 65536}, DType::f64); };
  rows.push_back({"block_square_sums", "parameters", [=](Buffers& b) {
                    const Tensor gradient = b.numbers({b.sizes.parameters}, DType::f32), sums = block_sums(b);
                    return Call{[=, &b] { b.backend.block_square_sums(sums, gradient); }, double(gradient.bytes())};
                  }});
  rows.push_back(
      {"gradient_statistics", "parameters", [=](Buffers& b) {
         const Tensor sums = block_sums(b), statistics = b.memory({gradient_stat::count}, DType::f64);
         b.backend.fill(sums, 1);
         return Call{[=, &b] { b.backend.gradient_statistics(statistics, sums, b.state); }, double(sums.bytes())};
       }});
  rows.push_back({"square_sums", "of a difference", [](Buffers& b) {
                    const int64_t n = b.sizes.parameters, piece = 1 << 16, count = (n + piece - 1) / piece;
                    const Tensor x = b.numbers({n}, DType::f32), y = b.numbers({n}, DType::f32),
                                 pieces = b.memory({count, 2}, DType::f64), sums = b.memory({count}, DType::f64);
                    std::vector<double> table;
                    for (int64_t at = 0; at < n; at += piece)
                      table.insert(table.end(), {double(at), double(std::min(piece, n - at))});
                    b.backend.upload(pieces, table.data());
                    return Call{[=, &b] { b.backend.square_sums(sums, x, y, pieces); }, 2 * double(x.bytes())};
                  }});
  for (const bool has_average : {false, true})
    rows.push_back({"optimizer_update", has_average ? "adam with average" : "adam", [=](Buffers& b) {
                      const Shape all{b.sizes.parameters};
                      const auto arena = [&] { return b.numbers(all, DType::f32); };
                      OptimizerArenas a{.parameters = arena(),
                                        .first_moment = arena(),
                                        .second_moment = arena(),
                                        .denominators = b.memory({2}, DType::f64)};
                      b.backend.fill(a.second_moment, 0.01);  // a square
                      if (has_average) a.average = arena();
                      const bool has_copy = b.backend.compute_dtype() == DType::bf16;
                      if (has_copy) a.compute_copy = b.memory(all);
                      const Tensor gradient = arena(), statistics = b.memory({gradient_stat::count}, DType::f64);
                      const std::vector<double> zeros(2, 0.0);
                      b.backend.upload(a.denominators, zeros.data());
                      const Tensor sums = block_sums(b);
                      b.backend.block_square_sums(sums, gradient);
                      b.backend.gradient_statistics(statistics, sums, b.state);
                      const OptimizerConstants adam{.beta2 = 0.98, .epsilon = 1e-9};
                      const double bytes = 28 + (has_average ? 8 : 0) + (has_copy ? 2 : 0);
                      return Call{[=, &b] { b.backend.optimizer_update(a, gradient, statistics, b.state, adam); },
                                  bytes * double(b.sizes.parameters)};
                    }});
}

/// Every hypothesis in the middle of its sentence, beams in slots of their own.
void add_decoding(std::vector<KernelRow>& rows) {
  rows.push_back({"self_attention_step", "mid-sentence", [](Buffers& b) {
                    const Sizes& s = b.sizes;
                    const int64_t R = s.sentences * s.beam;
                    const Tensor qkv = b.numbers({R, 3 * s.width}), o = b.memory({R, s.width}),
                                 cache = b.numbers({R, s.longest, 2 * s.width});
                    std::vector<int32_t> slots, steps(size_t(R), int32_t(s.step)), ancestry;
                    for (int64_t r = 0; r < R; ++r) {
                      slots.push_back(int32_t(r));
                      for (int64_t t = 0; t < s.longest; ++t)
                        ancestry.push_back(int32_t(t == s.step ? r : r / s.beam * s.beam + t % s.beam));
                    }
                    const Tensor history = b.integers(ancestry).view(0, {R, s.longest}), at = b.integers(steps),
                                 slot = b.integers(slots);
                    return Call{
                        [=, &b] { b.backend.self_attention_step(o, cache, qkv, history, slot, at, b.sizes.heads); },
                        double(R * s.width) * size(b) * (4 + 2 + 2 * double(s.step))};
                  }});
  rows.push_back(
      {"cross_attention_step", "beams share a sentence", [](Buffers& b) {
         const Sizes& s = b.sizes;
         const int64_t R = s.sentences * s.beam, T = b.sizes.sentences * 30;
         const Tensor q = b.numbers({R, s.width}), o = b.memory({R, s.width}), keys = b.numbers({T, 2 * s.width});
         std::vector<int32_t> offsets, sentences;
         for (int64_t i = 0; i <= s.sentences; ++i) offsets.push_back(int32_t(i * 30));
         for (int64_t r = 0; r < R; ++r) sentences.push_back(int32_t(r / s.beam));
         const Tensor first = b.integers(offsets), sentence = b.integers(sentences);
         return Call{[=, &b] {
                       b.backend.cross_attention_step(o, q, Columns{keys, 0, s.width}, Columns{keys, s.width, s.width},
                                                      first, sentence, s.heads);
                     },
                     double(keys.bytes() + q.bytes() + o.bytes())};
       }});
  rows.push_back({"log_softmax_top_k", "2 beam", [](Buffers& b) {
                    const int64_t R = b.sizes.sentences * b.sizes.beam, k = 2 * b.sizes.beam;
                    const Tensor logits = b.numbers({R, b.sizes.vocabulary}), scores = b.memory({R, k}, DType::f32),
                                 ids = b.memory({R, k}, DType::i32);
                    return Call{
                        [=, &b] { b.backend.log_softmax_top_k(scores, ids, logits, b.sizes.vocabulary, k, 1, false); },
                        double(logits.bytes())};
                  }});
}

}  // namespace

std::vector<KernelRow> kernel_rows() {
  std::vector<KernelRow> rows;
  add_products(rows);
  add_embeddings(rows);
  add_residuals(rows);
  add_activations(rows);
  add_attention(rows);
  add_alignments(rows);
  add_recurrences(rows);
  add_loss_and_sums(rows);
  add_arenas(rows);
  add_decoding(rows);
  for (const std::string_view name : kernel_names)
    check(std::any_of(rows.begin(), rows.end(), [&](const KernelRow& row) { return row.kernel == name; }),
          "kernel_speed: {} is in core/kernels.def but has no row, must have one; add it to "
          "experiments/speed/kernel_rows.cc",
          name);
  return rows;
}

}  // namespace bough::speed
