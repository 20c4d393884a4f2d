#pragma once
#include <functional>
#include <string>
#include <vector>

#include "apps/inference/model_scorer.h"
#include "apps/inference/translate_command.h"
#include "core/base/files.h"
#include "core/cpu/factory.h"
#include "layers/parameter_names.h"
#include "test/file_lines.h"
#include "test/scratch_folder.h"
#include "test/small_model.h"

// A model on disk, for the programs that read one.

namespace bough {

/// A folder with a model and its vocabulary: tokens </s>, <unk>, w2 ... w59. unknown_bias: added to the logit of <unk>.
struct ModelFolder : ScratchFolder {
  explicit ModelFolder(bool right_left = false, float unknown_bias = 0) {
    std::string tokens = "</s>\n<unk>\n";
    for (int id = 2; id < 60; ++id) tokens += fmt::format("w{}\n", id);
    write_file(*this / "vocabulary.txt", tokens);
    const auto backend = make_cpu_backend(1);
    ModelOptions options = small_options(ResidualKind::branchnorm);
    options.right_left = right_left;
    const Model model = random_model(options, *backend);
    std::vector<float> arena = model.parameters->download(model.parameters->values());
    for (const ParameterPart& part : model.parameters->parts())
      if (part.name == parameter_names::output_bias) arena[size_t(part.first + unknown_id)] += unknown_bias;
    model.parameters->upload(model.parameters->values(), arena);
    save_model(*this / "model.npz", options, *model.parameters, model.parameters->values());
  }

  TranslateOptions translate_options(const std::string& input) const {
    write_file(*this / "input", input);
    TranslateOptions options;
    options.decoding.quiet_translation = true;
    options.machine.cpu_threads = 2;
    options.models = {*this / "model.npz"};
    options.vocabulary.paths = {*this / "vocabulary.txt", *this / "vocabulary.txt"};
    options.input = {*this / "input"};
    options.output = *this / "output";
    options.decoding.beam_size = 3;
    options.corpus.max_length = 30;
    return options;
  }
  std::vector<std::string> translate(const TranslateOptions& options) const {
    run_translate(options);
    return lines_of(options.output);
  }

  std::vector<std::string> score(const std::string& source, const std::string& target,
                                 const std::function<void(ModelScorerOptions&)>& change = {}) const {
    write_file(*this / "source", source);
    write_file(*this / "target", target);
    ModelScorerOptions options;
    options.machine.cpu_threads = 2;
    options.models = {*this / "model.npz"};
    options.vocabulary.paths = {*this / "vocabulary.txt", *this / "vocabulary.txt"};
    options.corpus.train_sets = {*this / "source", *this / "target"};
    options.output = *this / "scores";
    if (change) change(options);
    run_model_scorer(options);
    return lines_of(options.output);
  }
};

}  // namespace bough
