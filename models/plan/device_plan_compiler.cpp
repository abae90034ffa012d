// The steps of a plan on a device, from the graph.
#include <algorithm>

#include "models/plan/device_plan_compiler.h"

namespace mtyolo::models {

namespace {

constexpr int64_t kUnit = 4;  // bytes BufferLife counts

std::string sizes(const KernelMap& m) { return fmt::format("{}x{}x{}", m.c, m.h, m.w); }

}  // namespace

// Twice over the graph: the first pass finds when each buffer is alive, the second makes steps with their
// addresses.
void DevicePlan::Compiler::compile() {
  pass();
  plan_.arena_ = plan_.take(size_t(assign_offsets(plan_.buffers_) * kUnit));
  zero(*plan_.arena_);
  placed_ = true;
  plan_.runs_.clear(), plan_.step_infos_.clear(), plan_.convs_.clear();
  plan_.copied_concat_inputs_ = 0;
  pass();
}

// Channels that pad a pixel are never written; their weights are zero, so they must only be finite.
void DevicePlan::Compiler::zero(Storage& storage) const {
  const std::vector<char> zeros(storage.size_bytes());
  net_.backend().session->upload(storage.data(), zeros.data(), zeros.size());
}

void DevicePlan::Compiler::pass() {
  for (const GraphNode& node : net_.graph().nodes)
    std::visit([&](const auto& op) { emit(node, op); }, node.attrs);
}

KernelMap DevicePlan::Compiler::map(int node) {
  const int value = net_.value_of(node);
  const GraphNode& what = net_.graph().nodes[size_t(value)];
  for (const Output& out : plan_.outputs_)
    for (int l = 0; l < out.decode.level_count; ++l)
      if (out.raw_values[size_t(l)] == value) return out.decode.levels[l].raw;
  const int root = net_.places().root(value);
  const Shape& shape = plan_.shapes_[size_t(root)];
  const KernelType type = type_of(net_.math());
  KernelMap m{&unplaced_,
              type,
              int(plan_.n_),
              int(shape[2]),
              int(shape[3]),
              int(shape[1]),
              net_.stored_channels(root)};
  int& buffer = buffer_of_[size_t(root)];
  const int step = int(plan_.runs_.size());
  if (buffer < 0) {
    buffer = int(plan_.buffers_.size());
    const int64_t bytes = m.pixels() * m.pixel_stride * bytes_of(type);
    plan_.buffers_.push_back({(bytes + kUnit - 1) / kUnit, step, step, -1});
    plan_.sum_of_maps_bytes_ += size_t(bytes);
  }
  BufferLife& life = plan_.buffers_[size_t(buffer)];
  life.last_step = std::max(life.last_step, step);
  if (placed_) m.data = static_cast<char*>(plan_.arena_->data()) + life.offset * kUnit;
  return m.channels(net_.places().channel_in_root(value), what.channels);
}

void DevicePlan::Compiler::add(const GraphNode& node, const char* op, const std::string& detail, Run run) {
  plan_.step_infos_.push_back({op, node.scope, detail, fmt::format("{}.{}", kernels_.prefix(), op), 0, 0});
  plan_.runs_.push_back(std::move(run));
}

void DevicePlan::Compiler::emit(const GraphNode& node, const Input&) {
  KernelMap y = map(node.id);
  y.c = y.pixel_stride;
  plan_.input_ = y;
  if (!plan_.image_type_) return;  // written before the run
  const KernelType type = plan_.image_type_ == DType::kU8 ? KernelType::kU8 : KernelType::kF32;
  add(node, "normalise", sizes(y), [this_ = &plan_, &kernels = kernels_, type, y] {
    kernels.normalise(this_->stream(), this_->images_->data(), type, y);
  });
}

void DevicePlan::Compiler::emit(const GraphNode& node, const ops::Conv2d& p) {
  const DeviceConv* conv = net_.conv(node.id);
  if (conv == nullptr) return;  // an earlier sibling's product has it
  ConvWork work;
  ConvArgs& args = work.args;
  args.math = net_.math();
  args.x = map(node.inputs[0]);
  args.x.c = conv->in_channels * p.groups;
  args.weight = net_.weights(conv->weight);
  args.weight_stride = conv->weight_stride;
  args.kernel = p.kernel_h, args.stride = p.stride_h, args.pad = p.pad_h, args.groups = p.groups;
  args.epilogue.bias = static_cast<const float*>(net_.weights(conv->bias));
  args.epilogue.activation = conv->activation;
  if (conv->residual) args.residual = map(*conv->residual);
  args.y = map(conv->nodes[0]);
  args.y.c = 0;
  double flops = 0;
  std::string scope;
  for (const int id : conv->nodes) {
    args.y.c += map(id).c;
    scope += (scope.empty() ? "" : " + ") + net_.graph().nodes[size_t(id)].scope;
    flops += 2.0 * double(plan_.shapes_[size_t(id)].numel()) * double(p.kernel_h * p.kernel_w) *
             double(plan_.shapes_[size_t(node.inputs[0])][1] / p.groups);
  }
  if (conv->second >= 0) {
    args.upsample_second =
        !std::holds_alternative<ops::Concat>(net_.graph().nodes[size_t(conv->second)].attrs);
    args.second = map(conv->second).channels(conv->second_channel, args.y.c);
  }
  work.step = plan_.runs_.size();
  const size_t index = plan_.convs_.size();
  KernelMap shown = args.x;
  shown.c = int(plan_.shapes_[size_t(node.inputs[0])][1]);
  add(node, "conv2d", sizes(shown) + " -> " + sizes(args.y),
      [this_ = &plan_, index] { this_->run_conv(this_->convs_[index]); });
  plan_.step_infos_.back().flops = flops;
  plan_.step_infos_.back().scope = scope;
  plan_.convs_.push_back(work);
}

void DevicePlan::Compiler::emit(const GraphNode& node, const ops::Activation& p) {
  if (net_.value_of(node.inputs[0]) == net_.value_of(node.id)) return;  // in a convolution's epilogue
  const KernelMap x = map(node.inputs[0]), y = map(node.id);
  add(node, "activation", sizes(y),
      [this_ = &plan_, &kernels = kernels_, x, y, act = kernel_activation(node, p)] {
        kernels.activate(this_->stream(), act, x, y);
      });
}

void DevicePlan::Compiler::emit(const GraphNode& node, const ops::MaxPool2d& p) {
  const KernelMap x = map(node.inputs[0]), y = map(node.id);
  add(node, "max_pool2d", sizes(y), [this_ = &plan_, &kernels = kernels_, p, x, y] {
    kernels.max_pool(this_->stream(), x, p.k, p.stride, p.pad, y);
  });
}

void DevicePlan::Compiler::emit(const GraphNode& node, const ops::Upsample& p) {
  if (net_.made_by_second(node.id)) return;
  const KernelMap x = map(node.inputs[0]), y = map(node.id);
  add(node, "upsample", sizes(y), [this_ = &plan_, &kernels = kernels_, scale = p.scale, x, y] {
    kernels.upsample(this_->stream(), x, scale, y);
  });
}

void DevicePlan::Compiler::emit(const GraphNode& node, const ops::Concat&) {
  const std::vector<int>& copied = net_.places().copied_inputs(node.id);
  int channel = 0;
  for (int i = 0; i < int(node.inputs.size()); ++i) {
    const int value = net_.value_of(node.inputs[size_t(i)]);
    const int channels = net_.graph().nodes[size_t(value)].channels;
    if (std::find(copied.begin(), copied.end(), i) != copied.end() && !net_.copied_by_second(node.id, i)) {
      const KernelMap x = map(value), y = map(node.id).channels(channel, channels);
      ++plan_.copied_concat_inputs_;
      add(node, "concat", sizes(x),
          [this_ = &plan_, &kernels = kernels_, x, y] { kernels.copy_map(this_->stream(), x, y); });
    }
    channel += channels;
  }
}

void DevicePlan::Compiler::emit(const GraphNode& node, const ops::Add&) {
  for (int input : node.inputs)
    if (net_.value_of(input) == net_.value_of(node.id)) return;  // a convolution's residual
  const KernelMap a = map(node.inputs[0]), b = map(node.inputs[1]), y = map(node.id);
  add(node, "add", sizes(y),
      [this_ = &plan_, &kernels = kernels_, a, b, y] { kernels.add(this_->stream(), a, b, y); });
}

void DevicePlan::Compiler::emit(const GraphNode& node, const ops::CrossStitch&) {
  std::vector<KernelMap> x;
  for (const int input : node.inputs) x.push_back(map(input));
  add(node, "cross_stitch", sizes(x[0]),
      [this_ = &plan_, &kernels = kernels_, x, weight = net_.cross_stitch(node.id), y = map(node.id)] {
        kernels.cross_stitch(this_->stream(), x, weight, y);
      });
}

void DevicePlan::Compiler::emit(const GraphNode& node, const ops::SpaceToDepth&) {
  const KernelMap x = map(node.inputs[0]), y = map(node.id);
  add(node, "space_to_depth", sizes(y),
      [this_ = &plan_, &kernels = kernels_, x, y] { kernels.space_to_depth(this_->stream(), x, y); });
}

void DevicePlan::Compiler::refuse(const GraphNode& node, const char* what) {
  fail(ExitCode::kModel, "not_compilable", "row {} ({}): a {} cannot be compiled", node.row, node.scope,
       what);
}

}  // namespace mtyolo::models
