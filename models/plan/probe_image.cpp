#include "models/plan/probe_image.h"

#include <algorithm>

#include "core/random.h"
#include "ops/interpolate.h"

namespace mtyolo::models {

Tensor probe_image(Context& ctx, const Shape& shape, uint64_t seed) {
  constexpr uint32_t kStream = 0x70726f62;  // "prob"
  Tensor image = Tensor::full(shape, 0.5), octave = Tensor::empty(shape);
  RandomStream random(seed, kStream, 0);
  double contrast = 0.5;  // of the coarsest octave; the sum stays in 0..1
  for (int64_t grid = 2; grid <= std::max(shape[2], shape[3]); grid *= 2) {
    contrast /= 2;
    Tensor coarse = Tensor::empty({shape[0], shape[1], grid, grid});
    for (int64_t i = 0; i < coarse.numel(); ++i)
      coarse.data<float>()[i] = float(random.uniform(-contrast, contrast));
    ops::interpolate_bilinear_forward(ctx, coarse, octave);
    for (int64_t i = 0; i < image.numel(); ++i) image.data<float>()[i] += octave.data<float>()[i];
  }
  return image;
}

}  // namespace mtyolo::models
