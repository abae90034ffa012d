#include "cli/bench_workload.h"

#include <algorithm>
#include <map>

#include "models/graph_builder.h"
#include "ops/blocked/winograd.h"

namespace mtyolo::cli {
namespace {

using models::Graph;
using models::GraphNode;

std::string map_name(const Shape& s) { return fmt::format("{}x{}_{}", s[2], s[3], s[1]); }

class Workload {
 public:
  Workload(std::string network, int size, int batch)
      : network_(std::move(network)), size_(size), batch_(batch) {}

  void add_graph(const Graph& graph, bool training) {
    const std::vector<Shape> shapes = models::infer_shapes(graph, batch_, size_, size_);
    std::map<int, ops::Activation> behind;  // by the node whose value it reads
    for (const GraphNode& node : graph.nodes)
      if (const auto* p = std::get_if<ops::Activation>(&node.attrs)) behind[node.inputs[0]] = *p;
    for (const GraphNode& node : graph.nodes) {
      if (node.inputs.empty()) continue;
      const GraphNode& source = graph.nodes[size_t(node.inputs[0])];
      KernelCase c;
      c.network = network_, c.attrs = node.attrs;
      c.x = shapes[size_t(source.id)], c.y = shapes[size_t(node.id)];
      if (behind.contains(node.id)) c.activation = behind[node.id];
      if (training) add_training(c, is_image(graph, source));
      else if (std::holds_alternative<ops::Concat>(node.attrs))
        for (const int input : node.inputs) add_copy(c, shapes[size_t(input)]);
      else add_forward(c);
    }
  }

  std::vector<KernelCase> cases;

 private:
  // Nobody asks for the gradient of these.
  static bool is_image(const Graph& graph, const GraphNode& node) {
    if (std::holds_alternative<ops::SpaceToDepth>(node.attrs))
      return is_image(graph, graph.nodes[size_t(node.inputs[0])]);
    return std::holds_alternative<models::Input>(node.attrs);
  }

  void add(KernelCase c, const std::string& op, const std::string& shape, double elements) {
    c.op = op;
    c.shape = batch_ == 1 ? shape : fmt::format("{}_b{}", shape, batch_);
    c.bytes = elements * double(sizeof(float));
    const auto known = std::find_if(cases.begin(), cases.end(),
                                    [&](const KernelCase& k) { return k.op == c.op && k.shape == c.shape; });
    if (known == cases.end()) cases.push_back(std::move(c));
    else ++known->count;
  }

  static std::string conv_name(const KernelCase& c, const ops::Conv2d& p) {
    return fmt::format("k{}s{}_{}_{}", p.kernel_h, p.stride_h, map_name(c.x), c.y[1]);
  }
  static double weights(const KernelCase& c, const ops::Conv2d& p) {
    return double(c.y[1] * (c.x[1] / p.groups)) * p.kernel_h * p.kernel_w;
  }
  static void count_flops(KernelCase& c, const ops::Conv2d& p) {
    const int in = int(c.x[1]), out = int(c.y[1]);
    c.flops = c.form_flops = 2.0 * weights(c, p) * double(c.y.numel() / c.y[1]);
    if (ops::blocked::winograd_refuses(p, in, out) != nullptr) return;
    const auto form = ops::blocked::winograd_form(in, out, p.stride_h);
    const bool f2 = form == ops::blocked::WinogradForm::kF2;
    c.form_flops *= p.stride_h == 2 ? 25.0 / 36 : f2 ? 16.0 / 36 : 36.0 / 144;
  }

  void add_forward(KernelCase c) {
    const double map = double(c.x.numel()), both = map + double(c.y.numel());
    if (const auto* p = std::get_if<ops::Conv2d>(&c.attrs)) {
      count_flops(c, *p);
      add(c, "conv2d_forward", conv_name(c, *p), both + weights(c, *p));
      if (c.form_flops == c.flops) return;
      c.form_flops = c.flops;
      add(c, "conv2d_igemm", conv_name(c, *p), both + weights(c, *p));
    } else if (const auto* pool = std::get_if<ops::MaxPool2d>(&c.attrs)) {
      add(c, "max_pool_forward", fmt::format("k{}s{}_{}", pool->k, pool->stride, map_name(c.x)), both);
    } else if (std::holds_alternative<ops::Upsample>(c.attrs)) {
      add(c, "upsample_forward", map_name(c.x), both);
    } else if (std::holds_alternative<ops::SpaceToDepth>(c.attrs)) {
      add(c, "space_to_depth", map_name(c.x), both);
    } else if (std::holds_alternative<ops::DetectDecode>(c.attrs)) {
      add(c, "detect_decode", map_name(c.x), both);
    }
  }

  // What an input of a concat costs where it cannot lie in its place from the start.
  void add_copy(KernelCase c, const Shape& shape) {
    c.x = c.y = shape;
    add(c, "copy", map_name(shape), 2 * double(shape.numel()));
  }

  void add_training(KernelCase c, bool of_image) {
    const double x = double(c.x.numel()), y = double(c.y.numel());
    if (const auto* p = std::get_if<ops::Conv2d>(&c.attrs)) {
      count_flops(c, *p);
      if (p->stride_h == 2) c.form_flops = c.flops;
      if (!of_image) add(c, "conv2d_dgrad", conv_name(c, *p), x + y + weights(c, *p));
      add(c, "conv2d_wgrad", conv_name(c, *p), x + y + weights(c, *p));
    } else if (std::holds_alternative<ops::BatchNorm>(c.attrs)) {
      const std::string shape = fmt::format("{}_{}", ops::name(c.activation.kind), map_name(c.x));
      add(c, "batch_norm_forward", shape, 3 * x);   // moments; values there and back
      add(c, "batch_norm_backward", shape, 5 * x);  // two sums of two maps; the same maps there, one back
    } else if (const auto* pool = std::get_if<ops::MaxPool2d>(&c.attrs)) {
      add(c, "max_pool_backward", fmt::format("k{}s{}_{}", pool->k, pool->stride, map_name(c.x)), 2 * x + y);
    } else if (std::holds_alternative<ops::Upsample>(c.attrs)) {
      add(c, "upsample_backward", map_name(c.x), x + y);
    }
  }

  std::string network_;
  int size_, batch_;
};

}  // namespace

std::vector<KernelCase> kernel_workload(const std::string& network, int size, int batch) {
  const models::Cfg cfg = models::cfg_by_name(network);
  models::BuildOptions deployed;
  deployed.has_tensor = models::fused_form_has_tensor;
  deployed.fused = true;
  const Graph with_auxiliary = models::build_graph(cfg, deployed);
  std::vector<std::string> heads;
  for (const models::Head& head : with_auxiliary.heads) heads.push_back(head.name);
  Workload work(network, size, batch);
  work.add_graph(models::prune_heads(with_auxiliary, heads), false);
  const Graph training = models::build_graph(cfg);
  work.add_graph(training, true);
  KernelCase step{.op = "optimizer_step", .network = network};
  step.x = step.y = {1, training.parameter_count(), 1, 1};
  step.shape = fmt::format("sgd_{}", step.x[1]);
  step.bytes = 8.0 * double(step.x.numel()) * sizeof(float);
  work.cases.push_back(std::move(step));
  return work.cases;
}

std::vector<KernelCase> drawn_workload() {
  KernelCase picture{.op = "letterbox", .network = "drawn", .shape = "1280x720_640x640"};
  picture.x = {1, 3, 720, 1280}, picture.y = {1, 3, 640, 640};
  picture.bytes = double(picture.x.numel() + picture.y.numel());
  KernelCase boxes{.op = "nms", .network = "drawn", .shape = "30000_80"};
  boxes.attrs = ops::DetectDecode{8, {10, 13, 16, 30, 33, 23}};
  boxes.x = {1, 255, 100, 100}, boxes.y = {1, 30000, 85};
  return {picture, boxes};
}

}  // namespace mtyolo::cli
