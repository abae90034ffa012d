#include "models/plan/detector.h"

#include <algorithm>
#include <cmath>

#include "core/profile.h"
#include "models/plan/eager.h"
#include "ops/interpolate.h"

namespace mtyolo::models {
namespace {

// Arenas are large: a few shapes at a time are enough for rectangular inference.
constexpr size_t kPlansKept = 2;

// What `is_it` finds, moved to the front; null when there is none, and then the oldest is gone if the list is
// full.
template <class Item, class Is>
Item* most_recent(std::list<Item>& items, Is&& is_it) {
  const auto found = std::find_if(items.begin(), items.end(), is_it);
  if (found == items.end()) {
    if (items.size() == kPlansKept) items.pop_back();
    return nullptr;
  }
  items.splice(items.begin(), items, found);
  return &items.front();
}

// Adds `rows` of one pass, with boxes brought back to the scale and orientation of the original.
void append_rows(const Tensor& pass, double scale, bool mirrored, float width, Tensor& all,
                 int64_t first_row) {
  Tensor to = all.slice(1, first_row, first_row + pass.size(1));
  to.copy_from(pass);
  if (scale == 1 && !mirrored) return;
  for (int64_t n = 0; n < pass.size(0); ++n)
    for (int64_t r = 0; r < pass.size(1); ++r) {
      float* row = to.data<float>() + n * to.stride(0) + r * to.stride(1);
      for (int k = 0; k < 4; ++k) row[k] = float(row[k] / scale);
      if (mirrored) row[0] = width - row[0];
    }
}

// Mirrored left to right if asked, scaled, padded at the right and bottom with 0.447 to a multiple of
// `stride`.
Tensor augmented_input(Context& ctx, const Tensor& images, double scale, bool mirrored, int stride) {
  Tensor x = images;
  if (mirrored) {
    x = Tensor::empty(images.shape());
    for (int64_t j = 0; j < images.size(3); ++j)
      x.slice(3, j, j + 1).copy_from(images.slice(3, images.size(3) - 1 - j, images.size(3) - j));
  }
  if (scale == 1) return x;
  const auto padded = [&](int64_t side) {
    return int64_t(std::ceil(double(side) * scale / stride)) * stride;
  };
  const int64_t h = int64_t(double(x.size(2)) * scale), w = int64_t(double(x.size(3)) * scale);
  Tensor small = Tensor::empty({x.size(0), x.size(1), h, w});
  ops::interpolate_bilinear_forward(ctx, x, small);
  Tensor out = Tensor::full({x.size(0), x.size(1), padded(x.size(2)), padded(x.size(3))}, 0.447);
  out.slice(2, 0, h).slice(3, 0, w).copy_from(small);
  return out;
}

Tensor as_float(const Tensor& images) {
  if (images.dtype() != DType::kU8) return images;
  Tensor x = images.to(DType::kF32);
  float* p = x.data<float>();
  for (int64_t i = 0; i < x.numel(); ++i) p[i] /= 255.0f;
  return x;
}

}  // namespace

Detector::Detector(Context& ctx, const Graph& graph, const StateDict& weights, const ops::Impls& impls,
                   PlanOptions options, ops::blocked::Element type, const PackedPlace& place)
    : ctx_(ctx), options_(options) {
  const std::string forced = impls.forced(ops::Conv2dForward::kName);
  if (plan_has(forced)) network_ = Network::build(ctx, graph, weights, forced != "cpu.igemm", type, place);
  else if (type != ops::blocked::Element::kF32)
    fail(ExitCode::kUsage, "usage", "--impl conv2d={} computes in fp32 alone; leave --dtype out", forced);
  else eager_ = std::make_unique<Eager>(Eager{graph, weights, impls, {}});
}

Detector::Detector(Context& ctx, const Graph& graph, const StateDict& weights, DeviceBackend backend,
                   KernelMath math)
    : ctx_(ctx),
      device_network_(std::make_shared<DeviceNetwork>(ctx, std::move(backend), graph, weights, math)) {}

Detector::Compiled& Detector::compiled_for(const Shape& shape) {
  const size_t before = compiled_.size();
  if (Compiled* found = most_recent(compiled_, [&](const Compiled& c) { return c.shape == shape; }))
    return *found;
  if (compiled_.size() < before) ctx_.allocator()->release_cached();
  auto plan = std::make_unique<Plan>(network_, shape[0], shape[2], shape[3], options_);
  Plan::State state = plan->make_state(ctx_);
  compiled_.push_front({shape, std::move(plan), std::move(state)});
  return compiled_.front();
}

DevicePlan& Detector::device_plan_for(const Tensor& images) {
  return device_plan_for(images.shape(), images.dtype());
}

DevicePlan& Detector::device_plan_for(const Shape& s, std::optional<DType> type) {
  MTYOLO_CHECK(on_device(), "the detector runs on the CPU");
  const size_t before = device_plans_.size();
  const auto is_it = [&](const CompiledOnDevice& c) { return c.shape == s && c.type == type; };
  if (CompiledOnDevice* found = most_recent(device_plans_, is_it)) return *found->plan;
  if (device_plans_.size() < before) device_network_->backend().session->allocator()->release_cached();
  auto plan = std::make_unique<DevicePlan>(device_network_, s[0], s[2], s[3], type);
  device_plans_.push_front({s, type, std::move(plan)});
  return *device_plans_.front().plan;
}

const Plan& Detector::plan_for(const Tensor& images) {
  MTYOLO_CHECK(network_ != nullptr, "there is no plan for the CPU: {}",
               on_device() ? "the detector runs on a device" : "--impl forces another convolution");
  return *compiled_for(images.shape()).plan;
}

const std::vector<HeadOutput>& Detector::forward(const Tensor& images) {
  const profile::Scope scope("forward");
  if (on_device()) {
    DevicePlan& plan = device_plan_for(images);
    plan.upload(images);
    plan.run(DeviceResult::kPredictions);
    return plan.predictions();
  }
  if (eager_) {
    const auto values = run_eagerly(ctx_, eager_->impls, eager_->graph, eager_->weights, as_float(images));
    eager_->outputs.clear();
    for (const Tensor& t : head_predictions(eager_->graph, values)) eager_->outputs.push_back({t, {}});
    return eager_->outputs;
  }
  Compiled& c = compiled_for(images.shape());
  c.plan->run(ctx_, images, c.state, step_timer_);
  return c.state.outputs();
}

std::vector<Tensor> Detector::forward_augmented(const Tensor& images) {
  struct Pass {
    double scale;
    bool mirrored;
  };
  const Tensor x = as_float(images);
  std::vector<std::vector<Tensor>> passes;  // [pass][head]
  const Pass kPasses[] = {{1, false}, {0.83, true}, {0.67, false}};
  for (const Pass& p : kPasses) {
    const Tensor input = augmented_input(ctx_, x, p.scale, p.mirrored, graph().max_stride);
    std::vector<Tensor> heads;
    for (const HeadOutput& out : forward(input)) heads.push_back(out.predictions.clone());
    passes.push_back(std::move(heads));
  }
  std::vector<Tensor> joined;
  for (size_t head = 0; head < passes[0].size(); ++head) {
    int64_t rows = 0, first = 0;
    for (const auto& pass : passes) rows += pass[head].size(1);
    Tensor all = Tensor::empty({x.size(0), rows, passes[0][head].size(2)});
    for (size_t i = 0; i < passes.size(); ++i) {
      append_rows(passes[i][head], kPasses[i].scale, kPasses[i].mirrored, float(x.size(3)), all, first);
      first += passes[i][head].size(1);
    }
    joined.push_back(all);
  }
  return joined;
}

std::vector<std::vector<ops::Detection>> Detector::detect(const Tensor& images, const DetectParams& params) {
  if (on_device() && !params.augment) {
    const profile::Scope scope("detect");
    DevicePlan& plan = device_plan_for(images);
    plan.upload(images);
    return detect_uploaded(plan, params);
  }
  std::vector<Tensor> predictions;
  if (params.augment) predictions = forward_augmented(images);
  else
    for (const HeadOutput& out : forward(images)) predictions.push_back(out.predictions);
  return suppress(predictions, params);
}

std::vector<std::vector<ops::Detection>> Detector::detect(std::span<const LetterboxImage> pictures, int64_t h,
                                                          int64_t w, const DetectParams& params) {
  const profile::Scope scope("detect");
  DevicePlan& plan = device_plan_for({int64_t(pictures.size()), 3, h, w}, std::nullopt);
  plan.upload(pictures);
  return detect_uploaded(plan, params);
}

std::vector<std::vector<ops::Detection>> Detector::detect_uploaded(DevicePlan& plan,
                                                                   const DetectParams& params) {
  plan.set_detection(params);
  plan.run(DeviceResult::kDetections);
  std::vector<int64_t> overflown;
  auto found = plan.detections(overflown);
  if (overflown.empty()) return found;
  const std::vector<HeadOutput>& all = plan.predictions();
  for (const int64_t i : overflown) {
    std::vector<Tensor> image;
    for (const HeadOutput& head : all) image.push_back(head.predictions.slice(0, i, i + 1));
    found[size_t(i)] = suppress(image, params)[0];
  }
  return found;
}

std::vector<std::vector<ops::Detection>> Detector::suppress(
    const std::vector<Tensor>& predictions, const DetectParams& params,
    const std::vector<std::vector<ops::Detection>>& added) const {
  const profile::Scope scope("nms");
  const int64_t images = predictions.at(0).size(0);
  std::vector<std::vector<ops::Detection>> result;
  for (int64_t n = 0; n < images; ++n) {
    std::vector<ops::Detection> candidates;
    for (size_t head = 0; head < predictions.size(); ++head) {
      ops::NmsParams p = params.nms;
      if (!params.head_conf_thres.empty()) p.conf_thres = params.head_conf_thres[head];
      p.one_class_score_is_objectness = graph().heads[head].score_is_objectness;
      const Tensor& all = predictions[head];
      const Tensor rows = all.slice(0, n, n + 1).reshape({all.size(1), all.size(2)});
      ops::nms_candidates(rows, p, graph().heads[head].classes, int(head), candidates);
    }
    if (!added.empty()) candidates.insert(candidates.end(), added[size_t(n)].begin(), added[size_t(n)].end());
    result.push_back(ops::nms_select(std::move(candidates), params.nms));
  }
  return result;
}

}  // namespace mtyolo::models
