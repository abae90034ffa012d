#include "models/guess_cfg.h"

#include <set>

#include "core/log.h"
#include "models/graph_builder.h"
#include "models/heads.h"

namespace mtyolo::models {
namespace {

struct Fit {
  size_t matched = 0, tensors = 0;  // of the network
  std::string difference;           // the first; empty: names and shapes agree
};

Fit compare(const Graph& graph, const StateDict& weights) {
  Fit fit;
  fit.tensors = graph.params.size();
  std::set<std::string> used;
  for (const ParamInfo& param : graph.params) {
    const Tensor* t = weights.find(param.name);
    const bool counter = param.kind == ParamInfo::Kind::kBnCount;  // missing in files of old PyTorch versions
    const bool match = t == nullptr ? counter : t->shape() == param.shape || (counter && t->numel() == 1);
    used.insert(param.name);
    fit.matched += match && t != nullptr;
    if (!match && fit.difference.empty())
      fit.difference = t == nullptr
                           ? fmt::format("{} is missing", param.name)
                           : fmt::format("{} is {}, expected {}", param.name, t->shape(), param.shape);
  }
  for (const auto& [name, tensor] : weights.entries())
    if (fit.difference.empty() && !used.contains(name)) fit.difference = quoted(name) + " is not part of it";
  return fit;
}

// Whether the values can stand in a cfg as sides of anchors.
bool are_sizes(const Tensor& values) {
  constexpr float kMaxSide = 1e6f;
  for (int64_t i = 0; i < values.numel(); ++i)
    if (!(values.data<float>()[i] >= 0 && values.data<float>()[i] <= kMaxSide)) return false;
  return true;
}

}  // namespace

Cfg cfg_for_tensors(const Cfg& cfg, const StateDict& weights) {
  const std::string row = fmt::format("model.{}.", cfg.rows.back().index);
  Cfg out = cfg;
  const Tensor* grid = nullptr;
  bool split = false;
  for (const auto& [name, tensor] : weights.entries()) {
    if (without_head(name) == row + "anchor_grid") grid = &tensor;
    split |= without_head(name) != name;
  }
  if (grid != nullptr && grid->rank() == 6 &&
      grid->shape() == Shape{grid->size(0), 1, grid->size(2), 1, 1, 2} &&
      size_t(grid->size(0)) == cfg.anchors.size() && grid->size(2) >= 1 &&
      grid->size(2) <= kMaxAnchorsPerLevel) {
    const Tensor values = grid->to(DType::kF32).contiguous();
    const auto per_level = size_t(2 * grid->size(2));
    std::vector<std::vector<float>> anchors;
    for (size_t i = 0; i < cfg.anchors.size(); ++i)
      anchors.emplace_back(values.data<float>() + i * per_level, values.data<float>() + (i + 1) * per_level);
    if (are_sizes(values) && anchors != cfg.anchors) out = with_anchors(std::move(out), anchors);
  }
  const Tensor* outputs = weights.find(row + "m.0.weight");
  if (!split && outputs != nullptr && outputs->rank() == 4) {
    const auto na = int64_t(out.anchors[0].size() / 2);
    const int64_t nc = outputs->size(0) / na - 5;
    if (outputs->size(0) % na == 0 && nc >= 1 && nc <= kMaxClasses && nc != out.nc)
      out = with_classes(std::move(out), int(nc));
  }
  return out;
}

Cfg guess_cfg(const StateDict& weights) {
  std::optional<Cfg> found;
  std::vector<std::string> fitting;
  std::string closest;
  Fit best;
  for (const std::string& name : shipped_cfg_names()) {
    const Cfg cfg = cfg_for_tensors(shipped_cfg(name), weights);
    BuildOptions options;
    options.has_tensor = [&](const std::string& tensor) { return weights.contains(tensor); };
    const Fit fit = compare(build_graph(cfg, options), weights);
    if (fit.difference.empty()) {
      fitting.push_back(name);
      if (!found) found = cfg;
    } else if (closest.empty() || fit.matched * best.tensors > best.matched * fit.tensors) {
      closest = name;
      best = fit;
    }
  }
  if (!found && best.matched == 0)
    throw Error({ExitCode::kModel,
                 "no_cfg",
                 fmt::format("none of the {} tensors ({}, ...) has the name and shape of a YOLOv7's",
                             weights.size(), quoted(weights.entries().at(0).first)),
                 {},
                 {},
                 "this is another kind of model, or needs its cfg (--cfg)"});
  if (!found)
    throw Error(
        {ExitCode::kModel,
         "no_cfg",
         fmt::format(
             "the weights bring no model description and fit none of ours; the closest, {}, agrees in {} "
             "of {} tensors: {}",
             closest, best.matched, best.tensors, best.difference),
         {},
         {},
         "give the model's cfg with --cfg"});
  if (fitting.size() > 1)
    log::warning("the tensors fit {}, which differ in activations only; taking {}, choose with --cfg",
                 fmt::join(fitting, " and "), fitting[0]);
  return *found;
}

}  // namespace mtyolo::models
