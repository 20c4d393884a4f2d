#include "apps/training/admin_profile.h"

#include <algorithm>
#include <cstring>

#include "apps/inference/model_batch.h"
#include "apps/training/layer_norms.h"
#include "layers/parameter_names.h"

namespace bough {
namespace {

double variance(double sum, double squares, double count) {
  const double mean = sum / count;
  return squares / count - mean * mean;
}

TermSums measure_terms(TrainingModel& model, const UpdateBatches& batches) {
  Transformer& transformer = model.transformer();
  const int64_t sites = int64_t(transformer.residual_site_names().size());
  const Tensor sums = model.backend().allocate_persistent({sites, 4}, DType::f64);
  model.backend().fill(sums, 0.0);  // a rank may have no micro-batch
  transformer.set_training(false);
  transformer.set_residual_sums(add_to(sums));
  for (const Batch& host : batches.micro) {
    Tape tape(model.backend(), false);
    const ModelBatch batch = upload_batch(model.backend(), host);
    const Var memory = transformer.encode(tape, batch.source);
    transformer.decode_layers(memory, batch);
  }
  transformer.set_residual_sums({});
  std::vector<double> words(size_t(sums.size()));
  model.backend().download(words.data(), sums);
  model.share().ranks().add_up(words);
  auto on_host = TermSums(size_t(sites));
  std::memcpy(on_host.data(), words.data(), sums.bytes());
  return on_host;
}

/// Omegas of the sites [first, end), one stack; `elements`: of a term, over all rows.
std::vector<double> omegas_of_stack(const TermSums& sums, size_t first, size_t end, double elements) {
  std::vector<double> branches;
  for (size_t i = first; i < end; ++i) branches.push_back(variance(sums[i][2], sums[i][3], elements));
  return admin_omegas(variance(sums[first][0], sums[first][1], elements), branches);
}

}  // namespace

bool needs_admin_profile(TrainingModel& model) {
  if (model.transformer().options().traits().learned != LearnedScale::residual) return false;
  const ParameterSet& set = model.parameters();
  const std::vector<ArenaPiece> pieces = set.kept_pieces();
  std::vector<double> changed(1);
  for (const ParameterPart& part : set.parts())
    if (parameter_names::is_omega(part.name))
      for (const ArenaPiece& omega : parts_within(pieces, part.first, part.size()))
        changed[0] += double(std::ranges::count_if(set.download(omega.values), [](float w) { return w != 1; }));
  model.share().ranks().add_up(changed);
  return changed[0] == 0;
}

std::vector<double> profile_admin(TrainingModel& model, const UpdateBatches& batches) {
  const ModelOptions& options = model.transformer().options();
  const auto sums = measure_terms(model, batches);
  const size_t encoder_sites = 2 * size_t(options.encoder_layers);
  const double width = options.model_dim;
  std::vector<double> omegas = omegas_of_stack(sums, 0, encoder_sites, width * double(batches.source_tokens));
  const auto decoder = omegas_of_stack(sums, encoder_sites, sums.size(), width * double(batches.target_tokens));
  omegas.insert(omegas.end(), decoder.begin(), decoder.end());

  ParameterSet& set = model.parameters();
  const auto& names = model.transformer().residual_site_names();
  for (size_t i = 0; i < names.size(); ++i)
    for (const ParameterPart& part : set.parts())
      if (part.name == parameter_names::omega(names[i]))
        set.insert(set.kept_pieces(), part, std::vector<float>(size_t(part.size()), float(omegas[i])));
  set.values_changed();
  model.optimizer().reset();
  return omegas;
}

}  // namespace bough
