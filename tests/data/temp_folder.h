// A folder of its own for one test, removed at the end, and pictures whose pixels are easy to tell apart.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/file.h"
#include "data/image.h"

namespace mtyolo::test {

class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mtyolo_data_XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~TempFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string at(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, std::string_view bytes) const {
    make_folders(std::filesystem::path(at(name)).parent_path().string());
    write_file_atomically(at(name), bytes);
    return at(name);
  }

 private:
  std::filesystem::path path_;
};

// Every pixel differs from its neighbours, and the four corners from each other.
inline data::Image pattern_image(int width, int height) {
  data::Image image(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) image.row(y)[x * 3 + c] = uint8_t(x * 7 + y * 31 + c * 85 + (x * y) % 11);
  return image;
}

}  // namespace mtyolo::test
