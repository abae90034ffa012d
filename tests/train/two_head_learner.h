// A small network with two heads of one class each, and batches for it.
#pragma once

#include <string>
#include <vector>

#include "core/random.h"
#include "core/yaml.h"
#include "ops/impls.h"
#include "train/learner.h"

namespace mtyolo::test {

inline constexpr int kLearnerSide = 64;

inline models::Model two_head_model(const std::string& last = "IDetect @c3,c4") {
  const std::string text =
      "nc: 2\nanchors: [[12,12, 20,20, 28,28], [24,40, 40,24, 48,48]]\nrows:\n"
      "  - Conv 16 3 2\n  - Conv 32 3 2\n  - c3: Conv 32 3 2\n  - c4: Conv 48 3 2\nhead:\n  - " +
      last + "\n";
  models::BuildOptions options;
  options.heads = {{"a", {0}}, {"b", {1}}};
  options.names = {"red", "blue"};
  return models::model_from_cfg(models::cfg_from_document(parse_yaml(text, "two"), "two"), 5, options);
}

struct TwoHeadLearner {
  Context ctx;
  ops::Impls impls;
  std::unique_ptr<train::Learner> learner;

  explicit TwoHeadLearner(train::LearnerParams params = {}, const models::Model& model = two_head_model(),
                          int threads = 1)
      : ctx(threads) {
    ops::register_cpu_impls(impls);
    for (const models::Head& head : model.graph.heads) params.heads.push_back({head.name, head.classes, 1});
    params.img_size = kLearnerSide;
    learner = std::make_unique<train::Learner>(ctx, impls, model, params);
  }
  train::BatchLoss accumulate(const data::Batch& batch) { return learner->accumulate(batch.images, batch); }
  void update(double rate = 0.01) {
    REQUIRE(learner->close_window() == "");
    learner->update({.lr = {rate, rate, rate}, .momentum = 0.9, .accumulate = 1});
  }
  // Gradients of a part of the parameters, one after the other.
  std::vector<float> gradients(const std::string& prefix) {
    std::vector<float> out;
    for (const autograd::Parameter& p : learner->store().parameters())
      if (p.name.starts_with(prefix))
        out.insert(out.end(), p.grad.data<float>(), p.grad.data<float>() + p.grad.numel());
    return out;
  }
};

// One image per entry of `labelled` (bit 0: head a), with an object of each class.
inline data::Batch two_head_batch(const std::vector<uint64_t>& labelled, uint64_t seed = 1) {
  data::Batch batch;
  const int64_t n = int64_t(labelled.size());
  batch.images = Tensor::empty({n, 3, kLearnerSide, kLearnerSide}, DType::kU8);
  batch.labelled = labelled;
  for (int64_t i = 0; i < n; ++i) {
    RandomStream random(seed, 1, uint64_t(i));
    const int64_t pixels = batch.images.numel() / n;
    for (int64_t k = 0; k < pixels; ++k)
      batch.images.data<uint8_t>()[i * pixels + k] = uint8_t(random.bits());
    for (int cls = 0; cls < 2; ++cls)
      batch.targets.push_back({int(i), cls, float(random.uniform(0.2, 0.8)), float(random.uniform(0.2, 0.8)),
                               float(random.uniform(0.2, 0.4)), float(random.uniform(0.2, 0.4))});
    batch.indices.push_back(i);
    batch.paths.push_back(fmt::format("{}.png", i));
  }
  return batch;
}

}  // namespace mtyolo::test
