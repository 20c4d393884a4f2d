#pragma once
#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/random.h"

/// Writes text to a file, replacing it.
inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline void write_gzip(const std::string& path, const std::string& text) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), unsigned(text.size()));
  gzclose(file);
}

inline std::string join_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

struct ParallelText {
  std::vector<std::string> source, target;
};

/// Sentences of about 13 words a side with realistic spread; both sides of a pair alike in length.
/// Word k occurs about 1/k as often as the first; the first word of the source is unique
/// ("line17").
inline ParallelText make_parallel_text(int pairs, uint64_t seed, int words = 500) {
  bough::RandomStream random(seed);
  const auto sentence = [&](int length, const std::string& stem) {
    std::string text;
    for (int i = 0; i < length; ++i) {
      const double u = random.uniform();
      text += " " + stem + std::to_string(int(words * u * u * u));
    }
    return text;
  };
  ParallelText text;
  for (int i = 0; i < pairs; ++i) {
    // The sum of uniforms is near a bell; squaring one adds the long tail of real text.
    const double u = random.uniform(), v = random.uniform(), w = random.uniform();
    const int length = 3 + int(8 * u + 6 * v + 22 * w * w * w);
    const int other = std::max(1, length + int(random.below(7)) - 3);
    text.source.push_back("line" + std::to_string(i) + sentence(length - 1, "s"));
    text.target.push_back("zeile" + std::to_string(i) + sentence(other - 1, "t"));
  }
  return text;
}

inline void write_tsv(const std::string& path, const ParallelText& text) {
  std::string lines;
  for (size_t i = 0; i < text.source.size(); ++i) lines += text.source[i] + "\t" + text.target[i] + "\n";
  write_text(path, lines);
}

/// Replaces standard input by a file while it lives.
class StandardInput {
 public:
  explicit StandardInput(const std::string& path) : saved_(dup(STDIN_FILENO)) {
    FILE* file = fopen(path.c_str(), "rb");
    dup2(fileno(file), STDIN_FILENO);
    fclose(file);
  }
  ~StandardInput() {
    dup2(saved_, STDIN_FILENO);
    close(saved_);
  }

 private:
  int saved_;
};
