#include "models/reshare.h"

#include <algorithm>
#include <unordered_set>

#include "models/heads.h"
#include "models/init.h"

namespace mtyolo::models {
namespace {

constexpr std::string_view kStitch = ".cross_stitch.weight";

bool is_stitch(const std::string& name) { return name.ends_with(kStitch); }

class Resharing {
 public:
  Resharing(const StateDict& file, const std::vector<std::string>& heads, const Graph& graph)
      : file_(file), heads_(heads), graph_(graph) {}

  StateDict run() {
    for (const ParamInfo& param : graph_.params) {
      const Tensor found = param.kind == ParamInfo::Kind::kCrossStitch ? stitch(param) : find(param);
      if (found.defined()) out_.add(param.name, found);
    }
    for (const auto& [name, tensor] : file_.entries()) {
      if (used_.contains(name) || out_.contains(name)) continue;
      if (is_stitch(name)) check_identity(name, tensor);
      else out_.add(name, tensor);
    }
    return std::move(out_);
  }

 private:
  Tensor take(const std::string& name) {
    const Tensor* t = file_.find(name);
    if (t == nullptr) return {};
    used_.insert(name);
    return *t;
  }

  Tensor find(const ParamInfo& param) {
    if (const Tensor own = take(param.name); own.defined()) return own;
    const std::string plain = without_head(param.name), head = head_in(param.name);
    if (head.empty()) return common_copy(param.name);
    if (const Tensor shared = take(plain); shared.defined()) return shared;
    const bool detects = std::any_of(graph_.heads.begin(), graph_.heads.end(),
                                     [&](const Head& h) { return param.name.starts_with(h.prefix); });
    const bool known = std::find(heads_.begin(), heads_.end(), head) != heads_.end();
    return detects || known || heads_.empty() ? Tensor() : take("heads." + heads_[0] + "." + plain);
  }

  // The tensor that every head of the file has a copy of.
  Tensor common_copy(const std::string& name) {
    Tensor first;
    for (const std::string& head : heads_) {
      const Tensor t = take("heads." + head + "." + name);
      if (!t.defined()) continue;
      if (first.defined() && !bit_equal(first, t))
        throw Error(
            {ExitCode::kModel,
             "sharing",
             fmt::format("the weights hold {} once per head, with other numbers in {} than in {}; the "
                         "network wanted shares it",
                         quoted(name), quoted(heads_[0]), quoted(head)),
             {},
             {},
             "keep the sharing of the weights, or share fewer rows (--share-until)"});
      first = t;
    }
    return first;
  }

  // A learned unit under the heads of the graph, which may be more than the file's.
  Tensor stitch(const ParamInfo& param) {
    const Tensor* old = file_.find(param.name);
    if (old == nullptr) return {};
    used_.insert(param.name);
    if (old->rank() != 2 || old->size(0) != int64_t(heads_.size()) || old->size(1) != param.shape[1])
      return *old;
    Tensor weight = Tensor::zeros(param.shape);
    const Tensor from = old->to(DType::kF32).contiguous();
    for (size_t k = 0; k < graph_.heads.size(); ++k) {
      const auto at = std::find(heads_.begin(), heads_.end(), graph_.heads[k].name);
      if (at == heads_.end()) continue;
      std::copy_n(from.data<float>() + (at - heads_.begin()) * from.size(1), from.size(1),
                  weight.data<float>() + int64_t(k) * from.size(1));
    }
    return weight;
  }

  void check_identity(const std::string& name, const Tensor& weight) const {
    const auto own = std::find(heads_.begin(), heads_.end(), head_in(name)) - heads_.begin();
    bool identity = weight.rank() == 2;
    for (int64_t k = 0; identity && k < weight.size(0); ++k)
      for (int64_t c = 0; c < weight.size(1); ++c)
        identity = identity && weight.at({k, c}) == (k == own ? 1 : 0);
    if (!identity)
      throw Error({ExitCode::kModel,
                   "sharing",
                   fmt::format("the weights have a learned cross-stitch unit {}, the network wanted has none",
                               quoted(name)),
                   {},
                   {},
                   "keep the sharing of the weights"});
  }

  const StateDict& file_;
  const std::vector<std::string>& heads_;
  const Graph& graph_;
  StateDict out_;
  std::unordered_set<std::string> used_;
};

}  // namespace

StateDict reshared_tensors(const StateDict& file, const std::vector<std::string>& heads, const Graph& graph) {
  return Resharing(file, heads, graph).run();
}

Cfg with_sharing_of(const Checkpoint& checkpoint, Cfg cfg) {
  if (checkpoint.heads.is_null() || checkpoint.cfg.is_null()) return cfg;
  const Cfg own = cfg_from_document(checkpoint.cfg, checkpoint.file);
  return own.rows.size() == cfg.rows.size() ? with_sharing(std::move(cfg), own.sharing) : cfg;
}

Model reshare(const Model& model, const Sharing& sharing) {
  if (model.heads.size() < 2)
    throw Error({ExitCode::kUsage,
                 "sharing",
                 fmt::format("{} has one head, so there is nothing to share", quoted(model.source)),
                 {},
                 {},
                 "give the heads (--heads DATA.yaml)"});
  Model out = model;
  out.cfg = with_sharing(model.cfg, sharing);
  if (out.cfg.sharing == model.cfg.sharing) return out;
  BuildOptions options;
  options.has_tensor = [&](const std::string& name) {
    return model.weights.contains(name) || model.weights.contains(without_head(name)) ||
           std::any_of(model.heads.begin(), model.heads.end(), [&](const HeadGroup& head) {
             return model.weights.contains("heads." + head.name + "." + name);
           });
  };
  options.fused = model.fused;
  options.bn_eps = model.bn_eps;
  options.heads = model.heads;
  options.names = model.graph.names;
  out.graph = build_graph(out.cfg, options);
  std::vector<std::string> heads;
  for (const HeadGroup& head : model.heads) heads.push_back(head.name);
  try {
    const StateDict found = reshared_tensors(model.weights, heads, out.graph);
    out.weights = {};
    for (const ParamInfo& param : out.graph.params) {
      const Tensor* t = found.find(param.name);
      const bool fresh = t == nullptr && param.kind == ParamInfo::Kind::kCrossStitch;
      MTYOLO_CHECK(t != nullptr || fresh, "the weights have nothing for {}", param.name);
      out.weights.add(param.name, fresh ? cross_stitch_identity(out.graph, param) : *t);
    }
  } catch (const Error& e) {
    throw e.in_file(model.source);
  }
  return out;
}

}  // namespace mtyolo::models
