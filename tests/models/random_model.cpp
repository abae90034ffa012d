#include "tests/models/random_model.h"

#include "core/random.h"

namespace mtyolo::test {

using models::ParamInfo;

models::Model random_model(const models::Cfg& cfg, uint64_t seed) {
  models::Model model = models::model_from_cfg(cfg, seed);
  RandomStream random(seed, 77, 0);
  for (const ParamInfo& param : model.graph.params) {
    const Tensor& t = *model.weights.find(param.name);
    const auto draw = [&](double low, double high) {
      for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = float(random.uniform(low, high));
    };
    if (param.kind == ParamInfo::Kind::kBnMean || param.kind == ParamInfo::Kind::kBnBias) draw(-0.3, 0.3);
    if (param.kind == ParamInfo::Kind::kBnVar || param.kind == ParamInfo::Kind::kBnWeight) draw(0.5, 1.5);
    if (param.kind == ParamInfo::Kind::kImplicitAdd) draw(-0.2, 0.2);
    if (param.kind == ParamInfo::Kind::kImplicitMul) draw(0.7, 1.3);
  }
  return model;
}

models::Model narrow_model(const std::string& name, double width) {
  models::Cfg cfg = models::shipped_cfg(name);
  cfg.width_multiple *= width;
  return models::model_from_cfg(cfg, 11);
}

Tensor random_images(const Shape& shape, uint64_t seed) {
  Tensor x = Tensor::empty(shape);
  RandomStream random(seed, 78, 0);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = float(random.uniform());
  return x;
}

}  // namespace mtyolo::test
