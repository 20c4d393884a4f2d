// What manual pages say beside the tables of options.
#include "apps/manual.h"

#include "apps/programs.h"
#include "apps/scoring/options.h"

namespace bough {
namespace {

using Meanings = std::vector<std::pair<std::string, std::string>>;

const Meanings first_codes = {{"0", "done"},
                              {"1", "a problem of the input, the options or the machine; one sentence says which"}};

/// all, and more.
Meanings with(Meanings all, const Meanings& more) {
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// The lines of a usage, of which all but the first name the program.
std::vector<std::string> usages_of(const std::string& program, const std::string& lines) {
  std::vector<std::string> usages;
  for (size_t begin = 0, end; begin < lines.size(); begin = end + 1) {
    end = std::min(lines.find('\n', begin), lines.size());
    const size_t name = usages.empty() ? begin : lines.find(program, begin) + program.size() + 1;
    usages.push_back(lines.substr(name, end - name));
  }
  return usages;
}

/// What --help says, cut into usages and description.
template <class Options>
ProgramEntry entry(const char* purpose) {
  Options options;
  Settings rows;
  options.settings(rows);
  const std::string text = usage_of<Options>;
  const size_t end = text.find("\n\n"), begin = text.find_first_not_of('\n', end);
  return {.name = program_of<Options>,
          .purpose = purpose,
          .usages = usages_of(program_of<Options>, text.substr(0, end)),
          .description = text.substr(begin, text.find_last_not_of('\n') + 1 - begin),
          .options = option_entries(rows),
          .exit_codes = with(first_codes, {{"2", "a fault of bough"}})};
}

ProgramEntry train_entry() {
  ProgramEntry train = entry<TrainOptions>("train a Transformer for machine translation");
  train.description =
      "Trains an encoder-decoder Transformer on sentences and their translations, with Marian's options. "
      "The same command goes on where an earlier one was interrupted.\n\n" +
      train.description;
  train.exit_codes =
      with(train.exit_codes, {{"3", "the run has diverged; the last checkpoint stays"},
                              {"129, 130, 143", "ended by a terminal that closed, CTRL-C or SIGTERM, after a save"}});
  train.files = {{"model.npz", "the model, by the name that model gives"},
                 {"model.npz.optimizer.npz", "the state of training, from which a run goes on"},
                 {"model.npz.yml", "all options of the run; read where no -c is given"},
                 {"model.npz.decoder.yml", "options for bough-translate -c"},
                 {"model.npz.metrics.jsonl", "a JSON object for every line of the log that has numbers"}};
  return train;
}

ProgramEntry translate_entry() {
  ProgramEntry translate = entry<TranslateOptions>("translate text with trained models");
  translate.description =
      "Reads sentences, one a line, from standard input or a file, and writes their translations in "
      "the same order.\n\n" +
      translate.description;
  translate.files = {{"model.npz.decoder.yml", "options for -c, which bough-train writes beside each model"}};
  return translate;
}

ProgramEntry score_entry() {
  ProgramEntry score = entry<ModelScorerOptions>("score translations, against references or by a model");
  const std::string about_models = score.description;
  score.usages = {"REFERENCE... -i SYSTEM... [options]", score.usages[0]};
  score.description =
      "Without --model: BLEU, chrF and TER of translations, and significance tests, with the options and the output of "
      "sacreBLEU. Files have one segment a line; .gz is unpacked. Without -i, systems come from standard input, "
      "separated by tabs.\n\n"
      "With --model or -c: log-probabilities of given translations by a model, with the options of marian-scorer.\n\n" +
      about_models;
  std::vector<OptionEntry> options = score_option_entries();
  for (OptionEntry& option : score.options) {
    option.group = "With --model: " + option.group;
    options.push_back(std::move(option));
  }
  score.options = std::move(options);
  score.exit_codes = with(first_codes, {{"2", "a wrong command line (without --model), or a fault of bough"},
                                        {"17", "lines of different numbers of fields (without --model)"}});
  return score;
}

}  // namespace

std::vector<ProgramEntry> program_entries() {
  return {train_entry(),
          translate_entry(),
          score_entry(),
          entry<AverageOptions>("average checkpoints, or export a model as plain Post-LN"),
          entry<VocabOptions>("make a vocabulary of words"),
          entry<ReportOptions>("show runs of training on one page for a browser")};
}

}  // namespace bough
