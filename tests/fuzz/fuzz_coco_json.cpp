// Hostile COCO documents. Accepted means: every annotation of every image has a class below nc and lies in
// the frame, or is refused on its own. No path of the input is opened.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "data/formats/coco_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mtyolo;
  constexpr int kWidth = 100, kHeight = 50;
  const std::vector<std::string> names{"a", "b"};
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto source =
        data::make_coco_source(data::parse_coco_json(text, "fuzz.json"), names, "fuzz.json", "folder");
    for (size_t i = 0; i < source->images.size(); ++i) {
      const std::string& path = source->images[i].path;
      if (!path.starts_with("folder/") || path.find("/../") != std::string::npos) std::abort();
      try {
        const data::Labels labels = source->labels(i, kWidth, kHeight);
        if (labels.areas.size() != labels.labels.size()) std::abort();
        for (const data::Label& l : labels.labels)
          if (l.cls < 0 || l.cls >= 2 || !(l.w > 0 && l.w < 1.001f) || !(std::abs(l.x - 0.5f) < 0.501f))
            std::abort();
        for (const data::Crowd& c : labels.crowds)
          if (c.cls < 0 || c.cls >= 2) std::abort();
      } catch (const Error&) {
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
