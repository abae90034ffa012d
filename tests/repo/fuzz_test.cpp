#include <catch2/catch.hpp>
#include <filesystem>
#include <set>
#include <string>

#include "tests/repo/tree.h"

using namespace mtyolo::test;
namespace fs = std::filesystem;

namespace {

// Folders whose files come from strangers; cli only passes names on.
const std::set<std::string> kReadingFolders{"core", "ops", "models", "data", "train"};

struct Exception {
  const char* path;
  const char* reason;
};
constexpr Exception kNotFuzzed[] = {
    {"core/file.cpp", "opens files and looks at no content"},
    {"data/move_files.cpp", "copies files and looks at no content"},
};

bool reads_files(const SourceFile& f) {
  for (const Exception& e : kNotFuzzed)
    if (f.path == e.path) return false;
  for (const std::string& line : f.code)
    for (const std::string& word : identifiers(line))
      if (word == "read_file" || word == "MappedFile" || word == "read_stdin")
        return f.path.ends_with(".cpp");
  return false;
}

// The folder's or the file's own header is included by a fuzz target.
bool is_fuzzed(const SourceFile& f) {
  const std::string stem = fs::path(f.path).stem().string();
  const std::string header = (fs::path(f.path).parent_path() / (stem + ".h")).string();
  for (const SourceFile& target : source_files()) {
    if (!target.path.starts_with("tests/fuzz/fuzz_")) continue;
    for (const std::string& line : target.lines)
      if (line == "#include \"" + header + "\"" || line == "// Covers " + f.path + ".") return true;
  }
  return false;
}

}  // namespace

TEST_CASE("repo: everything that reads a file has a fuzz target") {
  for (const SourceFile& f : source_files()) {
    if (!kReadingFolders.contains(f.folder) || !reads_files(f)) continue;
    INFO(f.path << " needs a tests/fuzz/fuzz_*.cpp that includes its header or says '// Covers " << f.path
                << ".'");
    CHECK(is_fuzzed(f));
  }
}

TEST_CASE("repo: every fuzz target has a corpus of small files") {
  constexpr uintmax_t kMaxBytes = uintmax_t{1} << 20;
  for (const SourceFile& f : source_files()) {
    if (!f.path.starts_with("tests/fuzz/fuzz_")) continue;
    const std::string name = fs::path(f.path).stem().string().substr(5);
    INFO("tests/fuzz/corpus/" << name);
    REQUIRE(fs::is_directory("tests/fuzz/corpus/" + name));
    CHECK(!fs::is_empty("tests/fuzz/corpus/" + name));
    for (const auto& entry : fs::directory_iterator("tests/fuzz/corpus/" + name))
      CHECK(entry.file_size() <= kMaxBytes);
  }
}
