#include "cli/model_facts.h"

#include <filesystem>

#include "cli/model_tables.h"
#include "cli/tensor_table.h"
#include "cli/write_model.h"
#include "core/log.h"
#include "models/heads.h"

namespace mtyolo::cli {
namespace {

namespace fs = std::filesystem;

bool is_yaml(const std::string& path) { return path.ends_with(".yaml") || path.ends_with(".yml"); }

// A shipped name has no dot and no slash, and no such file is there.
bool is_cfg(const std::string& subject) {
  std::error_code error;
  return is_yaml(subject) ||
         (subject.find_first_of("./") == std::string::npos && !fs::exists(subject, error));
}

// The weights of a run folder, or the path itself.
std::string weights_of(const std::string& subject) {
  std::error_code error;
  if (!fs::is_directory(subject, error)) return subject;
  for (const char* file : {"weights/best.pt", "weights/last.pt"})
    if (const fs::path path = fs::path(subject) / file; fs::exists(path, error)) return path.string();
  throw Error(
      {ExitCode::kModel,
       "no_weights",
       fmt::format("the folder {} has neither weights/best.pt nor weights/last.pt", mtyolo::quoted(subject)),
       {},
       {},
       "give a run folder of training, or a weight file"});
}

std::string anchors_text(const models::Head& head) {
  std::string text;
  for (const std::vector<float>& level : head.anchors) {
    text += text.empty() ? "" : " | ";
    for (size_t i = 0; i + 1 < level.size(); i += 2)
      text += fmt::format("{}{:g},{:g}", i > 0 ? " " : "", level[i], level[i + 1]);
  }
  return text;
}

std::string names_text(const std::vector<int>& classes, const std::vector<std::string>& names) {
  constexpr size_t kShown = 5;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, classes.size()); ++i)
    text += fmt::format("{}{}", i > 0 ? ", " : "", mtyolo::quoted(names[size_t(classes[i])]));
  return text + (classes.size() > kShown ? ", ..." : "");
}

// Rows "name value" below each other.
class Rows {
 public:
  void add(const std::string& name, const std::string& value) {
    text_ += fmt::format("{:14} {}\n", name, value);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void add_file_rows(const models::Checkpoint& c, const InfoSubject& subject, Rows& rows) {
  rows.add("file",
           fmt::format("{} ({}, {})", subject.path, c.container, human_bytes(file_bytes(subject.path))));
  rows.add("tensors", fmt::format("{} weights, {} averaged, {} of the optimizer", c.model.size(),
                                  c.ema.size(), c.optimizer.size()));
  if (c.epoch >= 0)
    rows.add("training",
             fmt::format("epoch {}, {} updates, best fitness {:.4g}", c.epoch, c.updates, c.best_fitness));
  if (!c.foreign.empty()) {
    std::vector<std::string> shown;
    for (const std::string& name : c.foreign) shown.push_back(mtyolo::quoted(name));
    rows.add("foreign", fmt::format("{}", fmt::join(shown, ", ")));
  }
}

struct HeadCost {
  int64_t own = 0, alone = 0;  // parameters that no other head has, and of the network with this head alone
};

HeadCost cost_of(const models::Graph& graph, const models::Head& head) {
  HeadCost cost{0, models::prune_heads(graph, {head.name}).parameter_count()};
  for (const models::ParamInfo& p : graph.params)
    if (!p.is_buffer() && models::head_in(p.name) == head.name) cost.own += p.shape.numel();
  return cost;
}

std::string parameters_text(const models::Graph& graph, const models::Head& head) {
  const HeadCost cost = cost_of(graph, head);
  return fmt::format("; {} parameters of its own, {} alone", cost.own, cost.alone);
}

std::string sharing_text(const models::Model& model) {
  std::string text = models::describe(model.cfg.sharing, int(model.cfg.rows.size()));
  if (model.graph.has_cross_stitch())
    text += fmt::format("; a head alone computes every head's rows up to {}",
                        model.cfg.sharing.cross_stitch.back());
  return text;
}

void add_model_rows(const models::Model& model, int size, Rows& rows) {
  const models::Graph& graph = model.graph;
  const models::Head& first = graph.heads.at(0);
  const WorkFacts work = work_facts(model, size);
  rows.add("cfg", model.cfg.source == model.source ? "in the file" : model.cfg.source);
  if (model.transfer.transferred > 0)
    rows.add("fits", fmt::format("{}/{} tensors", model.transfer.transferred, model.transfer.total));
  rows.add("rows", fmt::format("{}, the last is {}", model.cfg.rows.size(), first.type));
  rows.add("classes", fmt::format("{}", graph.names.size()));
  for (const models::Head& head : graph.heads)
    rows.add("head " + head.name, fmt::format("{} class{}: {}{}", head.nc(), head.nc() == 1 ? "" : "es",
                                              names_text(head.classes, graph.names),
                                              graph.heads.size() > 1 ? parameters_text(graph, head) : ""));
  if (graph.heads.size() > 1) rows.add("sharing", sharing_text(model));
  rows.add("strides", fmt::format("{}", fmt::join(first.strides, ", ")));
  rows.add("anchors", anchors_text(first));
  rows.add("parameters",
           fmt::format("{}, {} in deploy form", graph.parameter_count(), work.fused_parameters));
  rows.add("GFLOPs",
           fmt::format("{:.2f} at {}x{}, {:.2f} in deploy form", work.built, size, size, work.fused));
}

std::string skipped_text(const models::Model& model) {
  std::string text;
  for (const models::SkippedTensor& s : model.transfer.skipped)
    text += fmt::format("skipped        {}: {}\n", s.name, s.reason);
  return text;
}

Json heads_json(const models::Graph& graph) {
  Json heads = Json::object();
  for (const models::Head& head : graph.heads) {
    Json names = Json::array();
    for (const int id : head.classes) names.push_back(graph.names[size_t(id)]);
    const HeadCost cost = cost_of(graph, head);
    heads[head.name] = {{"type", head.type},
                        {"classes", head.classes},
                        {"names", std::move(names)},
                        {"parameters", cost.own},
                        {"parameters_alone", cost.alone}};
  }
  return heads;
}

void add_file_json(const models::Checkpoint& c, const InfoSubject& subject, Json& d) {
  d["file"] = subject.path;
  d["bytes"] = file_bytes(subject.path);
  d["container"] = c.container;
  d["epoch"] = c.epoch;
  d["updates"] = c.updates;
  d["best_fitness"] = c.best_fitness;
  d["foreign"] = c.foreign;
  d["tensor_count"] = {{"model", c.model.size()}, {"ema", c.ema.size()}, {"optimizer", c.optimizer.size()}};
}

void add_model_json(const models::Model& model, int size, Json& d) {
  const models::Graph& graph = model.graph;
  const WorkFacts work = work_facts(model, size);
  d["cfg"] = model.cfg.source;
  d["transferred"] = model.transfer.transferred;
  d["total"] = model.transfer.total;
  d["head_type"] = graph.heads.at(0).type;
  d["nc"] = graph.names.size();
  d["names"] = graph.names;
  d["heads"] = heads_json(graph);
  if (graph.heads.size() > 1) d["sharing"] = sharing_text(model);
  d["strides"] = graph.heads[0].strides;
  d["anchors"] = graph.heads[0].anchors;
  d["parameters"] = graph.parameter_count();
  d["parameters_deploy"] = work.fused_parameters;
  d["img_size"] = size;
  d["gflops"] = work.built;
  d["gflops_deploy"] = work.fused;
}

int fitting_size(const models::Model& model, int size) {
  const int stride = model.graph.max_stride;
  return (size + stride - 1) / stride * stride;
}

}  // namespace

InfoSubject read_subject(const InfoRequest& request, const CommonOptions& common) {
  InfoSubject subject;
  if (is_cfg(request.subject)) {
    if (request.tensors)
      fail(ExitCode::kUsage, "usage", "--tensors needs a weight file, {} is a cfg",
           mtyolo::quoted(request.subject));
    subject.model = models::model_from_cfg(models::cfg_by_name(request.subject), uint64_t(common.seed));
    return subject;
  }
  subject.path = weights_of(request.subject);
  subject.checkpoint = models::read_checkpoint(subject.path);
  try {
    subject.model = models::model_from_checkpoint(*subject.checkpoint, request.cfg);
  } catch (const Error& e) {
    const bool only_tensors =
        request.tensors && !request.layers && !request.memory && !request.flops && !request.impls;
    if (!only_tensors) throw;
    subject.reason = e.what();
    log::warning("no network: {}", e.what());
  }
  return subject;
}

std::string info_text(const InfoSubject& subject, const InfoRequest& request, const CommonOptions& common) {
  if (request.tensors && !subject.model) return tensor_lines(all_digests(*subject.checkpoint));
  const models::Model& model = *subject.model;
  const int size = fitting_size(model, request.img_size);
  std::string text;
  if (!request.layers && !request.tensors && !request.memory && !request.flops && !request.impls) {
    Rows rows;
    if (subject.checkpoint) add_file_rows(*subject.checkpoint, subject, rows);
    add_model_rows(model, size, rows);
    text += rows.text() + skipped_text(model);
  }
  if (request.layers) text += layers_text(layer_facts(model.graph, size));
  if (request.tensors) text += tensor_lines(all_digests(*subject.checkpoint));
  if (request.memory) text += memory_text(memory_facts(model, size, common), size);
  if (request.flops) {
    const WorkFacts work = work_facts(model, size);
    text += fmt::format(
        "{:.2f} GFLOPs for one image at {}x{}, {:.2f} in deploy form (2 x multiply-adds of convolutions)\n",
        work.built, size, size, work.fused);
  }
  if (request.impls) text += impls_text(impl_facts(model, size, common, request.dtype));
  return text;
}

Json info_document(const InfoSubject& subject, const InfoRequest& request, const CommonOptions& common) {
  Json d = json_document("info");
  d["source"] = request.subject;
  if (subject.checkpoint) add_file_json(*subject.checkpoint, subject, d);
  if (!subject.reason.empty()) d["no_network"] = subject.reason;
  if (subject.model) {
    const int size = fitting_size(*subject.model, request.img_size);
    add_model_json(*subject.model, size, d);
    if (request.layers) d["layers"] = layers_json(layer_facts(subject.model->graph, size));
    if (request.memory) d["memory"] = memory_json(memory_facts(*subject.model, size, common));
    if (request.impls) d["impls"] = impls_json(impl_facts(*subject.model, size, common, request.dtype));
  }
  if (request.tensors) d["tensors"] = tensor_json(all_digests(*subject.checkpoint));
  return d;
}

}  // namespace mtyolo::cli
