#pragma once
#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/schedule_unit.h"
#include "core/base/settings.h"
#include "core/kernel_types.h"
#include "layers/residual_kinds.h"

namespace bough {

/// How BranchNorm's alpha grows to 1, see branch_scales(); bounded: as far as the branches stay small.
enum class BranchSchedule { linear, by_layer, square, sqrt, cosine, bounded };
/// What BranchNorm multiplies the residual with: 1, or DeepNorm's a.
enum class BranchResidual { one, deepnorm };
/// Initial weights of a BranchNorm model: Glorot's, or smaller by DeepNorm's gain.
enum class BranchInit { xavier, deepnorm };
/// What a decoder layer has of the target so far: attention over it, or a recurrent state.
enum class DecoderMemory { self_attention, rnn };
/// What keeps the residual stream of a bf16 model: bf16, or two of them (hi + lo).
enum class ResidualPrecision { automatic, bfloat16, split };

/// What a setting of special:model.yml is to a run that goes on with the parameters beside it.
enum class SavedMeaning {
  arithmetic,  ///< part of what the parameters mean: must be the same
  of_run,      ///< how they are trained on: goes on as it was unless the user gives another value
  derived      ///< follows from other settings, or is the state's
};

/// A setting of special:model.yml: its meaning, and the text of the value that a file without it stands for; null:
/// no model is without it.
struct SavedSetting {
  const char* name;
  SavedMeaning meaning;
  const char* absent;
};

/// A setting with two values, as text.
struct SettingChange {
  std::string name, before, now;
};

/// What a Transformer is: everything that must be known to load its parameters and compute with
/// them. Saved in the model file as special:model.yml.
struct ModelOptions {
  std::string type = "transformer";
  std::vector<int> vocab_sizes;  ///< entries of the source and target vocabulary; not an option
  int model_dim = 512;
  int encoder_layers = 1;
  int decoder_layers = 1;
  int heads = 8;
  int ffn_dim = 2048;
  int decoder_ffn_dim = 0;  ///< 0 = ffn_dim; read through ffn_dim_of_decoder()
  Activation activation = Activation::swish;
  bool tied_embeddings = false;
  bool tied_embeddings_src = false;
  bool tied_embeddings_all = false;
  bool output_omit_bias = false;
  bool right_left = false;
  DecoderMemory decoder_memory = DecoderMemory::self_attention;
  std::string decoder_cell = "gru";  ///< Marian's default, which a Transformer cannot have: with rnn it must be ssru
  bool rnn_projection = false;       ///< an output matrix behind the recurrence
  std::string guided_alignment_layer = "last";  ///< read through aligned_layer()
  bool learned_positions = false;
  int max_positions = 0;  ///< rows of the learned position table; set from max-length, saved

  ResidualKind residual = ResidualKind::post_ln;
  SchedulePeriod branchnorm_max_step;  ///< T; 0 until TrainOptions::resolve fills it in
  int64_t branchnorm_progress = 0;     ///< t of saved parameters, in the unit of T; not an option
  BranchSchedule branchnorm_schedule = BranchSchedule::bounded;
  BranchInit branchnorm_init = BranchInit::deepnorm;
  BranchResidual branchnorm_residual = BranchResidual::one;
  std::vector<double> branchnorm_bound;   ///< bounded: largest branch / residual, first and last; none = by depth
  std::vector<double> branchnorm_scales;  ///< bounded: alpha of every site of saved parameters; not an option
  bool depth_scaling = false;
  ResidualPrecision residual_precision = ResidualPrecision::automatic;

  // Marian's op strings, as they are saved. Code reads `residual` and `embedding_dropout()`.
  std::string preprocess = "";
  std::string postprocess = "dan";
  std::string postprocess_emb = "d";
  std::string postprocess_top = "";

  int head_dim() const { return model_dim / heads; }
  int ffn_dim_of_decoder() const { return decoder_ffn_dim == 0 ? ffn_dim : decoder_ffn_dim; }
  /// Source and target share one embedding matrix (Wemb).
  bool ties_source_and_target() const { return tied_embeddings_src || tied_embeddings_all; }
  /// The output matrix is the target embedding.
  bool ties_output() const { return tied_embeddings || tied_embeddings_all; }
  bool has_rnn_decoder() const { return decoder_memory == DecoderMemory::rnn; }
  bool embedding_dropout() const { return postprocess_emb == "d"; }
  /// The decoder layer, from 1, whose cross-attention's first head stands for word alignments. Error if there is none.
  int aligned_layer() const;
  /// The kinds made for depth: all but post-ln and the two pre-ln.
  bool is_deep_kind() const { return traits().plain_form != PlainForm::itself; }
  const ResidualTraits& traits() const { return traits_of(residual); }
  /// Whether initial weights, or the residual, are scaled by DepthConstants::deepnorm.
  bool has_deepnorm_init() const {
    return traits().depth_constants == DepthConstants::deepnorm &&
           (!traits().has_branch_scales || branchnorm_init == BranchInit::deepnorm);
  }
  bool has_deepnorm_residual() const {
    return traits().depth_constants == DepthConstants::deepnorm &&
           (!traits().has_branch_scales || branchnorm_residual == BranchResidual::deepnorm);
  }

  /// Whether alphas follow the branches: training state, no function of time.
  bool has_bounded_branches() const {
    return traits().has_branch_scales && branchnorm_schedule == BranchSchedule::bounded;
  }
  /// Places where a branch joins its residual: two in an encoder layer, three in a decoder layer.
  int residual_sites() const { return 2 * encoder_layers + 3 * decoder_layers; }
  /// Of both stacks.
  int layers() const { return encoder_layers + decoder_layers; }
  /// Of the deeper one.
  int deepest_stack() const { return std::max(encoder_layers, decoder_layers); }
  /// Layers of a stack whose alphas reach 1 one after another: one T each by-layer, else all at once.
  int layers_in_turn() const {
    const bool is_by_layer =
        branchnorm_schedule == BranchSchedule::by_layer || branchnorm_schedule == BranchSchedule::square;
    return is_by_layer ? deepest_stack() : 1;
  }
  /// T where none is given, decided by measurements (docs/branchnorm.md); warmup: lr-warmup, or nothing.
  SchedulePeriod default_max_step(SchedulePeriod warmup) const;
  /// Options of branchnorm alone that are not what they would be without being given, where the residual is another.
  std::vector<std::string> idle_branchnorm_options(SchedulePeriod warmup) const;
  /// The t at which branchnorm's alpha is 1 in every layer: T, or T times the deeper stack's layers by-layer. Not for
  /// bounded, whose alphas follow the branches.
  int64_t ramp_end() const { return branchnorm_max_step.count * layers_in_turn(); }
  /// Whether the residual stream is two bfloat16 numbers where computation is in bfloat16.
  bool splits_residual() const;

  void settings(Settings& v);

  /// Makes `residual` and the op strings agree: a given transformer-residual decides, else the
  /// strings do. The flags say which of them the user gave. Error when both were and contradict.
  void resolve(bool residual_given, bool strings_given);
  void validate() const;

  /// False when the parameters alone, read as a plain Post-LN or Pre-LN Transformer, do not give
  /// this model: only post-ln, pre-ln, and branchnorm once alpha is 1 everywhere do.
  bool is_plain() const;

  /// special:model.yml, with every key that Marian, CTranslate2 and Hugging Face look for. A model
  /// that is not plain has a transformer-postprocess that they refuse.
  Yaml to_yaml() const;
  /// Reads it back, bough's or Marian's. Error, beginning with source (the model file), for a
  /// missing key, a model family bough has not, or a Transformer variant it cannot compute.
  static ModelOptions from_yaml(const Yaml& saved, const std::string& source);

  /// Takes from `saved`, the options of the parameters that a run goes on with, every option that the user did not
  /// give; of_run ones only `with_run`. Before resolve().
  void go_on_with(ModelOptions saved, const GivenNames& given, bool with_run);
  /// The first setting by which parameters of `before` mean something else than these options say; learned positions
  /// are named max-length. Vocabulary sizes count.
  std::optional<SettingChange> change_of_arithmetic(ModelOptions before) const;

  static std::span<const SavedSetting> saved_meanings();  ///< the table behind these three
  static std::vector<std::string> saved_names();          ///< every setting of special:model.yml

 private:
  void family_settings(Settings& v);
  void saved_settings(Settings& v);
  void residual_settings(Settings& v);
};

/// What only training does to the model's activations, to the loss and to its embeddings.
struct DropoutOptions {
  double dropout = 0;             ///< probability of zeroing, for every sublayer's output
  double attention_dropout = 0;   ///< attention weights
  double activation_dropout = 0;  ///< after the FFN activation
  double source_word_dropout = 0;
  double target_word_dropout = 0;
  double label_smoothing = 0;
  bool fix_source_embedding = false;
  bool fix_target_embedding = false;
  double guided_alignment_weight = 0.1;  ///< of the alignments' loss beside the words'; with guided-alignment only
  std::string guided_alignment_cost = "ce";

  void settings(Settings& v);
  void embedding_settings(Settings& v);
};

}  // namespace bough
