#include "apps/training/checkpoint.h"

#include <filesystem>
#include <utility>

#include "apps/inference/model_file.h"
#include "core/base/files.h"
#include "core/base/log.h"
#include "core/base/npz.h"

namespace bough {
namespace {

constexpr auto state_array = training_state_array;
constexpr auto plans_array = "special:gemm-plans";

TrainingState read_state(const NpzReader& file) {
  check(file.contains(state_array),
        "{}: has no training state of bough; to go on from its model's parameters set "
        "no-optimizer-reload, to start anew set no-reload",
        file.path());
  return TrainingState::from_yaml(parse_yaml(file.read_text(state_array), file.path()), file.path());
}

/// A checkpoint of another model may have as many parameters: what they mean must agree too.
void check_same_model(const std::string& path, const ModelOptions& before, const ModelOptions& options) {
  const auto change = options.change_of_arithmetic(before);
  if (!change) return;
  fail(
      "{}: was written with {}: {}, but it is {} now; use the options of that run, another model file, or no-reload to "
      "start anew",
      path, change->name, change->before, change->now);
}

/// branchnorm's parameters at alpha = 1 are post-ln's too.
bool is_finished_ramp(const ModelOptions& options) { return options.traits().has_branch_scales && options.is_plain(); }

/// The file that a run of these options goes on with; empty: none.
struct SavedRun {
  std::string path;
  bool has_state = false;  ///< all of it, or parameters only
};
SavedRun saved_run(const SavingOptions& options) {
  if (options.no_reload) return {};
  const std::string optimizer = options.model + ".optimizer.npz";
  if (!options.no_optimizer_reload && file_exists(optimizer)) return {optimizer, true};
  if (file_exists(options.model)) return {options.model, false};
  return {};
}

/// Fills pieces of an arena from the flat form of Marian's optimizer file, part by part. Padding becomes 0.
void read_pieces(const NpzReader& file, const std::string& name, const ParameterSet& parameters,
                 const std::vector<ArenaPiece>& pieces) {
  NpzReader::Stream stream(file, name);
  const NpzHeader& header = stream.header();
  check(header.type == NpzType::f32 && header.elements() == parameters.file_elements(),
        "{}: {} has {} elements of {}, must have {} of f32; it belongs to another model", file.path(), name,
        header.elements(), name_of(header.type), parameters.file_elements());
  for (const ArenaPiece& piece : pieces) parameters.backend().fill(piece.values, 0.0);
  std::vector<float> values, scratch;
  for (const ParameterPart& part : parameters.parts()) {
    values.resize(size_t(parameters.file_elements(part)));
    stream.read(values.data(), values.size() * sizeof(float));
    parameters.insert(pieces, part, std::span(values).first(size_t(part.size())), scratch);
  }
  stream.finish();
}

std::string with_update(const std::string& model, int64_t update, const std::string& ending) {
  std::string stem = model;
  if (stem.ends_with(".npz")) stem.resize(stem.size() - 4);
  return fmt::format("{}.iter{}{}", stem, update, ending);
}

}  // namespace

/// An arena of the resume state, under Marian's name.
struct Checkpoint::StateArena {
  const char* name;
  Tensor tensor;
  bool is_share;  // of the arena; the raw parameters may be there as a whole
};

std::vector<Checkpoint::StateArena> Checkpoint::state_arenas() const {
  const OptimizerArenas& a = model_.optimizer().arenas();
  std::vector<StateArena> arenas;
  if (a.first_moment) arenas.push_back({"adam_mt", a.first_moment, true});
  if (a.second_moment) arenas.push_back({a.first_moment ? "adam_vt" : "adagrad_gt", a.second_moment, true});
  if (a.average) arenas.push_back({"exp_smoothing", a.average, true});
  arenas.push_back({"master_parameters", model_.parameters().kept_values(), !model_.parameters().has_all_values()});
  return arenas;
}

void Checkpoint::save(const TrainingState& state) {
  log::info("Saving model weights and runtime parameters to {}", options_.model);
  save_optimizer(state, options_.model + ".optimizer.npz");
  if (!options_.overwrite && !options_.overwrite_checkpoint)
    save_optimizer(state, with_update(options_.model, state.clock.updates, ".optimizer.npz"));
  save_derived(state);
}

void Checkpoint::save_derived(const TrainingState& state) {
  const std::string& model = options_.model;
  const WholeArena best = model_.whole_best_parameters();
  if (!model_.share().ranks().is_first()) return;
  if (!options_.overwrite) save_parameters(state, with_update(model, state.clock.updates, ".npz"), best);
  save_parameters(state, model, best);
  write_file(model + ".yml", run_.settings);
  write_file(model + ".progress.yml", format_yaml(state.progress_yaml()));
}

void Checkpoint::save_parameters(const TrainingState& state, const std::string& path, const WholeArena& arena) {
  save_model(path, model_.options_at(state.clock), model_.parameters(), arena);
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
  if (model_.share().ranks().is_first()) return write_optimizer(state, path);
  for (const StateArena& arena : state_arenas())
    if (arena.is_share) model_.share().whole_on_first(arena.tensor);
}

void Checkpoint::write_optimizer(const TrainingState& state, const std::string& path) {
  const ParameterSet& parameters = model_.parameters();
  const OptimizerArenas& arenas = model_.optimizer().arenas();
  std::vector<NpzArray> arrays;
  WholeArena whole;  // one arena after another: the other ranks send their shares in the same order
  const char* held = nullptr;
  std::vector<float> values;  // of one part of an arena: a copy of all arenas might not fit into memory
  for (const StateArena& arena : state_arenas())
    arrays.push_back({arena.name, {1, parameters.file_elements()}, NpzType::f32, nullptr, [&, arena](size_t i) {
                        if (std::exchange(held, arena.name) != arena.name) {
                          whole = {};  // before there is another one
                          whole = arena.is_share ? model_.share().whole_on_first(arena.tensor) : arena.tensor;
                        }
                        const ParameterPart& part = parameters.parts()[i];
                        values = parameters.extract(whole, part);
                        values.resize(size_t(parameters.file_elements(part)), 0.0f);
                        return std::as_bytes(std::span(values));
                      }});
  double denominators[2];
  model_.backend().download(denominators, arenas.denominators);
  arrays.push_back(npz_array<double>("adam_denoms", denominators, {1, 2}));
  const std::string text = format_yaml(state.to_yaml());
  arrays.push_back(npz_array<char>(state_array, text));
  const std::string model = model_yaml_bytes(model_.options_at(state.clock));
  arrays.push_back(npz_array<char>(model_yaml_array, model));
  const std::string plans = model_.backend().plans();
  if (!plans.empty()) arrays.push_back(npz_array<char>(plans_array, plans));
  write_npz(path, arrays);
}

std::optional<TrainingState> Checkpoint::resume() {
  model_.initialize();
  const SavedRun saved = saved_run(options_);
  if (saved.has_state) return load_optimizer(saved.path);
  if (!saved.path.empty()) {
    if (!options_.no_optimizer_reload)
      log::warn(
          "[train] '{}' is there, but '{}.optimizer.npz' is not: going on from its parameters alone, with the "
          "optimizer, the learning rate's warmup and the corpus at their start",
          saved.path, saved.path);
    load_parameters(saved.path);
    return std::nullopt;
  }
  if (const std::string& path = options_.pretrained_model; !path.empty()) {
    const NpzReader pretrained(path);
    check_is_model(pretrained);
    const int64_t found = read_matching_parameters(pretrained, model_.parameters());
    log::info("[train] {} of {} arrays are those of {}", found, model_.parameters().parts().size(), path);
    model_.parameters().values_changed();
    model_.optimizer().reset();
  }
  return std::nullopt;
}

bool Checkpoint::begins_anew(const SavingOptions& options) { return saved_run(options).path.empty(); }

std::optional<TrainingState> Checkpoint::saved_state(const SavingOptions& options) {
  const SavedRun saved = saved_run(options);
  if (!saved.has_state) return std::nullopt;
  return read_state(NpzReader(saved.path));
}

void Checkpoint::take_saved_options(const SavingOptions& saving, const GivenNames& given, ModelOptions& model,
                                    int& max_length) {
  const SavedRun saved = saved_run(saving);
  if (saved.path.empty()) return;
  ModelOptions before = read_model_options(NpzReader(saved.path));
  if (!saved.has_state && is_finished_ramp(before)) before.residual = ResidualKind::post_ln;
  model.go_on_with(before, given, saved.has_state);
  if (before.learned_positions && given.count("max-length") == 0) max_length = before.max_positions;
}

void Checkpoint::load_parameters(const std::string& path) {
  log::info("[train] parameters of {}", path);
  const NpzReader file(path);
  ModelOptions before = read_model_options(file);
  const ModelOptions& now = model_.transformer().options();
  if (is_finished_ramp(before) && now.residual == ResidualKind::post_ln) before.residual = ResidualKind::post_ln;
  check_same_model(path, before, now);
  read_parameters(file, model_.parameters(), ShapesBy::run);
  if (before.traits().has_branch_scales) model_.take_branch_scales(before, before.branchnorm_progress);
  model_.parameters().values_changed();
  model_.optimizer().reset();
}

TrainingState Checkpoint::load_optimizer(const std::string& path) {
  const NpzReader file(path);
  TrainingState state = read_state(file);
  const ModelOptions saved = read_model_options(file);
  check_same_model(path, saved, model_.transformer().options());
  model_.take_branch_scales(saved, state.clock.in(saved.branchnorm_max_step.unit));
  for (const auto& [name, arena, is_share] : state_arenas()) {
    const bool is_average = std::string_view(name) == "exp_smoothing";
    // A run may turn the average on later: it then starts from the parameters.
    const char* const source = is_average && !file.contains(name) ? "master_parameters" : name;
    check(file.contains(source),
          "{}: has no '{}', but this run's optimizer needs it; use the optimizer "
          "that the file was written with, or no-optimizer-reload",
          path, source);
    read_pieces(file, source, model_.parameters(),
                is_share ? model_.share().pieces(arena) : std::vector<ArenaPiece>{{0, arena}});
  }
  model_.optimizer().rest_fixed_parameters();
  model_.parameters().values_changed();
  const auto denominators = file.read_f64("adam_denoms");
  check(denominators.size() == 2, "{}: adam_denoms has {} elements, must have 2", path, denominators.size());
  model_.backend().upload(model_.optimizer().arenas().denominators, denominators.data());
  if (file.contains(plans_array) && !model_.backend().set_plans(file.read_text(plans_array)))
    log::warn(
        "[train] {}: its choices of how to compute matrix products are for another device, precision or version "
        "of cuBLASLt; going on with this one's, so that results may differ in their last bits",
        path);
  return state;
}

}  // namespace bough
