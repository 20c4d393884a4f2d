#include "core/base/marian_binary.h"

#include <cstring>
#include <fstream>

#include "apps/inference/model_file.h"
#include "core/base/files.h"
#include "core/base/npz.h"
#include "core/cpu/factory.h"
#include "test/catch.h"
#include "test/marian_binary_file.h"
#include "test/scratch_folder.h"
#include "test/small_model.h"
#include "test/throws.h"

using namespace bough;
using bough::test::BinaryArray;
using bough::test::marian_binary;
using Catch::Matchers::Contains;

namespace {

void write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

std::vector<BinaryArray> some_arrays() {
  return {BinaryArray::f32("decoder_l1_rnn_bf", {1, 3}, {0.5f, -1, 2}),
          {"half", 0x202, {2}, std::string("\x00\x3c\x00\xc0", 4)},  // 1, -2
          // (2, 3) kept as (3, 2), multiplier 2; more bytes than it needs.
          BinaryArray::intgemm8("encoder_l1_self_Wq", {2, 3}, {1, 4, 2, 5, 3, -6}, 2, 9),
          BinaryArray::intgemm8("Wemb", {2, 3}, {1, 2, 3, 4, 5, -128}, 4, 0),
          BinaryArray::text("special:model.yml", "a: b\n")};
}

}  // namespace

TEST_CASE("Marian's binary form: reals of every precision, and text", "[binary]") {
  const ScratchFolder folder;
  const std::string path = folder / "model.bin";
  write(path, marian_binary(some_arrays()));
  const auto file = open_array_file(path);
  CHECK(file->names() ==
        std::vector<std::string>{"decoder_l1_rnn_bf", "half", "encoder_l1_self_Wq", "Wemb", "special:model.yml"});
  CHECK(file->describe("Wemb").shape == std::vector<int64_t>{2, 3});
  CHECK(file->describe("Wemb").type == "intgemm8");
  CHECK_FALSE(file->describe("special:model.yml").is_real);
  CHECK(file->read_floats("decoder_l1_rnn_bf") == std::vector<float>{0.5f, -1, 2});
  CHECK(file->read_floats("half") == std::vector<float>{1, -2});
  CHECK(file->read_floats("encoder_l1_self_Wq") == std::vector<float>{0.5f, 1, 1.5f, 2, 2.5f, -3});
  CHECK(file->read_floats("Wemb") == std::vector<float>{0.25f, 0.5f, 0.75f, 1, 1.25f, -32});
  CHECK(file->int8_multiplier("Wemb") == 4);
  CHECK(file->int8_multiplier("half") == 0);
  CHECK(file->read_text("special:model.yml") == "a: b\n");
  CHECK_THAT(message_of([&] { file->read_floats("special:model.yml"); }), Contains("holds i8, must hold real numbers"));
  CHECK_THAT(message_of([&] { file->describe("x"); }), Contains("has no array x"));
}

TEST_CASE("a damaged binary model is one sentence", "[binary]") {
  const ScratchFolder folder;
  const std::string path = folder / "model.bin", whole = marian_binary(some_arrays());
  const auto read_all = [&] {
    const MarianBinary file(path);
    for (const std::string& name : file.names())
      if (file.describe(name).is_real) file.read_floats(name);
  };
  for (size_t length = 0; length < whole.size(); ++length) {
    write(path, whole.substr(0, length));
    CHECK_THROWS_AS(read_all(), Error);
  }
  const auto with = [&](size_t at, uint64_t word) {
    std::string bytes = whole;
    std::memcpy(bytes.data() + at, &word, sizeof word);
    write(path, bytes);
    return message_of(read_all);
  };
  CHECK_THAT(with(0, 2), Contains("is a binary model of version 2, must be 1"));
  CHECK_THAT(with(8, uint64_t{1} << 60), Contains("arrays, which is no model"));
  CHECK_THAT(with(16, 0), Contains("the list of its arrays is damaged"));
  CHECK_THAT(with(40, uint64_t{1} << 63), Contains("is truncated: array decoder_l1_rnn_bf"));
  std::vector<BinaryArray> arrays = some_arrays();
  arrays[1].name = arrays[0].name;
  write(path, marian_binary(arrays));
  CHECK_THAT(message_of(read_all), Contains("is there twice"));
  arrays = some_arrays();
  arrays[2].shape = {-2, 3};
  write(path, marian_binary(arrays));
  CHECK_THAT(message_of(read_all), Contains("has an axis of -2"));
  arrays[2].shape = {20, 30};
  write(path, marian_binary(arrays));
  CHECK_THAT(message_of(read_all), Contains("by its shape"));
}

TEST_CASE("a model is the same in both forms", "[binary]") {
  const ScratchFolder folder;
  const auto backend = make_cpu_backend(1);
  ModelOptions options = recurrent(small_options(ResidualKind::post_ln));
  options.rnn_projection = false;
  const Model model = random_model(options, *backend);
  const std::string npz = folder / "model.npz", bin = folder / "model.bin";
  save_model(npz, options, *model.parameters, model.parameters->values());
  const NpzReader file(npz);
  std::vector<BinaryArray> arrays;
  for (const std::string& name : file.names())
    arrays.push_back(file.describe(name).is_real
                         ? BinaryArray::f32(name, file.describe(name).shape, file.read_floats(name))
                         : BinaryArray::text(name, file.read_text(name)));
  write(bin, marian_binary(arrays));
  const Model again = load_model(bin, *backend);
  CHECK(again.options.has_rnn_decoder());
  std::vector<float> a, b;
  backend->download(a, model.parameters->values());
  backend->download(b, again.parameters->values());
  CHECK(a == b);
}
