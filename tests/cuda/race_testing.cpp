#include "tests/cuda/race_testing.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cuda/simt/race.h"

namespace mtyolo::test {
namespace {

std::string line_of(const void* pc) {
  Dl_info info{};
  if (dladdr(pc, &info) == 0) return "unknown";
  const auto offset = reinterpret_cast<uintptr_t>(pc) - reinterpret_cast<uintptr_t>(info.dli_fbase) - 1;
  std::FILE* pipe = popen(fmt::format("addr2line -s -e /proc/{}/exe {:#x}", getpid(), offset).c_str(), "r");
  char line[256] = "unknown";
  if (pipe == nullptr) return line;
  if (std::fgets(line, sizeof(line), pipe) == nullptr) line[0] = 0;
  pclose(pipe);
  std::string text = line;
  return text.substr(0, text.find_first_of(" \n"));
}

}  // namespace

WithRaceChecker::WithRaceChecker() { emulator::enable_race_checker(line_of); }
WithRaceChecker::~WithRaceChecker() { emulator::race_checking = false; }

}  // namespace mtyolo::test
