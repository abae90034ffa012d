// Hostile label files. Accepted means: every class below nc, every box with area within the frame, up to
// rounding.
// Covers data/formats/label_source.cpp.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "data/formats/yolo_txt.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mtyolo;
  constexpr int kClasses = 3;
  constexpr float kSlack = 2e-4f;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const data::Label& l : data::parse_yolo_labels(text, "fuzz.txt", kClasses).labels) {
      const bool inside = l.x - l.w / 2 >= -kSlack && l.x + l.w / 2 <= 1 + kSlack &&
                          l.y - l.h / 2 >= -kSlack && l.y + l.h / 2 <= 1 + kSlack;
      if (l.cls < 0 || l.cls >= kClasses || !inside || !(l.w > 0) || !(l.h > 0)) std::abort();
      for (const data::Point& p : l.polygon)
        if (!(p.x >= 0 && p.x <= 1 && p.y >= 0 && p.y <= 1)) std::abort();
    }
  } catch (const Error&) {
  }
  return 0;
}
