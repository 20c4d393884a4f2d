// From argv to a filled-in, checked options struct: the same steps for every program.
#include "apps/option_parser.h"

#include "apps/option_tables.h"
#include "apps/programs.h"
#include "apps/scoring/options.h"
#include "core/base/files.h"
#include "core/base/outputs.h"
#include "core/base/text_output.h"
#include "core/base/version.h"

namespace bough {
namespace {

template <class Options>
std::vector<std::string> option_names() {
  Options options;
  Settings rows;
  options.settings(rows);
  std::vector<std::string> names;
  for (const Setting& row : rows.rows()) names.push_back(row.name);
  return names;
}

/// The tables for one program; an option that it has itself is not refused.
ReaderTables tables_for(const std::string& program, const Settings& rows) {
  ReaderTables tables;
  tables.program = program;
  for (AliasExpansion& alias : option_aliases())
    if (rows.find(alias.name)) tables.aliases.push_back(std::move(alias));
  tables.refused = refused_options();
  tables.rivals = rival_options();
  tables.ignored = ignored_options();
  if (program != program_of<TrainOptions>)
    for (std::string_view name : options_of_the_model()) tables.ignored.push_back(name);
  for (auto& other : {std::pair{program_of<TrainOptions>, option_names<TrainOptions>()},
                      std::pair{program_of<TranslateOptions>, option_names<TranslateOptions>()},
                      std::pair{program_of<ModelScorerOptions>, option_names<ModelScorerOptions>()}})
    if (other.first != program) tables.others.emplace_back(other.first, other.second);
  return tables;
}

template <class Options>
constexpr bool goes_on_with_saved = std::is_same_v<Options, TrainOptions>;

/// The files of -c; training without -c goes on with the <model>.yml of an earlier run.
template <class Options>
std::vector<std::string> configuration_files(const SettingsReader& reader) {
  std::vector<std::string> files;
  const GivenValue* const config = reader.find("config");
  if (config) {
    files = config->items;
  } else if (goes_on_with_saved<Options> && !reader.is_true("no-reload")) {
    const GivenValue* model = reader.find("model");
    files = {model ? model->items.back() : SavingOptions().model};
  }
  if (reader.is_true("interpolate-env-vars"))
    for (std::string& file : files) file = interpolate_environment(config ? "config" : "model", file);
  if (!config)
    for (std::string& file : files) file = without_links(file) + ".yml";
  if (!config && !files.empty() && !file_exists(files[0])) return {};
  return files;
}

void print(const std::string& text) {
  TextOutput output("stdout");
  output.write(text);
  output.close();
}

/// --help, --version, --build-info: true when the program has nothing else to do.
template <class Options>
bool print_information(const SettingsReader& reader, const Settings& rows) {
  if (reader.is_true("help")) {
    print(fmt::format("Usage: {} {}\n{}", program_of<Options>, usage_of<Options>, format_help(rows)));
  } else if (reader.is_true("version")) {
    print(fmt::format("{}\n", version()));
  } else if (const GivenValue* info = reader.find("build-info"); info && !says(info->items, "")) {
    print(build_info() + "\n");
  } else {
    return false;
  }
  return true;
}

/// The steps between reading and checking; true when --dump-config was answered.
template <class Options>
bool finish(SettingsReader& reader, Settings& rows, Options& options) {
  reader.apply();
  const std::string& form = options.general.dump_config;
  if (form == "minimal" || form == "expand") {
    print(format_yaml(form == "minimal" ? reader.minimal() : reader.expanded()));
    return true;
  }
  options.resolve(reader.given());
  if (form == "full") print(format_yaml(dump_settings(rows)));
  return form == "full";
}

template <class Options>
std::optional<Options> parse(int argc, const char* const* argv) {
  Options options;
  Settings rows;
  options.settings(rows);
  const std::string program = program_of<Options>;
  SettingsReader reader(rows, tables_for(program, rows));
  reader.read_command_line(std::vector<std::string>(argv + 1, argv + argc));
  if (print_information<Options>(reader, rows)) return std::nullopt;
  const bool relative = reader.is_true("relative-paths");
  const std::vector<std::string> configurations = configuration_files<Options>(reader);
  for (const std::string& path : configurations) {
    Yaml yaml = read_yaml_file(path);
    if (!reader.find("config")) {
      SavingOptions::drop_options_of_one_start(yaml);  // earlier versions wrote them
      // The checkpoint has it, too, for a schedule that follows it.
      if (reader.find("branchnorm-schedule") || reader.find("transformer-residual"))
        std::erase_if(yaml.entries, [](const Yaml::Entry& entry) { return entry.first == "branchnorm-bound"; });
    }
    reader.read_yaml(yaml, path, relative);
  }
  if (finish(reader, rows, options)) return std::nullopt;
  options.validate();
  check_outputs(rows, configurations);
  log::configure(options.general.log_options());
  for (const Remark& remark : reader.remarks())
    remark.kind == Remark::warning ? log::warn("[config] {}", remark.text) : log::info("[config] {}", remark.text);
  return options;
}

/// Of a program with a few options of its own and nothing else.
template <class Options>
std::optional<Options> parse_tool(int argc, const char* const* argv) {
  Options options;
  Settings rows;
  options.settings(rows);
  SettingsReader reader(rows, {.program = program_of<Options>});
  reader.read_command_line(std::vector<std::string>(argv + 1, argv + argc));
  if (print_information<Options>(reader, rows)) return std::nullopt;
  reader.apply();
  options.validate();
  return options;
}

template <class Options>
std::string markdown_of(const std::string& title) {
  Options options;
  Settings rows;
  options.settings(rows);
  return fmt::format("\n## {}\n{}", title, format_markdown(rows));
}
template <class Options>
std::string markdown_of() {
  return markdown_of<Options>(program_of<Options>);
}

}  // namespace

std::optional<TrainOptions> parse_train_options(int argc, const char* const* argv) {
  return parse<TrainOptions>(argc, argv);
}
std::optional<TranslateOptions> parse_translate_options(int argc, const char* const* argv) {
  return parse<TranslateOptions>(argc, argv);
}
std::optional<ModelScorerOptions> parse_model_scorer_options(int argc, const char* const* argv) {
  return parse<ModelScorerOptions>(argc, argv);
}
std::optional<VocabOptions> parse_vocab_options(int argc, const char* const* argv) {
  return parse_tool<VocabOptions>(argc, argv);
}
std::optional<AverageOptions> parse_average_options(int argc, const char* const* argv) {
  return parse_tool<AverageOptions>(argc, argv);
}
std::optional<ReportOptions> parse_report_options(int argc, const char* const* argv) {
  return parse_tool<ReportOptions>(argc, argv);
}

std::string options_markdown() {
  return "# Options\n\n"
         "Every option can be given on the command line (`--beam-size 6`, `--beam-size=6`, `-b 6`) "
         "and, of those that train, translate and score with a model, "
         "in YAML files (`beam-size: 6`, given with `-c`). The command line wins over files, later "
         "files "
         "over earlier ones, and both over presets (`task`) that stand at the same place or lower. "
         "Lists are written `a b c` on the command line and `[a, b, c]` in YAML. Periods count "
         "updates "
         "(`4000u`, `2ku`), target tokens (`2Gt`) or epochs (`10e`). \"bare\" is the value of an "
         "option "
         "given without one. `bough-score` without `--model` reads its command line as sacreBLEU does: options may "
         "be abbreviated (`--metr bleu`), the last of several counts, and no YAML is read.\n\n"
         "This file is generated from the settings tables by `test/generate_docs.sh`.\n" +
         markdown_of<TrainOptions>() + markdown_of<TranslateOptions>() + markdown_of<ScoreOptions>("bough-score") +
         markdown_of<ModelScorerOptions>("bough-score --model") + markdown_of<VocabOptions>() +
         markdown_of<AverageOptions>() + markdown_of<ReportOptions>();
}

}  // namespace bough
