// Word alignments in training: from the file to the batch, and what attention learns of them.
#include <map>

#include "data/word_alignment.h"
#include "test/catch.h"
#include "test/training_corpus.h"
#include "test/training_run.h"

using namespace bough;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

int32_t words_in(const std::string& line) { return int32_t(std::count(line.begin(), line.end(), ' ')) + 1; }

/// A corpus with a point or two for most target words, no line like another.
struct AlignedCorpus : CorpusSetup {
  std::vector<std::string> lines;

  explicit AlignedCorpus(int pairs) : CorpusSetup(pairs, 3) {
    for (size_t i = 0; i < text.source.size(); ++i) {
      std::string line;
      for (int32_t t = 0; t < words_in(text.target[i]); ++t) {
        const int32_t source = (t * 5 + int32_t(i)) % words_in(text.source[i]);
        if (t % 3 != 1) line += fmt::format("{}{}-{}", line.empty() ? "" : " ", source, t);
        if (t % 4 == 2) line += fmt::format(" 0-{}", t);
      }
      lines.push_back(line);
    }
    options.corpus.guided_alignment = folder.file("align", join_lines(lines));
  }
  /// The points of a line as a batch has them: by target token, then as they stand; both ends of sentence.
  std::vector<AlignmentPoint> expected(int64_t line) const {
    std::vector<AlignmentPoint> points = parse_alignment(lines[size_t(line)], "");
    std::ranges::stable_sort(points, {}, &AlignmentPoint::target);
    points.push_back({words_in(text.source[size_t(line)]), words_in(text.target[size_t(line)])});
    return points;
  }
};

std::vector<AlignmentPoint> points_of(const Batch& batch, int32_t sentence) {
  std::vector<AlignmentPoint> points;
  const int32_t first = batch.target.offsets[size_t(sentence)];
  for (int32_t row = first; row < batch.target.offsets[size_t(sentence) + 1]; ++row)
    for (int32_t i = batch.alignment_offsets[size_t(row)]; i < batch.alignment_offsets[size_t(row) + 1]; ++i)
      points.push_back({batch.alignment_keys[size_t(i)], row - first});
  return points;
}

/// Reads two epochs and compares the points of every sentence.
void check_points(const AlignedCorpus& corpus, TrainingData data) {
  int64_t sentences = 0;
  for (int epochs = 0; epochs < 2;) {
    const UpdateBatches update = data.next();
    for (const Batch& batch : update.micro)
      for (int32_t s = 0; s < batch.sentences(); ++s, ++sentences)
        REQUIRE(points_of(batch, s) == corpus.expected(batch.sentence_ids[size_t(s)]));
    epochs += update.ends_epoch;
  }
  CHECK(sentences == 2 * int64_t(corpus.lines.size()));
}

}  // namespace

TEST_CASE("alignments reach the batches with their sentences", "[alignment][data]") {
  AlignedCorpus corpus(1500);
  SECTION("from a file") { check_points(corpus, corpus.data()); }
  SECTION("from the token cache of an earlier start") {
    corpus.data();
    check_points(corpus, corpus.data());
  }
  SECTION("in memory, packed") {
    corpus.options.corpus.shuffle_in_ram = true;
    write_gzip(corpus.folder / "align.gz", join_lines(corpus.lines));
    corpus.options.corpus.guided_alignment = corpus.folder / "align.gz";
    check_points(corpus, corpus.data());
  }
  SECTION("as a field of lines, wherever it stands") {
    const int field = GENERATE(0, 1, 2);
    std::string text;
    for (size_t i = 0; i < corpus.lines.size(); ++i) {
      std::vector<std::string> fields{corpus.text.source[i], corpus.text.target[i]};
      fields.insert(fields.begin() + field, corpus.lines[i]);
      text += fields[0] + "\t" + fields[1] + "\t" + fields[2] + "\n";
    }
    write_text(corpus.folder / "all", text);
    corpus.options.corpus.train_sets = {corpus.folder / "all"};
    corpus.options.corpus.tsv = true;
    corpus.options.corpus.guided_alignment = std::to_string(field);
    corpus.options.corpus.validate();
    check_points(corpus, corpus.data());
  }
}

TEST_CASE("a resumed run has the alignments of an uninterrupted one, and no other file's", "[alignment][data]") {
  AlignedCorpus corpus(700);
  auto whole = corpus.data();
  for (int i = 0; i < 23; ++i) whole.next();
  auto resumed = corpus.data();
  resumed.restore(whole.state());
  for (int i = 0; i < 40; ++i) {
    const UpdateBatches a = whole.next(), b = resumed.next();
    REQUIRE(a.micro.size() == b.micro.size());
    for (size_t k = 0; k < a.micro.size(); ++k) {
      REQUIRE(a.micro[k].alignment_offsets == b.micro[k].alignment_offsets);
      REQUIRE(a.micro[k].alignment_keys == b.micro[k].alignment_keys);
    }
  }
  corpus.lines[3] = "0-0";
  write_text(corpus.folder / "other", join_lines(corpus.lines));
  corpus.options.corpus.guided_alignment = corpus.folder / "other";
  auto other = corpus.data();
  CHECK(contains(message_of([&] { other.restore(whole.state()); }), "guided-alignment"));
}

TEST_CASE("sentences that are cut lose the points beyond, those that are dropped take theirs along",
          "[alignment][data]") {
  AlignedCorpus corpus(2);
  corpus.text.source = {"a b c d e f", "g h"};
  corpus.text.target = {"A B C", "D E F"};
  corpus.lines = {"0-0 3-1 2-1 4-2 5-2 6-3", "1-1 0-2"};
  write_text(corpus.folder / "src", join_lines(corpus.text.source));
  write_text(corpus.folder / "trg", join_lines(corpus.text.target));
  write_text(corpus.folder / "align", join_lines(corpus.lines));
  corpus.options.corpus.max_length = 4;
  const auto points_by_line = [&] {
    std::map<int64_t, std::vector<AlignmentPoint>> found;
    for (const Batch& batch : corpus.data().next().micro)
      for (int32_t s = 0; s < batch.sentences(); ++s) found[batch.sentence_ids[size_t(s)]] = points_of(batch, s);
    return found;
  };
  using Points = std::vector<AlignmentPoint>;
  CHECK(points_by_line() == std::map<int64_t, Points>{{1, {{1, 1}, {0, 2}, {2, 3}}}});
  corpus.options.corpus.max_length_crop = true;
  CHECK(points_by_line() == std::map<int64_t, Points>{{0, {{0, 0}, {2, 1}, {3, 3}}}, {1, {{1, 1}, {0, 2}, {2, 3}}}});
}

TEST_CASE("what is wrong with alignments is said in a sentence", "[alignment][data]") {
  AlignedCorpus corpus(20);
  const std::string path = corpus.folder / "align";
  const auto message_for = [&](const std::string& line) {
    std::vector<std::string> lines = corpus.lines;
    lines[6] = line;
    write_text(path, join_lines(lines));
    return corpus.message();
  };
  const int32_t source = words_in(corpus.text.source[6]), target = words_in(corpus.text.target[6]);
  CHECK(message_for("") == "no exception");
  CHECK(message_for(fmt::format("  0-0  {}-{} ", source, target)) == "no exception");  // both ends of sentence
  CHECK(message_for(fmt::format("0-0 {}-0", source + 1)) ==
        fmt::format(
            "'{}': line 7: point {}-0 is beyond its sentences, which have {} source and {} target tokens (counted "
            "from 0; SentencePiece: pieces). Align the text as the vocabularies split it.",
            path, source + 1, source, target));
  CHECK(contains(message_for(fmt::format("0-{}", target + 1)), "line 7: point 0-"));
  for (const char* word : {"0", "0-", "-1-0", "0--1", "1-2-3", "a-b", "0-1x", "99999999999-0", "0-0,1-1"})
    CHECK(contains(message_for(std::string("0-0 ") + word), fmt::format("line 7: '{}' is no alignment point", word)));

  write_text(path, "0-0\n0-0\n");
  CHECK(contains(corpus.message(), "guided-alignment: '" + std::string(corpus.folder / "src") + "' has 20 lines but '" +
                                       path + "' has 2"));
  corpus.lines.insert(corpus.lines.end(), 3, "0-0");
  write_text(path, join_lines(corpus.lines));
  CHECK(contains(corpus.message(), "' has 20 lines but '" + path + "' has 23"));
  corpus.options.corpus.guided_alignment = corpus.folder / "nowhere";
  CHECK(contains(corpus.message(), "nowhere"));
  corpus.options.corpus.tsv = true;
  corpus.options.corpus.train_sets.pop_back();
  for (const char* field : {"3", "x", "1.5", "-1"}) {
    corpus.options.corpus.guided_alignment = field;
    CHECK(
        contains(message_of([&] { corpus.options.corpus.validate(); }), "guided-alignment is '" + std::string(field)));
  }
}

TEST_CASE("segmentations that are drawn anew have no alignments", "[alignment][data]") {
  AlignedCorpus corpus(20);
  corpus.options.corpus.sentencepiece_alphas = {0.1, 0};
  CHECK(contains(corpus.message(), "sentencepiece-alphas"));
}

namespace {

/// How often the attention of the guided head is highest at the aligned word.
double agreement(Run& run, const Sentences& corpus) {
  const Batch host = corpus.pack(0, corpus.size());
  Transformer& transformer = run.model.transformer();
  transformer.set_training(false);
  Tape tape(*run.backend, false);
  const ModelBatch batch = upload_batch(*run.backend, host);
  const int64_t length = batch.source.packing.longest;
  AlignmentRequest request{.weights = run.backend->allocate({host.target.rows(), length}, DType::f32)};
  transformer.decode_layers(transformer.encode(tape, batch.source), batch, &request);
  const std::vector<double> weights = values_of(*run.backend, request.weights);
  int64_t right = 0;
  for (int32_t row = 0; row < host.target.rows(); ++row) {
    const auto first = weights.begin() + row * length;
    const auto best = std::max_element(first, first + length) - first;
    right += best == host.alignment_keys[size_t(host.alignment_offsets[size_t(row)])];
  }
  return double(right) / double(host.target.rows());
}

}  // namespace

TEST_CASE("the head of the layer that is named learns alignments", "[alignment][training]") {
  Sentences corpus(20);
  corpus.align();
  for (const char* layer : {"last", "1"}) {
    ModelOptions options = small_model(ResidualKind::post_ln);
    options.guided_alignment_layer = layer;
    const auto agreement_with = [&](double weight) {
      DropoutOptions dropout;
      dropout.guided_alignment_weight = weight;
      Run run(options, dropout, adam(0));
      for (int u = 0; u < 150; ++u) run.train(update_of(corpus, 1), 3e-3 * std::min(1.0, (u + 1) / 50.0));
      return agreement(run, corpus);
    };
    CHECK(agreement_with(1) > 0.95);
    CHECK(agreement_with(0) < 0.6);
  }
}

TEST_CASE("with alignments, too: four micro-batches are one, and recomputation changes no bit",
          "[alignment][training]") {
  Sentences corpus(24);
  corpus.align();
  DropoutOptions dropout = all_dropouts(0.2);
  dropout.guided_alignment_weight = 0.5;
  const UpdateBatches parts = update_of(corpus, 4), whole = as_one_batch(parts);
  const auto gradients = [&](const UpdateBatches& update, int recomputed) {
    Run run(small_model(ResidualKind::pre_ln), dropout, adam(0), 2, DType::f64);
    run.perturb();
    run.model.set_recompute(recomputed);
    run.train(update, 0);
    auto& set = run.model.parameters();
    return std::pair(set.download(set.gradients()), run.losses.back());
  };
  const auto [a, loss_a] = gradients(parts, 0);
  const auto [b, loss_b] = gradients(whole, 0);
  CHECK(std::abs(loss_a - loss_b) <= 1e-5 * loss_a);
  for (size_t i = 0; i < a.size(); ++i) REQUIRE(std::abs(a[i] - b[i]) <= 1e-5f * (1 + std::abs(a[i])));
  for (const int layers : {2, 3, 4}) CHECK(gradients(parts, layers).first == a);
}

TEST_CASE("the gradient is that of both losses together", "[alignment][training]") {
  Sentences corpus(6);
  corpus.align();
  const UpdateBatches update = update_of(corpus, 1);
  DropoutOptions dropout;
  dropout.guided_alignment_weight = 0.7;
  ModelOptions options = small_model(ResidualKind::post_ln);
  options.activation = Activation::swish;  // differentiable everywhere
  Run run(options, dropout, adam(0), 1, DType::f64);
  run.perturb();
  auto& set = run.model.parameters();
  const std::vector<float> values = set.download(set.values());
  const auto loss_at = [&](size_t i, float shift) {
    std::vector<float> moved = values;
    moved[i] += shift;
    set.upload(set.values(), moved);
    set.values_changed();
    run.train(update, 0);
    return run.losses.back() * double(update.target_tokens);
  };
  loss_at(0, 0);
  const std::vector<float> gradient = set.download(set.gradients());
  for (const ParameterPart& part : set.parts()) {
    const size_t i = size_t(part.first + part.size() / 3);
    constexpr float shift = 1.0f / 1024;
    const double slope = (loss_at(i, shift) - loss_at(i, -shift)) / (2.0 * shift);
    INFO(part.name);
    CHECK(std::abs(slope - double(gradient[i])) <= 2e-3 * (1 + std::abs(slope)));
  }
}
