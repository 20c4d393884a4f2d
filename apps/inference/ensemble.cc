#include "apps/inference/ensemble.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "apps/inference/text_encoder.h"

namespace bough {
namespace {

void check_fits(const ModelOptions& first, const std::string& first_path, const ModelOptions& other,
                const std::string& path) {
  const auto sizes = [](const ModelOptions& options) {
    return fmt::format("{} and {}", options.vocab_sizes.front(), options.vocab_sizes.back());
  };
  check(
      sizes(first) == sizes(other),
      "models: '{}' has vocabularies of {} words, '{}' of {}; models of one ensemble must share theirs. Leave one out",
      path, sizes(other), first_path, sizes(first));
  check(first.right_left == other.right_left,
        "models: one of '{}' and '{}' writes from right to left, the other from left to right; models of one ensemble "
        "must agree. Rescore an n-best list with the other",
        first_path, path);
}

}  // namespace

int64_t Ensemble::longest_sentence() const {
  int64_t longest = std::numeric_limits<int64_t>::max();
  for (const Member& member : members) {
    const ModelOptions& options = member.transformer->options();
    if (options.learned_positions) longest = std::min<int64_t>(longest, options.max_positions);
  }
  return longest;
}

std::vector<KeptWeight> Ensemble::weights(bool with_lists, bool memory_may_go) const {
  std::vector<KeptWeight> all;
  for (const Member& member : members)
    for (KeptWeight& weight : member.transformer->weights(with_lists, memory_may_go)) all.push_back(std::move(weight));
  return all;
}

void Ensemble::end_training() const {
  for (const Member& member : members) member.transformer->set_training(false);
}

std::vector<Backend*> backends_of(const std::vector<EnsembleOnDevice>& devices) {
  std::vector<Backend*> backends;
  for (const EnsembleOnDevice& device : devices) backends.push_back(device.backend);
  return backends;
}

LoadedEnsemble load_ensemble(const std::vector<std::string>& paths, const std::vector<double>& weights,
                             const std::vector<std::string>& vocabulary_paths, Backend& backend,
                             GemmPrecision precision) {
  LoadedEnsemble loaded;
  for (const std::string& path : paths) {
    loaded.models.push_back(load_model(path, backend, precision));
    check_fits(loaded.models.front().options, paths.front(), loaded.models.back().options, path);
  }
  loaded.vocabularies = load_model_vocabularies(vocabulary_paths, loaded.models.front().options, paths.front());
  Ensemble& ensemble = loaded.ensemble;
  for (size_t i = 0; i < paths.size(); ++i)
    ensemble.members.push_back({loaded.models[i].transformer.get(), weights.empty() ? 1.0 : weights[i]});
  ensemble.source = loaded.vocabularies.front()->special();
  ensemble.target = loaded.vocabularies.back()->special();
  return loaded;
}

std::vector<EnsembleOnDevice> LoadedEnsembles::on_devices() const {
  std::vector<EnsembleOnDevice> all;
  for (size_t i = 0; i < backends.size(); ++i) all.push_back({loaded[i].ensemble, backends[i].get()});
  return all;
}

LoadedEnsembles load_ensembles(const std::vector<std::string>& paths, const std::vector<double>& weights,
                               const std::vector<std::string>& vocabulary_paths,
                               std::vector<std::unique_ptr<Backend>> backends, GemmPrecision precision) {
  LoadedEnsembles all{.backends = std::move(backends), .loaded = {}};
  for (const auto& backend : all.backends) {
    backend->use_on_this_thread();
    all.loaded.push_back(load_ensemble(paths, weights, vocabulary_paths, *backend, precision));
  }
  return all;
}

void weights_setting(Settings& v, std::vector<double>& weights) {
  v(weights, "weights",
    "of the models of an ensemble: scores are the sum of weight * log-probability; all 1 if not given",
    Range<double>{0, 1e30});
}

void check_models(const char* option, const std::vector<std::string>& models, const std::vector<double>& weights) {
  check(!models.empty(), "{0} is empty, must name a model. Use --{0} model.npz, or -c model.npz.decoder.yml", option);
  for (const std::string& model : models)
    check(model.ends_with(".npz") || model.ends_with(".bin"), "{} is '{}', must end in .npz or .bin", option, model);
  check(weights.empty() || weights.size() == models.size(),
        "weights has {} number{}, must have {}: one for each model. Leave weights out to give all the same",
        weights.size(), weights.size() == 1 ? "" : "s", models.size());
  check(weights.empty() || std::ranges::any_of(weights, [](double weight) { return weight > 0; }),
        "weights are all 0, one must be positive: no model would have a say");
}

}  // namespace bough
