#include "data/letterbox.h"

#include <algorithm>
#include <cmath>

#include "data/resize.h"

namespace mtyolo::data {

LetterboxPlan plan_letterbox(const ImageSize& image, const LetterboxParams& p) {
  MTYOLO_CHECK(image.width > 0 && image.height > 0 && p.width > 0 && p.height > 0 && p.stride > 0,
               "letterbox: {} x {} to {} x {} with stride {}, all must be at least 1", image.width,
               image.height, p.width, p.height, p.stride);
  double scale = std::min(double(p.height) / image.height, double(p.width) / image.width);
  if (!p.scale_up) scale = std::min(scale, 1.0);
  // nearbyint: half to even. A side of an extreme shape would vanish (known-issues D14), so at least 1.
  const bool stretch = p.stretch && !p.auto_pad;
  const int width = stretch ? p.width : std::max(1, int(std::nearbyint(image.width * scale)));
  const int height = stretch ? p.height : std::max(1, int(std::nearbyint(image.height * scale)));
  int spare_x = p.width - width, spare_y = p.height - height;
  if (p.auto_pad) {
    spare_x %= p.stride;
    spare_y %= p.stride;
  }
  LetterboxPlan done;
  done.scale = stretch ? double(p.width) / image.width : scale;
  done.scale_y = stretch ? double(p.height) / image.height : scale;
  done.pad_x = spare_x / 2.0;
  done.pad_y = spare_y / 2.0;
  done.left = int(std::nearbyint(done.pad_x - 0.1));  // an odd spare pixel goes right and below
  done.top = int(std::nearbyint(done.pad_y - 0.1));
  done.source_width = image.width;
  done.source_height = image.height;
  done.width = width + spare_x;
  done.height = height + spare_y;
  done.scaled_width = width, done.scaled_height = height;
  return done;
}

Image letterbox(const Image& image, const LetterboxParams& p, Letterbox& done) {
  constexpr uint8_t kPadding = 114;
  const LetterboxPlan plan = plan_letterbox({image.width, image.height}, p);
  done = plan;
  Image out(done.width, done.height, kPadding);
  resize_linear_into(image, {out.row(done.top) + done.left * 3, plan.scaled_width, plan.scaled_height,
                             size_t(out.width) * 3});
  return out;
}

// The reference's scale_coords, not the inverse of the pixels' true place: it takes one gain for both axes
// and half of the spare room without rounding, although an odd spare pixel went right or below. The true pads
// (left, top) would move every box by up to half a network pixel against the detections of the published
// weights (goldens/detect, limit 0.1 px on average), so parity wins over known-issues E13.
std::array<double, 4> map_to_source(const Letterbox& done, const std::array<double, 4>& box) {
  const double w = done.source_width, h = done.source_height;
  const double gain = std::min(done.height / h, done.width / w);
  const double pad_x = (done.width - w * gain) / 2, pad_y = (done.height - h * gain) / 2;
  return {std::clamp((box[0] - pad_x) / gain, 0.0, w), std::clamp((box[1] - pad_y) / gain, 0.0, h),
          std::clamp((box[2] - pad_x) / gain, 0.0, w), std::clamp((box[3] - pad_y) / gain, 0.0, h)};
}

ImageSize scaled_size(const ImageSize& image, int size) {
  const int longer = std::max(image.width, image.height);
  const double ratio = double(size) / longer;
  // The longer side is `size` exactly: longer * ratio may be one ulp below it and truncate (data.md 2.1).
  const auto scaled = [&](int side) { return side == longer ? size : std::max(1, int(side * ratio)); };
  return {scaled(image.width), scaled(image.height)};
}

Image load_scaled(const Image& image, int size, bool augment) {
  const int longer = std::max(image.width, image.height);
  if (size == longer) return image;
  const auto [width, height] = scaled_size({image.width, image.height}, size);
  return size < longer && !augment ? resize_area(image, width, height) : resize_linear(image, width, height);
}

}  // namespace mtyolo::data
