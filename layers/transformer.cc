#include "layers/transformer.h"

#include <algorithm>
#include <cmath>

#include "layers/parameter_names.h"

namespace bough {

namespace names = parameter_names;

namespace {

constexpr int64_t vocabulary_multiple = 128;  // rows of embedding matrices in memory
constexpr size_t cross_group_layers = 8;      // layers whose cross keys and values are one product

}  // namespace

std::vector<double> sinusoidal_positions(int64_t length, int64_t d) {
  std::vector<double> table(size_t(length * d));
  const int64_t half = d / 2;
  const double step = half > 1 ? std::log(10000.0) / double(half - 1) : 0.0;
  for (int64_t p = 0; p < length; ++p)
    for (int64_t j = 0; j < d; ++j) {
      const double angle = double(p) * std::exp(-double(j % half) * step);
      table[size_t(p * d + j)] = j < half ? std::sin(angle) : std::cos(angle);
    }
  return table;
}

Transformer::Transformer(const ModelOptions& options, const DropoutOptions* dropout, ParameterSet& parameters)
    : options_(options), dropout_(dropout ? *dropout : DropoutOptions{}) {
  declare_embeddings(parameters);
  declare_encoder(parameters);
  declare_decoder(parameters);
}

Transformer::~Transformer() = default;

double Transformer::depth_gain(int layer) const {
  return options_.depth_scaling ? 1.0 / std::sqrt(double(layer)) : 1.0;
}

Transformer::Linear Transformer::declare_linear(ParameterSet& parameters, const std::string& site,
                                                const std::vector<std::string>& products, int64_t in, int64_t out,
                                                const std::vector<double>& gains) {
  std::vector<ParameterPart> weights, biases;
  for (size_t i = 0; i < products.size(); ++i) {
    weights.push_back({names::weight(site, products[i]), out, in, true, glorot_uniform(in, out, gains[i])});
    biases.push_back({names::bias(site, products[i]), 1, out, false, constant(0)});
  }
  // The biases of a fused product lie behind one another: one vector.
  Parameter& weight = parameters.declare(std::move(weights));
  return {&weight, &parameters.declare_vector(std::move(biases))};
}

void Transformer::declare_embeddings(ParameterSet& parameters) {
  const int64_t d = options_.model_dim;
  const auto table = [&](const std::string& name, int64_t rows) {
    return &parameters.declare({{name, rows, d, false, uniform(std::sqrt(3.0 / double(d)))}}, vocabulary_multiple);
  };
  if (options_.ties_source_and_target()) {
    source_embedding_ = target_embedding_ = table(names::embedding, source_vocabulary());
  } else {
    source_embedding_ = table(names::source_embedding, source_vocabulary());
    target_embedding_ = table(names::target_embedding, target_vocabulary());
  }
  if (options_.learned_positions)
    learned_positions_ = &parameters.declare(
        {{names::positions, options_.max_positions, d, false, glorot_uniform(options_.max_positions, d)}});
  source_embedding_->is_fixed |= dropout_.fix_source_embedding;
  target_embedding_->is_fixed |= dropout_.fix_target_embedding;
  source_word_site_ = next_site_++;
  source_site_ = next_site_++;
  target_word_site_ = next_site_++;
  target_site_ = next_site_++;
}

void Transformer::declare_self(ParameterSet& parameters, EncoderLayer& l, const std::string& stack, int layer,
                               double gain) {
  const int64_t d = options_.model_dim;
  const std::string site = names::site(stack, layer, names::self);
  const double depth = depth_gain(layer), scaled = gain * depth;
  l.qkv = declare_linear(parameters, site, {"q", "k", "v"}, d, d, {depth, depth, scaled});
  l.self_out = declare_linear(parameters, site, {"o"}, d, d, {scaled});
}

/// The gain is V's and O's in attention. Without a projection one matrix, in which the branch is linear, gets both.
void Transformer::declare_recurrence(ParameterSet& parameters, DecoderLayer& l, int layer, double gain) {
  const int64_t d = options_.model_dim;
  const std::string site = names::site(names::decoder, layer, names::rnn);
  const double depth = depth_gain(layer), scaled = gain * depth;
  const double of_candidates = options_.rnn_projection ? scaled : gain * scaled;
  l.recurrence = {&parameters.declare({{names::weight(site, "f"), d, d, true, glorot_uniform(d, d, depth)},
                                       {names::weight(site, ""), d, d, true, glorot_uniform(d, d, of_candidates)}}),
                  &parameters.declare_vector({{names::bias(site, "f"), 1, d, false, constant(0)}})};
  if (options_.rnn_projection) l.self_out = declare_linear(parameters, site, {"o"}, d, d, {scaled});
}

void Transformer::declare_ffn(ParameterSet& parameters, EncoderLayer& l, const std::string& stack, int layer,
                              int64_t ffn_dim, double gain) {
  const int64_t d = options_.model_dim;
  const std::string site = names::site(stack, layer, names::ffn);
  const double scaled = gain * depth_gain(layer);
  l.ffn1 = declare_linear(parameters, site, {"1"}, d, ffn_dim, {scaled});
  l.ffn2 = declare_linear(parameters, site, {"2"}, ffn_dim, d, {scaled});
  l.attention_site = next_site_++;
  l.self_site = next_site_++;
  l.activation_site = next_site_++;
  l.ffn_site = next_site_++;
}

void Transformer::declare_encoder(ParameterSet& parameters) {
  const ResidualScales scales = encoder_scales(options_);
  std::vector<Sublayer> sublayers;
  for (int i = 1; i <= options_.encoder_layers; ++i) {
    EncoderLayer l;
    declare_self(parameters, l, names::encoder, i, scales.init_gain);
    declare_ffn(parameters, l, names::encoder, i, options_.ffn_dim, scales.init_gain);
    encoder_.push_back(l);
    sublayers.push_back({names::site(names::encoder, i, names::self), options_.model_dim});
    sublayers.push_back({names::site(names::encoder, i, names::ffn), options_.ffn_dim});
    site_layers_.insert(site_layers_.end(), {i, i});
  }
  for (const Sublayer& sublayer : sublayers) site_names_.push_back(sublayer.site);
  encoder_residual_ = std::make_unique<ResidualStack>(options_, scales, names::encoder, options_.encoder_layers,
                                                      sublayers, 0, parameters);
}

void Transformer::declare_decoder(ParameterSet& parameters) {
  const ResidualScales scales = decoder_scales(options_);
  const int64_t d = options_.model_dim;
  const int64_t first_site = int64_t(site_layers_.size());
  declare_cross_groups(parameters);
  std::vector<Sublayer> sublayers;
  for (int i = 1; i <= options_.decoder_layers; ++i) {
    const std::string context = names::site(names::decoder, i, names::context);
    const double scaled = scales.cross_init_gain * depth_gain(i);
    DecoderLayer l;
    if (options_.has_rnn_decoder())
      declare_recurrence(parameters, l, i, scales.init_gain);
    else
      declare_self(parameters, l, names::decoder, i, scales.init_gain);
    declare_ffn(parameters, l, names::decoder, i, options_.ffn_dim_of_decoder(), scales.init_gain);
    l.query = declare_linear(parameters, context, {"q"}, d, d, {depth_gain(i)});
    l.cross_out = declare_linear(parameters, context, {"o"}, d, d, {scaled});
    l.cross_attention_site = next_site_++;
    l.cross_site = next_site_++;
    l.group = size_t(i - 1) / cross_group_layers;
    l.place = size_t(i - 1) % cross_group_layers;
    decoder_.push_back(l);
    sublayers.push_back({names::site(names::decoder, i, options_.has_rnn_decoder() ? names::rnn : names::self), d});
    sublayers.push_back({context, d});
    sublayers.push_back({names::site(names::decoder, i, names::ffn), options_.ffn_dim_of_decoder()});
    site_layers_.insert(site_layers_.end(), {i, i, i});
  }
  for (const Sublayer& sublayer : sublayers) site_names_.push_back(sublayer.site);
  decoder_residual_ = std::make_unique<ResidualStack>(options_, scales, names::decoder, options_.decoder_layers,
                                                      sublayers, first_site, parameters);
  if (options_.ties_output())
    output_ = target_embedding_;
  else
    output_ = &parameters.declare({{names::output, target_vocabulary(), d, false, uniform(std::sqrt(3.0 / double(d)))}},
                                  vocabulary_multiple);
  if (!options_.output_omit_bias)
    output_bias_ = &parameters.declare_vector({{names::output_bias, 1, target_vocabulary(), false, constant(0)}},
                                              vocabulary_multiple);
}

void Transformer::declare_cross_groups(ParameterSet& parameters) {
  const int64_t d = options_.model_dim;
  const double gain = decoder_scales(options_).cross_init_gain;
  const size_t layers = size_t(options_.decoder_layers);
  for (size_t first = 0; first < layers; first += cross_group_layers) {
    const size_t end = std::min(first + cross_group_layers, layers);
    std::vector<ParameterPart> weights, biases;
    for (size_t i = first; i < end; ++i) {
      const std::string site = names::site(names::decoder, int(i) + 1, names::context);
      const double depth = depth_gain(int(i) + 1);
      weights.push_back({names::weight(site, "k"), d, d, true, glorot_uniform(d, d, depth)});
      weights.push_back({names::weight(site, "v"), d, d, true, glorot_uniform(d, d, depth * gain)});
      biases.push_back({names::bias(site, "k"), 1, d, false, constant(0)});
      biases.push_back({names::bias(site, "v"), 1, d, false, constant(0)});
    }
    Parameter& weight = parameters.declare(std::move(weights));
    cross_groups_.push_back({&weight, &parameters.declare_vector(std::move(biases))});
  }
}

std::vector<KeptWeight> Transformer::weights(bool with_lists, bool memory_may_go) const {
  std::vector<KeptWeight> all{{output_->value, output_->int8, with_lists}};
  const bool is_looked_up = output_ == source_embedding_ || output_ == target_embedding_;
  all.front().memory_may_go = memory_may_go && !with_lists && !is_looked_up;
  const auto add = [&](std::initializer_list<Linear> linears) {
    for (const Linear& linear : linears) {
      if (!linear.weight) continue;
      all.emplace_back(linear.weight->value, linear.weight->int8);
      all.back().memory_may_go = memory_may_go;
    }
  };
  for (const EncoderLayer& l : encoder_) add({l.qkv, l.self_out, l.ffn1, l.ffn2});
  for (const DecoderLayer& l : decoder_) add({l.qkv, l.recurrence, l.self_out, l.query, l.cross_out, l.ffn1, l.ffn2});
  for (const Linear& group : cross_groups_) add({group});
  return all;
}

Var Transformer::apply(const Linear& linear, const Var& x) const {
  return bough::linear(x, linear.weight->on(x.tape()), linear.bias->on(x.tape()));
}

Var Transformer::matrix_only(const Linear& linear, const Var& x) const {
  return bough::linear(x, linear.weight->on(x.tape()));
}

Dropout Transformer::dropout(double probability, uint32_t site, const Tensor& first_row) const {
  if (!is_training_ || probability <= 0) return {};
  return {probability, site, update_state_, first_row};
}

BranchScales Transformer::branch_scales() const {
  return branch_scales_ ? BranchScales{branch_scales_, 0}
                        : BranchScales{update_state_, UpdateState::first_branch_scale};
}

void Transformer::start_row_sums(Tape& tape, size_t sites, int64_t rows) {
  if (residual_sums_) row_sums_ = tape.backend.allocate({int64_t(sites), rows, 4}, tape.backend.statistics_dtype());
}

/// Layers that run again in the backward pass do not count twice: from here on none are wanted.
void Transformer::finish_row_sums(Tape& tape, size_t first_site) {
  if (!row_sums_) return;
  const int64_t sites = row_sums_.shape()[0];
  const Grad totals{residual_sums_.tensor.view(4 * int64_t(first_site), {sites, 4}), residual_sums_.mode};
  tape.backend.total_row_sums(totals, row_sums_);
  row_sums_ = {};
}

ResidualContext Transformer::residual_context(uint32_t site, const Packing& rows) const {
  return {dropout(dropout_.dropout, site, rows.first_row), branch_scales(), row_sums_, rows.segments};
}

void Transformer::set_recompute(int count) {
  check(count >= 0 && count <= layers(), "transformer: {} layers to recompute, must be from 0 to {}, its layers", count,
        layers());
  recomputed_layers_ = count;
}

Tensor Transformer::position_rows(Backend& backend, int64_t longest) {
  const std::lock_guard lock(sinusoids_mutex_);
  if (!sinusoids_ || sinusoids_.rows() < longest) {
    const int64_t length = std::max<int64_t>(longest, sinusoids_ ? 2 * sinusoids_.rows() : 256);
    if (sinusoids_) outgrown_sinusoids_.push_back(sinusoids_);
    sinusoids_ = backend.allocate_persistent({length, options_.model_dim}, backend.compute_dtype());
    if (!backend.is_null()) {
      const auto table = sinusoidal_positions(length, options_.model_dim);
      const Tensor wide = backend.allocate_persistent({length, options_.model_dim}, DType::f64);
      backend.upload(wide, table.data());
      backend.cast(sinusoids_, wide);
    }
  }
  return sinusoids_;
}

Var Transformer::embed(Tape& tape, const SideRows& side, bool is_source) {
  const int64_t longest = side.packing.longest;
  check(!learned_positions_ || longest <= options_.max_positions,
        "transformer: a sentence of {} tokens, but the model has learned {} positions; lower "
        "max-length or set max-length-crop",
        longest, options_.max_positions);
  const Var positions =
      learned_positions_ ? learned_positions_->on(tape) : tape.constant(position_rows(tape.backend, longest));
  const Parameter& table = is_source ? *source_embedding_ : *target_embedding_;
  const double word = is_source ? dropout_.source_word_dropout : dropout_.target_word_dropout;
  const double after = options_.embedding_dropout() ? dropout_.dropout : 0;
  return embedding(table.on(tape), positions, side.tokens, side.packing.positions,
                   std::sqrt(double(options_.model_dim)),
                   dropout(word, is_source ? source_word_site_ : target_word_site_, side.packing.first_row),
                   dropout(after, is_source ? source_site_ : target_site_, side.packing.first_row));
}

ResidualStream Transformer::feed_forward(const ResidualStack& residual, size_t sublayer, const EncoderLayer& l,
                                         const ResidualStream& stream, const Tensor& first_row,
                                         const ResidualContext& context) const {
  const Var& x = stream.x;
  const Var bias = l.ffn1.bias->on(x.tape());
  const Dropout inner_dropout = dropout(dropout_.activation_dropout, l.activation_site, first_row);
  const bool is_one_product = options_.activation == Activation::relu && !inner_dropout;
  const Var inner = is_one_product ? linear_relu(x, l.ffn1.weight->on(x.tape()), bias)
                                   : bias_activation(matrix_only(l.ffn1, x), bias, options_.activation, inner_dropout);
  return project(residual, sublayer, l.ffn2, stream, inner, context);
}

/// The end of a sublayer: its last matrix, where it has one, and the residual connection.
ResidualStream Transformer::project(const ResidualStack& residual, size_t sublayer, const Linear& linear,
                                    const ResidualStream& stream, const Var& inner,
                                    const ResidualContext& context) const {
  const Var branch = linear.weight ? matrix_only(linear, residual.before_output(sublayer, inner)) : inner;
  return residual.add(stream, sublayer, branch, linear.bias, context);
}

namespace {

Var self_attention(const Var& qkv, const SideRows& side, int64_t heads, bool is_causal, const Dropout& dropout) {
  const int64_t d = qkv.cols() / 3;
  const Packing& rows = side.packing;
  return attention(
      {.queries = qkv, .keys_values = qkv, .query_column = 0, .key_column = d, .value_column = 2 * d, .width = d},
      {.queries = rows,
       .keys = rows,
       .bins = side.bins,
       .heads = heads,
       .is_causal = is_causal,
       .dropout = dropout,
       .pair_count = is_causal ? rows.square_sum / 2 : rows.square_sum});
}

}  // namespace

ResidualStream Transformer::encoder_layer(size_t i, ResidualStream stream, const SideRows& source) {
  const Packing& rows = source.packing;
  const EncoderLayer& l = encoder_[i];
  const ResidualStack& residual = *encoder_residual_;
  const Var attended = self_attention(apply(l.qkv, stream.x), source, options_.heads, false,
                                      dropout(dropout_.attention_dropout, l.attention_site, rows.first_row));
  stream = project(residual, 2 * i, l.self_out, stream, attended, residual_context(l.self_site, rows));
  return feed_forward(residual, 2 * i + 1, l, stream, rows.first_row, residual_context(l.ffn_site, rows));
}

Var Transformer::encode(Tape& tape, const SideRows& source) {
  ResidualStream stream = encoder_residual_->begin(embed(tape, source, true));
  start_row_sums(tape, 2 * encoder_.size(), stream.x.rows());
  for (size_t i = 0; i < encoder_.size(); ++i) {
    tape.begin_section();
    const auto layer = [this, i, &source](const std::vector<Var>& in) {
      return encoder_layer(i, ResidualStream::from(in), source).vars();
    };
    stream = encoder_residual_->end_layer(
        stream, ResidualStream::from(is_recomputed(i) ? recompute(stream.vars(), layer) : layer(stream.vars())));
  }
  finish_row_sums(tape, 0);
  return stream.x;
}

Var Transformer::cross_keys_values(size_t group, const Var& memory) const {
  return apply(cross_groups_[group], memory);
}

/// Before attention() gets the same `cross`.
void Transformer::align(const AttentionArguments& cross, const ModelBatch& batch, AlignmentRequest& alignment) const {
  const int64_t dim = options_.head_dim();
  if (alignment.weights)
    cross.queries.tape().backend.attention_weights(alignment.weights,
                                                   Columns{cross.queries.value(), cross.query_column, dim},
                                                   Columns{cross.keys_values.value(), cross.key_column, dim},
                                                   batch.source.packing.offsets, batch.target.packing.segments);
  if (alignment.loss_weight != 0)
    alignment.loss = alignment_loss(
        cross, options_.heads, {batch.target.packing, batch.source.packing, batch.alignment, alignment.loss_weight});
}

Var Transformer::recur(const DecoderLayer& l, const Var& x, const Packing& rows) const {
  return ssru(matrix_only(l.recurrence, x), l.recurrence.bias->on(x.tape()), rows);
}

ResidualStream Transformer::decoder_layer(size_t i, ResidualStream stream, const Var& cross, const ModelBatch& batch,
                                          AlignmentRequest* alignment) {
  const DecoderLayer& l = decoder_[i];
  const ResidualStack& residual = *decoder_residual_;
  const Packing& rows = batch.target.packing;
  const int64_t d = options_.model_dim;
  const auto attention_dropout = [&](uint32_t site) {
    return dropout(dropout_.attention_dropout, site, rows.first_row);
  };
  const Var so_far = options_.has_rnn_decoder() ? recur(l, stream.x, rows)
                                                : self_attention(apply(l.qkv, stream.x), batch.target, options_.heads,
                                                                 true, attention_dropout(l.attention_site));
  stream = project(residual, 3 * i, l.self_out, stream, so_far, residual_context(l.self_site, rows));
  const int64_t key_column = int64_t(l.place) * 2 * d;
  const AttentionArguments crossing{.queries = apply(l.query, stream.x),
                                    .keys_values = cross,
                                    .query_column = 0,
                                    .key_column = key_column,
                                    .value_column = key_column + d,
                                    .width = d};
  if (alignment) align(crossing, batch, *alignment);
  const Var crossed = attention(crossing, {.queries = rows,
                                           .keys = batch.source.packing,
                                           .bins = batch.bins,
                                           .heads = options_.heads,
                                           .is_causal = false,
                                           .dropout = attention_dropout(l.cross_attention_site),
                                           .pair_count = batch.pair_count});
  stream = project(residual, 3 * i + 1, l.cross_out, stream, crossed, residual_context(l.cross_site, rows));
  return feed_forward(residual, 3 * i + 2, l, stream, rows.first_row, residual_context(l.ffn_site, rows));
}

Var Transformer::logits(const Var& x) const {
  Tape& tape = x.tape();
  tape.begin_section();
  return linear(x, output_->on(tape), output_bias_ ? output_bias_->on(tape) : Var());
}

Var Transformer::decode_layers(const Var& encoded, const ModelBatch& batch, AlignmentRequest* alignment) {
  Tape& tape = encoded.tape();
  const Var memory = cross_groups_.size() > 1 ? sum_gradients_in_f32(encoded) : encoded;
  ResidualStream stream = decoder_residual_->begin(embed(tape, batch.target, false));
  start_row_sums(tape, 3 * decoder_.size(), stream.x.rows());
  Var cross;
  for (size_t i = 0; i < decoder_.size(); ++i) {
    tape.begin_section();
    if (decoder_[i].place == 0) cross = cross_keys_values(decoder_[i].group, memory);
    const bool is_aligned = alignment != nullptr && i == aligned_layer();
    // What is wanted of it is copied: in the backward pass the request may be gone.
    const auto layer = [this, i, &batch, is_aligned,
                        wanted = is_aligned ? *alignment : AlignmentRequest()](const std::vector<Var>& in) {
      AlignmentRequest request = wanted;
      const ResidualStream out = decoder_layer(i, ResidualStream::from({in.begin(), in.end() - 1}), in.back(), batch,
                                               is_aligned ? &request : nullptr);
      std::vector<Var> vars = out.vars();
      if (request.loss) vars.push_back(request.loss);
      return vars;
    };
    std::vector<Var> in = stream.vars();
    in.push_back(cross);
    std::vector<Var> out = is_recomputed(encoder_.size() + i) ? recompute(in, layer) : layer(in);
    if (is_aligned && alignment->loss_weight != 0) {
      alignment->loss = out.back();
      out.pop_back();
    }
    stream = decoder_residual_->end_layer(stream, ResidualStream::from(out));
  }
  finish_row_sums(tape, 2 * encoder_.size());
  return stream.x;
}

DecoderCache Transformer::start_decoding(const Var& memory, const Packing& source, int64_t slots, int64_t length) {
  Backend& backend = memory.tape().backend;
  DecoderCache cache;
  cache.offsets = source.offsets;
  cache.length = length;
  for (size_t g = 0; g < cross_groups_.size(); ++g) cache.cross.push_back(cross_keys_values(g, memory).value());
  const int64_t d = options_.model_dim;
  for (size_t i = 0; i < decoder_.size(); ++i)
    cache.self.push_back(options_.has_rnn_decoder() ? backend.allocate({slots, 2, d}, backend.statistics_dtype())
                                                    : backend.allocate({slots, length, 2 * d}));
  return cache;
}

/// What layer i has of the target so far, (R, d), the new token included.
Tensor Transformer::self_step(Tape& tape, size_t i, const Var& x, DecoderCache& cache, const DecoderStep& rows) const {
  Backend& backend = tape.backend;
  const DecoderLayer& l = decoder_[i];
  const Tensor out = backend.allocate({rows.ids.size(), options_.model_dim});
  if (options_.has_rnn_decoder())
    backend.ssru_step(out, cache.self[i], matrix_only(l.recurrence, x).value(), l.recurrence.bias->on(tape).value(),
                      rows.ancestry, rows.slots, rows.steps);
  else
    backend.self_attention_step(out, cache.self[i], apply(l.qkv, x).value(), rows.ancestry, rows.slots, rows.steps,
                                options_.heads);
  return out;
}

Tensor Transformer::step(Tape& tape, DecoderCache& cache, const DecoderStep& rows, const WordLists& lists) {
  Backend& backend = tape.backend;
  const int64_t d = options_.model_dim, count = rows.ids.size();
  SideRows side{{rows.ids, {}}, {}};
  side.packing.positions = rows.steps;
  side.packing.longest = cache.length;
  const ResidualContext context{.branch_scales = branch_scales()};
  ResidualStream stream = decoder_residual_->begin(embed(tape, side, false));
  for (size_t i = 0; i < decoder_.size(); ++i) {
    const DecoderLayer& l = decoder_[i];
    const ResidualStack& residual = *decoder_residual_;
    const ResidualStream before = stream;
    const Var so_far = tape.constant(self_step(tape, i, stream.x, cache, rows));
    stream = project(residual, 3 * i, l.self_out, stream, so_far, context);
    const Tensor query = apply(l.query, stream.x).value();
    const Tensor crossed = backend.allocate({count, d});
    const int64_t key_column = int64_t(l.place) * 2 * d;
    const Tensor& keys_values = cache.cross[l.group];
    backend.cross_attention_step(crossed, query, Columns{keys_values, key_column, d},
                                 Columns{keys_values, key_column + d, d}, cache.offsets, rows.sentences,
                                 options_.heads);
    stream = project(residual, 3 * i + 1, l.cross_out, stream, tape.constant(crossed), context);
    stream = residual.end_layer(before, feed_forward(residual, 3 * i + 2, l, stream, {}, context));
  }
  if (!lists) return logits(stream.x).value();
  const Tensor listed = backend.allocate({count, lists.longest});
  backend.listed_logits(listed, stream.x.value(), output_->value, output_bias_ ? output_bias_->value : Tensor(),
                        lists.offsets, lists.ids, rows.sentences);
  return listed;
}

}  // namespace bough
