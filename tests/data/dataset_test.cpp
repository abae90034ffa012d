#include "data/dataset.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "core/file.h"
#include "core/log.h"
#include "data/encode.h"
#include "data/formats/yolo_txt.h"
#include "data/scan_cache.h"
#include "tests/data/pictures.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::data;
using test::error_code;
using test::error_text;
using test::TempFolder;
namespace fs = std::filesystem;

namespace {

DataCfg three_classes() {
  DataCfg cfg;
  cfg.file = "data.yaml";
  cfg.names = {"a", "b", "c"};
  return cfg;
}

void write_sample(const TempFolder& folder, const std::string& stem, const std::string& labels) {
  make_folders(folder.path("images"));
  write_image(folder.path("images/" + stem + ".png"), test::pattern_image(20, 10));
  folder.write("labels/" + stem + ".txt", labels);
}

}  // namespace

TEST_CASE("data: a YOLO folder gives boxes, polygons and backgrounds in the order of the paths") {
  const TempFolder folder;
  write_sample(folder, "b", "1 0.5 0.5 0.25 0.5\n2 0.1 0.2 0.3 0.2 0.3 0.6\n");
  write_sample(folder, "a", "\n");
  write_sample(folder, "c", "");
  fs::remove(folder.path("labels/c.txt"));
  for (const bool decode : {true, false}) {
    DatasetParams params;
    params.read_every_image = decode;
    params.threads = 2;
    const auto set = open_dataset(three_classes(), {folder.path("images")}, params);
    REQUIRE(set->size() == 3);
    CHECK(set->sample(0).path == folder.path("images/a.png"));
    CHECK(set->sample(0).background);
    CHECK(set->sample(2).background);
    const Sample& s = set->sample(1);
    CHECK((s.width == 20 && s.height == 10 && !s.background && s.labels.size() == 2));
    CHECK((s.labels[0].cls == 1 && s.labels[0].w == 0.25f && s.labels[0].polygon.empty()));
    CHECK(s.labels[1].x == Approx(0.2));
    CHECK(s.labels[1].h == Approx(0.4));
    CHECK(s.labels[1].polygon.size() == 3);
    CHECK(summary_of(set->report()) == "2 found, 1 missing (background), 1 empty, 0 refused, 2 boxes");
    CHECK(set->read(1).pixels == test::pattern_image(20, 10).pixels);
  }
}

TEST_CASE("data: labels of class ids beyond nc are one error that names them") {
  const TempFolder folder;
  write_sample(folder, "a", "7 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.1 0.1");
  write_sample(folder, "b", "0 0.5 0.5 0.1 0.1\n3 0.5 0.5 0.1 0.1");
  const auto open = [&] { open_dataset(three_classes(), {folder.path("images")}); };
  CHECK(error_code(open) == "data_refused");
  CHECK_THAT(error_text(open), Catch::Contains("they use the class ids 0, 1, 3, 7, but nc is 3"));
}

TEST_CASE("data: --strict stops at the first refused file, in the order of the paths") {
  const TempFolder folder;
  write_sample(folder, "a", "0 0.5 0.5 0.1 0.1");
  write_sample(folder, "b", "0 0.5 0.5 0.1");
  write_sample(folder, "c", "0 0.5 nan 0.1 0.1");
  write_sample(folder, "d", "0 0.5 0.5 0.1 0.1");
  DatasetParams params;
  CHECK(open_dataset(three_classes(), {folder.path("images")}, params)->report().refused == 2);
  params.strict = true;
  params.threads = 2;
  CHECK_THAT(error_text([&] { open_dataset(three_classes(), {folder.path("images")}, params); }),
             Catch::Contains("b.txt: line 1: 4 columns"));
}

TEST_CASE("data: a fraction takes images evenly, one class makes all classes 0") {
  const TempFolder folder;
  for (int i = 0; i < 8; ++i) write_sample(folder, std::to_string(i), "2 0.5 0.5 0.1 0.1");
  DatasetParams params;
  params.fraction = 0.5;
  params.single_cls = true;
  const auto set = open_dataset(three_classes(), {folder.path("images")}, params);
  REQUIRE(set->size() == 4);
  CHECK(set->sample(1).path == folder.path("images/2.png"));
  CHECK(set->sample(3).labels[0].cls == 0);
}

TEST_CASE("data: entries labelled for one head say so, an image of both for both") {
  const TempFolder folder;
  write_sample(folder, "a", "0 0.5 0.5 0.1 0.1");
  write_sample(folder, "b", "2 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.2 0.2");
  DataCfg cfg = three_classes();
  cfg.heads = {{"x", {0, 1}, 1}, {"y", {2}, 1}};
  const std::string list = folder.write("list.txt", "images/b.png\n");
  cfg.details = {{folder.path("images"), {}, {"x"}}, {list, {}, {"y"}}};
  const auto set = open_dataset(cfg, {folder.path("images"), list});
  REQUIRE(set->size() == 2);
  CHECK(set->sample(0).labelled == 1);
  CHECK(set->sample(1).labelled == ~0ull);
  REQUIRE(set->sample(1).labels.size() == 2);  // each head's from its own entry
  CHECK((set->sample(1).labels[0].cls == 1 && set->sample(1).labels[1].cls == 2));
}

TEST_CASE("data: boxes of heads that an entry is not labelled for are dropped, and counted once for it") {
  const TempFolder folder;
  write_sample(folder, "a", "0 0.5 0.5 0.1 0.1\n2 0.5 0.5 0.1 0.1");
  write_sample(folder, "b", "2 0.5 0.5 0.1 0.1\n2 0.4 0.5 0.2 0.2");
  DataCfg cfg = three_classes();
  cfg.heads = {{"x", {0, 1}, 1}, {"y", {2}, 1}};
  cfg.details = {{folder.path("images"), {}, {"x"}}};
  const auto set = open_dataset(cfg, {folder.path("images")});
  CHECK(set->sample(0).labels.size() == 1);
  CHECK(set->sample(1).background);
  const auto& found = set->report().findings;
  REQUIRE(found.size() == 1);
  CHECK((found[0].check_id == "label_head" && found[0].count == 3));
  CHECK_THAT(found[0].message,
             Catch::Contains("3 boxes of other heads' classes dropped: it is labelled for x"));
  DatasetParams params;
  params.single_cls = true;
  CHECK(error_code([&] { open_dataset(cfg, {folder.path("images")}, params); }) == "single_cls");
}

TEST_CASE("data: label ids of an entry with classes are its own, in YOLO, VOC and COCO files") {
  const TempFolder folder;
  write_sample(folder, "a", "1 0.5 0.5 0.1 0.1");
  folder.write("voc/Annotations/v.xml",
               "<annotation><object><name>c</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax>"
               "<ymax>5</ymax></bndbox></object></annotation>");
  make_folders(folder.path("voc/JPEGImages"));
  write_image(folder.path("voc/JPEGImages/v.png"), test::pattern_image(20, 10));
  const std::string list = folder.write("voc/ImageSets/Main/train.txt", "v\n");
  write_image(folder.path("j.png"), test::pattern_image(20, 10));
  const std::string json = folder.write(
      "j.json",
      R"({"images":[{"id":1,"file_name":"j.png"}],"categories":[{"id":7,"name":"c"},{"id":3,"name":"b"}],
          "annotations":[{"id":1,"image_id":1,"category_id":7,"bbox":[1,1,4,4]}]})");
  DataCfg cfg = three_classes();
  cfg.names = {"q", "c", "a", "b"};
  cfg.heads = {{"x", {0}, 1}, {"y", {1, 2, 3}, 1}};
  for (const std::string& path : {folder.path("images"), list, json})
    cfg.details.push_back({path, {}, {"y"}, {3, 1}});  // b, c
  const auto set = open_dataset(cfg, {folder.path("images"), list, json});
  REQUIRE(set->size() == 3);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(set->sample(i).labels.size() == 1);
    CHECK(set->sample(i).labels[0].cls == 1);
    CHECK(set->sample(i).labelled == 2);
  }
  write_sample(folder, "a", "2 0.5 0.5 0.1 0.1");
  const auto open = [&] { open_dataset(cfg, {folder.path("images")}); };
  CHECK_THAT(error_text(open), Catch::Contains("they use the class ids 2, but '") &&
                                   Catch::Contains("images' has 2 classes, so ids may be 0..1") &&
                                   Catch::Contains("a.txt: line 1: class 2"));
}

TEST_CASE("data: an image of two sets has the labels of each for its own head") {
  const TempFolder folder;
  write_sample(folder, "a", "0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.1 0.1");
  const std::string json = folder.write(
      "j.json",
      R"({"images":[{"id":9,"file_name":"a.png"}],"categories":[{"id":1,"name":"b"},{"id":2,"name":"c"}],
          "annotations":[{"id":1,"image_id":9,"category_id":2,"bbox":[1,1,4,4],"area":5},
                         {"id":2,"image_id":9,"category_id":2,"bbox":[2,2,4,4],"area":6,"iscrowd":1}]})");
  DataCfg cfg = three_classes();
  cfg.heads = {{"x", {0, 1}, 1}, {"y", {2}, 1}};
  cfg.details = {{folder.path("images"), {}, {"x"}}, {json, folder.path("images"), {"y"}}};
  const auto set = open_dataset(cfg, {folder.path("images"), json});
  REQUIRE(set->size() == 1);
  const Sample& s = set->sample(0);
  CHECK((s.labelled == ~0ull && s.image_id == 9 && s.crowds.size() == 1));
  REQUIRE(s.labels.size() == 3);
  CHECK((s.labels[0].cls == 0 && s.labels[1].cls == 1 && s.labels[2].cls == 2));
  REQUIRE(s.areas.size() == 3);
  CHECK((s.areas[0] == 50 && s.areas[2] == 5));
  CHECK(set->report().findings.empty());
  // The same for the same head: the first counts.
  cfg.details[1].heads = {"x"};
  const auto again = open_dataset(cfg, {folder.path("images"), json});
  CHECK(again->sample(0).labels.size() == 2);
  REQUIRE(again->report().findings.size() == 1);
  CHECK(again->report().findings[0].check_id == "image_repeated");
}

TEST_CASE("data: the label of an image lies below the last images folder, or beside it") {
  CHECK(yolo_label_path("/d/images/train/a.b.jpg") == "/d/labels/train/a.b.txt");
  CHECK(yolo_label_path("images/x/images/jpg.jpg") == "images/x/labels/jpg.txt");
  CHECK(yolo_label_path("images/a.JPEG") == "labels/a.txt");
  CHECK(yolo_label_path("/d/myimages/a.png") == "/d/myimages/a.txt");
}

TEST_CASE("data: numbers of labels follow their grammar, faults name line and token") {
  const auto parse = [](const std::string& text) { return parse_yolo_labels(text, "l.txt", 3); };
  const Labels odd = parse("\xef\xbb\xbf+1.0\t.5 5.e-1 2E-1 -0.0\r\n2 0.99 0.5 0.1 0.2\r0 1.00005 0 .1 .1");
  CHECK(odd.flat == 1);
  REQUIRE(odd.labels.size() == 2);
  CHECK(odd.clipped == 2);
  CHECK(odd.labels[0].x == Approx((0.94 + 1) / 2));
  CHECK(odd.labels[0].w == Approx(0.06));
  const auto [text, code, message] = GENERATE(table<std::string, std::string, std::string>({
      {"0 .1 .1 .1", "label_columns", "line 1: 4 columns"},
      {"\n0 .1 .1 .1 .1 .1", "label_columns", "line 2: 6 columns"},
      {"0 .1 .1 .1 .1 .1 .1 .1", "label_columns", "8 columns"},
      {"x .1 .1 .1 .1", "label_number", "'x' is no class number"},
      {"0 .1 0x1p3 .1 .1", "label_number", "column 3: '0x1p3'"},
      {"0 .1 1e999 .1 .1", "label_number", "'1e999'"},
      {"0 .1 inf .1 .1", "label_number", "'inf'"},
      {"0 .1 0,5 .1 .1", "label_number", "'0,5'"},
      {"3 .1 .1 .1 .1", "label_class", "class 3, expected a whole number in 0..2 (nc 3)"},
      {"1.5 .1 .1 .1 .1", "label_class", "class 1.5"},
      {"-1 .1 .1 .1 .1", "label_class", "class -1"},
      {"0 320 .1 .1 .1", "label_range", "column 2: 320 is outside 0..1"},
      {"0 .1 .1 -.1 .1", "label_range", "column 4: -0.1"},
      {"0 .1 .1 .1 .1\xc3\xa9", "label_text", "byte 0xc3"},
      {std::string("0\0 .1", 5), "label_text", "byte 0x00"},
  }));
  const std::string shown = text;
  CAPTURE(shown);
  CHECK(error_code([&] { parse(shown); }) == code);
  CHECK_THAT(error_text([&] { parse(shown); }), Catch::Contains(message) && Catch::Contains("l.txt"));
}

TEST_CASE("data: a line, a file and a row count have limits") {
  const auto code = [](const std::string& text) {
    return error_code([&] { parse_yolo_labels(text, "l.txt", 1); });
  };
  CHECK(code(std::string(kMaxLabelLine + 1, ' ')) == "label_limits");
  std::string rows;
  for (size_t i = 0; i <= kMaxLabelRows; ++i) rows += "0 0 0 0 0\n";
  CHECK(code(rows) == "label_limits");
}

TEST_CASE("data: the real sets have the counts of their README") {
  struct Expected {
    const char *file, *split;
    int images;
    int64_t boxes;
    int missing;
  };
  const fs::path shared = test::shared_folder() / "data";
  if (!fs::exists(shared)) MTYOLO_SKIP("no ../shared/data");
  const log::Capture quiet;
  for (const Expected& e : {Expected{"bccd-yolo/data.yaml", "train", 205, 2804, 0},
                            Expected{"bccd-yolo/data.yaml", "val", 87, 1137, 0},
                            Expected{"bccd-yolo/data.yaml", "test", 72, 945, 0},
                            Expected{"coco-sample/coco.yaml", "train", 128, 929, 2},
                            Expected{"coco-sample/coco.yaml", "val", 79, 619, 0}}) {
    const DataCfg cfg = read_data_cfg((shared / e.file).string(), DataCfgUse::kPaths);
    const std::string split = e.split;
    DatasetParams params;
    params.read_every_image = false;
    const auto set = open_dataset(cfg,
                                  split == "train" ? cfg.train
                                  : split == "val" ? cfg.val
                                                   : cfg.test,
                                  params);
    CAPTURE(e.file, split);
    CHECK(set->size() == e.images);
    CHECK(set->report().boxes == e.boxes);
    CHECK(set->report().missing == e.missing);
    CHECK(set->report().refused == 0);
  }
}

namespace {

ScanReport open_cached(const TempFolder& folder) {
  DatasetParams params;
  params.scan_cache = true;
  params.threads = 2;
  const auto set = open_dataset(three_classes(), {folder.path("images")}, params);
  return set->report();
}

}  // namespace

TEST_CASE("data: the cache spares decoding, and an edited label or image is still noticed") {
  const TempFolder folder;
  for (const char* stem : {"a", "b", "c"}) write_sample(folder, stem, "0 0.5 0.5 0.1 0.1");
  CHECK(open_cached(folder).boxes == 3);
  const std::string file = folder.path("images.mtyolo-cache");
  REQUIRE(fs::exists(file));
  CHECK(ScanCache::load(file).size() == 3);

  folder.write("labels/a.txt", "0 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.2 0.1");
  CHECK(open_cached(folder).boxes == 4);

  // Other bytes of the same length and time are taken as the same image: it was not decoded again.
  const std::string image = folder.path("images/b.png"), bytes = read_file(image, 1 << 20);
  const auto time = fs::last_write_time(image);
  folder.write("images/b.png", std::string(bytes.size(), 'x'));
  fs::last_write_time(image, time);
  CHECK(open_cached(folder).refused == 0);
  fs::last_write_time(image, time + std::chrono::seconds(1));
  CHECK(open_cached(folder).refused == 1);
  folder.write("images/b.png", bytes);
  CHECK(open_cached(folder).refused == 0);
}

TEST_CASE("data: a damaged cache is ignored with a note and made anew, a read-only folder is fine") {
  const TempFolder folder;
  write_sample(folder, "a", "0 0.5 0.5 0.1 0.1");
  open_cached(folder);
  const std::string file = folder.path("images.mtyolo-cache"), good = read_file(file, 1 << 20);
  for (const size_t at : {size_t{0}, good.size() / 2, good.size() - 1}) {
    std::string bad = good;
    bad[at] ^= 1;
    CHECK(!ScanCache::from_bytes(bad));
    CHECK(!ScanCache::from_bytes(good.substr(0, at)));
    folder.write("images.mtyolo-cache", bad);
    const log::Capture capture;
    CHECK(open_cached(folder).boxes == 1);
    CHECK_THAT(capture.text(), Catch::Contains("damaged: ignored"));
    CHECK(read_file(file, 1 << 20) == good);
  }
  fs::remove(file);
  fs::create_directory(file);  // nothing can be written there, whoever runs the test
  const log::Capture capture;
  CHECK(open_cached(folder).boxes == 1);
  CHECK_THAT(capture.text(), Catch::Contains("decoded anew"));
}

TEST_CASE("data: a set of ten may lose five images, not six; findings do not depend on the threads") {
  const TempFolder folder;
  for (int i = 0; i < 10; ++i)
    write_sample(folder, std::to_string(i), i < 5 ? "0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1" : "0 0.5 0.5 0.1");
  const auto findings = [&](int threads) {
    DatasetParams params;
    params.threads = threads;
    const auto set = open_dataset(three_classes(), {folder.path("images")}, params);
    std::string all;
    for (const Finding& f : set->report().findings) all += f.message + "\n";
    return all;
  };
  const std::string one = findings(1);
  CHECK(std::count(one.begin(), one.end(), '\n') == 10);
  CHECK(findings(4) == one);
  folder.write("labels/0.txt", "x");
  CHECK_THAT(error_text([&] { findings(2); }),
             Catch::Contains("6 of the 10 images") && Catch::Contains("0.txt: line 1"));
}
