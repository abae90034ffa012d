// The project's own sources, read from the working folder, for the tests that keep its rules.
#pragma once

#include <string>
#include <vector>

namespace mtyolo::test {

struct SourceFile {
  std::string path;                // from the project's root, "ops/conv2d.h"
  std::string folder;              // the first part of it, "ops"
  std::vector<std::string> lines;  // as written
  std::vector<std::string> code;   // the same lines with comments, texts and character literals blanked
  bool is_header() const { return path.ends_with(".h") || path.ends_with(".cuh"); }
};

// Every .h, .cpp, .cu and .cuh of the project, sorted by path.
const std::vector<SourceFile>& source_files();
// Those that are part of the program: neither tests nor bench.
std::vector<const SourceFile*> product_files();

// Identifiers of one line of code, in order.
std::vector<std::string> identifiers(const std::string& code);

struct Function {
  int first_line = 0;  // of its body, 1-based
  int lines = 0;
};
// Bodies at the scope of a namespace or a class, by counting braces.
std::vector<Function> functions(const SourceFile& file);

}  // namespace mtyolo::test
