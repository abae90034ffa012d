#include "data/move_files.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "tests/support/skip.h"
#include "tests/support/temp_folder.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::data;
using namespace mtyolo::test;
namespace fs = std::filesystem;

namespace {

// Five files with their number in them, to be moved from in/ to out/0, out/1 and out/2.
std::vector<FileMove> five_files(const TempFolder& folder) {
  std::vector<FileMove> moves;
  for (int i = 0; i < 5; ++i)
    moves.push_back({folder.write(fmt::format("in/{}.txt", i), std::to_string(i)),
                     folder.path(fmt::format("out/{}/{}.txt", i / 2, i))});
  return moves;
}

// How many files are where they were, or where they were to go, with their own bytes.
int at_home(const std::vector<FileMove>& moves, bool moved = false) {
  int count = 0;
  for (size_t i = 0; i < moves.size(); ++i) {
    const std::string& here = moved ? moves[i].to : moves[i].from;
    const std::string& there = moved ? moves[i].from : moves[i].to;
    count += fs::exists(here) && !fs::exists(there) && read_file(here, 9) == std::to_string(i) ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST_CASE("data: files are moved, and a record says from where") {
  const TempFolder folder;
  const auto moves = five_files(folder);
  std::vector<size_t> seen;
  move_files(moves, folder.path("moved.txt"), [&](size_t done) { seen.push_back(done); });
  CHECK(at_home(moves, true) == 5);
  CHECK(seen == std::vector<size_t>{1, 2, 3, 4, 5});
  std::string expected;
  for (const FileMove& m : moves) expected += m.from + "\t" + m.to + "\n";
  CHECK(read_file(folder.path("moved.txt"), 9999) == expected);
}

TEST_CASE("data: a move that cannot end well is refused before it begins") {
  const TempFolder folder;
  const auto moves = five_files(folder);
  const auto refused = [&](std::vector<FileMove> wrong) {
    const std::string text = error_text([&] { move_files(wrong, folder.path("moved.txt")); });
    CHECK(at_home(moves) == 5);
    CHECK_FALSE(fs::exists(folder.path("moved.txt")));
    return text;
  };
  auto wrong = moves;
  wrong[4].from = folder.path("in/gone.txt");
  CHECK_THAT(refused(wrong), Catch::Contains("gone.txt: is not there"));
  wrong = moves;
  wrong[4].to = folder.write("taken.txt", "mine");
  CHECK_THAT(refused(wrong), Catch::Contains("taken.txt: is there already"));
  CHECK(read_file(folder.path("taken.txt"), 9) == "mine");
  wrong = moves;
  wrong[4].to = wrong[3].to;
  CHECK_THAT(refused(wrong), Catch::Contains("two files would have this name"));
  wrong = moves;
  wrong.push_back({wrong[0].from, folder.path("out/again.txt")});
  CHECK_THAT(refused(wrong), Catch::Contains("is wanted in two places"));
  fs::create_symlink(moves[0].from, folder.path("link.txt"));
  wrong = moves;
  wrong.push_back({folder.path("link.txt"), folder.path("out/link.txt")});
  CHECK_THAT(refused(wrong), Catch::Contains("is a link"));
  folder.write("earlier.txt", "");
  CHECK_THAT(error_text([&] { move_files(moves, folder.path("earlier.txt")); }),
             Catch::Contains("record of an earlier move"));
  CHECK(at_home(moves) == 5);
}

TEST_CASE("data: a move that fails midway is undone, wherever it fails") {
  for (size_t at = 1; at <= 5; ++at) {
    const TempFolder folder;
    const auto moves = five_files(folder);
    const std::string text = error_text([&] {
      move_files(moves, folder.path("moved.txt"), [&](size_t done) {
        if (done == at) fail(ExitCode::kRuntime, "disk_full", "no room");
      });
    });
    CHECK_THAT(text, Catch::Contains(fmt::format("no room; all {} files moved so far are back", at)));
    CHECK(at_home(moves) == 5);
    CHECK_FALSE(fs::exists(folder.path("moved.txt")));
    CHECK_FALSE(fs::exists(folder.path("out")));
  }
  // A file that is taken away while others are moved.
  const TempFolder folder;
  const auto moves = five_files(folder);
  const std::string text = error_text(
      [&] { move_files(moves, folder.path("moved.txt"), [&](size_t) { fs::remove(moves[3].from); }); });
  CHECK_THAT(text, Catch::Contains("3.txt: cannot move to"));
  CHECK(at_home(moves) == 4);
  CHECK_FALSE(fs::exists(folder.path("out")));
}

TEST_CASE("data: files that cannot be moved back are kept, and the record lists just them") {
  const TempFolder folder;
  const auto moves = five_files(folder);
  const auto interfere = [&](size_t done) {
    if (done < 3) return;
    folder.write("in/1.txt", "another");
    throw std::runtime_error("stopped");
  };
  const std::string text = error_text([&] { move_files(moves, folder.path("moved.txt"), interfere); });
  CHECK_THAT(text, Catch::Contains("stopped; 1 files could not be moved back") &&
                       Catch::Contains(moves[1].from) && Catch::Contains(moves[1].to));
  CHECK(read_file(folder.path("moved.txt"), 9999) == moves[1].from + "\t" + moves[1].to + "\n");
  CHECK(read_file(moves[1].to, 9) == "1");
  CHECK(read_file(moves[1].from, 9) == "another");
  CHECK(at_home(moves) == 4);
}

TEST_CASE("data: files are moved to another device and back with their rights and age") {
  const TempFolder folder;
  const std::string other = "/dev/shm/mtyolo_move_" + fs::path(folder.path()).filename().string();
  struct stat here {
  }, there{};
  if (::stat(folder.path().c_str(), &here) != 0 || ::stat("/dev/shm", &there) != 0 ||
      here.st_dev == there.st_dev)
    MTYOLO_SKIP("no second device at /dev/shm");  // a move across devices needs two
  auto moves = five_files(folder);
  for (FileMove& m : moves) m.to = other + "/" + fs::path(m.from).filename().string();
  const auto old = fs::last_write_time(moves[0].from) - std::chrono::hours(100);
  fs::last_write_time(moves[0].from, old);
  fs::permissions(moves[0].from, fs::perms::owner_read | fs::perms::owner_write);
  const std::string text = error_text([&] {
    move_files(moves, folder.path("moved.txt"), [](size_t done) {
      if (done == 3) fail(ExitCode::kRuntime, "stop", "stopped");
    });
  });
  CHECK_THAT(text, Catch::Contains("all 3 files moved so far are back"));
  CHECK(at_home(moves) == 5);
  CHECK_FALSE(fs::exists(other));
  move_files(moves, folder.path("moved.txt"));
  CHECK(at_home(moves, true) == 5);
  CHECK(fs::last_write_time(moves[0].to) == old);
  CHECK(fs::status(moves[0].to).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  fs::remove_all(other);
}
