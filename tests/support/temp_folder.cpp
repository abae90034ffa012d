#include "tests/support/temp_folder.h"

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

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

}  // namespace mtyolo::test
