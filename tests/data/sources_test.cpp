#include "core/file.h"
#include "data/sources.h"

#include <catch2/catch.hpp>

#include "core/log.h"
#include "data/encode.h"
#include "tests/data/pictures.h"

using namespace mtyolo;
using namespace mtyolo::data;
using test::TempFolder;

namespace {

using Paths = std::vector<std::string>;

ExitCode exit_of(const std::string& source) {
  try {
    list_sources({source});
  } catch (const Error& e) {
    return e.exit_code();
  }
  return ExitCode::kDone;
}

}  // namespace

TEST_CASE("a folder gives its images sorted, without folders, hidden and other files", "[data][sources]") {
  const TempFolder folder;
  for (const char* name : {"b.jpg", "a.PNG", "c.webp", ".hidden.jpg", "notes.md", "clip.mp4", "deep/x.jpg"})
    folder.write(name, "x");
  const log::Capture said;
  CHECK(list_sources({folder.path("")}) ==
        Paths{folder.path("a.PNG"), folder.path("b.jpg"), folder.path("c.webp")});
  CHECK_THAT(said.text(), Catch::Contains("1 videos left out"));
}

TEST_CASE("a pattern is expanded and sorted, unless a file has that very name", "[data][sources]") {
  const TempFolder folder;
  for (const char* name : {"2.jpg", "1.jpg", "10.jpg", "a[1].jpg", "x.txt"}) folder.write(name, "x");
  CHECK(list_sources({folder.path("*.jpg")}) ==
        Paths{folder.path("1.jpg"), folder.path("10.jpg"), folder.path("2.jpg"), folder.path("a[1].jpg")});
  CHECK(list_sources({folder.path("a[1].jpg")}) == Paths{folder.path("a[1].jpg")});
  CHECK_THROWS_WITH(list_sources({folder.path("*.gif")}), Catch::Contains("no file matches"));
}

TEST_CASE("a list file is read line by line from its own folder", "[data][sources]") {
  const TempFolder folder;
  for (const char* name : {"a.jpg", "b c.jpg", "sub/d.jpg"}) folder.write(name, "x");
  const std::string list = folder.write(
      "list.txt", "\xef\xbb\xbf./a.jpg\r\n\r\nb c.jpg\r\n../sub/d.jpg\na.jpg\ndata/a.jpg\ngone.jpg");
  CHECK(list_sources({list}) ==
        Paths{folder.path("a.jpg"), folder.path("b c.jpg"), folder.path("sub/d.jpg"), "gone.jpg"});
}

TEST_CASE("a list file that is no text is refused with its line", "[data][sources]") {
  const TempFolder folder;
  CHECK_THROWS_WITH(list_sources({folder.write("a.txt", std::string("ok.jpg\nx\0y.jpg", 13))}),
                    Catch::Contains("line 2") && Catch::Contains("x00"));
  CHECK_THROWS_WITH(list_sources({folder.write("b.txt", std::string(5000, 'a'))}),
                    Catch::Contains("5000 bytes"));
  CHECK_THROWS_WITH(list_sources({folder.write("c.txt", "\n\n")}), Catch::Contains("names no image"));
}

TEST_CASE("videos, streams and cameras are refused as not built in", "[data][sources]") {
  const TempFolder folder;
  const std::string list = folder.write("s.txt", "rtsp://camera/1\n");
  for (const std::string& source : {std::string("clip.MP4"), std::string("rtsp://host/x"),
                                    std::string("https://a.b/c.jpg"), std::string("0"), list})
    CHECK(exit_of(source) == ExitCode::kUsage);
  CHECK_THROWS_WITH(list_sources({"x.avi"}),
                    Catch::Contains("'x.avi' is a video, and video is not built in"));
}

TEST_CASE("what is not there is named, with the nearest name", "[data][sources]") {
  const TempFolder folder;
  folder.write("zidane.jpg", "x");
  CHECK(exit_of(folder.path("none")) == ExitCode::kData);
  CHECK_THROWS_WITH(list_sources({folder.path("zidan.jpg")}), Catch::Contains("zidane.jpg'?"));
  make_folders(folder.path("empty"));
  CHECK_THROWS_WITH(list_sources({folder.path("empty")}), Catch::Contains("no images found in"));
}

TEST_CASE("standard input is a source and repeated paths are read once", "[data][sources]") {
  const TempFolder folder;
  const std::string a = folder.write("a.jpg", "x");
  CHECK(list_sources({"-", a, a, folder.path("*.jpg")}) == Paths{"-", a});
}
