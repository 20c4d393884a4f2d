#include "apps/inference/model_export.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "layers/parameter_names.h"

namespace bough {

namespace names = parameter_names;

namespace {

/// A residual site of a model file: what a fold must know of it.
struct Site {
  std::string name;                  // "encoder_l1_self"
  std::vector<const char*> readers;  // products that read its x
  double residual_scale;
};

std::vector<Site> sites_of_stack(const ModelOptions& options, const std::string& stack, const ResidualScales& scales) {
  const bool is_decoder = stack == names::decoder;
  const int layers = is_decoder ? options.decoder_layers : options.encoder_layers;
  std::vector<Site> sites;
  for (int l = 1; l <= layers; ++l) {
    const auto add = [&](const char* sublayer, std::vector<const char*> readers) {
      sites.push_back({names::site(stack, l, sublayer), std::move(readers), scales.residual_scale});
    };
    if (is_decoder && options.has_rnn_decoder())
      add(names::rnn, {"f", ""});
    else
      add(names::self, {"q", "k", "v"});
    if (is_decoder) add(names::context, {"q"});
    add(names::ffn, {"1"});
  }
  return sites;
}

ModelArray& find(std::vector<ModelArray>& arrays, const std::string& name) {
  const auto at = std::find_if(arrays.begin(), arrays.end(), [&](const auto& a) { return a.name == name; });
  check(at != arrays.end(),
        "export: the model has no array {}, which its special:model.yml asks for. Get the file anew", name);
  return *at;
}

void fold_scales(const std::map<std::string, double>& factors, std::vector<ModelArray>& arrays) {
  for (const auto& [name, factor] : factors)
    for (float& value : find(arrays, name).values) value = float(double(value) * factor);
}

/// omega of `site` into the norm `before` it, and out of the matrices that read the norm's result.
void fold_omega(const Site& before, const Site& site, std::vector<ModelArray>& arrays) {
  constexpr float smallest = 1e-4f;
  const std::vector<float> omega = find(arrays, names::omega(site.name)).values;
  check(std::all_of(omega.begin(), omega.end(), [](float w) { return std::abs(w) >= smallest; }),
        "export: an element of {} is closer to 0 than {}, but its inverse is needed; translate with the model as "
        "it is",
        names::omega(site.name), smallest);
  const std::string owner = names::norm_owner(before.name, false);
  for (const std::string& vector : {names::norm_scale(owner), names::norm_bias(owner)}) {
    ModelArray& array = find(arrays, vector);
    for (size_t c = 0; c < omega.size(); ++c) array.values[c] *= omega[c];
  }
  for (const char* reader : site.readers) {
    ModelArray& matrix = find(arrays, names::weight(site.name, reader));
    const size_t columns = matrix.values.size() / omega.size();
    for (size_t i = 0; i < matrix.values.size(); ++i) matrix.values[i] /= omega[i / columns];
  }
}

void fold_admin(const ModelOptions& options, std::vector<ModelArray>& arrays) {
  for (const auto& sites : {sites_of_stack(options, names::encoder, {}), sites_of_stack(options, names::decoder, {})})
    for (size_t i = 1; i < sites.size(); ++i) fold_omega(sites[i - 1], sites[i], arrays);
  std::erase_if(arrays, [](const ModelArray& a) { return names::is_omega(a.name); });
}

/// "post-ln, pre-ln and deepnorm"
std::string names_of_exportable_kinds() {
  std::vector<std::string> names;
  for (const ResidualTraits& kind : all_residual_traits())
    if (kind.plain_form != PlainForm::none) names.push_back(kind.name);
  const std::string last = names.back();
  names.pop_back();
  return fmt::format("{} and {}", fmt::join(names, ", "), last);
}

}  // namespace

std::map<std::string, double> fold_factors(const ModelOptions& options, const std::vector<double>& branch_scales) {
  std::vector<Site> sites = sites_of_stack(options, names::encoder, encoder_scales(options));
  const auto decoder = sites_of_stack(options, names::decoder, decoder_scales(options));
  sites.insert(sites.end(), decoder.begin(), decoder.end());
  std::map<std::string, double> factors;
  for (size_t i = 0; i < sites.size(); ++i) {
    const std::string last = names::last_product(sites[i].name, options.rnn_projection);
    const double factor = branch_scales[i] / sites[i].residual_scale;
    factors[names::weight(sites[i].name, last)] = factor;
    if (!last.empty()) factors[names::bias(sites[i].name, last)] = factor;
  }
  return factors;
}

ModelOptions plain_post_ln(ModelOptions options) {
  const ModelOptions defaults;
  options.residual = ResidualKind::post_ln;
  options.branchnorm_max_step = defaults.branchnorm_max_step;
  options.branchnorm_schedule = defaults.branchnorm_schedule;
  options.branchnorm_init = defaults.branchnorm_init;
  options.branchnorm_residual = defaults.branchnorm_residual;
  options.branchnorm_bound.clear();
  options.branchnorm_scales.clear();
  options.branchnorm_progress = 0;
  return options;
}

void make_plain(ModelOptions& options, std::vector<ModelArray>& arrays, const std::vector<double>& branch_scales) {
  const ResidualTraits& kind = options.traits();
  if (kind.plain_form == PlainForm::itself) return;
  check(
      kind.plain_form == PlainForm::folded,
      "export: the model's transformer-residual is {}, which no plain Post-LN or Pre-LN Transformer computes; only {} "
      "can be exported",
      kind.name, names_of_exportable_kinds());
  if (kind.learned == LearnedScale::residual)
    fold_admin(options, arrays);
  else
    fold_scales(fold_factors(options, branch_scales), arrays);
  options = plain_post_ln(options);
}

}  // namespace bough
