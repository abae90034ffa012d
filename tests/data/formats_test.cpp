// Real data sets in all their layouts: ../shared/data.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>

#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "data/dataset.h"
#include "data/formats/coco_json.h"
#include "data/formats/voc_xml.h"
#include "data/formats/yolo_txt.h"
#include "tests/data/pictures.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::data;
using test::TempFolder;
namespace fs = std::filesystem;

namespace {

std::string shared(const std::string& path) { return (test::shared_folder() / "data" / path).string(); }

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  const std::string text = read_file(shared(path), 1 << 20);
  for (const std::string_view line : split(text, '\n'))
    if (!trim(line).empty()) names.emplace_back(trim(line));
  return names;
}

std::unique_ptr<Dataset> open(const std::vector<std::string>& names, const std::string& entry,
                              const std::string& images = {}) {
  DataCfg cfg;
  cfg.names = names;
  cfg.train = {shared(entry)};
  if (!images.empty()) cfg.details = {{cfg.train[0], shared(images), {}}};
  DatasetParams params;
  params.read_every_image = false;
  return open_dataset(cfg, cfg.train, params);
}

// Rows `name cx cy w h` in units of 1e-5, sorted, by the stem of the image.
using Rows = std::map<std::string, std::vector<std::string>>;

std::string row_of(const std::string& name, const Label& l) {
  const auto unit = [](float v) { return int64_t(std::llround(double(v) * 1e5)); };
  return fmt::format("{} {} {} {} {}", name, unit(l.x), unit(l.y), unit(l.w), unit(l.h));
}

// The largest difference between rows that belong together, in units of 1e-5; -1 if they do not.
int64_t worst_difference(const Rows& got, const Rows& expected) {
  if (got.size() != expected.size()) return -1;
  int64_t worst = 0;
  for (const auto& [stem, rows] : expected) {
    const auto at = got.find(stem);
    if (at == got.end() || at->second.size() != rows.size()) return -1;
    std::vector<std::string> left = at->second;
    for (const std::string& row : rows) {
      const auto numbers = split(row, ' ');
      const auto distance = [&](const std::string& other) {
        const auto o = split(other, ' ');
        if (o.size() != numbers.size()) return int64_t(INT32_MAX);
        int64_t d = 0;
        for (size_t i = 0; i < o.size(); ++i) {
          const auto a = parse_int(o[i]), b = parse_int(numbers[i]);
          d = a && b ? std::max(d, std::abs(*a - *b)) : o[i] == numbers[i] ? d : INT32_MAX;
        }
        return d;
      };
      const auto nearest = std::min_element(
          left.begin(), left.end(), [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
      worst = std::max(worst, distance(*nearest));
      left.erase(nearest);
    }
  }
  return worst;
}

Rows rows_of(const Dataset& set, const std::vector<std::string>& names, bool difficult = true) {
  Rows rows;
  for (int64_t i = 0; i < set.size(); ++i) {
    // Roboflow appends a hash: NAME_jpg.rf.HASH.jpg.
    std::string stem = fs::path(set.sample(i).path).stem().string();
    stem = stem.substr(0, std::min(stem.find("_jpg.rf."), stem.size()));
    auto& of = rows[stem];
    for (const Label& l : set.sample(i).labels)
      if (difficult || !l.difficult) {
        std::string name = names[size_t(l.cls)];
        std::replace(name.begin(), name.end(), ' ', '_');
        of.push_back(row_of(name, l));
      }
  }
  return rows;
}

Rows expected_rows(const std::string& folder, const std::vector<std::string>& names) {
  Rows rows;
  for (const auto& entry : fs::directory_iterator(shared(folder))) {
    const std::string file = entry.path().string();
    if (entry.path().filename() == "classes.txt") continue;
    auto& of = rows[entry.path().stem().string()];
    for (const Label& l : parse_yolo_labels(read_file(file, 1 << 20), file, int(names.size())).labels)
      of.push_back(row_of(names[size_t(l.cls)], l));
  }
  return rows;
}

int64_t boxes(const Dataset& set) { return set.report().boxes; }

}  // namespace

TEST_CASE("data: one set in five layouts gives the same boxes") {
  if (!fs::exists(shared("formats"))) MTYOLO_SKIP("no ../shared/data/formats");
  const auto names = names_in("formats/expected/classes.txt");
  const Rows train = expected_rows("formats/expected/train", names);
  const Rows val = expected_rows("formats/expected/val", names);
  const Rows test = expected_rows("formats/expected/test", names);
  REQUIRE(train.size() == 10);

  const std::string cvat = "formats/cvat-yolo11/";
  CHECK(names_in(cvat + "obj.names") == names);
  CHECK(worst_difference(rows_of(*open(names, cvat + "train.txt"), names), train) <= 1);
  CHECK(worst_difference(rows_of(*open(names, cvat + "valid.txt"), names), val) <= 1);

  const log::Capture quiet;
  const DataCfg roboflow = read_data_cfg(shared("formats/roboflow-yolov7/data.yaml"), DataCfgUse::kPaths);
  CHECK(worst_difference(rows_of(*open_dataset(roboflow, roboflow.train), roboflow.names), train) <= 1);
  CHECK(worst_difference(rows_of(*open_dataset(roboflow, roboflow.val), roboflow.names), val) <= 1);
  CHECK(worst_difference(rows_of(*open_dataset(roboflow, roboflow.test), roboflow.names), test) <= 1);

  const std::string coco = "formats/coco-json/annotations/instances_";
  CHECK(worst_difference(rows_of(*open(names, coco + "train.json"), names), train) <= 1);
  const auto coco_val = open(names, coco + "val.json");
  CHECK(worst_difference(rows_of(*coco_val, names), val) <= 1);
  size_t crowds = 0;
  for (int64_t i = 0; i < coco_val->size(); ++i) crowds += coco_val->sample(i).crowds.size();
  CHECK(crowds == 1);
  CHECK(coco_val->sample(0).image_id == 1001);
  // Three images of train, with a parent category that no object has.
  const Rows flat = rows_of(*open(names, "formats/coco-json/flat/_annotations.coco.json"), names);
  Rows three;
  for (const auto& [stem, rows] : flat) three[stem] = train.at(stem);
  CHECK(three.size() == 3);
  CHECK(worst_difference(flat, three) <= 1);

  const std::string voc = "formats/voc/ImageSets/Main/";
  CHECK(worst_difference(rows_of(*open(names, voc + "train.txt"), names), train) <= 1);
  CHECK(worst_difference(rows_of(*open(names, voc + "val.txt"), names), val) <= 1);
  CHECK(worst_difference(rows_of(*open(names, voc + "test.txt"), names), test) <= 1);
}

TEST_CASE("data: the VOC samples have the counts of their README") {
  if (!fs::exists(shared("bccd"))) MTYOLO_SKIP("no ../shared/data");
  const std::vector<std::string> cells{"RBC", "WBC", "Platelets"};
  for (const auto& [split, boxes_in_split] : {std::pair("train", 2804), {"val", 1137}, {"test", 945}}) {
    const std::string name = split;
    const auto set = open(cells, "bccd/ImageSets/Main/" + name + ".txt");
    CHECK(boxes(*set) == boxes_in_split);
    const auto yolo = open(cells, "bccd-yolo/images/" + name);
    CHECK(worst_difference(rows_of(*set, cells), rows_of(*yolo, cells)) <= 1);
  }
  const auto classes = names_in("voc2007-sample/labels-yolo/classes.txt");
  const auto voc = open(classes, "voc2007-sample/ImageSets/Main/trainval.txt");
  CHECK(voc->size() == 80);
  CHECK(boxes(*voc) == 273);
  int difficult = 0;
  for (int64_t i = 0; i < voc->size(); ++i)
    for (const Label& l : voc->sample(i).labels) difficult += l.difficult ? 1 : 0;
  CHECK(difficult == 78);
  CHECK(worst_difference(rows_of(*voc, classes, false),
                         expected_rows("voc2007-sample/labels-yolo", classes)) <= 1);
}

TEST_CASE("data: COCO's JSON and its YOLO labels give the same boxes; crowds and areas stay") {
  if (!fs::exists(shared("coco-sample"))) MTYOLO_SKIP("no ../shared/data");
  const DataCfg cfg = read_data_cfg(shared("coco-sample/coco.yaml"), DataCfgUse::kPaths);
  for (const auto& [split, boxes_in_split, crowds_in_split] :
       {std::tuple("train2017", 929, 10), {"val2017", 619, 5}}) {
    const std::string name = split;
    const auto set = open(cfg.names, "coco-sample/annotations/instances_" + name + ".json");
    CHECK(boxes(*set) == boxes_in_split);
    const auto yolo = open(cfg.names, "coco-sample/" + name + ".txt");
    std::vector<std::string> names = cfg.names;
    for (std::string& n : names) std::replace(n.begin(), n.end(), ' ', '_');
    CHECK(worst_difference(rows_of(*set, names), rows_of(*yolo, names)) <= 1);
    size_t crowds = 0;
    for (int64_t i = 0; i < set->size(); ++i) {
      crowds += set->sample(i).crowds.size();
      CHECK(set->sample(i).areas.size() == set->sample(i).labels.size());
    }
    CHECK(crowds == size_t(crowds_in_split));
  }
}

TEST_CASE("data: a set of a hundred VOC images gives the same boxes from VOC and both COCO styles") {
  if (!fs::exists(shared("formats/multi-format-voc100"))) MTYOLO_SKIP("no ../shared/data/formats");
  const std::string folder = "formats/multi-format-voc100/";
  const auto names = names_in(folder + "voc.names");
  const Rows v1 =
      rows_of(*open(names, folder + "coco_format_v1/instances_default.json", folder + "images"), names);
  const Rows v2 =
      rows_of(*open(names, folder + "coco_format_v2/instances_v2.json", folder + "images"), names);
  CHECK(v1.size() == 100);
  CHECK(worst_difference(v1, v2) <= 1);
  Rows voc;
  int difficult = 0;
  for (const auto& [stem, rows] : v1) {
    const std::string file = shared(folder + "pascalvoc_format/" + stem + ".xml");
    const std::string image = shared(folder + "images/" + stem + ".jpg");
    const std::string bytes = read_file(image, kMaxImageFileBytes);
    const ImageSize size = image_size(std::as_bytes(std::span(bytes)), image);
    auto& of = voc[stem];
    for (const Label& l :
         parse_voc_xml(read_file(file, 1 << 20), file, names, size.width, size.height).labels) {
      of.push_back(row_of(names[size_t(l.cls)], l));
      difficult += l.difficult ? 1 : 0;
    }
  }
  CHECK(difficult == 38);
  CHECK(worst_difference(voc, v1) <= 1);
}

TEST_CASE("data: a COCO document is checked in its shape") {
  const std::string images = R"("images": [{"id": 1, "file_name": "a.jpg"}])";
  const std::string categories = R"("categories": [{"id": 9, "name": "b"}, {"id": 4, "name": "a"}])";
  const auto parse = [&](const std::string& rest) {
    return parse_coco_json("{" + images + ", " + categories + rest + "}", "f.json");
  };
  const CocoFile good = parse(
      R"(, "annotations": [{"id": 1, "image_id": 1.0, "category_id": 9, "bbox": [1, 2.5, 3, 4], "iscrowd": 1,
          "segmentation": {"counts": [1, 2, [3]], "size": [4, 4]}},
         {"id": 2, "image_id": 1, "category_id": 4, "bbox": [1, 2, 3], "area": 7.5,
          "segmentation": [[1, 2, 3, 4, 5], [6, 7]], "attributes": {"bbox": [9, 9, 9, 9]}}])");
  REQUIRE(good.annotations.size() == 2);
  CHECK(good.annotations[0].bbox == std::array<double, 4>{1, 2.5, 3, 4});
  CHECK(good.annotations[0].crowd);
  CHECK(good.annotations[0].points.empty());
  CHECK(good.annotations[1].bbox_size == 3);
  CHECK(good.annotations[1].area == 7.5);
  CHECK(good.annotations[1].points.size() == 3);
  CHECK(good.annotations[1].points[2].x == 6);
  CHECK(good.categories[0].id == 4);
  CHECK(coco_classes(good, {"b", "a"}, "f.json") == std::vector<int>{1, 0});
  CHECK(coco_classes(good, {"x", "y"}, "f.json") == std::vector<int>{0, 1});
  CHECK(test::error_code([&] { coco_classes(good, {"a"}, "f.json"); }) == "coco_categories");
  const auto [rest, message] = GENERATE(table<std::string, std::string>({
      {R"(, "annotations": [{"image_id": "1"}])", "annotations[0]: image_id is the text '1'"},
      {R"(, "annotations": [{"id": 0}, {"image_id": 1.5}])", "annotations[1]: image_id is 1.5"},
      {R"(, "images": [{"id": 1}])", "images[1]: the id 1 is given twice"},
      {R"(, "images": [{"id": 2}])", "images[1]: file_name has 0 bytes"},
      {R"(, "categories": [{"name": "c"}])", "has no id"},
      {R"(, "x": )" + std::string(70, '['), "nested deeper than 64 levels"},
      {R"(, "x": 1e999)", "is no JSON from here on"},
      {", \"x\": \"\xff\"", "is no JSON from here on"},
  }));
  const std::string text = rest;
  CAPTURE(text);
  CHECK_THAT(test::error_text([&] { parse(text); }), Catch::Contains(message) && Catch::Contains("f.json"));
  CHECK_THAT(test::error_text([&] { parse_coco_json("[]", "f.json"); }), Catch::Contains("is a list"));
}

TEST_CASE("data: an XML annotation has limits, and its words are checked") {
  const auto parse = [](const std::string& text) {
    return parse_voc_xml(text, "a.xml", {"cat", "dog"}, 100, 50);
  };
  const auto object = [](const std::string& inside) {
    return "<annotation><object>" + inside + "</object></annotation>";
  };
  const std::string box = "<bndbox><ymax>40.0</ymax><xmin> 10 </xmin><xmax>30</xmax><ymin>20</ymin></bndbox>";
  const Labels good = parse(object("<name>dog</name>" + box));
  REQUIRE(good.labels.size() == 1);
  CHECK(good.labels[0].cls == 1);
  CHECK(good.labels[0].x == 0.2f);
  CHECK(good.labels[0].h == 0.4f);
  const std::string far = "<bndbox><ymax>40</ymax><xmin>10</xmin><xmax>1e300</xmax><ymin>20</ymin></bndbox>";
  const Labels cut = parse(object("<name>dog</name>" + far));
  REQUIRE(cut.labels.size() == 1);
  CHECK(cut.clipped == 1);
  CHECK(cut.labels[0].x + cut.labels[0].w / 2 == Approx(1));
  std::string deep;
  for (int i = 0; i < 70; ++i) deep = "<a>" + deep + "</a>";
  const auto [text, message] = GENERATE_COPY(table<std::string, std::string>({
      {object("<name>dgo</name>" + box), "did you mean 'dog'?"},
      {object("<name>dog</name>"), "object 1: has no bndbox"},
      {object("<name>dog</name><bndbox><xmin>nan</xmin></bndbox>"), "xmin is 'nan'"},
      {"<!DOCTYPE a []>" + object(""), "has a DOCTYPE"},
      {object(deep), "nested deeper than 64"},
      {"<annotation>\xff</annotation>", "is not UTF-8"},
      {"<annotations/>", "has no element <annotation>"},
      {std::string(kMaxXmlBytes + 1, ' '), "an annotation has at most"},
  }));
  const std::string content = text;
  CHECK_THAT(test::error_text([&] { parse(content); }), Catch::Contains(message) && Catch::Contains("a.xml"));
}

TEST_CASE("data: names in a VOC list stay in JPEGImages, flags of one-class lists are passed over") {
  const TempFolder folder;
  folder.write("Annotations/a.xml", "<annotation/>");
  folder.write("JPEGImages/a.png", "");
  DataCfg cfg;
  cfg.names = {"cat"};
  const std::string list = folder.write("ImageSets/Main/train.txt",
                                        "\xef\xbb\xbf"
                                        "a -1\r\nb b  1\n\na 1\n");
  REQUIRE(is_voc_list(list));
  const auto source = open_voc_xml(cfg, {list, {}, {}});
  REQUIRE(source->images.size() == 2);
  CHECK(source->images[0].path == folder.path("JPEGImages/a.png"));
  CHECK(source->images[0].label == folder.path("Annotations/a.xml"));
  CHECK(source->images[1].path == folder.path("JPEGImages/b b.jpg"));
  const std::string out = folder.write("ImageSets/Main/out.txt", "a\n../../secret\n");
  CHECK_THAT(test::error_text([&] { open_voc_xml(cfg, {out, {}, {}}); }), Catch::Contains("line 2"));
}
