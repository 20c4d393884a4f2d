#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/training/validation_metric.h"
#include "core/base/settings.h"

namespace bough {

/// Which metrics must have stalled for training to stop early: the first one, all of them, or any.
enum class StopOn { first, all, any };

/// What is measured on the validation set, when, and what follows from it.
struct ValidationOptions {
  std::vector<std::string> valid_sets;
  SchedulePeriod valid_freq{10000};
  bool valid_first = false;
  std::vector<const ValidationMetric*> metrics = {&validation_metric("cross-entropy")};
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
  /// Whether there is something to measure: metrics, and validation files, or scripts alone that are given the model.
  bool measures() const;

 private:
  void stopping_settings(Settings& v);
  void output_settings(Settings& v);
};

}  // namespace bough
