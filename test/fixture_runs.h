#pragma once
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/option_parser.h"
#include "apps/training/trainer.h"
#include "test/catch.h"
#include "test/corpus_files.h"
#include "test/scratch_folder.h"
#include "test/throws.h"
#include "test_paths.h"

// Runs of a tiny model on the corpus of test/fixtures/.

namespace bough {

inline const std::string fixtures = BOUGH_SOURCE_DIR "/test/fixtures/checkpoint_7c3ff0f/";

inline std::vector<nlohmann::json> read_metrics(const std::string& path) {
  std::ifstream in(path);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

/// Runs in a folder of their own, on the corpus of the fixtures.
struct Runs : ScratchFolder {
  TrainOptions options(const std::string& name, const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"bough-train",
                                      "-m",
                                      *this / (name + ".npz"),
                                      "-c",
                                      *this / "config.yml",
                                      "-t",
                                      fixtures + "corpus.src",
                                      fixtures + "corpus.trg",
                                      "-v",
                                      fixtures + "words.yml",
                                      fixtures + "words.yml",
                                      "--tempdir",
                                      *this / ""};
    words.insert(words.end(), more.begin(), more.end());
    write_text(*this / "config.yml",
               "cpu-threads: 1\nseed: 3\nmini-batch: 4\nlearn-rate: 0.01\nlr-warmup: 30\ndisp-freq: 1\nlog-level: off\n"
               "quiet: true\n");
    std::vector<const char*> arguments;
    for (const auto& word : words) arguments.push_back(word.c_str());
    return *parse_train_options(int(arguments.size()), arguments.data());
  }
  void train(const std::string& name, const std::vector<std::string>& more) const {
    Trainer trainer(options(name, more));
    CHECK(trainer.run() == 0);
  }
  std::string refusal(const std::string& name, const std::vector<std::string>& more) const {
    return message_of([&] { train(name, more); });
  }
  void take(const std::string& name) const {
    std::filesystem::copy_file(fixtures + name + ".npz.optimizer.npz", *this / (name + ".npz.optimizer.npz"));
  }
  std::vector<nlohmann::json> metrics(const std::string& name) const {
    return read_metrics(*this / (name + ".npz.metrics.jsonl"));
  }
};

inline const std::vector<std::string> tiny = {
    "--dim-emb", "8", "--transformer-heads", "2", "--transformer-dim-ffn", "8", "--tied-embeddings-all", "true"};

inline std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace bough
