#include "core/base/io.h"

#include <unistd.h>
#include <zlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "core/base/error.h"
#include "core/base/text_output.h"
#include "test/catch.h"

namespace fs = std::filesystem;
using namespace bough;

namespace {

struct TemporaryFile {
  std::string path;
  TemporaryFile(const std::string& name, const std::string& content)
      : path(fs::temp_directory_path() / ("bough-io-" + std::to_string(getpid()) + name)) {
    std::ofstream(path, std::ios::binary) << content;
  }
  ~TemporaryFile() { fs::remove(path); }
};

std::vector<std::string> lines_of(const std::string& path) {
  LineReader reader(path);
  std::vector<std::string> lines;
  for (std::string line; reader.next(line);) lines.push_back(line);
  CHECK(reader.line_number() == int64_t(lines.size()));
  return lines;
}

std::string gzipped(const std::string& text) {
  const TemporaryFile packed("pack", "");
  gzFile out = gzopen(packed.path.c_str(), "wb");
  gzwrite(out, text.data(), unsigned(text.size()));
  gzclose(out);
  std::ifstream in(packed.path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("lines end at newlines only and nothing is stripped", "[io]") {
  using Lines = std::vector<std::string>;
  CHECK(lines_of(TemporaryFile("a", "").path).empty());
  CHECK(lines_of(TemporaryFile("a", "\n").path) == Lines{""});
  CHECK(lines_of(TemporaryFile("a", "a \r\n\nb\rc").path) == Lines{"a \r", "", "b\rc"});
  const std::string odd("\0x\xff\xe2\x80\xa8\t", 7);
  CHECK(lines_of(TemporaryFile("a", odd + "\n").path) == Lines{odd});
  const std::string large(3'000'000, 'x');
  CHECK(lines_of(TemporaryFile("a", large + "\n" + large).path) == Lines{large, large});
}

TEST_CASE("gzip files are unpacked, damaged ones reported", "[io]") {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i) + "\n";
  const std::string packed = gzipped(text);
  CHECK(lines_of(TemporaryFile("a.gz", packed).path).size() == 100'000);
  CHECK(lines_of(TemporaryFile("a.gz", packed + packed).path).size() == 200'000);
  CHECK_THROWS_AS(lines_of(TemporaryFile("a.gz", packed.substr(0, packed.size() / 2)).path), Error);
  CHECK_THROWS_AS(lines_of(TemporaryFile("a.gz", "plain text\n").path), Error);
}

TEST_CASE("unreadable files are one sentence with the name", "[io]") {
  for (const std::string path : {"/nonexistent/file", "/"}) try {
      lines_of(path);
      FAIL("no error for " << path);
    } catch (const Error& e) {
      CHECK(std::string(e.what()).find("'" + path + "': cannot be ") == 0);
    }
}

TEST_CASE("files named .gz are packed", "[io]") {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i) + "\n";
  CHECK(content_for("a.txt", text) == text);
  CHECK(content_for("a.gz", text).size() < text.size() / 2);
  CHECK(lines_of(TemporaryFile("a.gz", content_for("a.gz", text)).path).size() == 100'000);
  const TemporaryFile file("b.gz", "");
  TextOutput output(file.path);
  output.write(text);
  output.write("last\n");
  output.close();
  CHECK(lines_of(file.path).back() == "last");
  CHECK(lines_of(file.path).size() == 100'001);
}

TEST_CASE("a packed file that is being written is whole after a second", "[io]") {
  const TemporaryFile file("a.gz", "");
  TextOutput output(file.path);
  output.write("one\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(1010));
  output.write("two\n");
  CHECK(lines_of(file.path) == std::vector<std::string>{"one", "two"});
  output.write("three\n");
  output.close();
  CHECK(lines_of(file.path) == std::vector<std::string>{"one", "two", "three"});
}

TEST_CASE("no output is an input", "[io]") {
  const TemporaryFile file("a", "text\n");
  CHECK_THROWS_AS(check_not_input("o", file.path, "i", file.path), Error);
  CHECK_NOTHROW(check_not_input("o", file.path + "x", "i", file.path));
  CHECK_NOTHROW(check_not_input("o", "/dev/null", "i", "/dev/null"));
}
