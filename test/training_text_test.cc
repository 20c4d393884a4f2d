// Where the training corpus comes from: files of all kinds, pipes, other processes, the cache; and what is said about
// bad ones.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "core/base/files.h"
#include "data/token_cache.h"
#include "data/training_data.h"
#include "test/child_process.h"
#include "test/training_corpus.h"

using namespace bough;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Short pairs, which differ.
ParallelText many_pairs(int pairs) {
  ParallelText text;
  for (int i = 0; i < pairs; ++i) {
    text.source.push_back("s1 s2 s" + std::to_string(i % 7));
    text.target.push_back("t1 t" + std::to_string(i % 5));
  }
  return text;
}

}  // namespace

TEST_CASE("plain, gzip, tab-separated, piped and in memory are the same corpus", "[data]") {
  CorpusSetup setup(1200);
  auto plain = setup.data();
  CorpusSetup other(1200);
  const auto vocabularies = setup.vocabularies();
  write_gzip(other.folder / "src.gz", join_lines(setup.text.source));
  write_gzip(other.folder / "trg.gz", join_lines(setup.text.target));
  write_tsv(other.folder / "both.tsv", setup.text);
  auto options = setup.options;
  options.corpus.train_sets = {other.folder / "src.gz", other.folder / "trg.gz"};
  TrainingData gzip(options, vocabularies);
  options.corpus.shuffle_in_ram = true;
  TrainingData memory(options, vocabularies);
  options.corpus.shuffle_in_ram = false;
  options.corpus.train_sets = {other.folder / "both.tsv"};
  options.corpus.tsv = true;
  TrainingData tsv(options, vocabularies);
  for (int i = 0; i < 40; ++i) {
    const auto expected = content(plain.next());
    REQUIRE(content(gzip.next()) == expected);
    REQUIRE(content(memory.next()) == expected);
    REQUIRE(content(tsv.next()) == expected);
  }
  CHECK(gzip.state() == plain.state());
}

TEST_CASE("standard input is one epoch, resumable from the same lines; given again after its end another", "[data]") {
  // More than one window, so that the resumed reader has lines to skip.
  const int pairs = int(Corpus::stream_window_lines) + 3000;
  CorpusSetup setup(10);
  write_tsv(setup.folder / "tsv", many_pairs(pairs));
  const auto vocabularies = setup.vocabularies();
  setup.options.corpus.train_sets = {"stdin"};
  setup.options.corpus.tsv = true;
  setup.options.batch.mini_batch_words = 30000;
  std::vector<std::vector<std::vector<int32_t>>> contents;
  std::vector<LoaderState> states;
  {
    const StandardInput input(setup.folder / "tsv");
    TrainingData data(setup.options, vocabularies);
    int64_t sentences = 0;
    for (auto update = data.next(); !update.micro.empty(); update = data.next()) {
      sentences += update.sentences;
      contents.push_back(content(update));
      states.push_back(data.state());
    }
    CHECK(sentences == pairs);
    CHECK(data.next().micro.empty());
    CHECK(data.epoch() == 1);
  }
  for (const size_t at : {size_t{0}, states.size() - 2, states.size() - 1}) {
    const StandardInput input(setup.folder / "tsv");
    setup.options.stream_pass = states[at].stream_pass();
    TrainingData data(setup.options, vocabularies);
    data.restore(states[at]);
    if (at + 1 < states.size()) {
      REQUIRE(content(data.next()) == contents[at + 1]);
      REQUIRE(data.state() == states[at + 1]);
    } else {
      // It had ended: these lines are a second pass, in another order, in which a run can be resumed, too.
      int64_t sentences = 0;
      std::vector<LoaderState> second;
      std::vector<std::vector<std::vector<int32_t>>> after;
      for (auto update = data.next(); !update.micro.empty(); update = data.next()) {
        CHECK(update.epoch == 2);
        sentences += update.sentences;
        after.push_back(content(update));
        second.push_back(data.state());
      }
      CHECK(sentences == pairs);
      CHECK(after.front() != contents.front());
      const StandardInput again(setup.folder / "tsv");
      TrainingData resumed(setup.options, vocabularies);
      resumed.restore(second.front());
      REQUIRE(content(resumed.next()) == after[1]);
    }
  }
}

TEST_CASE("each pass through standard input draws other segmentations, from the first line on", "[data]") {
  CorpusSetup setup(400);
  setup.options.corpus.dim_vocabs = {60, 60};
  setup.options.vocabulary.paths = {setup.folder / "v.spm", setup.folder / "v.spm"};
  const auto vocabularies = setup.vocabularies();
  write_tsv(setup.folder / "tsv", setup.text);
  setup.options.corpus.train_sets = {"stdin"};
  setup.options.corpus.tsv = true;
  setup.options.corpus.sentencepiece_alphas = {0.1, 0.1};
  const auto window_of_pass = [&](int64_t pass) {
    const StandardInput input(setup.folder / "tsv");
    setup.options.stream_pass = pass;
    return TrainingData(setup.options, vocabularies).state().corpus;
  };
  CHECK(window_of_pass(1) == window_of_pass(1));
  CHECK(window_of_pass(1) != window_of_pass(2));
}

TEST_CASE("text that changes while it is encoded is not taken for the other", "[data]") {
  CorpusSetup setup(700);
  setup.options.corpus.dim_vocabs = {60, 60};
  setup.options.vocabulary.paths = {setup.folder / "v.spm", setup.folder / "v.spm"};
  setup.options.corpus.sentencepiece_alphas = {0.1, 0.1};
  TrainingData data = setup.data();
  std::ofstream(setup.folder / "src", std::ios::app) << "s1 s2\n";
  std::ofstream(setup.folder / "trg", std::ios::app) << "t1\n";
  CHECK(contains(message_of([&] { data.next(); }), "has changed since training began"));
  std::filesystem::remove(setup.folder / "src");
  CHECK(contains(message_of([&] { data.next(); }), "'" + (setup.folder / "src") + "'"));
}

TEST_CASE("a pipe may lose its name once it is open", "[data]") {
  CorpusSetup setup(700);
  const auto statistics = setup.data().statistics();
  const std::filesystem::path pipe = setup.folder / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  std::thread writer([&] {
    std::ofstream to(pipe);
    std::filesystem::remove(pipe);
    to << std::ifstream(setup.folder / "src").rdbuf();
  });
  setup.options.corpus.train_sets[0] = pipe;
  CHECK(setup.data().statistics().pairs == statistics.pairs);
  writer.join();
}

TEST_CASE("weights and alignments in one file are two corpora", "[data]") {
  CorpusSetup setup(20);
  write_text(setup.folder / "numbers", join_lines(std::vector<std::string>(20, "1")));
  setup.options.corpus.data_weighting = setup.folder / "numbers";
  setup.data();
  setup.options.corpus.data_weighting.clear();
  setup.options.corpus.guided_alignment = setup.folder / "numbers";
  CHECK(contains(setup.message(), "'1' is no alignment point"));
}

TEST_CASE("text that one of several processes reads is dealt out: all have the batches of one", "[data]") {
  const int pairs = int(Corpus::stream_window_lines) + 4000;
  CorpusSetup setup(10);
  const ParallelText text = many_pairs(pairs);
  write_tsv(setup.folder / "tsv", text);
  const auto vocabularies = setup.vocabularies();
  setup.options.corpus.tsv = true;

  for (const bool is_stream : {true, false}) {
    INFO((is_stream ? "standard input" : "a pipe"));
    const std::string pipe = setup.folder / "pipe";
    setup.options.corpus.train_sets = {is_stream ? "stdin" : pipe};
    REQUIRE((is_stream || mkfifo(pipe.c_str(), 0600) == 0));
    const auto open = [&](UpdateShape shape, std::shared_ptr<WindowDeal> deal) {
      auto options = setup.options;
      options.shape = shape;
      options.batch.mini_batch_words = 3000 * shape.devices;
      options.deal = deal;
      std::jthread writer;
      if (!is_stream && !(deal && deal->receives())) writer = std::jthread([&] { write_tsv(pipe, text); });
      return std::make_unique<TrainingData>(options, vocabularies);
    };
    CHECK(find_read_once({setup.folder / "tsv", setup.options.corpus.train_sets[0]}) ==
          setup.options.corpus.train_sets[0]);
    CHECK(find_read_once({setup.folder / "tsv", setup.folder / "absent"}) == "");
    std::vector<std::vector<std::vector<int32_t>>> contents;
    std::vector<LoaderState> states;
    {
      const StandardInput input(setup.folder / "tsv");
      const auto whole = open({.devices = 1, .delay = 2}, nullptr);
      for (auto update = whole->next(); !update.micro.empty() && update.epoch == 1; update = whole->next()) {
        contents.push_back(content(update));
        states.push_back(whole->state());
      }
    }
    CHECK((!is_stream || states[states.size() - 2].window == 1));
    // From the beginning, and resumed in the second window.
    for (const size_t from : {size_t{0}, states.size() - 1}) {
      const StandardInput input(setup.folder / "tsv");
      const auto read = std::make_shared<WindowDeal>(false), dealt = std::make_shared<WindowDeal>(true);
      const auto send = [&] {
        for (DealtWindow& window : read->take_all()) dealt->put(std::move(window));
      };
      const auto first = open({.devices = 2, .delay = 1, .device = 0}, read);
      send();
      const auto second = open({.devices = 2, .delay = 1, .device = 1}, dealt);
      CHECK(second->statistics().pairs == first->statistics().pairs);
      if (from > 0) {
        first->restore(states[from - 1]);
        send();
        second->restore(states[from - 1]);
      }
      for (size_t i = from; i < states.size(); ++i) {
        const auto share = first->next_within(std::chrono::hours(1));
        REQUIRE(share);
        send();
        UpdateBatches joined = second->next();
        joined.micro.insert(joined.micro.begin(), share->micro.begin(), share->micro.end());
        REQUIRE(content(joined) == contents[i]);
        REQUIRE(first->state() == states[i]);
        REQUIRE(second->state() == states[i]);
      }
      if (!is_stream) continue;
      CHECK(first->next().sentences == 0);
      send();
      CHECK(second->next().sentences == 0);
    }
  }
}

TEST_CASE("a process that waits for text that another reads can be stopped", "[data]") {
  CorpusSetup setup(100);
  write_tsv(setup.folder / "tsv", setup.text);
  const auto vocabularies = setup.vocabularies();
  setup.options.corpus.train_sets = {"stdin"};
  setup.options.corpus.tsv = true;
  auto read = std::make_shared<WindowDeal>(false), dealt = std::make_shared<WindowDeal>(true);
  {
    const StandardInput input(setup.folder / "tsv");
    setup.options.deal = read;
    const TrainingData first(setup.options, vocabularies);
  }
  dealt->put(read->take_all().front());
  setup.options.deal = dealt;
  TrainingData second(setup.options, vocabularies);
  while (second.next_within(std::chrono::milliseconds(200))) continue;  // the end was not dealt
  CHECK_FALSE(second.next_within(std::chrono::milliseconds(1)));
}

TEST_CASE("the cache is used again, and rebuilt when it is cut short or the corpus changes", "[data]") {
  CorpusSetup setup(700);
  const auto cache_file = [&] {
    std::string found;
    for (const auto& entry : std::filesystem::directory_iterator(setup.folder / ""))
      if (entry.path().extension() == ".tokens") found = entry.path().string();
    return found;
  };
  std::string path;
  std::uintmax_t size = 0;
  {  // closed before the file is cut: a mapped file must not shrink
    auto first = setup.data();
    path = cache_file();
    REQUIRE_FALSE(path.empty());
    const auto made = std::filesystem::last_write_time(path);
    size = std::filesystem::file_size(path);
    auto again = setup.data();
    CHECK(std::filesystem::last_write_time(path) == made);
    check_same_stream(first, again, 5);
  }

  std::filesystem::resize_file(path, size / 2);
  auto rebuilt = setup.data();
  CHECK(std::filesystem::file_size(path) == size);
  auto reference = setup.data();
  check_same_stream(rebuilt, reference, 5);

  const auto state = reference.state();
  std::ofstream(setup.folder / "src", std::ios::app) << "s1 s2\n";
  std::ofstream(setup.folder / "trg", std::ios::app) << "t1\n";
  auto changed = setup.data();
  CHECK(changed.statistics().pairs == 701);
  CHECK(contains(message_of([&] { changed.restore(state); }), "not the text that this model was trained on"));
}

TEST_CASE("a cache with any damaged byte is made anew", "[data]") {
  CorpusSetup setup(300);
  std::string path;
  const auto made = [&] {
    auto data = setup.data();
    for (const auto& entry : std::filesystem::directory_iterator(setup.folder / ""))
      if (entry.path().extension() == ".tokens") path = entry.path().string();
    return read_whole_file(path);
  };
  const std::string whole = made();
  const auto key = [&] {  // the file's name has it
    return std::stoull(std::filesystem::path(path).stem().string().substr(std::string("bough-").size()), nullptr, 16);
  }();
  REQUIRE(TokenCache::open(path, key) != nullptr);
  std::vector<char> bytes(whole.begin(), whole.end());
  for (size_t at = 0; at < bytes.size(); at += at < 400 ? 1 : 101)
    for (const int change : {1, 255}) {
      bytes[at] = char(bytes[at] ^ change);
      REQUIRE(TokenCache::adopt(bytes, key) == nullptr);
      bytes[at] = char(bytes[at] ^ change);
    }
  for (const size_t size : {size_t{0}, size_t{8}, size_t{111}, size_t{112}, whole.size() - 8, whole.size() - 1})
    CHECK(TokenCache::adopt({bytes.begin(), bytes.begin() + std::ptrdiff_t(size)}, key) == nullptr);
  write_text(path, whole.substr(0, 500) + "damage" + whole.substr(506));
  CHECK(made() == whole);
  std::filesystem::remove(path);
  write_text(setup.folder / "precious", "precious");
  std::filesystem::create_symlink(setup.folder / "precious", path);
  CHECK(made() == whole);
  CHECK(read_whole_file(setup.folder / "precious") == "precious");
}

TEST_CASE("what is wrong with a corpus is said in a sentence", "[data]") {
  CorpusSetup setup(20);
  const auto vocabularies = setup.vocabularies();
  const std::string source = setup.folder / "src", target = setup.folder / "trg";
  const auto message = [&] { return message_of([&] { TrainingData(setup.options, vocabularies); }); };

  write_text(source, join_lines(setup.text.source) + "one more\nand more\n");
  CHECK(contains(message(), "src' has 22 lines but '" + target + "' has 20"));
  write_text(source, "");
  CHECK(contains(message(), "has 0 lines but"));
  write_text(target, "");
  CHECK(contains(message(), "is empty"));
  write_text(source, "a\nb\xFFz\n");
  write_text(target, "a\nb\n");
  CHECK(contains(message(), "src': line 2 is not valid UTF-8 at byte 2"));
  write_text(source, std::string("a\nb\0z\n", 6));
  CHECK(contains(message(), "src': line 2 contains a NUL byte"));
  write_text(source, "a b c\nd e\n");
  write_text(target, "a b\nb\n");
  setup.options.corpus.max_length = 2;
  CHECK(contains(message(), "each of the 2 sentence pairs has a side longer than max-length = 2"));
  setup.options.corpus.max_length = 100;
  setup.options.batch.mini_batch_words = 2;
  CHECK(contains(message(), "mini-batch-words: 2 target tokens a batch are fewer than the longest sentence has (3)"));
  setup.options.corpus.train_sets[0] = setup.folder / "none";
  CHECK(contains(message(), "none' does not exist"));
  setup.options.corpus.train_sets = {source};
  CHECK(contains(message(), "train-sets has 1 files, must have 2"));
  setup.options.corpus.tsv = true;
  write_text(source, "a\tb\nc\td\te\n");
  CHECK(contains(message(), "src': line 2 has 3 tab-separated fields, must have 2"));
}

TEST_CASE("lines of a megabyte are read", "[data]") {
  CorpusSetup setup(20);
  const auto vocabularies = setup.vocabularies();
  std::string line;
  while (line.size() < (1 << 20)) line += "s1 s2 ";
  write_text(setup.folder / "src", join_lines(setup.text.source) + line + "\n");
  write_text(setup.folder / "trg", join_lines(setup.text.target) + "t1\n");
  TrainingData data(setup.options, vocabularies);
  CHECK(data.statistics().dropped == 1);
  setup.options.corpus.max_length = 1 << 20;
  setup.options.batch.mini_batch_words = 0;
  TrainingData all(setup.options, vocabularies);
  CHECK(all.statistics().longest_source > 340000);
  read_epoch(all, 21);
}

TEST_CASE("a full disk while the cache is written is one sentence and leaves no cache", "[data]") {
  CorpusSetup setup(20000);
  const auto vocabularies = setup.vocabularies();
  const std::string message = message_with_file_limit(1 << 16, [&] { TrainingData(setup.options, vocabularies); });
  CHECK(contains(message, ".tokens' cannot be written"));
  for (const auto& entry : std::filesystem::directory_iterator(setup.folder / ""))
    CHECK(entry.path().extension() != ".tokens");
}
