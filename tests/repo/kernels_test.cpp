#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "tests/repo/tree.h"

using namespace mtyolo::test;

namespace {

// Kernels, and the headers they include, but for cuda/device and cuda/simt, where the two compilers differ.
bool is_kernel_text(const SourceFile& f) {
  if (f.folder != "cuda" || f.path.starts_with("cuda/device/") || f.path.starts_with("cuda/simt/"))
    return false;
  return f.path.ends_with(".cu") || f.path.ends_with(".cuh");
}

const std::set<std::string> kDeviceWords{"asm",        "__asm__",        "__CUDA_ARCH__", "__shared__",
                                         "__global__", "__device__",     "__syncthreads", "__syncwarp",
                                         "threadIdx",  "blockIdx",       "atomicAdd",     "__nv_bfloat16",
                                         "__half",     "cudaMemcpyAsync"};

}  // namespace

TEST_CASE("repo: kernels speak to the device through cuda/device only") {
  int seen = 0;
  for (const SourceFile& f : source_files()) {
    if (!is_kernel_text(f)) continue;
    ++seen;
    for (size_t i = 0; i < f.code.size(); ++i) {
      const std::string& line = f.code[i];
      INFO(f.path << ":" << i + 1 << ": " << line);
      CHECK(line.find("<<<") == std::string::npos);
      CHECK(line.find("#pragma unroll") == std::string::npos);
      CHECK(line.find("#include <cuda") == std::string::npos);
      for (const std::string& word : identifiers(line)) {
        INFO(word);
        CHECK(!kDeviceWords.contains(word));
        CHECK(!word.ends_with("_sync"));
      }
    }
  }
  CHECK(seen >= 3);
}

TEST_CASE("repo: every kernel is compiled for the emulator and has a test that runs it") {
  for (const SourceFile& f : source_files()) {
    if (!f.path.ends_with(".cu")) continue;
    const std::string include = "#include \"" + f.path.substr(0, f.path.size() - 2) + "h\"";
    INFO(f.path << " needs a file in tests/cuda with " << include);
    CHECK(std::any_of(source_files().begin(), source_files().end(), [&](const SourceFile& t) {
      return t.path.starts_with("tests/cuda/") &&
             std::find(t.lines.begin(), t.lines.end(), include) != t.lines.end();
    }));
  }
}
