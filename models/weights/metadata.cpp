#include "models/weights/metadata.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "core/text.h"
#include "models/weights/value_document.h"

namespace mtyolo::models {
namespace {

constexpr size_t kMaxDepth = 64;

nlohmann::ordered_json to_json(const Document& d) {
  using Json = nlohmann::ordered_json;
  if (d.is_list()) {
    Json list = Json::array();
    for (const Document& item : d.items) list.push_back(to_json(item));
    return list;
  }
  if (d.is_map()) {
    Json map = Json::object();
    for (const auto& [key, value] : d.fields) map[key] = to_json(value);
    return map;
  }
  const PlainValue v = plain_value(d);
  switch (v.kind) {
    case PlainKind::kNull:
      return nullptr;
    case PlainKind::kBool:
      return v.boolean;
    case PlainKind::kInt:
      return v.integer;
    case PlainKind::kDouble:
      if (std::isfinite(v.number)) return v.number;
      [[fallthrough]];
    case PlainKind::kText:
      break;
  }
  return d.text;
}

// Builds the Document while the text is parsed.
class DocumentHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  Document root;
  std::string problem;

  bool null() override { return add({}); }
  bool boolean(bool value) override { return add(Document::scalar(value ? "true" : "false")); }
  bool number_integer(int64_t value) override { return add(Document::scalar(std::to_string(value))); }
  bool number_unsigned(uint64_t value) override { return add(Document::scalar(std::to_string(value))); }
  bool number_float(double, const std::string& text) override { return add(Document::scalar(text)); }
  bool binary(binary_t&) override { return stop("binary data"); }
  bool string(std::string& text) override {
    const bool quoted_text = needs_quotes(text);
    return add(Document::scalar(std::move(text), quoted_text));
  }
  bool start_object(size_t) override { return open(Document::Kind::kMap); }
  bool start_array(size_t) override { return open(Document::Kind::kList); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& text) override {
    if (!keys_.back().insert(text).second) return stop("a repeated key");
    key_ = text;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    problem = fmt::format("is not valid JSON at byte {}", position);
    return false;
  }

 private:
  bool stop(const char* what) {
    problem = fmt::format("holds {}", what);
    return false;
  }
  Document* place(Document d) {
    if (open_.empty()) {
      root = std::move(d);
      return &root;
    }
    Document& parent = *open_.back();
    if (parent.is_list()) return &parent.items.emplace_back(std::move(d));
    return &parent.fields.emplace_back(key_, std::move(d)).second;
  }
  bool add(Document d) {
    place(std::move(d));
    return true;
  }
  bool open(Document::Kind kind) {
    if (open_.size() >= kMaxDepth) return stop("more than 64 levels");
    Document d;
    d.kind = kind;
    open_.push_back(place(std::move(d)));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  // A document grows only at its last child, so the addresses of the open ones stay valid.
  std::vector<Document*> open_;
  std::vector<std::unordered_set<std::string>> keys_;
  std::string key_;
};

}  // namespace

PlainValue plain_value(const Document& scalar) {
  PlainValue v;
  if (scalar.is_null()) v.kind = PlainKind::kNull;
  if (!scalar.is_scalar() || scalar.quoted_text) return v;
  const std::string lower = lower_case(scalar.text);
  const bool yes = lower == "true" || lower == "yes" || lower == "on";
  if (yes || lower == "false" || lower == "no" || lower == "off") {
    v.kind = PlainKind::kBool;
    v.boolean = yes;
  } else if (lower.empty() || lower == "~" || lower == "null") {
    v.kind = PlainKind::kNull;
  } else if (const auto integer = parse_int(scalar.text)) {
    v.kind = PlainKind::kInt;
    v.integer = *integer;
  } else if (const auto number = parse_double(scalar.text)) {
    v.kind = PlainKind::kDouble;
    v.number = *number;
  } else if (lower == ".inf" || lower == "-.inf" || lower == ".nan") {
    v.kind = PlainKind::kDouble;
    v.number = lower == ".nan" ? std::nan("") : lower == ".inf" ? HUGE_VAL : -HUGE_VAL;
  }
  return v;
}

std::string document_to_json(const Document& document) {
  return to_json(document).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Document document_from_json(std::string_view json) {
  DocumentHandler handler;
  if (!nlohmann::json::sax_parse(json, &handler))
    fail(ExitCode::kModel, "metadata", "the JSON text {} {}", quoted(json), handler.problem);
  return std::move(handler.root);
}

}  // namespace mtyolo::models
