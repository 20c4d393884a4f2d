#pragma once
#include <string>

#include "core/base/settings.h"

namespace bough {

/// What a SIGTERM ends: the update, with a save, or the process.
enum class SigtermAction { save_and_exit, exit_immediately };

/// The model file and the training state beside it: where a run begins, and what it leaves behind.
struct SavingOptions {
  std::string model = "model.npz";
  std::string pretrained_model;
  SchedulePeriod save_freq{10000};
  bool overwrite = false;
  bool overwrite_checkpoint = true;
  bool no_reload = false;
  bool no_optimizer_reload = false;
  bool no_restore_corpus = false;
  SigtermAction sigterm = SigtermAction::save_and_exit;

  void model_settings(Settings& v);  ///< the files to begin with
  void settings(Settings& v);
  void validate() const;
  /// Takes out what is meant for the start that it is given at: <model>.yml, with which a run goes on, lacks it.
  static void drop_options_of_one_start(Yaml& settings);
};

}  // namespace bough
