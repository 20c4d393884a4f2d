#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/inference/int8_export.h"
#include "core/base/general_options.h"
#include "core/base/settings.h"

namespace bough {

/// Everything bough-vocab can be told (marian-vocab).
struct VocabOptions {
  GeneralOptions general;
  int64_t max_size = 0;  ///< entries, `</s>` and `<unk>` included; 0 = all

  void settings(Settings& v);
  void validate() const;
};

/// Everything bough-average can be told.
struct AverageOptions {
  GeneralOptions general;
  std::vector<std::string> files;  ///< the output, then the inputs
  bool is_export = false, is_float16 = false, is_int8_export = false;
  Calibration calibration;  ///< of is_int8_export

  void settings(Settings& v);
  void validate() const;
};

/// Everything bough-report can be told.
struct ReportOptions {
  GeneralOptions general;
  std::vector<std::string> files;  ///< of metrics, or models that have one
  std::string output = "stdout";

  void settings(Settings& v);
  void validate() const;
};

}  // namespace bough
