#include "models/plan/plan.h"

#include <algorithm>
#include <chrono>

#include "core/profile.h"
#include "models/plan/plan_compiler.h"
#include "ops/blocked/conv2d_chain.h"

namespace mtyolo::models {

namespace blocked = ops::blocked;

namespace {

std::string sizes(const PlanValue& v) { return fmt::format("{}x{}x{}", v.channels, v.h, v.w); }

}  // namespace

// Emits the steps of one plan and notes when each buffer is alive.
class Plan::Compiler {
 public:
  Compiler(Plan& plan, PlanLayout layout) : plan_(plan), net_(*plan.network_), layout_(std::move(layout)) {
    buffer_of_.assign(net_.graph().nodes.size(), -1);
  }

  void compile() {
    for (const GraphNode& node : net_.graph().nodes)
      std::visit([&](const auto& op) { emit(node, op); }, node.attrs);
    plan_.arena_floats_ = assign_offsets(plan_.buffers_);
    for (int id = 0; id < int(buffer_of_.size()); ++id)
      if (buffer_of_[size_t(id)] >= 0)
        *places_[size_t(buffer_of_[size_t(id)])] = plan_.buffers_[size_t(buffer_of_[size_t(id)])].offset;
  }

 private:
  // A map whose arena offset is filled in after all lives are known.
  using MapIn = std::function<blocked::Map(const State&)>;

  MapIn use(int node) {
    const int id = net_.value_of(node);
    const int root = layout_.places().root(id);
    const PlanValue owner = layout_.value(root), v = layout_.value(id);
    const int step = int(plan_.runs_.size());
    int& buffer = buffer_of_[size_t(root)];
    if (buffer < 0) {
      buffer = int(plan_.buffers_.size());
      const int64_t elements =
          blocked::map_floats(int(plan_.n_), owner.channels, owner.h, owner.w, owner.halo, owner.pixel);
      const int64_t floats = owner.type == blocked::Element::kBF16 ? (elements + 1) / 2 : elements;
      plan_.buffers_.push_back({floats, step, step});
      plan_.sum_of_maps_bytes_ += size_t(floats) * sizeof(float);
      places_.push_back(std::make_shared<int64_t>(0));
    }
    plan_.buffers_[size_t(buffer)].last_step = step;
    const int n = int(plan_.n_), first = layout_.places().channel_in_root(id);
    return [place = places_[size_t(buffer)], owner, n, first, channels = v.channels](const State& state) {
      const blocked::Map map = blocked::make_map(state.arena_.data<float>() + *place, n, owner.channels,
                                                 owner.h, owner.w, owner.halo, owner.pixel, owner.type);
      return owner.pixel == blocked::kBlock ? map.channels(first, channels) : map;
    };
  }

  std::string detail(int node) const { return sizes(layout_.value(net_.value_of(node))); }

  void emit(const GraphNode& node, const Input&) {
    plan_.add_step(node, detail(node.id), [y = use(node.id)](Context& ctx, State& state) {
      blocked::pack(ctx, *state.images_, y(state));
    });
  }

  void emit(const GraphNode& node, const ops::Conv2d&) {
    if (next_of_chain(node) != nullptr) return;  // part of the next one's step
    const GraphNode* first = first_of_chain(node);
    const ConvStep& step = net_.conv(node.id);
    const int input = first != nullptr ? first->inputs[0] : node.inputs[0];
    MapIn x = use(input), y = use(node.id), residual;
    if (step.epilogue.residual) residual = use(*step.epilogue.residual);
    const auto add = [&](auto conv) {
      const std::string between = first != nullptr ? " -> " + detail(first->id) : "";
      plan_.add_step(
          node, detail(input) + between + " -> " + detail(node.id),
          [conv, activation = step.epilogue.activation, x, y, residual](Context& ctx, State& state) {
            blocked::ConvCall call{x(state), y(state), {}, activation};
            if (residual) call.residual = residual(state);
            blocked::conv2d(ctx, *conv, call);
            blocked::zero_halo(ctx, call.y);
          });
      if (first != nullptr) plan_.step_infos_.back().flops += conv_flops(*first, plan_.shapes_);
    };
    if (first != nullptr) {
      const ConvStep& before = net_.conv(first->id);
      add(std::make_shared<blocked::ConvChain>(before.direct, step.direct, before.epilogue.activation,
                                               layout_.value(net_.value_of(first->id)).type));
    } else if (step.winograd) {
      add(step.winograd);
    } else if (step.strassen) {
      add(step.strassen);
    } else {
      add(step.direct);
    }
  }

  // The first convolution and the one behind it run as one step where the map between them is large and
  // nobody else reads it.
  const GraphNode* next_of_chain(const GraphNode& node) const {
    const ConvStep& step = net_.conv(node.id);
    if (!net_.is_image(node.inputs[0]) || !step.direct || step.epilogue.residual) return nullptr;
    const int value = net_.value_of(node.id);
    const GraphNode* next = nullptr;
    for (const GraphNode& reader : net_.graph().nodes)
      for (const int input : reader.inputs) {
        if (net_.value_of(input) != value || net_.value_of(reader.id) == value) continue;
        if (next != nullptr) return nullptr;
        next = &reader;
      }
    const auto* conv = next != nullptr ? std::get_if<ops::Conv2d>(&next->attrs) : nullptr;
    return conv != nullptr && conv->stride_h >= 2 && net_.conv(next->id).direct ? next : nullptr;
  }

  const GraphNode* first_of_chain(const GraphNode& node) const {
    for (const GraphNode& before : net_.graph().nodes)
      if (std::holds_alternative<ops::Conv2d>(before.attrs) && next_of_chain(before) == &node) return &before;
    return nullptr;
  }

  void emit(const GraphNode& node, const ops::Activation& p) {
    if (net_.value_of(node.inputs[0]) == net_.value_of(node.id)) return;  // in a convolution's epilogue
    plan_.add_step(node, detail(node.id),
                   [p, x = use(node.inputs[0]), y = use(node.id)](Context& ctx, State& state) {
                     blocked::upsample(ctx, x(state), 1, y(state));
                     blocked::activate(ctx, y(state), p);
                     blocked::zero_halo(ctx, y(state));
                   });
  }

  void emit(const GraphNode& node, const ops::MaxPool2d& p) {
    plan_.add_step(node, detail(node.id),
                   [p, x = use(node.inputs[0]), y = use(node.id)](Context& ctx, State& state) {
                     blocked::max_pool2d(ctx, x(state), p, y(state));
                     blocked::zero_halo(ctx, y(state));
                   });
  }

  void emit(const GraphNode& node, const ops::Upsample& p) {
    plan_.add_step(node, detail(node.id),
                   [p, x = use(node.inputs[0]), y = use(node.id)](Context& ctx, State& state) {
                     blocked::upsample(ctx, x(state), p.scale, y(state));
                     blocked::zero_halo(ctx, y(state));
                   });
  }

  void emit(const GraphNode& node, const ops::Concat&) {
    const std::vector<int>& copied = layout_.places().copied_inputs(node.id);
    plan_.copied_concat_inputs_ += int(copied.size());
    if (copied.empty()) return;
    std::vector<std::pair<MapIn, int>> parts;  // what to copy, first channel in the result
    int channel = 0;
    for (int i = 0; i < int(node.inputs.size()); ++i) {
      if (std::find(copied.begin(), copied.end(), i) != copied.end())
        parts.emplace_back(use(node.inputs[size_t(i)]), channel);
      channel += layout_.value(net_.value_of(node.inputs[size_t(i)])).channels;
    }
    plan_.add_step(node, detail(node.id), [parts, y = use(node.id)](Context& ctx, State& state) {
      for (const auto& [x, first] : parts) {
        const blocked::Map from = x(state);
        if (first % blocked::kBlock == 0 && from.view.channels % blocked::kBlock == 0)
          blocked::upsample(ctx, from, 1, y(state).channels(first, from.view.channels));
        else blocked::copy_channels(ctx, from, y(state), first);
      }
      blocked::zero_halo(ctx, y(state));
    });
  }

  void emit(const GraphNode& node, const ops::Add&) {
    for (int input : node.inputs)
      if (net_.value_of(input) == net_.value_of(node.id)) return;  // a convolution's residual
    plan_.add_step(
        node, detail(node.id),
        [a = use(node.inputs[0]), b = use(node.inputs[1]), y = use(node.id)](Context& ctx, State& state) {
          blocked::add(ctx, a(state), b(state), y(state));
          blocked::zero_halo(ctx, y(state));
        });
  }

  void emit(const GraphNode& node, const ops::CrossStitch&) {
    std::vector<MapIn> inputs;
    for (const int input : node.inputs) inputs.push_back(use(input));
    plan_.add_step(
        node, detail(node.id),
        [inputs, weight = net_.cross_stitch(node.id), y = use(node.id)](Context& ctx, State& state) {
          std::vector<blocked::Map> x;
          for (const MapIn& input : inputs) x.push_back(input(state));
          blocked::cross_stitch(ctx, x, weight, y(state));
          blocked::zero_halo(ctx, y(state));
        });
  }

  void emit(const GraphNode& node, const ops::SpaceToDepth&) {
    plan_.add_step(node, detail(node.id),
                   [x = use(node.inputs[0]), y = use(node.id)](Context& ctx, State& state) {
                     blocked::space_to_depth(ctx, x(state), y(state));
                     blocked::zero_halo(ctx, y(state));
                   });
  }

  void emit(const GraphNode& node, const ops::DetectDecode& p) {
    const std::pair<int, int> place = find_output(node.id);
    const int head = place.first, level = place.second;
    int64_t first_row = 0;
    for (int l = 0; l < level; ++l)
      first_row += plan_.shapes_[size_t(net_.graph().heads[size_t(head)].decode[size_t(l)])][1];
    const bool keep_raw = plan_.options_.keep_raw;
    plan_.add_step(
        node, detail(node.inputs[0]),
        [p, head, level, first_row, keep_raw, x = use(node.inputs[0])](Context& ctx, State& state) {
          HeadOutput& out = state.outputs_[size_t(head)];
          blocked::detect_decode(ctx, x(state), p, out.predictions, first_row);
          if (keep_raw) blocked::unpack(ctx, x(state), out.raw[size_t(level)]);
        });
  }

  // Folding leaves neither in a graph built from YOLOv7's modules.
  void emit(const GraphNode& node, const ops::BatchNorm&) {
    refuse(node, "batch_norm that follows no convolution");
  }
  void emit(const GraphNode& node, const ops::ScaleShift&) {
    refuse(node, "implicit term beside no convolution");
  }

  [[noreturn]] void refuse(const GraphNode& node, const char* what) {
    fail(ExitCode::kModel, "not_compilable", "row {} ({}): a {} cannot be compiled", node.row, node.scope,
         what);
  }

  std::pair<int, int> find_output(int decode) const {
    const auto& heads = net_.graph().heads;
    for (size_t h = 0; h < heads.size(); ++h)
      for (size_t l = 0; l < heads[h].decode.size(); ++l)
        if (heads[h].decode[l] == decode) return {int(h), int(l)};
    fail(ExitCode::kRuntime, "check", "decode node {} belongs to no head", decode);
  }

  Plan& plan_;
  const Network& net_;
  PlanLayout layout_;
  std::vector<int> buffer_of_;                    // by root value
  std::vector<std::shared_ptr<int64_t>> places_;  // by buffer: offset in floats
};

Plan::Plan(std::shared_ptr<const Network> network, int64_t n, int64_t h, int64_t w, PlanOptions options)
    : network_(std::move(network)), n_(n), h_(h), w_(w), options_(options) {
  const int stride = network_->graph().max_stride;
  if (n < 1 || h < stride || w < stride || h % stride != 0 || w % stride != 0)
    fail(ExitCode::kUsage, "image_size",
         "the network input is {}x{}x{}, expected sides that are multiples of {}", n, h, w, stride);
  shapes_ = infer_shapes(network_->graph(), n, h, w);
  Compiler(*this, PlanLayout(*network_, shapes_)).compile();
}

void Plan::add_step(const GraphNode& node, const std::string& detail, Run run) {
  static constexpr const char* kNames[] = {"input",       "conv2d",         "batch_norm",    "activation",
                                           "max_pool2d",  "upsample",       "concat",        "add",
                                           "scale_shift", "space_to_depth", "detect_decode", "cross_stitch"};
  step_infos_.push_back({kNames[node.attrs.index()], node.scope, detail, conv_flops(node, shapes_)});
  runs_.push_back(std::move(run));
}

Plan::State Plan::make_state(Context& ctx) const {
  State state;
  state.arena_ = Tensor::empty({std::max<int64_t>(arena_floats_, 1)}, DType::kF32, ctx.allocator());
  for (const Head& head : network_->graph().heads) {
    HeadOutput out;
    int64_t rows = 0;
    for (int id : head.decode) rows += shapes_[size_t(id)][1];
    out.predictions = Tensor::empty({n_, rows, int64_t(5 + head.nc())}, DType::kF32, ctx.allocator());
    if (options_.keep_raw)
      for (int id : head.raw)
        out.raw.push_back(Tensor::empty(shapes_[size_t(id)], DType::kF32, ctx.allocator()));
    state.outputs_.push_back(std::move(out));
  }
  return state;
}

void Plan::run(Context& ctx, const Tensor& images, State& state, const StepTimer& timer) const {
  const Shape want{n_, shapes_[0][1], h_, w_};
  MTYOLO_CHECK(images.shape() == want, "plan: images are {}, expected {}", images, want);
  state.images_ = &images;
  for (size_t i = 0; i < runs_.size(); ++i) {
    const profile::Scope scope(step_infos_[i].op, step_infos_[i].scope);
    if (!timer) {
      runs_[i](ctx, state);
      continue;
    }
    const auto begin = std::chrono::steady_clock::now();
    runs_[i](ctx, state);
    timer(i, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  state.images_ = nullptr;
}

}  // namespace mtyolo::models
