#include "train/matched_heads.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "core/text.h"
#include "models/heads.h"

namespace mtyolo::train {
namespace {

using Names = std::vector<std::string>;

struct NamedHead {
  std::string name;
  Names classes;  // in the order of its columns
};

template <class Groups>
std::vector<NamedHead> named(const Groups& groups, const Names& names) {
  std::vector<NamedHead> out;
  for (const auto& g : groups) {
    out.push_back({g.name, {}});
    for (const int c : g.classes) out.back().classes.push_back(names.at(size_t(c)));
  }
  return out;
}

Names sorted(Names names) {
  std::sort(names.begin(), names.end());
  return names;
}

Names all_classes(const std::vector<NamedHead>& heads) {
  Names all;
  for (const NamedHead& h : heads) all.insert(all.end(), h.classes.begin(), h.classes.end());
  return sorted(all);
}

// 'a' (2 classes: 'x', 'y')
std::string describe(const NamedHead& head) {
  constexpr size_t kShown = 4;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, head.classes.size()); ++i)
    text += (i > 0 ? ", " : "") + mtyolo::quoted(head.classes[i]);
  return fmt::format("{} ({} class{}: {}{})", mtyolo::quoted(head.name), head.classes.size(),
                     head.classes.size() == 1 ? "" : "es", text, head.classes.size() > kShown ? ", ..." : "");
}

std::string describe(const std::vector<NamedHead>& heads) {
  std::string text;
  for (const NamedHead& h : heads) text += (text.empty() ? "" : ", ") + describe(h);
  return text;
}

[[noreturn]] void refuse(const data::DataCfg& data, const std::string& message,
                         const std::string& suggestion) {
  throw Error({ExitCode::kUsage, "heads", message, data.file, {}, suggestion});
}

// For each of `classes`, where it stands in `among`; of equal names the first that is left.
std::vector<int> columns_in(const Names& among, const Names& classes) {
  std::vector<int> columns;
  for (const std::string& name : classes) {
    auto at = among.begin();
    do at = std::find(at, among.end(), name) + 1;
    while (std::find(columns.begin(), columns.end(), int(at - among.begin()) - 1) != columns.end());
    columns.push_back(int(at - among.begin()) - 1);
  }
  return columns;
}

const NamedHead* source_of(const NamedHead& head, const std::vector<NamedHead>& theirs,
                           const models::Checkpoint& checkpoint, const data::DataCfg& data) {
  const NamedHead* alike = nullptr;
  for (const NamedHead& other : theirs) {
    const bool same_classes = sorted(other.classes) == sorted(head.classes);
    if (other.name == head.name && !same_classes)
      refuse(data,
             fmt::format("has the head {}, in the weights {} it is {}", describe(head),
                         mtyolo::quoted(checkpoint.file), describe(other)),
             "give the head another name, or the classes it has in the weights");
    if (other.name == head.name) return &other;
    if (same_classes && alike == nullptr) alike = &other;
  }
  return alike;
}

// The convolutions and factors whose rows are the outputs of the head.
std::set<std::string> output_parameters(const models::Graph& graph, const models::Head& head) {
  std::set<std::string> names;
  for (const auto* maps : {&head.raw, &head.aux_raw})
    for (int id : *maps) {
      while (std::holds_alternative<ops::ScaleShift>(graph.nodes[size_t(id)].attrs)) {
        names.insert(graph.nodes[size_t(id)].params.begin(), graph.nodes[size_t(id)].params.end());
        id = graph.nodes[size_t(id)].inputs.at(0);
      }
      names.insert(graph.nodes[size_t(id)].params.begin(), graph.nodes[size_t(id)].params.end());
    }
  return names;
}

Tensor take_rows(const Tensor& from, int dim, const std::vector<int64_t>& rows) {
  Shape shape = from.shape();
  shape[dim] = int64_t(rows.size());
  Tensor to = Tensor::empty(shape, from.dtype());
  for (size_t i = 0; i < rows.size(); ++i)
    to.slice(dim, int64_t(i), int64_t(i) + 1).copy_from(from.slice(dim, rows[i], rows[i] + 1));
  return to;
}

// With the class columns in another order. The tensor is left alone where its rows are not the head's
// outputs.
Tensor reordered(const Tensor& tensor, const models::ParamInfo& info, const models::Head& head,
                 const std::vector<int>& columns) {
  if (std::is_sorted(columns.begin(), columns.end())) return tensor;
  std::vector<int> all(columns.size());
  std::iota(all.begin(), all.end(), 0);
  const int anchors = int(head.anchors[0].size() / 2);
  const int dim = info.kind == models::ParamInfo::Kind::kImplicitMul ? 1 : 0;
  if (tensor.shape() != info.shape) return tensor;
  return take_rows(tensor, dim, models::rows_of_classes(anchors, all, columns));
}

}  // namespace

std::map<std::string, HeadSource> match_heads(const models::Checkpoint& checkpoint,
                                              const data::DataCfg& data) {
  if (checkpoint.heads.is_null() || data.heads.empty()) return {};
  const auto theirs =
      named(models::heads_from_document(checkpoint.heads, int(checkpoint.names.size())), checkpoint.names);
  const auto mine = named(data.heads, data.names);
  std::map<std::string, HeadSource> sources;
  std::set<std::string> used;
  for (const NamedHead& head : mine) {
    const NamedHead* from = source_of(head, theirs, checkpoint, data);
    if (from == nullptr) {
      sources[head.name] = {};
      continue;
    }
    sources[head.name] = {from->name, columns_in(from->classes, head.classes)};
    used.insert(from->name);
  }
  if (used.empty() && all_classes(mine) != all_classes(theirs)) return {};
  std::vector<NamedHead> lacking;
  for (const NamedHead& head : theirs)
    if (!used.contains(head.name)) lacking.push_back(head);
  if (!lacking.empty())
    refuse(data,
           fmt::format("has the heads {}; the weights {} also have {}", describe(mine),
                       mtyolo::quoted(checkpoint.file), describe(lacking)),
           "name all heads of the weights, leave `heads:` out to take them, or give weights with one head");
  return sources;
}

std::string name_here(const std::string& from, const std::map<std::string, HeadSource>& sources) {
  for (const auto& [name, source] : sources)
    if (source.from == from) return name;
  return from;
}

namespace {

// A new head starts with what the first of the others has in its detection row beside the outputs: anchors
// and implicit terms of the input.
void add_beside_outputs(const models::StateDict& weights, const models::Graph& graph,
                        const std::map<std::string, HeadSource>& sources,
                        const std::map<std::string, std::set<std::string>>& outputs, models::StateDict& out) {
  std::string first;
  for (const models::Head& head : graph.heads)
    if (first.empty()) first = sources.at(head.name).from;
  for (const models::Head& head : graph.heads) {
    if (!sources.at(head.name).from.empty()) continue;
    for (const models::ParamInfo& info : graph.params) {
      if (!info.name.starts_with(head.prefix) || outputs.at(head.name).contains(info.name)) continue;
      const Tensor* t = weights.find("heads." + first + "." + models::without_head(info.name));
      if (t != nullptr) out.add(info.name, *t);
    }
  }
}

}  // namespace

models::StateDict renamed_tensors(const models::StateDict& weights, const models::Graph& graph,
                                  const std::map<std::string, HeadSource>& sources) {
  std::map<std::string, const models::ParamInfo*> params;
  for (const models::ParamInfo& info : graph.params) params[info.name] = &info;
  std::map<std::string, std::set<std::string>> outputs;
  for (const models::Head& head : graph.heads) outputs[head.name] = output_parameters(graph, head);
  models::StateDict out;
  for (const auto& [name, tensor] : weights.entries()) {
    const std::string from = models::head_in(name);
    const models::Head* head = from.empty() ? nullptr : graph.find_head(name_here(from, sources));
    if (head == nullptr) {
      out.add(name, tensor);
      continue;
    }
    const std::string mine = "heads." + head->name + "." + models::without_head(name);
    const bool is_output = outputs[head->name].contains(mine);
    out.add(mine,
            is_output ? reordered(tensor, *params.at(mine), *head, sources.at(head->name).columns) : tensor);
  }
  add_beside_outputs(weights, graph, sources, outputs, out);
  return out;
}

std::vector<std::string> head_notes(const data::DataCfg& data,
                                    const std::map<std::string, HeadSource>& sources) {
  std::vector<std::string> notes;
  for (const data::HeadCfg& head : data.heads) {
    const auto it = sources.find(head.name);
    if (it == sources.end()) continue;
    const std::string count =
        fmt::format("{} class{}", head.classes.size(), head.classes.size() == 1 ? "" : "es");
    notes.push_back(
        it->second.from.empty()
            ? fmt::format("head {}: new, {}, its outputs start from random weights", head.name, count)
            : fmt::format("head {}: {}, from head {} of the weights", head.name, count, it->second.from));
  }
  return notes;
}

}  // namespace mtyolo::train
