#include "models/import_model.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "models/guess_cfg.h"
#include "models/heads.h"
#include "models/init.h"
#include "models/reshare.h"

namespace mtyolo::models {
namespace {

using Names = std::vector<std::string>;

// YOLOv7 names classes "0".."nc-1" when nobody names them.
bool are_numbers(const Names& names) {
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] != std::to_string(i)) return false;
  return true;
}

bool is_folded(const StateDict& weights) {
  return std::any_of(weights.entries().begin(), weights.entries().end(), [&](const auto& entry) {
    constexpr std::string_view kBias = ".conv.bias";
    const std::string& name = entry.first;
    return name.ends_with(kBias) &&
           !weights.contains(name.substr(0, name.size() - kBias.size()) + ".bn.weight");
  });
}

[[noreturn]] void refuse_part(const Checkpoint& checkpoint, const std::string& message,
                              const std::string& suggestion) {
  throw Error({ExitCode::kModel, "transfer", message, checkpoint.file, {}, suggestion});
}

Model partly(const Checkpoint& checkpoint, const std::string& cfg_name, uint64_t seed) {
  const StateDict& source = checkpoint.inference_weights();
  if (checkpoint.fused || is_folded(source))
    refuse_part(checkpoint, "the file's batch norms are folded, which cannot be taken over in part",
                "give the cfg that fits (--cfg), or weights that are not fused");
  const Cfg cfg = cfg_for_tensors(cfg_name.empty() ? cfg_from_document(checkpoint.cfg, checkpoint.file)
                                                   : with_sharing_of(checkpoint, cfg_by_name(cfg_name)),
                                  source);
  BuildOptions options;
  options.bn_eps = checkpoint.bn_eps;
  options.heads = heads_from_document(checkpoint.heads, cfg.nc);
  if (checkpoint.names.size() == size_t(cfg.nc)) options.names = checkpoint.names;
  Model model = model_from_cfg(cfg, seed, options);
  model.source = checkpoint.file;
  model.transfer = transfer_weights(model.graph, source, model.weights);
  // Batch counters and anchors fit many networks; they are no reason to call it one.
  const bool any =
      std::any_of(model.graph.params.begin(), model.graph.params.end(), [&](const ParamInfo& param) {
        const Tensor* found = source.find(param.name);
        return param.kind == ParamInfo::Kind::kConvWeight && found != nullptr &&
               found->shape() == param.shape;
      });
  if (!any)
    refuse_part(checkpoint,
                fmt::format("none of its convolutions ({} tensors in all) fits the cfg {}", source.size(),
                            mtyolo::quoted(cfg.source)),
                "give the cfg these weights were trained with (--cfg)");
  return model;
}

// "person, bicycle, car, ... (80)"
std::string summary(const Names& names) {
  constexpr size_t kShown = 4;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, names.size()); ++i)
    text += fmt::format("{}{}", i > 0 ? ", " : "", mtyolo::quoted(names[i]));
  return fmt::format("{} classes ({}{})", names.size(), text, names.size() > kShown ? ", ..." : "");
}

std::string first_missing(const Names& names, const Names& among) {
  const std::set<std::string> known(among.begin(), among.end());
  for (const std::string& name : names)
    if (!known.contains(name)) return mtyolo::quoted(name);
  return {};
}

[[noreturn]] void refuse_names(const HeadPlan& plan, const Model& model) {
  std::string detail;
  const std::string extra = first_missing(plan.names, model.graph.names),
                    lacking = first_missing(model.graph.names, plan.names);
  if (!extra.empty()) detail += fmt::format("; the checkpoint has no {}", extra);
  if (!lacking.empty()) detail += fmt::format("; the data file has no {}", lacking);
  throw Error({ExitCode::kUsage,
               "heads",
               fmt::format("its names are {}, the names of {} are {}{}", summary(plan.names),
                           mtyolo::quoted(model.source), summary(model.graph.names), detail),
               plan.file,
               {},
               "the heads of a checkpoint need a data file with the checkpoint's classes"});
}

// The plan's id of each class of the model.
std::vector<int> plan_ids(const Model& model, const HeadPlan& plan) {
  const Names& have = model.graph.names;
  std::vector<int> ids(have.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = int(i);
  if (have.size() != plan.names.size()) refuse_names(plan, model);
  if (are_numbers(have) || have == plan.names) return ids;
  std::unordered_map<std::string, int> by_name;
  for (size_t i = 0; i < plan.names.size(); ++i) by_name[plan.names[i]] = int(i);
  std::vector<bool> used(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto it = by_name.find(have[i]);
    if (it == by_name.end() || used[size_t(it->second)]) refuse_names(plan, model);
    used[size_t(it->second)] = true;
    ids[i] = it->second;
  }
  return ids;
}

std::string describe(const std::vector<HeadGroup>& groups) {
  std::string text;
  for (const HeadGroup& g : groups)
    text += fmt::format("{}{}: {} classes", text.empty() ? "" : ", ", g.name, g.classes.size());
  return text;
}

// A model with several heads takes no other ones; equal means the same classes in any order.
void check_same_heads(const Model& model, const HeadPlan& plan) {
  const auto sets = [](const std::vector<HeadGroup>& groups) {
    std::set<std::pair<std::string, std::set<int>>> out;
    for (const HeadGroup& g : groups) out.insert({g.name, {g.classes.begin(), g.classes.end()}});
    return out;
  };
  if (plan.groups.empty() || sets(plan.groups) == sets(model.heads)) return;
  throw Error({ExitCode::kUsage,
               "heads",
               fmt::format("its heads ({}) are not those of {} ({})", describe(plan.groups),
                           mtyolo::quoted(model.source), describe(model.heads)),
               plan.file,
               {},
               "split the weights with one head that these were made from"});
}

}  // namespace

Model import_model(const Checkpoint& checkpoint, const std::string& cfg, uint64_t seed) {
  try {
    return model_from_checkpoint(checkpoint, cfg);
  } catch (const Error& e) {
    if (e.info().code != "tensor_shape") throw;
  }
  return partly(checkpoint, cfg, seed);
}

Model with_heads(const Model& model, const HeadPlan& plan) {
  const std::vector<int> ids = plan_ids(model, plan);
  const bool reordered = !std::is_sorted(ids.begin(), ids.end());
  if (reordered && (!model.heads.empty() || plan.groups.empty()))
    throw Error({ExitCode::kUsage,
                 "heads",
                 fmt::format("its classes are those of {} in another order", mtyolo::quoted(model.source)),
                 plan.file,
                 {},
                 "only a file with one head that is split into several can be reordered"});
  Model single = model;
  single.graph.names = plan.names;
  if (!model.heads.empty()) check_same_heads(model, plan);
  const size_t count = model.heads.empty() ? plan.groups.size() : model.heads.size();
  if (plan.sharing.given() && count < 2)
    throw Error(
        {ExitCode::kUsage, "sharing",
         fmt::format("says how heads share, but {} heads are given", count == 0 ? "no" : "fewer than two"),
         plan.file, "sharing", "name two heads or more under `heads:`"});
  if (!model.heads.empty())
    return plan.sharing.given() ? reshare(single, with_flags(model.cfg.sharing, plan.sharing)) : single;
  if (plan.groups.empty()) return single;
  if (plan.sharing.given())
    single.cfg = with_sharing(single.cfg, with_flags(single.cfg.sharing, plan.sharing));
  // The columns of the single head under the ids of the data file; split_heads looks rows up by these.
  for (int& id : single.graph.heads.at(0).classes) id = ids.at(size_t(id));
  return split_heads(single, plan.groups);
}

}  // namespace mtyolo::models
