#include "cli/process_stats.h"

#include <unistd.h>

#include <ctime>
#include <fstream>

#include "core/text.h"

namespace mtyolo::cli {
namespace {

double seconds_of(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

}  // namespace

double seconds_since_process_start() {
  constexpr size_t kStartTime = 19;  // proc(5): field 22, counted from the field after the name in brackets
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');  // the name may hold blanks and brackets
  if (name_end == std::string::npos || name_end + 2 > line.size()) return 0;
  const auto fields = split(std::string_view(line).substr(name_end + 2), ' ');
  const auto ticks = fields.size() > kStartTime ? parse_double(fields[kStartTime]) : std::nullopt;
  if (!ticks) return 0;
  return seconds_of(CLOCK_BOOTTIME) - *ticks / double(::sysconf(_SC_CLK_TCK));
}

double process_cpu_seconds() { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

double peak_memory_mib() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("VmHWM:")) continue;
    const std::string_view value = trim(std::string_view(line).substr(6));
    const auto kib = parse_double(value.substr(0, value.find(' ')));
    return kib ? *kib / 1024 : 0;
  }
  return 0;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace mtyolo::cli
