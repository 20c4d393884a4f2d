#pragma once
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "apps/option_parser.h"
#include "test/scratch_folder.h"

// Command lines given to the programs' parsers, and what becomes of them.

namespace bough {

using Strings = std::vector<std::string>;

template <class Parse>
auto run(Parse parse, const Strings& arguments) {
  std::vector<const char*> argv = {"bough"};
  for (const auto& argument : arguments) argv.push_back(argument.c_str());
  return parse(int(argv.size()), argv.data());
}

inline const Strings train_base = {"--train-sets", "c.en",   "c.de", "--vocabs",   "v.spm",
                                   "v.spm",        "--seed", "1",    "--no-reload"};
inline const Strings translate_base = {"-m", "m.npz", "-v", "v.spm", "v.spm", "--seed", "1"};
inline const Strings scorer_base = {"-t", "a", "b", "-v", "v.spm", "v.spm", "--seed", "1"};

inline Strings join(Strings a, const Strings& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// bough-train with these on top of what it must have.
inline TrainOptions train(const Strings& arguments) { return *run(parse_train_options, join(train_base, arguments)); }
inline TranslateOptions translate(const Strings& arguments) {
  return *run(parse_translate_options, join(translate_base, arguments));
}
inline TrainOptions train_yaml(const std::string& text, const Strings& arguments = {}) {
  const ScratchFolder folder;
  return train(join({"-c", folder.file("config.yml", text)}, arguments));
}

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

/// What f writes to stdout.
template <class F>
std::string output_of(F f) {
  const ScratchFolder folder;
  const std::string path = folder / "stdout";
  std::fflush(stdout);
  const int saved = ::dup(1);
  std::FILE* file = std::fopen(path.c_str(), "w");
  ::dup2(::fileno(file), 1);
  f();
  std::fflush(stdout);
  ::dup2(saved, 1);
  ::close(saved);
  std::fclose(file);
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace bough
