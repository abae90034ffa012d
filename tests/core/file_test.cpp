#include "core/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/support/temp_folder.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using test::error_code;
using test::error_text;

namespace {

size_t entries(const std::string& folder) {
  size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++n;
  return n;
}

}  // namespace

TEST_CASE("file: what was written is read, mapped and replaced as a whole", "[core][file]") {
  const test::TempFolder folder;
  const std::string path = folder.path("a.bin");
  write_file_atomically(path, std::string_view("one\0two", 7));
  CHECK(read_file(path, 7) == std::string("one\0two", 7));
  const auto mapped = MappedFile::open(path);
  write_file_atomically(path, "new");
  CHECK(mapped->bytes().size() == 7);
  CHECK(char(mapped->bytes()[4]) == 't');
  CHECK(read_file(path, 100) == "new");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("file: an empty file maps to an empty span", "[core][file]") {
  const test::TempFolder folder;
  write_file_atomically(folder.path("empty"), "");
  CHECK(MappedFile::open(folder.path("empty"))->bytes().empty());
  CHECK(read_file(folder.path("empty"), 0) == "");
}

TEST_CASE("file: a file above the limit is refused before it is read", "[core][file]") {
  const test::TempFolder folder;
  write_file_atomically(folder.path("a"), "12345");
  CHECK(error_text([&] { read_file(folder.path("a"), 4); }) ==
        folder.path("a") + ": has 5 bytes, the limit is 4");
}

TEST_CASE("file: only regular files are opened", "[core][file]") {
  const test::TempFolder folder;
  CHECK(error_code([&] { read_file(folder.path("none"), 9); }) == "file_not_found");
  CHECK(error_text([&] { read_file(folder.path(), 9); }) == folder.path() + ": is a folder, expected a file");
  CHECK(error_text([&] { MappedFile::open("/dev/zero"); }) == "/dev/zero: is not a regular file");
  REQUIRE(::mkfifo(folder.path("pipe").c_str(), 0600) == 0);
  CHECK(error_text([&] { read_file(folder.path("pipe"), 9); }) ==
        folder.path("pipe") + ": is not a regular file");
  REQUIRE(::symlink("loop", folder.path("loop").c_str()) == 0);
  CHECK(error_code([&] { read_file(folder.path("loop"), 9); }) == "file_open");
}

TEST_CASE("file: an atomic file without commit leaves the old content and nothing else", "[core][file]") {
  const test::TempFolder folder;
  write_file_atomically(folder.path("a"), "old");
  {
    AtomicFile file(folder.path("a"));
    file.write("half of the new");
    CHECK(file.position() == 15);
  }
  CHECK(read_file(folder.path("a"), 99) == "old");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("file: a temporary file left by a killed process does not block the next one", "[core][file]") {
  const test::TempFolder folder;
  std::ofstream(folder.path(".a.tmp." + std::to_string(::getpid()))) << "stale";
  write_file_atomically(folder.path("a"), "fresh");
  CHECK(read_file(folder.path("a"), 99) == "fresh");
}

TEST_CASE("file: a destination that cannot be written is named with the reason", "[core][file]") {
  const test::TempFolder folder;
  CHECK(error_text([&] { write_file_atomically(folder.path("no/such/a"), "x"); }) ==
        folder.path("no/such/a") + ": cannot write: No such file or directory");
  make_folders(folder.path("taken/inner"));
  CHECK(error_text([&] { write_file_atomically(folder.path("taken"), "x"); }) ==
        folder.path("taken") + ": cannot rename: Is a directory; the old file, if any, is unchanged");
  CHECK(entries(folder.path()) == 1);
  write_file_atomically(folder.path("plain"), "x");
  CHECK(error_code([&] { make_folders(folder.path("plain/below")); }) == "file_write");
}

TEST_CASE("file: temporaries of dead processes are removed, those of living ones stay", "[core][file]") {
  const test::TempFolder folder;
  const std::string dead = folder.write(".a.tmp.999999999", "half");
  const std::string living = folder.write(".a.tmp.1.3", "being written");  // process 1 always lives
  const std::string other = folder.write("a.tmp.999999999", "a file of the user");
  CHECK(remove_stale_temporaries(folder.path()) == 1);
  CHECK(!std::filesystem::exists(dead));
  CHECK(std::filesystem::exists(living));
  CHECK(std::filesystem::exists(other));
}

TEST_CASE("file: a second name keeps the old content when the first is replaced", "[core][file]") {
  const test::TempFolder folder;
  const std::string a = folder.path("a"), b = folder.path("b");
  write_file_atomically(a, "one");
  link_file(a, b);
  link_file(a, b);  // again: both are one file already
  write_file_atomically(a, "two");
  CHECK(read_file(b, 9) == "one");
  link_file(a, b);
  CHECK(read_file(b, 9) == "two");
  CHECK(entries(folder.path()) == 2);
  CHECK(error_code([&] { link_file(folder.path("none"), b); }) == "file_write");
  CHECK(read_file(b, 9) == "two");
}

TEST_CASE("file: a lock is held once and freed with its owner", "[core][file]") {
  const test::TempFolder folder;
  {
    const FileLock lock(folder.path("lock"));
    CHECK(error_code([&] { FileLock second(folder.path("lock")); }) == "locked");
  }
  CHECK(error_code([&] { FileLock second(folder.path("lock")); }) == "no error");
}

TEST_CASE("file: more than the disk holds is refused before writing", "[core][file]") {
  const test::TempFolder folder;
  CHECK(error_code([&] { check_free_space(folder.path("a"), uint64_t(1) << 60); }) == "disk_full");
  CHECK(error_code([&] { check_free_space(folder.path("a"), 1); }) == "no error");
}
