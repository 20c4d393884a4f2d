// The settings seen from outside: what a user can write, and what becomes of it.

#include <cstdlib>
#include <filesystem>
#include <limits>

#include "core/base/settings_reader.h"
#include "test/catch.h"
#include "test/option_runs.h"
#include "test_paths.h"

using namespace bough;
namespace fs = std::filesystem;

TEST_CASE("the command line follows Marian's grammar", "[settings]") {
  CHECK(train({"--beam-size", "6"}).decoding.beam_size == 6);
  CHECK(train({"--beam-size=6"}).decoding.beam_size == 6);
  CHECK(train({"-b", "6"}).decoding.beam_size == 6);
  CHECK(train({"-b6"}).decoding.beam_size == 6);
  CHECK(train({"-n0.6"}).decoding.normalize == 0.6);
  CHECK(train({"-n", "-w", "6000"}).decoding.normalize == 1);
  CHECK(train({"-w", "-4000"}).machine.workspace == -4000);
  CHECK(train({"--exponential-smoothing", "--lr-report"}).optimizer.ema_decay == 1e-4);
  CHECK(train({"--cpu-threads", "--quiet"}).machine.cpu_threads == 1);
  CHECK(train({"--tied-embeddings-all"}).model.tied_embeddings_all);
  CHECK_FALSE(train({"--disp-label-counts", "false"}).display.disp_label_counts);
  CHECK_FALSE(train({"--disp-label-counts=false"}).display.disp_label_counts);
  CHECK(train({"--quiet", "true"}).general.quiet);
  CHECK(train({"--sentencepiece-options", "--character_coverage=1 --x=2"}).corpus.sentencepiece_options ==
        "--character_coverage=1 --x=2");
  CHECK(train({"--optimizer-params", "0.9", "0.98", "1e-09"}).optimizer.params == std::vector<double>{0.9, 0.98, 1e-9});
  CHECK(train({"--valid-sets", "a", "--valid-sets", "b"}).validation.valid_sets == Strings{"a", "b"});
  CHECK(train({"--beam-size", "6", "--beam-size", "7"}).decoding.beam_size == 7);
  CHECK(train({"--devices", "0"}).machine.devices.ids == std::vector<int>{0});
  CHECK(train({"-d", "3 "}).machine.devices.ids == std::vector<int>{3});
  CHECK(train({"--transformer-preprocess", "", "-b", "5"}).decoding.beam_size == 5);
  CHECK(*run(parse_train_options, {"--tsv", "-t", "-", "-v", "a", "b"})->corpus.train_sets.begin() == "-");
}

TEST_CASE("YAML: lists, scalars, and later files", "[settings]") {
  // What means true is true where a choice has that name.
  CHECK(train_yaml("gradient-checkpointing: yes\n").run.recomputation == Recomputation::all);
  CHECK(train({"--gradient-checkpointing", "0"}).run.recomputation == Recomputation::none);
  const TrainOptions a = train_yaml(
      "lr-decay-inv-sqrt: 16000\nvalid-metrics: bleu\noptimizer-params: [0.9, "
      "0.98]\nvalid-script-path:\n");
  CHECK(a.optimizer.inverse_sqrt == std::vector<SchedulePeriod>{SchedulePeriod{16000}});
  CHECK(a.validation.metrics == std::vector{&validation_metric("bleu")});
  CHECK(a.optimizer.beta2 == 0.98);
  CHECK(a.optimizer.epsilon == 1e-8);
  CHECK(a.validation.script_path.empty());

  const ScratchFolder folder;
  const std::string first = folder.file("first.yml", "beam-size: 3\ndim-emb: 64\n");
  const std::string second = folder.file("second.yml", "beam-size: 4\n");
  const TrainOptions both = train({"-c", first, second});
  CHECK(both.decoding.beam_size == 4);
  CHECK(both.model.model_dim == 64);
  CHECK(train({"-c", first, "-c", second, "-b", "5"}).decoding.beam_size == 5);
  CHECK(train({"-c", folder.file("empty.yml", "")}).decoding.beam_size == 12);
}

TEST_CASE("a preset is Marian's", "[settings]") {
  const TrainOptions base = train({"--task", "transformer-base"});
  CHECK(base.model.encoder_layers == 6);
  CHECK(base.model.heads == 8);
  CHECK(base.model.activation == Activation::relu);
  CHECK(base.model.residual == ResidualKind::post_ln);
  CHECK(base.model.tied_embeddings_all);
  CHECK(base.optimizer.learning_rate == 3e-4);
  CHECK(base.optimizer.beta2 == 0.98);
  CHECK(base.optimizer.epsilon == 1e-9);
  CHECK(base.optimizer.ema_decay == 1e-4);
  CHECK(base.optimizer.clip_norm == 0);
  CHECK(base.optimizer.warmup == SchedulePeriod{16000});
  CHECK(base.batch.mini_batch_fit);
  CHECK(base.batch.mini_batch == 1000);
  CHECK(base.machine.workspace == 9500);
  CHECK(base.decoding.normalize == 1);
  CHECK(base.validation.mini_batch == 16);
  CHECK(base.display.cost_type == CostType::ce_mean_words);
  const TrainOptions big = train({"--task", "transformer-big-prenorm"});
  CHECK(big.model.residual == ResidualKind::pre_ln);
  CHECK(big.model.model_dim == 1024);
  CHECK(big.model.ffn_dim == 4096);
  CHECK(big.optimizer.beta2 == 0.998);
  CHECK(big.corpus.max_length == 100);
  const TrainOptions deep =
      train({"--task", "transformer-base", "--transformer-residual", "branchnorm", "--enc-depth", "100"});
  CHECK(deep.model.residual == ResidualKind::branchnorm);
  CHECK(deep.model.encoder_layers == 100);
  CHECK(deep.model.branchnorm_max_step == SchedulePeriod{16000 * 100 / 2});
}

TEST_CASE("an alias has the priority of its place", "[settings]") {
  CHECK(train_yaml("dim-emb: 64\n", {"--task", "transformer-base"}).model.model_dim == 512);
  CHECK(train_yaml("dim-emb: 64\ntask: transformer-base\n").model.model_dim == 64);
  CHECK(train_yaml("task: transformer-base\n", {"--dim-emb", "64"}).model.model_dim == 64);
  CHECK(train({"--dim-emb", "64", "--task", "transformer-base"}).model.model_dim == 64);
  CHECK(train_yaml("task: [transformer-big, transformer-base]\n").model.model_dim == 1024);
  CHECK(train_yaml("task: transformer-big\n", {"--task", "transformer-base"}).model.model_dim == 512);
  CHECK(train({"--no-shuffle"}).corpus.shuffle == ShuffleKind::none);
  CHECK(train_yaml("no-shuffle: yes\n").corpus.shuffle == ShuffleKind::none);
  CHECK(train_yaml("no-shuffle: false\n").corpus.shuffle == ShuffleKind::data);
  CHECK(train({"--fp16", "--quiet"}).machine.compute_type() == ComputeType::bfloat16);
  CHECK(train({"--fp16", "--precision", "float32"}).machine.compute_type() == ComputeType::float32);
  CHECK(translate({"--fp16", "--quiet"}).machine.compute_type() == ComputeType::bfloat16);
  CHECK_NOTHROW(train({"--sync-sgd", "--check-gradient-nan", "--normalize-gradient"}));
}

TEST_CASE("residual kinds and Marian's op strings", "[settings]") {
  auto kind = [](const Strings& arguments) { return train(arguments).model.residual; };
  CHECK(kind({}) == ResidualKind::post_ln);
  CHECK(kind({"--transformer-postprocess", "dan"}) == ResidualKind::post_ln);
  const Strings pre = {"--transformer-preprocess",      "n", "--transformer-postprocess", "da",
                       "--transformer-postprocess-top", "n"};
  CHECK(kind(pre) == ResidualKind::pre_ln);
  CHECK(kind(join(pre, {"--transformer-residual", "pre-ln"})) == ResidualKind::pre_ln);
  CHECK(kind({"--transformer-preprocess", "n", "--transformer-postprocess", "da"}) == ResidualKind::pre_ln_no_top);
  CHECK(kind({"--transformer-residual", "deepnorm", "--transformer-postprocess", "dan"}) == ResidualKind::deepnorm);
  CHECK(kind(join(pre, {"--transformer-residual", "sub-ln"})) == ResidualKind::sub_ln);
  CHECK_THROWS_AS(kind({"--transformer-residual", "rezero", "--transformer-postprocess", "dan"}), Error);
  CHECK_THROWS_AS(kind(join(pre, {"--transformer-residual", "b2t"})), Error);
  CHECK_THROWS_AS(kind({"--transformer-residual", "dlcl", "--transformer-postprocess", "dan"}), Error);
  const TrainOptions bare = train({"--transformer-residual", "pre-ln"});
  CHECK(bare.model.preprocess == "n");
  CHECK(bare.model.postprocess == "da");
  CHECK(bare.model.postprocess_top == "n");

  CHECK(error_of([&] {
          kind(join(pre, {"--transformer-residual", "branchnorm"}));
        }) ==
        "transformer-residual is branchnorm, which in Marian's terms is transformer-preprocess '', "
        "-postprocess 'dan', -postprocess-top '', but these are 'n', 'da', 'n'. Leave one of the two "
        "ways out, or give them as post-ln or pre-ln ('n', 'da', 'n') alike");
  CHECK(error_of([&] {
          kind({"--transformer-postprocess", "dhan"});
        }).find("transformer-postprocess is 'dhan': bough has no highway connections") == 0);
  CHECK(error_of([&] { kind({"--transformer-preprocess", "r"}); }).find("RMS norm") != std::string::npos);
}

TEST_CASE("branchnorm's T and Adam's epsilon follow from other settings", "[settings]") {
  const Strings branch = {"--transformer-residual", "branchnorm"};
  const auto max_step = [&](const Strings& more) { return train(join(branch, more)).model.branchnorm_max_step; };
  CHECK(max_step({"--enc-depth", "6", "--dec-depth", "3"}) == SchedulePeriod{12000});
  CHECK(max_step({"--lr-warmup", "8ku", "--dec-depth", "50"}) == SchedulePeriod{200000});
  CHECK(max_step({"--lr-warmup", "8ku", "--branchnorm-schedule", "linear"}) == SchedulePeriod{1000});
  CHECK(max_step({"--lr-warmup", "8ku", "--branchnorm-schedule", "square", "--enc-depth", "10"}) ==
        SchedulePeriod{100});
  CHECK(max_step({"--lr-warmup", "1u", "--branchnorm-schedule", "by-layer"}) == SchedulePeriod{1});
  CHECK(train(join(branch, {"--branchnorm-max-step", "2Gt"})).model.branchnorm_max_step ==
        SchedulePeriod{2'000'000'000, ScheduleUnit::labels});
  CHECK(train(branch).optimizer.epsilon == 1e-9);
  CHECK(train(join(branch, {"--optimizer-params", "0.9", "0.98"})).optimizer.epsilon == 1e-9);
  CHECK(train(join(branch, {"--optimizer-params", "0.9", "0.98", "1e-6"})).optimizer.epsilon == 1e-6);
  CHECK(train({}).optimizer.epsilon == 1e-8);
  CHECK(error_of([&] {
          train(join(branch, {"--branchnorm-max-step", "3e"}));
        }) == "command line: branchnorm-max-step is '3e', must be a period such as 4000u or 2Gt in u or t");
  CHECK(train({"--after", "10e", "--after-epochs", "8", "--after-batches", "100"}).run.stop_criteria() ==
        StopCriteria{100, 0, 8});
}

TEST_CASE("the effective settings read back as the same", "[settings]") {
  const ScratchFolder folder;
  const TrainOptions first =
      train({"--task", "transformer-base-prenorm", "--after", "10e,2Gt", "--valid-metrics", "bleu", "chrf",
             "--learn-rate", "0.0001234567", "--sentencepiece-options", "a: b # 'c'"});
  const std::string file = folder.file("model.npz.yml", format_yaml(dump(first)));
  const TrainOptions again = *run(parse_train_options, {"-c", file});
  CHECK(dump(again) == dump(first));
  const TranslateOptions t = translate({"-b", "4", "-n"});
  const std::string decoder = folder.file("decoder.yml", format_yaml(dump(t)));
  CHECK(dump(*run(parse_translate_options, {"-c", decoder})) == dump(t));
}

TEST_CASE("training without -c goes on with the settings of <model>.yml", "[settings]") {
  const ScratchFolder folder;
  const std::string model = folder / "m.npz";
  folder.file("m.npz.yml", format_yaml(dump(train({"--beam-size", "3", "--model", model}))));
  const auto resumed = run(parse_train_options, {"--model", model, "--after", "2e"});
  CHECK(resumed->decoding.beam_size == 3);
  CHECK(resumed->run.after.epochs == 2);
  CHECK(error_of([&] { run(parse_train_options, {"-m", model, "--no-reload"}); }).find("train-sets has 0 files") == 0);
}

TEST_CASE("paths relative to their file, and environment variables", "[settings]") {
  const ScratchFolder folder;
  const std::string file =
      folder.file("decoder.yml", "relative-paths: true\nmodels: [m.npz]\nvocabs: [a.spm, /abs/b.spm]\ninput: stdin\n");
  const auto t = run(parse_translate_options, {"-c", file, "--output", "out"});
  CHECK(t->models[0] == folder / "m.npz");
  CHECK(t->vocabulary.paths == Strings{folder / "a.spm", "/abs/b.spm"});
  CHECK(t->input[0] == "stdin");
  CHECK(t->output == "out");
  ::setenv("BOUGH_TEST_FOLDER", "somewhere", 1);
  CHECK(train({"--interpolate-env-vars", "--tempdir", "${BOUGH_TEST_FOLDER}/x"}).corpus.tempdir == "somewhere/x");
  CHECK(train({"--tempdir", "${BOUGH_TEST_FOLDER}/x"}).corpus.tempdir == "${BOUGH_TEST_FOLDER}/x");
  CHECK(error_of([] {
          train({"--interpolate-env-vars", "--tempdir", "${BOUGH_NOT_SET}"});
        }) ==
        "tempdir is '${BOUGH_NOT_SET}', but the environment has no BOUGH_NOT_SET. Set it, or turn "
        "interpolate-env-vars off");
}

TEST_CASE("environment variables are replaced before paths are made relative", "[settings]") {
  const ScratchFolder folder;
  ::setenv("BOUGH_TEST_FOLDER", "/somewhere", 1);
  const std::string text = "relative-paths: TRUE\nvalid-log: ${BOUGH_TEST_FOLDER}/v.log\nlog: a.log\n";
  const std::string file = folder.file("c.yml", text + "interpolate-env-vars: yes\n");
  CHECK(train({"-c", file, "--model", "${BOUGH_TEST_FOLDER}/m.npz"}).saving.model == "/somewhere/m.npz");
  CHECK(train({"-c", file}).validation.log_file == "/somewhere/v.log");
  CHECK(train({"-c", file}).general.log_file == folder / "a.log");
  const std::string other = folder.file("d.yml", text);
  CHECK(train({"-c", other, "--interpolate-env-vars"}).validation.log_file == "/somewhere/v.log");
  CHECK(train({"-c", other}).validation.log_file == folder / "${BOUGH_TEST_FOLDER}/v.log");
}

TEST_CASE("truth values are YAML 1.1's", "[settings]") {
  const ScratchFolder folder;
  for (const char* word : {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y", "1"})
    CHECK(train({"-c", folder.file("c.yml", fmt::format("overwrite: {}\n", word))}).saving.overwrite);
  for (const char* word : {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N", "0"})
    CHECK_FALSE(train({"--overwrite", word}).saving.overwrite);
  for (const char* word : {"tRUE", "oN", "2", "''"})
    CHECK(error_of([&] { train({"-c", folder.file("c.yml", fmt::format("overwrite: {}\n", word))}); }) != "");
}

TEST_CASE("of settings that exclude each other the one from the later place wins", "[settings]") {
  const ScratchFolder folder;
  const std::string gpu = folder.file("gpu.yml", "devices: [0]\n"), cpu = folder.file("cpu.yml", "cpu-threads: 2\n");
  CHECK_FALSE(train({"-c", gpu, "--cpu-threads", "3"}).machine.devices.given());
  CHECK(train({"-c", gpu, "--cpu-threads", "0"}).machine.devices.given());
  CHECK(train({"-c", cpu, "--devices", "0"}).machine.cpu_threads == 0);
  CHECK(train({"-c", cpu, gpu}).machine.cpu_threads == 0);
  CHECK_FALSE(train({"-c", gpu, cpu}).machine.devices.given());
  CHECK(translate({"-c", gpu, "--cpu-threads", "3"}).machine.cpu_threads == 3);
  const std::string both = folder.file("both.yml", "devices: [0]\ncpu-threads: 2\n");
  CHECK(error_of([&] { train({"-c", both}); }).find("devices and cpu-threads are both given") == 0);
  CHECK(train({"-c", both, "--cpu-threads", "3"}).machine.cpu_threads == 3);

  const std::string words = folder.file("words.yml", "mini-batch-words: 1000\n");
  CHECK(train({"-c", words, "--mini-batch-fit"}).batch.mini_batch_fit);
  CHECK(train({"-c", words, "--mini-batch-fit", "false"}).batch.mini_batch_words == 1000);
  const std::string ops = folder.file("ops.yml",
                                      "transformer-preprocess: n\ntransformer-postprocess: da\n"
                                      "transformer-postprocess-top: n\n");
  CHECK(train({"-c", ops}).model.residual == ResidualKind::pre_ln);
  CHECK(train({"-c", ops, "--transformer-residual", "branchnorm"}).model.residual == ResidualKind::branchnorm);
}

TEST_CASE("what is written is no file that is read", "[settings]") {
  const ScratchFolder folder;
  const std::string input = folder.file("in", "text\n"), model = folder.file("m.npz", "");
  fs::create_symlink(input, folder / "link");
  fs::create_hard_link(input, folder / "hard");
  fs::create_directory_symlink(folder / "", folder / "folder");
  for (const char* name : {"in", "link", "hard", "./in", "folder/in"})
    CHECK(error_of([&] {
            translate({"-i", input, "-o", folder / name});
          }) == "output: '" + folder / name + "' is input, too, and would be overwritten. Give another file");
  CHECK(error_of([&] { translate({"-i", input, "--log", input}); }).find("log: '" + input + "' is input, too") == 0);
  const Strings both = {"-m", model, "-v", "v.spm", "v.spm", "-o", model};
  CHECK(error_of([&] { run(parse_translate_options, both); }).find("output: '" + model + "' is models, too") == 0);
  CHECK(error_of([&] { train({"--valid-sets", input, folder / "x", "--valid-log", input}); }).find("valid-log: ") == 0);
  CHECK(error_of([&] { train({"--log", folder / "new.npz", "-m", folder / "./new.npz"}); }) != "");
  CHECK(error_of([&] { train({"--valid-sets", input, input, "--valid-translation-output", input}); }) != "");
  CHECK_NOTHROW(train({"--log", folder / "log", "--valid-log", folder / "log", "--metrics", "/dev/null"}));
  CHECK_NOTHROW(translate({"-i", "/dev/null", "-o", "/dev/null"}));
}

TEST_CASE("numbers beyond all sense are refused", "[settings]") {
  const auto line = [](const Strings& arguments) { return error_of([&] { train(arguments); }); };
  CHECK(line({"--enc-depth", "1000000000"}) ==
        "command line: enc-depth is '1000000000', must be a whole number in [1, 2000]");
  for (const char* option :
       {"dim-emb", "dec-depth", "transformer-dim-ffn", "transformer-heads", "cpu-threads", "data-threads"})
    CHECK(line({fmt::format("--{}", option), "1000000000"}).find(fmt::format("command line: {} is ", option)) == 0);
  for (const char* number : {"nan", "inf", "-inf", "1e999"}) {
    CHECK(line({"--normalize", number}) != "");
    CHECK(line({"--optimizer-params", "0.9", "0.98", number}) != "");
  }
}

TEST_CASE("option errors are sentences that say where", "[settings]") {
  const ScratchFolder folder;
  auto yaml = [&](const std::string& text) { return error_of([&] { train({"-c", folder.file("c.yml", text)}); }); };
  auto line = [](const Strings& arguments) { return error_of([&] { train(arguments); }); };
  const std::string c = folder / "c.yml";
  CHECK(yaml("beam-size: 3\nlabel-smothing: 0.1\n") ==
        c + " line 2: unknown option 'label-smothing'; did you mean 'label-smoothing'?");
  CHECK(yaml("beam-size: many\n") == c + " line 1: beam-size is 'many', must be a whole number, at least 1");
  CHECK(yaml("beam-size: 4000000000\n") ==
        c + " line 1: beam-size is '4000000000', must be a whole number, at least 1, at most " +
            std::to_string(std::numeric_limits<int>::max()));
  CHECK(yaml("\nlabel-smoothing: 1.5\n") == c + " line 2: label-smoothing is '1.5', must be a number in [0, 1)");
  CHECK(yaml("beam-size: [3, 4]\n") == c + " line 1: beam-size is a list of 2, must be one value");
  CHECK(yaml("beam-size: {a: 1}\n") == c + " line 1: beam-size is a map, must be a value or a list of values");
  CHECK(yaml("transformer-residual: deep\n") ==
        c + " line 1: transformer-residual is 'deep', must be one of: post-ln, pre-ln, pre-ln-no-top, "
            "deepnorm, branchnorm, admin, b2t, residual-dual, rezero, sub-ln, dlcl");
  CHECK(yaml("save-freq: 1e\n") == c + " line 1: save-freq is '1e', must be a period such as 4000u or 2Gt in u or t");
  CHECK(yaml("- a\n") == c + ": this is not a map of options, must have a line 'option: value' for each");
  CHECK(yaml("config: x\n") == c + " line 1: config must be given on the command line, not in a file");
  CHECK(yaml("quiet: maybe\n") == c + " line 1: quiet is 'maybe', must be true or false");
  CHECK(yaml("task: transformer-huge\n").find("task is 'transformer-huge', must be one of: ") != std::string::npos);
  CHECK(line({"--beam-sizes", "3"}) == "command line: unknown option 'beam-sizes'; did you mean 'beam-size'?");
  CHECK(line({"--zzzzzzzz"}) == "command line: unknown option 'zzzzzzzz'. bough-train --help lists them all");
  CHECK(line({"stray"}) != "");
  CHECK(line({"-b", "3", "stray"}) == "command line: 'stray' belongs to no option. Give values after an option's name");
  CHECK(line({"--model"}) == "command line: model has no value, must have text");
  CHECK(line({"-d", "--quiet"}).find("command line: devices has no value") == 0);
  CHECK(line({"--learn-rate", "nan"}) == "command line: learn-rate is 'nan', must be a number, at least 0");
  CHECK(line({"--no-spm-decode"}) ==
        "command line: 'no-spm-decode' is an option of bough-translate, not of bough-train. Remove "
        "it");
  CHECK(line({"-c", "/nonexistent.yml"}).find("/nonexistent.yml: this file cannot be read") == 0);
  CHECK(yaml("ulr: true\nwibble: 1\nall-caps-every: 3\n") ==
        c +
            " line 1: ulr belongs to universal language representations, which bough does not "
            "have\n" +
            c + " line 2: unknown option 'wibble'. bough-train --help lists them all\n" + c +
            " line 3: all-caps-every is not supported: change the case of the corpus beforehand");
}

TEST_CASE("settings that contradict each other are errors", "[settings]") {
  auto line = [](const Strings& arguments) { return error_of([&] { train(arguments); }); };
  CHECK(line({"--dim-emb", "100"}) == "transformer-heads is 8, must divide dim-emb, which is 100. Change one of them");
  CHECK(line({"--type", "amun"}).find("type is 'amun', must be transformer") == 0);
  CHECK(line({"--model", "model.bin"}).find("model is 'model.bin', must end in .npz") == 0);
  CHECK(line({"--devices", "0", "2", "0"}) == "devices names GPU 0 twice, must name each once");
  CHECK(line({"--devices", "x"}) == "command line: devices is 'x', must be GPU numbers such as 0 1, or all");
  CHECK(line({"--devices", "0", "--cpu-threads", "2"}).find("devices and cpu-threads are both given") == 0);
  CHECK(line({"--precision", "bfloat16", "bfloat16"}).find("precision: the optimizer's type is bfloat16") == 0);
  CHECK(line({"--optimizer-params", "1", "2", "3", "4", "5"}).find("optimizer-params has 5 values") == 0);
  CHECK(line({"--optimizer-params", "1"}).find("optimizer-params: beta1 is 1") == 0);
  CHECK(line({"--optimizer-params", "0.9", "0.99999999"}).find("optimizer-params: beta1 is 0.9 and beta2 is 0.9") == 0);
  CHECK(line({"--optimizer-params", "0.9", "0.98", "1e-46"}).find("optimizer-params: epsilon is 1e-46, must be") == 0);
  CHECK(line({"--lr-decay-inv-sqrt", "10u", "2Gt"}) == "lr-decay-inv-sqrt: 10u and 2Gt must have the same unit");
  CHECK(line({"--valid-metrics", "translation"}) == "valid-metrics has translation, which needs valid-script-path");
  CHECK(line({"--dim-vocabs", "1", "2", "3"}) == "dim-vocabs has 3 sizes, must have 2: one for each of vocabs");
  CHECK_FALSE(train({"--mini-batch-fit", "--mini-batch-words", "4096"}).batch.mini_batch_fit);
  CHECK(line({"--early-stopping-epsilon", "0", "1"}).find("early-stopping-epsilon has 2 values") == 0);
  CHECK(line({"--transformer-residual", "deepnorm", "--transformer-depth-scaling"})
            .find("transformer-depth-scaling is on") == 0);
  using Names = std::vector<std::string>;
  const auto idle = [&](std::vector<std::string> given) {
    const TrainOptions options = train(std::move(given));
    return options.model.idle_branchnorm_options(options.optimizer.warmup);
  };
  CHECK(idle({"--transformer-residual", "post-ln"}).empty());
  CHECK(idle({"--branchnorm-schedule", "linear", "--transformer-residual", "branchnorm"}).empty());
  CHECK(idle({"--branchnorm-schedule", "linear", "--branchnorm-max-step", "3u", "--transformer-residual", "post-ln"}) ==
        Names{"branchnorm-schedule", "branchnorm-max-step"});
  CHECK(line({"--transformer-postprocess-emb", "nd"}).find("transformer-postprocess-emb is 'nd'") == 0);
  CHECK(error_of([] { run(parse_train_options, {"--no-reload"}); }) ==
        "train-sets has 0 files, must have 2: source and target. Use --train-sets corpus.en "
        "corpus.de");
  CHECK_NOTHROW(run(parse_train_options, {"--describe", "--no-reload"}));
}

TEST_CASE("devices: several to train on, to translate and to score with", "[settings]") {
  CHECK(train({}).machine.asks_for_several() == false);
  CHECK(train({"--devices", "0", "2"}).machine.devices.ids == std::vector<int>{0, 2});
  CHECK(train({"--devices", "0 2"}).machine.asks_for_several());
  CHECK(train({"--devices", "all"}).machine.asks_for_several());
  CHECK(train_yaml("devices: [0, 1]\n").machine.asks_for_several());
  CHECK(train_yaml("num-devices: 4\n").machine.asks_for_several());
  CHECK_FALSE(train_yaml("devices: [2, 3]\nnum-devices: 1\n").machine.asks_for_several());
  CHECK(error_of([&] { train({"--devices", "0", "2", "0"}); }) == "devices names GPU 0 twice, must name each once");
  CHECK(error_of([&] {
          train({"--devices", "0", "2", "--num-devices", "3"});
        }) == "num-devices is 3, must be at most 2: devices names no more");
  for (const Strings& several :
       {Strings{"--devices", "0", "1"}, Strings{"--devices", "all"}, Strings{"--num-devices", "2"}}) {
    CHECK(run(parse_translate_options, join(translate_base, several))->machine.asks_for_several());
    CHECK(run(parse_model_scorer_options, join(scorer_base, several))->machine.asks_for_several());
  }
}

TEST_CASE("--dump-config", "[settings]") {
  const Strings given = {"--task", "transformer-base", "--dim-emb", "256", "--dump-config"};
  const std::string minimal = output_of([&] { CHECK_FALSE(run(parse_train_options, join(given, {"minimal"}))); });
  CHECK(minimal == "task:\n  - transformer-base\ndim-emb: 256\n");
  const Yaml expanded =
      parse_yaml(output_of([&] { CHECK_FALSE(run(parse_train_options, join(given, {"expand"}))); }), "out");
  CHECK(expanded.get_int("dim-emb") == 256);
  CHECK(expanded.get_int("transformer-dim-ffn") == 2048);
  CHECK(expanded.find("task") == nullptr);
  CHECK(expanded.find("beam-size")->text == "8");
  CHECK(expanded.find("overwrite") == nullptr);
  const Yaml full = parse_yaml(output_of([&] { CHECK_FALSE(run(parse_train_options, given)); }), "out");
  CHECK(full.get_bool("overwrite") == false);
  CHECK(full.find("transformer-residual")->text == "post-ln");
  CHECK(full.find("dump-config") == nullptr);
  CHECK(full.find("fp16") == nullptr);
}
