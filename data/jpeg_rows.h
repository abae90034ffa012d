// Samples of a JPEG's components to rows of RGB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mtyolo::data {

// Upsampling by libjpeg's "fancy" weights (3/4 of the nearer sample, 1/4 of the next) and its YCbCr to RGB,
// to the bit. `width` pixels and `chroma_width` samples a row; half_x, half_y: chroma has half the columns,
// rows.
class JpegRows {
 public:
  JpegRows(int width, int chroma_width, bool half_x, bool half_y);

  // The samples of one row of pixels. With half_y the row lies in the upper or lower half of its chroma's and
  // takes a part of the row beyond: `next`.
  struct Samples {
    const uint8_t* luma;
    const uint8_t* chroma[2];
    const uint8_t* next[2];
    bool lower;
  };
  void colour(const Samples& samples, uint8_t* pixels);
  void grey(const uint8_t* luma, uint8_t* pixels) const;

 private:
  const uint8_t* upsample(const Samples& samples, size_t c);

  size_t width_, chroma_width_;
  bool half_x_, half_y_;
  std::vector<uint16_t> sums_;  // of two rows of chroma, with one place more on both sides
  std::vector<uint8_t> chroma_[2], rgb_[3];
};

}  // namespace mtyolo::data
