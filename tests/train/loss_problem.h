// A random head with targets, for the tests of losses.
#pragma once

#include <cmath>
#include <vector>

#include "core/random.h"
#include "train/losses/loss.h"

namespace mtyolo::test {

struct LossProblem {
  train::HeadSpec head;
  std::vector<Tensor> levels, aux;
  std::vector<train::Target> targets;
  int64_t height = 0, width = 0;

  // Three levels with yolov7's anchors; logits with deviation 1, boxes of every size.
  LossProblem(int batch, int64_t image_height, int64_t image_width, int nc, int objects, uint64_t seed)
      : height(image_height), width(image_width) {
    head.anchors = {{12, 16, 19, 36, 40, 28}, {36, 75, 76, 55, 72, 146}, {142, 110, 192, 243, 459, 401}};
    head.strides = {8, 16, 32};
    head.nc = nc;
    RandomStream random(seed, 0, 0);
    for (auto* maps : {&levels, &aux})
      for (const float stride : head.strides) {
        Tensor map =
            Tensor::empty({batch, 3, height / int64_t(stride), width / int64_t(stride), 5 + nc}, DType::kF64);
        for (int64_t i = 0; i < map.numel(); ++i) map.data<double>()[i] = random.normal();
        maps->push_back(map);
      }
    for (int i = 0; i < objects; ++i)
      targets.push_back({.image = int(random.below(batch)),
                         .cls = int(random.below(nc)),
                         .x = float(random.uniform()),
                         .y = float(random.uniform()),
                         .w = float(std::exp(random.uniform(std::log(8.0 / double(width)), 0))),
                         .h = float(std::exp(random.uniform(std::log(8.0 / double(height)), 0)))});
  }

  train::LossInput input() const {
    train::LossInput in{.levels = levels, .aux = aux, .targets = targets};
    in.image_height = height;
    in.image_width = width;
    return in;
  }
};

}  // namespace mtyolo::test
