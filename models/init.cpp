#include "models/init.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"

namespace mtyolo::models {
namespace {

constexpr uint32_t kInitStream = 0x696e6974;  // "init"

// FNV-1a, so that a tensor's numbers depend on its name only.
uint64_t hash(const std::string& name) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

// U(-b, b) with b = 1 / sqrt(fan_in), the fan-in being that of the layer's weight [O, I/groups, kh, kw].
Tensor uniform(const ParamInfo& param, const Shape& weight, uint64_t seed) {
  const double bound = 1 / std::sqrt(double(weight[1] * weight[2] * weight[3]));
  RandomStream random(seed, kInitStream, hash(param.name));
  Tensor t = Tensor::empty(param.shape);
  float* values = t.data<float>();
  for (int64_t i = 0; i < t.numel(); ++i) values[i] = float(random.uniform(-bound, bound));
  return t;
}

Tensor normal(const ParamInfo& param, double mean, uint64_t seed) {
  constexpr double kDeviation = 0.02;
  RandomStream random(seed, kInitStream, hash(param.name));
  Tensor t = Tensor::empty(param.shape);
  float* values = t.data<float>();
  for (int64_t i = 0; i < t.numel(); ++i) values[i] = float(mean + kDeviation * random.normal());
  return t;
}

const Head* head_of(const Graph& graph, const std::string& name) {
  for (const Head& head : graph.heads)
    if (name.starts_with(head.prefix)) return &head;
  return nullptr;
}

// graph.md 2.5: about 8 objects in 640 x 640 pixels, and classes equally likely.
void add_bias_prior(Tensor& bias, const Head& head, size_t level) {
  const double cells = 640.0 / double(head.strides[level]);
  const double objectness = std::log(8 / (cells * cells)), classes = std::log(0.6 / (head.nc() - 0.99));
  float* values = bias.data<float>();
  const int outputs = head.nc() + 5;
  for (int64_t i = 0; i < bias.numel(); ++i) {
    const auto column = int(i % outputs);
    if (column >= 4) values[i] += float(column == 4 ? objectness : classes);
  }
}

Tensor anchor_values(const Head& head, bool in_grid_units, const Shape& shape) {
  std::vector<float> values;
  for (size_t i = 0; i < head.anchors.size(); ++i)
    for (const float v : head.anchors[i]) values.push_back(in_grid_units ? v / head.strides[i] : v);
  return Tensor::from(values, shape);
}

Tensor init_tensor(const Graph& graph, const ParamInfo& param, const Shape& weight, uint64_t seed) {
  const Head* head = head_of(graph, param.name);
  switch (param.kind) {
    case ParamInfo::Kind::kConvWeight:
      return uniform(param, weight, seed);
    case ParamInfo::Kind::kConvBias: {
      Tensor bias = uniform(param, weight, seed);
      for (size_t i = 0; head != nullptr && i < head->strides.size(); ++i)
        for (const char* list : {"m", "m2"})
          if (param.name == head->prefix + fmt::format("{}.{}.bias", list, i)) add_bias_prior(bias, *head, i);
      return bias;
    }
    case ParamInfo::Kind::kBnWeight:
      return Tensor::full(param.shape, 1);
    case ParamInfo::Kind::kBnBias:
    case ParamInfo::Kind::kBnMean:
      return Tensor::zeros(param.shape);
    case ParamInfo::Kind::kBnVar:
      return Tensor::full(param.shape, 0.9);
    case ParamInfo::Kind::kBnCount:
      return Tensor::full(param.shape, 1, DType::kI64);
    case ParamInfo::Kind::kImplicitAdd:
      return normal(param, 0, seed);
    case ParamInfo::Kind::kImplicitMul:
      return normal(param, 1, seed);
    case ParamInfo::Kind::kCrossStitch:
      return cross_stitch_identity(graph, param);
    case ParamInfo::Kind::kAnchors:
      return anchors_tensor(*head);
    case ParamInfo::Kind::kAnchorGrid:
      return anchor_grid_tensor(*head);
  }
  fail(ExitCode::kRuntime, "check", "unknown kind of tensor {}", int(param.kind));
}

}  // namespace

StateDict init_weights(const Graph& graph, uint64_t seed) {
  StateDict weights;
  Shape weight;  // of the convolution whose bias follows
  for (const ParamInfo& param : graph.params) {
    if (param.kind == ParamInfo::Kind::kConvWeight) weight = param.shape;
    weights.add(param.name, init_tensor(graph, param, weight, seed));
  }
  return weights;
}

Tensor cross_stitch_identity(const Graph& graph, const ParamInfo& param) {
  Tensor weight = Tensor::zeros(param.shape);
  for (size_t h = 0; h < graph.heads.size(); ++h)
    if (param.name.starts_with("heads." + graph.heads[h].name + "."))
      std::fill_n(weight.data<float>() + int64_t(h) * param.shape[1], param.shape[1], 1.0f);
  return weight;
}

Tensor anchors_tensor(const Head& head) {
  const auto levels = int64_t(head.anchors.size()), na = int64_t(head.anchors[0].size() / 2);
  return anchor_values(head, true, {levels, na, 2});
}

Tensor anchor_grid_tensor(const Head& head) {
  const auto levels = int64_t(head.anchors.size()), na = int64_t(head.anchors[0].size() / 2);
  return anchor_values(head, false, {levels, 1, na, 1, 1, 2});
}

}  // namespace mtyolo::models
