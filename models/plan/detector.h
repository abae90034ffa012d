// From a batch of images to detections: one compiled network, a plan per input shape, head outputs joined by
// one suppression. infer, val, bench and the end-to-end tests all use this.
#pragma once

#include <list>
#include <memory>

#include "models/plan/device_plan.h"
#include "models/plan/plan.h"

namespace mtyolo::models {

class Detector {
 public:
  // Packs the weights. --impl conv2d=cpu.igemm turns Winograd's form off; with an implementation forced that
  // the plan does not have, the graph runs un-fused, node by node, with that one instead.
  // `options`: raw maps in forward's outputs, not with a forced implementation. bf16 (Network::build): throws
  // Error when an implementation is forced that the plan does not have. `place`: as Network::build's.
  Detector(Context& ctx, const Graph& graph, const StateDict& weights, const ops::Impls& impls,
           PlanOptions options = {}, ops::blocked::Element type = ops::blocked::Element::kF32,
           const PackedPlace& place = {});

  // On a device: everything between the images and the results runs there.
  Detector(Context& ctx, const Graph& graph, const StateDict& weights, DeviceBackend backend,
           KernelMath math);

  const Graph& graph() const {
    return eager_ ? eager_->graph : on_device() ? device_network_->graph() : network_->graph();
  }
  bool on_device() const { return device_network_ != nullptr; }

  // One output per head, valid until the next call. images [N,3,H,W] f32 in 0..1 or u8; sides multiples of
  // max_stride.
  const std::vector<HeadOutput>& forward(const Tensor& images);

  // forward (augmented if asked) and suppression; per image, corners in network pixels, decreasing
  // confidence. On a device the predictions stay there unless an image has too many candidates.
  std::vector<std::vector<ops::Detection>> detect(const Tensor& images, const DetectParams& params);
  // On a device, of pictures on the host that become h x w there.
  std::vector<std::vector<ops::Detection>> detect(std::span<const LetterboxImage> pictures, int64_t h,
                                                  int64_t w, const DetectParams& params);
  // Suppression alone, of predictions per head [N, rows, 5 + nc]; `added` (per image, or empty) takes part.
  std::vector<std::vector<ops::Detection>> suppress(
      const std::vector<Tensor>& predictions, const DetectParams& params,
      const std::vector<std::vector<ops::Detection>>& added = {}) const;
  // Predictions per head of the original, the mirrored 0.83 and the 0.67 image, joined along the rows.
  std::vector<Tensor> forward_augmented(const Tensor& images);

  // The plan of these images' shape. Throws Error while another convolution than the plan's own is forced.
  const Plan& plan_for(const Tensor& images);
  DevicePlan& device_plan_for(const Tensor& images);  // of a detector on a device
  const DeviceNetwork& device_network() const { return *device_network_; }
  // Every forward tells it how long each step of its plan took; an empty one ends that.
  void on_step(Plan::StepTimer timer) { step_timer_ = std::move(timer); }

 private:
  struct Eager {
    Graph graph;
    StateDict weights;
    ops::Impls impls;
    std::vector<HeadOutput> outputs;
  };
  struct Compiled {
    Shape shape;
    std::unique_ptr<Plan> plan;
    Plan::State state;
  };
  struct CompiledOnDevice {
    Shape shape;
    std::optional<DType> type;
    std::unique_ptr<DevicePlan> plan;
  };
  Compiled& compiled_for(const Shape& shape);
  DevicePlan& device_plan_for(const Shape& shape, std::optional<DType> type);
  std::vector<std::vector<ops::Detection>> detect_uploaded(DevicePlan& plan, const DetectParams& params);

  Context& ctx_;
  PlanOptions options_;
  std::shared_ptr<const Network> network_;  // null when eager_ or device_network_ is set
  std::unique_ptr<Eager> eager_;
  Plan::StepTimer step_timer_;
  std::list<Compiled> compiled_;  // most recently used first
  std::shared_ptr<const DeviceNetwork> device_network_;
  std::list<CompiledOnDevice> device_plans_;
};

}  // namespace mtyolo::models
