#include "models/weights/value_document.h"

#include <array>
#include <cmath>
#include <unordered_set>

#include "core/text.h"

namespace mtyolo::models {
namespace {

constexpr size_t kMaxNodes = 500'000, kMaxTextBytes = size_t(16) << 20;

std::string number_text(double value) {
  if (std::isnan(value)) return ".nan";
  if (std::isinf(value)) return value < 0 ? "-.inf" : ".inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

Document scalar_of(const PickleTree& tree, Ref r) {
  switch (tree.kind(r)) {
    case ValueKind::kBool:
      return Document::scalar(tree.integer(r) != 0 ? "True" : "False");
    case ValueKind::kInt:
      return Document::scalar(std::to_string(tree.integer(r)));
    case ValueKind::kDouble:
      return Document::scalar(number_text(tree.number(r)));
    case ValueKind::kString:
      return Document::scalar(std::string(tree.text(r)), needs_quotes(tree.text(r)));
    case ValueKind::kArray: {
      const auto number = tree.as_number(r);
      return number ? Document::scalar(number_text(*number)) : Document{};
    }
    default:
      return {};
  }
}

struct Work {
  Ref ref;
  Document* to;
};

// Sizes the document's children once, so that pointers to them stay valid, and returns them as work.
void open_container(const PickleTree& tree, const Work& w, std::vector<Work>& stack) {
  const auto items = tree.items(w.ref);
  if (!tree.is(w.ref, ValueKind::kDict)) {
    w.to->kind = Document::Kind::kList;
    w.to->items.resize(items.size());
    for (size_t i = 0; i < items.size(); ++i) stack.push_back({items[i], &w.to->items[i]});
    return;
  }
  w.to->kind = Document::Kind::kMap;
  std::unordered_set<std::string> keys;
  std::vector<Ref> values;
  for (size_t i = 0; i < items.size(); i += 2) {
    const Document key = scalar_of(tree, items[i]);
    if (!key.is_scalar() || !keys.insert(key.text).second) continue;
    w.to->fields.emplace_back(key.text, Document{});
    values.push_back(items[i + 1]);
  }
  for (size_t i = 0; i < values.size(); ++i) stack.push_back({values[i], &w.to->fields[i].second});
}

}  // namespace

bool needs_quotes(std::string_view text) {
  constexpr std::array<std::string_view, 12> kWords{"",   "~",  "null", "true", "false", "yes",
                                                    "no", "on", "off",  ".inf", "-.inf", ".nan"};
  const std::string lower = lower_case(text);
  for (const std::string_view word : kWords)
    if (lower == word) return true;
  return trim(text) != text || parse_int(text).has_value() || parse_double(text).has_value();
}

Document to_document(const PickleTree& tree, Ref value) {
  Document root;
  std::vector<Work> stack{{value, &root}};
  size_t nodes = 0, text_bytes = 0;
  while (!stack.empty()) {
    const Work w = stack.back();
    stack.pop_back();
    const ValueKind kind = tree.kind(w.ref);
    const bool container = kind == ValueKind::kList || kind == ValueKind::kTuple || kind == ValueKind::kSet ||
                           kind == ValueKind::kDict;
    const size_t children = container ? tree.items(w.ref).size() : 0;
    nodes += children + 1;
    text_bytes += kind == ValueKind::kString ? tree.text(w.ref).size() : 0;
    for (size_t i = 0; kind == ValueKind::kDict && i < children; i += 2)
      if (tree.is(tree.items(w.ref)[i], ValueKind::kString))
        text_bytes += tree.text(tree.items(w.ref)[i]).size();
    if (nodes > kMaxNodes || text_bytes > kMaxTextBytes)
      fail(ExitCode::kModel, "P8",
           "a configuration inside the file has more than {} values or {} bytes of text", kMaxNodes,
           kMaxTextBytes);
    if (container) open_container(tree, w, stack);
    else *w.to = scalar_of(tree, w.ref);
  }
  return root;
}

}  // namespace mtyolo::models
