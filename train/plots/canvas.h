// Anti-aliased lines, discs and text on a data::Image, in pixels with (0, 0) at the upper left corner.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/draw.h"

namespace mtyolo::train {

using data::FontWeight;
using data::Rgb;

inline constexpr Rgb kWhite{255, 255, 255}, kInk{31, 41, 55}, kMuted{107, 114, 128}, kAxis{156, 163, 175},
    kGrid{229, 231, 235};

struct Place {
  double x = 0, y = 0;
};
struct Box {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  double width() const { return x2 - x1; }
  double height() const { return y2 - y1; }
};

enum class Align : uint8_t { kStart, kCentre, kEnd };
struct TextStyle {
  int size = 24;  // height of the line in pixels
  Rgb colour = kInk;
  FontWeight weight = FontWeight::kRegular;
  Align across = Align::kStart;  // along the line: where (x, y) lies in the text
  Align down = Align::kCentre;   // across the line; kCentre: the middle of a capital letter
  bool vertical = false;         // turned to be read from below to above
};

struct Stroke {
  double width = 3;
  Rgb colour = kInk;
  double alpha = 1;
  double dash = 0;  // length of dashes and of gaps, 0 = solid
};

class Canvas {
 public:
  Canvas(int width, int height, Rgb ground = kWhite)
      : image_(width, height), clip_{0, 0, double(width), double(height)} {
    fill(clip_, ground);
  }

  // Whole pixels (edges are rounded); at least one pixel wide and high unless empty.
  void fill(const Box& box, Rgb colour, double alpha = 1);
  void frame(const Box& box, Rgb colour, int width = 2);
  // Round joints and ends; a point that is not finite is a gap, a point between gaps a dot.
  void polyline(std::span<const Place> points, const Stroke& stroke);
  void disc(Place centre, double radius, Rgb colour, double alpha = 1);
  void text(Place at, std::string_view text, const TextStyle& style);
  void paste(const data::Image& image, int x, int y);

  void clip(const Box& box) { clip_ = box; }  // for fill, polyline and disc
  void unclip() { clip_ = {0, 0, double(image_.width), double(image_.height)}; }
  int width() const { return image_.width; }
  int height() const { return image_.height; }
  data::Image& image() { return image_; }
  data::Image take() { return std::move(image_); }

 private:
  struct Area {
    int x1, y1, x2, y2;
  };
  Area pixels(const Box& box) const;
  void mix(int x, int y, Rgb colour, double share);
  void cover_segment(Place a, Place b, double radius, const Area& area);
  void cover_dashes(std::span<const Place> run, double dash, double radius, const Area& area);

  data::Image image_;
  Box clip_;
  std::vector<uint8_t> coverage_;  // of the polyline at hand, over its area
};

int width_of(std::string_view text, int size, FontWeight weight = FontWeight::kRegular);
// The text, cut with an ellipsis to fit `width` pixels.
std::string fit_text(const std::string& text, int size, double width,
                     FontWeight weight = FontWeight::kRegular);

// The first `count` code points of UTF-8 text.
std::string first_characters(const std::string& text, size_t count);

}  // namespace mtyolo::train
