#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/settings.h"
#include "data/data_options.h"
#include "layers/model_options.h"
#include "optim/optimizer_options.h"

namespace bough {

enum class ComputeType { float32, tf32, bfloat16 };
enum class SigtermAction { save_and_exit, exit_immediately };
enum class CostType { ce_sum, ce_mean, ce_mean_words, perplexity };
enum class ValidationMetric {
  cross_entropy,
  ce_mean,
  ce_mean_words,
  ce_sum,
  perplexity,
  bleu,
  bleu_detok,
  bleu_segmented,
  chrf,
  translation,
  valid_script
};
enum class StopOn { first, all, any };
/// Which layers are run again in the backward pass: as many as the device's memory asks for, none, or all.
enum class Checkpointing { automatic, none, all };

extern const EnumNames<CostType> cost_type_names;
extern const EnumNames<ValidationMetric> metric_names;
extern const EnumNames<Checkpointing> checkpointing_names;

/// Log, seed, and options about options. Every program has them.
struct GeneralOptions {
  std::vector<std::string> config;  ///< the files given with -c
  std::string log_file;
  log::Level log_level = log::Level::info;
  std::string log_time_zone;
  bool quiet = false;
  uint64_t seed = 0;  ///< 0 = from the clock; resolved to the seed in use
  bool relative_paths = false;
  bool interpolate_env_vars = false;
  bool is_seed_from_clock = false;  ///< not an option: a resumed run then keeps the seed it had
  std::string dump_config;
  std::string build_info;
  bool version = false;
  bool help = false;

  void settings(Settings& v);
  log::Options log_options() const;

 private:
  void exit_settings(Settings& v);
};

/// "bfloat16", as the option `precision` has it.
std::string name_of(ComputeType type);

/// `devices: 0 1` or `all`.
struct DeviceList {
  bool all = false;
  std::vector<int> ids;
  bool given() const { return all || !ids.empty(); }
};
bool parse_items(const std::vector<std::string>& items, DeviceList& value);
std::vector<std::string> format_items(const DeviceList& value);

/// Where and in which precision to compute.
struct MachineOptions {
  DeviceList devices;    ///< not given: the GPU where build and machine have one
  int cpu_threads = 0;   ///< > 0 selects the CPU
  int workspace = 2048;  ///< MiB for activations; negative = all device memory but that
  bool debug_sync = false;
  std::vector<ComputeType> precision;  ///< none: bfloat16 on a GPU, float32 on the CPU

  /// The type asked for, if any.
  std::optional<ComputeType> compute_type() const {
    return precision.empty() ? std::nullopt : std::optional(precision.front());
  }
  void settings(Settings& v);
  void validate() const;
};

/// The training run itself: how long, what is saved and shown.
struct RunOptions {
  std::string model = "model.npz";
  std::string pretrained_model;
  StopCriteria after;
  int64_t after_epochs = 0;
  int64_t after_batches = 0;
  CostType cost_type = CostType::ce_sum;
  SchedulePeriod disp_freq{1000};
  int64_t disp_first = 0;
  bool disp_label_counts = true;
  int gradient_norm_average_window = 100;
  SchedulePeriod log_layer_norms;
  bool log_model_update = false;
  double divergence_threshold = 0;  ///< nats per target token; 0 = off
  int divergence_updates = 10;
  SchedulePeriod save_freq{10000};
  bool overwrite = false;
  bool overwrite_checkpoint = true;
  bool no_reload = false;
  bool no_optimizer_reload = false;
  bool no_restore_corpus = false;
  Checkpointing gradient_checkpointing = Checkpointing::automatic;
  bool gemm_autotune = false;
  SigtermAction sigterm = SigtermAction::save_and_exit;
  bool describe = false;
  std::string metrics;  ///< as given; read through metrics_path()

  std::string metrics_path() const { return metrics.empty() ? model + ".metrics.jsonl" : metrics; }

  /// after, after-epochs and after-batches together.
  StopCriteria stop_criteria() const;
  void settings(Settings& v);
  void validate() const;

 private:
  void display_settings(Settings& v);
  void saving_settings(Settings& v);
};

/// Beam search.
struct DecodingOptions {
  int beam_size = 12;
  double normalize = 0;  ///< exponent alpha of length in score / length^alpha
  double word_penalty = 0;
  double max_length_factor = 3;
  bool allow_unk = false;
  bool quiet_translation = false;  ///< do not log best translations
  bool n_best = false;             ///< translate only
  bool word_scores = false;        ///< translate only

  void settings(Settings& v);         ///< the search
  void output_settings(Settings& v);  ///< n-best, word-scores
};

struct ValidationOptions {
  std::vector<std::string> valid_sets;
  SchedulePeriod valid_freq{10000};
  std::vector<ValidationMetric> metrics = {ValidationMetric::cross_entropy};
  int mini_batch = 32;
  int max_length = 1000;
  int early_stopping = 10;
  StopOn early_stopping_on = StopOn::first;
  std::vector<double> early_stopping_epsilon = {0};
  bool reset_stalled = false;
  bool reset_all = false;
  bool keep_best = false;
  std::string log_file;
  std::string script_path;
  std::vector<std::string> script_args;
  std::string translation_output;
  bool quiet = false;  ///< no sample of translations in the log

  void settings(Settings& v);
  void validate() const;

 private:
  void stopping_settings(Settings& v);
  void output_settings(Settings& v);
};

/// Everything bough-train can be told.
struct TrainOptions {
  GeneralOptions general;
  MachineOptions machine;
  ModelOptions model;
  DropoutOptions dropout;
  RunOptions run;
  OptimizerOptions optimizer;
  CorpusOptions corpus;
  VocabularyOptions vocabulary;
  BatchOptions batch;
  ValidationOptions validation;
  DecodingOptions decoding;  ///< of validation; also written to <model>.decoder.yml

  void settings(Settings& v);
  /// Fills in what follows from other settings; `given` has the names the user gave, in any way.
  void resolve(const GivenNames& given);
  void validate() const;
};

/// Everything bough-translate can be told.
struct TranslateOptions {
  GeneralOptions general;
  MachineOptions machine;
  std::vector<std::string> models;
  std::vector<std::string> input = {"stdin"};
  std::string output = "stdout";
  bool no_spm_decode = false;
  VocabularyOptions vocabulary;
  CorpusOptions corpus;  ///< max_length and max_length_crop only
  BatchOptions batch;
  DecodingOptions decoding;

  TranslateOptions();
  void settings(Settings& v);
  void resolve(const GivenNames& given);
  void validate() const;
};

enum class ScoreSummary { none, cross_entropy, ce_mean_words, ce_sum, perplexity };

/// Everything bough-score can be told when it scores with a model (marian-scorer).
struct ModelScorerOptions {
  GeneralOptions general;
  MachineOptions machine;
  std::string model = "model.npz";
  std::string output = "stdout";
  bool n_best = false;
  std::string n_best_feature = "Score";
  bool normalize = false;
  ScoreSummary summary = ScoreSummary::none;
  bool word_scores = false;
  VocabularyOptions vocabulary;
  CorpusOptions corpus;  ///< train_sets: source and target, or source and n-best list
  BatchOptions batch;

  ModelScorerOptions();
  void settings(Settings& v);
  void resolve(const GivenNames& given);
  void validate() const;
};

/// Parse the command line and the files it names, resolve, validate, and open the log. nullopt: the
/// program was asked for --help, --version, --build-info or --dump-config, which went to stdout; it
/// should exit with 0. Error: one sentence saying where (file and line), what is wrong and what to
/// do; one such line for each unknown or unsupported option.
std::optional<TrainOptions> parse_train_options(int argc, const char* const* argv);
std::optional<TranslateOptions> parse_translate_options(int argc, const char* const* argv);
std::optional<ModelScorerOptions> parse_model_scorer_options(int argc, const char* const* argv);

/// The effective settings, as <model>.yml saves them: one row per setting, no aliases, no
/// relative paths; reads back to the same struct.
Yaml dump(const TrainOptions& options);
Yaml dump(const TranslateOptions& options);
Yaml dump(const ModelScorerOptions& options);

/// docs/options.md: the options of all three programs as tables.
std::string options_markdown();

}  // namespace bough
