// The network as a flat list of primitive ops in SSA form: every node makes one value, inputs come before
// users. Modules build, ops run: a YOLOv7 row is expanded once into these nodes; the plan compiles them.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "models/sharing.h"
#include "ops/activation.h"
#include "ops/add.h"
#include "ops/batch_norm.h"
#include "ops/concat.h"
#include "ops/conv2d.h"
#include "ops/cross_stitch.h"
#include "ops/detect_decode.h"
#include "ops/max_pool2d.h"
#include "ops/scale_shift.h"
#include "ops/space_to_depth.h"
#include "ops/upsample.h"

namespace mtyolo::models {

struct Input {  // the image batch, [N, channels, H, W], RGB 0..1
  int channels = 3;
  bool operator==(const Input&) const = default;
};

// A new op fails to compile until executor, planner and exporter handle it.
using OpAttrs = std::variant<Input, ops::Conv2d, ops::BatchNorm, ops::Activation, ops::MaxPool2d,
                             ops::Upsample, ops::Concat, ops::Add, ops::ScaleShift, ops::SpaceToDepth,
                             ops::DetectDecode, ops::CrossStitch>;

struct GraphNode {
  int id = 0;  // index in Graph::nodes
  OpAttrs attrs;
  std::vector<int> inputs;  // node ids, all smaller than id
  // Names of the tensors it uses: conv2d {weight[, bias]}, batch_norm {weight, bias, running_mean,
  // running_var}, scale_shift {implicit}, cross_stitch {weight}; others none.
  std::vector<std::string> params;
  int channels = 0;   // of its value; detect_decode: columns per row (5 + nc)
  std::string scope;  // "model.24.conv"
  int row = -1;       // cfg row
  int line = 0;       // of that row in the cfg file
};

// One tensor of the state dict, in PyTorch's order and with PyTorch's name. Rows that belong to heads follow
// the shared ones: all of the first head, then all of the second, ... up to the next cross-stitch row, whose
// units come after it in the order of heads, then the rows behind it likewise.
struct ParamInfo {
  enum class Kind {
    kConvWeight,
    kConvBias,
    kBnWeight,
    kBnBias,
    kBnMean,
    kBnVar,
    kBnCount,
    kImplicitAdd,
    kImplicitMul,
    kCrossStitch,  // [heads, channels]
    kAnchors,
    kAnchorGrid
  };
  std::string name;
  Shape shape;
  Kind kind = Kind::kConvWeight;
  bool is_buffer() const {
    return kind == Kind::kBnMean || kind == Kind::kBnVar || kind == Kind::kBnCount || kind >= Kind::kAnchors;
  }
};

// One detection head ("task"). A single-head model has one, named "all".
struct Head {
  std::string name;
  std::string type;          // "Detect", "IDetect", "IAuxDetect"
  std::vector<int> classes;  // global class ids of its class columns, in column order
  std::vector<int> raw;      // node ids of the raw maps, one per level (after implicit terms)
  std::vector<int> decode;   // node ids of the detect_decode nodes, one per level
  std::vector<int> aux_raw;  // IAuxDetect: raw maps of the auxiliary levels
  std::vector<float> strides;
  std::vector<std::vector<float>> anchors;  // per level, in pixels: w,h,w,h,...
  std::string prefix;                       // of its parameters: "model.105." or "heads.a.model.105."
  // yolov7's rule for a network with one class: the score is the objectness alone, the class column is not
  // trained. False for a one-class head beside others, whose column is a class column like any other:
  // objectness * class.
  bool score_is_objectness = false;
  int nc() const { return int(classes.size()); }
};

// One row of the cfg as built; for `info` and error messages.
struct RowInfo {
  int index = 0;
  std::vector<int> from;
  int repeats = 1;
  std::string module;
  int64_t parameters = 0;
  int output = -1;   // node id of its value before a cross-stitch unit, -1 for heads
  std::string head;  // head it belongs to, "" = shared
};

struct Graph {
  std::vector<GraphNode> nodes;
  std::vector<ParamInfo> params;
  std::vector<Head> heads;
  std::vector<RowInfo> rows;
  std::vector<std::string> names;   // class names by global id
  std::vector<Coupling> couplings;  // of soft sharing; both names are in params
  int max_stride = 32;
  int64_t parameter_count() const;  // elements of everything that is not a buffer
  const Head* find_head(const std::string& name) const;
  bool has_cross_stitch() const;
};

// Shapes of all node values for an input of [n, channels, h, w]. Throws Error that names the node's row.
std::vector<Shape> infer_shapes(const Graph& graph, int64_t n, int64_t h, int64_t w);
// 2 * multiply-adds of the convolutions for that input (graph.md section 8).
double conv_flops(const Graph& graph, int64_t n, int64_t h, int64_t w);
double conv_flops(const GraphNode& node, const std::vector<Shape>& shapes);  // 0 unless a convolution

// The graph with only the named heads, in the order given, without what only the others or the auxiliary maps
// need. Throws Error{kUsage} that names the heads there are.
Graph prune_heads(const Graph& graph, const std::vector<std::string>& names);

}  // namespace mtyolo::models
