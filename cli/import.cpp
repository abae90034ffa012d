// mtyolo import: weights of other programs as our own file, and one head split into several.
#include <filesystem>

#include "cli/output.h"
#include "cli/sharing_flags.h"
#include "cli/tensor_table.h"
#include "cli/verbs.h"
#include "cli/write_model.h"
#include "core/text.h"
#include "data/data_cfg.h"
#include "models/import_model.h"
#include "models/reshare.h"

namespace mtyolo::cli {
namespace {

namespace fs = std::filesystem;

std::string shape_or_none(const std::optional<Shape>& shape) {
  return shape ? fmt::format("{}", *shape) : "none";
}

Json shape_json(const std::optional<Shape>& shape) {
  if (!shape) return nullptr;
  Json sides = Json::array();
  for (const int64_t side : *shape) sides.push_back(side);
  return sides;
}

class Import : public Verb {
 public:
  void register_options(Options& o) override {
    o.positional({"WEIGHTS", "weight file (.pt or .safetensors)", true, {"weights", "model"}}, weights_);
    o.text("cfg", cfg_, "model description, a shipped name or a path (guessed)");
    o.text("heads", heads_, "DATA.yaml whose `names` and `heads` the file gets");
    o.choice("map", map_, {"names"}, "how tensors find their place");
    o.text("out", out_, "file to write, .pt or .safetensors (<stem>_mtyolo.pt)");
    o.toggle("strict", strict_, "exit 4 when a tensor is skipped");
    o.toggle("list", list_, "list the tensors, write nothing");
    register_sharing(o, sharing_);
  }

  ExitCode run(const CommonOptions& common) override {
    refuse_other_formats();
    if (out_.empty()) out_ = fs::path(weights_).stem().string() + "_mtyolo.pt";
    if (!list_) check_weights_out(out_, weights_);
    const models::Checkpoint checkpoint = models::read_checkpoint(weights_);
    if (list_) return list(checkpoint, common);
    models::Model model = models::import_model(checkpoint, cfg_, uint64_t(common.seed));
    if (strict_ && !model.transfer.skipped.empty()) refuse_skipped(model);
    if (!heads_.empty()) model = models::with_heads(model, read_plan());
    else if (sharing_.given())
      model = models::reshare(model, models::with_flags(model.cfg.sharing, sharing_));
    models::Checkpoint to_write = models::checkpoint_from_model(model);
    to_write.hyp = checkpoint.hyp;
    to_write.bn_momentum = checkpoint.bn_momentum;
    to_write.best_fitness = checkpoint.best_fitness;
    write_verified(out_, to_write, [](const std::string& path) { models::load_model(path); });
    if (common.json) print_json(document(checkpoint, model));
    else print(text(checkpoint, model));
    return ExitCode::kDone;
  }

 private:
  void refuse_other_formats() const {
    const std::string suffix = lower_case(fs::path(weights_).extension().string());
    for (const char* other : {".weights", ".onnx", ".wts"})
      if (suffix == other)
        throw Error({ExitCode::kUsage,
                     "format",
                     fmt::format("{}: import of {} files is not part of this version",
                                 mtyolo::quoted(weights_), other),
                     {},
                     {},
                     "give a .pt or .safetensors file"});
  }

  ExitCode list(const models::Checkpoint& checkpoint, const CommonOptions& common) const {
    const auto digests = all_digests(checkpoint);
    if (common.json) {
      Json d = json_document("import");
      d["source"] = weights_;
      d["container"] = checkpoint.container;
      d["tensors"] = tensor_json(digests);
      print_json(d);
    } else {
      print(tensor_lines(digests));
    }
    return ExitCode::kDone;
  }

  models::HeadPlan read_plan() const {
    const data::DataCfg data = data::read_data_cfg(heads_, data::DataCfgUse::kNamesAndHeads);
    models::HeadPlan plan{heads_, data.names, {}, sharing_};
    for (const data::HeadCfg& head : data.heads) plan.groups.push_back({head.name, head.classes});
    return plan;
  }

  [[noreturn]] void refuse_skipped(const models::Model& model) const {
    throw Error({ExitCode::kModel,
                 "strict",
                 fmt::format("Transferred {}/{} tensors{}", model.transfer.transferred, model.transfer.total,
                             skipped_text(model)),
                 weights_,
                 {},
                 "nothing was written; leave out --strict to take over what fits"});
  }

  static std::string skipped_text(const models::Model& model) {
    std::string text;
    for (const models::SkippedTensor& s : model.transfer.skipped)
      text += fmt::format("\n  {}: file {}, network {}: {}", s.name, shape_or_none(s.found),
                          shape_or_none(s.expected), s.reason);
    return text;
  }

  std::string text(const models::Checkpoint& checkpoint, const models::Model& model) const {
    std::string text =
        fmt::format("{}: {}, cfg {}\nTransferred {}/{} tensors{}\n", weights_, checkpoint.container,
                    model.cfg.source == weights_ ? "in the file" : model.cfg.source,
                    model.transfer.transferred, model.transfer.total, skipped_text(model));
    for (const models::Head& head : model.graph.heads)
      text += fmt::format("head {}: {}, {} class{} ({} .. {})\n", head.name, head.type, head.nc(),
                          head.nc() == 1 ? "" : "es", class_name(model, head.classes.front()),
                          class_name(model, head.classes.back()));
    const auto by_head = models::transfer_by_head(model.graph, model.transfer);
    if (!by_head.empty())
      text += fmt::format("sharing: {}\n", models::describe(model.cfg.sharing, int(model.cfg.rows.size())));
    for (const models::HeadTransfer& t : by_head)
      text += fmt::format("Transferred {}/{} tensors of {}\n", t.transferred, t.total,
                          t.head.empty() ? "all heads" : "head " + t.head);
    return text + fmt::format("{} ({}), read back bit for bit\n", out_, human_bytes(file_bytes(out_)));
  }

  static std::string class_name(const models::Model& model, int id) {
    return fmt::format("{} {}", id, mtyolo::quoted(model.graph.names[size_t(id)]));
  }

  Json document(const models::Checkpoint& checkpoint, const models::Model& model) const {
    Json d = json_document("import");
    d["source"] = weights_;
    d["container"] = checkpoint.container;
    d["cfg"] = model.cfg.source;
    d["out"] = out_;
    d["transferred"] = model.transfer.transferred;
    d["total"] = model.transfer.total;
    d["skipped"] = Json::array();
    for (const models::SkippedTensor& s : model.transfer.skipped)
      d["skipped"].push_back({{"name", s.name},
                              {"found", shape_json(s.found)},
                              {"expected", shape_json(s.expected)},
                              {"reason", s.reason}});
    if (model.heads.size() > 1)
      d["sharing"] = models::describe(model.cfg.sharing, int(model.cfg.rows.size()));
    d["by_head"] = Json::array();
    for (const models::HeadTransfer& t : models::transfer_by_head(model.graph, model.transfer))
      d["by_head"].push_back({{"head", t.head.empty() ? Json() : Json(t.head)},
                              {"transferred", t.transferred},
                              {"total", t.total}});
    d["heads"] = Json::object();
    for (const models::Head& head : model.graph.heads) {
      Json names = Json::array();
      for (const int id : head.classes) names.push_back(model.graph.names[size_t(id)]);
      d["heads"][head.name] = std::move(names);
    }
    return d;
  }

  std::string weights_, cfg_, heads_, out_, map_ = "names";
  models::SharingFlags sharing_;
  bool strict_ = false, list_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_import() { return std::make_unique<Import>(); }

}  // namespace mtyolo::cli
