#include "models/export/onnx_run.h"

#include <algorithm>

#include "models/export/onnx_ops.h"

namespace mtyolo::models {
namespace {

void check_size(const Shape& shape) {
  int64_t elements = 1;
  for (int64_t size : shape) {
    if (size < 1 || size > kMaxOnnxElements / elements)
      fail(ExitCode::kModel, "onnx", "a value of {}, the limit is {} elements", shape, kMaxOnnxElements);
    elements *= size;
  }
}

// The same failure, told as one of the model's node.
[[noreturn]] void rethrow(const Error& e, const OnnxNode& node) {
  throw Error({ExitCode::kModel,
               "onnx",
               e.info().message,
               {},
               fmt::format("node {} ({})", quoted(node.name), quoted(node.op)),
               {}});
}

}  // namespace

OnnxProgram::OnnxProgram(OnnxModel model) : model_(std::move(model)) {
  if (model_.inputs.size() != 1)
    fail(ExitCode::kModel, "onnx", "{} inputs, expected one", model_.inputs.size());
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : model_.constants) shapes[name] = tensor.shape();
  check_size(model_.inputs[0].shape);
  shapes[model_.inputs[0].name] = model_.inputs[0].shape;
  for (const OnnxNode& node : model_.nodes) {
    try {
      compile(node, shapes);
    } catch (const Error& e) {
      rethrow(e, node);
    }
  }
  for (const OnnxValue& output : model_.outputs) {
    const auto it = shapes.find(output.name);
    if (it == shapes.end() || model_.constants.contains(output.name))
      fail(ExitCode::kModel, "onnx", "no node makes the output {}", quoted(output.name));
    if (!(it->second == output.shape))
      fail(ExitCode::kModel, "onnx", "the output {} is declared as {} and computed as {}",
           quoted(output.name), output.shape, it->second);
  }
}

void OnnxProgram::compile(const OnnxNode& node, std::map<std::string, Shape>& shapes) {
  std::vector<OnnxOperand> operands;
  for (const std::string& name : node.inputs) {
    OnnxOperand& operand = operands.emplace_back();
    if (name.empty()) continue;
    const auto it = shapes.find(name);
    if (it == shapes.end())
      fail(ExitCode::kModel, "onnx", "it reads {}, which nothing before it makes", quoted(name));
    const auto constant = model_.constants.find(name);
    operand = {true, it->second, constant == model_.constants.end() ? nullptr : &constant->second};
  }
  if (node.outputs.size() != 1 || node.outputs[0].empty())
    fail(ExitCode::kModel, "onnx", "it makes {} values, expected one", node.outputs.size());
  Step step = compile_onnx_node(node, operands);
  check_size(step.shape);
  if (!shapes.emplace(node.outputs[0], step.shape).second)
    fail(ExitCode::kModel, "onnx", "it makes {} a second time", quoted(node.outputs[0]));
  steps_.push_back(std::move(step));
}

int64_t OnnxProgram::elements() const {
  int64_t sum = 0;
  for (const Step& step : steps_) sum += step.shape.numel();
  return sum;
}

std::vector<Tensor> OnnxProgram::run(Context& ctx, const ops::Impls& impls, const Tensor& images) const {
  MTYOLO_CHECK(images.shape() == model_.inputs[0].shape, "onnx: the images are {}, the model takes {}",
               images.shape(), model_.inputs[0].shape);
  std::map<std::string, size_t> last_use;
  for (size_t i = 0; i < model_.nodes.size(); ++i)
    for (const std::string& name : model_.nodes[i].inputs) last_use[name] = i;
  for (const OnnxValue& output : model_.outputs) last_use[output.name] = model_.nodes.size();

  std::map<std::string, Tensor> values = model_.constants;
  values[model_.inputs[0].name] = images.contiguous();
  for (size_t i = 0; i < model_.nodes.size(); ++i) {
    const OnnxNode& node = model_.nodes[i];
    std::vector<Tensor> inputs;
    for (const std::string& name : node.inputs) inputs.push_back(name.empty() ? Tensor() : values.at(name));
    Tensor y = Tensor::empty(steps_[i].shape, DType::kF32, ctx.allocator());
    steps_[i].run({ctx, impls, inputs}, y);
    values[node.outputs[0]] = y;
    for (const std::string& name : node.inputs)
      if (!name.empty() && last_use[name] == i) values.erase(name);
  }
  std::vector<Tensor> outputs;
  for (const OnnxValue& output : model_.outputs) outputs.push_back(values.at(output.name));
  return outputs;
}

}  // namespace mtyolo::models
