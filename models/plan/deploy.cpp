#include "models/plan/deploy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "models/heads.h"
#include "models/plan/fold.h"

namespace mtyolo::models {
namespace {

// Row numbers of the training form and of the deploy form.
struct RowMap {
  std::vector<int> to;    // old row -> new row, -1 = dropped
  std::vector<int> from;  // new row -> old row
};

// The rows the head reads in deploy form: without those of the auxiliary levels.
std::vector<int> head_inputs(const CfgRow& head) {
  std::vector<int> from = head.from;
  if (head.module == "IAuxDetect") from.resize(from.size() / 2);
  return from;
}

RowMap live_rows(const Cfg& cfg) {
  std::vector<bool> live(cfg.rows.size());
  live.back() = true;
  for (size_t i = cfg.rows.size(); i-- > 0;) {
    if (!live[i]) continue;
    for (const int r : i + 1 == cfg.rows.size() ? head_inputs(cfg.rows[i]) : cfg.rows[i].from)
      if (r >= 0) live[size_t(r)] = true;
  }
  live[0] = true;  // the row that reads the image keeps its number
  RowMap map;
  for (size_t i = 0; i < live.size(); ++i) {
    map.to.push_back(live[i] ? int(map.from.size()) : -1);
    if (live[i]) map.from.push_back(int(i));
  }
  return map;
}

Document from_document(const std::vector<int>& from, bool as_list, int row, const RowMap& map) {
  const auto one = [&](int old) {
    const int now = old < 0 ? -1 : map.to[size_t(old)];
    return Document::scalar(std::to_string(now == row - 1 ? -1 : now));
  };
  if (!as_list) return one(from.at(0));
  std::vector<Document> items;
  for (const int old : from) items.push_back(one(old));
  return Document::list(std::move(items));
}

Document* field(Document& map, const std::string& key) {
  for (auto& [name, value] : map.fields)
    if (name == key) return &value;
  return nullptr;
}

// The same in the rows that are left; a unit after a row that is gone is gone.
Sharing deploy_sharing(const Sharing& sharing, const RowMap& map) {
  const auto left = [&](int row) {  // at or before `row`; row 0 stays
    while (map.to[size_t(row)] < 0) --row;
    return map.to[size_t(row)];
  };
  Sharing out = sharing;
  if (out.until >= 0) out.until = left(out.until);
  out.cross_stitch.clear();
  for (const int row : sharing.cross_stitch)
    if (map.to[size_t(row)] >= 0) out.cross_stitch.push_back(map.to[size_t(row)]);
  if (out.cross_stitch.empty() && !is_tied(sharing) && sharing.mode == Sharing::Mode::kSoft)
    out.mode = Sharing::Mode::kNone;
  if (out.couple_first >= 0) {
    out.couple_last = left(out.couple_last);
    out.couple_first = std::min(left(out.couple_first), out.couple_last);
  }
  return out;
}

// The model description with the dead rows gone and Detect as its head.
Cfg deploy_cfg(const Cfg& cfg, const RowMap& map) {
  Document document = cfg.document;
  std::erase_if(document.fields, [](const auto& entry) { return entry.first == "sharing"; });
  size_t old = 0;
  for (const char* key : {"backbone", "head"}) {
    Document* list = field(document, key);
    MTYOLO_CHECK(list != nullptr, "the cfg document has no {}", key);
    std::vector<Document> rows;
    for (Document& item : list->items) {
      const size_t i = old++;
      if (map.to[i] < 0) continue;
      const bool is_head = i + 1 == cfg.rows.size();
      const std::vector<int> from = is_head ? head_inputs(cfg.rows[i]) : cfg.rows[i].from;
      item.items[0] = from_document(from, item.items[0].is_list(), map.to[i], map);
      if (is_head) item.items[2] = Document::scalar("Detect");
      rows.push_back(std::move(item));
    }
    list->items = std::move(rows);
  }
  return with_sharing(cfg_from_document(document, cfg.source), deploy_sharing(cfg.sharing, map));
}

// "heads.a.model.118.m.0.bias" -> "heads.a.model.122.m.0.bias".
std::string training_name(const std::string& name, const RowMap& map) {
  constexpr std::string_view kRow = "model.";
  const std::string plain = without_head(name);
  const std::string head = name.substr(0, name.size() - plain.size());
  size_t end = kRow.size();
  int row = 0;
  while (end < plain.size() && plain[end] != '.') row = row * 10 + (plain[end++] - '0');
  return fmt::format("{}{}{}{}", head, kRow, map.from.at(size_t(row)), plain.substr(end));
}

// Weights and biases of the folded convolutions, under the training form's row numbers.
std::unordered_map<std::string, Tensor> fold_all(const Model& model) {
  const FoldedGraph folded = fold_graph(model.graph);
  std::unordered_map<std::string, Tensor> out;
  for (const auto& [id, recipe] : folded.recipes) {
    const GraphNode& node = folded.graph.nodes[size_t(id)];
    const ops::ConvWeights w = folded_weights(recipe, std::get<ops::Conv2d>(node.attrs), model.weights);
    out[node.params[0]] = w.weight;
    out[node.params[1]] = w.bias;
  }
  return out;
}

double difference(double a, double b) {
  return std::isfinite(a) && std::isfinite(b) ? std::abs(a - b) : std::numeric_limits<double>::infinity();
}

}  // namespace

Model deploy_model(const Model& model) {
  const RowMap map = live_rows(model.cfg);
  Model out;
  out.cfg = deploy_cfg(model.cfg, map);
  out.heads = model.heads;
  out.source = model.source;
  out.bn_eps = model.bn_eps;
  out.fused = true;
  BuildOptions options;
  options.has_tensor = fused_form_has_tensor;
  options.fused = true;
  options.bn_eps = model.bn_eps;
  options.heads = model.heads;
  options.names = model.graph.names;
  out.graph = build_graph(out.cfg, options);

  const auto folded = fold_all(model);
  for (const ParamInfo& param : out.graph.params) {
    const std::string name = training_name(param.name, map);
    const auto it = folded.find(name);
    const Tensor* kept = model.weights.find(name);
    MTYOLO_CHECK(it != folded.end() || kept != nullptr, "nothing folds into {}", param.name);
    const Tensor tensor = it != folded.end() ? it->second : kept->to(DType::kF32);
    MTYOLO_CHECK(tensor.shape() == param.shape, "{} folds into {}, expected {}", param.name, tensor.shape(),
                 param.shape);
    out.weights.add(param.name, tensor);
  }
  out.transfer.total = out.transfer.transferred = int64_t(out.graph.params.size());
  return out;
}

PredictionDifference compare_predictions(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  MTYOLO_CHECK(a.size() == b.size(), "predictions of {} and {} heads", a.size(), b.size());
  constexpr int64_t kBoxColumns = 4;
  PredictionDifference d;
  for (size_t head = 0; head < a.size(); ++head) {
    MTYOLO_CHECK(a[head].shape() == b[head].shape(), "predictions {} and {}", a[head], b[head]);
    const Tensor x = a[head].contiguous(), y = b[head].contiguous();
    const int64_t columns = x.size(2);
    for (int64_t i = 0; i < x.numel(); ++i) {
      double& worst = i % columns < kBoxColumns ? d.box : d.probability;
      worst = std::max(worst, difference(x.data<float>()[i], y.data<float>()[i]));
    }
  }
  return d;
}

}  // namespace mtyolo::models
