#include "core/profile.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/file.h"
#include "tests/support/temp_folder.h"

using namespace mtyolo;

namespace {

nlohmann::json events_in(const std::string& path) {
  return nlohmann::json::parse(read_file(path, size_t(1) << 20)).at("traceEvents");
}

}  // namespace

TEST_CASE("profile: ranges appear with name, detail, thread and duration", "[core][profile]") {
  const test::TempFolder folder;
  profile::start();
  CHECK(profile::active());
  {
    const profile::Scope outer("forward", "row 24");
    const profile::Scope inner("conv2d");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  std::thread([] { const profile::Scope s("other"); }).join();
  profile::write(folder.path("trace.json"));
  CHECK_FALSE(profile::active());
  const auto events = events_in(folder.path("trace.json"));
  REQUIRE(events.size() == 3);
  CHECK(events[0].at("name") == "conv2d");
  CHECK(events[1].at("args").at("detail") == "row 24");
  CHECK(events[1].at("dur") >= events[0].at("dur"));
  CHECK(events[0].at("dur") >= 2000);
  CHECK(events[2].at("tid") != events[0].at("tid"));
}

TEST_CASE("profile: nothing is recorded while it is off, and start forgets the past", "[core][profile]") {
  const test::TempFolder folder;
  profile::start();
  { const profile::Scope s("old"); }
  profile::write(folder.path("a.json"));
  { const profile::Scope s("unseen"); }
  profile::start();
  profile::write(folder.path("b.json"));
  CHECK(events_in(folder.path("a.json")).size() == 1);
  CHECK(events_in(folder.path("b.json")).empty());
}

TEST_CASE("profile: a layer name that is not UTF-8 does not spoil the trace", "[core][profile]") {
  const test::TempFolder folder;
  profile::start();
  { const profile::Scope s("bad \xff name"); }
  profile::write(folder.path("a.json"));
  CHECK(events_in(folder.path("a.json"))[0].at("name") == "bad \xef\xbf\xbd name");
}
