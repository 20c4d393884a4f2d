// Vocabularies: reading every kind, making missing ones, and what is said when that fails.
#include "data/vocabulary.h"

#include <chrono>
#include <filesystem>
#include <thread>

#include "core/base/files.h"
#include "data/dictionary.h"
#include "test/catch.h"
#include "test/corpus_files.h"
#include "test/scratch_folder.h"
#include "test/throws.h"

using namespace bough;

namespace {

using Ids = std::vector<int32_t>;

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

CorpusOptions corpus_in(const ScratchFolder& folder, int pairs) {
  const auto text = make_parallel_text(pairs, 7, 60);
  write_text(folder / "train.src", join_lines(text.source));
  write_text(folder / "train.trg", join_lines(text.target));
  CorpusOptions corpus;
  corpus.train_sets = {folder / "train.src", folder / "train.trg"};
  corpus.tempdir = folder / "";
  return corpus;
}

VocabularyOptions vocabularies(const std::string& source, const std::string& target) {
  VocabularyOptions options;
  options.paths = {source, target};
  return options;
}

}  // namespace

TEST_CASE("a token list gives each line its number", "[vocabulary]") {
  const ScratchFolder folder;
  write_text(folder / "words", "</s>\n<unk>\nein\nhaus\r\n");
  const auto vocabulary = load_vocabulary(folder / "words");
  CHECK(vocabulary->size() == 4);
  CHECK(vocabulary->encode("  ein\thaus am ein ") == Ids{2, 3, 1, 2});
  CHECK(vocabulary->encode("").empty());
  CHECK(vocabulary->encode("</s>") == Ids{unknown_id});
  CHECK(vocabulary->decode(Ids{start_id, 2, 3, 1, 0, 2}) == "ein haus <unk>");
  CHECK(vocabulary->piece(3) == "haus");
  CHECK(contains(message_of([&] { vocabulary->piece(4); }), "id 4 is outside its 4 entries"));
  CHECK(contains(message_of([&] { vocabulary->decode(Ids{9}); }), "id 9 is outside"));
}

TEST_CASE("max_size keeps the ids below it", "[vocabulary]") {
  const ScratchFolder folder;
  write_text(folder / "words", "</s>\n<unk>\nein\nhaus\n");
  const auto vocabulary = load_vocabulary(folder / "words", 3);
  CHECK(vocabulary->size() == 3);
  CHECK(vocabulary->encode("ein haus") == Ids{2, 1});
}

TEST_CASE("dictionaries: plain, quoted and JSON spellings are the same vocabulary", "[vocabulary]") {
  const ScratchFolder folder;
  write_text(folder / "a.yml",
             "</s>: 0\n<unk>: 1\n# a comment\n\n\"\\\"\": 2\n'it''s': 3\nM\xC3\xA4"
             "dchen: 4\n"
             "a:b: 5\n\"\\u00e9\\x21\": 6\n\":\": 7\n");
  write_text(folder / "b.json",
             "{\n \"</s>\": 0, \"<unk>\": 1, \"\\\"\": 2, \"it's\": 3, \"M\\u00e4"
             "dchen\": 4,\n"
             " \"a:b\": 5, \"\xC3\xA9!\": 6, \":\": 7}\n");
  const auto yaml = load_vocabulary(folder / "a.yml"), json = load_vocabulary(folder / "b.json");
  CHECK(yaml->encode("\" it's M\xC3\xA4"
                     "dchen a:b \xC3\xA9! :") == Ids{2, 3, 4, 5, 6, 7});
  CHECK(json->hash() == yaml->hash());
  write_text(folder / "c.yml", "</s>: 0\n<unk>: 1\nother: 2\n");
  CHECK(load_vocabulary(folder / "c.yml")->hash() != yaml->hash());
}

TEST_CASE("a written dictionary reads back, whatever the tokens", "[vocabulary]") {
  const ScratchFolder folder;
  const std::vector<std::string> tokens = {"</s>",
                                           "<unk>",
                                           "'",
                                           "\"",
                                           "\\",
                                           "#",
                                           "- a",
                                           "null",
                                           "1e3",
                                           "a: b",
                                           "?",
                                           ":",
                                           "\xF0\x9F\x98\x80",
                                           "\x7F",
                                           "\u0085",
                                           "a\u2028",
                                           "\u2029b",
                                           "\u0080",
                                           "\uFEFFc",
                                           "\uFFFEd",
                                           std::string(1100, 'e')};
  write_text(folder / "v.yml", format_dictionary(tokens));
  CHECK(read_dictionary(folder / "v.yml") == tokens);
  // Readers that follow YAML 1.1 take these for line breaks, or refuse them.
  for (const char* raw : {"\u0085", "\u2028", "\u2029", "\u0080", "\uFEFF", "\uFFFE"})
    CHECK_FALSE(contains(format_dictionary(tokens), raw));
  CHECK(contains(format_dictionary(tokens), "? \"eee"));  // no YAML reader finds the colon of a long key
}

TEST_CASE("dictionaries as YAML writers make them: explicit keys, a byte order mark", "[vocabulary]") {
  const ScratchFolder folder;
  const std::string mark = "\xEF\xBB\xBF", word(200, 'x');
  const std::vector<std::string> tokens = {"</s>", "<unk>", word, "a\u2028b", "\u0085", "c c", "d"};
  const std::string folded =
      "</s>: 0\n<unk>: 1\n? " + word + "\r\n: 2\r\n? 'a\u2028  b'\n: 3\n? '\u0085'\n: 4\n? c c\n:   5\nd: 6";
  write_text(folder / "a.yml", folded);
  CHECK(read_dictionary(folder / "a.yml") == tokens);
  write_text(folder / "b.yml", mark + folded);
  CHECK(read_dictionary(folder / "b.yml") == tokens);
  write_text(folder / "c.yml", "</s>: 0\n<unk>: 1\n? \"c\\\n  \\ c\"\n: 2\n");
  CHECK(read_dictionary(folder / "c.yml")[2] == "c c");
  write_text(folder / "d", mark + "</s>\n<unk>\nein\n");
  CHECK(load_vocabulary(folder / "d")->encode("ein") == Ids{2});
  write_text(folder / "e.json", mark + R"({"</s>": 0, "<unk>": 1, "ein": 2})");
  CHECK(load_vocabulary(folder / "e.json")->encode("ein") == Ids{2});
  for (const char* bad : {"? a", "? a\n", "? a\n: b\n", "? &x [*x]\n: 2\n", "? a\nb: 2\n: 3\n"}) {
    write_text(folder / "f.yml", std::string("</s>: 0\n<unk>: 1\n") + bad);
    CHECK(contains(message_of([&] { read_dictionary(folder / "f.yml"); }), "line 3"));
  }
  write_text(folder / "g.yml", "? a");
  CHECK(contains(message_of([&] { read_dictionary(folder / "g.yml"); }), "line 1 has a key without ': id' below"));
}

TEST_CASE("special words have the ids that the file gives them", "[vocabulary]") {
  const ScratchFolder folder;
  const auto load = [&](const std::string& name, const std::string& text) {
    write_text(folder / name, text);
    return load_vocabulary(folder / name);
  };
  const auto sorted = load("sorted.yml", "a: 0\n<unk>: 1\n</s>: 2\nz: 3\n");
  CHECK(sorted->special() == SpecialIds{2, 1});
  CHECK(sorted->encode("a b z </s>") == Ids{0, 1, 3, 1});
  CHECK(sorted->decode(Ids{start_id, 0, 3, 2, 0}) == "a z");
  CHECK(load("words", "a\nb\n</s>\n<unk>\n")->special() == SpecialIds{2, 3});
  CHECK(load("words", "a\nb\n</s>\n<unk>\n")->encode("b c") == Ids{1, 3});
  CHECK(load("nematus.yml", "eos: 0\nUNK: 1\na: 2\n</s>: 3\n")->special() == SpecialIds{0, 1});
  CHECK(load("holes.yml", "a: 2\nb: 3\n")->special() == SpecialIds{0, 1});
  CHECK(contains(message_of([&] { load_vocabulary(folder / "sorted.yml", 2); }), "raise dim-vocabs"));

  auto corpus = corpus_in(folder, 400);
  corpus.dim_vocabs = {60, 60};
  corpus.sentencepiece_options = "--unk_id=0 --bos_id=1 --eos_id=2";  // the trainer's own
  const auto pieces = load_or_create_vocabularies(vocabularies(folder / "j.spm", folder / "j.spm"), corpus)[0];
  CHECK(pieces->special() == SpecialIds{2, 0});
  const std::string line = make_parallel_text(1, 99, 60).target[0];
  const Ids ids = pieces->encode(line);
  CHECK(pieces->decode(ids) == line);
  RandomStream random(1);
  CHECK(pieces->decode(pieces->sample(line, 0.3, random)) == line);
  CHECK(pieces->encode("\u4e00") == Ids{pieces->id("\u2581"), 0});
  CHECK(pieces->sample("\u4e00", 0.3, random) == pieces->encode("\u4e00"));
  CHECK(pieces->encode_pieces("</s> \u4e00") == Ids{0, 0});
  corpus.sentencepiece_options = "--eos_id=-1";
  CHECK(contains(
      message_of([&] { load_or_create_vocabularies(vocabularies(folder / "k.spm", folder / "k.spm"), corpus); }),
      "has no </s>"));
}

TEST_CASE("what is wrong with a vocabulary file is said in a sentence", "[vocabulary]") {
  const ScratchFolder folder;
  const auto message = [&](const std::string& name, const std::string& text) {
    write_text(folder / name, text);
    return message_of([&] { load_vocabulary(folder / name); });
  };
  CHECK(contains(message_of([&] { load_vocabulary(folder / "none.yml"); }), "does not exist"));
  CHECK(contains(message("a.yml", "</s>: 0\n<unk>: 1\nbroken\n"), "line 3 must be 'token: id'"));
  CHECK(contains(message("b.yml", "</s>: 0\n<unk>: 1\na: 2\nb: 2\n"), "'a' and 'b' both have id 2"));
  CHECK(contains(message("c.yml", "a: 0\nb: 1\n"), "none of its 2 entries is '</s>'"));
  CHECK(contains(message("i", "a\n</s>\n"), "none of its 2 entries is '<unk>'"));
  CHECK(contains(message("d.yml", ""), "is empty"));
  CHECK(contains(message("e.json", "{\"a\": "), "must be one JSON object"));
  CHECK(contains(message("f", "</s>\n\n"), "line 2 is empty"));
  CHECK(contains(message("g.spm", "not a model"), "not a SentencePiece model"));
  CHECK(contains(message("k", "</s>\n<unk>\na\nb\na\n"), "'a' stands on lines 3 and 5"));
  CHECK(message("k.yml", "</s>: 0\n<unk>: 1\na: 2\na: 3\n") == "no exception");
  write_text(folder / "k.json", R"({"</s>": 0, "<unk>": 1, "a": 2, "a": 3, "b": 4})");
  CHECK(read_dictionary(folder / "k.json") == std::vector<std::string>{"</s>", "<unk>", "a", "a", "b"});
  for (const char* id : {"\"2\"", "1.5", "null", "{\"a\": 1}", "[2]", "[]", "{}"})
    CHECK(
        contains(message("l.json", std::string(R"({"</s>": 0, "<unk>": 1, "a": )") + id + "}"), "the id of 'a' must"));
  CHECK(contains(message("h.yml", "</s>: 0\n<unk>: 1\na: -4\n"), "'a' has id -4"));
  // A few bytes must not cost gigabytes.
  CHECK(
      contains(message("i.yml", "</s>: 0\n<unk>: 1\na: 99999999\n"), "'a' has id 99999999, must be from 0 to 1048575"));
  CHECK(contains(message("j.json", R"({"</s>": 0, "<unk>": 1, "a": 99999999})"), "'a' has id 99999999"));
}

TEST_CASE("a missing SentencePiece vocabulary is trained, the same each time", "[vocabulary]") {
  const ScratchFolder folder;
  auto corpus = corpus_in(folder, 400);
  corpus.dim_vocabs = {60, 60};
  const auto joint = load_or_create_vocabularies(vocabularies(folder / "j.spm", folder / "j.spm"), corpus);
  CHECK(joint[0] == joint[1]);
  CHECK(joint[0]->size() == 60);
  CHECK(joint[0]->piece(end_id) == "</s>");
  CHECK(joint[0]->piece(unknown_id) == "<unk>");
  const std::string first = read_whole_file(folder / "j.spm");
  std::filesystem::remove(folder / "j.spm");
  load_or_create_vocabularies(vocabularies(folder / "j.spm", folder / "j.spm"), corpus);
  CHECK(read_whole_file(folder / "j.spm") == first);

  const std::string line = make_parallel_text(1, 99, 60).target[0];
  CHECK(joint[0]->decode(joint[0]->encode(line)) == line);
  const std::string raw = "  t1   t2 ";
  CHECK(joint[0]->decode(joint[0]->encode(raw)) == "t1 t2");
  const auto ids = joint[0]->encode(line);
  std::string pieces;
  for (const int32_t id : ids) pieces += joint[0]->piece(id) + " ";
  CHECK(joint[0]->encode_pieces(pieces) == ids);
  CHECK(std::count(ids.begin(), ids.end(), end_id) == 0);

  const std::string megabyte(1 << 20, 't');
  CHECK(joint[0]->decode(joint[0]->encode(megabyte)) == megabyte);
}

TEST_CASE("one SentencePiece vocabulary a side, with options and a sample", "[vocabulary]") {
  const ScratchFolder folder;
  auto corpus = corpus_in(folder, 400);
  corpus.dim_vocabs = {90, 100};
  corpus.sentencepiece_options = "--model_type=bpe --character_coverage=1.0";
  corpus.sentencepiece_max_lines = 200;
  const auto made = load_or_create_vocabularies(vocabularies(folder / "s.spm", folder / "t.spm"), corpus);
  CHECK(made[0]->size() == 90);
  CHECK(made[1]->size() == 100);
}

TEST_CASE("a vocabulary that cannot be trained names the option", "[vocabulary]") {
  const ScratchFolder folder;
  auto corpus = corpus_in(folder, 50);
  const auto message = [&](int size, const std::string& options) {
    corpus.dim_vocabs = {size, size};
    corpus.sentencepiece_options = options;
    return message_of([&] { load_or_create_vocabularies(vocabularies(folder / "v.spm", folder / "v.spm"), corpus); });
  };
  const std::string high = message(32000, "");
  CHECK(contains(high, "too small for 32000 pieces, at most "));
  CHECK(contains(high, "Lower dim-vocabs"));
  CHECK(contains(message(4, ""), "Raise dim-vocabs"));
  CHECK(contains(message(100, "model_type=bpe"), "must look like --name=value"));
  CHECK(contains(message(100, "--no_such_thing=1"), "no_such_thing"));
  CHECK(contains(message(100, "--vocab_size=90"), "--vocab_size is what dim-vocabs says"));
  CHECK(contains(message(40, "--eos_id=-1"), "has no </s>"));
  CHECK_FALSE(std::filesystem::exists(folder / "v.spm"));
  for (const char* invisible : {" ", "\u3000\u00A0", "\u200B", "\x01", "\uFFFD", "\u2581", "a \u2585"}) {
    write_text(folder / "blank", invisible + std::string("\n"));
    CorpusOptions blank = corpus;
    blank.train_sets = {folder / "blank", folder / "blank"};
    CHECK(contains(
        message_of([&] { load_or_create_vocabularies(vocabularies(folder / "v.spm", folder / "v.spm"), blank); }),
        "has no words to make it from"));
  }
  std::string wide_spaces = "words\n";  // of which a small sample has none
  for (int i = 0; i < 1000; ++i) wide_spaces += "\u3000\n";
  write_text(folder / "sparse", wide_spaces);
  CorpusOptions sparse = corpus;
  sparse.train_sets = {folder / "sparse", folder / "sparse"};
  sparse.sentencepiece_max_lines = 1;
  CHECK(contains(
      message_of([&] { load_or_create_vocabularies(vocabularies(folder / "v.spm", folder / "v.spm"), sparse); }),
      "in the 1 lines that were taken"));
  corpus.train_sets = {"stdin"};
  corpus.tsv = true;
  CHECK(contains(message(100, ""), "cannot be made from stdin"));
}

TEST_CASE("SentencePiece learns from long lines where the options say so", "[vocabulary]") {
  const ScratchFolder folder;
  const ParallelText text = make_parallel_text(400, 7, 60);
  std::string line;
  for (const std::string& sentence : text.target) line += sentence + " ";
  REQUIRE(line.size() > 5000);
  write_text(folder / "a", line + "\n");
  CorpusOptions corpus;
  corpus.train_sets = {folder / "a", folder / "a"};
  corpus.dim_vocabs = {50, 50};
  corpus.sentencepiece_max_lines = 0;  // all
  const auto make = [&] {
    return load_or_create_vocabularies(vocabularies(folder / "v.spm", folder / "v.spm"), corpus);
  };
  CHECK(contains(message_of(make), "has no words to make it from"));
  corpus.sentencepiece_options = "--max_sentence_length=x";
  CHECK(contains(message_of(make), "--max_sentence_length is 'x', must be a number of bytes"));
  corpus.sentencepiece_options = "--max_sentence_length=1000000";
  CHECK(make()[0]->size() == 50);
}

TEST_CASE("a vocabulary that another run makes is waited for, and is one whatever its spelling", "[vocabulary]") {
  const ScratchFolder folder;
  write_text(folder / "a", "x y\n");
  write_text(folder / "b", "p\n");
  CorpusOptions corpus;
  corpus.train_sets = {folder / "a", folder / "b"};
  {
    const FileLock other(folder / "v.yml.lock");
    std::thread maker([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      write_text(folder / "v.yml.new", "</s>: 0\n<unk>: 1\nmade: 2\n");
      std::filesystem::rename(folder / "v.yml.new", folder / "v.yml");
      std::filesystem::remove(folder / "v.yml.lock");  // as a run that ends does
    });
    const auto found = load_or_create_vocabularies(vocabularies(folder / "v.yml", folder / "v.yml"), corpus);
    maker.join();
    CHECK(found[0]->id("made") == 2);
  }
  const auto joint = load_or_create_vocabularies(vocabularies(folder / "w.yml", folder / "./w.yml"), corpus);
  CHECK(joint[0] == joint[1]);
  CHECK(joint[0]->size() == 5);
  const std::filesystem::path here = std::filesystem::current_path();
  std::filesystem::current_path(folder / ".");
  const auto named_from_here = load_or_create_vocabularies(vocabularies("x.yml", "./x.yml"), corpus);
  CHECK(named_from_here[0]->size() == 5);
  CHECK(load_or_create_vocabularies(vocabularies(folder / "x2.yml", "x2.yml"), corpus)[0]->size() == 5);
  std::filesystem::current_path(here);
}

TEST_CASE("missing dictionaries hold the words by frequency", "[vocabulary]") {
  const ScratchFolder folder;
  write_text(folder / "a", "x y y\nz y x\n");
  write_text(folder / "b", "p\nq p\n");
  CorpusOptions corpus;
  corpus.train_sets = {folder / "a", folder / "b"};
  corpus.dim_vocabs = {4, 0};
  const auto made = load_or_create_vocabularies(vocabularies(folder / "a.yml", folder / "b.yml"), corpus);
  CHECK(read_whole_file(folder / "a.yml") == "</s>: 0\n<unk>: 1\n\"y\": 2\n\"x\": 3\n");
  CHECK(made[1]->path() == folder / "b.yml");
  CHECK(made[1]->encode("q p") == Ids{3, 2});
  load_or_create_vocabularies(vocabularies(folder / "list", folder / "list"), corpus);
  CHECK(read_whole_file(folder / "list") == "</s>\n<unk>\ny\np\n");
  write_text(folder / "a", "\n \n");
  CHECK(contains(
      message_of([&] { load_or_create_vocabularies(vocabularies(folder / "n.yml", folder / "n2.yml"), corpus); }),
      "has no words"));
}
