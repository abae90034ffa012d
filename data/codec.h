// The decoders behind data/image.h. Each reads the header, checks the limits, and only then takes memory.
// None turns the picture by its EXIF orientation; decode_image does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/error.h"
#include "data/image.h"

namespace mtyolo::data {

enum class ImageFormat { kUnknown, kJpeg, kPng, kBmp, kForeign };

// The format by its first bytes. For kForeign and kUnknown `what` says what the content looks like ("WebP").
struct SniffedFormat {
  ImageFormat format = ImageFormat::kUnknown;
  std::string what;
};
SniffedFormat sniff_image(std::span<const std::byte> bytes);

// Error{kData, code} about the file `name`.
Error image_error(const std::string& name, const char* code, std::string message,
                  std::string suggestion = {});

// Throws Error{"image_limits"} unless 1 <= side <= 65,535 and the pixels fit the limit (reliability.md I2).
void check_image_size(uint64_t width, uint64_t height, const std::string& name);

// kLibrary leaves out our own decoder (data/jpeg_baseline.h), whose pixels are the same: for tests.
enum class JpegPath { kFastest, kLibrary };
Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name, DamagePolicy damage,
                  JpegPath path = JpegPath::kFastest);
Image decode_png(std::span<const std::byte> bytes, const std::string& name, DamagePolicy damage);
Image decode_bmp(std::span<const std::byte> bytes, const std::string& name);

}  // namespace mtyolo::data
