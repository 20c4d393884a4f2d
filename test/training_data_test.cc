// The training corpus: what it serves in which order, and where it resumes.
#include "data/training_data.h"

#include <set>

#include "data/dictionary.h"
#include "data/token_cache.h"
#include "test/concatenated_batch.h"
#include "test/training_corpus.h"

using namespace bough;

TEST_CASE("each epoch holds every pair once, each in another order", "[data]") {
  const CorpusSetup setup(3000);
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
  CorpusSetup setup(200);
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
  CorpusSetup setup(500);
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
  CorpusSetup setup(2500);
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
  CorpusSetup setup(8000);
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
  CorpusSetup setup(2000);
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
  CorpusSetup setup(300);
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
  CorpusSetup setup(1000);
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
  CorpusSetup setup(1000);
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
  CorpusSetup setup(3000);
  setup.options.batch.mini_batch_warmup = {10, ScheduleUnit::updates};
  auto data = setup.data();
  const auto first = data.next().target_tokens;
  CHECK(first <= 100);
  for (int i = 0; i < 8; ++i) data.next();
  CHECK(data.next().target_tokens > 900);
}

TEST_CASE("sorting by length makes batches of similar sentences", "[data]") {
  CorpusSetup setup(4000);
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

TEST_CASE("the number of data-threads changes nothing", "[data]") {
  CorpusSetup setup(1500);
  const auto vocabularies = setup.vocabularies();
  setup.options.corpus.shuffle_in_ram = true;
  setup.options.vocabulary.data_threads = 1;
  TrainingData one(setup.options, vocabularies);
  setup.options.vocabulary.data_threads = 7;
  TrainingData seven(setup.options, vocabularies);
  check_same_stream(one, seven, 40);
}

TEST_CASE("long pairs are dropped and counted, or cut", "[data]") {
  CorpusSetup setup(200);
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
