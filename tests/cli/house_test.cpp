#include <catch2/catch.hpp>
#include <filesystem>

#include "cli/output.h"
#include "cli/progress.h"
#include "cli/run_folder.h"
#include "core/file.h"
#include "tests/cli/command.h"

using namespace mtyolo;
using namespace mtyolo::cli;

TEST_CASE("run folder: exp, exp2, exp3, and the same again only with --exist-ok") {
  const test::TempFolder scratch;
  CommonOptions common;
  common.project = scratch.path("runs/infer");
  CHECK(make_run_folder(common) == scratch.path("runs/infer/exp"));
  CHECK(make_run_folder(common) == scratch.path("runs/infer/exp2"));
  CHECK(make_run_folder(common) == scratch.path("runs/infer/exp3"));
  CHECK(std::filesystem::is_directory(scratch.path("runs/infer/exp3")));
  common.exist_ok = true;
  CHECK(make_run_folder(common) == scratch.path("runs/infer/exp"));
}

TEST_CASE("run folder: a project that is a file is refused") {
  const test::TempFolder scratch;
  write_file_atomically(scratch.path("taken"), "x");
  CommonOptions common;
  common.project = scratch.path("taken");
  CHECK_THROWS_AS(make_run_folder(common), Error);
}

TEST_CASE("progress: a terminal gets one line redrawn, with the time left") {
  std::string text;
  auto now = Progress::Clock::time_point{};
  {
    Progress p("infer", 10, {[&](std::string_view s) { text += s; }, true, [&] { return now; }});
    now += std::chrono::seconds(20);
    p.update(2, "a.jpg");
    p.update(3);  // too soon after the last one
  }
  CHECK(text == "\r\x1b[Kinfer [####....................] 2/10 20 %, 1:20 left, a.jpg\r\x1b[K");
}

TEST_CASE("progress: a pipe gets a plain line every ten seconds") {
  std::string text;
  auto now = Progress::Clock::time_point{};
  Progress p("infer", 100, {[&](std::string_view s) { text += s; }, false, [&] { return now; }});
  for (int i = 1; i <= 25; ++i) {
    now += std::chrono::seconds(1);
    p.update(i);
  }
  CHECK(text == "infer 10/100 10 %, 1:30 left\ninfer 20/100 20 %, 1:20 left\n");
}

TEST_CASE("output: bytes are shown in units people read") {
  CHECK(human_bytes(12) == "12 B");
  CHECK(human_bytes(1536) == "1.5 KiB");
  CHECK(human_bytes(uint64_t{3} << 30) == "3 GiB");
}

TEST_CASE("output: an error document carries every part of the error") {
  const Json d =
      error_document({ExitCode::kModel, "zip_crc", "bad sum", "a.pt", "entry 3", "download it again"});
  CHECK(d.dump() ==
        R"({"schema_version":1,"kind":"error","code":"zip_crc","message":"bad sum","where":"a.pt: entry 3",)"
        R"("suggestion":"download it again","exit":4})");
}
