// Models in 8 bits: from any file, to Marian's and back.
#include <algorithm>
#include <cmath>
#include <fstream>

#include "apps/inference/model_average.h"
#include "apps/inference/model_file.h"
#include "apps/inference/translate_command.h"
#include "apps/inference/translator.h"
#include "apps/option_parser.h"
#include "core/base/marian_binary.h"
#include "core/base/marian_binary_writer.h"
#include "core/cpu/factory.h"
#include "test/catch.h"
#include "test/model_arrays.h"
#include "test/model_folder.h"
#include "test/small_model.h"
#include "test/throws.h"

using namespace bough;
using Catch::Matchers::Contains;

namespace {

/// A folder with a model, its vocabulary, and a text in its words.
struct Int8Folder : ModelFolder {
  std::string text;

  Int8Folder() {
    for (const auto& sentence : random_sentences(40, 7, 60, 3)) {
      for (const int32_t id : sentence) text += fmt::format("w{} ", id);
      text += '\n';
    }
    write_file(*this / "text", text);
  }
  Calibration calibration() const { return {*this / "text", {*this / "vocabulary.txt", *this / "vocabulary.txt"}}; }
  std::string export_model(const ModelOptions& options) const {
    const auto backend = make_cpu_backend(1);
    const Model model = random_model(options, *backend);
    save_model(*this / "model.npz", options, *model.parameters, model.parameters->values());
    average_to_int8(*this / "model.bin", {*this / "model.npz"}, calibration());
    return *this / "model.bin";
  }
  std::vector<std::string> translate_with(const std::string& model, GemmPrecision precision,
                                          const std::function<void(TranslateOptions&)>& change = {}) const {
    TranslateOptions options = translate_options(text);
    options.models = {model};
    options.machine.gemm_precision = precision;
    options.decoding.n_best = true;  // scores, too
    if (change) change(options);
    return translate(options);
  }
};

std::vector<ModelOptions> exportable_models() {
  ModelOptions students = recurrent(small_options(ResidualKind::post_ln));
  students.rnn_projection = false;
  ModelOptions two = small_options(ResidualKind::pre_ln);
  two.tied_embeddings_all = false;
  two.tied_embeddings = true;
  ModelOptions untied = small_options(ResidualKind::deepnorm);
  untied.tied_embeddings_all = false;
  return {small_options(ResidualKind::branchnorm), students, two, untied};
}

}  // namespace

TEST_CASE("int8: an exported model translates as the model that it is of", "[int8][translate]") {
  for (const ModelOptions& options : exportable_models()) {
    const Int8Folder folder;
    const std::string bin = folder.export_model(options), plain = folder / "plain.npz";
    average_models(plain, {folder / "model.npz"}, true);
    const auto exact = folder.translate_with(bin, GemmPrecision::int8);
    CHECK(folder.translate_with(plain, GemmPrecision::int8) == exact);

    // The same multipliers of activations beside the float model.
    Arrays arrays = Arrays::of(plain);
    const MarianBinary file(bin);
    for (const std::string& name : file.names())
      if (parameter_names::is_int8_multiplier(name)) arrays.arrays.push_back({name, {1, 1}, file.read_floats(name)});
    if (!options.ties_output()) {
      auto& output = arrays.find("decoder_ff_logit_out_W_QuantMultA");
      output.name = "decoder_ff_logit_out_Wt_QuantMultA";
    }
    arrays.write(folder / "alphas.npz");
    const auto alphas = folder.translate_with(bin, GemmPrecision::int8_alphas);
    CHECK(folder.translate_with(folder / "alphas.npz", GemmPrecision::int8_alphas) == alphas);
    CHECK(alphas != exact);
    CHECK(folder.translate_with(bin, GemmPrecision::float32) != exact);
  }
}

TEST_CASE("int8: a translation depends neither on batches nor on threads and instructions", "[int8][translate]") {
  const Int8Folder folder;
  const std::string bin = folder.export_model(exportable_models()[1]);
  write_file(folder / "lex.s2t", "w7 w8 0.5\nw9 w8 0.3\nw10 w11 0.2\n");
  for (const GemmPrecision precision : {GemmPrecision::float32, GemmPrecision::int8, GemmPrecision::int8_alphas})
    for (const bool has_list : {false, true}) {
      const auto with = [&](int mini_batch, int threads, std::optional<CpuLevel> level) {
        return folder.translate_with(bin, precision, [&](TranslateOptions& o) {
          o.batch.mini_batch = mini_batch;
          o.batch.maxi_batch = 10;
          o.machine.cpu_threads = threads;
          o.machine.cpu_level = level;
          if (has_list) o.shortlist = {.path = folder / "lex.s2t", .first = 30};
        });
      };
      INFO("alphas " << (precision == GemmPrecision::int8_alphas) << ", shortlist " << has_list);
      const auto expected = with(1, 1, {});
      CHECK(with(16, 3, {}) == expected);
      for (const CpuLevel level : cpu_levels()) CHECK(with(7, 2, level) == expected);
    }
}

TEST_CASE("int8: logits stay close to those in float32", "[int8][translate]") {
  const Int8Folder folder;
  const std::string bin = folder.export_model(small_options(ResidualKind::post_ln));
  std::string target;
  for (int line = 0; line < 40; ++line) target += "w5 w6 w7\n";
  const auto scores = [&](GemmPrecision precision) {
    return folder.score(folder.text, target, [&](ModelScorerOptions& o) {
      o.models = {bin};
      o.machine.gemm_precision = precision;
    });
  };
  const auto exact = scores(GemmPrecision::float32);
  for (const GemmPrecision precision : {GemmPrecision::int8, GemmPrecision::int8_alphas}) {
    const auto found = scores(precision);
    double difference = 0;
    for (size_t i = 0; i < exact.size(); ++i) difference += std::abs(std::stod(found[i]) - std::stod(exact[i]));
    CHECK(found != exact);
    CHECK(difference / double(exact.size()) < 0.1);  // nats a sentence, of some 16
  }
}

TEST_CASE("int8: multipliers are those of the calibration", "[int8]") {
  const Int8Folder folder;
  const MarianBinary file(folder.export_model(small_options(ResidualKind::post_ln)));
  CHECK(file.describe("encoder_l1_self_Wq").type == "intgemm8");
  CHECK(file.describe("encoder_l1_self_bq").type == "f32");
  CHECK(file.describe("Wemb_QuantMultA").type == "intgemm8");
  const auto multiplier = [&](const std::string& array) { return file.read_floats(array + "_QuantMultA").at(0); };
  CHECK(multiplier("encoder_l1_self_Wq") == multiplier("encoder_l1_self_Wv"));
  CHECK(multiplier("none") == Approx(multiplier("Wemb")));
  // A layer norm's result: its largest element is between 1 and 4 or so.
  CHECK(multiplier("encoder_l2_self_Wq") > 20);
  CHECK(multiplier("encoder_l2_self_Wq") < 100);
  const float q = file.int8_multiplier("encoder_l1_self_Wq");
  float largest = 0;
  for (const float value : file.read_floats("encoder_l1_self_Wq")) largest = std::max(largest, std::abs(value * q));
  CHECK(largest == Approx(127));
  average_to_int8(folder / "other.bin", {folder / "model.npz"}, {});
  CHECK_FALSE(MarianBinary(folder / "other.bin").contains("Wemb_QuantMultA"));
}

TEST_CASE("int8: an old model's output matrix is calibrated, and what is multiplied by 0 alone, too", "[int8]") {
  const Int8Folder folder;
  ModelOptions options = small_options(ResidualKind::post_ln);
  options.tied_embeddings_all = false;
  const MarianBinary before(folder.export_model(options));
  Arrays old = Arrays::of(folder / "model.npz");
  auto& output = old.find("decoder_ff_logit_out_Wt");
  const size_t rows = size_t(output.shape[0]), columns = size_t(output.shape[1]);
  const auto values = output.values;
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < columns; ++c) output.values[c * rows + r] = values[r * columns + c];
  std::swap(output.shape[0], output.shape[1]);
  output.name = "decoder_ff_logit_out_W";
  old.write(folder / "old.npz");
  average_to_int8(folder / "old.bin", {folder / "old.npz"}, folder.calibration());
  const std::string multiplier = "decoder_ff_logit_out_W_QuantMultA";
  CHECK(MarianBinary(folder / "old.bin").read_floats(multiplier) == before.read_floats(multiplier));

  for (const char* array : {"encoder_l1_self_Wo_ln_scale", "encoder_l1_self_Wo_ln_bias"})
    std::ranges::fill(old.find(array).values, 0.0F);
  old.write(folder / "dead.npz");
  average_to_int8(folder / "dead.bin", {folder / "dead.npz"}, folder.calibration());
  CHECK(MarianBinary(folder / "dead.bin").read_floats("encoder_l1_ffn_W1_QuantMultA") == std::vector{1.0F});
}

TEST_CASE("int8: what a model lacks is one sentence", "[int8]") {
  const Int8Folder folder;
  const std::string bin = folder.export_model(small_options(ResidualKind::post_ln));
  const auto backend = make_cpu_backend(1);
  const auto with_alphas = [&](const std::string& path) {
    return message_of([&] { load_model(path, *backend, GemmPrecision::int8_alphas); });
  };
  CHECK_THAT(with_alphas(folder / "model.npz"), Contains("no array Wemb_QuantMultA, which"));
  CHECK_NOTHROW(load_model(bin, *backend, GemmPrecision::int8_alphas));
  Arrays arrays = Arrays::of(folder / "model.npz");
  const MarianBinary file(bin);
  for (const std::string& name : file.names())
    if (parameter_names::is_int8_multiplier(name)) arrays.arrays.push_back({name, {1, 1}, file.read_floats(name)});
  const auto changed = [&](float value) {
    arrays.find("encoder_l1_self_Wv_QuantMultA").values = {value};
    arrays.write(folder / "changed.npz");
    return with_alphas(folder / "changed.npz");
  };
  CHECK_THAT(changed(3), Contains("encoder_l1_self_Wv is multiplied by is 3, must be"));
  CHECK_THAT(changed(-3), Contains("array encoder_l1_self_Wv_QuantMultA must hold one positive number"));

  // NaN is not rounded away.
  Arrays diverged = Arrays::of(folder / "model.npz");
  diverged.find("encoder_l1_self_Wq").values[5] = std::nanf("");
  diverged.write(folder / "diverged.npz");
  CHECK(folder.translate_with(folder / "diverged.npz", GemmPrecision::int8) ==
        folder.translate_with(folder / "diverged.npz", GemmPrecision::float32));
  CHECK_THAT(message_of([&] { average_to_int8(folder / "x.bin", {folder / "diverged.npz"}, {}); }),
             Contains("diverged.npz': array encoder_l1_self_Wq holds what is not finite"));

  const auto average = [&](const std::string& corpus, const std::string& vocabulary) {
    return message_of([&] {
      average_to_int8(folder / "x.bin", {folder / "model.npz"}, {corpus, {folder / "vocabulary.txt", vocabulary}});
    });
  };
  write_file(folder / "empty", "\n\n");
  CHECK_THAT(average(folder / "empty", folder / "vocabulary.txt"), Contains("empty' has no words"));
  CHECK_THAT(average(folder / "absent", folder / "vocabulary.txt"), Contains("absent"));
  write_file(folder / "small.txt", "</s>\n<unk>\n");
  CHECK_THAT(average(folder / "text", folder / "small.txt"), Contains("2 entries") && Contains("model.npz'"));
  CHECK_FALSE(file_exists(folder / "x.bin"));
  const auto parse = [](std::vector<const char*> words) {
    words.insert(words.begin(), "bough-average");
    return message_of([&] { parse_average_options(int(words.size()), words.data()); });
  };
  CHECK_THAT(parse({"--export-int8", "x.npz", "y.npz"}), Contains("must end in .bin"));
  CHECK_THAT(parse({"x.bin", "y.npz"}), Contains("only export-int8 writes"));
  CHECK_THAT(parse({"x.npz", "y.npz", "--calibrate", "t"}), Contains("Add --export-int8"));
  CHECK_THAT(parse({"--export-int8", "x.bin", "y.npz", "--calibrate", "t"}), Contains("Add --vocabs"));
}
