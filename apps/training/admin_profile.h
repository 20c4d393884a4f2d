#pragma once
#include "apps/training/training_model.h"

namespace bough {

/// True for an admin model whose omegas are all still 1: before its first update.
bool needs_admin_profile(TrainingModel& model);

/// Admin's profiling: a forward pass over real batches without dropout gives the variances of the embedding and of
/// every branch, admin_omegas() the omegas, which become parameters (and the average's) from then on. Returns the
/// omegas of all residual sites, those without parameter included.
std::vector<double> profile_admin(TrainingModel& model, const UpdateBatches& batches);

}  // namespace bough
