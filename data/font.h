// The font of labels, baked in so that pictures look the same on every machine.
#pragma once

#include <cstdint>
#include <span>

namespace mtyolo::data {

// A TrueType file with the glyphs of printable ASCII. Its licence stands in font.cpp.
std::span<const uint8_t> font_file();

}  // namespace mtyolo::data
