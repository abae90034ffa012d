// Resizing into memory of the caller, shared by resize and letterbox.
#pragma once

#include <cstddef>

#include "data/image.h"

namespace mtyolo::data {

// Where a resized picture is put: `width` x `height` pixels, rows `row_bytes` apart, first pixel at `pixels`.
struct PixelWindow {
  uint8_t* pixels = nullptr;
  int width = 0, height = 0;
  size_t row_bytes = 0;
  uint8_t* row(int y) const { return pixels + size_t(y) * row_bytes; }
};

// resize_linear (data/image.h) into `to`.
void resize_linear_into(const Image& image, const PixelWindow& to);

// The same by the plain formula, one element after the other; tests compare the fast one with it.
void resize_linear_reference(const Image& image, const PixelWindow& to);

}  // namespace mtyolo::data
