// Runs a fuzz target on files and folders of files, for builds without libFuzzer.
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>

#include "core/file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

void run_file(const std::string& path) {
  constexpr size_t kMaxBytes = size_t{1} << 20;
  const std::string bytes = mtyolo::read_file(path, kMaxBytes);
  std::cout << path << std::endl;  // names the file that crashes
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

int main(int argc, char** argv) {
  int files = 0;
  try {
    for (int i = 1; i < argc; ++i) {
      if (!std::filesystem::is_directory(argv[i])) {
        run_file(argv[i]);
        ++files;
        continue;
      }
      for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
        run_file(entry.path().string());
        ++files;
      }
    }
  } catch (const std::exception& e) {
    std::cerr << "error: " << e.what() << "\n";
    return 1;
  }
  std::cout << files << " files\n";
  return files == 0 ? 1 : 0;
}
