// The fonts of labels and charts, baked in so that pictures look the same on every machine.
#pragma once

#include <string_view>

namespace mtyolo::data {

// TrueType files in base64 with the glyphs of ASCII and Latin-1. Their licence stands in font.cpp.
std::string_view bold_font_base64();
std::string_view regular_font_base64();

}  // namespace mtyolo::data
