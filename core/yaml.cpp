#include "core/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <array>
#include <optional>
#include <sstream>
#include <unordered_map>

#include "core/file.h"
#include "core/text.h"

namespace mtyolo {
namespace {

[[noreturn]] void fail_at(int line, int column, std::string message, std::string suggestion = {}) {
  Document at;
  at.line = line;
  at.column = column;
  throw document_error(at, std::move(message), std::move(suggestion));
}

// Y1: UTF-8 without control bytes. CR LF becomes LF, a byte order mark is dropped.
std::string checked_text(std::string_view text) {
  if (text.size() > kMaxYamlBytes)
    fail_at(0, 0, fmt::format("{} bytes of YAML, expected at most {}", text.size(), kMaxYamlBytes));
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    fail_at(1, 1, "UTF-16 text, expected UTF-8", "save the file as UTF-8");
  std::string out;
  out.reserve(text.size());
  int line = 1, column = 1;
  for (size_t i = 0; i < text.size(); ++i, ++column) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    if ((byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7f)
      fail_at(line, column, fmt::format("control byte \\x{:02x}, expected text", byte));
    out += text[i];
    if (byte == '\n') ++line, column = 0;
  }
  if (!is_valid_utf8(out)) fail_at(0, 0, "bytes that are not UTF-8, expected UTF-8 text");
  return out;
}

// Y2: looks for deep nesting and for tabs as indent before yaml-cpp sees the text, without recursion. It
// reads quotes, comments, flow brackets and block scalars only as far as these two questions need;
// EventReader counts the exact depth.
class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text) {}

  void run() {
    while (at_ < text_.size()) {
      begin_line();
      while (at_ < text_.size() && text_[at_] != '\n') step();
      end_line();
    }
  }

 private:
  static constexpr std::string_view kEndsPlainKey = " \t\n,[]{}";
  bool in_flow() const { return flow_depth_ > 0; }

  void begin_line() {
    line_start_ = at_;
    token_start_ = true;
    block_scalar_starts_ = false;
    if (quote_ != 0) return;
    bool tab = false;
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) tab |= text_[at_++] == '\t';
    const bool blank = at_ == text_.size() || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '#';
    const int indent = int(at_ - line_start_);
    if (!in_flow() && !blank && block_scalar_indent_ >= 0) {
      if (indent > block_scalar_indent_) {
        skip_line();
        return;
      }
      block_scalar_indent_ = -1;
    }
    if (tab && !blank && !in_flow() && block_scalar_indent_ < 0)
      fail_at(line_, column(), "a tab is used as indent", "YAML indents by blanks only");
    indent_ = indent;
    skip_indicators();
  }

  // "- - - x" nests once per dash.
  void skip_indicators() {
    int depth = 0;
    while (at_ + 1 < text_.size() && !in_flow() && (text_[at_] == '-' || text_[at_] == '?') &&
           text_[at_ + 1] == ' ') {
      check_depth(++depth);
      at_ += 2;
      while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    }
  }

  void step() {
    if (quote_ != 0) return step_quoted();
    const char c = text_[at_];
    const char before = at_ == line_start_ ? ' ' : text_[at_ - 1];
    const char after = at_ + 1 < text_.size() ? text_[at_ + 1] : '\n';
    if (c == ' ' || c == '\t') {
      if (before == ':' && !in_flow()) token_start_ = true;
      ++at_;
      return;
    }
    if (c == '#' && (before == ' ' || before == '\t')) return skip_line();
    if (token_start_ &&
        (c == '&' || c == '!' || c == '*')) {  // an anchor, tag or alias; what follows is a token
      at_ = std::min(text_.find_first_of(kEndsPlainKey, at_), text_.size());
      return;
    }
    ++at_;
    const bool starts = token_start_;
    token_start_ = false;
    if ((c == '"' || c == '\'') && starts) {
      quote_ = c;
    } else if ((c == '[' || c == '{') && (starts || in_flow())) {
      check_depth(++flow_depth_);
      token_start_ = true;
    } else if ((c == ']' || c == '}') && in_flow()) {
      --flow_depth_;
    } else if ((c == '|' || c == '>') && starts && !in_flow()) {
      block_scalar_starts_ = true;
    } else if (in_flow()) {
      const bool colon = c == ':' && (before == '"' || before == '\'' ||
                                      kEndsPlainKey.find(after) != std::string_view::npos);
      token_start_ = c == ',' || colon;
    }
  }

  void step_quoted() {
    const char c = text_[at_];
    const char after = at_ + 1 < text_.size() ? text_[at_ + 1] : '\n';
    const bool escape = quote_ == '"' ? c == '\\' && after != '\n' : c == '\'' && after == '\'';
    if (!escape && c == quote_) quote_ = 0;
    at_ += escape ? 2 : 1;
    token_start_ = false;
  }

  void end_line() {
    if (block_scalar_starts_) block_scalar_indent_ = indent_;
    if (at_ < text_.size()) ++at_;
    ++line_;
  }

  void skip_line() { at_ = std::min(text_.find('\n', at_), text_.size()); }
  int column() const { return int(at_ - line_start_) + 1; }

  void check_depth(int depth) const {
    if (depth > kMaxYamlDepth)
      fail_at(line_, column(), fmt::format("lists and maps nested deeper than {}", kMaxYamlDepth));
  }

  std::string_view text_;
  size_t at_ = 0, line_start_ = 0;
  int line_ = 1, indent_ = 0, flow_depth_ = 0;
  int block_scalar_indent_ = -1;  // indent of the line that opened a | or > text, -1 = none
  char quote_ = 0;                // inside a quoted scalar
  bool token_start_ = true, block_scalar_starts_ = false;
};

// Builds a Document from yaml-cpp's events, so that its own node tree is never made.
class EventReader : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (started_) fail_mark(mark, "a second document begins here, expected one");
    started_ = true;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(make(mark), anchor); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    const std::string kind = plain_tag(mark, tag);
    if (kind == "seq" || kind == "map") fail_mark(mark, "the tag !!" + kind + " stands before text");
    Document d = make(mark);
    if (kind != "null") {
      d.kind = Document::Kind::kScalar;
      d.text = value;
      d.quoted_text = tag == "!" || kind == "str";
    }
    leaf(std::move(d), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (++aliases_ > kMaxYamlAliases) fail_mark(mark, fmt::format("more than {} aliases", kMaxYamlAliases));
    const auto it = anchors_.find(anchor);
    if (it == anchors_.end()) fail_mark(mark, "an alias refers to the list or map that contains it");
    count(mark, it->second.nodes, it->second.text_bytes);
    add(it->second.document, mark);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Document::Kind::kList, "seq");
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Document::Kind::kMap, "map");
  }
  void OnMapEnd() override { close(); }

  Document take() { return std::move(root_); }

 private:
  struct Anchored {
    Document document;
    size_t nodes = 0, text_bytes = 0;
  };
  struct Frame {
    Document document;
    YAML::anchor_t anchor = 0;
    size_t nodes_before = 0, text_before = 0;
    std::optional<std::string> key;                  // maps: waiting for its value
    std::unordered_map<std::string, int> key_lines;  // maps: keys so far
  };

  [[noreturn]] static void fail_mark(const YAML::Mark& mark, std::string message) {
    fail_at(mark.line + 1, mark.column + 1, std::move(message));
  }

  static Document make(const YAML::Mark& mark) {
    Document d;
    d.line = mark.line + 1;
    d.column = mark.column + 1;
    return d;
  }

  // Y4: "" for no tag, else the name of one of the plain types.
  static std::string plain_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return {};
    constexpr std::string_view kPrefix = "tag:yaml.org,2002:";
    constexpr std::array<std::string_view, 7> kPlain{"str", "int", "float", "bool", "null", "seq", "map"};
    for (const std::string_view name : kPlain)
      if (tag.starts_with(kPrefix) && std::string_view(tag).substr(kPrefix.size()) == name)
        return std::string(name);
    fail_mark(mark, fmt::format(
                        "the tag {} is not read; expected none, or one of !!str !!int !!float !!bool !!null "
                        "!!seq !!map",
                        quoted(tag)));
  }

  void count(const YAML::Mark& mark, size_t nodes, size_t text_bytes) {
    nodes_ += nodes;
    text_bytes_ += text_bytes;
    if (nodes_ > kMaxYamlNodes)
      fail_mark(mark, fmt::format("more than {} values once aliases are unfolded", kMaxYamlNodes));
    if (text_bytes_ > kMaxYamlTextBytes)
      fail_mark(mark, fmt::format("more than {} bytes of text once aliases are unfolded", kMaxYamlTextBytes));
  }

  void leaf(Document d, YAML::anchor_t anchor) {
    const YAML::Mark mark = mark_of(d);
    count(mark, 1, d.text.size());
    if (anchor != 0) anchors_[anchor] = {d, 1, d.text.size()};
    add(std::move(d), mark);
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Document::Kind kind,
            const std::string& expected_tag) {
    const std::string name = plain_tag(mark, tag);
    if (!name.empty() && name != expected_tag)
      fail_mark(mark, "the tag !!" + name + " stands before a list or map");
    if (frames_.size() >= size_t(kMaxYamlDepth))
      fail_mark(mark, fmt::format("lists and maps nested deeper than {}", kMaxYamlDepth));
    if (!frames_.empty() && frames_.back().document.is_map() && !frames_.back().key)
      fail_mark(mark, "a list or map as a key, expected text");
    Frame frame;
    frame.document = make(mark);
    frame.document.kind = kind;
    frame.anchor = anchor;
    frame.nodes_before = nodes_;
    frame.text_before = text_bytes_;
    count(mark, 1, 0);
    frames_.push_back(std::move(frame));
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    if (frame.anchor != 0)
      anchors_[frame.anchor] = {frame.document, nodes_ - frame.nodes_before, text_bytes_ - frame.text_before};
    const YAML::Mark mark = mark_of(frame.document);
    add(std::move(frame.document), mark);
  }

  void add(Document d, const YAML::Mark& mark) {
    if (frames_.empty()) {
      root_ = std::move(d);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.document.is_list()) {
      frame.document.items.push_back(std::move(d));
    } else if (frame.key) {
      frame.document.fields.emplace_back(std::move(*frame.key), std::move(d));
      frame.key.reset();
    } else {
      if (!d.is_scalar()) fail_mark(mark, "a key that is no text");
      if (d.text == "<<" && !d.quoted_text)
        fail_mark(mark, "merge keys (<<) are not read; write the entries out");
      const auto [it, fresh] = frame.key_lines.emplace(d.text, mark.line + 1);
      if (!fresh)
        fail_mark(mark,
                  fmt::format("the key {} is given twice, first in line {}", quoted(d.text), it->second));
      frame.key = std::move(d.text);
    }
  }

  static YAML::Mark mark_of(const Document& d) {
    YAML::Mark mark;
    mark.line = d.line - 1;
    mark.column = d.column - 1;
    return mark;
  }

  Document root_;
  std::vector<Frame> frames_;
  std::unordered_map<YAML::anchor_t, Anchored> anchors_;
  int aliases_ = 0;
  size_t nodes_ = 0, text_bytes_ = 0;
  bool started_ = false;
};

}  // namespace

Document parse_yaml(std::string_view text, const std::string& name) {
  try {
    const std::string clean = checked_text(text);
    Scan(clean).run();
    std::istringstream stream(clean);
    YAML::Parser parser(stream);
    EventReader reader;
    while (parser.HandleNextDocument(reader)) {
    }
    Document root = reader.take();
    root.file = name;
    return root;
  } catch (const YAML::Exception& e) {
    Document at;
    at.line = e.mark.line + 1;
    at.column = e.mark.column + 1;
    throw document_error(at, "not valid YAML: " + e.msg).in_file(name);
  } catch (const Error& e) {
    throw e.in_file(name);
  }
}

Document read_yaml(const std::string& path) { return parse_yaml(read_file(path, kMaxYamlBytes), path); }

}  // namespace mtyolo
