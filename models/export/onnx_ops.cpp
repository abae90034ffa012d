#include "models/export/onnx_ops.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "ops/activation.h"
#include "ops/conv2d.h"
#include "ops/max_pool2d.h"
#include "ops/upsample.h"

namespace mtyolo::models {
namespace {

using Step = OnnxProgram::Step;
using Call = OnnxProgram::Call;

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> text, Args&&... args) {
  fail(ExitCode::kModel, "onnx", text, std::forward<Args>(args)...);
}

// A node with typed access to its attributes and inputs.
class NodeView {
 public:
  NodeView(const OnnxNode& node, const std::vector<OnnxOperand>& inputs) : node_(node), inputs_(inputs) {}

  void takes(size_t least, size_t most, const std::set<std::string>& attributes) const {
    if (inputs_.size() < least || inputs_.size() > most)
      refuse("{} inputs, expected {} to {}", inputs_.size(), least, most);
    for (const auto& [name, value] : node_.attributes)
      if (!attributes.contains(name)) refuse("attribute {} is not known", quoted(name));
  }

  const Shape& shape(size_t i) const {
    if (i >= inputs_.size() || !inputs_[i].given) refuse("input {} is missing", i);
    return inputs_[i].shape;
  }
  // The shape of a value: f32 with at least one element.
  const Shape& data(size_t i) const {
    const Shape& s = shape(i);
    if (inputs_[i].constant != nullptr && inputs_[i].constant->dtype() != DType::kF32)
      refuse("input {} is no f32", i);
    if (std::any_of(s.begin(), s.end(), [](int64_t size) { return size < 1; }))
      refuse("input {} is empty: {}", i, s);
    return s;
  }
  std::vector<int64_t> int_list(size_t i) const {
    const Tensor& t = constant(i, DType::kI64);
    return {t.data<int64_t>(), t.data<int64_t>() + t.numel()};
  }
  std::vector<float> float_list(size_t i) const {
    const Tensor& t = constant(i, DType::kF32);
    return {t.data<float>(), t.data<float>() + t.numel()};
  }
  size_t input_count() const { return inputs_.size(); }

  // `count` whole numbers in low..65535; the same default for all where the attribute is absent.
  std::vector<int> ints(const std::string& name, size_t count, int low, int fallback) const {
    const auto it = node_.attributes.find(name);
    if (it == node_.attributes.end()) return std::vector<int>(count, fallback);
    const std::vector<int64_t>& values = it->second.ints;
    if (values.size() != count) refuse("{} has {} numbers, expected {}", quoted(name), values.size(), count);
    for (int64_t v : values)
      if (v < low || v > 65535) refuse("{} is {}, expected {} to 65535", quoted(name), v, low);
    return {values.begin(), values.end()};
  }
  std::vector<int64_t> all_ints(const std::string& name) const {
    const auto it = node_.attributes.find(name);
    if (it == node_.attributes.end()) refuse("attribute {} is missing", quoted(name));
    return it->second.ints;
  }
  // A dimension of `rank`, negative counted from the end.
  int axis(int rank, int fallback) const {
    const auto it = node_.attributes.find("axis");
    if (it != node_.attributes.end() && it->second.ints.size() != 1) refuse("axis is no number");
    return resolve_axis(it == node_.attributes.end() ? fallback : it->second.ints[0], rank);
  }
  static int resolve_axis(int64_t axis, int rank) {
    if (axis < -rank || axis >= rank) refuse("axis {} of {} dimensions", axis, rank);
    return int(axis < 0 ? axis + rank : axis);
  }
  float real(const std::string& name, float fallback) const {
    const auto it = node_.attributes.find(name);
    if (it == node_.attributes.end()) return fallback;
    if (it->second.floats.size() != 1) refuse("{} is no number", quoted(name));
    return it->second.floats[0];
  }
  void expect_text(const std::string& name, const std::string& value) const {
    const auto it = node_.attributes.find(name);
    if (it == node_.attributes.end() || it->second.text != value)
      refuse("{} is {}, expected {}", quoted(name),
             it == node_.attributes.end() ? "missing" : quoted(it->second.text), quoted(value));
  }

 private:
  const Tensor& constant(size_t i, DType type) const {
    shape(i);
    const Tensor* t = inputs_[i].constant;
    if (t == nullptr || t->dtype() != type || t->rank() != 1)
      refuse("input {} must be a constant list of {}", i, type == DType::kI64 ? "int64" : "float");
    return *t;
  }
  const OnnxNode& node_;
  const std::vector<OnnxOperand>& inputs_;
};

Step convolution(const NodeView& node) {
  node.takes(2, 3, {"kernel_shape", "strides", "pads", "dilations", "group"});
  const Shape &x = node.data(0), &weight = node.data(1);
  if (x.rank() != 4 || weight.rank() != 4)
    refuse("input {} and weight {}, expected four dimensions", x, weight);
  const auto kernel = node.ints("kernel_shape", 2, 1, 1), strides = node.ints("strides", 2, 1, 1);
  const auto pads = node.ints("pads", 4, 0, 0), dilations = node.ints("dilations", 2, 1, 1);
  if (pads[0] != pads[2] || pads[1] != pads[3]) refuse("padding differs between opposite sides");
  ops::Conv2d p{kernel[0],    kernel[1],    strides[0],
                strides[1],   pads[0],      pads[1],
                dilations[0], dilations[1], node.ints("group", 1, 1, 1)[0]};
  const bool has_bias = node.input_count() == 3;
  if (has_bias && node.data(2) != Shape{weight[0]}) refuse("bias {} for the weight {}", node.data(2), weight);
  return {ops::conv2d_shape(x, weight, p), [p, has_bias](const Call& c, Tensor& y) {
            ops::conv2d_forward(c.ctx, c.impls, c.inputs[0], c.inputs[1], has_bias ? c.inputs[2] : Tensor(),
                                p, y);
          }};
}

Step max_pool(const NodeView& node) {
  node.takes(1, 1, {"kernel_shape", "strides", "pads"});
  const auto kernel = node.ints("kernel_shape", 2, 1, 1), strides = node.ints("strides", 2, 1, 1);
  const auto pads = node.ints("pads", 4, 0, 0);
  const bool square = kernel[0] == kernel[1] && strides[0] == strides[1] &&
                      std::all_of(pads.begin(), pads.end(), [&](int v) { return v == pads[0]; });
  if (!square) refuse("a pooling window that is not square");
  const ops::MaxPool2d p{kernel[0], strides[0], pads[0]};
  return {ops::max_pool2d_shape(node.data(0), p),
          [p](const Call& c, Tensor& y) { ops::max_pool2d_forward(c.ctx, c.impls, c.inputs[0], p, y); }};
}

Step activation(const NodeView& node, ops::ActivationKind kind) {
  const bool leaky = kind == ops::ActivationKind::kLeakyRelu;
  node.takes(1, 1, leaky ? std::set<std::string>{"alpha"} : std::set<std::string>{});
  const ops::Activation p{kind, leaky ? node.real("alpha", 0.01f) : 0.0f};
  return {node.data(0),
          [p](const Call& c, Tensor& y) { ops::activation_forward(c.ctx, c.impls, c.inputs[0], p, y); }};
}

// y = max(0, min(1, alpha * x + beta))
Step hard_sigmoid(const NodeView& node) {
  node.takes(1, 1, {"alpha", "beta"});
  const float alpha = node.real("alpha", 0.2f), beta = node.real("beta", 0.5f);
  return {node.data(0), [alpha, beta](const Call& c, Tensor& y) {
            const float* x = c.inputs[0].data<float>();
            std::transform(x, x + y.numel(), y.data<float>(),
                           [&](float v) { return std::clamp(alpha * v + beta, 0.0f, 1.0f); });
          }};
}

// Two values of equal rank, or one number and a value; sides of 1 are repeated.
Step elementwise(const NodeView& node, float (*f)(float, float)) {
  node.takes(2, 2, {});
  const Shape& longer = node.data(node.data(1).rank() > node.data(0).rank() ? 1 : 0);
  Shape y = longer;
  Strides strides[2];
  for (size_t i = 0; i < 2; ++i) {
    const Shape& x = node.data(i);
    const int missing = y.rank() - x.rank();
    for (int d = 0; d < x.rank(); ++d) {
      int64_t& size = y[d + missing];
      if (size != x[d] && size != 1 && x[d] != 1)
        refuse("shapes {} and {} do not fit", node.data(0), node.data(1));
      size = std::max(size, x[d]);
    }
  }
  for (size_t i = 0; i < 2; ++i) {
    const Shape& x = node.data(i);
    const Strides own = contiguous_strides(x);
    for (int d = 0; d < y.rank(); ++d) {
      const int from = d - (y.rank() - x.rank());
      strides[i].push_back(from < 0 || x[from] == 1 ? 0 : own[from]);
    }
  }
  return {y, [f, a = strides[0], b = strides[1]](const Call& c, Tensor& out) {
            const float *pa = c.inputs[0].data<float>(), *pb = c.inputs[1].data<float>();
            float* to = out.data<float>();
            for_each_pair(out.shape(), a, b, [&](int64_t i, int64_t j) { *to++ = f(pa[i], pb[j]); });
          }};
}

Step concat(const NodeView& node) {
  node.takes(1, 4096, {"axis"});
  Shape y = node.data(0);
  const int axis = node.axis(y.rank(), 0);
  for (size_t i = 1; i < node.input_count(); ++i) {
    const Shape& x = node.data(i);
    if (x.rank() != y.rank()) refuse("inputs of {} and {} dimensions", y.rank(), x.rank());
    for (int d = 0; d < y.rank(); ++d)
      if (d != axis && x[d] != y[d]) refuse("input {} is {}, the first is {}", i, x, node.data(0));
    y[axis] += x[axis];
    if (y[axis] > kMaxOnnxElements) refuse("a side of {}", y[axis]);
  }
  return {y, [axis](const Call& c, Tensor& out) {
            int64_t at = 0;
            for (const Tensor& x : c.inputs) {
              out.slice(axis, at, at + x.size(axis)).copy_from(x);
              at += x.size(axis);
            }
          }};
}

// Copies the elements at `offset` and `strides` of the input.
Step strided_copy(const Shape& y, int64_t offset, const Strides& strides) {
  return {y, [offset, strides](const Call& c, Tensor& out) {
            const Tensor& x = c.inputs[0];
            out.copy_from(Tensor::view(x.storage(), x.offset() + offset, out.shape(), strides, DType::kF32));
          }};
}

Step slice(const NodeView& node) {
  node.takes(4, 5, {});
  const Shape& x = node.data(0);
  const auto starts = node.int_list(1), ends = node.int_list(2), axes = node.int_list(3);
  const auto steps = node.input_count() == 5 ? node.int_list(4) : std::vector<int64_t>(starts.size(), 1);
  if (starts.size() > size_t(kMaxRank) || ends.size() != starts.size() || axes.size() != starts.size() ||
      steps.size() != starts.size())
    refuse("{} starts, {} ends, {} axes and {} steps", starts.size(), ends.size(), axes.size(), steps.size());
  Shape y = x;
  Strides strides = contiguous_strides(x);
  int64_t offset = 0;
  std::set<int> seen;
  for (size_t i = 0; i < starts.size(); ++i) {
    const int axis = NodeView::resolve_axis(axes[i], x.rank());
    if (!seen.insert(axis).second) refuse("axis {} stands twice", axis);
    const auto place = [&](int64_t v) { return std::clamp<int64_t>(v < 0 ? v + x[axis] : v, 0, x[axis]); };
    const int64_t begin = place(starts[i]), end = place(ends[i]);
    if (steps[i] < 1 || steps[i] > kMaxOnnxElements || begin >= end)
      refuse("elements {} to {} in steps of {} of {}", starts[i], ends[i], steps[i], x[axis]);
    offset += begin * strides[axis];
    y[axis] = (end - begin + steps[i] - 1) / steps[i];
    strides[axis] *= steps[i];
  }
  return strided_copy(y, offset, strides);
}

Step transpose(const NodeView& node) {
  node.takes(1, 1, {"perm"});
  const Shape& x = node.data(0);
  const Strides own = contiguous_strides(x);
  const std::vector<int64_t> order = node.all_ints("perm");
  std::set<int64_t> seen;
  Shape y;
  Strides strides;
  if (int(order.size()) != x.rank()) refuse("an order of {} for {} dimensions", order.size(), x.rank());
  for (int64_t d : order) {
    if (d < 0 || d >= x.rank() || !seen.insert(d).second)
      refuse("dimension {} of {} stands wrong", d, x.rank());
    y.push_back(x[int(d)]);
    strides.push_back(own[int(d)]);
  }
  return strided_copy(y, 0, strides);
}

Step reshape(const NodeView& node) {
  node.takes(2, 2, {});
  const Shape& x = node.data(0);
  const std::vector<int64_t> asked = node.int_list(1);
  if (asked.size() > size_t(kMaxRank)) refuse("{} dimensions, the limit is {}", asked.size(), kMaxRank);
  Shape y;
  int open = -1;
  int64_t known = 1;
  for (int64_t size : asked) {
    const int d = y.rank();
    if (size == 0 && d < x.rank()) size = x[d];
    if (size == -1 && open < 0) open = d;
    else if (size < 1 || size > kMaxOnnxElements / known)
      refuse("side {} is {} for the input {}", d, size, x);
    else known *= size;
    y.push_back(size);
  }
  if (open >= 0) y[open] = x.numel() / known;
  if (y.numel() != x.numel()) refuse("{} elements as {}", x.numel(), y);
  return {y, [](const Call& c, Tensor& out) { out.copy_from(c.inputs[0].reshape(out.shape())); }};
}

Step resize(const NodeView& node) {
  node.takes(3, 3, {"mode", "coordinate_transformation_mode", "nearest_mode"});
  node.expect_text("mode", "nearest");
  node.expect_text("coordinate_transformation_mode", "asymmetric");
  node.expect_text("nearest_mode", "floor");
  const std::vector<float> scales = node.float_list(2);
  const bool whole = scales.size() == 4 && scales[0] == 1 && scales[1] == 1 && scales[2] == scales[3] &&
                     scales[2] >= 1 && scales[2] <= 64 && scales[2] == std::floor(scales[2]);
  if (!whole) refuse("scales other than 1, 1, k, k with a whole k of 1 to 64");
  const ops::Upsample p{int(scales[2])};
  return {ops::upsample_shape(node.data(0), p),
          [p](const Call& c, Tensor& y) { ops::upsample_forward(c.ctx, c.impls, c.inputs[0], p, y); }};
}

Step gather(const NodeView& node) {
  node.takes(2, 2, {"axis"});
  const Shape& x = node.data(0);
  const int axis = node.axis(x.rank(), 0);
  const std::vector<int64_t> picked = node.int_list(1);
  for (int64_t i : picked)
    if (i < 0 || i >= x[axis]) refuse("element {} of {}", i, x[axis]);
  Shape y = x;
  y[axis] = int64_t(picked.size());
  return {y, [axis, picked](const Call& c, Tensor& out) {
            for (int64_t i = 0; i < int64_t(picked.size()); ++i)
              out.slice(axis, i, i + 1)
                  .copy_from(c.inputs[0].slice(axis, picked[size_t(i)], picked[size_t(i)] + 1));
          }};
}

}  // namespace

OnnxProgram::Step compile_onnx_node(const OnnxNode& node, const std::vector<OnnxOperand>& inputs) {
  const NodeView view(node, inputs);
  if (node.op == "Add") return elementwise(view, [](float a, float b) { return a + b; });
  if (node.op == "Mul") return elementwise(view, [](float a, float b) { return a * b; });
  if (node.op == "Concat") return concat(view);
  if (node.op == "Conv") return convolution(view);
  if (node.op == "Gather") return gather(view);
  if (node.op == "HardSigmoid") return hard_sigmoid(view);
  if (node.op == "LeakyRelu") return activation(view, ops::ActivationKind::kLeakyRelu);
  if (node.op == "MaxPool") return max_pool(view);
  if (node.op == "Relu") return activation(view, ops::ActivationKind::kRelu);
  if (node.op == "Reshape") return reshape(view);
  if (node.op == "Resize") return resize(view);
  if (node.op == "Sigmoid") return activation(view, ops::ActivationKind::kSigmoid);
  if (node.op == "Slice") return slice(view);
  if (node.op == "Transpose") return transpose(view);
  refuse("the operator {} is not known", quoted(node.op));
}

}  // namespace mtyolo::models
