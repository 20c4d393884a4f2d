#pragma once
#include <fstream>
#include <string>
#include <vector>

/// The lines of a file, without their ends.
inline std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}
