// Options of the training run, of validation and of beam search.
#include <algorithm>

#include "apps/options.h"

namespace bough {

const EnumNames<CostType> cost_type_names = {{"ce-sum", CostType::ce_sum},
                                             {"ce-mean", CostType::ce_mean},
                                             {"ce-mean-words", CostType::ce_mean_words},
                                             {"perplexity", CostType::perplexity}};
const EnumNames<ValidationMetric> metric_names = {{"cross-entropy", ValidationMetric::cross_entropy},
                                        {"ce-mean", ValidationMetric::ce_mean},
                                        {"ce-mean-words", ValidationMetric::ce_mean_words},
                                        {"ce-sum", ValidationMetric::ce_sum},
                                        {"perplexity", ValidationMetric::perplexity},
                                        {"bleu", ValidationMetric::bleu},
                                        {"bleu-detok", ValidationMetric::bleu_detok},
                                        {"bleu-segmented", ValidationMetric::bleu_segmented},
                                        {"chrf", ValidationMetric::chrf},
                                        {"translation", ValidationMetric::translation},
                                        {"valid-script", ValidationMetric::valid_script}};
const EnumNames<Checkpointing> checkpointing_names = {{"auto", Checkpointing::automatic},
                                                      {"false", Checkpointing::none},
                                                      {"true", Checkpointing::all}};

namespace {

const EnumNames<SigtermAction> sigterm_names = {
    {"save-and-exit", SigtermAction::save_and_exit},
    {"exit-immediately", SigtermAction::exit_immediately}};
const EnumNames<StopOn> stop_on_names = {
    {"first", StopOn::first}, {"all", StopOn::all}, {"any", StopOn::any}};

}  // namespace

void RunOptions::settings(Settings& v) {
  v.group("Training");
  v(model, {"model", 'm'}, "model file to write, and to go on from if it exists (.npz)", Path{});
  v(pretrained_model, "pretrained-model",
    "start from the parameters of this model that have the same names", Path{});
  v.alias(
      "task",
      "presets of model size and training recipe, from Vaswani 2017; whatever is given beside one "
      "wins over it, and of several the later ones in this list win",
      true,
      {"transformer-base", "transformer-big", "transformer-base-prenorm",
       "transformer-big-prenorm"});
  v(after, {"after", 'a'},
    "stop after this many epochs, updates or target tokens, whichever comes first; 0e = never");
  v(after_epochs, {"after-epochs", 'e'}, "older spelling of after Ne; 0 = never",
    Range<int64_t>{0});
  v(after_batches, "after-batches", "older spelling of after Nu; 0 = never", Range<int64_t>{0});
  v(gradient_checkpointing, {"gradient-checkpointing", 0, "true"},
    "recompute layers in the backward pass instead of keeping their activations: more work, less memory, the same "
    "bits. auto = as few layers, from the first on, as a GPU's memory or mini-batch-fit asks for; true = all of "
    "them, with mini-batch-fit as few as its largest batch asks for",
    checkpointing_names);
  v(gemm_autotune, "gemm-autotune",
    "on a GPU, time the ways to compute each matrix product and use the fastest, instead of the one that the library "
    "proposes. The choices are saved with the training state: a resumed run has the same bits");
  v(describe, "describe",
    "print parameters, FLOPs and the memory plan, and exit; dim-vocabs gives the sizes of "
    "vocabularies that do not exist yet");
  v.transient();
  v.alias("sync-sgd", "accepted: updates are always synchronous", false, {});
  v.alias("check-gradient-nan",
          "accepted: an update with NaN or infinity in its gradient is always skipped and counted",
          false, {});
  v.alias("normalize-gradient", "accepted: gradients are always per target token", false, {});
  v.group("Divergence");
  v(divergence_threshold, "divergence-threshold",
    "a training loss above this many nats per target token counts as diverged; 0 = only one that is not "
    "finite. Guessing costs ln(vocabulary), 10.4 for 32,000 entries",
    Range<double>{0});
  v(divergence_updates, "divergence-updates",
    "end the run with exit code 3 when this many updates in a row have diverged", Range<int>{1});
  display_settings(v);
  saving_settings(v);
}

void RunOptions::display_settings(Settings& v) {
  v.group("Log of training");
  v(disp_freq, "disp-freq", "log a line every this many updates or target tokens",
    updates_or_labels);
  v(disp_first, "disp-first", "also log each of the first N updates", Range<int64_t>{0});
  v(cost_type, "cost-type",
    "how the training loss is shown: per sentence (ce-mean), per target token (ce-mean-words), its "
    "exponential (perplexity), or ce-sum. Gradients do not depend on it",
    cost_type_names);
  v(disp_label_counts, "disp-label-counts",
    "show ce-sum as 'loss per token * tokens' instead of one sum");
  v(gradient_norm_average_window, "gradient-norm-average-window",
    "updates over which the gradient norm shown is averaged", Range<int>{1});
  v(log_layer_norms, "log-layer-norms",
    "every this many updates or target tokens, add a line with norms of each layer's gradient and update, and "
    "of each branch against its residual, to the file of metrics; 0 = never",
    updates_or_labels);
  v(log_model_update, "log-model-update",
    "in those updates also measure how far they move the decoder's output: one more forward pass");
  v(metrics, "metrics",
    "file that gets the numbers of every log line as JSON; none = <model>.metrics.jsonl", Path{});
}

void RunOptions::saving_settings(Settings& v) {
  v.group("Saving and going on");
  v(save_freq, "save-freq", "save every this many updates or target tokens", updates_or_labels);
  v(overwrite, "overwrite", "keep only the newest model: no model.iterN.npz");
  v(overwrite_checkpoint, "overwrite-checkpoint",
    "keep only the newest training state; false: model.iterN.optimizer.npz, too");
  v(no_reload, "no-reload", "start afresh though the model file exists, and overwrite it");
  v(no_optimizer_reload, "no-optimizer-reload",
    "go on with the parameters only; optimizer and clock start afresh");
  v(no_restore_corpus, "no-restore-corpus",
    "go on, but at the start of the corpus: for fine-tuning on other data");
  v(sigterm, "sigterm", "what SIGTERM and CTRL-C do", sigterm_names);
}

StopCriteria RunOptions::stop_criteria() const {
  auto sooner = [](int64_t a, int64_t b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); };
  return {sooner(after.updates, after_batches), after.labels, sooner(after.epochs, after_epochs)};
}

void RunOptions::validate() const {
  check(model.ends_with(".npz"), "model is '{}', must end in .npz{}", model,
        model.ends_with(".bin") ? ": bough does not write Marian's .bin files" : "");
  check(pretrained_model.empty() || pretrained_model.ends_with(".npz"),
        "pretrained-model is '{}', must end in .npz", pretrained_model);
}

void ValidationOptions::settings(Settings& v) {
  v.group("Validation");
  v(valid_sets, "valid-sets", "parallel files to validate on, source first; none = no validation",
    Path{});
  v(valid_freq, "valid-freq", "validate every this many updates or target tokens",
    updates_or_labels);
  v(metrics, "valid-metrics",
    "what to measure; one decode of the set serves all that need translations. bleu = bleu-detok "
    "(13a), translation = the number that valid-script-path prints",
    metric_names);
  v(mini_batch, "valid-mini-batch", "sentences of a validation batch", Range<int>{1});
  v(max_length, "valid-max-length", "cut sentences to this many tokens", Range<int>{1});
  output_settings(v);
  stopping_settings(v);
}

void ValidationOptions::output_settings(Settings& v) {
  v(log_file, "valid-log", "append the validation lines of the log to this file, too", Path{});
  v(script_path, "valid-script-path",
    "shell command for the metrics translation and valid-script; it is given the file to judge and "
    "prints a number",
    Path{});
  v(script_args, "valid-script-args", "arguments put before that file's name");
  v(translation_output, "valid-translation-output",
    "write the translations here; {E} {B} {U} {T} in the name become epoch, batches, updates, "
    "tokens",
    Path{});
  v(quiet, "quiet-validation", "no sample of translations in the log");
}

void ValidationOptions::stopping_settings(Settings& v) {
  v.group("Early stopping");
  v(early_stopping, "early-stopping",
    "stop after this many validations in a row without improvement; 0 = never", Range<int>{0});
  v(early_stopping_on, "early-stopping-on",
    "which metrics must have stalled: the first one, all, or any", stop_on_names);
  v(early_stopping_epsilon, "early-stopping-epsilon",
    "least improvement that counts: one value, or one for each metric", Range<double>{0});
  v(keep_best, "keep-best",
    "save the model that is best in each metric as model.npz.best-METRIC.npz");
  v(reset_stalled, "valid-reset-stalled", "forget the stalls counted before this start");
  v(reset_all, "valid-reset-all", "forget stalls and best values from before this start");
}

void ValidationOptions::validate() const {
  check(early_stopping_epsilon.size() == 1 || early_stopping_epsilon.size() == metrics.size(),
        "early-stopping-epsilon has {} values, must have 1, or {}: one for each of valid-metrics",
        early_stopping_epsilon.size(), metrics.size());
  for (ValidationMetric metric : metrics)
    check((metric != ValidationMetric::translation && metric != ValidationMetric::valid_script) || !script_path.empty(),
          "valid-metrics has {}, which needs valid-script-path",
          metric == ValidationMetric::translation ? "translation" : "valid-script");
}

void DecodingOptions::settings(Settings& v) {
  v.group("Search");
  v(beam_size, {"beam-size", 'b'}, "hypotheses kept per sentence", Range<int>{1});
  v(normalize, {"normalize", 'n', "1"},
    "rank hypotheses by score / length^N; 0 = by score alone, which favours short ones");
  v(word_penalty, "word-penalty", "subtract this from the score for each target token");
  v(max_length_factor, "max-length-factor", "stop at this many target tokens for each source token",
    Range<double>{0});
  v(allow_unk, "allow-unk", "let the search choose the unknown-word token");
  v(quiet_translation, "quiet-translation", "do not log translations");
}

void DecodingOptions::output_settings(Settings& v) {
  v(n_best, "n-best", "print the whole beam, in Moses' n-best format");
  v(word_scores, "word-scores", "print the log-probability of each token, too");
}

}  // namespace bough
