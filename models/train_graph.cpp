#include "models/train_graph.h"

#include <algorithm>

#include "autograd/functions.h"
#include "core/profile.h"
#include "models/train_layout.h"
#include "ops/blocked/training.h"

namespace mtyolo::models {

using autograd::Gradient;
using autograd::Parameter;
using autograd::Tape;
using autograd::Var;

namespace {

// Of the alternatives of OpAttrs, for profiles.
constexpr const char* kOpNames[] = {"input",       "conv2d",         "batch_norm",    "activation",
                                    "max_pool2d",  "upsample",       "concat",        "add",
                                    "scale_shift", "space_to_depth", "detect_decode", "cross_stitch"};
static_assert(std::size(kOpNames) == std::variant_size_v<OpAttrs>);

// Blocked maps where every op knows them, unless one was forced to an implementation that does not.
bool takes_blocked(const ops::Impls& impls) {
  constexpr const char* kBlocked = "cpu.blocked";
  const char* ops[] = {
      ops::Conv2dForward::kName,         ops::Conv2dBackwardInput::kName,    ops::Conv2dBackwardWeight::kName,
      ops::BatchNormTrainForward::kName, ops::BatchNormTrainBackward::kName, ops::ActivationForward::kName,
      ops::ActivationBackward::kName,    ops::MaxPool2dForward::kName,       ops::MaxPool2dBackward::kName,
      ops::UpsampleForward::kName,       ops::UpsampleBackward::kName};
  return std::all_of(std::begin(ops), std::end(ops), [&](const char* op) {
    const auto it = impls.names().find(op);
    const std::string forced = impls.forced(op);
    return it != impls.names().end() && std::count(it->second.begin(), it->second.end(), kBlocked) > 0 &&
           (forced.empty() || forced == kBlocked);
  });
}

Tensor to_float(Context& ctx, const Tensor& images) {
  if (images.dtype() == DType::kF32) return images;
  Tensor out = Tensor::empty(images.shape(), DType::kF32, ctx.allocator());
  out.copy_from(images);
  float* values = out.data<float>();
  const int64_t image = images.numel() / images.size(0);
  ctx.pool().parallel_for(images.size(0), [&](int64_t n) {
    for (int64_t i = n * image; i < (n + 1) * image; ++i) values[i] /= 255.0f;
  });
  return out;
}

}  // namespace

struct TrainGraph::Impl {
  // The parameters and buffers of one node, in the order of GraphNode::params; null where it has none.
  struct NodeParams {
    Parameter* weight = nullptr;  // or the implicit vector
    Parameter* bias = nullptr;
    Tensor mean, var, count;
  };

  Context& ctx;
  const ops::Impls& impls;
  const Graph& graph;
  const TrainGraphOptions options;
  const TrainLayout layout;
  const bool blocked;
  std::vector<NodeParams> params;
  std::set<std::string> frozen_bn;

  // Of the last forward pass.
  Shape images;
  std::vector<Shape> shapes;
  std::vector<bool> wanted;  // by node: a trainable parameter depends on its gradient
  std::unique_ptr<Tape> tape;
  std::vector<std::vector<Var>> maps, aux_maps;  // by head and level

  Impl(Context& context, const ops::Impls& implementations, const Graph& g, autograd::ParamStore& store,
       const TrainGraphOptions& o)
      : ctx(context),
        impls(implementations),
        graph(g),
        options(o),
        layout(g, o.recompute),
        blocked(takes_blocked(implementations)) {
    if (!blocked && options.dtype != DType::kF32)
      fail(ExitCode::kUsage, "dtype",
           "--dtype bf16 goes with the implementations cpu.blocked; leave --impl out");
    for (const GraphNode& node : graph.nodes) params.push_back(params_of(node, store));
  }

  static NodeParams params_of(const GraphNode& node, autograd::ParamStore& store) {
    const auto parameter = [&](size_t i) {
      Parameter* p = store.find(node.params[i]);
      MTYOLO_CHECK(p != nullptr, "the store has no parameter {}", quoted(node.params[i]));
      return p;
    };
    const auto buffer = [&](const std::string& name) {
      autograd::Buffer* b = store.find_buffer(name);
      MTYOLO_CHECK(b != nullptr, "the store has no buffer {}", quoted(name));
      return b->value;
    };
    NodeParams p;
    if (!node.params.empty()) p.weight = parameter(0);
    if (node.params.size() > 1) p.bias = parameter(1);
    if (!std::holds_alternative<ops::BatchNorm>(node.attrs)) return p;
    p.mean = buffer(node.params[2]), p.var = buffer(node.params[3]);
    p.count = buffer(node.scope + ".num_batches_tracked");
    return p;
  }

  // Memory for values, and the pass over nodes that fills it.
  struct Values {
    std::vector<Var> vars;        // by value
    std::vector<Tensor> buffers;  // of concats whose inputs are being made, by root value
    explicit Values(size_t nodes) : vars(nodes), buffers(nodes) {}
  };
  class Pass;

  std::vector<HeadMaps> forward(const Tensor& given);
  Tensor input(const Tensor& given) const;
  void find_wanted();
  void run_segment(const TrainSegment& segment, Values& values);
  Var head_map(Values& values, int raw, int anchors);
  void backward(const std::vector<HeadMaps>& gradients, bool keep);
};

// Runs the nodes of a segment. `first`: running statistics and counters move; the second time, for
// recomputation, they stay.
class TrainGraph::Impl::Pass {
 public:
  Pass(Impl& impl, Tape& tape, Values& values, bool first)
      : g_(impl), tape_(tape), values_(values), first_(first) {}

  void run(const TrainSegment& segment) {
    for (int i = segment.begin; i < segment.end; ++i) {
      if (!g_.layout.runs(i)) continue;
      const GraphNode& node = g_.graph.nodes[size_t(i)];
      const int id = g_.layout.value_of(i);
      {
        const profile::Scope scope(kOpNames[node.attrs.index()], node.scope);
        values_.vars[size_t(id)] =
            std::visit([&](const auto& op) { return compute(op, node, place(id)); }, node.attrs);
      }
      for (const int input : node.inputs) release(input, i);
    }
  }

 private:
  const Var& in(const GraphNode& node, size_t i = 0) const {
    return values_.vars[size_t(g_.layout.value_of(node.inputs[i]))];
  }
  const NodeParams& params(const GraphNode& node) const { return g_.params[size_t(node.id)]; }

  static Var var_of(const Parameter* p) {
    if (p == nullptr) return {};
    return {p->value, p->trainable ? Gradient::of_parameter(p->grad) : nullptr};
  }

  void release(int input, int user) {
    const int id = g_.layout.value_of(input);
    if (g_.layout.value(id).last_use == user) values_.vars[size_t(id)] = {};
  }

  // Where a value goes: memory of its own, or its channels of the concat that it will be a part of.
  Tensor place(int id) {
    const int root = g_.layout.root(id), first = g_.layout.channel_in_root(id);
    const Shape& shape = g_.shapes[size_t(root)];
    Tensor& buffer = values_.buffers[size_t(root)];
    if (!buffer.defined())
      buffer = g_.blocked ? Tensor::empty_blocked(shape, g_.layout.value(root).halo, g_.ctx.allocator(),
                                                  g_.options.dtype)
                          : Tensor::empty(shape, DType::kF32, g_.ctx.allocator());
    const Tensor whole = buffer;
    if (id == root) buffer = Tensor();  // the last of its parts
    return id == root ? whole : whole.slice(1, first, first + g_.shapes[size_t(id)][1]);
  }

  Var compute(const ops::Conv2d& p, const GraphNode& node, Tensor y) {
    return autograd::conv2d(tape_, in(node), var_of(params(node).weight), var_of(params(node).bias), p, y);
  }
  Var compute(const ops::BatchNorm& bn, const GraphNode& node, Tensor y) {
    const NodeParams& own = params(node);
    ops::BatchNormTrain p{.eps = bn.eps,
                          .momentum = first_ ? g_.options.bn_momentum : 0,
                          .frozen = !own.weight->trainable || g_.frozen_bn.contains(node.scope),
                          .activation = {}};
    const int id = g_.layout.value_of(node.id);
    if (id != node.id) p.activation = std::get<ops::Activation>(g_.graph.nodes[size_t(id)].attrs);
    if (first_ && !p.frozen) ++*own.count.data<int64_t>();
    return autograd::batch_norm(tape_, in(node), var_of(own.weight), var_of(own.bias), {own.mean, own.var}, p,
                                y, !g_.layout.value(id).again);
  }
  Var compute(const ops::Activation& p, const GraphNode& node, Tensor y) {
    return autograd::activation(tape_, in(node), p, y);
  }
  Var compute(const ops::MaxPool2d& p, const GraphNode& node, Tensor y) {
    return autograd::max_pool2d(tape_, in(node), p, y);
  }
  Var compute(const ops::Upsample& p, const GraphNode& node, Tensor y) {
    return autograd::upsample(tape_, in(node), p, y);
  }
  Var compute(const ops::Concat&, const GraphNode& node, Tensor y) {
    std::vector<Var> inputs;
    for (size_t i = 0; i < node.inputs.size(); ++i) inputs.push_back(in(node, i));
    return autograd::concat(tape_, inputs, y);
  }
  Var compute(const ops::Add&, const GraphNode& node, Tensor y) {
    return autograd::add(tape_, in(node, 0), in(node, 1), y);
  }
  Var compute(const ops::ScaleShift& p, const GraphNode& node, Tensor y) {
    return autograd::scale_shift(tape_, in(node), var_of(params(node).weight), p, y);
  }
  Var compute(const ops::CrossStitch&, const GraphNode& node, Tensor y) {
    std::vector<Var> inputs;
    for (size_t i = 0; i < node.inputs.size(); ++i) inputs.push_back(in(node, i));
    return autograd::cross_stitch(tape_, inputs, var_of(params(node).weight), y);
  }
  Var compute(const ops::SpaceToDepth&, const GraphNode& node, Tensor y) {
    return autograd::space_to_depth(tape_, in(node), y);
  }
  Var compute(const Input&, const GraphNode&, Tensor) { return {}; }
  Var compute(const ops::DetectDecode&, const GraphNode&, Tensor) { return {}; }

  Impl& g_;
  Tape& tape_;
  Values& values_;
  bool first_;
};

// Convolutions and space_to_depth take plain images, which have no channels to spare.
Tensor TrainGraph::Impl::input(const Tensor& given) const {
  const bool stays_plain = std::all_of(graph.nodes.begin(), graph.nodes.end(), [&](const GraphNode& node) {
    const bool reads = layout.runs(node.id) && std::count(node.inputs.begin(), node.inputs.end(), 0) > 0;
    return !reads || std::holds_alternative<ops::Conv2d>(node.attrs) ||
           std::holds_alternative<ops::SpaceToDepth>(node.attrs);
  });
  if (blocked && !stays_plain)
    return ops::blocked::to_blocked(ctx, given, layout.value(0).halo, options.dtype);
  return to_float(ctx, given);
}

void TrainGraph::Impl::find_wanted() {
  wanted.assign(graph.nodes.size(), false);
  for (const GraphNode& node : graph.nodes) {
    if (!layout.runs(node.id)) continue;
    const NodeParams& p = params[size_t(node.id)];
    bool wants = (p.weight != nullptr && p.weight->trainable) || (p.bias != nullptr && p.bias->trainable);
    for (const int input : node.inputs) wants = wants || wanted[size_t(layout.value_of(input))];
    wanted[size_t(layout.value_of(node.id))] = wants;
  }
}

// Computes a segment without keeping what its backward pass needs, and records that it is to be run again.
void TrainGraph::Impl::run_segment(const TrainSegment& segment, Values& values) {
  std::vector<std::pair<int, Var>> inputs;
  for (const int id : segment.inputs) inputs.emplace_back(id, values.vars[size_t(id)]);
  Tape silent(ctx, impls, false);
  Pass(*this, silent, values, true).run(segment);

  std::vector<std::pair<int, std::shared_ptr<Gradient>>> outputs;
  std::vector<std::shared_ptr<Gradient>> gradients;
  for (const int id : segment.outputs) {
    Var& var = values.vars[size_t(id)];
    if (!wanted[size_t(id)]) continue;
    var.grad = std::make_shared<Gradient>(var.value);
    outputs.emplace_back(id, var.grad);
    gradients.push_back(var.grad);
  }
  if (outputs.empty()) return;
  tape->record("segment", gradients, [this, &segment, inputs, outputs]() mutable {
    Tape inner(ctx, impls);
    Values again(graph.nodes.size());
    for (const auto& [id, var] : inputs) again.vars[size_t(id)] = var;
    inputs.clear();
    Pass(*this, inner, again, false).run(segment);
    for (const auto& [id, gradient] : outputs) {
      const Var var = std::exchange(again.vars[size_t(id)], {});
      if (gradient->value().defined()) var.grad->give(ctx, gradient->value(), gradient->shared());
      gradient->clear();
    }
    again.vars.clear();
    inner.backward();
  });
}

Var TrainGraph::Impl::head_map(Values& values, int raw, int anchors) {
  const Var map = std::exchange(values.vars[size_t(layout.value_of(raw))], {});
  return autograd::head_rows(*tape, map, anchors);
}

std::vector<HeadMaps> TrainGraph::Impl::forward(const Tensor& given) {
  const Shape& shape = given.shape();
  const bool right_type = given.dtype() == DType::kF32 || given.dtype() == DType::kU8;
  if (!right_type || shape.rank() != 4 || shape[1] != graph.nodes[0].channels ||
      shape[2] % graph.max_stride != 0 || shape[3] % graph.max_stride != 0 || shape.numel() == 0)
    fail(ExitCode::kUsage, "image_size",
         "training images are {}, expected [N,{},H,W] float32 or uint8 with H and W multiples of {}", given,
         graph.nodes[0].channels, graph.max_stride);
  maps.clear(), aux_maps.clear();
  tape = std::make_unique<Tape>(ctx, impls);
  if (images != shape) {
    shapes = infer_shapes(graph, shape[0], shape[2], shape[3]);
    if (images.rank() != 0) ctx.allocator()->release_cached();  // blocks of the old sizes
    images = shape;
  }
  find_wanted();
  Values values(graph.nodes.size());
  values.vars[0] = {input(given), nullptr};
  for (const TrainSegment& segment : layout.segments()) {
    if (options.recompute) run_segment(segment, values);
    else Pass(*this, *tape, values, true).run(segment);
  }

  std::vector<HeadMaps> out;
  for (const Head& head : graph.heads) {
    const int anchors = int(head.anchors[0].size() / 2);
    HeadMaps& own = out.emplace_back();
    maps.emplace_back(), aux_maps.emplace_back();
    for (const int raw : head.raw) {
      maps.back().push_back(head_map(values, raw, anchors));
      own.levels.push_back(maps.back().back().value);
    }
    for (const int raw : head.aux_raw) {
      aux_maps.back().push_back(head_map(values, raw, anchors));
      own.aux.push_back(aux_maps.back().back().value);
    }
  }
  return out;
}

void TrainGraph::Impl::backward(const std::vector<HeadMaps>& gradients, bool keep) {
  MTYOLO_CHECK(tape != nullptr, "TrainGraph: backward without a forward pass before it");
  MTYOLO_CHECK(gradients.size() == maps.size(), "TrainGraph: gradients of {} heads, expected {}",
               gradients.size(), maps.size());
  const auto give = [&](const std::vector<Tensor>& given, std::vector<Var>& vars) {
    MTYOLO_CHECK(given.empty() || given.size() == vars.size(),
                 "TrainGraph: gradients of {} maps, expected {}", given.size(), vars.size());
    for (size_t i = 0; i < given.size(); ++i)
      if (given[i].defined() && vars[i].grad != nullptr) vars[i].grad->give(ctx, given[i], true);
  };
  for (size_t h = 0; h < maps.size(); ++h) {
    give(gradients[h].levels, maps[h]);
    give(gradients[h].aux, aux_maps[h]);
  }
  if (keep) return tape->backward(true);
  maps.clear(), aux_maps.clear();
  const std::unique_ptr<Tape> recorded = std::move(tape);
  recorded->backward();
}

TrainGraph::TrainGraph(Context& ctx, const ops::Impls& impls, const Graph& graph, autograd::ParamStore& store,
                       const TrainGraphOptions& options)
    : impl_(std::make_unique<Impl>(ctx, impls, graph, store, options)) {}

TrainGraph::~TrainGraph() = default;

void TrainGraph::freeze_bn(std::set<std::string> scopes) { impl_->frozen_bn = std::move(scopes); }

std::vector<HeadMaps> TrainGraph::forward(const Tensor& images) { return impl_->forward(images); }

void TrainGraph::backward(const std::vector<HeadMaps>& gradients, bool keep) {
  impl_->backward(gradients, keep);
}

}  // namespace mtyolo::models
