// What goes to stdout: results only, as text or as one JSON document (conventions.md sections 1 and 7).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/error.h"

namespace mtyolo::cli {

using Json = nlohmann::ordered_json;

inline constexpr int kSchemaVersion = 1;

// {"schema_version": 1, "kind": kind}, to be completed.
Json json_document(std::string_view kind);
// {"kind": "error", "code", "message", "where", "suggestion", "exit"}; "where" is file and place.
Json error_document(const ErrorInfo& error);

// Writes to stdout at once. Throws Error{"stdout", kRuntime} when nobody can read it any more.
void print(std::string_view text);
void print_json(const Json& document);  // one line; bytes that are no UTF-8 become U+FFFD

// While one lives, print writes nothing: for verbs that run others and have a result of their own.
class Mute {
 public:
  Mute();
  ~Mute();
  Mute(const Mute&) = delete;
  Mute& operator=(const Mute&) = delete;
};

// "1.5 GiB", "640 KiB", "12 B".
std::string human_bytes(uint64_t bytes);

}  // namespace mtyolo::cli
