#include "core/document.h"

#include <array>

#include "core/text.h"

namespace mtyolo {
namespace {

std::string describe(const Document& d) {
  switch (d.kind) {
    case Document::Kind::kNull:
      return "nothing";
    case Document::Kind::kScalar:
      return quoted(d.text);
    case Document::Kind::kList:
      return fmt::format("a list of {}", d.items.size());
    case Document::Kind::kMap:
      return "a map";
  }
  return "nothing";
}

}  // namespace

Error document_error(const Document& at, std::string message, std::string suggestion) {
  std::string where = at.line > 0 ? fmt::format("line {}, column {}", at.line, at.column) : "";
  return Error(
      {ExitCode::kUsage, "config", std::move(message), at.file, std::move(where), std::move(suggestion)});
}

Document::Document() = default;
Document::~Document() = default;
Document::Document(const Document&) = default;
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(const Document&) = default;
Document& Document::operator=(Document&&) noexcept = default;

const Document* Document::find(const std::string& key) const {
  for (const auto& [name, value] : fields)
    if (name == key) return &value;
  return nullptr;
}

Document Document::scalar(std::string text, bool quoted) {
  Document d;
  d.kind = Kind::kScalar;
  d.text = std::move(text);
  d.quoted_text = quoted;
  return d;
}

Document Document::list(std::vector<Document> items) {
  Document d;
  d.kind = Kind::kList;
  d.items = std::move(items);
  return d;
}

Document Document::map(std::vector<std::pair<std::string, Document>> fields) {
  Document d;
  d.kind = Kind::kMap;
  d.fields = std::move(fields);
  return d;
}

int64_t Document::as_int(const std::string& what, int64_t low, int64_t high) const {
  const auto value = is_scalar() ? parse_int(trim(text)) : std::nullopt;
  if (!value || *value < low || *value > high)
    throw document_error(
        *this, fmt::format("{} is {}, expected a whole number in {}..{}", what, describe(*this), low, high));
  return *value;
}

double Document::as_double(const std::string& what, double low, double high) const {
  const auto value = is_scalar() ? parse_double(trim(text)) : std::nullopt;
  if (!value || *value < low || *value > high)
    throw document_error(
        *this, fmt::format("{} is {}, expected a number in {}..{}", what, describe(*this), low, high));
  return *value;
}

bool Document::as_bool(const std::string& what) const {
  constexpr std::array<std::string_view, 3> kYes{"true", "yes", "on"}, kNo{"false", "no", "off"};
  const std::string lower = is_scalar() ? lower_case(trim(text)) : "";
  for (size_t i = 0; i < kYes.size(); ++i) {
    if (lower == kYes[i]) return true;
    if (lower == kNo[i]) return false;
  }
  throw document_error(*this, fmt::format("{} is {}, expected true or false", what, describe(*this)));
}

const std::string& Document::as_text(const std::string& what) const {
  if (!is_scalar())
    throw document_error(*this, fmt::format("{} is {}, expected text", what, describe(*this)));
  return text;
}

}  // namespace mtyolo
