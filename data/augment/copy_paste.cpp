#include "data/augment/copy_paste.h"

#include <algorithm>
#include <cmath>

namespace mtyolo::data {

std::vector<size_t> draw_copy_paste(const std::vector<PixelLabel>& labels, double share,
                                    RandomStream& random) {
  std::vector<size_t> pool;
  for (size_t i = 0; i < labels.size(); ++i)
    if (!labels[i].polygon.empty()) pool.push_back(i);
  const size_t count = std::min(pool.size(), size_t(std::nearbyint(share * double(pool.size()))));
  for (size_t i = 0; i < count; ++i)
    std::swap(pool[i], pool[i + size_t(random.below(int64_t(pool.size() - i)))]);
  pool.resize(count);
  return pool;
}

void copy_paste(Canvas& canvas, const std::vector<size_t>& chosen) {
  const int width = canvas.image.width, height = canvas.image.height;
  Image layer;  // the mirrored objects; 0 elsewhere
  for (const size_t i : chosen) {
    const PixelLabel original = canvas.labels.at(i);
    PixelLabel mirrored{original.cls, float(width) - original.x2,
                        original.y1,  float(width) - original.x1,
                        original.y2,  original.polygon};
    if (!is_room(canvas.labels, mirrored)) continue;
    for (Point& p : mirrored.polygon) p.x = float(width) - p.x;
    canvas.labels.push_back(std::move(mirrored));
    if (layer.pixels.empty()) layer = Image(width, height);
    fill_polygon(original.polygon, width, height, [&](int y, int first, int last) {
      for (int x = first; x <= last; ++x)
        std::copy_n(canvas.image.row(y) + x * 3, 3, layer.row(y) + (width - 1 - x) * 3);
    });
  }
  for (size_t i = 0; i < layer.pixels.size(); ++i)
    if (layer.pixels[i] != 0) canvas.image.pixels[i] = layer.pixels[i];
}

}  // namespace mtyolo::data
