// Runs an ONNX model with our plain ops, to compare an exported file with the native forward pass. It knows
// the operators export_onnx writes, in the forms it writes them: Add, Concat, Conv, Gather, HardSigmoid,
// LeakyRelu, MaxPool, Mul, Relu, Reshape, Resize (nearest, whole factors), Sigmoid, Slice, Transpose.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/context.h"
#include "models/export/onnx.h"
#include "models/export/onnx_file.h"
#include "ops/impls.h"

namespace mtyolo::models {

inline constexpr int64_t kMaxOnnxElements = int64_t{1} << 28;  // of one value, 1 GiB

// A checked model: every node's operator, attributes and shapes are known and fit, so running it cannot fail
// on them.
class OnnxProgram {
 public:
  // Throws Error{kModel, "onnx"} that names the node, for anything outside the operators above, shapes that
  // do not fit, values larger than kMaxOnnxElements, names used before they are made or made twice, and
  // declared outputs whose shape is another.
  explicit OnnxProgram(OnnxModel model);

  const OnnxModel& model() const { return model_; }
  int64_t elements() const;  // of the values of all nodes
  // One input of model().inputs[0].shape; the outputs in the order of model().outputs.
  std::vector<Tensor> run(Context& ctx, const ops::Impls& impls, const Tensor& images) const;

  // What the run of one node gets: its inputs, undefined where one is left out.
  struct Call {
    Context& ctx;
    const ops::Impls& impls;
    const std::vector<Tensor>& inputs;
  };
  struct Step {
    Shape shape;  // of its value
    std::function<void(const Call&, Tensor& y)> run;
  };

 private:
  void compile(const OnnxNode& node, std::map<std::string, Shape>& shapes);
  OnnxModel model_;
  std::vector<Step> steps_;  // one per node
};

struct OnnxVerification {
  double max_difference = 0;  // infinite if a value is no number
  std::string output;         // where it was found
};

// Runs the file and the compiled network on the probe image of `seed` (models/plan/probe_image.h) and returns
// the largest difference: absolute for objectness and scores, boxes as fractions of the image's longer side,
// raw logits relative to max(1, |native|). Throws Error{kVerify, "onnx_outputs"} when names or shapes of the
// file are not those of `options`.
OnnxVerification verify_onnx(Context& ctx, const std::string& path, const Graph& graph,
                             const StateDict& weights, const OnnxOptions& options, uint64_t seed = 0);

}  // namespace mtyolo::models
