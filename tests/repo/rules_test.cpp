#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "core/file.h"
#include "tests/repo/tree.h"

using namespace mtyolo::test;

namespace {

// A rule that a file breaks on purpose.
struct Exception {
  const char* path;
  const char* word;
  const char* reason;
};
constexpr Exception kExceptions[] = {
    {"core/file.cpp", "new", "the constructor is private, the result goes into a shared_ptr at once"},
    {"core/storage.cpp", "new", "the constructor is private, the result goes into a shared_ptr at once"},
};

bool excepted(const std::string& path, const std::string& word) {
  return std::any_of(std::begin(kExceptions), std::end(kExceptions),
                     [&](const Exception& e) { return path == e.path && word == e.word; });
}

// Numbers are read by core/text.h, random numbers come from core/random.h, no process is started, memory is
// owned by types.
const std::set<std::string> kForbiddenWords{
    "strtol", "strtoul", "strtoll", "strtoull", "strtod", "strtof", "strtold", "atoi",
    "atol",   "atoll",   "atof",    "stoi",     "stol",   "stoll",  "stoul",   "stoull",
    "stod",   "stof",    "stold",   "scanf",    "sscanf", "fscanf", "regex",   "rand",
    "srand",  "rand_r",  "system",  "popen",    "alloca", "new",    "malloc",  "realloc"};
// A file the program writes goes through core/file.h, so that it appears whole or not at all.
const std::set<std::string> kWritingWords{"ofstream", "fstream", "fopen",   "freopen", "creat",
                                          "O_WRONLY", "O_RDWR",  "O_CREAT", "fdopen"};

}  // namespace

TEST_CASE("repo: the program uses no function that its rules forbid") {
  for (const SourceFile* f : product_files()) {
    for (size_t i = 0; i < f->code.size(); ++i) {
      if (f->code[i].starts_with("#include")) continue;
      for (const std::string& word : identifiers(f->code[i])) {
        if (!kForbiddenWords.contains(word) || excepted(f->path, word)) continue;
        INFO(f->path << ":" << i + 1 << ": " << word);
        CHECK(!kForbiddenWords.contains(word));
      }
    }
  }
}

TEST_CASE("repo: files are written through core/file.h only") {
  for (const SourceFile* f : product_files()) {
    if (f->path == "core/file.cpp") continue;
    for (size_t i = 0; i < f->code.size(); ++i) {
      if (f->code[i].starts_with("#include")) continue;
      for (const std::string& word : identifiers(f->code[i])) {
        if (!kWritingWords.contains(word) || excepted(f->path, word)) continue;
        INFO(f->path << ":" << i + 1 << ": " << word);
        CHECK(!kWritingWords.contains(word));
      }
    }
  }
}

TEST_CASE("repo: every finding about images and labels can be named with data check --only") {
  // Errors of other verbs, and a key of COCO's files.
  const std::set<std::string> others{"image_changed", "image_encode", "image_id"};
  const std::string table = mtyolo::read_file("cli/data_findings.cpp", 1 << 20);
  int seen = 0;
  for (const SourceFile* f : product_files()) {
    if (f->folder != "data") continue;
    for (const std::string& line : f->lines)
      for (const std::string start : {"\"image_", "\"label_"})
        for (size_t at = line.find(start); at != std::string::npos; at = line.find(start, at + 1)) {
          const std::string id = line.substr(at + 1, line.find('"', at + 1) - at - 1);
          if (id.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") != std::string::npos || id.ends_with('_'))
            continue;  // a sentence, or the beginning of a longer text
          INFO(f->path << ": " << id);
          CHECK((others.contains(id) || table.find('"' + id + '"') != std::string::npos));
          ++seen;
        }
  }
  CHECK(seen > 50);
}

TEST_CASE("repo: nothing is left to be done later") {
  const std::set<std::string> marks{std::string("TO") + "DO", std::string("FIX") + "ME",
                                    std::string("XX") + "X"};
  for (const SourceFile& f : source_files()) {
    for (size_t i = 0; i < f.lines.size(); ++i) {
      for (const std::string& word : identifiers(f.lines[i])) {
        if (!marks.contains(word)) continue;
        INFO(f.path << ":" << i + 1);
        CHECK(!marks.contains(word));
      }
    }
  }
}

TEST_CASE("repo: headers have a guard and open no namespace for others") {
  for (const SourceFile& f : source_files()) {
    if (!f.is_header()) continue;
    INFO(f.path);
    CHECK(std::count(f.lines.begin(), f.lines.end(), "#pragma once") == 1);
    for (const std::string& line : f.code) CHECK(line.find("using namespace") == std::string::npos);
  }
}

TEST_CASE("repo: the launcher looks at every folder of the program for changes") {
  const std::string launcher = mtyolo::read_file("mtyolo", 1 << 20);
  const size_t begin = launcher.find("sources=("), end = launcher.find(')', begin);
  REQUIRE(end != std::string::npos);
  const auto listed = identifiers(launcher.substr(begin, end - begin));
  for (const SourceFile* f : product_files()) {
    INFO(f->folder);
    CHECK(std::find(listed.begin(), listed.end(), f->folder) != listed.end());
  }
}

TEST_CASE("repo: names of tests have balanced brackets, or CMake runs those after them as one") {
  int seen = 0;
  for (const SourceFile& f : source_files()) {
    if (f.folder != "tests") continue;
    for (const std::string& line : f.lines) {
      if (!line.starts_with("TEST_CASE(")) continue;
      ++seen;
      INFO(f.path << ": " << line);
      CHECK(std::count(line.begin(), line.end(), '[') == std::count(line.begin(), line.end(), ']'));
    }
  }
  CHECK(seen > 100);
}
