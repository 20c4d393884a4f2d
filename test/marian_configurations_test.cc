// Configurations and command lines as users of Marian have them: read as they stand, or one sentence says what is not
// there.
#include <algorithm>
#include <iterator>

#include "apps/option_parser.h"
#include "core/base/log.h"
#include "core/base/settings_reader.h"
#include "test/catch.h"
#include "test/command_words.h"
#include "test/scratch_folder.h"

using namespace bough;

namespace {

/// Of a kind that projects publish; error: a part of the sentence expected, "" = accepted.
struct Configuration {
  const char* name;
  const char* yaml;  ///< file of -c, "" = none
  const char* line;  ///< command line beside it
  const char* error;
};

constexpr auto sets = " -t c.en c.de -v v.spm v.spm --valid-sets v.en v.de ";

const Configuration trained[] = {
    {"a big teacher of a pipeline, corpus from standard input",
     "task: transformer-big\n"
     "disp-freq: 1000\nlearn-rate: 0.0003\noptimizer-delay: 2\nlr-report: True\nsave-freq: 5000\nvalid-freq: 3000\n"
     "valid-max-length: 300\nvalid-mini-batch: 8\nearly-stopping: 20\nsentencepiece-alphas: [0.5, 0.5]\n",
     "--tied-embeddings-all false --tied-embeddings true -m model/model.npz -v src.spm trg.spm --valid-sets dev.tsv -w "
     "13000 --devices 0 "
     "--valid-metrics chrf ce-mean-words bleu-detok --valid-translation-output devset.out --quiet-translation "
     "--overwrite --keep-best --shuffle batches --no-restore-corpus --sync-sgd "
     "--seed 1 --tsv --beam-size 6 --sharding local",
     ""},
    {"the same as command line arguments of a script, spelled as Python writes them",
     "enc-depth: 6\ndec-depth: 6\ntied-embeddings-all: True\nkeep-best: Yes\noverwrite: On\nno-restore-corpus: FALSE\n"
     "exponential-smoothing: True\nmini-batch-fit: TRUE\ntsv: true\n",
     "-v v.spm v.spm", ""},
    {"a student with a recurrent decoder",
     "dec-cell: ssru\ndec-depth: 2\nenc-depth: 6\ntransformer-decoder-autoreg: rnn\ntied-embeddings-all: true\n", sets,
     ""},
    {"a backward model that is an RNN", "type: s2s\nenc-cell: lstm\ndec-cell: lstm\nskip: true\n", sets,
     "belongs to Marian's RNN models"},
    {"models for hundreds of pairs of languages", "",
     "--type transformer -m opus.spm32k-spm32k.transformer.model1.npz -t train.src.gz train.trg.gz --vocabs v.yml "
     "v.yml "
     "--mini-batch-fit -w 24000 --maxi-batch 500 --early-stopping 15 --valid-freq 10000 --valid-sets d.src d.trg "
     "--valid-metrics perplexity --valid-mini-batch 16 --save-freq 10000 --disp-freq 10000 "
     "--beam-size 4 --normalize 1 --allow-unk --enc-depth 6 --dec-depth 6 --transformer-heads 8 "
     "--transformer-postprocess-emb d --transformer-postprocess dan --transformer-dropout 0.1 --label-smoothing 0.1 "
     "--learn-rate 0.0003 --lr-warmup 16000 --lr-decay-inv-sqrt 16000 --lr-report --optimizer-params 0.9 0.98 1e-09 "
     "--clip-norm 5 --tied-embeddings-all --overwrite --keep-best --devices 0 --sync-sgd --seed 1111 --sqlite "
     "--tempdir "
     "/tmp --exponential-smoothing --fp16",
     ""},
    {"sqlite with a path", "sqlite: corpus.db\nsqlite-drop: true\n", sets, ""},
    {"a teacher of a high-performance project",
     "task: transformer-base\nsharding: local\nsync-freq: 200u\nmini-batch-fit-step: 5\nsentencepiece-alphas: 0.5\n"
     "precision: [float16, float32]\ncost-scaling: [8.f, 10000, 1.f, 8.f]\nmini-batch-round-up: false\n"
     "cost-type: ce-mean-words\ncheck-gradient-nan: true\nnormalize-gradient: true\ngradient-norm-average-window: 100\n"
     "after: 40e\nsave-freq: 5000u\nvalid-freq: 5000u\nearly-stopping-on: first\nshuffle-in-ram: true\n",
     sets, ""},
    {"mixed precision of an older Marian", "precision: [float16, float32, float32]\n",
     "-t a b -v v.yml v.yml --cost-scaling 7 2000 2 0.05 10 1 --no-nccl --optimizer-delay 8", ""},
    {"bare cost-scaling", "",
     "-t a b -v v.yml v.yml --cost-scaling --precision float16 float32 --exponential-smoothing", ""},
    {"pre-norm by a preset, in a shared task", "task: transformer-big-prenorm\nfp16: true\n",
     "-t a b -v v.spm v.spm --mini-batch 1000 --mini-batch-fit --workspace -4000", ""},
    {"corrections of grammar", "",
     "--type transformer -m m.npz -t c.err c.cor -v v.yml v.yml --max-length 100 --mini-batch-fit -w 9500 --maxi-batch "
     "1000 --tied-embeddings-all --dropout-src 0.2 --transformer-dropout 0.3 --label-smoothing 0.1 --optimizer-params "
     "0.9 "
     "0.98 1e-09 --learn-rate 0.0003 --lr-warmup 16000 --lr-decay-inv-sqrt 16000 --clip-norm 5 --exponential-smoothing "
     "0.0001 --pretrained-model lm.npz --valid-script-path ./validate.sh --valid-metrics cross-entropy translation "
     "--no-shuffle --cost-type cross-entropy --sqlite",
     ""},
    {"embeddings trained elsewhere, and a schedule with restarts", "",
     "--type transformer -t c.err c.cor -v v.yml v.yml --embedding-vectors e.txt --tied-embeddings-all "
     "--embedding-fix-src --embedding-normalization --lr-warmup 8000 --lr-warmup-cycle --lr-decay 0.9 "
     "--lr-decay-strategy stalled --lr-decay-start 1 --lr-decay-repeat-warmup --lr-decay-reset-optimizer "
     "--lr-warmup-at-reload --logical-epoch 1Gt 2 --after +10e --valid-first",
     ""},
    {"pre-norm without the norm on top",
     "transformer-preprocess: n\ntransformer-postprocess: da\ntransformer-postprocess-top: ''\n", sets, ""},
    {"weights of words, from a file and from a field", "",
     "-t c.err c.cor -v v.yml v.yml --data-weighting c.weights --data-weighting-type word", ""},
    {"the same by types of fields", "tsv: true\ninput-types: [sequence, sequence, weight]\n", "-v v.yml v.yml", ""},
    {"weights of sentences in a field", "tsv: true\ndata-weighting: 2\ntsv-fields: 3\n", "-v v.yml v.yml", ""},
    {"a factored vocabulary", "", "-t a b -v a.fsv b.fsv", "'a.fsv' is a factored vocabulary"},
    {"standard input, tsv left out", "", "-t stdin -v a.yml b.yml --shuffle none", ""},
    {"quantised fine-tuning", "quantize-bits: 8\n", sets, "quantize-bits is not supported"},
    {"information that was asked for once", "build-info: \"\"\ndump-config: \"\"\nhelp: false\n", sets, ""},
    {"the same, older", "build-info: false\ndump-config: false\nauthors: false\ncite: false\n", sets, ""},
};

const Configuration translated[] = {
    {"a published decoder",
     "models: [m.npz]\nvocabs: [v.spm, v.spm]\nbeam-size: 6\nnormalize: 1\nword-penalty: 0\n"
     "mini-batch: 64\nmaxi-batch: 100\nmaxi-batch-sort: src\nrelative-paths: true\n",
     "--quiet --cpu-threads", ""},
    {"one for small machines",
     "relative-paths: true\nmodels: [m.npz]\nvocabs: [v.spm, v.spm]\nshortlist: [lex.s2t.gz, 50, 50]\nbeam-size: 1\n"
     "normalize: 1.0\nword-penalty: 0\nmaxi-batch-sort: src\nworkspace: 2000\nmax-length-factor: 2.5\nskip-cost: true\n"
     "gemm-precision: int8shiftAlphaAll\nmodel-mmap: false\n",
     "", ""},
    {"int8 on the command line", "",
     "-m m.npz -v v.spm v.spm -g packed8 --optimize --quantize-range 2 --shortlist lex 100 75", ""},
    {"float16", "precision: [float16]\n", "-m m.npz -v v.spm v.spm --fp16 --num-devices 1", ""},
    {"what the model says is left to it", "type: amun\ndim-emb: 999\nenc-depth: 1\ndim-vocabs: [0, 0]\n",
     "-m m.npz -v v.spm v.spm --type s2s", ""},
    {"an option of training", "learn-rate: 1\n", "-m m.npz -v v.spm v.spm", "'learn-rate' is an option of bough-train"},
};

/// What Marian's three programs dump (--dump-config full) for options that bough has no row for or other defaults of.
constexpr auto dumped_model =
    "authors: false\ncite: false\nbuild-info: \"\"\nignore-model-config: false\nfactors-dim-emb: 0\nfactors-combine: "
    "sum\n"
    "lemma-dependency: \"\"\nlemma-dim-emb: 0\ndim-rnn: 1024\nenc-type: bidirectional\nenc-cell: gru\nenc-cell-depth: "
    "1\n"
    "dec-cell: gru\ndec-cell-base-depth: 2\ndec-cell-high-depth: 1\nskip: false\nlayer-normalization: false\n"
    "input-types: []\nbest-deep: false\ntransformer-no-projection: false\ntransformer-rnn-projection: false\n"
    "transformer-pool: false\ntransformer-ffn-depth: 2\ntransformer-decoder-dim-ffn: 0\n"
    "transformer-decoder-ffn-depth: 0\ntransformer-no-bias: false\ntransformer-no-affine: false\n"
    "transformer-dim-aan: 2048\ntransformer-aan-depth: 2\ntransformer-aan-activation: swish\n"
    "transformer-aan-nogate: false\ntransformer-decoder-autoreg: self-attention\ntransformer-tied-layers: []\n"
    "transformer-guided-alignment-layer: last\ntransformer-train-position-embeddings: false\n"
    "transformer-disable-position-embeddings: false\ntransformer-depth-scaling: false\ntransformer-attention-mask: "
    "default\n"
    "transformer-alibi-shift: false\ntransformer-alibi-trainable: false\nseparator-symbol: \"[eos]\"\n"
    "bert-mask-symbol: \"[MASK]\"\nbert-sep-symbol: \"[SEP]\"\nbert-class-symbol: \"[CLS]\"\nbert-masking-fraction: "
    "0.15\n"
    "bert-train-type-embeddings: true\nbert-type-vocab-size: 2\ndim-vocabs: [0, 0]\ndim-emb: 512\nenc-depth: 6\n"
    "dec-depth: 6\ntransformer-heads: 8\ntransformer-dim-ffn: 2048\ntransformer-ffn-activation: swish\n"
    "transformer-preprocess: \"\"\ntransformer-postprocess: dan\ntransformer-postprocess-emb: d\n"
    "transformer-postprocess-top: \"\"\ntied-embeddings: false\ntied-embeddings-src: false\ntied-embeddings-all: true\n"
    "output-omit-bias: false\nright-left: false\nworkspace: 2048\nlog-level: info\nlog-time-zone: \"\"\nquiet: false\n"
    "quiet-translation: false\nseed: 0\ncheck-nan: false\ninterpolate-env-vars: false\nrelative-paths: false\n"
    "version: v1.12.0 65bf82ff 2023-02-21 09:56:29 -0800\n";
constexpr auto dumped_training =
    "type: transformer\ndropout-rnn: 0\ndropout-src: 0\ndropout-trg: 0\nmulti-loss-type: sum\nunlikelihood-loss: "
    "false\n"
    "logical-epoch: [1e, 0]\nsqlite: \"\"\nsqlite-drop: false\nno-nccl: false\nsharding: global\nsync-freq: 200u\n"
    "cpu-threads: 0\nmini-batch-fit-step: 10\nmini-batch-words-ref: 0\nmini-batch-warmup: 0\nmini-batch-track-lr: "
    "false\n"
    "mini-batch-round-up: true\nall-caps-every: 0\nenglish-title-case-every: 0\nlr-decay: 0\nlr-decay-start: [10, 1]\n"
    "lr-decay-reset-optimizer: false\nlr-decay-repeat-warmup: false\nlr-warmup-cycle: false\nlr-warmup-at-reload: "
    "false\n"
    "factor-weight: 1\nguided-alignment: none\nguided-alignment-cost: ce\nguided-alignment-weight: 0.1\n"
    "data-weighting: \"\"\ndata-weighting-type: sentence\nembedding-vectors: []\nembedding-normalization: false\n"
    "embedding-fix-src: false\nembedding-fix-trg: false\nprecision: [float32, float32]\ncost-scaling: []\n"
    "throw-on-divergence: []\ncustom-fallbacks: []\nfp16-fallback-to-fp32: false\ndynamic-gradient-scaling: []\n"
    "train-embedder-rank: []\nquantize-bits: 0\nquantize-optimization-steps: 0\nquantize-log-based: false\n"
    "quantize-biases: false\nulr: false\nulr-query-vectors: \"\"\nulr-keys-vectors: \"\"\nulr-dim-emb: 0\nulr-dropout: "
    "0\n"
    "ulr-softmax-temperature: 1\nulr-trainable-transformation: false\nn-best: false\nword-scores: false\n"
    "exponential-smoothing-replace-freq: 0\nnormalize-gradient-by-ratio: false\ninput-reorder: []\n"
    "input-join-fields: false\nsentencepiece-alphas: []\nsentencepiece-options: \"\"\ntsv: false\ntsv-fields: 0\n"
    "after: 0e\nafter-batches: 0\nafter-epochs: 0\noptimizer-params: []\nvalid-script-args: []\nvalid-log: \"\"\n"
    "train-sets: [c.en, c.de]\nvocabs: [v.yml, v.yml]\nmodel: m.npz\nsigterm: save-and-exit\ndevices: [0]\n";
/// The same of Marian 1.7 and 1.9, where they differ.
constexpr auto dumped_older =
    "guided-alignment-cost: mse\nmulti-node: false\nmulti-node-overlap: true\nbatch-flexible-lr: false\n"
    "batch-normal-words: 1920\nlr-decay-inv-sqrt: 16000\nprecision: [float32, float32, float32]\nno-shuffle: false\n"
    "type: transformer\ntrain-sets: [c.en, c.de]\nvocabs: [v.yml, v.yml]\nulr-dropout: 0.0\nskip: False\n";
constexpr auto dumped_batches =
    "mini-batch: 1\nmini-batch-words: 0\nmaxi-batch: 1\nmaxi-batch-sort: none\nmax-length: 1000\nmax-length-crop: "
    "false\n"
    "data-threads: 8\ncpu-threads: 0\ndevices: [0]\nprecision: [float32]\nfp16: false\noptimize: false\n"
    "gemm-type: float32\nquantize-range: 0\nvocabs: [v.yml, v.yml]\noutput: stdout\nno-spm-encode: false\n";
constexpr auto dumped_decoder =
    "type: amun\nmodels: [m.npz]\ninput: [stdin]\nallow-special: false\nskip-cost: false\nshortlist: []\n"
    "output-approx-knn: []\nmodel-mmap: false\nencryption-key-path: \"\"\nstat-freq: 0\nallow-unk: false\nn-best: "
    "false\n"
    "word-scores: false\nno-spm-decode: false\n";
constexpr auto dumped_scorer =
    "type: amun\nmodel: m.npz\nno-reload: false\ntrain-sets: [a, b]\nn-best: false\nn-best-feature: Score\n"
    "normalize: false\nsummary: \"\"\nword-scores: false\n";

template <class Parse, size_t n>
void check_all(Parse parse, const Configuration (&all)[n]) {
  for (const Configuration& c : all) {
    INFO(c.name);
    const ScratchFolder folder;
    // Always a file: without one, training would go on with the <model>.yml of whatever folder the test runs in.
    const std::string error = error_of(parse, fmt::format("{} -c {}", c.line, folder.file("config.yml", c.yaml)));
    if (std::string_view(c.error).empty()) {
      CHECK(error == "");
    } else {
      CHECK(error.find(c.error) != std::string::npos);
      CHECK(std::count(error.begin(), error.end(), '\n') <= 2);
    }
  }
}

template <class Parse>
auto read(Parse parse, const std::string& yaml) {
  const ScratchFolder folder;
  return run(parse, "-c " + folder.file("dump.yml", yaml));
}

/// The lines that reading the options leaves in the log, without their times.
template <class Parse>
std::string log_of(Parse parse, const std::string& yaml, const std::string& line = "") {
  const ScratchFolder folder;
  const std::string path = folder / "log";
  run(parse, fmt::format("{} -c {} --log {} --quiet", line, folder.file("c.yml", yaml), path));
  log::configure({});
  std::ifstream in(path);
  std::string all;
  for (std::string text; std::getline(in, text);) all += text.substr(text.find("[config]")) + "\n";
  return all;
}

const std::string train_line = "-t a b -v a.yml b.yml --no-reload";

}  // namespace

TEST_CASE("configurations of trained models are read as they stand", "[settings]") {
  check_all(parse_train_options, trained);
  check_all(parse_translate_options, translated);
}

TEST_CASE("configurations that Marian has dumped are read as they stand", "[settings]") {
  const std::string model = dumped_model;
  CHECK(read(parse_train_options, model + dumped_training).model.encoder_layers == 6);
  CHECK_NOTHROW(read(parse_train_options, dumped_older));
  CHECK(read(parse_translate_options, model + dumped_batches + dumped_decoder).models[0] == "m.npz");
  CHECK(read(parse_model_scorer_options, model + dumped_batches + dumped_scorer).models[0] == "m.npz");
}

TEST_CASE("what bough dumps, bough reads, whatever was asked beside it", "[settings]") {
  const TrainOptions o = read(parse_train_options,
                              "train-sets: [a, b]\nvocabs: [v.spm, v.spm]\nfp16: true\n"
                              "sentencepiece-alphas: 0.5\nexponential-smoothing: True\n");
  const std::string text = format_yaml(dump(o));
  CHECK(format_yaml(dump(read(parse_train_options, text))) == text);
  CHECK(o.corpus.sentencepiece_alphas == std::vector<double>{0.5, 0});
  CHECK(o.optimizer.ema_decay == 1);
  CHECK(error_of(parse_train_options, train_line + " --sentencepiece-alphas 0.5 0 0").find("must have at most 2") !=
        std::string::npos);
}

TEST_CASE("standard input and tsv imply each other", "[settings]") {
  const auto corpus = [](const std::string& line) {
    return run(parse_train_options, "-v a.yml b.yml --no-reload " + line).corpus;
  };
  CHECK(corpus("--tsv").train_sets == std::vector<std::string>{"stdin"});
  CHECK(corpus("-t -").tsv);
  CHECK(corpus("-t stdin").tsv);
  CHECK_FALSE(corpus("-t a b").tsv);
  CHECK(corpus("--tsv -t c.tsv").train_sets == std::vector<std::string>{"c.tsv"});
}

TEST_CASE("options that mean something else here say so in one line", "[settings]") {
  const auto train = [](const std::string& yaml) { return log_of(parse_train_options, yaml, train_line); };
  CHECK(train("sync-sgd: true\nsharding: global\nno-nccl: false\nsqlite: ''\nprecision: float32\n") == "");
  CHECK(train("sqlite: temporary\n") ==
        "[config] sqlite has no effect: the encoded corpus is on disk anyway, in a file under tempdir\n");
  CHECK(train("no-nccl: yes\n").starts_with("[config] no-nccl has no effect"));
  CHECK(train("precision: [float16, float32]\n") ==
        "[config] precision float16 means bfloat16 here: as fast, and without cost scaling\n");
  CHECK(train("fp16: true\n").starts_with("[config] fp16 means bfloat16 here"));
  CHECK(train("exponential-smoothing: True\n") ==
        "[config] exponential-smoothing is 'True', read as 1, as Marian does; the option without a value is 1e-4\n");
  CHECK(train("label-smoothing: false\n") == "[config] label-smoothing is 'false', read as 0, as Marian does\n");
  CHECK(log_of(parse_translate_options, "gemm-precision: int16\noutput-approx-knn: [100, 1024]\n", "-m m.npz -v a b") ==
        "[config] gemm-precision int16 means float32 here: int8 is the faster one\n[config] output-approx-knn has no "
        "effect: the output layer always computes the whole vocabulary, which is slower\n");
}
