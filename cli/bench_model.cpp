// bench model: one forward pass with decoding on a ready tensor.
#include <algorithm>

#include "cli/bench_subject.h"
#include "core/log.h"
#include "core/random.h"
#include "models/model.h"
#include "models/plan/detector.h"

namespace mtyolo::cli {
namespace {

class BenchModel : public BenchSubject {
 public:
  BenchModel(Context& ctx, const CommonOptions& common, BenchParams& params) {
    const models::Model model = load_bench_model(params, common);
    detector_ = std::make_unique<models::Detector>(ctx, model.graph, model.weights, make_impls(common));
    flops_ = models::conv_flops(detector_->graph(), params.batch, params.size, params.size);
    images_ = Tensor::empty(models::infer_shapes(model.graph, params.batch, params.size, params.size)[0]);
    RandomStream random(uint64_t(common.seed), 0, 0);
    for (int64_t i = 0; i < images_.numel(); ++i) images_.data<float>()[i] = float(random.uniform());
  }

  void once() override { detector_->forward(images_); }
  double flops() const override { return flops_; }

  std::vector<BenchLayer> layers(const std::function<bool()>& stop) override {
    constexpr int kRuns = 9;
    const models::Plan& plan = detector_->plan_for(images_);
    std::vector<std::vector<double>> ms(plan.steps().size());
    detector_->on_step([&](size_t step, double milliseconds) { ms[step].push_back(milliseconds); });
    for (int i = 0; i < kRuns && !stop(); ++i) once();
    detector_->on_step({});
    std::vector<BenchLayer> layers;
    for (size_t i = 0; i < ms.size(); ++i) {
      const models::Plan::StepInfo& info = plan.steps()[i];
      const double time = median(ms[i]);
      layers.push_back({info.op, info.scope, info.detail, time, time > 0 ? info.flops / time * 1e-6 : 0});
    }
    return layers;
  }

 private:
  std::unique_ptr<models::Detector> detector_;
  Tensor images_;
  double flops_ = 0;
};

}  // namespace

models::Model load_bench_model(BenchParams& params, const CommonOptions& common) {
  const auto& shipped = models::shipped_cfg_names();
  const bool is_cfg = params.weights.ends_with(".yaml") || params.weights.ends_with(".yml") ||
                      std::find(shipped.begin(), shipped.end(), params.weights) != shipped.end();
  models::Model model =
      is_cfg ? models::model_from_cfg(models::cfg_by_name(params.weights), uint64_t(common.seed))
             : models::load_model(params.weights, params.cfg);
  const int stride = model.graph.max_stride;
  if (params.size % stride != 0) {
    params.size = (params.size + stride - 1) / stride * stride;
    log::warning("--img-size is not a multiple of {}: {} is used", stride, params.size);
  }
  return model;
}

std::unique_ptr<BenchSubject> bench_model(Context& ctx, const CommonOptions& common, BenchParams& params) {
  return std::make_unique<BenchModel>(ctx, common, params);
}

}  // namespace mtyolo::cli
