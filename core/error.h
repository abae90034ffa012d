// Typed errors. Every failure a user can meet is one Error that says what was given, what was expected,
// where, and what to do; the command line turns it into one message (or one JSON document) and an exit code.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace mtyolo {

// Exit codes of the command (conventions.md section 3).
enum class ExitCode : int { kDone = 0, kRuntime = 1, kUsage = 2, kData = 3, kModel = 4, kVerify = 5 };

// What a message is made of. `where` is a line, byte offset, entry or tensor inside `file`.
struct ErrorInfo {
  ExitCode exit = ExitCode::kRuntime;
  std::string code;        // short, stable, machine-readable: "zip_crc", "usage", "check"
  std::string message;     // what was given and what was expected
  std::string file;        // may be empty
  std::string where;       // may be empty
  std::string suggestion;  // what to do; may be empty
};

// The only exception type thrown on purpose by this project. what() is the whole text:
// "FILE: WHERE: MESSAGE; SUGGESTION" with empty parts left out.
class Error : public std::runtime_error {
 public:
  explicit Error(ErrorInfo info);
  const ErrorInfo& info() const { return info_; }
  ExitCode exit_code() const { return info_.exit; }
  // The same error with `file` filled in, when it was not known where it was thrown.
  Error in_file(const std::string& file) const;

 private:
  ErrorInfo info_;
};

// Throws Error{exit, code, formatted message}.
template <class... Args>
[[noreturn]] void fail(ExitCode exit, std::string code, fmt::format_string<Args...> text, Args&&... args) {
  throw Error({exit, std::move(code), fmt::format(text, std::forward<Args>(args)...), {}, {}, {}});
}

// Text from a file or a client made safe to print: quoted, control bytes as \x1b, invalid UTF-8 escaped,
// cut at 80 characters (reliability.md section 2).
std::string quoted(std::string_view text);
// The same, so that a call with a std::string never means std::quoted of <iomanip>.
inline std::string quoted(const std::string& text) { return quoted(std::string_view(text)); }
inline std::string quoted(std::string& text) { return quoted(std::string_view(text)); }
inline std::string quoted(const char* text) { return quoted(std::string_view(text)); }

}  // namespace mtyolo

// Broken invariant or wrong argument inside the program: throws Error{kRuntime, "check"}.
#define MTYOLO_CHECK(condition, ...)                                                      \
  do {                                                                                    \
    if (!(condition)) ::mtyolo::fail(::mtyolo::ExitCode::kRuntime, "check", __VA_ARGS__); \
  } while (false)
