// Hostile VOC annotations. Accepted means: classes below nc and boxes with area within the frame.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "data/formats/voc_xml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mtyolo;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const data::Label& l : data::parse_voc_xml(text, "fuzz.xml", {"cat", "dog"}, 100, 50).labels)
      if (l.cls < 0 || l.cls >= 2 || !(l.w > 0 && l.w < 1.001f) || !(l.h > 0 && l.h < 1.001f) ||
          !(std::abs(l.x - 0.5f) < 0.501f) || !(std::abs(l.y - 0.5f) < 0.501f))
        std::abort();
  } catch (const Error&) {
  }
  return 0;
}
