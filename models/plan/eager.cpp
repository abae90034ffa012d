#include "models/plan/eager.h"

#include <algorithm>

namespace mtyolo::models {
namespace {

// Computes one node; overloads take the op.
class EagerRun {
 public:
  EagerRun(Context& ctx, const ops::Impls& impls, const StateDict& weights, const Tensor& images)
      : ctx_(ctx), impls_(impls), weights_(weights), images_(images) {}

  Tensor operator()(const GraphNode& node, const std::vector<Tensor>& in, const Shape& shape) {
    Tensor y = Tensor::empty(shape, DType::kF32, ctx_.allocator());
    std::visit([&](const auto& op) { compute(op, node, in, y); }, node.attrs);
    return y;
  }

 private:
  Tensor param(const GraphNode& node, size_t i) const {
    if (i >= node.params.size()) return {};
    const Tensor* t = weights_.find(node.params[i]);
    if (t == nullptr)
      fail(ExitCode::kModel, "missing_tensor", "the weights have no tensor {}", quoted(node.params[i]));
    return t->to(DType::kF32);
  }

  void compute(const Input&, const GraphNode&, const std::vector<Tensor>&, Tensor& y) { y = images_; }
  void compute(const ops::Conv2d& p, const GraphNode& node, const std::vector<Tensor>& in, Tensor& y) {
    ops::conv2d_forward(ctx_, impls_, in[0], param(node, 0), param(node, 1), p, y);
  }
  void compute(const ops::BatchNorm& p, const GraphNode& node, const std::vector<Tensor>& in, Tensor& y) {
    const ops::BatchNormStats stats{param(node, 0), param(node, 1), param(node, 2), param(node, 3)};
    ops::batch_norm_forward(ctx_, impls_, in[0], stats, p, y);
  }
  void compute(const ops::Activation& p, const GraphNode&, const std::vector<Tensor>& in, Tensor& y) {
    ops::activation_forward(ctx_, impls_, in[0], p, y);
  }
  void compute(const ops::MaxPool2d& p, const GraphNode&, const std::vector<Tensor>& in, Tensor& y) {
    ops::max_pool2d_forward(ctx_, impls_, in[0], p, y);
  }
  void compute(const ops::Upsample& p, const GraphNode&, const std::vector<Tensor>& in, Tensor& y) {
    ops::upsample_forward(ctx_, impls_, in[0], p, y);
  }
  void compute(const ops::Concat&, const GraphNode&, const std::vector<Tensor>& in, Tensor& y) {
    ops::concat_forward(ctx_, in, y);
  }
  void compute(const ops::Add&, const GraphNode&, const std::vector<Tensor>& in, Tensor& y) {
    ops::add_forward(ctx_, in[0], in[1], y);
  }
  void compute(const ops::ScaleShift& p, const GraphNode& node, const std::vector<Tensor>& in, Tensor& y) {
    ops::scale_shift_forward(ctx_, in[0], param(node, 0), p, y);
  }
  void compute(const ops::CrossStitch&, const GraphNode& node, const std::vector<Tensor>& in, Tensor& y) {
    ops::cross_stitch_forward(ctx_, in, param(node, 0), y);
  }
  void compute(const ops::SpaceToDepth&, const GraphNode&, const std::vector<Tensor>& in, Tensor& y) {
    ops::space_to_depth_forward(ctx_, in[0], y);
  }
  void compute(const ops::DetectDecode& p, const GraphNode&, const std::vector<Tensor>& in, Tensor& y) {
    ops::detect_decode_forward(ctx_, in[0], p, y);
  }

  Context& ctx_;
  const ops::Impls& impls_;
  const StateDict& weights_;
  const Tensor& images_;
};

std::vector<int> last_users(const Graph& graph) {
  std::vector<int> last(graph.nodes.size(), -1);
  for (const GraphNode& node : graph.nodes)
    for (int input : node.inputs) last[size_t(input)] = node.id;
  for (const Head& head : graph.heads)
    for (const auto* ids : {&head.raw, &head.decode, &head.aux_raw})
      for (int id : *ids) last[size_t(id)] = int(graph.nodes.size());
  return last;
}

}  // namespace

std::vector<Tensor> run_eagerly(Context& ctx, const ops::Impls& impls, const Graph& graph,
                                const StateDict& weights, const Tensor& images, bool keep_all) {
  const std::vector<Shape> shapes = infer_shapes(graph, images.size(0), images.size(2), images.size(3));
  const std::vector<int> last = last_users(graph);
  EagerRun run(ctx, impls, weights, images);
  std::vector<Tensor> values(graph.nodes.size());
  for (const GraphNode& node : graph.nodes) {
    std::vector<Tensor> in;
    for (int input : node.inputs) in.push_back(values[size_t(input)]);
    values[size_t(node.id)] = run(node, in, shapes[size_t(node.id)]);
    if (keep_all) continue;
    for (int input : node.inputs)
      if (last[size_t(input)] == node.id) values[size_t(input)] = Tensor();
  }
  return values;
}

std::vector<Tensor> head_predictions(const Graph& graph, const std::vector<Tensor>& values) {
  std::vector<Tensor> heads;
  for (const Head& head : graph.heads) {
    int64_t rows = 0;
    for (int id : head.decode) rows += values[size_t(id)].size(1);
    const Tensor& first = values[size_t(head.decode[0])];
    Tensor all = Tensor::empty({first.size(0), rows, first.size(2)});
    int64_t row = 0;
    for (int id : head.decode) {
      const Tensor& level = values[size_t(id)];
      all.slice(1, row, row + level.size(1)).copy_from(level);
      row += level.size(1);
    }
    heads.push_back(all);
  }
  return heads;
}

}  // namespace mtyolo::models
