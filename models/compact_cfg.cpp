#include "models/compact_cfg.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "core/text.h"

namespace mtyolo::models {
namespace {

using Ints = std::vector<int>;

Document number(int64_t value) { return Document::scalar(std::to_string(value)); }

Document numbers(const Ints& values) {
  std::vector<Document> items;
  for (const int v : values) items.push_back(number(v));
  return Document::list(std::move(items));
}

// graph.md section 6.
Document named_anchors(const Document& given) {
  if (!given.is_scalar()) return given;
  static const std::map<std::string, std::vector<Ints>> kSets{
      {"p5", {{12, 16, 19, 36, 40, 28}, {36, 75, 76, 55, 72, 146}, {142, 110, 192, 243, 459, 401}}},
      {"v3", {{10, 13, 16, 30, 33, 23}, {30, 61, 62, 45, 59, 119}, {116, 90, 156, 198, 373, 326}}},
      {"p6",
       {{19, 27, 44, 40, 38, 94},
        {96, 68, 86, 152, 180, 137},
        {140, 301, 303, 264, 238, 542},
        {436, 615, 739, 380, 925, 792}}}};
  const auto it = kSets.find(given.text);
  if (it == kSets.end()) return given;
  std::vector<Document> levels;
  for (const Ints& level : it->second) levels.push_back(numbers(level));
  return Document::list(std::move(levels));
}

class Expander {
 public:
  explicit Expander(std::optional<Document> activation) : activation_(std::move(activation)) {}

  // The rows of the lines of a list; numbering goes on from the call before.
  Document expand(const Document& lines, const std::string& key) {
    if (!lines.is_list()) throw document_error(lines, fmt::format("{} is not a list of lines", key));
    rows_.clear();
    for (const Document& item : lines.items) {
      const bool labelled = item.is_map() && item.fields.size() == 1;
      const Document& text = labelled ? item.fields[0].second : item;
      line_ = &text;
      expand_line(text.as_text("a row"));
      if (labelled) add_label(item.fields[0].first);
    }
    return Document::list(std::move(rows_));
  }

 private:
  using Words = std::vector<std::string>;

  [[noreturn]] void fail_line(const std::string& message) const { throw document_error(*line_, message); }

  void expand_line(const std::string& text) {
    Words words;
    for (const std::string_view word : split(text, ' '))
      if (!trim(word).empty()) words.emplace_back(trim(word));
    if (words.empty()) fail_line("an empty row, expected a module name");
    if (words[0] == "ELAN") return elan(words, false);
    if (words[0] == "EELAN") return elan(words, true);
    if (words[0] == "MPD") return mpd(words);
    if (words[0] == "UP") return up(words);
    plain(words);
  }

  void plain(const Words& words) {
    Ints from{-1};
    int repeats = 1;
    std::vector<Document> args;
    for (size_t i = 1; i < words.size(); ++i) {
      const std::string& word = words[i];
      const auto count = word[0] == 'x' ? parse_int(std::string_view(word).substr(1)) : std::nullopt;
      if (word[0] == '@') {
        from.clear();
        for (const std::string_view ref : split(std::string_view(word).substr(1), ','))
          from.push_back(reference(ref));
      } else if (count) {
        repeats = whole(std::string_view(word).substr(1));
      } else {
        args.push_back(argument(word));
      }
    }
    const std::string& module = words[0];
    const bool list_input = module == "Concat" || module == "Shortcut" || module.ends_with("Detect");
    if (module == "Upsample") return row(from, false, "nn.Upsample", upsample_args());
    if (args.empty() && module.ends_with("Detect"))
      args = {Document::scalar("nc"), Document::scalar("anchors")};
    if (args.empty() && list_input) args = {number(1)};
    row(from, list_input, module, std::move(args), repeats);
  }

  Document argument(const std::string& word) const {
    if (word.find(',') == std::string::npos || word.find('(') != std::string::npos)
      return Document::scalar(word);
    std::vector<Document> items;
    for (const std::string_view part : split(word, ',')) items.push_back(Document::scalar(std::string(part)));
    return Document::list(std::move(items));
  }

  // ELAN(h,w,k,T,o) of graph.md section 6; the extended form repeats it and adds both.
  void elan(const Words& words, bool extended) {
    if (words.size() != 6) fail_line(words[0] + " takes 5 arguments: h w k TAPS o");
    const int h = whole(words[1]), w = whole(words[2]), k = whole(words[3]), o = whole(words[5]);
    if (k < 1 || k > 64) fail_line(fmt::format("{} of {} convolutions, expected 1..64", words[0], k));
    const Ints taps = elan_taps(words[4], k);
    elan_rows(h, w, k, o, taps, {-1}, {-2});
    if (!extended) return;
    elan_rows(h, w, k, o, taps, {-(k + 5)}, {-(k + 6)});
    row({-1, -(k + 5)}, true, "Shortcut", {number(1)});
  }

  void elan_rows(int h, int w, int k, int o, const Ints& taps, const Ints& first, const Ints& second) {
    conv(h, 1, 1, first);
    conv(h, 1, 1, second);
    for (int i = 0; i < k; ++i) conv(w, 3, 1);
    row(taps, true, "Concat", {number(1)});
    conv(o, 1, 1);
  }

  Ints elan_taps(const std::string& name, int k) const {
    Ints taps;
    if (name != "pairs" && name != "all")
      fail_line(fmt::format("taps {}, expected pairs or all", quoted(name)));
    for (int i = 1; i <= k + 2; i += name == "pairs" && i <= k ? 2 : 1) taps.push_back(-i);
    return taps;
  }

  void mpd(const Words& words) {
    if (words.size() != 2 && words.size() != 3) fail_line("MPD takes c and maybe a reference");
    const int c = whole(words[1]);
    Ints from{-1, -3};
    if (words.size() == 3) from.push_back(reference(words[2]));
    row({-1}, false, "MP", {});
    conv(c, 1, 1);
    conv(c, 1, 1, {-3});
    conv(c, 3, 2);
    row(from, true, "Concat", {number(1)});
  }

  void up(const Words& words) {
    if (words.size() != 3) fail_line("UP takes c and a reference");
    const int c = whole(words[1]), lateral = reference(words[2]);
    conv(c, 1, 1);
    row({-1}, false, "nn.Upsample", upsample_args());
    conv(c, 1, 1, {lateral});
    row({-1, -2}, true, "Concat", {number(1)});
  }

  void conv(int c, int k, int s, const Ints& from = {-1}) {
    row(from, false, "Conv", {number(c), number(k), number(s)});
  }

  static std::vector<Document> upsample_args() {
    return {Document::scalar("None"), number(2), Document::scalar("nearest")};
  }

  void row(const Ints& from, bool list_input, const std::string& module, std::vector<Document> args,
           int repeats = 1) {
    if (module == "Conv" && activation_ && args.size() == 3) {
      args.push_back(Document::scalar("None"));
      args.push_back(number(1));
      args.push_back(*activation_);
    }
    if (from.size() > 1 && !list_input) fail_line(module + " reads one row");
    Document d = Document::list({list_input ? numbers(from) : number(from.at(0)), number(repeats),
                                 Document::scalar(module), Document::list(std::move(args))});
    d.line = line_->line;
    d.column = line_->column;
    for (Document& part : d.items) part.line = d.line, part.column = d.column;
    rows_.push_back(std::move(d));
    ++count_;
  }

  int whole(std::string_view word) const {
    const auto value = parse_int(word);
    if (!value || *value < 1 || *value > 65'536)
      fail_line(fmt::format("{} is not a whole number in 1..65536", quoted(word)));
    return int(*value);
  }

  // A row number, a relative number, a label, or "label-1".
  int reference(std::string_view word) const {
    if (const auto value = parse_int(word); value && *value < 65'536 && *value > -65'536) return int(*value);
    const size_t minus = word.find('-');
    const auto it = labels_.find(std::string(word.substr(0, minus)));
    if (it == labels_.end()) {
      std::vector<std::string> known;
      for (const auto& [name, index] : labels_) known.push_back(name);
      fail_line(
          fmt::format("{} is no row number and no label above{}", quoted(word), did_you_mean(word, known)));
    }
    return it->second - (minus == std::string_view::npos ? 0 : whole(word.substr(minus + 1)));
  }

  void add_label(const std::string& label) {
    const bool good =
        !label.empty() && label[0] >= 'a' && label[0] <= 'z' && label.find('-') == std::string::npos;
    if (!good)
      fail_line(fmt::format("the label {} must begin with a lower-case letter and hold no -", quoted(label)));
    if (!labels_.emplace(label, count_ - 1).second)
      fail_line(fmt::format("the label {} is given twice", quoted(label)));
  }

  std::optional<Document> activation_;
  const Document* line_ = nullptr;
  std::vector<Document> rows_;
  int count_ = 0;  // rows so far, of both lists
  std::map<std::string, int> labels_;
};

const Document& head_lines(const Document& document, CfgForm form) {
  const Document* head = document.find("head");
  if (head == nullptr) throw document_error(document, "no head: is given");
  if (!head->is_map()) return *head;
  const std::string key = form == CfgForm::kTraining ? "training" : "deploy";
  const Document* lines = head->find(key);
  if (lines == nullptr) throw document_error(*head, fmt::format("head: has no form {}", quoted(key)));
  return *lines;
}

}  // namespace

bool is_compact_cfg(const Document& document) { return document.find("rows") != nullptr; }

Document expand_compact_cfg(const Document& document, CfgForm form) {
  constexpr std::array<std::string_view, 5> kCopied{"nc", "ch", "depth_multiple", "width_multiple",
                                                    "sharing"};
  const std::vector<std::string> known{"nc",   "ch",         "depth_multiple", "width_multiple", "anchors",
                                       "rows", "activation", "head",           "sharing"};
  Document out = Document::map({});
  out.file = document.file;
  for (const auto& [key, value] : document.fields) {
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw document_error(value, fmt::format("unknown key {}{}", quoted(key), did_you_mean(key, known)));
    if (std::find(kCopied.begin(), kCopied.end(), key) != kCopied.end()) out.fields.emplace_back(key, value);
    if (key == "anchors") out.fields.emplace_back(key, named_anchors(value));
  }
  const Document* activation = document.find("activation");
  Expander expander(activation != nullptr ? std::optional(*activation) : std::nullopt);
  out.fields.emplace_back("backbone", expander.expand(*document.find("rows"), "rows"));
  out.fields.emplace_back("head", expander.expand(head_lines(document, form), "head"));
  return out;
}

}  // namespace mtyolo::models
