#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "core/ops.h"
#include "core/parameters.h"
#include "layers/model_options.h"
#include "layers/residual.h"

namespace bough {

/// One side of a packed batch on the backend.
struct SideRows {
  TokenRows tokens;
  Packing packing;
  Tensor bins;  ///< (B, 4) i32: Attention::bins of the side's self-attention
};
/// A packed batch on the backend: what a forward pass reads.
struct ModelBatch {
  SideRows source, target;
  Tensor labels;              ///< (T target) i32; -1 in the tail
  Tensor bins;                ///< (B, 4) i32: Attention::bins of cross-attention
  Tensor weights;             ///< (T target) i32 words that hold floats, see cross_entropy(); empty: all are 1
  AlignmentPoints alignment;  ///< word alignments of the target rows; empty without
  double pair_count = 0;      ///< source-target row pairs within sentences, for FLOP counts
};

/// What a pass through the decoder is asked for besides its result, all of one head: the first of the cross-attention
/// of the layer that transformer-guided-alignment-layer names.
struct AlignmentRequest {
  double loss_weight = 0;  ///< not 0: the loss of the batch's alignments is wanted; it must have some
  Tensor weights;          ///< (T target, L) or empty: where the head's attention goes, see attention_weights
  Var loss;                ///< the answer, (T target); for the tape's backward pass to start from, too
};

/// Memory of incremental decoding, for `slots` hypotheses of at most `length` tokens.
struct DecoderCache {
  std::vector<Tensor> self;  ///< per layer (slots, length, 2 d): keys, then values; of an rnn decoder ssru_step's state
  int64_t length = 0;
  std::vector<Tensor> cross;  ///< per group of layers (T source, 2 d per layer)
  Tensor offsets;             ///< (S+1) i32: the sentences in `cross`
};
/// The target words that each of S sentences may have: see the kernel listed_logits.
struct WordLists {
  Tensor offsets, ids;
  int64_t longest = 0;  ///< L
  explicit operator bool() const { return longest > 0; }
};
/// One new token for each of R rows (hypotheses); all (R) i32 but ancestry.
struct DecoderStep {
  Tensor ids, steps, slots, sentences;
  Tensor ancestry;  ///< (R, L) i32, L above every step: the slot that holds the row's history at every step
};

/// An encoder-decoder Transformer (Vaswani 2017) in the residual family of layers/residual.h, with
/// Marian's parameters and formulas: embeddings times sqrt(d) plus positions [sin | cos], a zero
/// embedding as start symbol, linear layers y = W x + b.
class Transformer {
 public:
  /// Declares all parameters in `parameters`; they exist after parameters.allocate().
  /// `dropout` null: for inference. Dropout sites are numbered here, in order.
  Transformer(const ModelOptions& options, const DropoutOptions* dropout, ParameterSet& parameters);
  ~Transformer();

  const ModelOptions& options() const { return options_; }
  /// Entries, without the rows that pad the matrix.
  int64_t source_vocabulary() const { return options_.vocab_sizes.front(); }
  int64_t target_vocabulary() const { return options_.vocab_sizes.back(); }

  /// Residual sites in UpdateState's order: 1-based layer within its stack, for by-layer schedules.
  const std::vector<int>& residual_site_layers() const { return site_layers_; }
  /// Their names: "encoder_l1_self", "encoder_l1_ffn", ..., "decoder_l1_context", ...
  const std::vector<std::string>& residual_site_names() const { return site_names_; }

  /// UpdateState words on the backend; read by every forward pass (alpha_t in decoding too).
  void set_update_state(Tensor words) { update_state_ = std::move(words); }
  /// (sites) i32 on the backend, floats: alpha of every residual site, instead of UpdateState's.
  void set_branch_scales(Tensor words) { branch_scales_ = std::move(words); }
  /// Dropout on (as constructed) or off.
  void set_training(bool on) { is_training_ = on; }
  /// (sites, 4) f64 on the backend that passes write the sizes of both terms of every residual to, or add them: sums
  /// over the rows of the batch, see ResidualOutputs::row_sums. No tensor: they do not.
  void set_residual_sums(Grad sums) { residual_sums_ = std::move(sums); }
  /// The layers of both stacks.
  int layers() const { return options_.layers(); }
  /// Of the first `layers` layers in order of execution, the encoder's from the bottom and then the decoder's, keep
  /// inputs only and run them again in the backward pass. The first ones' activations live longest. Same bits for any
  /// number; Error unless 0 <= layers <= layers().
  void set_recompute(int layers);
  void set_recompute(bool) = delete;

  /// W of every linear layer x W^T that decoding has, (N, K) each. with_lists: logits are of WordLists alone.
  /// memory_may_go: the model is of no use once the result is not kept any more.
  std::vector<KeptWeight> weights(bool with_lists = false, bool memory_may_go = false) const;

  /// Returns (T source, d).
  Var encode(Tape& tape, const SideRows& source);
  /// Logits of every target row, (T target, V padded); teacher-forced.
  Var decode(const Var& memory, const ModelBatch& batch, AlignmentRequest* alignment = nullptr) {
    return logits(decode_layers(memory, batch, alignment));
  }
  /// The same in two steps: what the decoder's layers return, (T target, d), and its logits.
  Var decode_layers(const Var& memory, const ModelBatch& batch, AlignmentRequest* alignment = nullptr);
  /// (T, d) -> (T, V), V padded.
  Var logits(const Var& x) const;

  /// Keys and values of the encoder's result for all layers, and room for self-attention.
  DecoderCache start_decoding(const Var& memory, const Packing& source, int64_t slots, int64_t length);
  /// Logits of the next token: (R, V padded), or with lists (R, L), of the words listed for each row's sentence.
  Tensor step(Tape& tape, DecoderCache& cache, const DecoderStep& rows, const WordLists& lists = {});

 private:
  struct Linear {
    Parameter *weight = nullptr, *bias = nullptr;
  };
  struct EncoderLayer {
    Linear qkv, self_out, ffn1, ffn2;
    uint32_t attention_site, self_site, activation_site, ffn_site;
  };
  struct DecoderLayer : EncoderLayer {  // self_out of an rnn decoder: its projection, if it has one; no qkv
    Linear recurrence, query, cross_out;
    uint32_t cross_attention_site, cross_site;
    size_t group, place;  // of this layer's cross keys and values
  };
  void declare_embeddings(ParameterSet& parameters);
  void declare_encoder(ParameterSet& parameters);
  void declare_decoder(ParameterSet& parameters);
  void declare_cross_groups(ParameterSet& parameters);
  void declare_self(ParameterSet& parameters, EncoderLayer& l, const std::string& stack, int layer, double gain);
  void declare_recurrence(ParameterSet& parameters, DecoderLayer& l, int layer, double gain);
  void declare_ffn(ParameterSet& parameters, EncoderLayer& l, const std::string& stack, int layer, int64_t ffn_dim,
                   double gain);
  Linear declare_linear(ParameterSet& parameters, const std::string& site, const std::vector<std::string>& products,
                        int64_t in, int64_t out, const std::vector<double>& gains);
  double depth_gain(int layer) const;

  Var apply(const Linear& linear, const Var& x) const;
  Var matrix_only(const Linear& linear, const Var& x) const;
  Dropout dropout(double probability, uint32_t site, const Tensor& first_row) const;
  Tensor position_rows(Backend& backend, int64_t longest);
  Var embed(Tape& tape, const SideRows& side, bool is_source);
  ResidualStream encoder_layer(size_t i, ResidualStream stream, const SideRows& source);
  Var recur(const DecoderLayer& l, const Var& x, const Packing& rows) const;
  ResidualStream decoder_layer(size_t i, ResidualStream stream, const Var& cross, const ModelBatch& batch,
                               AlignmentRequest* alignment);
  void align(const AttentionArguments& cross, const ModelBatch& batch, AlignmentRequest& alignment) const;
  ResidualStream feed_forward(const ResidualStack& residual, size_t sublayer, const EncoderLayer& layer,
                              const ResidualStream& stream, const Tensor& first_row,
                              const ResidualContext& context) const;
  ResidualStream project(const ResidualStack& residual, size_t sublayer, const Linear& linear,
                         const ResidualStream& stream, const Var& inner, const ResidualContext& context) const;
  Tensor self_step(Tape& tape, size_t i, const Var& x, DecoderCache& cache, const DecoderStep& rows) const;
  Var cross_keys_values(size_t group, const Var& memory) const;
  size_t aligned_layer() const { return size_t(options_.aligned_layer() - 1); }
  bool is_recomputed(size_t layer) const { return layer < size_t(recomputed_layers_); }
  void start_row_sums(Tape& tape, size_t sites, int64_t rows);
  void finish_row_sums(Tape& tape, size_t first_site);
  ResidualContext residual_context(uint32_t site, const Packing& rows) const;

  const ModelOptions options_;
  const DropoutOptions dropout_;
  bool is_training_ = false;
  int recomputed_layers_ = 0;
  BranchScales branch_scales() const;
  Tensor update_state_, branch_scales_;
  Grad residual_sums_;
  Tensor row_sums_;  ///< of the stack in work
  Parameter *source_embedding_ = nullptr, *target_embedding_ = nullptr, *output_ = nullptr, *output_bias_ = nullptr,
            *learned_positions_ = nullptr;
  std::vector<EncoderLayer> encoder_;
  std::vector<DecoderLayer> decoder_;
  std::vector<Linear> cross_groups_;
  std::unique_ptr<ResidualStack> encoder_residual_, decoder_residual_;
  std::vector<int> site_layers_;
  std::vector<std::string> site_names_;
  uint32_t next_site_ = 0;
  uint32_t source_word_site_, source_site_, target_word_site_, target_site_;
  std::mutex sinusoids_mutex_;              // several threads may decode at once, each on a backend of its own
  Tensor sinusoids_;                        // (L, d), grown when a longer sentence comes
  std::vector<Tensor> outgrown_sinusoids_;  // records of kernels may still read them
};

/// PE[p, j] = sin(p w_j) for j < d/2, cos(p w_(j - d/2)) after, w_j = 10000^(-j / (d/2 - 1)): Marian's
/// layout. Row-major (length, d).
std::vector<double> sinusoidal_positions(int64_t length, int64_t d);

}  // namespace bough
