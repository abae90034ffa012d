// Text by stb_truetype from the font baked in (font.cpp): trusted data, never a file of the user.
#include <algorithm>
#include <cmath>

#include "data/draw.h"
#include "data/font.h"

#define STBTT_STATIC
#define STB_TRUETYPE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#include <stb/stb_truetype.h>
#pragma GCC diagnostic pop

namespace mtyolo::data {
namespace {

const stbtt_fontinfo& font() {
  static const stbtt_fontinfo info = [] {
    stbtt_fontinfo f{};
    MTYOLO_CHECK(stbtt_InitFont(&f, font_file().data(), 0) != 0, "the baked-in font cannot be read");
    return f;
  }();
  return info;
}

// One character per code point of the text, '?' for what the font does not have.
std::string to_ascii(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool continues = (byte & 0xc0) == 0x80;
    if (!continues) out += byte >= 0x20 && byte < 0x7f ? c : '?';
  }
  return out;
}

// Calls visit(character, x of its origin) along the line; returns the width.
template <class Visit>
double walk_line(std::string_view text, float scale, Visit&& visit) {
  double x = 0;
  for (const char c : to_ascii(text)) {
    int advance = 0, bearing = 0;
    stbtt_GetCodepointHMetrics(&font(), c, &advance, &bearing);
    visit(c, x);
    x += double(advance) * scale;
  }
  return x;
}

// Mixes `colour` into the pixels under a glyph's coverage.
struct Glyph {
  int x = 0, y = 0, width = 0, height = 0;
  std::vector<uint8_t> coverage;
};

void blend(Image& image, const Glyph& glyph, Rgb colour) {
  const uint8_t ink[3] = {colour.r, colour.g, colour.b};
  for (int v = std::max(0, -glyph.y); v < glyph.height && glyph.y + v < image.height; ++v)
    for (int u = std::max(0, -glyph.x); u < glyph.width && glyph.x + u < image.width; ++u) {
      const int share = glyph.coverage[size_t(v) * size_t(glyph.width) + size_t(u)];
      uint8_t* pixel = image.row(glyph.y + v) + (glyph.x + u) * 3;
      for (int c = 0; c < 3; ++c) pixel[c] = uint8_t((pixel[c] * (255 - share) + ink[c] * share + 127) / 255);
    }
}

Glyph rasterise(char c, float scale, double x, int baseline) {
  const float shift = float(x - std::floor(x));
  int x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  stbtt_GetCodepointBitmapBoxSubpixel(&font(), c, scale, scale, shift, 0, &x1, &y1, &x2, &y2);
  Glyph glyph{int(std::floor(x)) + x1, baseline + y1, x2 - x1, y2 - y1, {}};
  glyph.coverage.resize(size_t(glyph.width) * size_t(glyph.height));
  stbtt_MakeCodepointBitmapSubpixel(&font(), glyph.coverage.data(), glyph.width, glyph.height, glyph.width,
                                    scale, scale, shift, 0, c);
  return glyph;
}

}  // namespace

int text_width(std::string_view text, int height) {
  return int(
      std::ceil(walk_line(text, stbtt_ScaleForPixelHeight(&font(), float(height)), [](char, double) {})));
}

void draw_text(Image& image, int x, int y, std::string_view text, int height, Rgb colour) {
  const float scale = stbtt_ScaleForPixelHeight(&font(), float(height));
  int ascent = 0, descent = 0, gap = 0;
  stbtt_GetFontVMetrics(&font(), &ascent, &descent, &gap);
  const int baseline = y + int(std::lrint(float(ascent) * scale));
  walk_line(text, scale, [&](char c, double at) {
    if (c != ' ' && x + at < image.width) blend(image, rasterise(c, scale, x + at, baseline), colour);
  });
}

}  // namespace mtyolo::data
