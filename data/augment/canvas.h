// A picture with its objects on the way through the augmentations (data.md sections 6 and 7).
#pragma once

#include <functional>
#include <vector>

#include "data/dataset.h"

namespace mtyolo::data {

// The grey of every place that no picture covers.
inline constexpr uint8_t kPadValue = 114;

// Corners in pixels; the polygon too, empty = none. Every object has its own polygon or none: boxes and
// polygons mix freely in one picture (known-issues D3, D4).
struct PixelLabel {
  int cls = 0;
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  std::vector<Point> polygon;
};

struct Canvas {
  Image image;
  std::vector<PixelLabel> labels;
  uint64_t labelled = ~0ull;  // heads that every picture in it is labelled for (pipeline.h)

  // Makes the image width x height and grey, keeping its memory; drops the labels.
  void reset(int width, int height);
};

// A picture after the load step, with its objects. Without pixels where they are known to be out of sight.
struct Tile {
  int64_t index = 0;  // of the data set
  const Sample* sample = nullptr;
  ImageSize size;
  std::shared_ptr<const Image> image;
};

// Normalised centre form times `width` x `height`, moved by (left, top) (data.md section 8).
PixelLabel to_pixels(const Label& label, double width, double height, double left, double top);

// Clipped to 0..width, 0..height, polygons point by point; boxes may become empty.
void clip_label(PixelLabel& label, float width, float height);

// True when the intersection with `box` is below 0.30 of the area of every label: room to paste.
bool is_room(const std::vector<PixelLabel>& labels, const PixelLabel& box);

// Calls fill(y, first, last) for the pixels inside the polygon, its points cut to whole numbers, edges
// included, even-odd rule; clipped to width x height.
void fill_polygon(const std::vector<Point>& polygon, int width, int height,
                  const std::function<void(int, int, int)>& fill);

}  // namespace mtyolo::data
