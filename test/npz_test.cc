// npz: what NumPy and Marian wrote, what we write, and what happens to files that are neither.
#include "core/base/npz.h"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <random>
#include <thread>

#include "core/base/error.h"
#include "core/base/files.h"
#include "core/base/npy_header.h"
#include "test/catch.h"
#include "test/child_process.h"
#include "test/scratch_folder.h"
#include "test/skip.h"
#include "test/throws.h"
#include "test_paths.h"

using namespace bough;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

// Written by NumPy 2 (deflated; npy versions 1, 2, 3), special:model.yml as Marian writes it.
const std::string numpy_file = BOUGH_SOURCE_DIR "/test/fixtures/numpy.npz";

using Shape = std::vector<std::int64_t>;

std::vector<float> ramp(std::size_t n, float first) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), first);
  return values;
}

}  // namespace

TEST_CASE("npz: every type and shape reads back", "[npz]") {
  ScratchFolder folder;
  const std::string path = folder / "a.npz";
  const std::vector<float> f32 = ramp(6, 0.5f);
  const std::vector<double> f64 = {1.0 / 3, -0.0};
  const std::vector<std::int64_t> i64 = {-1, std::int64_t{1} << 40};
  const std::vector<std::int32_t> i32 = {-5};
  const std::vector<std::uint8_t> u8 = {0, 255};
  const std::string text = std::string("a: b\n") + '\0';
  const std::vector<NpzArray> arrays = {npz_array<float>("decoder_l1_W", f32, {2, 3}),
                                        npz_array<double>("denominators", f64),
                                        npz_array<std::int64_t>("i64", i64, {1, 2, 1}),
                                        npz_array<std::int32_t>("scalar", i32, {}),
                                        npz_array<std::uint8_t>("u8", u8),
                                        npz_array<char>("special:model.yml", text),
                                        npz_array<float>("nothing", {}, {0, 4})};
  write_npz(path, arrays);

  const NpzReader reader(path);
  CHECK(reader.names().size() == arrays.size());
  CHECK(reader.names()[0] == "decoder_l1_W");
  CHECK(reader.contains("u8"));
  CHECK_FALSE(reader.contains("u9"));
  CHECK(reader.header("decoder_l1_W").shape == Shape{2, 3});
  CHECK(reader.header("scalar").shape.empty());
  CHECK(reader.header("nothing").shape == Shape{0, 4});
  CHECK(reader.read_f32("decoder_l1_W") == f32);
  CHECK(reader.read_f64("denominators") == f64);
  CHECK(reader.read_vector<std::int64_t>("i64") == i64);
  CHECK(reader.read_vector<std::int32_t>("scalar") == i32);
  CHECK(reader.read_vector<std::uint8_t>("u8") == u8);
  CHECK(reader.read_f32("nothing").empty());
  CHECK(reader.read_text("special:model.yml") == "a: b\n");
}

TEST_CASE("npz: the same arrays are the same bytes, stored as they lie", "[npz]") {
  ScratchFolder folder;
  const auto values = ramp(1000, 0);
  const NpzArray array = npz_array<float>("w", values);
  write_npz(folder / "a.npz", {&array, 1});
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));  // a zip counts in two seconds
  write_npz(folder / "b.npz", {&array, 1});
  const std::string bytes = read_whole_file(folder / "a.npz");
  CHECK(bytes == read_whole_file(folder / "b.npz"));
  const std::string raw(reinterpret_cast<const char*>(values.data()), 4000);
  CHECK(bytes.find(raw) != std::string::npos);
}

TEST_CASE("npz: an array that comes in pieces is the same file; one that breaks off leaves the old file", "[npz]") {
  ScratchFolder folder;
  const auto values = ramp(50000, 0);
  const NpzArray whole = npz_array<float>("w", values);
  write_npz(folder / "whole.npz", {&whole, 1});
  NpzArray pieces = whole;
  pieces.data = nullptr;
  const auto piece = [&](size_t i) { return std::as_bytes(std::span(values)).subspan(8000 * i, 8000); };
  pieces.piece = piece;
  const std::string path = folder / "pieces.npz";
  write_npz(path, {&pieces, 1});
  const std::string bytes = read_whole_file(path);
  CHECK(bytes == read_whole_file(folder / "whole.npz"));

  pieces.piece = [&](size_t i) {
    bough::check(i < 3, "the device is gone");
    return piece(i);
  };
  CHECK(message_of([&] { write_npz(path, {&pieces, 1}); }) == "the device is gone");
  pieces.piece = [&](size_t i) { return i < 3 ? piece(i) : std::span<const std::byte>(); };
  CHECK_THAT(message_of([&] {
               write_npz(path, {&pieces, 1});
             }),
             Contains("got 24000 bytes in pieces, must get 200000"));
  pieces.piece = [&](size_t) { return std::as_bytes(std::span(values)).first(199999); };
  CHECK_THAT(message_of([&] { write_npz(path, {&pieces, 1}); }), Contains("got 399998 bytes in pieces"));
  CHECK(read_whole_file(path) == bytes);
}

TEST_CASE("npz: an array is read in pieces, and its checksum at its end", "[npz]") {
  const ScratchFolder folder;
  const std::string path = folder / "a.npz";
  std::vector<float> values(1000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = float(i);
  write_npz(path, std::vector{npz_array<float>("a", values)});
  const auto read = [&] {
    const NpzReader file(path);
    NpzReader::Stream stream(file, "a");
    CHECK(stream.header().elements() == 1000);
    std::vector<float> found(1000);
    stream.read(found.data(), 300 * sizeof(float));
    stream.read(found.data() + 300, 700 * sizeof(float));
    stream.finish();
    return found;
  };
  CHECK(read() == values);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(2000);
  file.put('x');
  file.close();
  CHECK(message_of(read).find("does not have the checksum") != std::string::npos);
}

TEST_CASE("npz: every kind of f16 is read", "[npz]") {
  const ScratchFolder folder;
  const std::vector<std::uint16_t> halves = {0x0001, 0x03FF, 0x0400, 0xC000, 0x7BFF, 0xFC00, 0x8000, 0x7E00};
  write_npz(folder / "a.npz", std::vector<NpzArray>{{"a", {8}, NpzType::f16, halves.data()}});
  const std::vector<float> values = NpzReader(folder / "a.npz").read_floats("a");
  const std::vector<float> expected = {0x1p-24f, 0x3FFp-24f, 0x1p-14f, -2, 65504, -INFINITY, 0};
  CHECK(std::vector<float>(values.begin(), values.end() - 1) == expected);
  CHECK(std::signbit(values[6]));
  CHECK(std::isnan(values[7]));
}

TEST_CASE("npz: reads what NumPy and Marian write", "[npz]") {
  const NpzReader reader(numpy_file);
  CHECK(reader.header("f32").shape == Shape{2, 3});
  CHECK(reader.read_f32("f32") == std::vector<float>{0, 0.25f, 0.5f, 0.75f, 1, 1.25f});
  CHECK(reader.read_f64("f64_version2") == std::vector<double>{1.0 / 3, -2.5});
  CHECK(reader.header("i64_version3").shape == Shape{1, 2});
  CHECK(reader.read_vector<std::int64_t>("i64_version3") == std::vector<std::int64_t>{-1, std::int64_t{1} << 40});
  CHECK(reader.header("i32").shape == Shape{1, 2, 3});
  CHECK(reader.read_vector<std::int32_t>("i32") == std::vector<std::int32_t>{-3, -2, -1, 0, 1, 2});
  CHECK(reader.read_vector<std::uint8_t>("u8").back() == 255);
  CHECK(reader.header("f16").type == NpzType::f16);
  CHECK(reader.read_floats("f16") == std::vector<float>{1.5f});
  CHECK(reader.header("bool").type == NpzType::boolean);
  CHECK(reader.read_f32("scalar") == std::vector<float>{7});
  CHECK(reader.header("empty").shape == Shape{0, 5});
  CHECK(reader.read_f32("empty").empty());
  CHECK(reader.read_text("special:model.yml") == "name: value\n");
}

TEST_CASE("npz: NumPy reads what we write", "[.numpy]") {
  if (skips(std::system("python3 -c 'import numpy' >/dev/null 2>&1") != 0, "no NumPy")) return;
  ScratchFolder folder;
  const auto values = ramp(12, 1);
  const std::vector<std::int64_t> steps = {7};
  const NpzArray arrays[] = {npz_array<float>("w", values, {3, 4}), npz_array<std::int64_t>("steps", steps, {})};
  write_npz(folder / "a.npz", arrays);
  const std::string script = "import numpy as np; a = np.load('" + folder / "a.npz" +
                             "'); "
                             "assert a.files == ['w', 'steps'] and a['w'].dtype == np.float32 and a['steps'] == 7; "
                             "assert (a['w'] == np.arange(1, 13).reshape(3, 4)).all()";
  CHECK(std::system(("python3 -c \"" + script + "\"").c_str()) == 0);
}

TEST_CASE("npz: arrays this reader does not take are sentences", "[npz]") {
  const NpzReader reader(numpy_file);
  const std::string who = "'" + numpy_file + "': array ";
  CHECK(message_of([&] { reader.read_f32("fortran"); }) ==
        who +
            "'fortran' is stored column by column (Fortran order), must be row by row. Save "
            "numpy.ascontiguousarray(...) of it instead.");
  CHECK(message_of([&] { reader.read_f32("big_endian"); }) ==
        who +
            "'big_endian' is big-endian ('>f4'), must be little-endian. Save "
            "array.astype('<f4') instead.");
  CHECK(message_of([&] { reader.header("complex"); }) ==
        who +
            "'complex' has element type '<c8', must be a float, integer or boolean of at most 64 "
            "bits. Convert it with array.astype('<f4').");
  CHECK(message_of([&] { reader.header("compound"); }) ==
        who +
            "'compound' has a compound element type, must be a plain number type. Save its "
            "fields as separate arrays.");
  CHECK(message_of([&] { reader.read_f64("f32"); }) ==
        who + "'f32' is f32, must be f64. Give a file of the right kind.");
  CHECK(message_of([&] { reader.read_text("f32"); }) ==
        who + "'f32' is f32, must be i8 (text). Give a file of the right kind.");
  CHECK_THAT(message_of([&] { reader.header("W"); }), StartsWith("'" + numpy_file + "' has no array 'W'. "));
}

TEST_CASE("npz: files that are not npz are sentences", "[npz]") {
  ScratchFolder folder;
  const std::string path = folder / "a.npz";
  const auto opening = [&](const std::string& content) {
    write_file(path, content);
    return message_of([&] { NpzReader reader(path); });
  };
  CHECK(message_of([&] { NpzReader reader(path); }) == "'" + path + "' does not exist. Check the path.");
  CHECK(opening("") == "'" + path +
                           "' is empty, where an npz file is needed. Restore it from a "
                           "copy.");
  CHECK(opening("type: transformer\n") ==
        "'" + path +
            "' is not an npz file. Give a model or array file written by bough, Marian "
            "or NumPy.");
  const std::string zip = BOUGH_SOURCE_DIR "/test/fixtures/foreign.zip";
  CHECK(message_of([&] { NpzReader reader(zip); }) ==
        "'" + zip +
            "' is a zip archive but not an npz file: it holds 'readme.txt', where only "
            "arrays (.npy) belong. Give a model or array file.");
}

TEST_CASE("npz: truncated anywhere is a sentence, never a crash", "[npz]") {
  ScratchFolder folder;
  const std::string path = folder / "a.npz";
  const std::string whole = read_whole_file(numpy_file);
  for (std::size_t size = 1; size < whole.size(); size += 13) {
    write_file(path, whole.substr(0, size));
    CHECK_THAT(message_of([&] { NpzReader reader(path); }), StartsWith("'" + path + "' is "));
  }
}

TEST_CASE("npz: any damaged byte is the same data or a sentence", "[npz]") {
  ScratchFolder folder;
  const std::string path = folder / "a.npz";
  const auto values = ramp(50, 3);
  const NpzArray array = npz_array<float>("w", values, {5, 10});
  write_npz(path, {&array, 1});
  const std::string whole = read_whole_file(path);
  const auto data = whole.find(std::string(reinterpret_cast<const char*>(values.data()), 200));
  REQUIRE(data != std::string::npos);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = char(damaged[i] ^ 0x21);
    write_file(path, damaged);
    std::vector<float> found;
    const auto message = message_of([&] { found = NpzReader(path).read_f32("w"); });
    INFO("byte " << i << " of " << whole.size() << ": " << message);
    if (message == "no exception")
      CHECK(found == values);
    else
      CHECK_THAT(message, StartsWith("'" + path + "'"));
    if (i >= data && i < data + 200)
      CHECK(message == "'" + path +
                           "' is damaged: array 'w' does not have the checksum that was "
                           "saved with it. Restore the file from a copy or write it again.");
  }
}

TEST_CASE("npz: a full disk or a bad path keeps the old file", "[npz]") {
  ScratchFolder folder;
  const std::string path = folder / "a.npz";
  const auto small = ramp(10, 0), large = ramp(100000, 0);
  const NpzArray old = npz_array<float>("w", small), next = npz_array<float>("w", large);
  write_npz(path, {&old, 1});
  for (const rlim_t limit : {40, 5000, 399999, 400150})
    CHECK(message_with_file_limit(limit,
                                  [&] {
                                    write_npz(path, {&next, 1});
                                  }) == "'" + path +
                                            "' cannot be written: it would be larger than the limit for a file here. "
                                            "Raise the limit (ulimit -f) or choose another file system.");
  CHECK(NpzReader(path).read_f32("w") == small);
  CHECK(folder.files() == 1);
  CHECK_THAT(message_of([&] { write_npz("/proc/none/a.npz", {&old, 1}); }), Contains("does not exist. Create it"));
  const NpzArray twice[] = {old, old};
  CHECK_THAT(message_of([&] { write_npz(path, twice); }), Contains("two arrays named 'w'"));
  CHECK_THAT(message_of([&] { write_npz(path, {}); }), Contains("no arrays"));
  CHECK(folder.files() == 1);
}

TEST_CASE("npz: SIGKILL at random moments leaves a whole file", "[npz]") {
  ScratchFolder folder;
  const std::string path = folder / "a.npz";
  const auto write = [&](int generation) {
    const std::vector<float> values(30000, float(generation));
    const NpzArray arrays[] = {npz_array<float>("a", values), npz_array<float>("b", values)};
    write_npz(path, arrays);
  };
  write(0);
  std::mt19937 random(11);
  for (int round = 0; round < 25; ++round) {
    const pid_t child = start_child([&] {
      for (int generation = 1;; ++generation) write(generation);
    });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 12000));
    kill_child(child);
    const NpzReader reader(path);
    const auto a = reader.read_f32("a");
    REQUIRE(a == std::vector<float>(30000, a[0]));
    REQUIRE(reader.read_f32("b") == a);
  }
}

TEST_CASE("npz: a reader keeps the file that it opened", "[npz]") {
  ScratchFolder folder;
  const std::string path = folder / "a.npz";
  const auto first = ramp(5000, 0), second = ramp(6000, 9);
  const NpzArray old = npz_array<float>("w", first), next = npz_array<float>("w", second);
  write_npz(path, {&old, 1});
  const NpzReader reader(path);
  write_npz(path, {&next, 1});
  CHECK(reader.read_f32("w") == first);
  CHECK(NpzReader(path).read_f32("w") == second);
}

TEST_CASE("npy headers: what is malformed is a sentence", "[npz]") {
  const auto parsing = [](const std::string& text) { return message_of([&] { parse_npy_header(text, "array 'w'"); }); };
  const std::string invalid = "array 'w' has no valid npy header. Restore the file from a copy or write it again.";
  for (const char* text :
       {"", "{", "{}", "x", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': ()}", "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2", "{'descr: '<f4'}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (), 'more': 1}"}) {
    INFO(text);
    CHECK(parsing(text) == invalid);
  }
  CHECK_THAT(parsing("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}"),
             Contains("impossible shape"));
  const auto header = parse_npy_header("{\"shape\": (3L, 4), 'fortran_order': False, 'descr': '|u1'}  \n", "array 'w'");
  CHECK(header.shape == Shape{3, 4});
  CHECK(header.type == NpzType::u8);
  CHECK(write_npy_header({NpzType::f32, {3}}).size() % 64 == 0);
}
