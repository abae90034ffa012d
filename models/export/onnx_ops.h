// The operators OnnxProgram knows. Internal to models/export.
#pragma once

#include "models/export/onnx_run.h"

namespace mtyolo::models {

// An input of a node while the program is compiled; `constant` if it is an initializer.
struct OnnxOperand {
  bool given = false;
  Shape shape;
  const Tensor* constant = nullptr;
};

// Checks the node and returns how to run it. Throws Error{kModel, "onnx"} without the node's name.
OnnxProgram::Step compile_onnx_node(const OnnxNode& node, const std::vector<OnnxOperand>& inputs);

}  // namespace mtyolo::models
