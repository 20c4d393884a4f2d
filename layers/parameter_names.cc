#include "layers/parameter_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace bough::parameter_names {

std::string layer(const std::string& stack, int number) { return fmt::format("{}_l{}", stack, number); }

std::string site(const std::string& stack, int number, const std::string& sublayer) {
  return layer(stack, number) + "_" + sublayer;
}

std::string weight(const std::string& site, const std::string& product) { return site + "_W" + product; }
std::string bias(const std::string& site, const std::string& product) { return site + "_b" + product; }

namespace {

bool is_ffn(const std::string& site) { return site.ends_with(fmt::format("_{}", ffn)); }
bool is_rnn(const std::string& site) { return site.ends_with(fmt::format("_{}", rnn)); }

}  // namespace

const char* last_product(const std::string& site, bool has_projection) {
  if (is_rnn(site) && !has_projection) return "";
  return is_ffn(site) ? "2" : "o";
}

std::string norm_owner(const std::string& site, bool is_before) {
  if (is_rnn(site)) return is_before ? site : site + "_ffn";
  return is_ffn(site) ? site + "_ffn" : weight(site, "o");
}

std::string norm_scale(const std::string& owner, const char* variant) { return owner + "_ln_scale" + variant; }
std::string norm_bias(const std::string& owner, const char* variant) { return owner + "_ln_bias" + variant; }
std::string top(const std::string& stack) { return stack + "_top"; }

std::string omega(const std::string& site) { return site + "_omega"; }
bool is_omega(const std::string& parameter) { return parameter.ends_with("_omega"); }

bool is_int8_multiplier(const std::string& array) { return array.ends_with("_QuantMultA"); }
std::string int8_multiplier(const std::string& array) { return array + "_QuantMultA"; }

bool is_int8_matrix(const std::string& parameter) {
  const size_t at = parameter.rfind("_W");
  return parameter == embedding ||
         (at != parameter.npos && (parameter.size() - at <= 3 || parameter.ends_with(embedding)));
}

std::string group_of(const std::string& parameter) {
  if (parameter == output || parameter == output_bias) return output_group;
  if (parameter == source_embedding || parameter == target_embedding) return embedding_group;
  for (const char* const name : {encoder, decoder}) {
    const std::string stack = name;
    if (!parameter.starts_with(stack + "_")) continue;
    const std::string rest = parameter.substr(stack.size() + 1);
    const size_t end = std::min(rest.find('_'), rest.size());
    const bool is_layer = rest[0] == 'l' && end > 1 && std::all_of(rest.begin() + 1, rest.begin() + long(end), isdigit);
    return is_layer ? stack + "_" + rest.substr(0, end) : top(stack);
  }
  return embedding_group;
}

}  // namespace bough::parameter_names
