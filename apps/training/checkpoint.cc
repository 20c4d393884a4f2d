#include "apps/training/checkpoint.h"

#include <algorithm>
#include <filesystem>

#include "apps/inference/model_file.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/base/npz.h"

namespace bough {
namespace {

constexpr auto state_array = "special:state.yml";
constexpr auto plans_array = "special:gemm-plans";

/// The arenas that go with the raw parameters, under Marian's names.
std::vector<std::pair<const char*, Tensor>> named_arenas(const OptimizerArenas& a) {
  std::vector<std::pair<const char*, Tensor>> arenas;
  if (a.first_moment) arenas.emplace_back("adam_mt", a.first_moment);
  if (a.second_moment) arenas.emplace_back(a.first_moment ? "adam_vt" : "adagrad_gt", a.second_moment);
  if (a.average) arenas.emplace_back("exp_smoothing", a.average);
  arenas.emplace_back("master_parameters", a.parameters);
  return arenas;
}

TrainingState read_state(const NpzReader& file) {
  check(file.contains(state_array),
        "{}: has no training state of bough; to go on from its model's parameters set "
        "no-optimizer-reload, to start anew set no-reload",
        file.path());
  return TrainingState::from_yaml(parse_yaml(file.read_text(state_array), file.path()), file.path());
}

std::string one_line(const Yaml& value) {
  std::string text = format_yaml(value);
  while (text.ends_with('\n')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// A checkpoint of another model may have as many parameters: what they mean must agree too. T and the
/// schedule of alpha may change, they are the run's.
void check_same_model(const NpzReader& file, const ModelOptions& options) {
  const Yaml saved = parse_yaml(file.read_text(model_yaml_array), file.path());
  for (const auto& [key, value] : options.to_yaml().entries) {
    if (key.starts_with("branchnorm-")) continue;
    const Yaml* const before = saved.find(key);
    check(before != nullptr && *before == value,
          "{}: was written with {}: {}, but it is {} now; use the options of that run, another model file, or "
          "no-reload to start anew",
          file.path(), key, before ? one_line(*before) : "nothing", one_line(value));
  }
}

std::string with_update(const std::string& model, int64_t update, const std::string& ending) {
  std::string stem = model;
  if (stem.ends_with(".npz")) stem.resize(stem.size() - 4);
  return fmt::format("{}.iter{}{}", stem, update, ending);
}

}  // namespace

void Checkpoint::save(const TrainingState& state) {
  log::info("Saving model weights and runtime parameters to {}", options_.model);
  save_optimizer(state, options_.model + ".optimizer.npz");
  if (!options_.overwrite && !options_.overwrite_checkpoint)
    save_optimizer(state, with_update(options_.model, state.clock.updates, ".optimizer.npz"));
  save_derived(state);
}

void Checkpoint::save_derived(const TrainingState& state) {
  const std::string& model = options_.model;
  const Tensor& best = model_.optimizer().best_parameters();
  if (!options_.overwrite) save_parameters(state, with_update(model, state.clock.updates, ".npz"), best);
  save_parameters(state, model, best);
  write_file(model + ".yml", run_.settings);
  write_file(model + ".progress.yml", format_yaml(state.progress_yaml()));
}

void Checkpoint::save_best(const TrainingState& state, const std::string& metric) {
  save_parameters(state, options_.model + ".best-" + metric + ".npz", model_.parameters().values());
}

void Checkpoint::save_parameters(const TrainingState& state, const std::string& path, const Tensor& arena) {
  ModelOptions model = model_.transformer().options();
  model.branchnorm_progress = state.clock.in(model.branchnorm_max_step.unit);
  save_model(path, model, model_.parameters(), arena);
  write_file(path + ".decoder.yml", format_yaml(decoder_settings(path)));
}

Yaml Checkpoint::decoder_settings(const std::string& model_path) const {
  const auto as_saved = [&](const std::string& path) {
    return run_.relative_paths
               ? std::filesystem::proximate(path, std::filesystem::path(model_path).parent_path()).string()
               : path;
  };
  std::vector<Yaml> vocabularies;
  for (const auto& path : run_.vocabularies) vocabularies.emplace_back(as_saved(path));
  return Yaml::map()
      .set("relative-paths", run_.relative_paths)
      .set("models", Yaml::list({Yaml(as_saved(model_path))}))
      .set("vocabs", Yaml::list(std::move(vocabularies)))
      .set("beam-size", run_.decoding.beam_size)
      .set("normalize", run_.decoding.normalize)
      .set("word-penalty", run_.decoding.word_penalty)
      .set("mini-batch", run_.decoding_batch)
      .set("maxi-batch", 100)
      .set("maxi-batch-sort", "src");
}

void Checkpoint::save_optimizer(const TrainingState& state, const std::string& path) {
  const ParameterSet& parameters = model_.parameters();
  const OptimizerArenas& arenas = model_.optimizer().arenas();
  std::vector<NpzArray> arrays;
  std::vector<float> values;  // of one part of an arena: a copy of all arenas might not fit into memory
  for (const auto& [name, arena] : named_arenas(arenas))
    arrays.push_back({name, {1, parameters.file_elements()}, NpzType::f32, nullptr, [&, arena](size_t i) {
                        const ParameterPart& part = parameters.parts()[i];
                        values = parameters.extract(arena, part);
                        values.resize(size_t(parameters.file_elements(part)), 0.0f);
                        return std::as_bytes(std::span(values));
                      }});
  double denominators[2];
  model_.backend().download(denominators, arenas.denominators);
  arrays.push_back(npz_array<double>("adam_denoms", denominators, {1, 2}));
  const std::string text = format_yaml(state.to_yaml());
  arrays.push_back(npz_array<char>(state_array, text));
  const std::string model = model_yaml_bytes(model_.transformer().options());
  arrays.push_back(npz_array<char>(model_yaml_array, model));
  const std::string plans = model_.backend().plans();
  if (!plans.empty()) arrays.push_back(npz_array<char>(plans_array, plans));
  write_npz(path, arrays);
}

std::optional<TrainingState> Checkpoint::resume() {
  const std::string& model = options_.model;
  const std::string optimizer = model + ".optimizer.npz";
  model_.initialize();
  if (!options_.no_reload) {
    const bool has_state = file_exists(optimizer);
    if (has_state && !options_.no_optimizer_reload) return load_optimizer(optimizer);
    if (file_exists(model)) {
      if (!has_state && !options_.no_optimizer_reload)
        log::warn(
            "[train] '{}' is there, but '{}' is not: going on from its parameters alone, with the optimizer, the "
            "learning rate's warmup and the corpus at their start",
            model, optimizer);
      load_parameters(model);
      return std::nullopt;
    }
  }
  if (const std::string& path = options_.pretrained_model; !path.empty()) {
    const int64_t found = read_matching_parameters(NpzReader(path), model_.parameters(), model_.parameters().values());
    log::info("[train] {} of {} arrays are those of {}", found, model_.parameters().parts().size(), path);
    model_.parameters().values_changed();
    model_.optimizer().reset();
  }
  return std::nullopt;
}

uint64_t Checkpoint::saved_seed(const SavingOptions& options) {
  const std::string optimizer = options.model + ".optimizer.npz";
  if (options.no_reload || options.no_optimizer_reload || !file_exists(optimizer)) return 0;
  return read_state(NpzReader(optimizer)).seed;
}

void Checkpoint::load_parameters(const std::string& path) {
  log::info("[train] parameters of {}", path);
  read_parameters(NpzReader(path), model_.parameters(), model_.parameters().values(), ShapesBy::run);
  model_.parameters().values_changed();
  model_.optimizer().reset();
}

TrainingState Checkpoint::load_optimizer(const std::string& path) {
  const NpzReader file(path);
  TrainingState state = read_state(file);
  check_same_model(file, model_.transformer().options());
  const OptimizerArenas& arenas = model_.optimizer().arenas();
  for (const auto& [name, arena] : named_arenas(arenas)) {
    const bool is_average = std::string_view(name) == "exp_smoothing";
    // A run may turn the average on later: it then starts from the parameters.
    const char* const source = is_average && !file.contains(name) ? "master_parameters" : name;
    check(file.contains(source),
          "{}: has no '{}', but this run's optimizer needs it; use the optimizer "
          "that the file was written with, or no-optimizer-reload",
          path, source);
    model_.parameters().from_file_order(file.read_f32(source), arena);
  }
  model_.parameters().values_changed();
  const auto denominators = file.read_f64("adam_denoms");
  check(denominators.size() == 2, "{}: adam_denoms has {} elements, must have 2", path, denominators.size());
  model_.backend().upload(arenas.denominators, denominators.data());
  if (file.contains(plans_array) && !model_.backend().set_plans(file.read_text(plans_array)))
    log::warn(
        "[train] {}: its choices of how to compute matrix products are for another device, precision or version "
        "of cuBLASLt; going on with this one's, so that results may differ in their last bits",
        path);
  return state;
}

}  // namespace bough
