#include "cli/model_tables.h"

#include "cli/backend.h"

#include "models/plan/fold.h"
#include "models/plan/plan.h"

namespace mtyolo::cli {
namespace {

Json shape_json(const Shape& shape) {
  Json sides = Json::array();
  for (const int64_t side : shape) sides.push_back(side);
  return sides;
}

// [1, rows of all levels, 5 + nc]
Shape prediction_shape(const models::Head& head, const std::vector<Shape>& shapes) {
  int64_t rows = 0;
  for (const int id : head.decode) rows += shapes[size_t(id)][1];
  return {1, rows, head.nc() + 5};
}

std::string describe(const ops::Conv2d& p, int from, int to) {
  std::string text = fmt::format("{}x{} s{} {}->{}", p.kernel_h, p.kernel_w, p.stride_h, from, to);
  if (p.groups != 1) text += fmt::format(" g{}", p.groups);
  return text;
}

}  // namespace

std::vector<LayerFacts> layer_facts(const models::Graph& graph, int size) {
  const std::vector<Shape> shapes = models::infer_shapes(graph, 1, size, size);
  std::vector<LayerFacts> layers;
  size_t head = 0;
  for (const models::RowInfo& row : graph.rows) {
    LayerFacts f{row.index, row.from, row.repeats, row.parameters, row.module, row.head, {}};
    f.output =
        row.output >= 0 ? shapes[size_t(row.output)] : prediction_shape(graph.heads.at(head++), shapes);
    layers.push_back(std::move(f));
  }
  return layers;
}

std::string layers_text(const std::vector<LayerFacts>& layers) {
  std::string text =
      fmt::format("{:>4} {:>20} {:>3} {:>10}  {:14} {}\n", "i", "from", "n", "params", "module", "output");
  for (const LayerFacts& f : layers)
    text += fmt::format("{:>4} {:>20} {:>3} {:>10}  {:14} {}\n", f.index,
                        fmt::format("{}", fmt::join(f.from, ",")), f.repeats, f.parameters,
                        f.head.empty() ? f.module : f.module + " " + f.head, f.output);
  return text;
}

Json layers_json(const std::vector<LayerFacts>& layers) {
  Json list = Json::array();
  for (const LayerFacts& f : layers)
    list.push_back({{"i", f.index},
                    {"from", f.from},
                    {"n", f.repeats},
                    {"params", f.parameters},
                    {"module", f.module},
                    {"head", f.head.empty() ? Json() : Json(f.head)},
                    {"output", shape_json(f.output)}});
  return list;
}

WorkFacts work_facts(const models::Model& model, int size) {
  constexpr double kGiga = 1e9;
  WorkFacts work;
  work.built = models::conv_flops(model.graph, 1, size, size) / kGiga;
  const models::FoldedGraph folded = models::fold_graph(model.graph);
  work.fused = models::conv_flops(folded.graph, 1, size, size) / kGiga;
  for (const models::GraphNode& node : folded.graph.nodes)
    if (const auto* p = std::get_if<ops::Conv2d>(&node.attrs)) {
      const int64_t inputs = folded.graph.nodes[size_t(node.inputs[0])].channels / p->groups;
      work.fused_parameters += node.channels * (inputs * p->kernel_h * p->kernel_w + 1);
    }
  return work;
}

MemoryFacts memory_facts(const models::Model& model, int size, const CommonOptions& common) {
  Context ctx = make_context(common);
  const bool allow_fast_forms = make_inference_impls(common).forced("conv2d") != "cpu.igemm";
  const auto network = models::Network::build(ctx, model.graph, model.weights, allow_fast_forms);
  const models::Plan plan(network, 1, size, size);
  MemoryFacts m;
  m.weights = network->weight_bytes();
  m.arena = plan.arena_bytes();
  m.without_sharing = plan.sum_of_maps_bytes();
  m.image = sizeof(float) * size_t(model.cfg.channels) * size_t(size) * size_t(size);
  const std::vector<Shape> shapes = models::infer_shapes(model.graph, 1, size, size);
  for (const models::Head& head : model.graph.heads)
    m.predictions += sizeof(float) * size_t(prediction_shape(head, shapes).numel());
  return m;
}

std::string memory_text(const MemoryFacts& m, int size) {
  return fmt::format(
      "memory for one image at {}x{}\n  weights, packed     {}\n  arena of the maps   {} ({} without "
      "sharing)\n"
      "  image               {}\n  predictions         {}\n  peak, estimated     {} and the program itself\n",
      size, size, human_bytes(m.weights), human_bytes(m.arena), human_bytes(m.without_sharing),
      human_bytes(m.image), human_bytes(m.predictions), human_bytes(m.peak()));
}

Json memory_json(const MemoryFacts& m) {
  return {{"weights_bytes", m.weights},
          {"arena_bytes", m.arena},
          {"arena_without_sharing_bytes", m.without_sharing},
          {"image_bytes", m.image},
          {"predictions_bytes", m.predictions},
          {"peak_bytes", m.peak()}};
}

// What the plan runs a convolution with (models/plan/detector.h): "blocked.winograd.avx512".
std::string plan_kernel(const ops::Conv2d& p, int in, int out, const std::string& forced,
                        ops::blocked::Element type) {
  if (!models::plan_has(forced)) return "none";
  const auto chosen = forced == "cpu.igemm" ? models::ConvForm::kDirect : models::conv_form(p, in, out, type);
  const char* form = chosen == models::ConvForm::kWinograd   ? "winograd"
                     : chosen == models::ConvForm::kStrassen ? "strassen"
                     : type == ops::blocked::Element::kBF16  ? "igemm_bf16"
                                                             : "igemm";
  return fmt::format("blocked.{}.{}", form, ops::blocked::kernels().isa);
}

// Steps of the plan of a device.
std::vector<ImplFacts> device_impl_facts(const models::Model& model, int size, const CommonOptions& common,
                                         const std::string& dtype) {
  Context ctx = make_context(common);
  const auto detector = make_detector(ctx, model.graph, model.weights, common, dtype);
  const Tensor image = Tensor::empty({1, 3, size, size});
  std::vector<ImplFacts> facts;
  for (const models::DevicePlan::StepInfo& step : detector->device_plan_for(image).steps()) {
    ImplFacts f{step.scope, step.op, step.detail, step.impl, "none", ""};
    if (step.op == "conv2d")
      f.passed_over = fmt::format("{} configurations: stand after it in the list, nothing is measured",
                                  step.other_configs);
    facts.push_back(std::move(f));
  }
  return facts;
}

std::vector<ImplFacts> impl_facts(const models::Model& model, int size, const CommonOptions& common,
                                  const std::string& dtype) {
  using Conv = ops::Conv2dForward;
  if (!common.device.empty() && common.device != "cpu") return device_impl_facts(model, size, common, dtype);
  const ops::Impls impls = make_inference_impls(common);
  const std::string forced = impls.forced(Conv::kName);
  const std::vector<Shape> shapes = models::infer_shapes(model.graph, 1, size, size);
  const std::set<int> image = models::image_values(model.graph);
  std::vector<ImplFacts> facts;
  for (const models::GraphNode& node : model.graph.nodes) {
    const auto* p = std::get_if<ops::Conv2d>(&node.attrs);
    if (p == nullptr) continue;
    const models::GraphNode& below = model.graph.nodes[size_t(node.inputs[0])];
    // The memory is never touched: implementations look at shapes and types only.
    const Tensor x = Tensor::empty(shapes[size_t(below.id)]);
    const Tensor weight =
        Tensor::empty({node.channels, below.channels / p->groups, p->kernel_h, p->kernel_w});
    const Conv::Query query{x, weight, *p};
    ImplFacts f{node.scope,
                describe(*p, below.channels, node.channels),
                fmt::format("{}", x.shape()),
                plan_kernel(*p, below.channels, node.channels, forced,
                            image.contains(below.id) ? ops::blocked::Element::kF32 : cpu_element(dtype)),
                impls.choose<Conv>(query).name,
                {}};
    for (const auto& impl : impls.all<Conv>()) {
      if (impl.name == f.unfused) continue;
      const char* reason = impl.refuses(query);
      const std::string other = forced.empty() ? "stands after it in the list" : "another one is forced";
      f.passed_over += fmt::format("{}{}: {}", f.passed_over.empty() ? "" : ", ", impl.name,
                                   reason != nullptr ? reason : other);
    }
    facts.push_back(std::move(f));
  }
  return facts;
}

std::string impls_text(const std::vector<ImplFacts>& impls) {
  std::string text = fmt::format("{:32} {:18} {:18} {:24} {:14} {}\n", "node", "convolution", "input", "plan",
                                 "un-fused", "passed over");
  for (const ImplFacts& f : impls)
    text += fmt::format("{:32} {:18} {:18} {:24} {:14} {}\n", f.node, f.what, f.input, f.plan, f.unfused,
                        f.passed_over);
  return text;
}

Json impls_json(const std::vector<ImplFacts>& impls) {
  Json list = Json::array();
  for (const ImplFacts& f : impls)
    list.push_back({{"node", f.node},
                    {"convolution", f.what},
                    {"input", f.input},
                    {"plan", f.plan},
                    {"unfused", f.unfused},
                    {"passed_over", f.passed_over}});
  return list;
}

}  // namespace mtyolo::cli
