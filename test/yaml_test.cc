#include "core/base/yaml.h"

#include "core/base/error.h"
#include "test/catch.h"

using namespace bough;

namespace {

std::string error_of(const std::string& text) {
  try {
    parse_yaml(text, "config.yml");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("YAML is read with line numbers", "[settings]") {
  const Yaml y = parse_yaml("a: 1\n# comment\nb:\n  - x\n  - 'y z'\nc: [1, 2]\nd: {e: \"\"}\nf:\n", "t");
  REQUIRE(y.is_map());
  CHECK(y.find("a")->text == "1");
  CHECK(y.find("b")->items.size() == 2);
  CHECK(y.find("b")->line == 3);
  CHECK(y.find("b")->items[1].text == "y z");
  CHECK(y.find("c")->items[1].text == "2");
  CHECK(y.find("c")->line == 6);
  CHECK(y.find("d")->find("e")->text.empty());
  CHECK(y.find("f")->kind == Yaml::Kind::null);
  CHECK(y.find("g") == nullptr);
  CHECK(parse_yaml("", "t").is_map());
  CHECK(parse_yaml("# nothing\n", "t").is_map());
}

TEST_CASE("YAML that is written reads back as the same", "[settings]") {
  Yaml state = Yaml::map();
  state.set("name", "model/model.npz")
      .set("empty", "")
      .set("spaces", " a: b # c ")
      .set("quotes", "it's \"so\"")
      .set("lines", "one\ntwo")
      .set("dash", "-")
      .set("star", "*x")
      .set("unicode", "Grüße 漢字")
      .set("flag", true)
      .set("count", int64_t{-5'000'000'000})
      .set("big", uint64_t{18446744073709551615u})
      .set("third", 1.0 / 3)
      .set("none", Yaml::list())
      .set("list", Yaml::list({"a", "b: c", ""}))
      .set("nested", Yaml::map().set("bleu", Yaml::map().set("last-best", 27.5)))
      .set("empty-map", Yaml::map());
  state.set("flag", false);
  state.set("marks", Yaml::list({"---", "--- a", "...", "---\n..."})).set("---", "...");
  state.set("\r", "\r").set("re\rturn", "a\rb\r\n\rc: 1");
  const std::string text = format_yaml(state);
  const Yaml again = parse_yaml(text, "t");
  INFO(text);
  CHECK(again == state);
  CHECK(again.get_bool("flag") == false);
  CHECK(again.get_int("count") == -5'000'000'000);
  CHECK(again.get_double("third") == 1.0 / 3);
  CHECK(again.find("spaces")->text == " a: b # c ");
  CHECK(again.find("nested")->find("bleu")->get_double("last-best") == 27.5);
}

TEST_CASE("YAML errors are sentences with a line", "[settings]") {
  CHECK(error_of("a: 1\na: 2\n") == "config.yml line 2: 'a' is given twice, must be given once. Remove one");
  CHECK(error_of("a: 1\nb: [1, 2\n").find("config.yml line ") == 0);
  CHECK(error_of("a: b: c\n").find("config.yml line 1: this is not YAML (") == 0);
  CHECK(error_of("a: 1\n---\nb: 2\n") == "config.yml: this is 2 YAML documents, must be one");
  // Where yaml-cpp finds documents without end, and its LoadAll takes all memory.
  for (const char* stray : {",", "--- a\n--- ,", "%YAML 1.1\n,\n"})
    CHECK_THAT(error_of(stray), Catch::Matchers::Contains("this is not YAML (a stray character), must be lines"));
  CHECK(error_of("? [a]\n: 1\n") == "config.yml line 1: a key must be plain text");
  const Yaml y = parse_yaml("a: x\nb: [1]\n", "t");
  CHECK_THROWS_WITH(y.get_int("a"), "a is 'x', must be a whole number");
  CHECK_THROWS_WITH(y.get_int("c"), "c is missing");
  CHECK_THROWS_WITH(y.get_bool("b"), "b is '', must be true or false");
  CHECK_THROWS_WITH(read_yaml_file("/nonexistent.yml"),
                    "/nonexistent.yml: this file cannot be read. Check its name and permissions");
}

TEST_CASE("YAML that stands for more than it is is an error", "[settings]") {
  CHECK(error_of("a: &x [*x]\n").find("more than 64 levels, one inside the other; is an alias") != std::string::npos);
  CHECK(error_of("a: &x {b: *x}\n").find("more than 64 levels") != std::string::npos);
  CHECK(error_of("a: " + std::string(100'000, '[')).find("levels deep") != std::string::npos);
  CHECK(error_of("a: " + std::string(100, '[') + std::string(100, ']')).find("levels") != std::string::npos);
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    bomb += fmt::format("a{}: &a{} [", i, i);
    for (int k = 0; k < 10; ++k) bomb += fmt::format("{}*a{}", k ? ", " : "", i - 1);
    bomb += "]\n";
  }
  CHECK(error_of(bomb).find("its aliases stand for far more than the text itself") != std::string::npos);
  std::string long_words = "a: &a " + std::string(10'000, 'x') + "\nb: [*a";
  for (int k = 0; k < 1000; ++k) long_words += ", *a";
  CHECK(error_of(long_words + "]\n").find("far more than the text itself") != std::string::npos);
  CHECK(parse_yaml("a: &x [1, 2]\nb: *x\n", "t").find("b")->items.size() == 2);
  CHECK_THROWS_WITH(read_yaml_file("/dev/zero"),
                    "/dev/zero: this file is larger than 16 MiB, must be YAML with options");
}
