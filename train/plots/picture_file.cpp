#include <algorithm>
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

}  // namespace mtyolo::train
