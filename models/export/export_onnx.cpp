#include <cmath>
#include <nlohmann/json.hpp>

#include "models/export/onnx.h"
#include "models/export/onnx_writer.h"
#include "models/plan/fold.h"

namespace mtyolo::models {
namespace {

using Json = nlohmann::ordered_json;
using Ints = std::vector<int64_t>;

Tensor int64s(const Ints& values) { return Tensor::from(values, {int64_t(values.size())}); }

// Writes the nodes of a folded graph; the overloads of `emit` take the op.
class OnnxEmitter {
 public:
  OnnxEmitter(const FoldedGraph& folded, const Graph& graph, const StateDict& weights,
              const OnnxOptions& options)
      : folded_(folded),
        graph_(graph),
        weights_(weights),
        shapes_(infer_shapes(graph, options.batch, options.height, options.width)),
        writer_(options.opset),
        values_(graph.nodes.size()) {}

  OnnxWriter& run(const std::vector<OnnxOutput>& outputs) {
    for (const GraphNode& node : graph_.nodes) std::visit([&](const auto& p) { emit(node, p); }, node.attrs);
    for (const OnnxOutput& output : outputs) {
      if (output.level >= 0) raw_output(output);
      else grid_output(output);
      writer_.output(output.name, output.shape);
    }
    return writer_;
  }

 private:
  const Shape& shape(int node) const { return shapes_[size_t(node)]; }
  const std::string& in(const GraphNode& node, size_t i = 0) const { return values_[size_t(node.inputs[i])]; }
  // Appends a node whose value is the graph node's.
  void set(const GraphNode& node, const std::string& op, const std::vector<std::string>& inputs,
           const std::vector<OnnxWriter::Attribute>& attributes = {}) {
    values_[size_t(node.id)] = writer_.node(op, node.scope, inputs, shape(node.id), attributes);
  }

  void emit(const GraphNode& node, const Input&) {
    values_[size_t(node.id)] = "images";
    writer_.input("images", shape(node.id));
  }

  void emit(const GraphNode& node, const ops::Conv2d& p) {
    const ops::ConvWeights w = folded_weights(folded_.recipes.at(node.id), p, weights_);
    const std::string weight = writer_.constant(node.params[0], w.weight.contiguous());
    const std::string bias = writer_.constant(node.params[1], w.bias.contiguous());
    set(node, "Conv", {in(node), weight, bias},
        {{"kernel_shape", Ints{p.kernel_h, p.kernel_w}},
         {"strides", Ints{p.stride_h, p.stride_w}},
         {"pads", Ints{p.pad_h, p.pad_w, p.pad_h, p.pad_w}},
         {"dilations", Ints{p.dilation_h, p.dilation_w}},
         {"group", int64_t(p.groups)}});
  }

  void emit(const GraphNode& node, const ops::Activation& p) {
    const auto gate = [&](const std::string& op, const std::vector<OnnxWriter::Attribute>& attributes) {
      return writer_.node(op, node.scope + ".gate", {in(node)}, shape(node.id), attributes);
    };
    switch (p.kind) {
      case ops::ActivationKind::kIdentity:
        values_[size_t(node.id)] = in(node);
        return;
      case ops::ActivationKind::kSilu:
        return set(node, "Mul", {in(node), gate("Sigmoid", {})});
      case ops::ActivationKind::kLeakyRelu:
        return set(node, "LeakyRelu", {in(node)}, {{"alpha", p.slope}});
      case ops::ActivationKind::kSigmoid:
        return set(node, "Sigmoid", {in(node)});
      case ops::ActivationKind::kRelu:
        return set(node, "Relu", {in(node)});
      case ops::ActivationKind::kHardswish:  // ONNX has HardSwish from operator set 14 on
        return set(node, "Mul", {in(node), gate("HardSigmoid", {{"alpha", 1.0f / 6}, {"beta", 0.5f}})});
    }
    fail(ExitCode::kRuntime, "check", "activation: unknown kind {}", int(p.kind));
  }

  void emit(const GraphNode& node, const ops::MaxPool2d& p) {
    set(node, "MaxPool", {in(node)},
        {{"kernel_shape", Ints{p.k, p.k}}, {"strides", Ints{p.stride, p.stride}}, {"pads", Ints(4, p.pad)}});
  }

  // Asymmetric with floor is y[i] = x[i / scale] exactly. The region is not used in this mode, but operator
  // set 12 demands one.
  void emit(const GraphNode& node, const ops::Upsample& p) {
    const auto scale = float(p.scale);
    const Tensor region = Tensor::from(std::vector<float>{0, 0, 0, 0, 1, 1, 1, 1}, {8});
    const Tensor scales = Tensor::from(std::vector<float>{1, 1, scale, scale}, {4});
    set(node, "Resize",
        {in(node), writer_.constant(node.scope + ".region", region),
         writer_.constant(node.scope + ".scales", scales)},
        {{"mode", std::string("nearest")},
         {"coordinate_transformation_mode", std::string("asymmetric")},
         {"nearest_mode", std::string("floor")}});
  }

  void emit(const GraphNode& node, const ops::Concat&) {
    std::vector<std::string> inputs;
    for (size_t i = 0; i < node.inputs.size(); ++i) inputs.push_back(in(node, i));
    set(node, "Concat", inputs, {{"axis", int64_t(1)}});
  }

  void emit(const GraphNode& node, const ops::Add&) { set(node, "Add", {in(node, 0), in(node, 1)}); }

  void emit(const GraphNode& node, const ops::CrossStitch&) {
    const Tensor* weight = weights_.find(node.params[0]);
    if (weight == nullptr)
      fail(ExitCode::kModel, "missing_tensor", "the weights have no tensor {}", quoted(node.params[0]));
    const Tensor rows = weight->to(DType::kF32);
    std::string sum;
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const std::string name = fmt::format("{}.{}", node.scope, k);
      const Tensor row = rows.slice(0, int64_t(k), int64_t(k) + 1).reshape({1, rows.size(1), 1, 1});
      const std::string term = writer_.node(
          "Mul", name, {in(node, k), writer_.constant(name + ".weight", row.contiguous())}, shape(node.id));
      sum = k == 0 ? term : writer_.node("Add", name + ".sum", {sum, term}, shape(node.id));
    }
    values_[size_t(node.id)] = sum;
  }

  // Every second row and column from (row, column), in the block order of ops/space_to_depth.h.
  void emit(const GraphNode& node, const ops::SpaceToDepth&) {
    const Shape& x = shape(node.inputs[0]);
    const std::string ends = writer_.constant(node.scope + ".ends", int64s({x[2], x[3]}));
    const std::string axes = writer_.constant(node.scope + ".axes", int64s({2, 3}));
    const std::string steps = writer_.constant(node.scope + ".steps", int64s({2, 2}));
    std::vector<std::string> blocks;
    for (int block = 0; block < 4; ++block) {
      const std::string name = fmt::format("{}.block{}", node.scope, block);
      const std::string starts = writer_.constant(name + ".starts", int64s({block % 2, block / 2}));
      blocks.push_back(writer_.node("Slice", name, {in(node), starts, ends, axes, steps},
                                    {x[0], x[1], x[2] / 2, x[3] / 2}));
    }
    set(node, "Concat", blocks, {{"axis", int64_t(1)}});
  }

  void emit(const GraphNode&, const ops::DetectDecode&) {}  // heads are written as the outputs need them

  // Folding leaves neither in a graph built from YOLOv7's modules.
  void emit(const GraphNode& node, const ops::BatchNorm&) {
    refuse(node, "batch norm that follows no convolution");
  }
  void emit(const GraphNode& node, const ops::ScaleShift&) {
    refuse(node, "implicit term beside no convolution");
  }

  [[noreturn]] void refuse(const GraphNode& node, const char* what) {
    fail(ExitCode::kModel, "not_exportable", "row {} ({}): a {} cannot be exported", node.row, node.scope,
         what);
  }

  void raw_output(const OnnxOutput& output) {
    const int raw = graph_.heads[size_t(output.head)].raw[size_t(output.level)];
    const Shape& s = output.shape;  // N, A, ny, nx, columns
    const std::string dims = writer_.constant(output.name + ".shape", int64s({s[0], s[1], s[4], s[2], s[3]}));
    const std::string apart = writer_.node("Reshape", output.name + ".anchors", {values_[size_t(raw)], dims},
                                           {s[0], s[1], s[4], s[2], s[3]});
    writer_.node("Transpose", output.name, {apart}, s, {{"perm", Ints{0, 1, 3, 4, 2}}});
  }

  void grid_output(const OnnxOutput& output) {
    std::vector<std::string> levels;
    for (int h = 0; h < int(graph_.heads.size()); ++h) {
      if (output.head >= 0 && output.head != h) continue;
      for (size_t level = 0; level < graph_.heads[size_t(h)].raw.size(); ++level)
        levels.push_back(decoded_level(graph_.heads[size_t(h)], level, output.head < 0));
    }
    writer_.node("Concat", output.name, levels, output.shape, {{"axis", int64_t(1)}});
  }

  std::string decoded_level(const Head& head, size_t level, bool all_classes);
  std::string slice_columns(const std::string& x, const std::string& name, Shape s, int64_t begin,
                            int64_t end);
  std::string spread_classes(const Head& head, const std::string& prefix, std::vector<std::string> parts,
                             Shape s);

  const FoldedGraph& folded_;
  const Graph& graph_;
  const StateDict& weights_;
  std::vector<Shape> shapes_;
  OnnxWriter writer_;
  std::vector<std::string> values_;  // by node
};

// x[:, :, begin:end, :] of x with shape `s`.
std::string OnnxEmitter::slice_columns(const std::string& x, const std::string& name, Shape s, int64_t begin,
                                       int64_t end) {
  s[2] = end - begin;
  return writer_.node(
      "Slice", name,
      {x, writer_.constant(name + ".starts", int64s({begin})),
       writer_.constant(name + ".ends", int64s({end})), writer_.constant(name + ".axes", int64s({2}))},
      s);
}

// Offsets (grid - 0.5) * stride of the cells of an ny x nx map, [1, 1, 2, ny*nx].
Tensor cell_offsets(int64_t ny, int64_t nx, float stride) {
  Tensor t = Tensor::empty({1, 1, 2, ny * nx});
  float* x = t.data<float>();
  float* y = x + ny * nx;
  for (int64_t i = 0; i < ny; ++i)
    for (int64_t j = 0; j < nx; ++j) {
      *x++ = (float(j) - 0.5f) * stride;
      *y++ = (float(i) - 0.5f) * stride;
    }
  return t;
}

// The predictions of one level, [N, A*ny*nx, columns]. The arithmetic of eval.md section 6 runs on [N, A,
// columns, P], P = ny*nx, where rows are long; only then are columns moved last.
std::string OnnxEmitter::decoded_level(const Head& head, size_t level, bool all_classes) {
  const Shape& map = shape(head.raw[level]);
  const auto& sizes = head.anchors[level];
  const float stride = head.strides[level];
  const int64_t n = map[0], anchors = int64_t(sizes.size() / 2), pixels = map[2] * map[3],
                own = 5 + head.nc();
  const std::string prefix = fmt::format("decode.{}.p{}.", head.name, std::lround(std::log2(stride)));
  const auto named = [&](const char* name) { return prefix + name; };

  const std::string logits = values_[size_t(head.raw[level])];
  const std::string sigmoid = writer_.node("Sigmoid", named("sigmoid"), {logits}, map);
  const Shape apart{n, anchors, own, pixels};
  const std::string view = writer_.node(
      "Reshape", named("anchors"),
      {sigmoid, writer_.constant(named("anchors.shape"), int64s({n, anchors, own, pixels}))}, apart);

  const Shape pair{n, anchors, 2, pixels};
  std::string xy = slice_columns(view, named("xy"), apart, 0, 2);
  xy = writer_.node(
      "Mul", named("xy.scaled"),
      {xy, writer_.constant(named("xy.scale"), Tensor::from(std::vector<float>{2 * stride}, {1}))}, pair);
  xy = writer_.node("Add", named("xy.pixels"),
                    {xy, writer_.constant(named("xy.cells"), cell_offsets(map[2], map[3], stride))}, pair);

  std::vector<float> areas(sizes.begin(), sizes.end());
  for (float& side : areas) side *= 4;  // (2 s)^2 * anchor
  std::string wh = slice_columns(view, named("wh"), apart, 2, 4);
  wh = writer_.node("Mul", named("wh.squared"), {wh, wh}, pair);
  wh = writer_.node("Mul", named("wh.pixels"),
                    {wh, writer_.constant(named("wh.scale"), Tensor::from(areas, {1, anchors, 2, 1}))}, pair);

  const std::string scores = slice_columns(view, named("scores"), apart, 4, own);
  std::string columns;
  int64_t count = own;
  if (all_classes) {
    columns = spread_classes(head, prefix, {xy, wh, scores}, apart);
    count = 5 + global_class_count(graph_);
  } else {
    columns = writer_.node("Concat", named("columns"), {xy, wh, scores}, apart, {{"axis", int64_t(2)}});
  }
  const std::string last = writer_.node("Transpose", named("transposed"), {columns},
                                        {n, anchors, pixels, count}, {{"perm", Ints{0, 1, 3, 2}}});
  return writer_.node("Reshape", named("rows"),
                      {last, writer_.constant(named("rows.shape"), int64s({n, anchors * pixels, count}))},
                      {n, anchors * pixels, count});
}

// Joins the parts of [N, A, own columns, P] and one column of zeros, then picks the columns of all classes.
std::string OnnxEmitter::spread_classes(const Head& head, const std::string& prefix,
                                        std::vector<std::string> parts, Shape s) {
  const int64_t zero_column = s[2];
  parts.push_back(writer_.constant(prefix + "zero", Tensor::zeros({s[0], s[1], 1, s[3]})));
  s[2] = zero_column + 1;
  const std::string columns = writer_.node("Concat", prefix + "columns", parts, s, {{"axis", int64_t(2)}});
  Ints picked{0, 1, 2, 3, 4};
  picked.resize(size_t(5 + global_class_count(graph_)), zero_column);
  for (size_t i = 0; i < head.classes.size(); ++i) picked[size_t(5 + head.classes[i])] = int64_t(5 + i);
  s[2] = int64_t(picked.size());
  return writer_.node("Gather", prefix + "classes",
                      {columns, writer_.constant(prefix + "classes.ids", int64s(picked))}, s,
                      {{"axis", int64_t(2)}});
}

// Names come from files: what is no UTF-8 becomes U+FFFD.
std::string json_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void write_metadata(OnnxWriter& writer, const Graph& graph, const std::vector<std::string>& names,
                    const OnnxOptions& options) {
  Json heads = Json::object(), anchors = Json::object();
  bool equal_anchors = true;
  for (const Head& head : graph.heads) {
    heads[head.name] = head.classes;
    anchors[head.name] = head.anchors;
    equal_anchors = equal_anchors && head.anchors == graph.heads[0].anchors;
  }
  writer.metadata("author", "mtyolo");
  writer.metadata("names", json_text(names.empty() ? graph.names : names));
  writer.metadata("heads", json_text(heads));
  writer.metadata("stride", json_text(graph.heads[0].strides));
  writer.metadata("anchors", json_text(equal_anchors ? Json(graph.heads[0].anchors) : anchors));
  writer.metadata("imgsz", json_text(Json::array({options.height, options.width})));
}

}  // namespace

bool onnx_is_available() { return true; }

void export_onnx(const Graph& graph, const StateDict& weights, const std::vector<std::string>& names,
                 const OnnxOptions& options, const std::string& path) {
  if (graph.heads.empty())
    fail(ExitCode::kModel, "no_head", "the network has no detection head, so there is nothing to export");
  const std::vector<OnnxOutput> outputs = onnx_outputs(graph, options);
  const FoldedGraph folded = fold_graph(graph);
  const Graph chained = chain_pools(folded.graph);
  OnnxEmitter emitter(folded, chained, weights, options);
  OnnxWriter& writer = emitter.run(outputs);
  write_metadata(writer, graph, names, options);
  writer.save(path);
}

}  // namespace mtyolo::models
