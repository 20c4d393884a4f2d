#include "apps/training/saving_options.h"

#include <algorithm>
#include <string_view>

namespace bough {
namespace {

const EnumNames<SigtermAction> sigterm_names = {{"save-and-exit", SigtermAction::save_and_exit},
                                                {"exit-immediately", SigtermAction::exit_immediately}};

}  // namespace

void SavingOptions::model_settings(Settings& v) {
  v.group("Training");
  v(model, {"model", 'm'}, "model file to write, and to go on from if it exists (.npz)", Path{Path::output});
  v(pretrained_model, "pretrained-model", "start from the parameters of this model that have the same names", Path{});
}

void SavingOptions::settings(Settings& v) {
  v.group("Saving and going on");
  v(save_freq, "save-freq", "save every this many updates or target tokens", updates_or_labels);
  v(overwrite, "overwrite", "keep only the newest model: no model.iterN.npz");
  v(overwrite_checkpoint, "overwrite-checkpoint",
    "keep only the newest training state; false: model.iterN.optimizer.npz, too");
  v(no_reload, "no-reload", "start afresh though the model file exists, and overwrite it");
  v(no_optimizer_reload, "no-optimizer-reload", "go on with the parameters only; optimizer and clock start afresh");
  v(no_restore_corpus, "no-restore-corpus",
    "go on, but at the start of the corpus, in epoch 1: for fine-tuning on other data");
  v(sigterm, "sigterm", "what SIGTERM, CTRL-C and a terminal that closes do", sigterm_names);
}

void SavingOptions::drop_options_of_one_start(Yaml& settings) {
  constexpr std::string_view names[] = {"no-reload", "no-optimizer-reload", "no-restore-corpus", "valid-reset-stalled",
                                        "valid-reset-all"};
  std::erase_if(settings.entries,
                [&](const Yaml::Entry& entry) { return std::ranges::find(names, entry.first) != std::end(names); });
}

void SavingOptions::validate() const {
  check(model.ends_with(".npz"), "model is '{}', must end in .npz{}", model,
        model.ends_with(".bin") ? "; bough-average --export-int8 makes a .bin of a trained model" : "");
  check(pretrained_model.empty() || pretrained_model.ends_with(".npz"), "pretrained-model is '{}', must end in .npz",
        pretrained_model);
}

}  // namespace bough
