#include "apps/inference/model_export.h"

#include <algorithm>
#include <cmath>

namespace bough {
namespace {

/// A residual site of a model file: what a fold must know of it.
struct Site {
  std::string name;                  // "encoder_l1_self"
  std::string prefix;                // "encoder_l1_"
  const char *weight, *bias;         // of its last product
  std::vector<const char*> readers;  // matrices that read its x
  std::string norm;                  // the norm behind it: "encoder_l1_self_Wo_ln_"
  double residual_scale;
};

std::vector<Site> sites_of_stack(const std::string& stack, int layers, const ResidualScales& scales) {
  std::vector<Site> sites;
  for (int l = 1; l <= layers; ++l) {
    const std::string p = fmt::format("{}_l{}_", stack, l);
    const double a = scales.residual_scale;
    sites.push_back({p + "self", p, "self_Wo", "self_bo", {"self_Wq", "self_Wk", "self_Wv"}, p + "self_Wo_ln_", a});
    if (stack == "decoder")
      sites.push_back({p + "context", p, "context_Wo", "context_bo", {"context_Wq"}, p + "context_Wo_ln_", a});
    sites.push_back({p + "ffn", p, "ffn_W2", "ffn_b2", {"ffn_W1"}, p + "ffn_ffn_ln_", a});
  }
  return sites;
}

ModelArray& find(std::vector<ModelArray>& arrays, const std::string& name) {
  const auto at = std::find_if(arrays.begin(), arrays.end(), [&](const auto& a) { return a.name == name; });
  check(at != arrays.end(), "export: array {} is missing; the model file is damaged", name);
  return *at;
}

void fold_scales(const std::map<std::string, double>& factors, std::vector<ModelArray>& arrays) {
  for (const auto& [name, factor] : factors)
    for (float& value : find(arrays, name).values) value = float(double(value) * factor);
}

/// omega of `site` into the norm `before` it, and out of the matrices that read the norm's result.
void fold_omega(const Site& before, const Site& site, std::vector<ModelArray>& arrays) {
  constexpr float smallest = 1e-4f;
  const std::vector<float> omega = find(arrays, site.name + "_omega").values;
  check(std::all_of(omega.begin(), omega.end(), [](float w) { return std::abs(w) >= smallest; }),
        "export: an element of {}_omega is closer to 0 than {}, but its inverse is needed; translate with the model as "
        "it is",
        site.name, smallest);
  for (const char* vector : {"scale", "bias"}) {
    ModelArray& array = find(arrays, before.norm + vector);
    for (size_t c = 0; c < omega.size(); ++c) array.values[c] *= omega[c];
  }
  for (const char* reader : site.readers) {
    ModelArray& matrix = find(arrays, site.prefix + reader);
    const size_t columns = matrix.values.size() / omega.size();
    for (size_t i = 0; i < matrix.values.size(); ++i) matrix.values[i] /= omega[i / columns];
  }
}

void fold_admin(const ModelOptions& options, std::vector<ModelArray>& arrays) {
  for (const auto& sites :
       {sites_of_stack("encoder", options.encoder_layers, {}), sites_of_stack("decoder", options.decoder_layers, {})})
    for (size_t i = 1; i < sites.size(); ++i) fold_omega(sites[i - 1], sites[i], arrays);
  std::erase_if(arrays, [](const ModelArray& a) { return a.name.ends_with("_omega"); });
}

}  // namespace

std::map<std::string, double> fold_factors(const ModelOptions& options, const std::vector<double>& branch_scales) {
  std::vector<Site> sites = sites_of_stack("encoder", options.encoder_layers, encoder_scales(options));
  const auto decoder = sites_of_stack("decoder", options.decoder_layers, decoder_scales(options));
  sites.insert(sites.end(), decoder.begin(), decoder.end());
  std::map<std::string, double> factors;
  for (size_t i = 0; i < sites.size(); ++i)
    for (const char* owner : {sites[i].weight, sites[i].bias})
      factors[sites[i].prefix + owner] = branch_scales[i] / sites[i].residual_scale;
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
  switch (options.residual) {
    case ResidualKind::post_ln:
    case ResidualKind::pre_ln:
      return;
    case ResidualKind::deepnorm:
    case ResidualKind::branchnorm:
      fold_scales(fold_factors(options, branch_scales), arrays);
      break;
    case ResidualKind::admin:
      fold_admin(options, arrays);
      break;
    default:
      fail(
          "export: the model's transformer-residual is {}, which no plain Post-LN or Pre-LN Transformer computes; only "
          "post-ln, pre-ln, deepnorm, branchnorm and admin can be exported",
          name_of(options.residual));
  }
  options = plain_post_ln(options);
}

}  // namespace bough
