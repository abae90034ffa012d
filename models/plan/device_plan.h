// Compiled inference on a device for one input shape: kernels over one arena of NHWC maps, from the images to
// predictions or detections. The first run of either kind queues the kernels one by one, the second records
// them, the others replay the record: no memory is taken and nothing is waited for in between.
#pragma once

#include <functional>

#include "models/plan/device_network.h"
#include "models/plan/memory.h"
#include "models/plan/plan.h"
#include "ops/nms.h"

namespace mtyolo::models {

struct DetectParams {
  ops::NmsParams nms;
  std::vector<float> head_conf_thres;  // per head of the graph; empty = nms.conf_thres for all
  bool augment = false;                // test-time augmentation (eval.md section 5)
  bool operator==(const DetectParams&) const = default;
};

// What a run ends with: all predictions, or what suppression leaves of them.
enum class DeviceResult { kPredictions, kDetections };

class DevicePlan {
 public:
  // For images [n,3,h,w] of type u8 or f32, none: for pictures. Throws Error when the sides do not fit the
  // network or no kernel takes a convolution.
  DevicePlan(std::shared_ptr<const DeviceNetwork> network, int64_t n, int64_t h, int64_t w,
             std::optional<DType> images);

  // Queued; images as the plan was made for.
  void upload(const Tensor& images);
  // Pictures on the host, one for each of n, of any size: letterboxed on the device. Takes memory only when
  // they have more pixels than any before.
  void upload(std::span<const LetterboxImage> pictures);
  void set_detection(const DetectParams& params);  // before a run that ends with detections
  void run(DeviceResult result);                   // queued
  // Wait. The predictions of the last run of either kind, per head [n, rows, 5 + nc] f32.
  const std::vector<HeadOutput>& predictions();
  // Of the last run with detections. An image with more candidates than the device keeps has none here and
  // is named in `overflown`.
  std::vector<std::vector<ops::Detection>> detections(std::vector<int64_t>& overflown);

  struct StepInfo {
    std::string op, scope, detail;  // siblings: "a + b"
    std::string impl;               // "cuda.max_pool2d"; of a convolution "cuda.igemm 128x64, 3 stages"
    size_t other_configs = 0;       // of a convolution, that could run it as well
    double flops = 0;               // 2 per multiply-add of a convolution
  };
  const std::vector<StepInfo>& steps() const { return step_infos_; }
  std::vector<double> time_steps();  // milliseconds of each, on the device
  int kernels(DeviceResult result);  // kernels and copies of one run; records it
  size_t arena_bytes() const { return arena_->size_bytes(); }
  size_t sum_of_maps_bytes() const { return sum_of_maps_bytes_; }
  size_t workspace_bytes() const { return workspace_->size_bytes(); }
  const std::vector<BufferLife>& buffers() const { return buffers_; }
  int copied_concat_inputs() const { return copied_concat_inputs_; }

 private:
  class Compiler;
  struct ConvWork {  // which implementation runs a convolution, and how
    ConvArgs args;
    size_t step = 0;
    std::shared_ptr<ConvPlan> plan{};  // by the backend's chooser; none: its kernels
  };
  void make_output(size_t head);
  void choose_configs();
  void run_conv(const ConvWork& work);
  NmsArgs nms_args(const DetectParams& params);
  void queue(DeviceResult result);
  void queue_predictions();
  KernelStream stream() const { return network_->backend().session->stream(); }
  std::shared_ptr<Storage> take(size_t bytes) const;

  std::shared_ptr<const DeviceNetwork> network_;
  int64_t n_, h_, w_;
  std::optional<DType> image_type_;  // none: pictures
  KernelMap input_;                  // what they are letterboxed into
  std::vector<Shape> shapes_;
  std::vector<std::function<void()>> runs_;
  std::vector<StepInfo> step_infos_;
  std::vector<ConvWork> convs_;
  std::vector<BufferLife> buffers_;  // in units of four bytes
  size_t sum_of_maps_bytes_ = 0;
  int copied_concat_inputs_ = 0;
  std::shared_ptr<Storage> images_, arena_;
  std::shared_ptr<Storage> workspace_, scratch_;  // what is zero between uses, and what need not be

  struct Output {
    DecodeHead decode;
    std::vector<int> raw_values;  // by level
    std::shared_ptr<Storage> raw, predictions;
  };
  std::vector<Output> outputs_;  // by head
  DetectParams detect_;
  std::vector<DecodeHead> nms_heads_;
  NmsArgs nms_;
  std::shared_ptr<Storage> found_, nms_workspace_, wanted_;
  std::vector<HeadOutput> host_;
  std::vector<char> found_host_;
  DeviceResult last_ = DeviceResult::kPredictions;
  struct Replay {
    bool warm = false;  // has run once
    std::unique_ptr<DeviceGraph> graph;
  };
  Replay replays_[2];
};

}  // namespace mtyolo::models
