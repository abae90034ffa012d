#include "models/train_graph.h"

namespace mtyolo::models {
namespace {

using autograd::ParamGroup;
using Kind = ParamInfo::Kind;

ParamGroup group_of(Kind kind) {
  if (kind == Kind::kConvWeight) return ParamGroup::kWeight;
  return kind == Kind::kConvBias || kind == Kind::kBnBias ? ParamGroup::kBias : ParamGroup::kNorm;
}

// The tensor of a parameter or buffer; throws Error{kModel} that names it.
const Tensor& weight_of(const StateDict& weights, const ParamInfo& param) {
  const Tensor* t = weights.find(param.name);
  if (t == nullptr)
    fail(ExitCode::kModel, "missing_tensor", "the weights have no tensor {}", quoted(param.name));
  const bool right_type = is_floating(t->dtype()) || param.kind == Kind::kBnCount;
  if (t->shape() != param.shape || !right_type)
    fail(ExitCode::kModel, "tensor_shape", "the tensor {} is {}, expected {} of a floating type",
         quoted(param.name), *t, param.shape);
  return *t;
}

Tensor copy(Context& ctx, const Tensor& t, DType type) {
  Tensor own = Tensor::empty(t.shape(), type, ctx.allocator());
  own.copy_from(t);
  return own;
}

}  // namespace

std::unique_ptr<autograd::ParamStore> make_param_store(Context& ctx, const Graph& graph,
                                                       const StateDict& weights) {
  std::vector<autograd::ParamSpec> parameters;
  std::vector<autograd::Buffer> buffers;
  for (const ParamInfo& param : graph.params) {
    const Tensor& t = weight_of(weights, param);
    if (!param.is_buffer()) parameters.push_back({param.name, group_of(param.kind), t});
    else
      buffers.push_back({param.name, copy(ctx, t, param.kind == Kind::kBnCount ? DType::kI64 : DType::kF32)});
  }
  return std::make_unique<autograd::ParamStore>(ctx, parameters, std::move(buffers));
}

StateDict state_dict_of(const Graph& graph, const autograd::ParamStore& store) {
  std::unordered_map<std::string, Tensor> by_name;
  for (const autograd::Parameter& p : store.parameters()) by_name.emplace(p.name, p.value);
  for (const autograd::Buffer& b : store.buffers()) by_name.emplace(b.name, b.value);
  StateDict out;
  for (const ParamInfo& param : graph.params) {
    const auto it = by_name.find(param.name);
    MTYOLO_CHECK(it != by_name.end(), "the store has no tensor {}", quoted(param.name));
    out.add(param.name, it->second);
  }
  return out;
}

}  // namespace mtyolo::models
