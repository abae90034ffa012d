#include "tests/repo/tree.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>

#include "core/file.h"
#include "core/text.h"

namespace mtyolo::test {
namespace {

namespace fs = std::filesystem;

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Blanks what is not code, keeping line breaks and columns.
class Blanker {
 public:
  explicit Blanker(std::string text) : text_(std::move(text)) {}

  std::string blank() {
    while (at_ < text_.size()) {
      if (text_.compare(at_, 2, "//") == 0) blank_to(text_.find('\n', at_));
      else if (text_.compare(at_, 2, "/*") == 0) blank_to(after("*/", at_ + 2));
      else if (text_.compare(at_, 2, "R\"") == 0) blank_raw();
      else if (text_[at_] == '"') blank_literal('"');
      else if (text_[at_] == '\'' && (at_ == 0 || !is_word(text_[at_ - 1]))) blank_literal('\'');
      else ++at_;  // also the ' inside 1'000
    }
    return std::move(text_);
  }

 private:
  size_t after(const std::string& end, size_t from) const {
    const size_t p = text_.find(end, from);
    return p == std::string::npos ? p : p + end.size();
  }
  void blank_to(size_t end) {
    end = std::min(end, text_.size());
    for (; at_ < end; ++at_)
      if (text_[at_] != '\n') text_[at_] = ' ';
  }
  void blank_raw() {
    const size_t open = text_.find('(', at_);
    blank_to(after(")" + text_.substr(at_ + 2, open - at_ - 2) + "\"", at_));
  }
  void blank_literal(char quote) {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    blank_to(end + 1);
  }

  std::string text_;
  size_t at_ = 0;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (const std::string_view line : split(text, '\n')) lines.emplace_back(line);
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

bool is_source(const fs::path& path) {
  constexpr std::array kEndings{".h", ".cpp", ".cu", ".cuh"};
  return std::any_of(kEndings.begin(), kEndings.end(), [&](const char* e) { return path.extension() == e; });
}

std::vector<SourceFile> read_tree() {
  constexpr size_t kMaxBytes = size_t{16} << 20;
  std::vector<SourceFile> files;
  for (const auto& top : fs::directory_iterator(".")) {
    const std::string folder = top.path().filename().string();
    if (!top.is_directory() || folder.starts_with(".") || folder.starts_with("build") || folder == "runs")
      continue;
    for (const auto& entry : fs::recursive_directory_iterator(top)) {
      if (!entry.is_regular_file() || !is_source(entry.path())) continue;
      const std::string text = read_file(entry.path().string(), kMaxBytes);
      files.push_back({entry.path().lexically_normal().string(), folder, lines_of(text),
                       lines_of(Blanker(text).blank())});
    }
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

// Whether the text before a brace opens a namespace, a type or a linkage block.
bool opens_scope(const std::string& head) {
  const auto words = identifiers(head);
  const auto has = [&](const char* w) { return std::find(words.begin(), words.end(), w) != words.end(); };
  if (has("namespace")) return true;
  return (has("class") || has("struct") || has("union") || has("enum")) &&
         head.find(')') == std::string::npos;
}

}  // namespace

const std::vector<SourceFile>& source_files() {
  static const std::vector<SourceFile> files = read_tree();
  return files;
}

std::vector<const SourceFile*> product_files() {
  std::vector<const SourceFile*> files;
  for (const SourceFile& f : source_files())
    if (f.folder != "tests" && f.folder != "bench") files.push_back(&f);
  return files;
}

std::vector<std::string> identifiers(const std::string& code) {
  std::vector<std::string> words;
  for (size_t i = 0; i < code.size();) {
    size_t end = i;
    while (end < code.size() && is_word(code[end])) ++end;
    if (end > i) words.push_back(code.substr(i, end - i));
    i = std::max(end, i + 1);
  }
  return words;
}

std::vector<Function> functions(const SourceFile& file) {
  std::vector<Function> found;
  std::vector<int>
      open;  // for each open brace: 0 = scope, else the line where a function body began, or -1 inside it
  std::string head;
  for (size_t i = 0; i < file.code.size(); ++i) {
    const std::string& line = file.code[i];
    if (line.starts_with("#")) continue;
    for (const char c : line + "\n") {
      if (c == '{') {
        const bool inside = !open.empty() && open.back() != 0;
        open.push_back(inside                                ? -1
                       : opens_scope(head)                   ? 0
                       : head.find('(') != std::string::npos ? int(i) + 1
                                                             : -1);
        head.clear();
      } else if (c == '}') {
        if (!open.empty() && open.back() > 0) found.push_back({open.back(), int(i) + 2 - open.back()});
        if (!open.empty()) open.pop_back();
        head.clear();
      } else if (c == ';') {
        head.clear();
      } else {
        head += c;
      }
    }
  }
  return found;
}

}  // namespace mtyolo::test
