// 8-bit RGB pictures in memory, decoding, and the resizing of YOLOv7 to the bit (data.md sections 2 to 4).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace mtyolo::data {

// Row-major, 3 bytes R,G,B per pixel, no padding between rows.
struct Image {
  int width = 0, height = 0;
  std::vector<uint8_t> pixels;  // width * height * 3

  Image() = default;
  Image(int width, int height, uint8_t value = 0);
  uint8_t* row(int y) { return pixels.data() + size_t(y) * size_t(width) * 3; }
  const uint8_t* row(int y) const { return pixels.data() + size_t(y) * size_t(width) * 3; }
};

// Limits on pictures (reliability.md I2, I4), checked against the header before memory is taken.
inline constexpr int kMaxImageSide = 65'535;
inline constexpr int64_t kMaxImagePixels = 100'000'000;
inline constexpr int kMaxJpegScans = 100;
inline constexpr size_t kMaxImageFileBytes = size_t(1) << 30;

// What is done with a decoder's warning on damaged data: infer and serve pass it on to the log, training and
// `data check` refuse the file (reliability.md I3). Data that ends early is always refused.
enum class DamagePolicy { kWarn, kRefuse };

// EXIF rotation applied, alpha dropped, grey replicated, 16 bits cut to 8, CMYK converted. The content
// decides the format, not the name. Throws Error{kData} that names the file and the fault; limits as in
// reliability.md section 6.
Image read_image(const std::string& path, DamagePolicy damage = DamagePolicy::kWarn);
Image decode_image(std::span<const std::byte> bytes, const std::string& name,
                   DamagePolicy damage = DamagePolicy::kWarn);

// read_image for data sets: damage refused, and both sides above 9 pixels as in the reference (data.md 1.6).
inline constexpr int kMinSampleSide = 10;
Image read_sample_image(const std::string& path);
struct ImageSize {
  int width = 0, height = 0;
};
void check_sample_size(const ImageSize& size, const std::string& path);  // throws Error{"image_small"}

// Width and height after turning upright, from the header alone. Throws as read_image does for a bad header.
ImageSize image_size(std::span<const std::byte> bytes, const std::string& name);

// Which library reads each format in this build, for `mtyolo info`: "JPEG: libjpeg-turbo, PNG: libpng, ...".
std::string image_decoders();

// INTER_LINEAR on 8 bits, equal to OpenCV's to the bit (data.md 3.1), and INTER_AREA for shrinking (3.2).
// Both sides must be at least 1; resize_area must not enlarge.
Image resize_linear(const Image& image, int width, int height);
Image resize_area(const Image& image, int width, int height);

// What letterbox did: network pixel = image pixel * (scale, scale_y) + (left, top).
struct Letterbox {
  double scale = 1, scale_y = 1;  // differ only when stretched
  int left = 0, top = 0;          // whole pixels added before the image
  double pad_x = 0, pad_y = 0;    // un-rounded halves, as the reference reports them
  int source_width = 0, source_height = 0;
  int width = 0, height = 0;  // of the padded result
};

struct LetterboxParams {
  int width = 640, height = 640;  // target
  bool auto_pad = true;           // pad only to a multiple of stride
  bool scale_up = true;
  int stride = 32;
  bool stretch = false;  // with auto_pad off: fills the target without keeping the shape (scaleFill)
};

// Scales the image to fit and pads with 114 (data.md section 4).
Image letterbox(const Image& image, const LetterboxParams& params, Letterbox& done);

// A box x1,y1,x2,y2 in network pixels brought back to the source image and clipped to it; not rounded.
// Not for a stretched letterbox.
std::array<double, 4> map_to_source(const Letterbox& done, const std::array<double, 4>& box);

// The longest side brought to `size` (data.md 2.1): area averaging when shrinking without augmentation, else
// linear.
Image load_scaled(const Image& image, int size, bool augment);
ImageSize scaled_size(const ImageSize& image, int size);  // of its result

// Writes u8 R,G,B pixels as planes into image `n` of `batch` [N,3,H,W], contiguous, on the host: u8 as they
// are, f32 as float(value) / 255. Throws Error{"check"} when the sizes differ.
void image_to_tensor(const Image& image, Tensor& batch, int64_t n = 0);

}  // namespace mtyolo::data
