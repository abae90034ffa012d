#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/file.h"
#include "data/encode.h"
#include "train/plots/pictures.h"

namespace mtyolo::train {

PictureFile encode_picture(const std::string& name, const data::Image& image) {
  return {name, name.ends_with(".png") ? data::encode_png(image) : data::encode_jpeg(image)};
}

void write_picture(const std::string& folder, const PictureFile& picture) {
  std::string name = picture.name;  // may end in a head name out of a file
  std::replace(name.begin(), name.end(), '/', '_');
  write_file_atomically((std::filesystem::path(folder) / name).string(), picture.bytes);
}

Preview preview(const std::string& name, const data::Image& image, int max_side, size_t max_bytes) {
  const int longest = std::max({image.width, image.height, 1});
  for (double scale = std::min(1.0, double(max_side) / longest), least = scale / 4;; scale *= 0.8) {
    data::Image small;
    if (scale < 1)
      small = data::resize_area(image, std::max(1, int(std::lrint(image.width * scale))),
                                std::max(1, int(std::lrint(image.height * scale))));
    const data::Image& shown = scale < 1 ? small : image;
    std::string bytes = data::encode_jpeg(shown, kPreviewQuality);
    if (max_bytes == 0 || bytes.size() <= max_bytes || scale < least)
      return {{name, std::move(bytes)}, shown.width, shown.height};
  }
}

}  // namespace mtyolo::train
