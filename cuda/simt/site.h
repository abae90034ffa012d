// Where in a kernel's source a call stands; every collective takes one as its last, defaulted argument.
#pragma once

#include <cstdint>
#include <source_location>
#include <string>

namespace mtyolo::emulator {

struct Site {
  const char* file = "";
  uint32_t line = 0, column = 0;

  static constexpr Site here(std::source_location at = std::source_location::current()) {
    return {at.file_name(), at.line(), at.column()};
  }
  bool operator==(const Site& other) const {
    return line == other.line && column == other.column && std::string_view(file) == other.file;
  }
};

std::string to_string(const Site& site);  // "cuda/gemm.cu:120"

}  // namespace mtyolo::emulator
