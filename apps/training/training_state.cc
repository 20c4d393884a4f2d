#include "apps/training/training_state.h"

#include <algorithm>

#include "core/base/error.h"

namespace bough {
namespace {

/// One row per saved value, for writing and reading alike.
class Writer {
 public:
  template <class T>
  void operator()(const char* key, const T& value) {
    map.set(key, Yaml(value));
  }
  template <class T>
  void optional(const char* key, const T& value) {
    map.set(key, Yaml(value));
  }
  Yaml map = Yaml::map();
};

class Reader {
 public:
  explicit Reader(const Yaml& map) : map_(map) {}
  void operator()(const char* key, int64_t& value) { value = map_.get_int(key); }
  void operator()(const char* key, double& value) { value = map_.get_double(key); }
  void operator()(const char* key, bool& value) { value = map_.get_bool(key); }
  void operator()(const char* key, uint64_t& value) { value = map_.get_unsigned(key); }
  /// A value that files of earlier versions lack.
  template <class T>
  void optional(const char* key, T& value) {
    if (map_.find(key)) (*this)(key, value);
  }

 private:
  const Yaml& map_;
};

template <class V, class State>
void state_rows(V& v, State& s) {
  v("updates", s.clock.updates);
  v("labels", s.clock.labels);
  v("epochs", s.clock.epochs);
  v("seed", s.seed);
  v("learning-rate-factor", s.learning_rate_factor);
  v("learning-rate", s.learning_rate);
  v.optional("warmup-start", s.warmup_start);
  v.optional("warmup-unit", s.warmup_unit);
  v.optional("most-stalls", s.most_stalls);
  v("sentences", s.sentences);
  v("sentences-total", s.sentences_total);
  v("skipped-updates", s.skipped_updates);
  v("skipped-in-a-row", s.skipped_in_a_row);
  v.optional("diverged-in-a-row", s.diverged_in_a_row);
  v("gradient-norm", s.gradient_norm);
  v("norm-count", s.norm_count);
  v("last-validation", s.last_validation);
  v.optional("owes-validation", s.owes_validation);
  v.optional("vocabulary", s.vocabulary);
  v.optional("order", s.order);
  v.optional("fitted-delay", s.fitted_delay);
  v("display-loss", s.display.loss);
  v("display-labels", s.display.labels);
  v.optional("display-lost-labels", s.display.lost_labels);
  v("display-sentences", s.display.sentences);
  v("display-updates", s.display.updates);
  v("display-source-fill", s.display.source_fill);
  v("display-target-fill", s.display.target_fill);
  v.optional("display-seconds", s.display.seconds);
}

template <class V, class State>
void loader_rows(V& v, State& s) {
  v("epoch", s.epoch);
  v("window", s.window);
  v("position", s.position);
  v("used-ahead", s.used_ahead);
  v("updates", s.updates);
  v("target-tokens", s.target_tokens);
  v("epoch-sentences", s.epoch_sentences);
  v("length-ratio", s.length_ratio);
  v("corpus", s.corpus);
  v.optional("fitted-tokens", s.fitted_tokens);
}

template <class V, class State>
void metric_rows(V& v, State& s) {
  v("last-best", s.best);
  v("has-best", s.has_best);
  v("stalled", s.stalled);
}

}  // namespace

int64_t TrainingState::most_stalled() const {
  int64_t most = 0;
  for (const auto& [name, metric] : metrics) most = std::max(most, metric.stalled);
  return most;
}

Yaml TrainingState::to_yaml() const {
  Writer state, data;
  state_rows(state, *this);
  loader_rows(data, loader);
  Yaml validators = Yaml::map();
  for (const auto& [name, metric] : metrics) {
    Writer writer;
    metric_rows(writer, metric);
    validators.set(name, writer.map);
  }
  state.map.set("loader", data.map).set("validators", validators);
  return state.map;
}

TrainingState TrainingState::from_yaml(const Yaml& saved, const std::string& source) {
  TrainingState state;
  const Yaml* const loader = saved.find("loader");
  const Yaml* const validators = saved.find("validators");
  check(loader && validators, "{}: the training state is incomplete; it cannot be resumed", source);
  try {
    Reader reader(saved), loader_reader(*loader);
    state_rows(reader, state);
    loader_rows(loader_reader, state.loader);
    for (const auto& [name, metric] : validators->entries) {
      Reader metric_reader(metric);
      metric_rows(metric_reader, state.metrics[name]);
    }
  } catch (const Error& e) {
    fail("{}: the training state is damaged: {}; restore it from a copy, or set no-optimizer-reload", source, e.what());
  }
  return state;
}

Yaml TrainingState::progress_yaml() const {
  Yaml validators = Yaml::map();
  for (const auto& [name, metric] : metrics)
    validators.set(name, Yaml::map().set("last-best", metric.best).set("stalled", metric.stalled));
  return Yaml::map()
      .set("epochs", clock.epochs)
      .set("batches", clock.updates)
      .set("samples", sentences)
      .set("labels-total", clock.labels)
      .set("stalled", most_stalled())
      .set("eta", learning_rate)
      .set("eta-factor", learning_rate_factor)
      .set("warmup-start", warmup_start)
      .set("cost-sum", display.loss)
      .set("cost-count", display.labels)
      .set("disp-updates", display.updates)
      .set("disp-samples", display.sentences)
      .set("disp-words", display.labels)
      .set("gradient-norm-avg", gradient_norm)
      .set("validators", validators);
}

}  // namespace bough
