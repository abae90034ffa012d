#include <algorithm>
#include <cmath>

#include "train/plots/chart.h"
#include "train/plots/pictures.h"

namespace mtyolo::train {
namespace {

constexpr int kWidth = 2000, kHeight = 1700, kLegendWidth = 440, kText = 28, kCells = 130;

// Binary logarithms of sizes in pixels, within what a picture can have; what is not a size is left out.
void add_log(std::span<const std::array<float, 2>> sizes, std::vector<double>& xs, std::vector<double>& ys) {
  const auto log = [](double side) { return std::clamp(std::log2(side), -4.0, 20.0); };
  for (const auto& [w, h] : sizes)
    if (std::isfinite(w) && std::isfinite(h) && w > 0 && h > 0) xs.push_back(log(w)), ys.push_back(log(h));
}

Range range_around(const std::vector<double>& values, int img_size) {
  if (values.empty()) return {2, std::log2(double(std::max(8, img_size)))};
  return padded(range_of(values), 0.04);
}

}  // namespace

data::Image draw_anchors(const AnchorFit& fit) {
  Canvas canvas(kWidth, kHeight);
  const double top = draw_heading(
      canvas, fit.head.empty() ? "Boxes and anchors" : "Boxes and anchors of head " + fit.head,
      fmt::format("{} boxes at {} pixels; best possible recall {}, {} anchors per box within a ratio of {:g}",
                  grouped(int64_t(fit.sizes.size())), fit.img_size, short_number(fit.best_possible_recall),
                  short_number(fit.anchors_above_threshold), fit.threshold));
  std::vector<double> xs, ys;
  add_log(fit.sizes, xs, ys);
  const size_t boxes = xs.size();
  std::vector<double> all_x = xs, all_y = ys;
  for (const auto& level : fit.anchors) add_log(level, all_x, all_y);
  const Range x = range_around(all_x, fit.img_size), y = range_around(all_y, fit.img_size);
  Axes axes(canvas, {24, top, double(kWidth - kLegendWidth), kHeight - 16.0}, "",
            {x, "width, pixels", false, false, true}, {y, "height, pixels", false, false, true}, kText);
  axes.histogram2d(count2d(xs, ys, x, y, kCells, kCells), kCells);
  if (boxes == 0) axes.say_empty("no boxes");
  std::vector<LegendEntry> legend{{"boxes (darker = more)", {1, heat_colour(0.6), 1, 0}, true}};
  constexpr size_t kColours[] = {1, 4, 2, 3, 6};  // of series_colour; the map is blue
  for (size_t level = 0; level < fit.anchors.size(); ++level) {
    const Rgb colour = series_colour(kColours[level % std::size(kColours)]);
    for (const auto& anchor : fit.anchors[level]) {
      std::vector<double> ax, ay;
      add_log(std::span(&anchor, 1), ax, ay);
      axes.dots(ax, ay, 17, kWhite);
      axes.dots(ax, ay, 13, colour);
      legend.push_back({fmt::format("level {}: {:.4g} x {:.4g}", level + 1, anchor[0], anchor[1]),
                        {1, colour, 1, 0},
                        true});
    }
  }
  draw_legend(canvas, {kWidth - kLegendWidth + 10.0, axes.frame().y1}, kLegendWidth - 20, axes.frame().y2,
              legend, kText);
  return canvas.take();
}

}  // namespace mtyolo::train
