// Writing pictures.
#pragma once

#include <string>

#include "data/image.h"

namespace mtyolo::data {

inline constexpr int kJpegQuality = 95;

// The picture as a file's bytes. JPEG: colour at full resolution (4:4:4), so that thin lines keep their
// colour. Throws Error{kRuntime, "image_encode"} if the sides are not 1..65,500.
std::string encode_jpeg(const Image& image, int quality = kJpegQuality);
std::string encode_png(const Image& image);
std::string encode_bmp(const Image& image);

// Writes atomically; the name's ending decides the format: png, bmp, anything else is JPEG.
// Throws Error{"file_write"}.
void write_image(const std::string& path, const Image& image);

}  // namespace mtyolo::data
