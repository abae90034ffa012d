// Every case of ../shared/data/bad gets its verdict.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/file.h"
#include "core/log.h"
#include "data/dataset.h"
#include "data/formats/voc_xml.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::data;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

fs::path bad_folder() { return test::shared_folder() / "data" / "bad"; }

std::vector<json> cases_of(const std::vector<std::string>& kinds) {
  std::vector<json> out;
  const fs::path file = bad_folder() / "expected.json";
  if (!fs::exists(file)) return out;
  for (const json& c : json::parse(read_file(file.string(), 1 << 24))) {
    const std::string name = c.at("case");
    for (const std::string& kind : kinds)
      if (name.starts_with(kind + "/")) out.push_back(c);
  }
  return out;
}

std::set<std::string> stems(const json& c, const char* key) {
  return c.contains(key) ? c.at(key).get<std::set<std::string>>() : std::set<std::string>{};
}

int64_t count_of(const ScanReport& report, const std::string& check_id) {
  int64_t count = 0;
  for (const Finding& f : report.findings) count += f.check_id == check_id ? f.count : 0;
  return count;
}

// The stems of the image-label pairs left out, but for images that are nowhere.
std::set<std::string> refused_stems(const ScanReport& report) {
  std::set<std::string> out;
  for (const Finding& f : report.findings)
    if (f.severity == Finding::Severity::kError && f.check_id != "image_missing")
      out.insert(fs::path(f.path).stem().string());
  return out;
}

void check_counts(const json& c, const Dataset& set) {
  const ScanReport& r = set.report();
  if (c.contains("boxes")) CHECK(r.boxes == c["boxes"]);
  if (c.contains("boxes_min")) CHECK(r.boxes >= c["boxes_min"]);
  if (c.contains("boxes_max")) CHECK(r.boxes <= c["boxes_max"]);
  if (c.contains("missing")) CHECK(r.missing == c["missing"]);
  if (c.contains("empty")) CHECK(r.empty == c["empty"]);
  if (c.contains("duplicates")) CHECK(count_of(r, "label_repeated") == c["duplicates"]);
  if (!c.contains("segments")) return;
  int polygons = 0;
  for (int64_t i = 0; i < set.size(); ++i)
    for (const Label& l : set.sample(i).labels) polygons += l.polygon.empty() ? 0 : 1;
  CHECK(polygons == c["segments"]);
}

// What became of the case: "accept", or the text of the error.
std::string open_case(const json& c) {
  const fs::path file = bad_folder() / c.at("case").get<std::string>() / "data.yaml";
  const std::set<std::string> bad = stems(c, "bad"), either = stems(c, "either");
  try {
    const DataCfg cfg = read_data_cfg(file.string(), DataCfgUse::kPaths);
    const auto set = open_dataset(cfg, cfg.train);
    const std::set<std::string> refused = refused_stems(set->report());
    for (const std::string& stem : bad) CHECK(refused.contains(stem));
    for (const std::string& stem : refused) CHECK((bad.contains(stem) || either.contains(stem)));
    if (c.contains("images")) {
      const int64_t listed = set->size() + set->report().refused - count_of(set->report(), "image_missing");
      CHECK(listed <= c["images"]);
      CHECK(listed + int64_t(either.size()) >= c["images"]);
    }
    check_counts(c, *set);
    return "accept";
  } catch (const Error& e) {
    CHECK((e.exit_code() == ExitCode::kData || e.exit_code() == ExitCode::kUsage));
    return e.what();
  }
}

DataCfg coco_case(const std::string& name) {
  DataCfg cfg;
  cfg.names = {"RBC"};
  cfg.train = {(bad_folder() / name).string()};
  cfg.details = {{cfg.train[0], (bad_folder() / "coco/images").string(), {}}};
  return cfg;
}

}  // namespace

TEST_CASE("data: every bad set of labels, images and paths gets its verdict and its counts") {
  const auto cases = cases_of({"labels", "images", "paths", "sets", "yaml"});
  if (cases.empty()) MTYOLO_SKIP("no ../shared/data/bad");
  const log::Capture quiet;
  for (const json& c : cases) {
    CAPTURE(c.at("case").get<std::string>());
    const std::string got = open_case(c);
    CAPTURE(got);
    CHECK((got == "accept") == (c.at("verdict") != "fatal"));
  }
}

TEST_CASE("data: messages about bad sets say what is wrong and where") {
  if (!fs::exists(bad_folder())) MTYOLO_SKIP("no ../shared/data/bad");
  const log::Capture quiet;
  const auto text = [](const std::string& name) { return open_case({{"case", name}}); };
  CHECK_THAT(text("labels/pixel-coords"),
             Catch::Contains("4 of the 4") && Catch::Contains("look like pixels (values over 1)"));
  CHECK_THAT(text("labels/all-missing"), Catch::Contains("labels/all-missing/labels/train/"));
  CHECK_THAT(text("sets/no-images"), Catch::Contains("no images found in"));
  const auto findings = [](const std::string& name) {
    const DataCfg cfg = read_data_cfg((bad_folder() / name / "data.yaml").string(), DataCfgUse::kPaths);
    const auto set = open_dataset(cfg, cfg.train);
    std::string all;
    for (const Finding& f : set->report().findings) all += f.message + "\n";
    return all;
  };
  CHECK_THAT(findings("labels/class-out-of-range"),
             Catch::Contains("img01.txt: line 2: class 3, expected a whole number in 0..2 (nc 3)") &&
                 Catch::Contains("img03.txt: line 1: class 80"));
  CHECK_THAT(findings("paths/same-stem"), Catch::Contains("shared by"));
  CHECK_THAT(findings("paths/list-file"), Catch::Contains("it is not there"));
  CHECK_THAT(findings("images/animated-gif"), Catch::Contains("anim.gif"));
  const std::string formats = findings("images/other-formats");
  CHECK_THAT(formats, Catch::Contains("no decoder for WebP") && Catch::Contains("no decoder for TIFF") &&
                          Catch::Contains(".ppm"));
}

TEST_CASE("data: every bad COCO JSON gets its verdict") {
  const auto cases = cases_of({"coco"});
  if (cases.empty()) MTYOLO_SKIP("no ../shared/data/bad");
  const std::set<std::string> stopped{"unknown-category",
                                      "duplicate-image-id",
                                      "negative-size",
                                      "bbox-short",
                                      "no-bbox",
                                      "no-categories",
                                      "cut",
                                      "nan",
                                      "string-ids",
                                      "deep"};
  for (const json& c : cases) {
    const std::string name = c.at("case"), verdict = c.at("verdict");
    CAPTURE(name, verdict);
    const DataCfg cfg = coco_case(name);
    const std::string got = test::error_text([&] { open_dataset(cfg, cfg.train); });
    CAPTURE(got);
    const bool accepted = got == "no error";
    if (verdict == "fatal") CHECK(!accepted);
    if (verdict == "accept") CHECK(accepted);
    CHECK(accepted == !stopped.contains(fs::path(name).stem().string()));
    if (!accepted) CHECK_THAT(got, Catch::Contains(fs::path(name).filename().string()));
  }
  const auto report = [](const std::string& name) {
    const DataCfg cfg = coco_case("coco/" + name + ".json");
    return open_dataset(cfg, cfg.train)->report();
  };
  CHECK(summary_of(report("good")) == "1 found, 1 missing (background), 0 empty, 0 refused, 1 boxes");
  CHECK(count_of(report("outside"), "label_clipped") == 1);
  CHECK(count_of(report("no-file"), "image_missing") == 1);
  CHECK(count_of(report("unknown-image"), "coco_image") == 1);
  const ScanReport escaped = report("path-escape");
  REQUIRE(count_of(escaped, "image_missing") == 1);
  for (const Finding& f : escaped.findings)
    if (f.check_id == "image_missing") CHECK(f.path == (bad_folder() / "coco/images/secret.jpg").string());
}

TEST_CASE("data: every bad VOC annotation gets its verdict") {
  const auto cases = cases_of({"voc"});
  if (cases.empty()) MTYOLO_SKIP("no ../shared/data/bad");
  const std::vector<std::string> names{"RBC", "WBC", "Platelets"};
  const auto read = [&](const std::string& file) {
    return parse_voc_xml(read_file(file, kMaxXmlBytes), file, names, 320, 240);
  };
  for (const json& c : cases) {
    const std::string file = (bad_folder() / c.at("case").get<std::string>()).string(),
                      verdict = c.at("verdict");
    CAPTURE(file, verdict);
    const std::string got = test::error_text([&] { read(file); });
    CAPTURE(got);
    if (verdict == "accept") CHECK(got == "no error");
    if (verdict == "reject-file") CHECK_THAT(got, Catch::Contains(fs::path(file).filename().string()));
  }
  const std::string folder = (bad_folder() / "voc/Annotations/").string();
  const Labels parts = read(folder + "parts.xml");
  REQUIRE(parts.labels.size() == 1);
  CHECK(parts.labels[0].difficult);
  CHECK(parts.labels[0].x == Approx(55.0 / 320));
  CHECK(parts.labels[0].h == Approx(60.0 / 240));
  const Labels outside = read(folder + "outside.xml");
  CHECK(outside.clipped == 1);
  CHECK(outside.labels.at(0).w == 1);
  CHECK(read(folder + "point.xml").flat == 1);
  CHECK(read(folder + "no-objects.xml").state == Labels::State::kEmpty);
  CHECK(read(folder + "size-wrong.xml").findings.at(0).check_id == "label_size");
}
