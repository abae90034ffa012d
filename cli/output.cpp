#include "cli/output.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace mtyolo::cli {

Json json_document(std::string_view kind) { return {{"schema_version", kSchemaVersion}, {"kind", kind}}; }

Json error_document(const ErrorInfo& error) {
  Json d = json_document("error");
  d["code"] = error.code;
  d["message"] = error.message;
  d["where"] =
      error.file.empty() || error.where.empty() ? error.file + error.where : error.file + ": " + error.where;
  d["suggestion"] = error.suggestion;
  d["exit"] = int(error.exit);
  return d;
}

namespace {
int mutes = 0;
}  // namespace

Mute::Mute() { ++mutes; }
Mute::~Mute() { --mutes; }

void print(std::string_view text) {
  if (mutes > 0) return;
  const bool whole = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!whole || std::fflush(stdout) != 0)
    fail(ExitCode::kRuntime, "stdout", "cannot write to standard output: {}", std::strerror(errno));
}

void print_json(const Json& document) {
  print(document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::string human_bytes(uint64_t bytes) {
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = double(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return unit == 0 || value >= 100 ? fmt::format("{:.0f} {}", value, kUnits[unit])
                                   : fmt::format("{:.3g} {}", value, kUnits[unit]);
}

}  // namespace mtyolo::cli
