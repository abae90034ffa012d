// How a network becomes the steps of a plan on a device. Internal to models/plan.
#pragma once

#include "models/plan/device_plan.h"

namespace mtyolo::models {

class DevicePlan::Compiler {
 public:
  explicit Compiler(DevicePlan& plan)
      : plan_(plan),
        net_(*plan.network_),
        kernels_(*net_.backend().kernels),
        buffer_of_(net_.graph().nodes.size(), -1) {}
  void compile();

 private:
  using Run = std::function<void()>;
  void pass();
  void zero(Storage& storage) const;
  // Where a node's value lies; in the first pass without an address. The step that comes next uses it.
  KernelMap map(int node);
  void add(const GraphNode& node, const char* op, const std::string& detail, Run run);

  void emit(const GraphNode& node, const Input&);
  void emit(const GraphNode& node, const ops::Conv2d& p);
  void emit(const GraphNode& node, const ops::Activation& p);
  void emit(const GraphNode& node, const ops::MaxPool2d& p);
  void emit(const GraphNode& node, const ops::Upsample& p);
  void emit(const GraphNode& node, const ops::Concat&);
  void emit(const GraphNode& node, const ops::Add&);
  void emit(const GraphNode& node, const ops::CrossStitch&);
  void emit(const GraphNode& node, const ops::SpaceToDepth&);
  void emit(const GraphNode&, const ops::DetectDecode&) {}  // of all levels at once, behind the steps
  // Folding leaves neither in a graph built from YOLOv7's modules.
  void emit(const GraphNode& node, const ops::BatchNorm&) {
    refuse(node, "batch_norm that follows no convolution");
  }
  void emit(const GraphNode& node, const ops::ScaleShift&) {
    refuse(node, "implicit term beside no convolution");
  }
  [[noreturn]] static void refuse(const GraphNode& node, const char* what);

  DevicePlan& plan_;
  const DeviceNetwork& net_;
  const DeviceKernels& kernels_;
  std::vector<int> buffer_of_;  // by root value
  bool placed_ = false;
  char unplaced_ = 0;  // what maps of the first pass point at
};

}  // namespace mtyolo::models
