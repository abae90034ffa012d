#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <set>

#include "tests/repo/tree.h"

using namespace mtyolo::test;

namespace {

// cli -> train -> models -> autograd -> ops -> core, data -> core; cuda implements ops and is known to cli
// alone.
const std::map<std::string, std::set<std::string>> kMayInclude{
    {"core", {"core"}},
    {"ops", {"ops", "core"}},
    {"cuda", {"cuda", "ops", "core"}},
    {"autograd", {"autograd", "ops", "core"}},
    {"models", {"models", "autograd", "ops", "core"}},
    {"data", {"data", "core"}},
    {"train", {"train", "models", "autograd", "ops", "data", "core"}},
    {"cli", {"cli", "train", "models", "autograd", "ops", "data", "cuda", "core"}},
};

// Written by CMake, so not in the tree.
const std::set<std::string> kGenerated{"cli/build_info.h"};

// The path of an #include "...", "" for other lines.
std::string included(const std::string& line) {
  const std::string start = "#include \"";
  if (!line.starts_with(start)) return "";
  return line.substr(start.size(), line.find('"', start.size()) - start.size());
}

}  // namespace

TEST_CASE("repo: a folder includes only folders below it") {
  int seen = 0;
  for (const SourceFile* f : product_files()) {
    const auto rule = kMayInclude.find(f->folder);
    INFO(f->path);
    REQUIRE(rule != kMayInclude.end());
    for (const std::string& line : f->lines) {
      const std::string path = included(line);
      if (path.empty()) continue;
      ++seen;
      INFO(line);
      CHECK(rule->second.contains(path.substr(0, path.find('/'))));
    }
  }
  CHECK(seen > 20);
}

TEST_CASE("repo: an include is written from the project's root and names a file of the project") {
  for (const SourceFile& f : source_files()) {
    for (const std::string& line : f.lines) {
      const std::string path = included(line);
      if (path.empty() || kGenerated.contains(path)) continue;
      INFO(f.path << ": " << line);
      CHECK(std::filesystem::is_regular_file(path));
    }
  }
}

TEST_CASE("repo: cuda takes headers of ops only, and only cuda sees headers of CUDA") {
  for (const SourceFile* f : product_files()) {
    for (const std::string& line : f->lines) {
      INFO(f->path << ": " << line);
      if (f->folder == "cuda" && included(line).starts_with("ops/")) CHECK(included(line).ends_with(".h"));
      if (f->folder != "cuda") CHECK(line.find("#include <cuda") == std::string::npos);
    }
  }
}
