#include "models/model.h"

#include <map>
#include <set>

#include "core/log.h"
#include "models/guess_cfg.h"
#include "models/heads.h"
#include "models/init.h"
#include "models/reshare.h"

namespace mtyolo::models {
namespace {

using Kind = ParamInfo::Kind;

bool fits(const ParamInfo& param, const Tensor& t) {
  return t.shape() == param.shape || (param.kind == Kind::kBnCount && t.numel() == 1);
}

// Tensors stay as stored, views of the mapped file where they can: a model costs no second copy in memory.
Tensor as_expected(const ParamInfo& param, const Tensor& t) {
  return t.shape() == param.shape ? t : t.reshape(param.shape);
}

// Follows from the cfg when a file lacks it.
bool may_be_missing(Kind kind) {
  return kind == Kind::kBnCount || kind == Kind::kAnchors || kind == Kind::kAnchorGrid;
}

Tensor made_up(const Graph& graph, const ParamInfo& param) {
  if (param.kind == Kind::kBnCount) return Tensor::full(param.shape, 1, DType::kI64);
  for (const Head& head : graph.heads)
    if (param.name.starts_with(head.prefix))
      return param.kind == Kind::kAnchors ? anchors_tensor(head) : anchor_grid_tensor(head);
  fail(ExitCode::kRuntime, "check", "no head owns the tensor {}", quoted(param.name));
}

void list_unused(const Graph& graph, const StateDict& source, TransferReport& report) {
  std::set<std::string> known;
  for (const ParamInfo& param : graph.params) known.insert(param.name);
  for (const auto& [name, tensor] : source.entries())
    if (!known.contains(name))
      report.skipped.push_back({name, tensor.shape(), std::nullopt, "not part of the network"});
}

[[noreturn]] void fail_tensor(const ParamInfo& param, const Tensor* found, const std::string& cfg,
                              size_t fitting, size_t total) {
  const std::string what = found == nullptr ? fmt::format("missing, expected {}", param.shape)
                                            : fmt::format("{}, expected {}", found->shape(), param.shape);
  throw Error(
      {ExitCode::kModel,
       "tensor_shape",
       fmt::format("the tensor is {}; {} of {} tensors of the cfg {} fit", what, fitting, total, quoted(cfg)),
       {},
       param.name,
       "give the cfg these weights were trained with (--cfg), or take over what fits with "
       "`mtyolo import`"});
}

size_t count_fitting(const Graph& graph, const StateDict& weights) {
  size_t fitting = 0;
  for (const ParamInfo& param : graph.params) {
    const Tensor* t = weights.find(param.name);
    fitting += t != nullptr && fits(param, *t);
  }
  return fitting;
}

// Every tensor of the graph, in its order, from a source that must fit.
void take_weights(Model& model, const StateDict& source) {
  model.transfer.total = int64_t(model.graph.params.size());
  for (const ParamInfo& param : model.graph.params) {
    const Tensor* found = source.find(param.name);
    if (found != nullptr && fits(param, *found)) {
      model.weights.add(param.name, as_expected(param, *found));
      ++model.transfer.transferred;
    } else if (found == nullptr && may_be_missing(param.kind)) {
      model.weights.add(param.name, made_up(model.graph, param));
      model.transfer.skipped.push_back({param.name, std::nullopt, param.shape, "missing, made from the cfg"});
    } else {
      fail_tensor(param, found, model.cfg.source, count_fitting(model.graph, source),
                  model.graph.params.size());
    }
  }
  list_unused(model.graph, source, model.transfer);
}

// An IDetect file run as Detect would lose its implicit terms without a word.
void check_implicit_terms(const Model& model) {
  for (const SkippedTensor& skipped : model.transfer.skipped)
    if (!skipped.expected && skipped.name.ends_with(".implicit"))
      throw Error({ExitCode::kModel,
                   "implicit_terms",
                   fmt::format("the weights have implicit terms, which the cfg {} does not apply",
                               quoted(model.cfg.source)),
                   {},
                   skipped.name,
                   "use the training cfg (head IDetect), or merge the terms with `mtyolo reparam`"});
}

Cfg cfg_of(const Checkpoint& checkpoint, const StateDict& weights, const std::string& given) {
  if (!given.empty()) return cfg_for_tensors(with_sharing_of(checkpoint, cfg_by_name(given)), weights);
  if (checkpoint.cfg.is_null()) return guess_cfg(weights);
  return cfg_for_tensors(cfg_from_document(checkpoint.cfg, checkpoint.file), weights);
}

std::vector<std::string> names_of(const Checkpoint& checkpoint, int nc) {
  if (checkpoint.names.empty() || checkpoint.names.size() == size_t(nc)) return checkpoint.names;
  log::warning("{}: {} class names for {} classes; they are numbered instead", checkpoint.file,
               checkpoint.names.size(), nc);
  return {};
}

Model build_model(const Checkpoint& checkpoint, const StateDict& source, const std::string& cfg) {
  Model model;
  model.source = checkpoint.file;
  model.mapped = checkpoint.mapped;
  model.bn_eps = checkpoint.bn_eps;
  model.fused = checkpoint.fused;
  model.cfg = cfg_of(checkpoint, source, cfg);
  model.heads = heads_from_document(checkpoint.heads, model.cfg.nc);
  BuildOptions options;
  options.has_tensor = [&](const std::string& name) { return source.contains(name); };
  options.fused = model.fused;
  options.bn_eps = model.bn_eps;
  options.heads = model.heads;
  options.names = names_of(checkpoint, model.cfg.nc);
  model.graph = build_graph(model.cfg, options);
  take_weights(model, source);
  check_implicit_terms(model);
  return model;
}

}  // namespace

TransferReport transfer_weights(const Graph& graph, const StateDict& source, StateDict& target) {
  TransferReport report;
  report.total = int64_t(graph.params.size());
  StateDict out;
  for (const ParamInfo& param : graph.params) {
    const Tensor* found = source.find(param.name);
    const Tensor* kept = target.find(param.name);
    MTYOLO_CHECK(kept != nullptr, "the target has no tensor {}", param.name);
    const bool take = found != nullptr && fits(param, *found);
    out.add(param.name, take ? as_expected(param, *found) : *kept);
    report.transferred += take;
    if (!take)
      report.skipped.push_back({param.name, found != nullptr ? std::optional(found->shape()) : std::nullopt,
                                param.shape, found != nullptr ? "another shape" : "not in the file"});
  }
  list_unused(graph, source, report);
  target = std::move(out);
  return report;
}

std::vector<HeadTransfer> transfer_by_head(const Graph& graph, const TransferReport& report) {
  std::vector<HeadTransfer> out;
  if (graph.heads.size() < 2) return out;
  std::set<std::string> skipped;
  for (const SkippedTensor& s : report.skipped)
    if (s.expected) skipped.insert(s.name);
  out.emplace_back();
  std::map<std::string, size_t> at{{"", 0}};
  for (const Head& head : graph.heads) {
    at[head.name] = out.size();
    out.push_back({head.name});
  }
  for (const ParamInfo& param : graph.params) {
    HeadTransfer& own = out[at.at(head_in(param.name))];
    ++own.total;
    own.transferred += !skipped.contains(param.name) && !skipped.contains(without_head(param.name));
  }
  if (out[0].total == 0) out.erase(out.begin());
  return out;
}

Model model_from_checkpoint(const Checkpoint& checkpoint, const std::string& cfg) {
  const StateDict& source = checkpoint.inference_weights();
  if (source.empty())
    throw Error({ExitCode::kModel, "no_weights", "no model inside", checkpoint.file, {}, {}});
  try {
    return build_model(checkpoint, source, cfg);
  } catch (const Error& e) {
    // A description inside the file is part of the model; one that the user names is configuration.
    ErrorInfo info = e.info();
    if (info.exit == ExitCode::kUsage && cfg.empty()) info.exit = ExitCode::kModel;
    throw Error(info).in_file(checkpoint.file);
  }
}

Model model_from_cfg(const Cfg& cfg, uint64_t seed, const BuildOptions& options) {
  MTYOLO_CHECK(!options.has_tensor && !options.fused, "random weights are drawn for the training form only");
  Model model;
  model.source = cfg.source;
  model.cfg = cfg;
  model.heads = options.heads;
  model.bn_eps = options.bn_eps;
  model.graph = build_graph(cfg, options);
  model.weights = init_weights(model.graph, seed);
  model.transfer.total = int64_t(model.graph.params.size());
  return model;
}

Model split_heads(const Model& model, const std::vector<HeadGroup>& groups) {
  if (!model.heads.empty() || model.graph.heads.size() != 1)
    fail(ExitCode::kUsage, "heads", "the model has {} heads already, expected one to split",
         model.graph.heads.size());
  if (groups.empty()) fail(ExitCode::kUsage, "heads", "no heads are given to split into");
  Model out = model;
  out.heads = groups;
  out.weights = {};
  BuildOptions options;
  options.has_tensor = [&](const std::string& name) { return model.weights.contains(without_head(name)); };
  options.fused = model.fused;
  options.bn_eps = model.bn_eps;
  options.heads = groups;
  options.names = model.graph.names;
  out.graph = build_graph(model.cfg, options);
  out.weights = split_weights(model.graph, model.weights, out.graph);
  for (const ParamInfo& param : out.graph.params) {
    if (param.kind != Kind::kCrossStitch) continue;
    out.transfer.skipped.push_back(
        {param.name, std::nullopt, param.shape, "not in the file, starts as identity"});
    ++out.transfer.total;
  }
  return out;
}

Checkpoint checkpoint_from_model(const Model& model) {
  Checkpoint checkpoint;
  checkpoint.file = model.source;
  checkpoint.model = model.weights;
  checkpoint.cfg = model.cfg.document;
  checkpoint.heads = heads_to_document(model.heads);
  checkpoint.names = model.graph.names;
  checkpoint.head_type = model.graph.heads.at(0).type;
  checkpoint.strides = model.graph.heads.at(0).strides;
  checkpoint.bn_eps = model.bn_eps;
  checkpoint.fused = model.fused;
  return checkpoint;
}

}  // namespace mtyolo::models
