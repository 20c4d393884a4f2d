// special:model.yml: what a model file says about its model, in Marian's keys.
#include <algorithm>
#include <array>

#include "core/base/version.h"
#include "layers/model_options.h"

namespace bough {
namespace {

using KeyValue = std::pair<const char*, const char*>;

/// Marian's keys that describe something a bough model never has. Written, because converters look
/// for them; a model with another value would compute something else.
constexpr std::array fixed_keys = {
    KeyValue{"transformer-no-projection", "false"},
    KeyValue{"transformer-ffn-depth", "2"},
    KeyValue{"transformer-decoder-ffn-depth", "0"},
    KeyValue{"transformer-tied-layers", "[]"},
    KeyValue{"transformer-pool", "false"},
    KeyValue{"transformer-no-bias", "false"},
    KeyValue{"transformer-no-affine", "false"},
    KeyValue{"transformer-disable-position-embeddings", "false"},
    KeyValue{"transformer-attention-mask", "default"},
    KeyValue{"transformer-alibi-shift", "false"},
    KeyValue{"transformer-alibi-trainable", "false"},
    KeyValue{"lemma-dependency", "''"},
    KeyValue{"factors-combine", "sum"},
    KeyValue{"ulr", "false"},
};

/// The same for keys of other families, which a Transformer does not read: any value will do.
constexpr std::array idle_keys = {
    KeyValue{"dim-rnn", "1024"},
    KeyValue{"enc-cell", "gru"},
    KeyValue{"enc-type", "bidirectional"},
    KeyValue{"enc-cell-depth", "1"},
    KeyValue{"dec-cell-base-depth", "2"},
    KeyValue{"dec-cell-high-depth", "1"},
    KeyValue{"skip", "false"},
    KeyValue{"layer-normalization", "false"},
    KeyValue{"transformer-dim-aan", "2048"},
    KeyValue{"transformer-aan-depth", "2"},
    KeyValue{"transformer-aan-activation", "swish"},
    KeyValue{"transformer-aan-nogate", "false"},
    KeyValue{"input-types", "[]"},
    KeyValue{"ulr-dim-emb", "0"},
    KeyValue{"lemma-dim-emb", "0"},
    KeyValue{"factors-dim-emb", "0"},
    KeyValue{"version", ""},
    KeyValue{"special-vocab", "[]"},
};

using enum SavedMeaning;

/// Every setting of special:model.yml, see SavedSetting. What a file lacks because it is older than the setting, or
/// Marian's, must mean what the program did that wrote it: `absent` stays as it is when a default changes.
constexpr std::array saved_rows = {
    SavedSetting{"type", arithmetic, nullptr},
    SavedSetting{"dim-emb", arithmetic, nullptr},
    SavedSetting{"enc-depth", arithmetic, nullptr},
    SavedSetting{"dec-depth", arithmetic, nullptr},
    SavedSetting{"transformer-heads", arithmetic, nullptr},
    SavedSetting{"transformer-dim-ffn", arithmetic, nullptr},
    SavedSetting{"transformer-decoder-dim-ffn", arithmetic, "0"},
    SavedSetting{"transformer-ffn-activation", arithmetic, "swish"},
    SavedSetting{"tied-embeddings", arithmetic, "false"},
    SavedSetting{"tied-embeddings-src", arithmetic, "false"},
    SavedSetting{"tied-embeddings-all", arithmetic, "false"},
    SavedSetting{"output-omit-bias", arithmetic, "false"},
    SavedSetting{"right-left", arithmetic, "false"},
    SavedSetting{"transformer-decoder-autoreg", arithmetic, "self-attention"},
    SavedSetting{"dec-cell", arithmetic, "gru"},
    SavedSetting{"transformer-rnn-projection", arithmetic, "false"},
    SavedSetting{"transformer-train-position-embeddings", arithmetic, "false"},
    SavedSetting{"transformer-residual", arithmetic, "post-ln"},
    SavedSetting{"dim-vocabs", arithmetic, nullptr},
    SavedSetting{"branchnorm-max-step", of_run, "0u"},
    SavedSetting{"branchnorm-schedule", of_run, "linear"},
    SavedSetting{"branchnorm-init", of_run, "xavier"},
    SavedSetting{"branchnorm-residual-scale", arithmetic, "one"},
    SavedSetting{"branchnorm-bound", of_run, "[]"},
    SavedSetting{"transformer-guided-alignment-layer", of_run, "last"},
    SavedSetting{"transformer-depth-scaling", of_run, "false"},
    SavedSetting{"residual-precision", of_run, "auto"},
    SavedSetting{"transformer-postprocess-emb", of_run, "d"},
    SavedSetting{"transformer-preprocess", derived, ""},
    SavedSetting{"transformer-postprocess", derived, "dan"},
    SavedSetting{"transformer-postprocess-top", derived, ""},
    SavedSetting{"transformer-positions", derived, "0"},
    SavedSetting{"branchnorm-progress", derived, "0"},
    SavedSetting{"branchnorm-scales", derived, "[]"},
};

const SavedSetting& saved_row(const std::string& name) {
  const auto at = std::find_if(saved_rows.begin(), saved_rows.end(), [&](const auto& row) { return name == row.name; });
  check(at != saved_rows.end(), "special:model.yml: {} is in no row of layers/model_yaml.cc; add one", name);
  return *at;
}

GivenValue given_value(const Yaml& value, const std::string& where) {
  GivenValue given{{}, value.is_list(), where};
  if (value.is_scalar()) given.items.push_back(value.text);
  for (const Yaml& item : value.items) given.items.push_back(item.text);
  return given;
}

/// Marian's op letters plus one it has not: `s`, before the addition. Every other loader refuses it.
std::string with_scale(std::string ops) { return ops.insert(ops.find('a'), "s"); }
std::string without_scale(std::string ops) {
  if (const size_t at = ops.find("sa"); at != std::string::npos) ops.erase(at, 1);
  return ops;
}

bool starts_with_any(const std::string& key, std::initializer_list<const char*> beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](const char* beginning) { return key.starts_with(beginning); });
}

void check_fixed(const std::string& key, const Yaml& value, const std::string& source) {
  for (const auto& [name, text] : fixed_keys)
    if (key == name)
      check(value == parse_yaml(text, name),
            "{}: special:model.yml has {} '{}', must be {}. bough does not have this variant of the "
            "Transformer",
            source, key, value.text, text);
}

bool is_known_elsewhere(const std::string& key) {
  const auto same = [&](const KeyValue& entry) { return key == entry.first; };
  return std::any_of(fixed_keys.begin(), fixed_keys.end(), same) ||
         std::any_of(idle_keys.begin(), idle_keys.end(), same) ||
         !starts_with_any(key, {"transformer-", "branchnorm-"});
}

}  // namespace

void ModelOptions::saved_settings(Settings& v) {
  settings(v);
  v(vocab_sizes, "dim-vocabs", "");
  v(branchnorm_progress, "branchnorm-progress", "");
  v(branchnorm_scales, "branchnorm-scales", "");
  v(max_positions, "transformer-positions", "");
}

std::span<const SavedSetting> ModelOptions::saved_meanings() { return saved_rows; }

std::vector<std::string> ModelOptions::saved_names() {
  ModelOptions any;
  Settings rows;
  any.saved_settings(rows);
  std::vector<std::string> names;
  for (const Setting& row : rows.rows()) names.push_back(row.name);
  return names;
}

void ModelOptions::go_on_with(ModelOptions saved, const GivenNames& given, bool with_run) {
  Settings mine, theirs;
  settings(mine);
  saved.settings(theirs);
  const auto is_given = [&](const char* name) { return given.count(name) != 0; };
  const auto strings = {"transformer-preprocess", "transformer-postprocess", "transformer-postprocess-top"};
  const bool says_residual = std::any_of(strings.begin(), strings.end(), is_given);  // they are its other spelling
  for (const Setting& row : mine.rows()) {
    const SavedMeaning meaning = saved_row(row.name).meaning;
    if (meaning == derived || (meaning == of_run && !with_run) || is_given(row.name.c_str())) continue;
    if (row.name == "transformer-residual" && says_residual) continue;
    row.set(given_value(theirs.find(row.name)->get(), "special:model.yml"));
  }
}

std::optional<SettingChange> ModelOptions::change_of_arithmetic(ModelOptions before) const {
  ModelOptions now = *this;
  for (ModelOptions* options : {&now, &before}) options->decoder_ffn_dim = options->ffn_dim_of_decoder();
  Settings rows, rows_before;
  now.saved_settings(rows);
  before.saved_settings(rows_before);
  const auto one_line = [](const Yaml& value) {
    if (!value.is_list()) return value.text;
    std::string words;
    for (const Yaml& item : value.items) words += (words.empty() ? "" : " ") + item.text;
    return words;
  };
  for (const Setting& row : rows.rows()) {
    if (saved_row(row.name).meaning != arithmetic) continue;
    const std::string was = one_line(rows_before.find(row.name)->get()), is = one_line(row.get());
    if (was != is) return SettingChange{row.name, was, is};
  }
  if (learned_positions && max_positions != before.max_positions)
    return SettingChange{"max-length", std::to_string(before.max_positions), std::to_string(max_positions)};
  return std::nullopt;
}

bool ModelOptions::is_plain() const {
  if (traits().has_branch_scales && has_deepnorm_residual()) return false;
  if (has_bounded_branches())
    return !branchnorm_scales.empty() &&
           std::all_of(branchnorm_scales.begin(), branchnorm_scales.end(), [](double scale) { return scale == 1; });
  if (traits().has_branch_scales) return branchnorm_progress >= ramp_end();
  return !is_deep_kind();
}

Yaml ModelOptions::to_yaml() const {
  ModelOptions copy = *this;
  if (!is_plain()) copy.postprocess = with_scale(copy.postprocess);
  Settings rows;
  copy.saved_settings(rows);
  Yaml out = Yaml::map();
  for (const Setting& row : rows.rows()) out.set(row.name, row.get());
  for (const auto& [name, text] : fixed_keys) out.set(name, parse_yaml(text, name));
  for (const auto& [name, text] : idle_keys) out.set(name, parse_yaml(text, name));
  out.set("input-types", Yaml::list());
  out.set("version", fmt::format("bough {}", version()));
  return out;
}

ModelOptions ModelOptions::from_yaml(const Yaml& saved, const std::string& source) {
  ModelOptions options;
  Settings rows;
  options.saved_settings(rows);
  const std::string where = source + ": special:model.yml";
  for (const Setting& row : rows.rows()) {
    const char* const absent = saved_row(row.name).absent;
    check(saved.find(row.name) != nullptr || absent != nullptr, "{} has no {}. Is this a translation model?", where,
          row.name);
    if (absent) row.set(given_value(absent == std::string_view("[]") ? Yaml::list() : Yaml(absent), where));
  }
  for (const auto& [key, value] : saved.entries) {
    if (const Setting* row = rows.find(key)) {
      row->set(given_value(value, where));
    } else {
      check_fixed(key, value, source);
      check(is_known_elsewhere(key), "{} has {}, which bough does not know. A newer bough may", where, key);
    }
  }
  const bool has_residual = saved.find("transformer-residual") != nullptr;
  if (has_residual) options.postprocess = without_scale(options.postprocess);
  options.resolve(has_residual, true);
  options.validate();
  return options;
}

}  // namespace bough
