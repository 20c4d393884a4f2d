// Command lines and configurations of marian-examples that use Transformers, as their users have
// them: bough must read them as they stand.
#include "apps/option_parser.h"
#include "test/catch.h"
#include "test/command_words.h"
#include "test/scratch_folder.h"

using namespace bough;

namespace {

const std::string transformer_example =
    "--model model/model.npz --type transformer "
    "--train-sets data/corpus.bpe.en data/corpus.bpe.de --max-length 100 "
    "--vocabs model/vocab.ende.yml model/vocab.ende.yml "
    "--mini-batch-fit -w 10000 --maxi-batch 1000 "
    "--early-stopping 10 --cost-type=ce-mean-words "
    "--valid-freq 5000 --save-freq 5000 --disp-freq 500 "
    "--valid-metrics ce-mean-words perplexity translation "
    "--valid-sets data/valid.bpe.en data/valid.bpe.de "
    "--valid-script-path \"bash ./scripts/validate.sh\" "
    "--valid-translation-output data/valid.bpe.en.output --quiet-translation "
    "--valid-mini-batch 64 --beam-size 6 --normalize 0.6 "
    "--enc-depth 6 --dec-depth 6 --transformer-heads 8 "
    "--transformer-postprocess-emb d --transformer-postprocess dan "
    "--transformer-dropout 0.1 --label-smoothing 0.1 "
    "--learn-rate 0.0003 --lr-warmup 16000 --lr-decay-inv-sqrt 16000 --lr-report "
    "--optimizer-params 0.9 0.98 1e-09 --clip-norm 5 "
    "--tied-embeddings-all --devices 0 --sync-sgd --seed 1111 --exponential-smoothing";

const char* intro_model =
    "type: transformer\n"
    "dim-emb: 512\n"
    "enc-depth: 6\n"
    "dec-depth: 6\n"
    "tied-embeddings-all: true\n"
    "transformer-heads: 8\n"
    "transformer-dim-ffn: 2048\n"
    "transformer-ffn-activation: relu\n"
    "transformer-preprocess: \"\"\n"
    "transformer-postprocess: dan\n"
    "transformer-dropout: 0.1\n"
    "cost-type: ce-mean-words\n"
    "max-length: 100\n"
    "mini-batch: 1000\n"
    "mini-batch-fit: true\n"
    "maxi-batch: 1000\n"
    "optimizer-params:\n"
    "  - 0.9\n"
    "  - 0.98\n"
    "  - 1e-09\n"
    "sync-sgd: true\n"
    "learn-rate: 0.0003\n"
    "lr-decay-inv-sqrt:\n"
    "  - 16000\n"
    "lr-warmup: 16000\n"
    "label-smoothing: 0.1\n"
    "clip-norm: 0\n"
    "exponential-smoothing: 0.0001\n"
    "disp-freq: 1000\n"
    "disp-first: 10\n"
    "save-freq: 2ku\n"
    "early-stopping: 10\n"
    "keep-best: true\n"
    "beam-size: 8\n"
    "normalize: 1\n"
    "valid-freq: 2ku\n"
    "valid-metrics:\n"
    "  - ce-mean-words\n"
    "  - bleu\n"
    "  - perplexity\n"
    "valid-mini-batch: 16\n";

}  // namespace

TEST_CASE("marian-examples/transformer trains as it stands", "[settings]") {
  const TrainOptions o = run(parse_train_options, transformer_example);
  CHECK(o.saving.model == "model/model.npz");
  CHECK(o.validation.script_path == "bash ./scripts/validate.sh");
  CHECK(o.validation.metrics == std::vector{&validation_metric("ce-mean-words"), &validation_metric("perplexity"),
                                            &validation_metric("translation")});
  CHECK(o.machine.workspace == 10000);
  CHECK(o.machine.devices.ids == std::vector<int>{0});
  CHECK(o.model.activation == Activation::swish);
  CHECK(o.model.residual == ResidualKind::post_ln);
  CHECK(o.optimizer.epsilon == 1e-9);
  CHECK(o.optimizer.ema_decay == 1e-4);
  CHECK(o.optimizer.report_learning_rate);
  CHECK(o.optimizer.clip_norm == 5);
  CHECK(o.decoding.normalize == 0.6);
  CHECK(o.decoding.quiet_translation);
  CHECK(o.general.seed == 1111);
}

TEST_CASE("marian-examples/wmt2017-transformer trains as it stands", "[settings]") {
  const TrainOptions o =
      run(parse_train_options, transformer_example +
                                   " -w 9500 --mini-batch 1000 --beam-size 12 --normalize=1 --overwrite --keep-best "
                                   "--early-stopping 5 --after-epochs 8 --seed 1111 --right-left");
  CHECK(o.machine.workspace == 9500);
  CHECK(o.saving.overwrite);
  CHECK(o.validation.keep_best);
  CHECK(o.validation.early_stopping == 5);
  CHECK(o.run.stop_criteria().epochs == 8);
  CHECK(o.model.right_left);
  CHECK(error_of(parse_train_options, "--type s2s --model m.npz -t a b -v v v --layer-normalization -w 3500")
            .find("layer-normalization belongs to Marian's RNN models") != std::string::npos);
}

TEST_CASE("marian-examples/transformer-intro trains as it stands", "[settings]") {
  const ScratchFolder folder;
  const TrainOptions o =
      run(parse_train_options, "-c " + folder.file("transformer-model.yml", intro_model) +
                                   " -d 0 --workspace 9000 --seed 1111 --after 10e --model model/model.npz "
                                   "--train-sets data/train.en data/train.de --vocabs model/vocab.spm model/vocab.spm "
                                   "--dim-vocabs 32000 32000 --valid-sets data/valid.en data/valid.de");
  CHECK(o.display.disp_first == 10);
  CHECK(o.saving.save_freq == SchedulePeriod{2000});
  CHECK(o.corpus.dim_vocabs == std::vector<int>{32000, 32000});
  CHECK(o.run.stop_criteria() == StopCriteria{0, 0, 10});
  CHECK(o.optimizer.inverse_sqrt == std::vector<SchedulePeriod>{SchedulePeriod{16000}});
  CHECK(o.model.activation == Activation::relu);
  CHECK(o.model.preprocess.empty());
}

TEST_CASE("the examples' decoder command lines are read as they stand", "[settings]") {
  const ScratchFolder folder;
  const std::string config = folder.file("model.npz.decoder.yml",
                                         "relative-paths: true\n"
                                         "models:\n  - model.npz\n"
                                         "vocabs:\n  - vocab.ende.yml\n  - vocab.ende.yml\n"
                                         "beam-size: 6\n"
                                         "normalize: 0.6\n"
                                         "word-penalty: 0\n"
                                         "mini-batch: 64\n"
                                         "maxi-batch: 100\n"
                                         "maxi-batch-sort: src\n");
  const TranslateOptions a =
      run(parse_translate_options, "-c " + config + " -m model/model.iter5000.npz -d 0 -b 12 -n -w 6000");
  CHECK(a.models == std::vector<std::string>{"model/model.iter5000.npz"});
  CHECK(a.decoding.beam_size == 12);
  CHECK(a.decoding.normalize == 1);
  CHECK(a.batch.maxi_batch_sort == SortKind::source);
  CHECK(a.vocabulary.paths[0] == folder / "vocab.ende.yml");

  const TranslateOptions b =
      run(parse_translate_options, "-c " + config +
                                       " -i data/news.2016.bpe.de -b 6 --normalize=1 -w 2500 -d 0 "
                                       "--mini-batch 64 --maxi-batch 100 --maxi-batch-sort src "
                                       "--max-length 200 --max-length-crop");
  CHECK(b.input == std::vector<std::string>{"data/news.2016.bpe.de"});
  CHECK(b.corpus.max_length == 200);
  CHECK(b.corpus.max_length_crop);
  CHECK(run(parse_translate_options, "-c " + config + " -d 0 -b 6 -n0.6").decoding.normalize == 0.6);
  CHECK(run(parse_translate_options, "-c " + config + " -d 0 --quiet --quiet-translation").general.quiet);
  const TranslateOptions c = run(parse_translate_options, "-c " + config + " -m a.npz b.npz -d 0 --n-best");
  CHECK(c.models == std::vector<std::string>{"a.npz", "b.npz"});
}

TEST_CASE("the examples' rescoring command line is read as it stands", "[settings]") {
  const ModelScorerOptions o =
      run(parse_model_scorer_options,
          "-m model/model.npz.best-perplexity.npz -v v.yml v.yml -d 0 --mini-batch 16 "
          "--maxi-batch 100 --maxi-batch-sort trg --n-best --n-best-feature R2L0 -t data/test.en "
          "out.nbest");
  CHECK(o.n_best);
  CHECK(o.n_best_feature == "R2L0");
  CHECK(o.corpus.train_sets[1] == "out.nbest");
  CHECK(run(parse_model_scorer_options, "-t a b -v v v --summary").summary == ScoreSummary::cross_entropy);
  CHECK(run(parse_model_scorer_options, "-t a b -v v v --summary ce-sum --normalize").normalize);
}
