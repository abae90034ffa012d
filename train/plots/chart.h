// Axes with ticks, grid and title, and what is drawn in them.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "train/plots/canvas.h"

namespace mtyolo::train {

// Ten colours that people with any colour vision can tell apart, dark enough for lines on white.
Rgb series_colour(size_t index);
// From white (0) over blue to navy (1).
Rgb heat_colour(double share);
Rgb readable_on(Rgb ground);  // kInk or white

struct Range {
  double low = 0, high = 1;
  double span() const { return high - low; }
};
// Of the finite values, widened where they are all equal; 0..1 when there are none.
Range range_of(std::span<const double> values);
Range padded(Range range, double share = 0.05);

// Multiples of 1, 2, 2.5 or 5 times a power of ten within the range, at most `most` of them (and at least two
// where the range allows), with labels of equal precision.
struct Ticks {
  std::vector<double> at;
  std::vector<std::string> labels;
};
Ticks nice_ticks(Range range, int most, bool whole_numbers = false);
std::string short_number(double value);  // four significant digits: "0.8123", "12.3k", "-"
std::string grouped(int64_t value);      // "12,345"

struct AxisSpec {
  Range range;  // low > high: the axis runs the other way
  std::string label;
  bool whole_numbers = false;
  bool hidden = false;         // no ticks and no grid
  bool powers_of_two = false;  // the range is of binary logarithms
};

struct LegendEntry {
  std::string text;
  Stroke stroke;
  bool swatch = false;  // a filled square instead of a line
};

// A chart within `outer`: the margins are measured from the labels.
class Axes {
 public:
  Axes(Canvas& canvas, const Box& outer, std::string title, AxisSpec x, AxisSpec y, int text_size = 22);

  const Box& frame() const { return frame_; }
  double to_x(double x) const { return frame_.x1 + (x - x_.range.low) / x_.range.span() * frame_.width(); }
  double to_y(double y) const { return frame_.y2 - (y - y_.range.low) / y_.range.span() * frame_.height(); }

  void line(std::span<const double> xs, std::span<const double> ys, const Stroke& stroke);
  void dots(std::span<const double> xs, std::span<const double> ys, double radius, Rgb colour,
            double alpha = 1);
  void bar(double x1, double x2, double y, Rgb colour);
  // counts[row * columns + column] over the whole frame, row 0 at the bottom; darker = more, by the square
  // root.
  void histogram2d(std::span<const double> counts, int columns);
  void remark(const std::string& text);  // right of the title, muted
  void say_empty(const std::string& text = "no data");

 private:
  void draw_grid(const Ticks& xs, const Ticks& ys);
  Canvas& canvas_;
  Box frame_;
  double title_y_ = 0;
  int size_;
  AxisSpec x_, y_;
};

// The legend as a column at (x, y), at most `width` pixels wide and `bottom` low; what has no room is counted
// in a last line.
void draw_legend(Canvas& canvas, Place at, double width, double bottom,
                 const std::vector<LegendEntry>& entries, int text_size);
// "Title" large and bold, "subtitle" muted below, in the upper left corner. Returns the y below it.
double draw_heading(Canvas& canvas, const std::string& title, const std::string& subtitle);

// counts of (x, y) in cells of [low, high)^2-like ranges; what lies outside or is not finite is left out.
std::vector<double> count2d(std::span<const double> xs, std::span<const double> ys, Range x, Range y,
                            int columns, int rows);

}  // namespace mtyolo::train
