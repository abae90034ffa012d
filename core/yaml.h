// YAML files as Documents, read by yaml-cpp behind the limits of reliability.md section 7 (Y1-Y5).
#pragma once

#include <string>
#include <string_view>

#include "core/document.h"

namespace mtyolo {

// Limits on hostile files (Y1-Y3).
inline constexpr size_t kMaxYamlBytes = size_t{16} << 20;
inline constexpr int kMaxYamlDepth = 64;
inline constexpr int kMaxYamlAliases = 1000;
inline constexpr size_t kMaxYamlNodes = 1'000'000;             // aliases unfolded
inline constexpr size_t kMaxYamlTextBytes = size_t{32} << 20;  // text of all nodes, aliases unfolded

// The one document in `text`; an empty text gives a null document. Aliases are unfolded; a plain null or ~ is
// kNull; text is kept as written, and quoted_text (also set by !!str) tells "007" from 007. `name` goes into
// messages and Document::file. Throws Error{kUsage, "config"} with line and column for: bytes that are not
// UTF-8, control bytes, syntax, a tab as indent, a key given twice (both lines), keys that are no text, merge
// keys, unknown tags, a second document, and everything over the limits.
Document parse_yaml(std::string_view text, const std::string& name);

// The same for a file. Throws Error{"file_*"} when it cannot be read.
Document read_yaml(const std::string& path);

// Text that parse_yaml reads back with equal kinds, texts and quoting where it matters.
std::string to_yaml(const Document& document);

}  // namespace mtyolo
