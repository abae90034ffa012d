// Documents as YAML: block style, lists of scalars in one line.
#include <algorithm>
#include <array>

#include "core/text.h"
#include "core/yaml.h"

namespace mtyolo {
namespace {

constexpr int kDepthLimit = 64;

bool is_word(std::string_view text) {
  constexpr std::string_view kSafe = "_./+-";
  const auto plain = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kSafe.find(c) != std::string_view::npos;
  };
  return !text.empty() && text != "-" && text[0] != '+' && !text.starts_with("--") &&
         !text.starts_with(".") && std::all_of(text.begin(), text.end(), plain);
}

// Text that plain YAML would read as something else than text.
bool looks_typed(std::string_view text) {
  constexpr std::array<std::string_view, 8> kWords{"null", "true", "false", "yes", "no", "on", "off", "~"};
  const std::string lower = lower_case(text);
  return std::find(kWords.begin(), kWords.end(), lower) != kWords.end() || parse_double(text).has_value();
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += {'\\', c};
    else if (c == '\n') out += "\\n";
    else if (byte < 0x20 || byte == 0x7f) out += fmt::format("\\x{:02x}", byte);
    else out += c;
  }
  return out + "\"";
}

std::string scalar(const Document& d) {
  if (d.is_null()) return "null";
  if (!d.quoted_text && (is_word(d.text) || looks_typed(d.text))) return d.text;
  return d.quoted_text && is_word(d.text) && !looks_typed(d.text) ? d.text : in_quotes(d.text);
}

bool is_flat(const Document& d) {
  return std::none_of(d.items.begin(), d.items.end(), [](const Document& i) { return i.is_map(); });
}

std::string flow(const Document& d, int depth) {
  MTYOLO_CHECK(depth < kDepthLimit, "a document of more than {} levels", kDepthLimit);
  if (!d.is_list()) return scalar(d);
  std::string text;
  for (const Document& item : d.items) text += (text.empty() ? "" : ", ") + flow(item, depth + 1);
  return "[" + text + "]";
}

void block(const Document& d, int indent, std::string& out) {
  MTYOLO_CHECK(indent < kDepthLimit, "a document of more than {} levels", kDepthLimit);
  const std::string margin(size_t(indent) * 2, ' ');
  const auto value = [&](const std::string& head, const Document& v) {
    const bool rows = v.is_list() && !v.items.empty() && indent == 0 &&
                      std::all_of(v.items.begin(), v.items.end(), [](const auto& i) { return i.is_list(); });
    if ((v.is_map() && !v.fields.empty()) || (v.is_list() && !is_flat(v)) || rows) {
      out += margin + head + "\n";
      block(v, indent + 1, out);
    } else {
      out += margin + head + " " + (v.is_map() ? "{}" : flow(v, 0)) + "\n";
    }
  };
  for (const Document& item : d.items) {
    if (!item.is_map() || item.fields.empty()) {
      value("-", item);
      continue;
    }
    out += margin + "-\n";
    block(item, indent + 1, out);
  }
  for (const auto& [key, v] : d.fields)
    value((is_word(key) && !looks_typed(key) ? key : in_quotes(key)) + ":", v);
}

}  // namespace

std::string to_yaml(const Document& document) {
  if (!document.is_map() && !document.is_list()) return scalar(document) + "\n";
  std::string out;
  block(document, 0, out);
  return out.empty() ? (document.is_map() ? "{}\n" : "[]\n") : out;
}

}  // namespace mtyolo
