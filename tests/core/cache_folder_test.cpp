#include "core/cache_folder.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "tests/support/temp_folder.h"

using namespace mtyolo;
using namespace mtyolo::test;
namespace fs = std::filesystem;

TEST_CASE("cache folder: every change gives a file another state, none within two seconds of it") {
  const TempFolder folder;
  const CacheFolder cache(folder.path("cache"));
  const std::string path = folder.write("file", "one");
  const std::time_t later = std::time(nullptr) + 60;
  const auto state = [&] { return cache.state_of(path, later); };
  struct stat written {};
  REQUIRE(::stat(path.c_str(), &written) == 0);
  CHECK(cache.state_of(path, written.st_ctim.tv_sec + 1).empty());
  CHECK_FALSE(cache.state_of(path, written.st_ctim.tv_sec + 2).empty());

  std::set<std::string> states{state()};
  CHECK(states.contains(state()));  // reading changes nothing
  folder.write("file", "two");      // as long as before
  CHECK(states.insert(state()).second);
  fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(1));
  CHECK(states.insert(state()).second);
  fs::rename(folder.write("other", "two"), path);
  CHECK(states.insert(state()).second);
  CHECK_FALSE(states.contains(""));
  CHECK(CacheFolder().state_of(path, later).empty());
  CHECK(cache.state_of(folder.path("missing"), later).empty());
}

TEST_CASE("cache folder: marks hold for a state, until the folder is gone; at most 64 are kept") {
  const TempFolder folder;
  const CacheFolder cache(folder.path("deep/cache"));
  CHECK_FALSE(cache.was_checked("state"));
  cache.mark_checked("state");
  CHECK(cache.was_checked("state"));
  CHECK_FALSE(cache.was_checked("another"));
  cache.mark_checked("");
  CHECK_FALSE(cache.was_checked(""));
  for (int i = 0; i < 80; ++i) cache.mark_checked(std::to_string(i));
  CHECK(std::distance(fs::directory_iterator(cache.path()), {}) == 64);
  CHECK(cache.was_checked("79"));
  fs::remove_all(cache.path());
  CHECK_FALSE(cache.was_checked("79"));
  const CacheFolder unwritable(folder.write("file", "") + "/below");
  unwritable.mark_checked("state");  // no error
  CHECK_FALSE(unwritable.was_checked("state"));
}

TEST_CASE("cache folder: the files used longest ago make room, others stay") {
  const TempFolder folder;
  const CacheFolder cache(folder.path());
  const auto make = [&](const std::string& name, int age) {
    const std::string path = folder.write(name, "");
    fs::resize_file(path, uintmax_t(1) << 30);  // a hole
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(age));
    return path;
  };
  const std::string old = make("kept-a", 3), young = make("kept-b", 2), foreign = make("else", 9);
  cache.make_room("kept-", 100);
  CHECK_FALSE(fs::exists(old));
  CHECK(fs::exists(young));
  CHECK(fs::exists(foreign));
  cache.make_room("kept-", (uint64_t(1) << 30) + 1);
  CHECK_FALSE(fs::exists(young));
}
