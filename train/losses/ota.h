// Dynamic assignment of candidates to the targets of one image (train.md section 8.4; OTA, Ge et al. 2021).
#pragma once

#include <span>
#include <vector>

#include "train/losses/candidates.h"

namespace mtyolo::train {

struct OtaParams {
  int top = 10;  // IoUs that make up the number of positives of a target; at most kMaxOtaTop
  double scale_x = 640, scale_y = 640;  // of normalised targets to pixels: width, height
  int64_t tile = 2048;                  // candidates decoded at a time
};
inline constexpr int kMaxOtaTop = 20;

// The candidates of one image (per level) that are positives, in their order, each with the target that won
// it.
//
// Cost of target t and candidate c: sum over classes of BCE(y, one-hot) + 3 * -ln(IoU + 1e-8), y =
// sqrt(sg(cls) sg(obj)) clamped to 1e-7..1-1e-7 (known-issues L3). The sum is -ln y_c + ln(1-y_c) - sum_k
// ln(1-y_k), so neither targets x candidates nor the class axis is ever stored: workspace is a tile, and some
// 500 bytes for a target (L5). At equal cost the lowest candidate number wins, then the first target.
// Independent of tile and threads.
std::vector<std::vector<Match>> assign_ota(Context& ctx, const std::vector<Grid>& grids,
                                           std::span<const Tensor> maps, std::span<const Target> targets,
                                           std::span<const int> rows,
                                           const std::vector<std::vector<Match>>& candidates,
                                           const OtaParams& params);

}  // namespace mtyolo::train
