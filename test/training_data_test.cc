// The training corpus: what it serves, where it resumes, and what it says about bad files.
#include "data/training_data.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "core/base/files.h"
#include "data/dictionary.h"
#include "data/token_cache.h"
#include "test/catch.h"
#include "test/child_process.h"
#include "test/concatenated_batch.h"
#include "test/corpus_files.h"
#include "test/scratch_folder.h"
#include "test/throws.h"

using namespace bough;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// A corpus of files with word vocabularies, in a folder of its own.
struct Setup {
  ScratchFolder folder;
  ParallelText text;
  TrainingDataOptions options;

  explicit Setup(int pairs, uint64_t seed = 1) : text(make_parallel_text(pairs, seed)) {
    write_text(folder / "src", join_lines(text.source));
    write_text(folder / "trg", join_lines(text.target));
    options.corpus.train_sets = {folder / "src", folder / "trg"};
    options.corpus.tempdir = folder / "";
    options.corpus.max_length = 100;
    options.vocabulary.data_threads = 2;
    options.vocabulary.paths = {folder / "src.yml", folder / "trg.yml"};
    options.batch.mini_batch_words = 1000;
    options.seed = 5;
  }
  std::vector<std::shared_ptr<Vocabulary>> vocabularies() const {
    return load_or_create_vocabularies(options.vocabulary, options.corpus);
  }
  TrainingData data() const { return TrainingData(options, vocabularies()); }
  std::string message() const {
    return message_of([&] { data(); });
  }
};

std::vector<int64_t> sentence_ids(const UpdateBatches& update) {
  std::vector<int64_t> ids;
  for (const Batch& batch : update.micro) ids.insert(ids.end(), batch.sentence_ids.begin(), batch.sentence_ids.end());
  return ids;
}

/// The order of one whole epoch; checks that it holds each of `pairs` once.
std::vector<int64_t> read_epoch(TrainingData& data, int64_t pairs) {
  std::vector<int64_t> ids;
  for (bool done = false; !done;) {
    const UpdateBatches update = data.next();
    const auto more = sentence_ids(update);
    ids.insert(ids.end(), more.begin(), more.end());
    done = update.ends_epoch;
  }
  REQUIRE(std::set<int64_t>(ids.begin(), ids.end()).size() == ids.size());
  REQUIRE(int64_t(ids.size()) == pairs);
  return ids;
}

/// Everything the model sees of an update.
std::vector<std::vector<int32_t>> content(const UpdateBatches& update) {
  std::vector<std::vector<int32_t>> parts;
  for (const Batch& batch : update.micro) {
    for (const PackedSide* side : {&batch.source, &batch.target}) {
      parts.insert(parts.end(), {side->ids, side->positions, side->segments, side->offsets, side->order});
      parts.push_back({side->row_offset});
    }
    parts.insert(parts.end(), {batch.labels, batch.alignment_offsets, batch.alignment_keys});
    for (const Bin& bin : batch.bins)
      parts.push_back({bin.first_sentence, bin.end_sentence, bin.q0, bin.nq, bin.k0, bin.nk});
  }
  return parts;
}

void check_same_stream(TrainingData& a, TrainingData& b, int updates) {
  for (int i = 0; i < updates; ++i) {
    REQUIRE(content(a.next()) == content(b.next()));
    REQUIRE(a.state() == b.state());
  }
}

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

TEST_CASE("each epoch holds every pair once, each in another order", "[data]") {
  const Setup setup(3000);
  for (const ShuffleKind shuffle : {ShuffleKind::data, ShuffleKind::batches, ShuffleKind::none})
    for (const SortKind sort : {SortKind::none, SortKind::source, SortKind::target})
      for (const int words : {0, 1000}) {
        auto options = setup.options;
        options.corpus.shuffle = shuffle;
        options.batch.maxi_batch_sort = sort;
        options.batch.maxi_batch = 10;
        options.batch.mini_batch_words = words;
        TrainingData data(options, setup.vocabularies());
        const auto first = read_epoch(data, 3000);
        CHECK(data.epoch() == 1);
        CHECK(data.state().epoch == 2);
        const auto second = read_epoch(data, 3000);
        CHECK(data.epoch() == 2);
        CHECK((first == second) == (shuffle == ShuffleKind::none));
      }
}

TEST_CASE("sentences end with the words that the vocabularies have for it", "[data]") {
  Setup setup(200);
  setup.vocabularies();  // made: </s> is 0
  for (const char* side : {"src", "trg"}) {
    std::vector<std::string> words = read_dictionary(setup.folder / (std::string(side) + ".yml"));
    std::swap(words[0], words[side == std::string("src") ? 5 : 6]);
    std::string text;
    for (const std::string& word : words) text += word + "\n";
    write_text(setup.folder / (std::string(side) + ".words"), text);
  }
  setup.options.vocabulary.paths = {setup.folder / "src.words", setup.folder / "trg.words"};
  TrainingData data = setup.data();
  const UpdateBatches update = data.next();
  for (const Batch& batch : update.micro)
    for (int32_t s = 0; s < batch.sentences(); ++s) {
      CHECK(batch.source.ids[size_t(batch.source.offsets[size_t(s) + 1]) - 1] == 5);
      CHECK(batch.labels[size_t(batch.target.offsets[size_t(s) + 1]) - 1] == 6);
    }
}

TEST_CASE("another seed is another order, the same seed the same", "[data]") {
  Setup setup(500);
  auto a = setup.data(), b = setup.data();
  check_same_stream(a, b, 30);
  setup.options.seed = 6;
  auto c = setup.data();
  auto d = setup.data();
  CHECK(content(c.next()) == content(d.next()));
  setup.options.seed = 5;
  auto e = setup.data();
  CHECK(content(e.next()) != content(c.next()));
}

TEST_CASE("restored at any point, the stream goes on byte for byte", "[data]") {
  Setup setup(2500);
  const int delay = GENERATE(1, 3);
  const int words = GENERATE(0, 700);
  setup.options.shape.delay = delay;
  setup.options.batch.mini_batch_words = words;
  setup.options.batch.mini_batch_warmup = {20, ScheduleUnit::updates};
  auto whole = setup.data();
  std::vector<LoaderState> states = {whole.state()};
  std::vector<std::vector<std::vector<int32_t>>> contents;
  constexpr int updates = 120;
  for (int i = 0; i < updates; ++i) {
    contents.push_back(content(whole.next()));
    states.push_back(whole.state());
  }
  CHECK(whole.epoch() > 1);
  RandomStream random(3);
  auto resumed = setup.data();
  for (int trial = 0; trial < 25; ++trial) {
    const auto at = random.below(updates);
    resumed.restore(states[at]);
    CHECK(resumed.state() == states[at]);
    for (auto i = at; i < std::min<uint64_t>(at + 3, updates); ++i) {
      REQUIRE(content(resumed.next()) == contents[i]);
      REQUIRE(resumed.state() == states[i + 1]);
    }
  }
}

TEST_CASE("budgets hold on both sides and are well used", "[data]") {
  Setup setup(8000);
  setup.options.batch.mini_batch_words = 4096;
  auto data = setup.data();
  const auto limits = data.limits();
  CHECK(limits.target_tokens == 4096);
  CHECK(limits.source_tokens == int64_t(std::ceil(4096 * data.statistics().length_ratio())));
  double fill = 0;
  int updates = 0;
  for (bool done = false; !done; ++updates) {
    const auto update = data.next();
    REQUIRE(update.micro.size() == 1);
    const Batch& batch = update.micro[0];
    REQUIRE(batch.source.rows() <= limits.source_tokens);
    REQUIRE(batch.target.rows() <= limits.target_tokens);
    REQUIRE(update.target_fill == batch.target.rows() / 4096.0);
    done = update.ends_epoch;
    if (!done) fill += update.target_fill;
  }
  CHECK(fill / (updates - 1) > 0.97);
}

TEST_CASE("row numbers count over the whole update; one batch of all is the same rows", "[data]") {
  Setup setup(2000);
  setup.options.shape = {.devices = 1, .delay = 6};
  setup.options.batch.mini_batch_words = 500;
  auto data = setup.data();
  for (int i = 0; i < 5; ++i) {
    const auto update = data.next();
    REQUIRE(update.micro.size() == 6);
    int32_t source = 0, target = 0;
    for (const Batch& batch : update.micro) {
      REQUIRE(batch.source.row_offset == source);
      REQUIRE(batch.target.row_offset == target);
      source += batch.source.rows();
      target += batch.target.rows();
    }
    CHECK(update.source_tokens == source);
    CHECK(update.target_tokens == target);
    const Batch whole = concatenate(update.micro);
    CHECK(whole.target.rows() == target);
    CHECK(whole.target.row_offset == 0);
  }
}

TEST_CASE("devices share one plan of updates: micro-batch i belongs to device i mod their number", "[data]") {
  Setup setup(300);
  setup.options.batch.mini_batch_words = 500;
  setup.options.shape = {.devices = 1, .delay = 6};
  auto whole = setup.data();
  setup.options.batch.mini_batch_words = 1500;  // for all devices
  std::vector<std::unique_ptr<TrainingData>> shares;
  for (const int device : {0, 1, 2}) {
    setup.options.shape = {.devices = 3, .delay = 2, .device = device};
    shares.push_back(std::make_unique<TrainingData>(setup.options, setup.vocabularies()));
    CHECK(shares.back()->limits().micro_batches == 6);
    CHECK(shares.back()->limits().target_tokens == 500);
  }
  size_t least = 6;  // micro-batches of an update: the last one of the epoch is small
  for (bool done = false; !done;) {
    const UpdateBatches all = whole.next();
    done = all.ends_epoch;
    least = all.micro.size();
    UpdateBatches joined;
    joined.micro.resize(all.micro.size());
    for (size_t device = 0; device < shares.size(); ++device) {
      const UpdateBatches share = shares[device]->next();
      REQUIRE(share.micro.size() == (all.micro.size() + 2 - device) / 3);
      for (size_t i = 0; i < share.micro.size(); ++i) joined.micro[device + 3 * i] = share.micro[i];
      CHECK(share.target_tokens == all.target_tokens);
      CHECK(share.target_fill == all.target_fill);
      CHECK(shares[device]->state() == whole.state());
    }
    CHECK(content(joined) == content(all));
  }
  CHECK(least < 6);
  setup.options.batch.mini_batch_words = 0;
  setup.options.batch.mini_batch = 2;
  CHECK(setup.message() ==
        "mini-batch: 2 sentences an update cannot be shared by 3 devices; raise it, or use fewer devices");
}

TEST_CASE("the update that mini-batch-fit has chosen is cut for those who go on", "[data]") {
  Setup setup(1000);
  setup.options.batch.mini_batch_words = 0;
  setup.options.batch.mini_batch_fit = true;
  const auto cut = [&](int devices, int delay, int64_t most, int64_t fitted) {
    setup.options.shape = {.devices = devices, .delay = delay};
    auto data = setup.data();
    data.fit_budgets(most, fitted);
    return std::vector<int64_t>{data.limits().micro_batches, data.limits().target_tokens, data.state().fitted_tokens};
  };
  CHECK(cut(1, 1, 800, 0) == std::vector<int64_t>{1, 800, 800});
  CHECK(cut(2, 3, 800, 0) == std::vector<int64_t>{6, 800, 4800});
  CHECK(cut(2, 3, 800, 4800) == std::vector<int64_t>{6, 800, 4800});  // as it was
  CHECK(cut(4, 1, 1000, 800) == std::vector<int64_t>{4, 200, 800});
  CHECK(cut(1, 1, 300, 800) == std::vector<int64_t>{3, 267, 800});
}

TEST_CASE("mini-batch counts sentences of an update, times optimizer-delay", "[data]") {
  Setup setup(1000);
  setup.options.batch.mini_batch_words = 0;
  setup.options.batch.mini_batch = 32;
  setup.options.shape.delay = 4;
  auto data = setup.data();
  const auto update = data.next();
  CHECK(update.micro.size() == 4);
  CHECK(update.sentences == 128);
  CHECK(update.micro[0].sentences() == 32);
  CHECK(data.most_target_rows() >= update.micro[0].target.rows());
  CHECK(data.most_target_rows() < 32 * data.statistics().longest_target);
  setup.options.corpus.shuffle = ShuffleKind::none;
  auto ordered = setup.data();
  auto ids = sentence_ids(ordered.next());
  std::sort(ids.begin(), ids.end());
  CHECK(ids.front() == 0);
  CHECK(ids.back() == 127);
}

TEST_CASE("warmup grows the batches", "[data]") {
  Setup setup(3000);
  setup.options.batch.mini_batch_warmup = {10, ScheduleUnit::updates};
  auto data = setup.data();
  const auto first = data.next().target_tokens;
  CHECK(first <= 100);
  for (int i = 0; i < 8; ++i) data.next();
  CHECK(data.next().target_tokens > 900);
}

TEST_CASE("sorting by length makes batches of similar sentences", "[data]") {
  Setup setup(4000);
  const auto spread = [&](SortKind sort) {
    setup.options.batch.maxi_batch_sort = sort;
    auto data = setup.data();
    double sum = 0;
    for (int i = 0; i < 20; ++i) {
      const auto update = data.next();
      const auto& offsets = update.micro[0].target.offsets;
      int32_t low = 1000, high = 0;
      for (size_t s = 0; s + 1 < offsets.size(); ++s) {
        low = std::min(low, offsets[s + 1] - offsets[s]);
        high = std::max(high, offsets[s + 1] - offsets[s]);
      }
      sum += high - low;
    }
    return sum / 20;
  };
  CHECK(spread(SortKind::target) < 0.5 * spread(SortKind::none));
}

TEST_CASE("plain, gzip, tab-separated, piped and in memory are the same corpus", "[data]") {
  Setup setup(1200);
  auto plain = setup.data();
  Setup other(1200);
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

TEST_CASE("the number of data-threads changes nothing", "[data]") {
  Setup setup(1500);
  const auto vocabularies = setup.vocabularies();
  setup.options.corpus.shuffle_in_ram = true;
  setup.options.vocabulary.data_threads = 1;
  TrainingData one(setup.options, vocabularies);
  setup.options.vocabulary.data_threads = 7;
  TrainingData seven(setup.options, vocabularies);
  check_same_stream(one, seven, 40);
}

TEST_CASE("standard input is one epoch, resumable from the same lines; given again after its end another", "[data]") {
  // More than one window, so that the resumed reader has lines to skip.
  const int pairs = int(Corpus::stream_window_lines) + 3000;
  Setup setup(10);
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

TEST_CASE("text that one of several processes reads is dealt out: all have the batches of one", "[data]") {
  const int pairs = int(Corpus::stream_window_lines) + 4000;
  Setup setup(10);
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
  Setup setup(100);
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

TEST_CASE("long pairs are dropped and counted, or cut", "[data]") {
  Setup setup(200);
  setup.options.corpus.max_length = 12;
  auto data = setup.data();
  const auto& found = data.statistics();
  CHECK(found.lines == 200);
  CHECK(found.dropped > 0);
  CHECK(found.pairs + found.dropped == 200);
  CHECK(found.longest_target <= 12);
  read_epoch(data, found.pairs);
  setup.options.corpus.max_length_crop = true;
  auto cropped = setup.data();
  CHECK(cropped.statistics().pairs == 200);
  CHECK(cropped.statistics().cropped == found.dropped);
  CHECK(cropped.statistics().longest_source == 12);
  read_epoch(cropped, 200);
}

TEST_CASE("the cache is used again, and rebuilt when it is cut short or the corpus changes", "[data]") {
  Setup setup(700);
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
  Setup setup(300);
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
  Setup setup(20);
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
  Setup setup(20);
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
  Setup setup(20000);
  const auto vocabularies = setup.vocabularies();
  const std::string message = message_with_file_limit(1 << 16, [&] { TrainingData(setup.options, vocabularies); });
  CHECK(contains(message, ".tokens' cannot be written"));
  for (const auto& entry : std::filesystem::directory_iterator(setup.folder / ""))
    CHECK(entry.path().extension() != ".tokens");
}

TEST_CASE("windows of a large corpus cover it, each pair once", "[data]") {
  TokenCacheWriter writer("", 1);
  for (uint32_t block = 0; block < 40; ++block) {
    TokenBlock content;
    content.first_line = block * block_lines;
    for (uint32_t i = 0; i < block % 7; ++i) content.add(i, {int32_t(i)}, {});
    writer.add(content);
  }
  const auto cache = writer.finish();
  CHECK(cache->rows_of_longest(3, 0) == 6);  // every source is one token and its end
  CHECK(cache->rows_of_longest(1 << 20, 1) == cache->statistics().target_tokens);
  OrderRules rules;
  rules.window_blocks = 5;
  for (const auto shuffle : {ShuffleKind::data, ShuffleKind::none}) {
    rules.shuffle = shuffle;
    std::set<PairRef> seen;
    std::vector<PairRef> order;
    WindowOrders orders;
    for (int64_t window = 0; window < window_count(*cache, rules); ++window) {
      const std::vector<PairRef> pairs = orders.pairs(*cache, rules, 1, window);
      seen.insert(pairs.begin(), pairs.end());
      order.insert(order.end(), pairs.begin(), pairs.end());
      CHECK(pairs == WindowOrders().pairs(*cache, rules, 1, window));  // whatever was asked before
    }
    CHECK((orders.pairs(*cache, rules, 2, 0) == WindowOrders().pairs(*cache, rules, 1, 0)) ==
          (shuffle == ShuffleKind::none));
    CHECK(int64_t(seen.size()) == cache->statistics().pairs);
    CHECK(order.size() == seen.size());
    CHECK(std::is_sorted(order.begin(), order.end()) == (shuffle == ShuffleKind::none));
  }
}
