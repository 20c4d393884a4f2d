// Embeddings that were trained elsewhere, and embeddings that are not trained.
#include "apps/training/embedding_vectors.h"
#include "core/base/npz.h"
#include "test/fixture_runs.h"

using namespace bough;

namespace {

const std::vector<std::string> untied = {"--dim-emb", "4", "--transformer-heads", "2", "--transformer-dim-ffn", "8"};

std::vector<float> array(const Runs& runs, const std::string& model, const char* name) {
  return NpzReader(runs / (model + ".npz")).read_f32(name);
}

std::vector<float> row(const std::vector<float>& table, size_t number) {
  return {table.begin() + std::ptrdiff_t(4 * number), table.begin() + std::ptrdiff_t(4 * number + 4)};
}

}  // namespace

TEST_CASE("vectors are read by words and by numbers of entries", "[training]") {
  const ScratchFolder folder;
  write_text(folder / "v.txt", "</s>\n<unk>\na\nb\n7\n");
  const auto vocabulary = load_vocabulary(folder / "v.txt");
  const auto read = [&](const std::string& text) {
    write_text(folder / "vectors", text);
    std::vector<float> rows(10, -1);
    const int64_t found = read_embedding_vectors(folder / "vectors", *vocabulary, 2, rows);
    CHECK(found == std::count_if(rows.begin(), rows.end(), [](float v) { return v != -1; }) / 2);
    return rows;
  };
  const float o = -1;
  CHECK(read("3 2\nb 1 2\nzzz 3 4\n7 5e-1 6 \n") == std::vector<float>{o, o, o, o, o, o, 1, 2, 0.5, 6});
  CHECK(read("3 2\n3 1 2\n0 3 4\n99 5 6\n") == std::vector<float>{3, 4, o, o, o, o, 1, 2, o, o});
  // <unk> where the vocabulary has it: words that it lacks have no row.
  write_text(folder / "late.yml", "a: 0\nb: 1\n<unk>: 2\n</s>: 3\n");
  std::vector<float> late(8, -1);
  write_text(folder / "vectors", "4 2\nb 1 2\n<unk> 3 4\nzzz 5 6\nyyy 7 8\n");
  CHECK(read_embedding_vectors(folder / "vectors", *load_vocabulary(folder / "late.yml"), 2, late) == 2);
  CHECK(late == std::vector<float>{o, o, 1, 2, 3, 4, o, o});
  const auto message = [&](const std::string& text) { return message_of([&] { read(text); }); };
  CHECK(message("").find("must begin with a line 'entries width'") != std::string::npos);
  CHECK(message("b 1 2\n").find("must begin with a line 'entries width'") != std::string::npos);
  CHECK(message("1 3\nb 1 2 3\n").find("has vectors of 3 numbers, must have dim-emb, 2") != std::string::npos);
  CHECK(message("1 2\nb 1\n").find("vectors' line 2: a vector of 1 numbers, must have 2") != std::string::npos);
  CHECK(message("1 2\nb 1 2 3\n").find("line 2: a vector of more than 2 numbers") != std::string::npos);
  CHECK(message("1 2\nb 1 nan\n").find("line 2: 'nan' in a vector, must be a number") != std::string::npos);
  CHECK(message("2 2\n1 1 2\nb 1 2\n").find("line 3: 'b' is no number of an entry") != std::string::npos);
  CHECK(message("2 2\nb 1 2\n").find("has 1 vectors, its first line says 2") != std::string::npos);
}

TEST_CASE("training begins with vectors, and leaves alone what is fixed", "[training]") {
  const Runs runs;
  write_text(runs / "src.vec", "1 4\n2 0.5 0.25 -0.5 1\n");
  write_text(runs / "trg.vec", "1 4\n3 1 2 3 4\n");
  const auto words = with(untied, {"--embedding-vectors", runs / "src.vec", runs / "trg.vec", "--embedding-fix-src",
                                   "--exponential-smoothing", "0.1", "--optimizer-params", "0.9", "0.98", "1e-9"});
  runs.train("begun", with(words, {"--after", "1u", "--learn-rate", "0"}));
  const auto source = array(runs, "begun", "encoder_Wemb"), target = array(runs, "begun", "decoder_Wemb");
  CHECK(row(source, 2) == std::vector<float>{0.5, 0.25, -0.5, 1});
  CHECK(row(target, 3) == std::vector<float>{1, 2, 3, 4});
  CHECK(row(source, 3) != row(target, 3));

  runs.train("whole", with(words, {"--after", "6u"}));
  CHECK(array(runs, "whole", "encoder_Wemb") == source);
  CHECK(array(runs, "whole", "decoder_Wemb") != target);
  runs.train("parts", with(words, {"--after", "3u"}));
  std::filesystem::remove(runs / "src.vec");  // is not asked for again
  runs.train("parts", with(words, {"--after", "6u"}));
  for (const char* name : {"encoder_Wemb", "decoder_Wemb", "encoder_l1_self_Wq", "decoder_ff_logit_out_Wt"})
    CHECK(array(runs, "parts", name) == array(runs, "whole", name));

  // From a state in which it was trained, with moments.
  runs.train("later", with(untied, {"--after", "4u"}));
  const auto trained = array(runs, "later", "decoder_Wemb");
  runs.train("later", with(untied, {"--after", "7u", "--embedding-fix-trg"}));
  CHECK(array(runs, "later", "decoder_Wemb") == trained);
}

TEST_CASE("shared embeddings take one file, and are fixed with the output matrix", "[training]") {
  const Runs runs;
  write_text(runs / "v.vec", "1 8\n2 1 2 3 4 5 6 7 8\n");
  runs.train("fixed", with(tiny, {"--embedding-vectors", runs / "v.vec", "--embedding-normalization",
                                  "--embedding-fix-trg", "--after", "4u"}));
  const auto table = array(runs, "fixed", "Wemb");
  double norm = 0;
  for (const float v : table) norm += double(v) * v;
  CHECK(norm == Approx(1));
  CHECK(table[23] == Approx(8 * table[16]));
  runs.train("begun", with(tiny, {"--embedding-vectors", runs / "v.vec", "--embedding-normalization", "--after", "1u",
                                  "--learn-rate", "0"}));
  CHECK(array(runs, "begun", "Wemb") == table);
}

TEST_CASE("options of embeddings that contradict each other say so", "[settings]") {
  const Runs runs;
  CHECK(runs.refusal("m", with(untied, {"--embedding-vectors", "a"}))
            .find("embedding-vectors has 1 files, must have 2") == 0);
  CHECK(runs.refusal("m", with(tiny, {"--embedding-vectors", "a", "b"})).find("2 different files, must have 1") !=
        std::string::npos);
  CHECK(runs.refusal("m", with(tiny, {"--embedding-normalization"})).find("without embedding-vectors") !=
        std::string::npos);
  CHECK(runs.refusal("m", with(tiny, {"--embedding-fix-src", "--optimizer-params", "0.9", "0.98", "1e-9", "0.1"}))
            .find("optimizer-params has a weight decay of 0.1, which would shrink") == 0);
  CHECK(runs.refusal("m", with(tiny, {"--embedding-vectors", runs / "none"})).find("none") != std::string::npos);
}
