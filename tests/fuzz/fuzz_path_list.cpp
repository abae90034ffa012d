// Hostile list files of images. Accepted means: every path can be printed and none comes twice.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <unordered_set>

#include "core/error.h"
#include "core/text.h"
#include "data/sources.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mtyolo;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    std::unordered_set<std::string> seen;
    for (const std::string& path : data::parse_path_list(text, "fuzz/list.txt")) {
      const bool plain = std::none_of(path.begin(), path.end(), [](char c) { return c >= 0 && c < ' '; });
      if (path.empty() || !plain || !is_valid_utf8(path) || !seen.insert(path).second) std::abort();
    }
  } catch (const Error&) {
  }
  return 0;
}
