#pragma once
#include <sstream>
#include <string>
#include <vector>

#include "core/base/error.h"

/// Splits like a shell: words, with double quotes around some.
inline std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::istringstream in(line);
  for (std::string word; in >> word;) {
    if (word.front() == '"') {
      std::string rest;
      if (word.size() == 1 || word.back() != '"') {
        std::getline(in, rest, '"');
        word = word.substr(1) + rest;
      } else {
        word = word.substr(1, word.size() - 2);
      }
    }
    words.push_back(word);
  }
  return words;
}

/// What an option parser (apps/option_parser.h) makes of a command line without the program's name.
template <class Parse>
auto run(Parse parse, const std::string& line) {
  const auto words = words_of(line);
  std::vector<const char*> argv = {"bough"};
  for (const auto& word : words) argv.push_back(word.c_str());
  return *parse(int(argv.size()), argv.data());
}

/// Its error; "" without one.
template <class Parse>
std::string error_of(Parse parse, const std::string& line) {
  try {
    run(parse, line);
  } catch (const bough::Error& e) {
    return e.what();
  }
  return "";
}
