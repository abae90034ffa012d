#include "models/graph.h"

#include <algorithm>
#include <unordered_set>

#include "core/text.h"

namespace mtyolo::models {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

[[noreturn]] void fail_node(const Graph& graph, const GraphNode& node, const std::string& message,
                            const std::string& suggestion = {}) {
  std::string where = fmt::format("row {}", node.row);
  for (const RowInfo& row : graph.rows)
    if (row.index == node.row) {
      where += fmt::format(" ({})", row.module);
      break;
    }
  if (node.line > 0) where += fmt::format(", line {} of the cfg", node.line);
  throw Error({ExitCode::kUsage, "shape", message, {}, where, suggestion});
}

constexpr int64_t kMaxSide = 65'536;  // of any map; an upsampling chain of a hostile cfg would overflow
constexpr int64_t kMaxBatch = 65'536;
constexpr const char* kSideHint = "the sides of the input must be multiples of the largest stride";

class ShapeWalk {
 public:
  ShapeWalk(const Graph& graph, const Shape& input) : graph_(graph), input_(input) {}

  std::vector<Shape> run() {
    for (const GraphNode& node : graph_.nodes) shapes_.push_back(shape_of(node));
    return std::move(shapes_);
  }

 private:
  const Shape& in(const GraphNode& node, size_t i = 0) const { return shapes_[size_t(node.inputs.at(i))]; }

  // Output length of a sliding window (ops/conv2d.h, ops/max_pool2d.h).
  int64_t window(const GraphNode& node, int64_t size, int kernel, int stride, int pad, int dilation) const {
    const int64_t reach = int64_t(dilation) * (kernel - 1) + 1;
    if (size + 2 * pad < reach)
      fail_node(graph_, node, fmt::format("its input {} is smaller than its window of {}", in(node), reach),
                kSideHint);
    return (size + 2 * pad - reach) / stride + 1;
  }

  Shape with_size(const GraphNode& node, int64_t h, int64_t w) const {
    if (h > kMaxSide || w > kMaxSide)
      fail_node(graph_, node, fmt::format("its output of {} x {} pixels is larger than {}", w, h, kMaxSide));
    return {in(node)[0], node.channels, h, w};
  }

  Shape same_sizes(const GraphNode& node) const {
    for (size_t i = 1; i < node.inputs.size(); ++i)
      if (in(node, i)[2] != in(node)[2] || in(node, i)[3] != in(node)[3])
        fail_node(graph_, node,
                  fmt::format("its inputs {} and {} have different sizes", in(node), in(node, i)), kSideHint);
    return with_size(node, in(node)[2], in(node)[3]);
  }

  Shape shape_of(const GraphNode& node) const {
    return std::visit(
        Overloaded{
            [&](const Input&) { return input_; },
            [&](const ops::Conv2d& p) {
              return with_size(node, window(node, in(node)[2], p.kernel_h, p.stride_h, p.pad_h, p.dilation_h),
                               window(node, in(node)[3], p.kernel_w, p.stride_w, p.pad_w, p.dilation_w));
            },
            [&](const ops::MaxPool2d& p) {
              return with_size(node, window(node, in(node)[2], p.k, p.stride, p.pad, 1),
                               window(node, in(node)[3], p.k, p.stride, p.pad, 1));
            },
            [&](const ops::Upsample& p) {
              return with_size(node, in(node)[2] * p.scale, in(node)[3] * p.scale);
            },
            [&](const ops::SpaceToDepth&) {
              if (in(node)[2] % 2 != 0 || in(node)[3] % 2 != 0)
                fail_node(graph_, node, fmt::format("its input {} has an odd side", in(node)), kSideHint);
              return with_size(node, in(node)[2] / 2, in(node)[3] / 2);
            },
            [&](const ops::DetectDecode& p) {
              return Shape{in(node)[0], in(node)[2] * in(node)[3] * p.anchor_count(), node.channels};
            },
            [&](const auto&) {
              return same_sizes(node);
            },  // batch_norm, activation, concat, add, scale_shift, cross_stitch
        },
        node.attrs);
  }

  const Graph& graph_;
  Shape input_;
  std::vector<Shape> shapes_;
};

// Nodes that the kept heads' maps and predictions depend on.
std::vector<bool> needed_nodes(const Graph& graph, const std::vector<Head>& heads) {
  std::vector<bool> needed(graph.nodes.size());
  for (const Head& head : heads)
    for (const std::vector<int>* ids : {&head.raw, &head.decode})
      for (const int id : *ids) needed[size_t(id)] = true;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    if (std::holds_alternative<Input>(graph.nodes[i].attrs)) needed[i] = true;
    if (needed[i])
      for (const int input : graph.nodes[i].inputs) needed[size_t(input)] = true;
  }
  return needed;
}

// The tensors the kept nodes use, with the batch counters and anchors that belong to them.
std::vector<ParamInfo> needed_params(const Graph& graph, const std::vector<GraphNode>& nodes,
                                     const std::vector<Head>& heads) {
  std::unordered_set<std::string> names;
  for (const GraphNode& node : nodes)
    for (const std::string& name : node.params) {
      names.insert(name);
      if (std::holds_alternative<ops::BatchNorm>(node.attrs))
        names.insert(name.substr(0, name.rfind('.')) + ".num_batches_tracked");
    }
  for (const Head& head : heads) names.insert({head.prefix + "anchors", head.prefix + "anchor_grid"});
  std::vector<ParamInfo> params;
  for (const ParamInfo& p : graph.params)
    if (names.contains(p.name)) params.push_back(p);
  return params;
}

}  // namespace

int64_t Graph::parameter_count() const {
  int64_t count = 0;
  for (const ParamInfo& p : params)
    if (!p.is_buffer()) count += p.shape.numel();
  return count;
}

const Head* Graph::find_head(const std::string& name) const {
  for (const Head& head : heads)
    if (head.name == name) return &head;
  return nullptr;
}

bool Graph::has_cross_stitch() const {
  return std::any_of(nodes.begin(), nodes.end(), [](const GraphNode& node) {
    return std::holds_alternative<ops::CrossStitch>(node.attrs);
  });
}

std::vector<Shape> infer_shapes(const Graph& graph, int64_t n, int64_t h, int64_t w) {
  if (n < 1 || h < 1 || w < 1 || n > kMaxBatch || h > kMaxSide || w > kMaxSide)
    fail(ExitCode::kUsage, "shape", "an input of {} images of {} x {} pixels", n, w, h);
  int channels = 3;
  for (const GraphNode& node : graph.nodes)
    if (const Input* input = std::get_if<Input>(&node.attrs)) channels = input->channels;
  return ShapeWalk(graph, {n, channels, h, w}).run();
}

double conv_flops(const GraphNode& node, const std::vector<Shape>& shapes) {
  const auto* p = std::get_if<ops::Conv2d>(&node.attrs);
  if (p == nullptr) return 0;
  const int64_t inputs = shapes[size_t(node.inputs[0])][1] / p->groups;
  return 2.0 * double(shapes[size_t(node.id)].numel()) * double(inputs * p->kernel_h * p->kernel_w);
}

double conv_flops(const Graph& graph, int64_t n, int64_t h, int64_t w) {
  const std::vector<Shape> shapes = infer_shapes(graph, n, h, w);
  double flops = 0;
  for (const GraphNode& node : graph.nodes) flops += conv_flops(node, shapes);
  return flops;
}

Graph prune_heads(const Graph& graph, const std::vector<std::string>& names) {
  Graph out;
  out.names = graph.names;
  for (const std::string& name : names) {
    const Head* head = graph.find_head(name);
    if (head == nullptr) {
      std::vector<std::string> known;
      for (const Head& h : graph.heads) known.push_back(h.name);
      fail(ExitCode::kUsage, "head", "no head named {}{}; the model has {}", quoted(name),
           did_you_mean(name, known), fmt::join(known, ", "));
    }
    if (out.find_head(name) == nullptr) out.heads.push_back(*head);
  }
  const std::vector<bool> needed = needed_nodes(graph, out.heads);
  std::vector<int> new_id(graph.nodes.size(), -1);
  for (const GraphNode& node : graph.nodes) {
    if (!needed[size_t(node.id)]) continue;
    GraphNode copy = node;
    new_id[size_t(node.id)] = copy.id = int(out.nodes.size());
    for (int& input : copy.inputs) input = new_id[size_t(input)];
    out.nodes.push_back(std::move(copy));
  }
  float max_stride = 1;
  for (Head& head : out.heads) {
    head.aux_raw.clear();
    for (std::vector<int>* ids : {&head.raw, &head.decode})
      for (int& id : *ids) id = new_id[size_t(id)];
    for (const float s : head.strides) max_stride = std::max(max_stride, s);
  }
  out.max_stride = int(max_stride);
  out.params = needed_params(graph, out.nodes, out.heads);
  std::unordered_set<std::string> left;
  for (const ParamInfo& p : out.params) left.insert(p.name);
  for (const Coupling& c : graph.couplings)
    if (left.contains(c.first) && left.contains(c.second)) out.couplings.push_back(c);
  for (RowInfo row : graph.rows) {
    const bool has_value = row.output >= 0;
    if (has_value) row.output = new_id[size_t(row.output)];
    // Cross-stitch units read rows of heads that are gone.
    const bool kept =
        row.head.empty() || out.find_head(row.head) != nullptr || (has_value && row.output >= 0);
    if (kept) out.rows.push_back(std::move(row));
  }
  return out;
}

}  // namespace mtyolo::models
