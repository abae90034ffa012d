// A network as an ONNX file (conventions.md section 8): its deploy form, so plain convolutions with bias, for
// inputs of one fixed size. Everything it uses has the same meaning in the operator sets 12 to 17; IR
// version 7.
//   input   images           [N,3,H,W] f32, RGB, 0..1
//   output  grid, merged     output [N, rows*heads, 5+nc]: cx, cy, w, h in input pixels, objectness, scores
//   of all
//                            classes, 0 in the columns of classes the row's head does not own; rows of head a
//                            first
//           grid, split      output_NAME [N, rows, 5 + classes of the head] per head
//           raw              output_NAME_p3, output_NAME_p4, ... [N,A,ny,nx,5 + classes] logits per head and
//           level; a
//                            level is named after log2 of its stride
//           A network with one head leaves NAME away: output, output_p3.
//   rows    levels one after the other; inside a level anchor, grid row, grid column
//   metadata (JSON text)  names, heads {name: [class ids]}, stride, anchors (pixels per level), imgsz [H,W];
//   author
#pragma once

#include <string>
#include <vector>

#include "models/graph.h"
#include "models/weights/checkpoint.h"

namespace mtyolo::models {

struct OnnxOptions {
  enum class Decode { kGrid, kRaw };
  enum class HeadLayout { kMerged, kSplit };
  Decode decode = Decode::kGrid;
  HeadLayout head_layout = HeadLayout::kMerged;  // of the decoded form; raw maps are always apart
  int64_t batch = 1, height = 640, width = 640;
  int opset = 12;
};

inline constexpr int kMinOnnxOpset = 12, kMaxOnnxOpset = 17;

// One output of the file.
struct OnnxOutput {
  std::string name;
  Shape shape;
  int head = -1;   // index in Graph::heads, -1 = all of them
  int level = -1;  // raw maps: index of the level
};

// What a file exported with these options gives, in order. Throws Error{kUsage} for sides that do not fit the
// network, an operator set out of range or a batch below 1.
std::vector<OnnxOutput> onnx_outputs(const Graph& graph, const OnnxOptions& options);

// Class columns of a merged output: one per class id that names or heads know.
int64_t global_class_count(const Graph& graph);

// Whether this build can write ONNX (it needs the libraries onnx and protobuf).
bool onnx_is_available();

// Writes the file atomically; equal arguments give equal bytes. `names` may be empty: those of the graph.
// Throws Error{kUsage} for bad options or a build without ONNX, Error{kModel} for missing tensors and
// networks whose deploy form still has a batch norm or implicit term, Error{kRuntime} when the file cannot be
// written.
void export_onnx(const Graph& graph, const StateDict& weights, const std::vector<std::string>& names,
                 const OnnxOptions& options, const std::string& path);

}  // namespace mtyolo::models
