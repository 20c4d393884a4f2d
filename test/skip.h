#pragma once
#include <map>
#include <string>

/// How many test cases could not run here, by reason. test/main.cc lists them; a run that skipped all its cases ends
/// with 77, which ctest reports as skipped.
inline std::map<std::string, int>& skipped_cases() {
  static std::map<std::string, int> counts;
  return counts;
}

/// What a case that cannot run everywhere begins with: if (skips(cuda_device_count() == 0, "no GPU")) return;
inline bool skips(bool is_missing, const std::string& reason) {
  if (is_missing) ++skipped_cases()[reason];
  return is_missing;
}
