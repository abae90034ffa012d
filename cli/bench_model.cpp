// bench model: one forward pass with decoding on a ready tensor.
#include <algorithm>
#include <array>
#include <chrono>

#include "cli/backend.h"
#include "cli/bench_subject.h"
#include "core/log.h"
#include "core/random.h"
#include "models/model.h"

namespace mtyolo::cli {
namespace {

class BenchModel : public BenchSubject {
 public:
  BenchModel(Context& ctx, const CommonOptions& common, BenchParams& params) {
    const models::Model model = load_bench_model(params, common);
    detector_ = make_detector(ctx, model.graph, model.weights, common, params.dtype, packed_place(model));
    flops_ = models::conv_flops(detector_->graph(), params.batch, params.size, params.size);
    images_ = Tensor::empty(models::infer_shapes(model.graph, params.batch, params.size, params.size)[0]);
    RandomStream random(uint64_t(common.seed), 0, 0);
    std::array<float, 4093> values;  // drawn once: a start is timed too
    for (float& value : values) value = float(random.uniform());
    const int64_t count = images_.numel(), piece = int64_t(values.size());
    for (int64_t i = 0; i < count; i += piece)
      std::copy_n(values.data(), std::min(piece, count - i), images_.data<float>() + i);
    if (detector_->on_device()) plan().upload(images_);
  }

  // On a device the images are there already and the predictions stay.
  void once() override {
    if (!detector_->on_device()) detector_->forward(images_);
    else {
      plan().run(models::DeviceResult::kPredictions);
      session().synchronize();
    }
  }
  double flops() const override { return flops_; }

  std::vector<BenchLayer> layers(const std::function<bool()>& stop) override {
    constexpr int kRuns = 9;
    if (detector_->on_device()) return device_layers(kRuns, stop);
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

  Json device_facts() override {
    if (!detector_->on_device()) return nullptr;
    constexpr int kTransfers = 5;
    constexpr double kMiB = 1 << 20;
    std::vector<double> run, up, down;
    for (int i = 0; i < kTransfers; ++i) {
      run.push_back(session().time([&] { plan().run(models::DeviceResult::kPredictions); }));
      up.push_back(host_ms([&] { plan().upload(images_), session().synchronize(); }));
      down.push_back(host_ms([&] { plan().predictions(); }));
    }
    const double images = double(images_.size(0));
    return {{"name", session().info().name},
            {"device", to_string(session().device())},
            {"ms_per_image", median(run) / images},
            {"upload_ms_per_image", median(up) / images},
            {"download_ms_per_image", median(down) / images},
            {"kernels", plan().kernels(models::DeviceResult::kPredictions)},
            {"arena_mib", double(plan().arena_bytes()) / kMiB},
            {"workspace_mib", double(plan().workspace_bytes()) / kMiB},
            {"weights_mib", double(detector_->device_network().weight_bytes()) / kMiB}};
  }

 private:
  models::DevicePlan& plan() { return detector_->device_plan_for(images_); }
  DeviceSession& session() { return *detector_->device_network().backend().session; }

  static double host_ms(const std::function<void()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  }

  std::vector<BenchLayer> device_layers(int runs, const std::function<bool()>& stop) {
    const auto& steps = plan().steps();
    std::vector<std::vector<double>> ms(steps.size());
    for (int i = 0; i < runs && !stop(); ++i) {
      const std::vector<double> times = plan().time_steps();
      for (size_t s = 0; s < times.size(); ++s) ms[s].push_back(times[s]);
    }
    std::vector<BenchLayer> layers;
    for (size_t s = 0; s < ms.size(); ++s) {
      const double time = median(ms[s]);
      layers.push_back(
          {steps[s].op, steps[s].scope, steps[s].detail, time, time > 0 ? steps[s].flops / time * 1e-6 : 0});
    }
    return layers;
  }

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
             : models::load_model(params.weights, params.cfg, cache_folder());
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
