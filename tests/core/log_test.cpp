#include "core/log.h"

#include <catch2/catch.hpp>
#include <thread>

#include "core/file.h"
#include "tests/support/temp_folder.h"
#include "tests/support/throws.h"

using namespace mtyolo;

TEST_CASE("log: a capture receives what is said, with the kind in front", "[core][log]") {
  const log::Capture capture;
  log::info("read {} images", 3);
  log::warning("no labels");
  log::write(log::Level::kError, "stopped");
  CHECK(capture.text() == "read 3 images\nwarning: no labels\nerror: stopped\n");
}

TEST_CASE("log: a new capture starts empty", "[core][log]") {
  {
    const log::Capture first;
    log::info("first");
  }
  const log::Capture second;
  log::info("second");
  CHECK(second.text() == "second\n");
}

TEST_CASE("log: warnings are counted whoever says them", "[core][log]") {
  const log::Capture capture;
  const int before = log::warning_count();
  const auto talk = [] {
    for (int i = 0; i < 100; ++i) log::warning("w");
  };
  std::thread other(talk);
  talk();
  other.join();
  CHECK(log::warning_count() == before + 200);
  CHECK(capture.text().size() == 200 * std::string_view("warning: w\n").size());
}

TEST_CASE("log: the log file receives messages below the level of the terminal", "[core][log]") {
  const test::TempFolder folder;
  log::configure(log::Level::kOff, folder.path("run.log"));
  log::debug("loss {}", 0.5);
  log::configure(log::Level::kInfo);
  CHECK(log::level() == log::Level::kInfo);
  const std::string text = read_file(folder.path("run.log"), 1000);
  CHECK(text.ends_with(" loss 0.5\n"));
}

TEST_CASE("log: a log file that cannot be written is an error with a suggestion", "[core][log]") {
  const test::TempFolder folder;
  CHECK(test::error_text([&] { log::configure(log::Level::kInfo, folder.path()); }) ==
        folder.path() + ": cannot write the log; give a path that can be written");
}
