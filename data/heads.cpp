// `heads:` of data.yaml (conventions.md section 4): which classes each head owns.
#include <algorithm>
#include <array>
#include <optional>

#include "core/text.h"
#include "data/data_cfg.h"

namespace mtyolo::data {
namespace {

using Names = std::vector<std::string>;

constexpr double kMaxWeight = 1e6;

int checked_id(const Document& at, int64_t id, const Names& names) {
  if (id < 0 || id >= int64_t(names.size()))
    throw document_error(at, fmt::format("class {} does not exist, the {} classes are 0..{}", id,
                                         names.size(), names.size() - 1));
  return int(id);
}

// "0-9" as its two ends; nothing if the text is no range.
std::optional<std::pair<int64_t, int64_t>> parse_range(std::string_view text) {
  const size_t dash = text.find('-', 1);
  if (dash == std::string_view::npos) return std::nullopt;
  const auto low = parse_int(trim(text.substr(0, dash))), high = parse_int(trim(text.substr(dash + 1)));
  if (!low || !high) return std::nullopt;
  return std::pair(*low, *high);
}

std::optional<int> find_name(const Document& at, std::string_view text, const Names& names) {
  const auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end()) return std::nullopt;
  if (std::find(found + 1, names.end(), text) != names.end())
    throw document_error(at, "two classes are named " + quoted(text), "use the class id");
  return int(found - names.begin());
}

// "7" or "0-9"; false if the token is neither.
bool add_numbers(const Document& at, std::string_view token, const Names& names, std::vector<int>& out) {
  if (const auto id = parse_int(token)) {
    out.push_back(checked_id(at, *id, names));
    return true;
  }
  const auto range = parse_range(token);
  if (!range) return false;
  if (range->first > range->second)
    throw document_error(at, fmt::format("the class range {} runs backwards", quoted(token)));
  const int low = checked_id(at, range->first, names), high = checked_id(at, range->second, names);
  for (int id = low; id <= high; ++id) out.push_back(id);
  return true;
}

// One id, range or name. What was quoted is looked up as a name first.
void add_token(const Document& at, std::string_view token, const Names& names, std::vector<int>& out) {
  if (!at.quoted_text && add_numbers(at, token, names, out)) return;
  if (const auto id = find_name(at, token, names)) return out.push_back(*id);
  if (at.quoted_text && add_numbers(at, token, names, out)) return;
  throw document_error(at, "unknown class " + quoted(token) + did_you_mean(token, names));
}

// "0-9", "person", "0-9, 12": a text that is a name as a whole is not taken apart.
void add_text(const Document& at, const Names& names, std::vector<int>& out) {
  if (std::find(names.begin(), names.end(), at.text) != names.end() || at.text.find(',') == std::string::npos)
    return add_token(at, at.text, names, out);
  for (const std::string_view part : split(at.text, ',')) add_token(at, trim(part), names, out);
}

}  // namespace

std::vector<int> parse_class_ids(const Document& classes, const Names& names) {
  std::vector<int> out;
  if (classes.is_scalar()) {
    add_text(classes, names, out);
  } else if (classes.is_list()) {
    for (const Document& item : classes.items) {
      if (!item.is_scalar())
        throw document_error(item, "classes holds something that is no id, range or class name");
      add_text(item, names, out);
    }
  } else {
    throw document_error(classes, "classes is no id, range, class name or list of these");
  }
  return out;
}

namespace {

// Head names become parts of tensor names (`heads.a.model...`) and of flags (`a=0.3`).
void check_head_name(const Document& at, const std::string& name) {
  constexpr size_t kMaxBytes = 64;
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  if (name.empty() || name.size() > kMaxBytes || !std::all_of(name.begin(), name.end(), allowed))
    throw document_error(
        at, fmt::format("head name {}, expected 1..{} letters, digits, _ or -", quoted(name), kMaxBytes));
}

std::vector<int> head_classes(const Document& classes, const Names& names) {
  std::vector<int> out = parse_class_ids(classes, names);
  if (out.empty()) throw document_error(classes, "a head without classes");
  return out;
}

HeadCfg parse_head(const std::string& name, const Document& body, const Names& names,
                   const std::map<std::string, std::vector<int>>& brought) {
  static const std::array<std::string, 3> kKeys{"classes", "weight", "data"};
  check_head_name(body, name);
  HeadCfg head;
  head.name = name;
  if (!body.is_map()) {  // the short form `a: 0-9`
    head.classes = head_classes(body, names);
    return head;
  }
  for (const auto& [key, value] : body.fields)
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end())
      throw document_error(
          value, fmt::format("unknown key {} in head {}{}", quoted(key), name, did_you_mean(key, kKeys)));
  const Document* classes = body.find("classes");
  const auto own = brought.find(name);
  if (own != brought.end() && classes != nullptr)
    throw document_error(*classes, fmt::format("head {} has both classes and data", name),
                         "a head with its own data file takes all names of that file");
  if (own == brought.end() && classes == nullptr)
    throw document_error(body, fmt::format("head {} has neither classes nor data", name),
                         "write {classes: 0-9}, or {data: other.yaml}");
  head.classes = own != brought.end() ? own->second : head_classes(*classes, names);
  if (const Document* weight = body.find("weight")) head.weight = weight->as_double("weight", 0, kMaxWeight);
  return head;
}

}  // namespace

std::vector<HeadCfg> parse_heads(const Document& heads, const Names& names,
                                 const std::map<std::string, std::vector<int>>& brought) {
  if (!heads.is_map() || heads.fields.empty())
    throw document_error(heads, "heads is no map of heads",
                         "write heads: {a: {classes: 0-9}, b: {classes: 10-79}}");
  std::vector<HeadCfg> out;
  std::vector<int> owner(names.size(), -1);
  for (const auto& [name, body] : heads.fields) {
    out.push_back(parse_head(name, body, names, brought));
    for (const int id : out.back().classes) {
      int& head = owner[size_t(id)];
      if (head >= 0)
        throw document_error(body, fmt::format("class {} ({}) belongs to head {} and again to head {}", id,
                                               quoted(names[size_t(id)]), out[size_t(head)].name, name));
      head = int(out.size()) - 1;
    }
  }
  const auto left_out = std::find(owner.begin(), owner.end(), -1);
  if (left_out != owner.end()) {
    const auto id = left_out - owner.begin();
    throw document_error(heads,
                         fmt::format("class {} ({}) belongs to no head ({} classes are left out)", id,
                                     quoted(names[size_t(id)]), std::count(owner.begin(), owner.end(), -1)),
                         "the heads must cover all names");
  }
  if (out.size() > kMaxHeads)
    throw document_error(heads, fmt::format("{} heads, at most {} are possible", out.size(), kMaxHeads));
  return out;
}

}  // namespace mtyolo::data
