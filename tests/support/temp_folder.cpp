#include "tests/support/temp_folder.h"

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "core/file.h"

namespace mtyolo::test {

TempFolder::TempFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "mtyolo_test_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder " + name);
  path_ = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempFolder::write(const std::string& name, std::string_view bytes) const {
  make_folders(std::filesystem::path(path(name)).parent_path().string());
  write_file_atomically(path(name), bytes);
  return path(name);
}

}  // namespace mtyolo::test
