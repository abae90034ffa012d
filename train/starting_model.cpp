// The network a run starts with: from a cfg at random, or from weights as far as they fit
// (checkpoint.md 7.2).
#include <algorithm>

#include "core/log.h"
#include "models/guess_cfg.h"
#include "models/heads.h"
#include "models/import_model.h"
#include "models/reshare.h"
#include "models/weights/digest.h"
#include "train/matched_heads.h"
#include "train/run_setup.h"

namespace mtyolo::train {
namespace {

using models::HeadGroup;

constexpr const char* kDefaultCfg = "yolov7";

std::vector<HeadGroup> groups_of(const data::DataCfg& data) {
  std::vector<HeadGroup> groups;
  for (const data::HeadCfg& h : data.heads) groups.push_back({h.name, h.classes});
  return groups;
}

bool are_numbers(const std::vector<std::string>& names) {
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] != std::to_string(i)) return false;
  return true;
}

bool same_set(std::vector<std::string> a, std::vector<std::string> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

// A data.yaml without heads takes those of a checkpoint with the same names (conventions.md section 4).
void settle_heads(const models::Checkpoint& checkpoint, data::DataCfg& data) {
  if (checkpoint.heads.is_null() || checkpoint.names != data.names || !data.heads.empty()) return;
  for (const HeadGroup& g : models::heads_from_document(checkpoint.heads, int(data.names.size())))
    data.heads.push_back({g.name, g.classes, 1});
}

models::Cfg cfg_of(const models::Checkpoint& checkpoint, const std::string& given) {
  if (!given.empty()) {
    const models::Cfg cfg = models::cfg_by_name(given);
    return cfg.document.find("sharing") != nullptr ? cfg : models::with_sharing_of(checkpoint, cfg);
  }
  const models::StateDict& weights = checkpoint.inference_weights();
  if (checkpoint.cfg.is_null()) return models::guess_cfg(weights);
  return models::cfg_for_tensors(models::cfg_from_document(checkpoint.cfg, checkpoint.file), weights);
}

// What the flags say, over the sharing of the weights or of the cfg given.
models::Cfg with_sharing_flags(models::Cfg cfg, const Settings& settings, const data::DataCfg& data) {
  if (!settings.sharing.given()) return cfg;
  if (data.heads.size() < 2)
    throw Error({ExitCode::kUsage,
                 "sharing",
                 "says nothing of two heads or more, so there is nothing to share",
                 data.file,
                 {},
                 "add `heads:`, or leave the sharing flags out"});
  return models::with_sharing(cfg, models::with_flags(cfg.sharing, settings.sharing));
}

// The file's tensors as this network names them: one head split by class names where the classes are the
// same, several by the heads they match, else by name, where shapes decide.
models::StateDict source_tensors(const models::Checkpoint& checkpoint, const Settings& settings,
                                 const data::DataCfg& data, const models::Model& model,
                                 const std::map<std::string, HeadSource>& matched) {
  const models::StateDict& plain = checkpoint.inference_weights();
  if (model.graph.heads.size() < 2) return plain;
  const bool single = checkpoint.heads.is_null();
  const bool same_classes = single && !checkpoint.names.empty() && !are_numbers(checkpoint.names) &&
                            same_set(checkpoint.names, data.names);
  if (same_classes) {
    models::Model one = models::import_model(checkpoint, settings.cfg, uint64_t(settings.seed));
    one.cfg = models::with_sharing(one.cfg, model.cfg.sharing);
    const models::Model heads = models::with_heads(one, {data.file, data.names, groups_of(data)});
    models::StateDict out;  // without cross-stitch units, which are no one's but the network's
    for (const models::ParamInfo& param : heads.graph.params)
      if (param.kind != models::ParamInfo::Kind::kCrossStitch)
        out.add(param.name, *heads.weights.find(param.name));
    return out;
  }
  std::vector<std::string> heads;  // of the file, in its order, as they are called here
  if (!single)
    for (const auto& [name, head] : checkpoint.heads.fields) heads.push_back(name_here(name, matched));
  try {
    return models::reshared_tensors(matched.empty() ? plain : renamed_tensors(plain, model.graph, matched),
                                    heads, model.graph);
  } catch (const Error& e) {
    throw e.in_file(checkpoint.file);
  }
}

models::StateDict without_anchors(const models::StateDict& tensors) {
  models::StateDict out;
  for (const auto& [name, tensor] : tensors.entries())
    if (name.find("anchor") == std::string::npos) out.add(name, tensor);
  return out;
}

void refuse_unfit(const models::Checkpoint& checkpoint) {
  const auto bad = models::non_finite_tensors(checkpoint.inference_weights());
  if (!bad.empty())
    throw Error(
        {ExitCode::kModel,
         "non_finite",
         fmt::format("{} tensors hold NaN or infinity, the first is {}", bad.size(), mtyolo::quoted(bad[0])),
         checkpoint.file,
         {},
         "start from weights that are whole"});
  if (checkpoint.fused)
    throw Error({ExitCode::kModel,
                 "fused",
                 "its batch norms are folded, which cannot be trained",
                 checkpoint.file,
                 {},
                 "give the weights as they were before reparam"});
}

std::string shape_text(const std::optional<Shape>& shape) {
  return shape ? fmt::format("{}", *shape) : "none";
}

void note_transfer(const models::Model& model, const std::string& file, std::vector<std::string>& notes) {
  const models::TransferReport& report = model.transfer;
  notes.push_back(fmt::format("Transferred {}/{} tensors from {}", report.transferred, report.total, file));
  for (const models::HeadTransfer& t : models::transfer_by_head(model.graph, report))
    notes.push_back(
        fmt::format("  {}: {}/{}", t.head.empty() ? "all heads" : "head " + t.head, t.transferred, t.total));
  if (model.graph.heads.size() > 1)
    notes.push_back("sharing: " + models::describe(model.cfg.sharing, int(model.cfg.rows.size())));
  for (const models::SkippedTensor& s : report.skipped)
    notes.push_back(fmt::format("  {}: file {}, network {}: {}", s.name, shape_text(s.found),
                                shape_text(s.expected), s.reason));
  if (report.transferred == 0)
    throw Error({ExitCode::kModel,
                 "transfer",
                 "no tensor fits the network",
                 file,
                 {},
                 "give the cfg these weights were trained with (--cfg)"});
}

}  // namespace

models::Model starting_model(const Settings& settings, data::DataCfg& data, std::vector<std::string>& notes) {
  const int nc = int(data.names.size());
  models::BuildOptions options;
  options.names = data.names;
  if (settings.weights.empty()) {
    options.heads = groups_of(data);
    const models::Cfg cfg = with_sharing_flags(
        models::cfg_by_name(settings.cfg.empty() ? kDefaultCfg : settings.cfg), settings, data);
    notes.push_back(fmt::format("random weights, cfg {}, seed {}", cfg.source, settings.seed));
    return models::model_from_cfg(models::with_classes(cfg, nc), uint64_t(settings.seed), options);
  }
  const models::Checkpoint checkpoint = models::read_checkpoint(settings.weights);
  refuse_unfit(checkpoint);
  settle_heads(checkpoint, data);
  const auto heads = match_heads(checkpoint, data);
  options.heads = groups_of(data);
  options.bn_eps = checkpoint.bn_eps;
  const models::Cfg cfg = with_sharing_flags(cfg_of(checkpoint, settings.cfg), settings, data);
  if (cfg.nc != nc)
    notes.push_back(fmt::format("{} class{} in the weights, {} in the data: the data's", cfg.nc,
                                cfg.nc == 1 ? "" : "es", nc));
  models::Model model =
      models::model_from_cfg(models::with_classes(cfg, nc), uint64_t(settings.seed), options);
  const models::StateDict source = source_tensors(checkpoint, settings, data, model, heads);
  // A cfg that is given brings its own anchors.
  model.transfer = models::transfer_weights(
      model.graph, settings.cfg.empty() ? source : without_anchors(source), model.weights);
  note_transfer(model, settings.weights, notes);
  for (std::string& line : head_notes(data, heads)) notes.push_back(std::move(line));
  return model;
}

models::Model resumed_model(const models::Checkpoint& checkpoint) {
  if (checkpoint.cfg.is_null())
    throw Error({ExitCode::kModel, "no_cfg", "has no cfg inside", checkpoint.file, {}, {}});
  models::BuildOptions options;
  const models::Cfg cfg = models::cfg_from_document(checkpoint.cfg, checkpoint.file);
  options.names = checkpoint.names;
  options.heads = models::heads_from_document(checkpoint.heads, cfg.nc);
  options.bn_eps = checkpoint.bn_eps;
  return models::model_from_cfg(cfg, 0, options);
}

}  // namespace mtyolo::train
