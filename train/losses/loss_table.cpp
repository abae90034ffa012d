#include <array>

#include "train/losses/loss.h"
#include "train/losses/ota.h"
#include "train/losses/terms.h"

namespace mtyolo::train {
namespace {

using Levels = std::vector<std::vector<Match>>;

constexpr double kNear = 0.5, kFar = 1.0;  // reach of candidates to neighbouring cells
constexpr double kAuxWeight = 0.25;
constexpr int kTop = 10, kAuxTop = 20;  // IoUs summed for the number of positives

// Runs `find` for the targets of every image and joins what it finds, per level in the order of the images.
template <class Find>
Levels for_images(Context& ctx, const HeadSpec& head, const LossInput& input, Find&& find) {
  const auto rows = targets_by_image(input, head.nc);
  std::vector<Levels> found(rows.size());
  const auto run = [&](int64_t i) {
    if (!rows[size_t(i)].empty()) found[size_t(i)] = find(rows[size_t(i)]);
  };
  if (rows.size() == 1) run(0);  // then the threads share the work inside the image
  else ctx.pool().parallel_for(int64_t(rows.size()), run);
  Levels all(input.levels.size());
  for (const Levels& image : found)
    for (size_t level = 0; level < image.size(); ++level)
      all[level].insert(all[level].end(), image[level].begin(), image[level].end());
  return all;
}

Levels candidates_of(const std::vector<Grid>& grids, const LossParams& params, const LossInput& input,
                     const std::vector<int>& rows, double reach) {
  Levels out;
  for (const Grid& grid : grids)
    out.push_back(find_candidates(grid, input.targets, rows, params.anchor_t, reach));
  return out;
}

Levels ota_matches(Context& ctx, const HeadSpec& head, const LossParams& params, const LossInput& input,
                   double reach, int top) {
  const std::vector<Grid> grids = grids_of(head, input.levels);
  OtaParams ota;
  ota.top = top;
  ota.scale_y = double(input.image_height);
  ota.scale_x = params.ota_scale_by_height ? ota.scale_y : double(input.image_width);
  return for_images(ctx, head, input, [&](const std::vector<int>& rows) {
    return assign_ota(ctx, grids, input.levels, input.targets, rows,
                      candidates_of(grids, params, input, rows, reach), ota);
  });
}

LossResult simple_loss(Context& ctx, const HeadSpec& head, const LossParams& params, const LossInput& input) {
  const std::vector<Grid> grids = grids_of(head, input.levels);
  LossResult r;
  r.matches = for_images(ctx, head, input, [&](const std::vector<int>& rows) {
    return candidates_of(grids, params, input, rows, kNear);
  });
  add_terms(ctx, head, params, input, input.levels, r.matches, 1, r, r.grads);
  return r;
}

LossResult ota_loss(Context& ctx, const HeadSpec& head, const LossParams& params, const LossInput& input) {
  LossResult r;
  r.matches = ota_matches(ctx, head, params, input, kNear, kTop);
  add_terms(ctx, head, params, input, input.levels, r.matches, 1, r, r.grads);
  return r;
}

// Both assignments rank the predictions of the lead maps.
LossResult aux_ota_loss(Context& ctx, const HeadSpec& head, const LossParams& params,
                        const LossInput& input) {
  MTYOLO_CHECK(input.aux.size() == input.levels.size(), "loss: {} auxiliary maps beside {}", input.aux.size(),
               input.levels.size());
  for (size_t i = 0; i < input.aux.size(); ++i)
    MTYOLO_CHECK(input.aux[i].shape() == input.levels[i].shape(), "loss: auxiliary map {} beside {}",
                 input.aux[i], input.levels[i]);
  LossResult r;
  r.matches = ota_matches(ctx, head, params, input, kNear, kAuxTop);
  r.aux_matches = ota_matches(ctx, head, params, input, kFar, kAuxTop);
  add_terms(ctx, head, params, input, input.levels, r.matches, 1, r, r.grads);
  add_terms(ctx, head, params, input, input.aux, r.aux_matches, kAuxWeight, r, r.aux_grads);
  return r;
}

struct Named {
  const char* name;
  LossFunction function;
};
constexpr std::array<Named, 3> kLosses{
    {{"simple", simple_loss}, {"ota", ota_loss}, {"aux_ota", aux_ota_loss}}};

}  // namespace

LossFunction find_loss(const std::string& name) {
  for (const Named& loss : kLosses)
    if (name == loss.name) return loss.function;
  fail(ExitCode::kUsage, "usage", "no loss {}; there are simple, ota, aux_ota", quoted(name));
}

}  // namespace mtyolo::train
