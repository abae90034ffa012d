#include "models/heads.h"

#include <algorithm>
#include <cstring>

#include "models/init.h"

namespace mtyolo::models {
namespace {

constexpr std::string_view kHeads = "heads.";

// The rows of a tensor whose only long dimensions are `dim` and those after it, [1, R, 1, 1] or [R, ...].
Tensor select_rows(const Tensor& source, int dim, const std::vector<int64_t>& rows) {
  const Tensor from = source.contiguous();
  Shape shape = from.shape();
  const size_t row_bytes = from.size_bytes() / size_t(shape[dim]);
  shape[dim] = int64_t(rows.size());
  Tensor to = Tensor::empty(shape, from.dtype());
  for (size_t i = 0; i < rows.size(); ++i)
    std::memcpy(static_cast<std::byte*>(to.raw()) + i * row_bytes,
                static_cast<const std::byte*>(from.raw()) + size_t(rows[i]) * row_bytes, row_bytes);
  return to;
}

// The head whose detection row a tensor belongs to, if any.
const Head* detector_of(const Graph& graph, const std::string& name) {
  for (const Head& head : graph.heads)
    if (name.starts_with(head.prefix)) return &head;
  return nullptr;
}

}  // namespace

std::vector<HeadGroup> heads_from_document(const Document& document, int nc) {
  std::vector<HeadGroup> heads;
  if (document.is_null()) return heads;
  if (!document.is_map()) throw document_error(document, "heads is not a map from names to classes");
  for (const auto& [name, value] : document.fields) {
    const Document* classes = value.find("classes");
    if (classes == nullptr || !classes->is_list())
      throw document_error(value, fmt::format("the head {} has no list of classes", quoted(name)));
    HeadGroup group{name, {}};
    for (const Document& id : classes->items)
      group.classes.push_back(int(id.as_int("a class of head " + quoted(name), 0, nc - 1)));
    heads.push_back(std::move(group));
  }
  return heads;
}

Document heads_to_document(const std::vector<HeadGroup>& heads) {
  if (heads.empty()) return {};
  Document out = Document::map({});
  for (const HeadGroup& head : heads) {
    std::vector<Document> ids;
    for (const int c : head.classes) ids.push_back(Document::scalar(std::to_string(c)));
    out.fields.emplace_back(head.name, Document::map({{"classes", Document::list(std::move(ids))}}));
  }
  return out;
}

std::vector<int64_t> rows_of_classes(int anchors, const std::vector<int>& from,
                                     const std::vector<int>& classes) {
  constexpr int64_t kBoxRows = 5;  // x, y, w, h, objectness
  const int64_t outputs = kBoxRows + int64_t(from.size());
  std::vector<int64_t> rows;
  for (int a = 0; a < anchors; ++a) {
    for (int64_t r = 0; r < kBoxRows; ++r) rows.push_back(a * outputs + r);
    for (const int c : classes) {
      const auto column = std::find(from.begin(), from.end(), c);
      MTYOLO_CHECK(column != from.end(), "class {} is no column of the head", c);
      rows.push_back(a * outputs + kBoxRows + (column - from.begin()));
    }
  }
  return rows;
}

std::string head_in(const std::string& name) {
  const std::string::size_type plain = without_head(name).size();
  if (plain == name.size()) return {};
  return name.substr(kHeads.size(), name.size() - plain - kHeads.size() - 1);
}

std::string without_head(const std::string& name) {
  if (!name.starts_with(kHeads)) return name;
  const size_t end = name.find('.', kHeads.size());
  return end == std::string::npos ? name : name.substr(end + 1);
}

StateDict split_weights(const Graph& single, const StateDict& weights, const Graph& split) {
  const Head& all = single.heads.at(0);
  StateDict out;
  for (const ParamInfo& param : split.params) {
    if (param.kind == ParamInfo::Kind::kCrossStitch) {
      out.add(param.name, cross_stitch_identity(split, param));
      continue;
    }
    const std::string source_name = without_head(param.name);
    const Tensor* source = weights.find(source_name);
    MTYOLO_CHECK(source != nullptr, "the single head has no tensor {}", source_name);
    const bool convolution =
        param.kind == ParamInfo::Kind::kConvWeight || param.kind == ParamInfo::Kind::kConvBias;
    const bool factor = param.kind == ParamInfo::Kind::kImplicitMul;
    const Head* detector = source_name == param.name ? nullptr : detector_of(split, param.name);
    if (detector == nullptr || !(convolution || factor)) {
      out.add(param.name, *source);
      continue;
    }
    const Head& head = *detector;
    const int anchors = int(head.anchors[0].size() / 2);
    out.add(param.name,
            select_rows(*source, factor ? 1 : 0, rows_of_classes(anchors, all.classes, head.classes)));
  }
  return out;
}

}  // namespace mtyolo::models
