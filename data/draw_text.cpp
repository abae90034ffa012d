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

// The value of a digit of base64.
uint32_t sextet(char c) {
  if (c >= 'a') return uint32_t(c - 'a' + 26);
  if (c >= 'A') return uint32_t(c - 'A');
  return c == '+' ? 62 : c == '/' ? 63 : uint32_t(c - '0' + 52);
}

struct Font {
  std::vector<uint8_t> file;
  stbtt_fontinfo info{};

  explicit Font(std::string_view base64) {
    uint32_t bits = 0;
    int held = 0;
    for (const char c : base64) {
      if (c == '=') break;
      bits = bits << 6 | sextet(c);
      if ((held += 6) >= 8) file.push_back(uint8_t(bits >> (held -= 8)));
    }
    MTYOLO_CHECK(stbtt_InitFont(&info, file.data(), 0) != 0, "the baked-in font cannot be read");
  }
};

const stbtt_fontinfo& font(FontWeight weight) {
  static const Font bold(bold_font_base64()), regular(regular_font_base64());
  return weight == FontWeight::kBold ? bold.info : regular.info;
}

constexpr int kMissing = '?';

// The code points of UTF-8 text, kMissing for what the font does not have and for bytes that are no UTF-8.
std::vector<int> code_points(std::string_view text, const stbtt_fontinfo& face) {
  std::vector<int> out;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    int point = lead < 0x80 ? lead : length == 1 ? 0 : lead & (0x7f >> length);
    size_t end = i + 1;
    for (; end < text.size() && end < i + length && (text[end] & 0xc0) == 0x80; ++end)
      point = point << 6 | (text[end] & 0x3f);
    const bool whole = end == i + length && point >= 0x20;
    out.push_back(whole && stbtt_FindGlyphIndex(&face, point) != 0 ? point : kMissing);
    i = end;
  }
  return out;
}

// Calls visit(code point, x of its origin) along the line; returns the width.
template <class Visit>
double walk_line(std::string_view text, const stbtt_fontinfo& face, float scale, Visit&& visit) {
  double x = 0;
  for (const int c : code_points(text, face)) {
    int advance = 0, bearing = 0;
    stbtt_GetCodepointHMetrics(&face, c, &advance, &bearing);
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

Glyph rasterise(const stbtt_fontinfo& face, int c, float scale, double x, int baseline) {
  const float shift = float(x - std::floor(x));
  int x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  stbtt_GetCodepointBitmapBoxSubpixel(&face, c, scale, scale, shift, 0, &x1, &y1, &x2, &y2);
  Glyph glyph{int(std::floor(x)) + x1, baseline + y1, x2 - x1, y2 - y1, {}};
  glyph.coverage.resize(size_t(glyph.width) * size_t(glyph.height));
  stbtt_MakeCodepointBitmapSubpixel(&face, glyph.coverage.data(), glyph.width, glyph.height, glyph.width,
                                    scale, scale, shift, 0, c);
  return glyph;
}

}  // namespace

bool has_glyphs(std::string_view text) {
  const auto points = code_points(text, font(FontWeight::kRegular));
  return std::count(points.begin(), points.end(), kMissing) == std::count(text.begin(), text.end(), '?');
}

int text_width(std::string_view text, int height, FontWeight weight) {
  const stbtt_fontinfo& face = font(weight);
  return int(
      std::ceil(walk_line(text, face, stbtt_ScaleForPixelHeight(&face, float(height)), [](int, double) {})));
}

void draw_text(Image& image, int x, int y, std::string_view text, int height, Rgb colour, FontWeight weight) {
  const stbtt_fontinfo& face = font(weight);
  const float scale = stbtt_ScaleForPixelHeight(&face, float(height));
  int ascent = 0, descent = 0, gap = 0;
  stbtt_GetFontVMetrics(&face, &ascent, &descent, &gap);
  const int baseline = y + int(std::lrint(float(ascent) * scale));
  walk_line(text, face, scale, [&](int c, double at) {
    if (c != ' ' && x + at < image.width) blend(image, rasterise(face, c, scale, x + at, baseline), colour);
  });
}

}  // namespace mtyolo::data
