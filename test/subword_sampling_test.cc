// sentencepiece-alphas: the distribution of segmentations, and that runs stay reproducible.
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "data/segmentation_sampler.h"
#include "test/catch.h"
#include "test/training_corpus.h"

using namespace bough;

namespace {

struct Setup : CorpusSetup {
  explicit Setup(const std::vector<double>& alphas, const std::string& sentencepiece_options = "")
      : CorpusSetup(make_parallel_text(700, 1, 60)) {
    options.corpus.max_length = 250;
    options.corpus.dim_vocabs = {60, 60};
    options.corpus.sentencepiece_alphas = alphas;
    options.corpus.sentencepiece_options = sentencepiece_options;
    options.vocabulary.paths = {folder / "src.spm", folder / "trg.spm"};
  }
  int64_t caches() const {
    int64_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder / ""))
      count += entry.path().extension() == ".tokens";
    return count;
  }
};

using Ids = std::vector<int32_t>;
/// Token ids of each side of each sentence, by its line.
using Epoch = std::map<int64_t, std::pair<Ids, Ids>>;

Ids sentence(const PackedSide& side, size_t i) {
  return {side.ids.begin() + side.offsets[i], side.ids.begin() + side.offsets[i + 1]};
}

void add(Epoch& epoch, const UpdateBatches& update) {
  for (const Batch& batch : update.micro)
    for (size_t i = 0; i < batch.sentence_ids.size(); ++i)
      epoch[batch.sentence_ids[i]] = {sentence(batch.source, i), sentence(batch.target, i)};
}

Epoch read_epoch(TrainingData& data) {
  Epoch epoch;
  for (bool done = false; !done;) {
    const UpdateBatches update = data.next();
    add(epoch, update);
    done = update.ends_epoch;
  }
  return epoch;
}

bool same(const UpdateBatches& a, const UpdateBatches& b) {
  if (a.micro.size() != b.micro.size()) return false;
  for (size_t i = 0; i < a.micro.size(); ++i)
    if (a.micro[i].source.ids != b.micro[i].source.ids || a.micro[i].target.ids != b.micro[i].target.ids) return false;
  return !a.micro.empty();
}

std::string joined(const std::vector<SegmentationSampler::Piece>& pieces) {
  std::string text;
  for (const auto& piece : pieces) text += (text.empty() ? "" : "|") + piece.text;
  return text;
}

}  // namespace

TEST_CASE("segmentations come as often as their probability to the power of alpha says", "[data][sampling]") {
  // "aéb?": é has two bytes, ? is no piece.
  const std::map<std::string, double> scores = {{"a", -2},    {"é", -3},  {"b", -2.5},
                                                {"aé", -3.5}, {"éb", -6}, {"aéb", -4}};
  std::vector<SegmentationSampler::Piece> pieces;
  for (const auto& [text, score] : scores) pieces.push_back({text, int32_t(pieces.size()) + 2, score});
  const SegmentationSampler sampler(pieces, {"", unknown_id, -20});
  const std::map<std::string, double> all = {{"a|é|b|?", -27.5}, {"aé|b|?", -26}, {"a|éb|?", -28}, {"aéb|?", -24}};
  for (const double alpha : {0.0, 0.3, 1.0}) {
    INFO(alpha);
    RandomStream random(1);
    std::map<std::string, int> counts;
    constexpr int draws = 40000;
    for (int i = 0; i < draws; ++i) ++counts[joined(sampler.sample("aéb?", alpha, random))];
    double total = 0;
    for (const auto& [text, score] : all) total += std::exp(alpha * score);
    CHECK(counts.size() == all.size());
    for (const auto& [text, score] : all) {
      INFO(text);
      const double p = std::exp(alpha * score) / total;
      CHECK(std::abs(counts[text] - draws * p) < 5 * std::sqrt(draws * p * (1 - p)));
    }
  }
  RandomStream random(1);
  CHECK(sampler.sample("", 1, random).empty());
  CHECK(joined(sampler.sample("aéb", 1000, random)) == "aéb");
}

TEST_CASE("a large alpha gives SentencePiece's best segmentation, a small one others of the same text",
          "[data][sampling]") {
  for (const char* options : {"", "--byte_fallback=true"}) {
    INFO(options);
    Setup setup({}, options);
    if (*options) setup.options.corpus.dim_vocabs = {310, 310};
    const auto vocabulary = setup.vocabularies().front();
    REQUIRE(vocabulary->can_sample());
    RandomStream random(7);
    size_t others = 0;
    for (size_t i = 0; i < 100; ++i) {
      const std::string line = setup.text.source[i] + (i % 4 == 0 ? "  Ωμέγα 日本 \t x" : "");
      const Ids best = vocabulary->encode(line);
      const std::string text = vocabulary->decode(best);
      CHECK(vocabulary->sample(line, 1e4, random) == best);
      std::set<Ids> seen;
      for (int k = 0; k < 5; ++k) {
        const Ids drawn = vocabulary->sample(line, 0.1, random);
        CHECK(vocabulary->decode(drawn) == text);
        seen.insert(drawn);
      }
      others += seen.size();
    }
    CHECK(others > 450);
  }
}

TEST_CASE("each epoch draws segmentations anew, of the same text", "[data][sampling]") {
  const Setup setup({0.2, 0});
  TrainingData data = setup.data();
  const auto vocabularies = setup.vocabularies();
  const Epoch first = read_epoch(data), second = read_epoch(data);
  REQUIRE(first.size() == 700);
  REQUIRE(second.size() == 700);
  int others = 0;
  for (const auto& [line, sides] : first) {
    CHECK(vocabularies[0]->decode(sides.first) == setup.text.source[size_t(line)]);
    CHECK(vocabularies[0]->decode(second.at(line).first) == setup.text.source[size_t(line)]);
    others += sides.first != second.at(line).first;
    CHECK(sides.second == second.at(line).second);  // alpha 0
  }
  CHECK(others > 650);
  CHECK(setup.caches() <= 3);  // best segmentations, this epoch, and perhaps the next one, being read ahead
}

TEST_CASE("with sampling, too, the stream depends on neither data-threads nor the place of the cache",
          "[data][sampling]") {
  Setup setup({0.2, 0.1});
  TrainingData usual = setup.data();
  const Epoch first = read_epoch(usual), second = read_epoch(usual);
  setup.options.vocabulary.data_threads = 5;
  setup.options.corpus.shuffle_in_ram = true;
  TrainingData other = setup.data();
  CHECK(read_epoch(other) == first);
  CHECK(read_epoch(other) == second);
  setup.options.seed = 6;
  TrainingData another = setup.data();
  CHECK(read_epoch(another) != first);
}

TEST_CASE("restored in any epoch, sampled segmentations go on byte for byte", "[data][sampling]") {
  Setup setup({0.2, 0.1});
  TrainingData data = setup.data();
  std::vector<LoaderState> states = {data.state()};
  std::vector<UpdateBatches> updates;
  while (data.epoch() < 3) {
    updates.push_back(data.next());
    states.push_back(data.state());
  }
  for (size_t at = 0; at + 1 < updates.size(); at += 5) {
    INFO(at);
    TrainingData again = setup.data();
    again.restore(states[at]);
    CHECK(same(again.next(), updates[at]));
    CHECK(same(again.next(), updates[at + 1]));
  }
  setup.options.corpus.sentencepiece_alphas = {0.3, 0.1};
  TrainingData other = setup.data();
  CHECK(message_of([&] { other.restore(states[3]); }).find("sentencepiece-alphas") != std::string::npos);
}

TEST_CASE("alpha 0 is the best segmentation, byte for byte", "[data][sampling]") {
  const Setup none({}), zero({0, 0});
  TrainingData a = none.data(), b = zero.data();
  CHECK(a.state() == b.state());
  for (int i = 0; i < 30; ++i) CHECK(same(a.next(), b.next()));
  CHECK(a.state() == b.state());
  CHECK(none.caches() == 1);
  CHECK(zero.caches() == 1);
}

TEST_CASE("standard input is sampled as files are", "[data][sampling]") {
  Setup setup({0.2, 0.1});
  TrainingData files = setup.data();
  const Epoch expected = read_epoch(files);
  write_tsv(setup.folder / "tsv", setup.text);
  setup.options.corpus.tsv = true;
  setup.options.corpus.train_sets = {setup.folder / "tsv"};
  TrainingData tabs = setup.data();
  CHECK(read_epoch(tabs) == expected);
  const auto vocabularies = setup.vocabularies();
  setup.options.corpus.train_sets = {"stdin"};
  const StandardInput input(setup.folder / "tsv");
  TrainingData stream(setup.options, vocabularies);
  CHECK(read_epoch(stream) == expected);
}

TEST_CASE("where segmentations cannot be sampled, a sentence says so", "[data][sampling]") {
  const auto message = [](const Setup& setup) { return message_of([&] { setup.data(); }); };
  Setup words({0, 0.1});
  words.options.vocabulary.paths[1] = words.folder / "trg.yml";
  CHECK(message(words) == "sentencepiece-alphas: 0.1 for '" + words.folder / "trg.yml" +
                              "', which is no unigram model of SentencePiece. Give it 0, or another vocabulary.");
  words.options.corpus.sentencepiece_alphas = {0.1, 0};
  CHECK(message(words) == "no exception");
  CHECK(message(Setup({0.1, 0}, "--model_type=bpe")).find("which is no unigram model") != std::string::npos);
  CHECK(message(Setup({0.1})) == "sentencepiece-alphas has 1 values, must have 2: source, target.");
  Setup pieces({0.1, 0.1});
  pieces.options.vocabulary.no_spm_encode = true;
  CHECK(message(pieces).find("sentencepiece-alphas: no-spm-encode says") == 0);
  Setup tight({1e-9, 1e-9});
  const auto vocabularies = tight.vocabularies();
  size_t shortest = SIZE_MAX;
  for (size_t i = 0; i < tight.text.source.size(); ++i)
    shortest = std::min(shortest, std::max(vocabularies[0]->encode(tight.text.source[i]).size(),
                                           vocabularies[1]->encode(tight.text.target[i]).size()));
  tight.options.corpus.max_length = int(shortest) + 1;
  TrainingData data = tight.data();
  CHECK(message_of([&] { data.next(); }).find("sentencepiece-alphas: in epoch 1 all pairs are longer") == 0);
}
