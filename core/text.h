// Small helpers on text: splitting, numbers by whole token, nearest name.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mtyolo {

std::string_view trim(std::string_view text);  // without blanks, tabs, CR and LF at both ends
std::vector<std::string_view> split(std::string_view text, char separator);  // keeps empty parts
bool is_valid_utf8(std::string_view text);
std::string lower_case(std::string_view ascii);

// The whole token as a number, independent of locale; a leading '+' is allowed. Nothing if a character is
// left over, the value does not fit, or (for doubles) it is nan or inf.
std::optional<double> parse_double(std::string_view token);
std::optional<int64_t> parse_int(std::string_view token);

// The candidate with the smallest edit distance, if it is at most a third of the longer name (at least 1);
// empty otherwise.
std::string nearest_name(std::string_view name, std::span<const std::string> candidates);
// "; did you mean 'x'?" or "".
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates);

}  // namespace mtyolo
