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
    KeyValue{"transformer-rnn-projection", "false"},
    KeyValue{"transformer-ffn-depth", "2"},
    KeyValue{"transformer-decoder-ffn-depth", "0"},
    KeyValue{"transformer-decoder-autoreg", "self-attention"},
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
    KeyValue{"dec-cell", "gru"},
    KeyValue{"dec-cell-base-depth", "2"},
    KeyValue{"dec-cell-high-depth", "1"},
    KeyValue{"skip", "false"},
    KeyValue{"layer-normalization", "false"},
    KeyValue{"transformer-dim-aan", "2048"},
    KeyValue{"transformer-aan-depth", "2"},
    KeyValue{"transformer-aan-activation", "swish"},
    KeyValue{"transformer-aan-nogate", "false"},
    KeyValue{"transformer-guided-alignment-layer", "last"},
    KeyValue{"input-types", "[]"},
    KeyValue{"ulr-dim-emb", "0"},
    KeyValue{"lemma-dim-emb", "0"},
    KeyValue{"factors-dim-emb", "0"},
    KeyValue{"version", ""},
    KeyValue{"special-vocab", "[]"},
};

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

bool ModelOptions::is_plain() const {
  if (residual == ResidualKind::branchnorm && branchnorm_residual != BranchResidual::one) return false;
  if (has_bounded_branches())
    return !branchnorm_scales.empty() &&
           std::all_of(branchnorm_scales.begin(), branchnorm_scales.end(), [](double scale) { return scale == 1; });
  if (residual == ResidualKind::branchnorm) return branchnorm_progress >= ramp_end();
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
  for (const auto& [key, value] : saved.entries) {
    if (const Setting* row = rows.find(key)) {
      GivenValue given{{}, value.is_list(), where};
      if (value.is_scalar()) given.items.push_back(value.text);
      for (const Yaml& item : value.items) given.items.push_back(item.text);
      row->set(given);
    } else {
      check_fixed(key, value, source);
      check(is_known_elsewhere(key), "{} has {}, which bough does not know. A newer bough may", where, key);
    }
  }
  for (const char* key :
       {"type", "dim-emb", "enc-depth", "dec-depth", "transformer-heads", "transformer-dim-ffn", "dim-vocabs"})
    check(saved.find(key) != nullptr, "{} has no {}. Is this a translation model?", where, key);
  const bool has_residual = saved.find("transformer-residual") != nullptr;
  if (has_residual) options.postprocess = without_scale(options.postprocess);
  options.resolve(has_residual, true);
  options.validate();
  return options;
}

}  // namespace bough
