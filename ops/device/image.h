// Pictures as a device takes them.
#pragma once

#include <cstdint>

namespace mtyolo {

// RGB, 3 bytes a pixel, and where it goes in its slot of a batch: scaled to new_w x new_h (bilinear, as
// data/resize does it), `left` and `top` pixels from the corner; what is around it is 114.
struct LetterboxImage {
  const uint8_t* pixels = nullptr;
  int w = 0, h = 0;
  int new_w = 0, new_h = 0, left = 0, top = 0;
};

inline constexpr int kMostPictures = 64;  // that one letterbox kernel takes

}  // namespace mtyolo
