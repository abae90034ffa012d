// The layers of real networks as single calls of ops: what `bench kernels` times.
#pragma once

#include <string>
#include <vector>

#include "models/graph.h"

namespace mtyolo::cli {

struct KernelCase {
  std::string op{}, network{}, shape{};  // "conv2d_forward", "yolov7", "k3s1_80x80_128_256"
  models::OpAttrs attrs{};
  ops::Activation activation{};  // in a convolution's epilogue, or behind a batch norm
  Shape x{}, y{};                // input and result of the forward op, also for a gradient
  int count = 1;                 // layers of this shape
  // Of one call: 2 per multiply-add of the definition; those of Winograd's form, where it runs; f32 elements
  // that move if no cache holds a whole map. All 0 for suppression.
  double flops = 0, form_flops = 0, bytes = 0;
  std::string name() const { return op + "/" + network + "/" + shape; }
};

// Distinct layers in the order of the graph. Forward ops are those of the deployed network (batch norms and
// implicit terms folded, no auxiliary maps); gradients and batch norms those of the network in training,
// whose parameters optimizer_step moves: gradients and momentum there, momentum back, values and averages
// twice (the CPU reads values twice, a device gradients, for their norm). Winograd's form runs forward where
// it can: op conv2d_forward; conv2d_igemm is then the direct form.
std::vector<KernelCase> kernel_workload(const std::string& network, int size, int batch);
// What no layer of a network is: a picture fitted into 640x640, suppression among 30000 drawn boxes.
std::vector<KernelCase> drawn_workload();

}  // namespace mtyolo::cli
