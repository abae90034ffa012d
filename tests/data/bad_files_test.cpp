// The deliberately bad files of ../shared/data/bad: every verdict of expected.json for pictures and
// data.yaml.
#include <catch2/catch.hpp>
#include <set>

#include "core/file.h"
#include "core/log.h"
#include "data/data_cfg.h"
#include "data/image.h"
#include "data/sources.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"

using namespace mtyolo;
using namespace mtyolo::data;
namespace fs = std::filesystem;

namespace {

fs::path bad_folder() { return test::shared_folder() / "data" / "bad"; }

std::vector<nlohmann::json> cases_of(const std::string& kind) {
  std::vector<nlohmann::json> out;
  const fs::path file = bad_folder() / "expected.json";
  if (!fs::exists(file)) return out;
  for (const auto& c : nlohmann::json::parse(read_file(file.string(), 1 << 24)))
    if (c.at("case").get<std::string>().starts_with(kind + "/")) out.push_back(c);
  return out;
}

std::set<std::string> names_in(const nlohmann::json& c, const char* key) {
  std::set<std::string> names;
  if (c.contains(key))
    for (const auto& name : c.at(key)) names.insert(name.get<std::string>());
  return names;
}

std::string verdict(const fs::path& file) {
  try {
    read_sample_image(file.string());
    return "accepted";
  } catch (const Error& e) {
    CHECK(e.exit_code() == ExitCode::kData);
    CHECK_THAT(e.what(), Catch::Contains(file.filename().string()));
    return e.what();
  }
}

double mean_difference(const Image& a, const Image& b) {
  REQUIRE(a.pixels.size() == b.pixels.size());
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(int(a.pixels[i]) - int(b.pixels[i]));
  return sum / double(a.pixels.size());
}

Image read_kind(const std::string& path) { return read_image((bad_folder() / "images" / path).string()); }

}  // namespace

TEST_CASE("every bad picture gets its verdict", "[data][bad]") {
  const auto cases = cases_of("images");
  if (cases.empty()) MTYOLO_SKIP("no ../shared/data/bad");
  const log::Capture quiet;
  for (const auto& c : cases) {
    const auto bad = names_in(c, "bad"), either = names_in(c, "either");
    for (const auto& entry :
         fs::recursive_directory_iterator(bad_folder() / c.at("case").get<std::string>() / "images")) {
      if (!entry.is_regular_file()) continue;
      const std::string stem = entry.path().stem().string(), got = verdict(entry.path());
      CAPTURE(entry.path().string(), got);
      if (bad.contains(stem)) CHECK(got != "accepted");
      else if (!either.contains(stem)) CHECK(got == "accepted");
    }
  }
}

TEST_CASE("pictures of many kinds decode to the same pixels", "[data][bad]") {
  if (!fs::exists(bad_folder())) MTYOLO_SKIP("no ../shared/data/bad");
  const std::string png = "png-kinds/images/train/", jpeg = "jpeg-kinds/images/train/";
  CHECK(read_kind(png + "grey16.png").pixels == read_kind(png + "grey8.png").pixels);
  CHECK(read_kind(png + "rgb16.png").pixels == read_kind(png + "rgb8.png").pixels);
  CHECK(read_kind(png + "rgba.png").pixels == read_kind(png + "rgb9.png").pixels);
  CHECK(mean_difference(read_kind(jpeg + "progressive.jpg"), read_kind(jpeg + "rgb.jpg")) < 1);
  CHECK(mean_difference(read_kind(jpeg + "restart.jpg"), read_kind(jpeg + "rgb.jpg")) < 1);
  CHECK(mean_difference(read_kind(jpeg + "cmyk.jpg"), read_kind(jpeg + "rgb.jpg")) < 12);
  const std::string orient = "exif-orientation/images/train/orient";
  for (const char* n : {"2", "3", "4", "5", "6", "7", "8"})
    CHECK(mean_difference(read_kind(orient + n + ".jpg"), read_kind(orient + "1.jpg")) < 4);
}

TEST_CASE("every bad data.yaml gets its verdict", "[data][bad]") {
  const auto cases = cases_of("yaml");
  if (cases.empty()) MTYOLO_SKIP("no ../shared/data/bad");
  const log::Capture quiet;
  for (const auto& c : cases) {
    const std::string file = (bad_folder() / c.at("case").get<std::string>() / "data.yaml").string();
    std::string got = "accept";
    try {
      const DataCfg cfg = read_data_cfg(file, DataCfgUse::kPaths);
      CHECK(!cfg.names.empty());
    } catch (const Error& e) {
      got = "fatal";
      CHECK_THAT(e.what(), Catch::Contains("data.yaml"));
      CHECK((e.exit_code() == ExitCode::kUsage || e.exit_code() == ExitCode::kData));
      INFO(e.what());
    }
    CAPTURE(file);
    CHECK(got == c.at("verdict").get<std::string>());
  }
}

TEST_CASE("odd class names stay text", "[data][bad]") {
  if (!fs::exists(bad_folder())) MTYOLO_SKIP("no ../shared/data/bad");
  const auto cfg = read_data_cfg((bad_folder() / "yaml/names-odd/data.yaml").string(), DataCfgUse::kPaths);
  CHECK(cfg.names == std::vector<std::string>{"no", "007", "it's \xc3\xa9, [x]: #1"});
}

TEST_CASE("both missing paths are named as written and as resolved", "[data][bad]") {
  if (!fs::exists(bad_folder())) MTYOLO_SKIP("no ../shared/data/bad");
  const std::string file = (bad_folder() / "yaml/absolute-not-there/data.yaml").string();
  CHECK_THROWS_WITH(read_data_cfg(file, DataCfgUse::kPaths),
                    Catch::Contains("'C:\\data\\cells\\images\\train'") &&
                        Catch::Contains("C:/data/cells/images/train") &&
                        Catch::Contains("'/nowhere/cells/images/val'"));
}

TEST_CASE("a careless list file gives each existing picture once", "[data][bad]") {
  const fs::path folder = bad_folder() / "paths" / "list-file";
  if (!fs::exists(folder)) MTYOLO_SKIP("no ../shared/data/bad");
  const auto cfg = read_data_cfg((folder / "data.yaml").string(), DataCfgUse::kPaths);
  const auto lines = read_path_list(cfg.train.at(0));
  size_t there = 0;
  for (const std::string& line : lines) there += fs::exists(line) ? 1 : 0;
  CHECK(there == 3);
  CHECK(lines.size() == 4);  // and one that is nowhere
}

TEST_CASE("a progressive JPEG cut anywhere is refused or complete", "[data][bad]") {
  const fs::path file = bad_folder() / "images/jpeg-kinds/images/train/progressive.jpg";
  if (!fs::exists(file)) MTYOLO_SKIP("no ../shared/data/bad");
  const std::string bytes = read_file(file.string(), 1 << 20);
  const auto decode = [](std::string_view part) {
    return decode_image(std::as_bytes(std::span(part)), "cut.jpg");
  };
  const Image whole = decode(bytes);
  const log::Capture quiet;
  size_t accepted = 0;
  for (size_t size = 0; size < bytes.size(); size += size + 400 < bytes.size() ? 97 : 1) {
    try {
      const Image got = decode(std::string_view(bytes).substr(0, size));
      ++accepted;
      INFO("cut at " << size << " of " << bytes.size());
      REQUIRE(got.pixels == whole.pixels);
    } catch (const Error& e) {
      REQUIRE(e.exit_code() == ExitCode::kData);
    }
  }
  CHECK(accepted > 0);  // without the end marker alone
}
