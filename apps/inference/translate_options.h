#pragma once
#include <string>
#include <vector>

#include "apps/inference/decoding_options.h"
#include "apps/inference/machine_options.h"
#include "apps/inference/shortlist.h"
#include "core/base/general_options.h"
#include "data/data_options.h"

namespace bough {

/// Everything bough-translate can be told.
struct TranslateOptions {
  GeneralOptions general;
  MachineOptions machine;
  std::vector<std::string> models;
  std::vector<double> weights;  ///< see Ensemble; empty: all 1
  std::vector<std::string> input = {"stdin"};
  std::string output = "stdout";
  bool no_spm_decode = false;
  SchedulePeriod stat_freq;  ///< in batches
  VocabularyOptions vocabulary;
  CorpusOptions corpus;  ///< max_length, max_length_crop, tsv and tsv_fields only
  BatchOptions batch;
  DecodingOptions decoding;
  ShortlistOptions shortlist;

  TranslateOptions();
  void settings(Settings& v);
  void resolve(const GivenNames& given);
  void validate() const;
};

}  // namespace bough
