#include "apps/inference/shortlist.h"

#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "apps/inference/translator.h"
#include "core/cpu/factory.h"
#include "test/catch.h"
#include "test/scratch_folder.h"
#include "test/small_model.h"
#include "test/throws.h"

using namespace bough;
using Catch::Matchers::Contains;

namespace {

using Ids = std::vector<int32_t>;

/// Two vocabularies of 60 words: </s>, <unk>, a2, a3, ... and b2, b3, ...
struct Files {
  ScratchFolder folder;
  std::shared_ptr<Vocabulary> source = make("source.txt", "a"), target = make("target.txt", "b");

  std::shared_ptr<Vocabulary> make(const std::string& name, const std::string& letter) const {
    std::ofstream out(folder / name);
    out << "</s>\n<unk>\n";
    for (int i = 2; i < 60; ++i) out << letter << i << "\n";
    out.close();
    return load_vocabulary(folder / name, 0);
  }
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(folder / name, std::ios::binary).write(content.data(), std::streamsize(content.size()));
    return folder / name;
  }
  Shortlist open(const ShortlistOptions& options) const { return Shortlist(options, *source, *target); }
};

/// A binary shortlist whose source word s has the target word 59 - s.
std::string binary(uint64_t first, uint64_t words = 60) {
  std::vector<uint64_t> head{0xF11A48D5013417F5, 0, first, 1, words + 1, words};
  for (uint64_t s = 0; s <= words; ++s) head.push_back(s);
  std::string out(reinterpret_cast<const char*>(head.data()), head.size() * sizeof(uint64_t));
  for (uint64_t s = 0; s < words; ++s) {
    const auto id = uint32_t(59 - s);
    out.append(reinterpret_cast<const char*>(&id), sizeof id);
  }
  uint64_t h = 0;
  for (size_t at = 16; at + 8 <= out.size(); at += 8) {
    uint64_t word;
    std::memcpy(&word, out.data() + at, 8);
    h ^= word + 0x9e3779b9 + (h << 6) + (h >> 2);
  }
  std::memcpy(out.data() + 8, &h, 8);
  return out;
}

}  // namespace

TEST_CASE("a sentence's words: the first ids, those of its words, filled up to eight", "[shortlist]") {
  const Files files;
  const std::string text = files.write("lex.s2t",
                                       "b10 a2 0.5\nb11 a2 0.2\nb12 a2 0.3\nNULL a2 0.9\nb13 NULL 0.9\n"
                                       "b20 a3 0.05\nb21 a3 0.04\nb10 a2 0.1\n");
  const Shortlist list = files.open({.path = text, .first = 3, .best = 2, .prune = 0.04});
  CHECK(list.words(Ids{2}, {}, -1) == Ids{0, 1, 2, 3, 4, 5, 10, 12});
  CHECK(list.words(Ids{2, 3}, {}, -1) == Ids{0, 1, 2, 3, 4, 10, 12, 20});
  CHECK(list.words(Ids{3, 3}, Ids{50}, 1) == Ids{0, 2, 3, 4, 5, 20, 50});
  // One vocabulary on both sides: the sentence's own words, too.
  const Shortlist shared({.path = files.write("one.s2t", ""), .first = 1}, *files.source, *files.source);
  CHECK(shared.words(Ids{7, 40}, {}, -1) == Ids{0, 1, 2, 3, 4, 5, 7, 40});
}

TEST_CASE("a binary shortlist", "[shortlist]") {
  const Files files;
  const std::string path = files.write("lex.bin", binary(4));
  CHECK(files.open({.path = path}).words(Ids{2, 3}, {}, -1) == Ids{0, 1, 2, 3, 4, 56, 57, 59});
  std::string damaged = binary(4);
  damaged[20] ^= 1;
  const std::string bad = files.write("bad.bin", damaged);
  CHECK_THAT(message_of([&] { files.open({.path = bad}); }), Contains("is damaged: its checksum is"));
  CHECK_NOTHROW(files.open({.path = bad, .is_checked = false}));
  const std::string other = files.write("other.bin", binary(4, 50));
  CHECK_THAT(message_of([&] { files.open({.path = other}); }),
             Contains("is for 50 source words, the vocabulary has 60"));
  const std::string whole = binary(4);
  for (size_t length = 8; length < whole.size(); length += 7) {
    const std::string part = files.write("part.bin", whole.substr(0, length));
    CHECK_THAT(message_of([&] { files.open({.path = part, .is_checked = false}); }), Contains("is truncated"));
  }
  CHECK_THAT(message_of([&] { files.open({.path = files.folder / "none"}); }), Contains("none"));
  // Offsets without any id, as the fuzzer made them.
  const uint64_t words[] = {0xF11A48D5013417F5, 0, 1, 1, 0, 0};
  const std::string none = files.write("none.bin", std::string(reinterpret_cast<const char*>(words), sizeof words));
  CHECK_THAT(message_of([&] { files.open({.path = none, .is_checked = false}); }), Contains("is for -1 source words"));
  // A pipe is read once: as text.
  CHECK_THAT(message_of([&] { files.open({.path = files.write("copy", whole.substr(4))}); }),
             Contains("control characters"));
  const std::string strange = files.write("strange.s2t", "b2 x2 0.5\nx a2 0.5\n");
  CHECK_THAT(message_of([&] { files.open({.path = strange}); }), Contains("has 2 entries, and no words of"));
  const std::string line = files.write("line.s2t", "b2 a2 0.5\nb2 a2\n");
  CHECK_THAT(message_of([&] { files.open({.path = line}); }), Contains("line 2 is 'b2 a2', must be"));
}

TEST_CASE("a shortlist that comes through a pipe", "[shortlist]") {
  const Files files;
  const std::string path = files.folder / "pipe";
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  std::thread writer([&] { std::ofstream(path) << "b10 a2 0.5\nb11 a2 0.2\n"; });
  const Shortlist list = files.open({.path = path, .first = 3});
  writer.join();
  CHECK(list.words(Ids{2}, {}, -1) == Ids{0, 1, 2, 3, 4, 5, 10, 11});
}

TEST_CASE("the option shortlist", "[shortlist]") {
  ShortlistOptions options;
  CHECK(parse_items({"lex.bin", "false"}, options));
  CHECK_FALSE(options.is_checked);
  CHECK(parse_items({"lex.s2t", "50", "30", "0.1"}, options));
  CHECK((options.first == 50 && options.best == 30 && options.prune == 0.1 && options.is_checked));
  CHECK(format_items(options) == std::vector<std::string>{"lex.s2t", "50", "30", "0.1"});
  CHECK(parse_items({"false"}, options));
  CHECK(options.path.empty());
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {"a", "x"}, {"a", "-1"}, {"a", "1", "0"}, {"a", "1", "1", "-1"}, {"a", "1", "1", "1", "1"}})
    CHECK_FALSE(parse_items(wrong, options));
}

TEST_CASE("translations keep to the shortlist, whatever their batch", "[shortlist][decoding]") {
  const Files files;
  const auto backend = make_cpu_backend(1);
  const Model model = random_model(recurrent(small_options(ResidualKind::post_ln)), *backend);
  const auto sentences = random_sentences(12, 7, 60, 11);
  const auto translate = [&](const Shortlist* shortlist, int mini_batch, int beam, bool samples = false) {
    DecodingOptions decoding;
    decoding.beam_size = beam;
    decoding.allow_unk = true;
    if (samples) decoding.sampling.words = SamplingRule::Words::all;
    TranslatorSettings settings;
    settings.batch.mini_batch = mini_batch;
    settings.batch.maxi_batch = 1;
    settings.shortlist = shortlist;
    return Translator(*model.transformer, *backend, decoding, settings).translate(sentences);
  };
  const Shortlist everything = files.open({.path = files.write("all.s2t", ""), .first = 60});
  const Shortlist few = files.open({.path = files.write("lex.bin", binary(4))});
  for (const int beam : {1, 4}) {
    const auto free = translate(nullptr, 5, beam), all = translate(&everything, 5, beam);
    const auto listed = translate(&few, 5, beam), alone = translate(&few, 1, beam);
    for (size_t i = 0; i < sentences.size(); ++i) {
      CHECK(all[i].front().tokens == free[i].front().tokens);
      CHECK(all[i].front().log_probability == Approx(free[i].front().log_probability).epsilon(1e-4));
      const Ids words = few.words(sentences[i], {}, -1);
      for (const int32_t id : listed[i].front().tokens) CHECK(std::binary_search(words.begin(), words.end(), id));
      CHECK(listed[i].front().tokens == alone[i].front().tokens);
      CHECK(listed[i].front().log_probability == alone[i].front().log_probability);
    }
  }
  const auto drawn = translate(&few, 5, 1, true);
  for (size_t i = 0; i < sentences.size(); ++i) {
    const Ids words = few.words(sentences[i], {}, -1);
    for (const int32_t id : drawn[i].front().tokens) CHECK(std::binary_search(words.begin(), words.end(), id));
  }
}
