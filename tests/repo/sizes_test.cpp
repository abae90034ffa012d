#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <map>

#include "tests/repo/tree.h"

using namespace mtyolo::test;

namespace {

constexpr size_t kMaxFileLines = 600, kMaxKernelLines = 350, kMaxHeaderLines = 150, kMaxColumns = 110;
constexpr int kMaxFunctionLines = 60;
// Lines of the finished program. The first estimate was 31,000 and 12,000; pictures, reports, readers of data
// sets, sharing between heads and bf16 took more than it allowed for, and kernels of both passes, their
// emulator and the libraries beside them a third as much again.
constexpr size_t kProductBudget = 66000, kTestBudget = 31000;

size_t columns(const std::string& line) {
  return size_t(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

size_t file_limit(const SourceFile& f) {
  if (f.path.ends_with(".cu")) return kMaxKernelLines;
  return f.is_header() && f.folder != "tests" && f.folder != "bench" ? kMaxHeaderLines : kMaxFileLines;
}

}  // namespace

TEST_CASE("repo: files, headers and lines keep their limits") {
  for (const SourceFile& f : source_files()) {
    INFO(f.path);
    CHECK(f.lines.size() <= file_limit(f));
    for (size_t i = 0; i < f.lines.size(); ++i) {
      if (columns(f.lines[i]) <= kMaxColumns) continue;
      INFO("line " << i + 1 << " has " << columns(f.lines[i]) << " columns");
      CHECK(columns(f.lines[i]) <= kMaxColumns);
    }
  }
}

TEST_CASE("repo: a function fits a screen") {
  size_t seen = 0;
  for (const SourceFile& f : source_files()) {
    for (const Function& function : functions(f)) {
      ++seen;
      if (function.lines <= kMaxFunctionLines) continue;
      INFO(f.path << ":" << function.first_line);
      CHECK(function.lines <= kMaxFunctionLines);
    }
  }
  CHECK(seen > 100);
}

TEST_CASE("repo: the scan of functions finds bodies, their length and nothing else") {
  SourceFile f;
  f.code = {"namespace a {",
            "struct B : C {",
            "  int x() const { return 1; }",
            "  int y[2] = {1, 2};",
            "};",
            "B::B() : y{1}, z(2) {",
            "  if (x) {",
            "  }",
            "}",
            "}"};
  std::vector<int> lengths;
  for (const Function& function : functions(f)) lengths.push_back(function.lines);
  CHECK(lengths == std::vector<int>{1, 1, 4});
}

TEST_CASE("repo: the whole stays within its budget") {
  std::map<std::string, std::pair<size_t, size_t>> table;  // folder -> files, lines
  size_t product = 0, tests = 0;
  for (const SourceFile& f : source_files()) {
    auto& [files, lines] = table[f.folder];
    ++files;
    lines += f.lines.size();
    (f.folder == "tests" || f.folder == "bench" ? tests : product) += f.lines.size();
  }
  for (const auto& [folder, row] : table)
    std::printf("%-10s %4zu files %6zu lines\n", folder.c_str(), row.first, row.second);
  std::printf("product %zu of %zu, tests and bench %zu of %zu\n", product, kProductBudget, tests,
              kTestBudget);
  CHECK(product <= kProductBudget);
  CHECK(tests <= kTestBudget);
}
