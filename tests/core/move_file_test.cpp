#include "core/move_file.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "core/file.h"
#include "tests/support/temp_folder.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;
namespace fs = std::filesystem;

TEST_CASE("core: a moved file is gone from its place and whole in the other, and replaces nothing") {
  const TempFolder folder;
  const std::string a = folder.write("a", "one"), b = folder.write("b", "two");
  CHECK(error_code([&] { move_file(a, b); }) == "file_write");
  CHECK(read_file(a, 9) == "one");
  CHECK(read_file(b, 9) == "two");
  move_file(a, folder.path("c"));
  CHECK_FALSE(fs::exists(a));
  CHECK(read_file(folder.path("c"), 9) == "one");
  CHECK(error_code([&] { move_file(a, folder.path("d")); }) == "file_write");
  CHECK(error_code([&] { move_file(b, folder.path("no/d")); }) == "file_write");
  CHECK(read_file(b, 9) == "two");
}

TEST_CASE("core: a file is moved to another device by copying, with its rights and its age") {
  const TempFolder folder;
  const std::string other =
      fmt::format("/dev/shm/mtyolo_move_{}", folder.path().substr(folder.path().rfind('/') + 1));
  struct stat here {
  }, there{};
  if (::stat(folder.path().c_str(), &here) != 0 || ::stat("/dev/shm", &there) != 0 ||
      here.st_dev == there.st_dev)
    return WARN("no second device at /dev/shm");
  const std::string bytes(100'000, 'x'), from = folder.write("a", bytes);
  const auto old = fs::last_write_time(from) - std::chrono::hours(100);
  fs::last_write_time(from, old);
  fs::permissions(from, fs::perms::owner_read | fs::perms::owner_write);
  folder.write("b", "two");
  move_file(from, other);
  CHECK_FALSE(fs::exists(from));
  CHECK(read_file(other, 1 << 20) == bytes);
  CHECK(fs::last_write_time(other) == old);
  CHECK(fs::status(other).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(error_code([&] { move_file(folder.path("b"), other); }) == "file_write");
  CHECK(read_file(folder.path("b"), 9) == "two");
  move_file(other, from);
  CHECK(read_file(from, 1 << 20) == bytes);
  CHECK_FALSE(fs::exists(other));
}
