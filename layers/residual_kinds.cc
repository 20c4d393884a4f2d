#include "layers/residual_kinds.h"

#include <iterator>

namespace bough {
namespace {

using enum NormPlace;

constexpr ResidualTraits table[] = {
    {.kind = ResidualKind::post_ln, .name = "post-ln", .plain_form = PlainForm::itself},
    {.kind = ResidualKind::pre_ln,
     .name = "pre-ln",
     .norm = before_branch,
     .has_top_norm = true,
     .second = SecondStream::sum,
     .plain_form = PlainForm::itself},
    {.kind = ResidualKind::pre_ln_no_top,
     .name = "pre-ln-no-top",
     .norm = before_branch,
     .second = SecondStream::sum,
     .plain_form = PlainForm::itself},
    {.kind = ResidualKind::deepnorm,
     .name = "deepnorm",
     .depth_constants = DepthConstants::deepnorm,
     .plain_form = PlainForm::folded},
    {.kind = ResidualKind::branchnorm,
     .name = "branchnorm",
     .depth_constants = DepthConstants::deepnorm,
     .has_branch_scales = true,
     .plain_form = PlainForm::folded},
    {.kind = ResidualKind::admin, .name = "admin", .learned = LearnedScale::residual, .plain_form = PlainForm::folded},
    {.kind = ResidualKind::b2t, .name = "b2t", .second = SecondStream::layer_input},
    {.kind = ResidualKind::residual_dual,
     .name = "residual-dual",
     .has_top_norm = true,
     .second = SecondStream::never_normalised},
    {.kind = ResidualKind::rezero, .name = "rezero", .norm = nowhere, .learned = LearnedScale::branch},
    {.kind = ResidualKind::sub_ln,
     .name = "sub-ln",
     .norm = before_branch,
     .has_top_norm = true,
     .has_inner_norm = true,
     .second = SecondStream::sum,
     .depth_constants = DepthConstants::sub_ln},
    {.kind = ResidualKind::dlcl,
     .name = "dlcl",
     .norm = before_branch,
     .second = SecondStream::sum,
     .learned = LearnedScale::history},
};

constexpr bool has_every_kind_in_order() {
  if (std::size(table) != size_t(ResidualKind::kinds)) return false;
  for (size_t i = 0; i < std::size(table); ++i)
    if (size_t(table[i].kind) != i) return false;
  return true;
}
static_assert(has_every_kind_in_order(), "every ResidualKind needs its row");

}  // namespace

const ResidualTraits& traits_of(ResidualKind kind) { return table[size_t(kind)]; }

std::span<const ResidualTraits> all_residual_traits() { return table; }

std::string name_of(ResidualKind kind) { return traits_of(kind).name; }

}  // namespace bough
