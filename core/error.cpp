#include "core/error.h"

#include "core/text.h"

namespace mtyolo {
namespace {

std::string full_text(const ErrorInfo& e) {
  std::string text;
  if (!e.file.empty()) text += e.file + ": ";
  if (!e.where.empty()) text += e.where + ": ";
  text += e.message;
  if (!e.suggestion.empty()) text += "; " + e.suggestion;
  return text;
}

// Length of the valid UTF-8 sequence at `p`, 0 if there is none.
size_t utf8_length(std::string_view s, size_t p) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char b = byte(p);
  const size_t n = b < 0x80 ? 1 : (b >> 5) == 6 ? 2 : (b >> 4) == 14 ? 3 : (b >> 3) == 30 ? 4 : 0;
  return n != 0 && p + n <= s.size() && is_valid_utf8(s.substr(p, n)) ? n : 0;
}

}  // namespace

Error::Error(ErrorInfo info) : std::runtime_error(full_text(info)), info_(std::move(info)) {}

Error Error::in_file(const std::string& file) const {
  ErrorInfo e = info_;
  if (e.file.empty()) e.file = file;
  return Error(std::move(e));
}

std::string quoted(std::string_view text) {
  constexpr size_t kMaxCharacters = 80;
  std::string out = "'";
  size_t shown = 0;
  for (size_t p = 0; p < text.size(); ++shown) {
    if (shown == kMaxCharacters) return out + "...'";
    const size_t n = utf8_length(text, p);
    const auto b = static_cast<unsigned char>(text[p]);
    // U+0080..U+009F are control characters too: U+009B starts a terminal sequence like ESC [.
    const bool c1_control = n == 2 && b == 0xc2 && static_cast<unsigned char>(text[p + 1]) < 0xa0;
    if (n == 0 || b < 0x20 || b == 0x7f || c1_control) {
      out += fmt::format("\\x{:02x}", b);
      p += 1;
    } else {
      out.append(text, p, n);
      p += n;
    }
  }
  return out + "'";
}

}  // namespace mtyolo
