#include "core/fault.h"

#include <catch2/catch.hpp>
#include <cerrno>

#include "core/file.h"
#include "tests/support/skip.h"
#include "tests/support/temp_folder.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using test::error_code;
using test::error_text;

TEST_CASE("fault: a build without faults refuses to be given some and fails nowhere", "[core][fault]") {
  if (fault::compiled()) MTYOLO_SKIP("this build has faults");
  CHECK(error_code([] { fault::configure("write"); }) == "fault");
  CHECK(fault::at("write").error == 0);
}

TEST_CASE("fault: the nth visit, all from the nth, or some by chance", "[core][fault]") {
  if (!fault::compiled()) MTYOLO_SKIP("built without MTYOLO_FAULTS");
  const auto errors = [](const char* spec) {
    fault::configure(spec);
    std::string hits;
    for (int i = 0; i < 6; ++i) hits += fault::at("write").error == ENOSPC ? 'x' : '.';
    return hits;
  };
  CHECK(errors("write:2,fail=ENOSPC") == ".x....");
  CHECK(errors("write:3+,fail=ENOSPC") == "..xxxx");
  CHECK(errors("fsync,fail=ENOSPC; write:6,fail=ENOSPC") == ".....x");
  CHECK(errors("write:p1,fail=ENOSPC") == "xxxxxx");
  CHECK(errors("write:p0.5,fail=ENOSPC") == errors("write:p0.5,fail=ENOSPC"));
  fault::configure("loss,nan;clock,jump=-86400;step,throw");
  CHECK(fault::at("loss").nan);
  CHECK(fault::at("clock").jump_seconds == -86400);
  CHECK(error_code([] { fault::at("step"); }) == "fault");
  for (const char* wrong : {"write:0", "write:x", "write,fail=ENOENT", "write:p2", "a:1:2"})
    CHECK(error_code([&] {
            fault::configure(wrong);
            fault::at("write");
          }) == "fault");
  fault::configure("");
}

TEST_CASE("fault: a write that fails anywhere leaves the old file and nothing else", "[core][fault]") {
  if (!fault::compiled()) MTYOLO_SKIP("built without MTYOLO_FAULTS");
  for (const char* spec : {"write,fail=ENOSPC", "write,short", "fsync,fail=EIO", "rename,fail=EIO"}) {
    INFO(spec);
    const test::TempFolder folder;
    write_file_atomically(folder.path("a"), "old");
    fault::configure(spec);
    CHECK(error_code([&] { write_file_atomically(folder.path("a"), "new"); }) == "file_write");
    fault::configure("");
    CHECK(read_file(folder.path("a"), 9) == "old");
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
  }
  fault::configure("open,fail=EMFILE");
  CHECK(error_text([] { read_file("/etc/passwd", 1 << 20); }) ==
        "/etc/passwd: cannot open: Too many open files");
  fault::configure("");
}
