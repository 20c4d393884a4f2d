#include "optim/optimizer_options.h"

#include <cmath>

#include "core/base/error.h"

namespace bough {
namespace {

const EnumNames<OptimizerKind> optimizer_names = {
    {"adam", OptimizerKind::adam}, {"sgd", OptimizerKind::sgd}, {"adagrad", OptimizerKind::adagrad}};
const EnumNames<DecayStrategy> strategy_names = {{"epoch", DecayStrategy::epoch},
                                                 {"batches", DecayStrategy::batches},
                                                 {"stalled", DecayStrategy::stalled},
                                                 {"epoch+batches", DecayStrategy::epoch_batches},
                                                 {"epoch+stalled", DecayStrategy::epoch_stalled}};
constexpr double marian_epsilon = 1e-8;
constexpr double deep_epsilon = 1e-9;

}  // namespace

void OptimizerOptions::settings(Settings& v) {
  v.group("Optimizer");
  v(kind, {"optimizer", 'o'}, "update rule. Weight decay makes adam AdamW", optimizer_names);
  v(params, "optimizer-params",
    "adam: beta1 beta2 epsilon weight-decay, of which the last ones may be missing (0.9 0.999 1e-8 "
    "0; epsilon 1e-9 for the deep residual kinds). adagrad: epsilon. Gradients are per target "
    "token, so epsilon "
    "weighs more than in Marian",
    Range<double>{0});
  v(delay, "optimizer-delay",
    "an update is the sum of this many batches of the given size: 4 = four times the batch in the same "
    "memory. Whole numbers",
    Range<double>{1, 1e6});
  v(clip_norm, "clip-norm", "scale the gradient (global norm, per target token) down to this norm; 0 = never",
    Range<double>{0});
  v(ema_decay, {"exponential-smoothing", 0, "1e-4"},
    "validate and save a running average of the parameters that takes in this share of each "
    "update; 0 = off",
    Range<double>{0, 1});
  schedule_settings(v);
}

void OptimizerOptions::schedule_settings(Settings& v) {
  v.group("Learning rate");
  v(learning_rate, {"learn-rate", 'l'}, "peak learning rate, reached at the end of the warmup", Range<double>{0});
  v(report_learning_rate, "lr-report", "show the learning rate in the training log lines");
  v(warmup, "lr-warmup", "the rate grows linearly over this period (16000u, 500Mt); 0 = no warmup", updates_or_labels);
  v(warmup_start_rate, "lr-warmup-start-rate", "rate at the start of the warmup", Range<double>{0});
  v(warmup_cycle, "lr-warmup-cycle", "begin the warmup again whenever it has ended: the rate goes up in saw teeth");
  v(warmup_at_reload, "lr-warmup-at-reload", "begin the warmup again when a run goes on");
  v(inverse_sqrt, "lr-decay-inv-sqrt",
    "N [S]: after S (default N) the rate falls with sqrt(N / (progress - S + N)); 0 = off", updates_or_labels);
  v(decay, "lr-decay", "factor of the rate at each decay that lr-decay-strategy asks for; 0 = never",
    Range<double>{0, 1});
  v(decay_strategy, "lr-decay-strategy",
    "decay at the end of epochs, every lr-decay-freq updates, when validation has stalled; a pair: at the end of "
    "epochs "
    "from which one of the two holds",
    strategy_names);
  v(decay_start, "lr-decay-start",
    "strategy epoch: the first epoch that begins with a decay; batches: the first update that does; stalled: so many "
    "stalls bring one. A pair has two numbers. 0 = never",
    Range<int64_t>{0});
  v(decay_freq, "lr-decay-freq", "updates between decays of strategy batches", Range<int64_t>{1});
  v(decay_resets_optimizer, "lr-decay-reset-optimizer", "set the optimizer's moments to 0 at each decay");
  v(decay_repeats_warmup, "lr-decay-repeat-warmup", "begin the warmup again at each decay");
}

void OptimizerOptions::resolve(bool is_deep_kind) {
  epsilon = is_deep_kind ? deep_epsilon : marian_epsilon;
  if (kind == OptimizerKind::adam) {
    double* const places[] = {&beta1, &beta2, &epsilon, &weight_decay};
    for (size_t i = 0; i < params.size() && i < 4; ++i) *places[i] = params[i];
  } else if (kind == OptimizerKind::adagrad && !params.empty()) {
    epsilon = params[0];
  }
}

void OptimizerOptions::validate() const {
  check(delay == std::floor(delay),
        "optimizer-delay is {}, must be a whole number: an update is the sum of whole batches", delay);
  const size_t most = kind == OptimizerKind::adam ? 4 : kind == OptimizerKind::adagrad ? 1 : 0;
  check(params.size() <= most, "optimizer-params has {} values, must have at most {} for this optimizer", params.size(),
        most);
  // In 32 bits, as they are computed with.
  check(kind == OptimizerKind::sgd || float(epsilon) > 0,
        "optimizer-params: epsilon is {}, must be above 1e-45: what has no gradient yet would be divided by 0",
        epsilon);
  check(float(beta1) < 1 && float(beta2) < 1,
        "optimizer-params: beta1 is {} and beta2 is {}, must be below 1 by at least 1e-7", beta1, beta2);
  check(inverse_sqrt.size() == 1 || inverse_sqrt.size() == 2,
        "lr-decay-inv-sqrt has {} values, must have 1 or 2: N [S]", inverse_sqrt.size());
  check(inverse_sqrt.size() == 1 || inverse_sqrt[0].unit == inverse_sqrt[1].unit,
        "lr-decay-inv-sqrt: {} and {} must have the same unit", format_value(inverse_sqrt[0]),
        format_value(inverse_sqrt.back()));
  const bool is_pair = decay_strategy == DecayStrategy::epoch_batches || decay_strategy == DecayStrategy::epoch_stalled;
  check(decay_start.size() == 2 || (decay_start.size() == 1 && (!is_pair || decay == 0)),
        "lr-decay-start has {} value{}, must have {}", decay_start.size(), decay_start.size() == 1 ? "" : "s",
        is_pair ? "2: lr-decay-strategy is a pair" : "1, or 2 of which the first counts");
}

}  // namespace bough
