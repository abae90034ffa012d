#include "data/data_cfg.h"
#include "core/file.h"

#include <catch2/catch.hpp>

#include "core/log.h"
#include "core/yaml.h"
#include "tests/data/pictures.h"

using namespace mtyolo;
using namespace mtyolo::data;
using test::TempFolder;

namespace {

DataCfg parse(const std::string& text, DataCfgUse use = DataCfgUse::kNamesAndHeads) {
  return parse_data_cfg(parse_yaml(text, "data.yaml"), "data.yaml", use);
}

const std::string kNames = "names: [person, bicycle, car, dog, cat]\n";

std::vector<HeadCfg> heads(const std::string& text) { return parse(kNames + "heads: " + text + "\n").heads; }

}  // namespace

TEST_CASE("heads take ranges, lists, ids and names in the order written", "[data][heads]") {
  const auto got = heads("{a: {classes: 0-2, weight: 2.5}, b: {classes: [cat, 3]}}");
  REQUIRE(got.size() == 2);
  CHECK(got[0].name == "a");
  CHECK(got[0].classes == std::vector<int>{0, 1, 2});
  CHECK(got[0].weight == 2.5);
  CHECK(got[1].classes == std::vector<int>{4, 3});
  CHECK(got[1].weight == 1);
  CHECK(heads("{a: '4, 0-1', b: [2, 3]}")[0].classes == std::vector<int>{4, 0, 1});
}

TEST_CASE("a quoted number is a class name", "[data][heads]") {
  const auto got = parse("names: ['1', '0']\nheads: {a: {classes: '1'}, b: {classes: 1}}\n").heads;
  CHECK(got[0].classes == std::vector<int>{0});
  CHECK(got[1].classes == std::vector<int>{1});
}

TEST_CASE("heads that overlap, leave out or exceed the classes are refused", "[data][heads]") {
  const auto [text, message] = GENERATE(table<std::string, std::string>({
      {"{a: {classes: 0-2}, b: {classes: 2-4}}", "class 2 ('car') belongs to head a and again to head b"},
      {"{a: {classes: 0-2}, b: {classes: [4]}}", "class 3 ('dog') belongs to no head"},
      {"{a: {classes: 0-5}}", "class 5 does not exist, the 5 classes are 0..4"},
      {"{a: {classes: 3-1}}", "runs backwards"},
      {"{a: {classes: [persn]}}", "did you mean 'person'?"},
      {"{a: {classes: []}}", "a head without classes"},
      {"{a: {clases: 0-4}}", "did you mean 'classes'?"},
      {"{a: {weight: 1}}", "head a has neither classes nor data"},
      {"{a.b: {classes: 0-4}}", "head name 'a.b'"},
      {"{a: {classes: 0-4, weight: -1}}", "weight is '-1'"},
      {"{a: {classes: 0-4}, b: {data: other.yaml}}", "not found: the data file 'other.yaml' of a head"},
      {"[a, b]", "heads is no map"},
      {"{}", "heads is no map"},
  }));
  try {
    heads(text);
    FAIL("accepted: " << text);
  } catch (const Error& e) {
    const bool missing = message.starts_with("not found");
    CHECK(e.exit_code() == (missing ? ExitCode::kData : ExitCode::kUsage));
    CHECK_THAT(e.what(), Catch::Contains(message) && Catch::Contains("data.yaml"));
  }
}

TEST_CASE("two hundred heads of a thousand classes still name the class left out", "[data][heads]") {
  std::string text = "nc: 1000\nheads:\n";
  for (int h = 0; h < 199; ++h) text += fmt::format("  h{}: {}-{}\n", h, h * 5, h * 5 + 4);
  CHECK_THROWS_WITH(parse(text), Catch::Contains("class 995 ('class995') belongs to no head"));
}

TEST_CASE("names come as list or map, and nc must agree", "[data][data_cfg]") {
  CHECK(parse("names: {1: b, 0: a}").names == std::vector<std::string>{"a", "b"});
  CHECK(parse("nc: '2'\nnames: [a, b]").names.size() == 2);
  CHECK_THROWS_WITH(parse("nc: 3\nnames: [a, b]"),
                    Catch::Contains("line 1") && Catch::Contains("2 names found for nc=3"));
  CHECK_THROWS_WITH(parse("names: {x: a}"), Catch::Contains("key 'x'"));
  CHECK_THROWS_WITH(parse("names: [a, [b]]"), Catch::Contains("names[1]"));
  CHECK_THROWS_WITH(parse("train: x"), Catch::Contains("neither names nor nc"));
  CHECK_THROWS_WITH(parse("nc: 100001"), Catch::Contains("1..100000"));
}

TEST_CASE("a mistyped key is refused and a foreign one passed over", "[data][data_cfg]") {
  CHECK_THROWS_WITH(parse(kNames + "head: {a: 0-4}"), Catch::Contains("did you mean 'heads'?"));
  CHECK(parse(kNames + "roboflow: {workspace: x}\n").names.size() == 5);
  const log::Capture said;
  parse(kNames + "download: touch x\n");
  CHECK_THAT(said.text(), Catch::Contains("download is ignored"));
}

TEST_CASE("paths are found from the file's folder and without leading ../", "[data][data_cfg]") {
  const TempFolder folder;
  make_folders(folder.path("set/train"));
  make_folders(folder.path("set/val"));
  const auto read = [&](const std::string& text, DataCfgUse use) {
    return read_data_cfg(folder.write("set/data.yaml", kNames + text), use);
  };
  const DataCfg cfg = read("train: ../train\nval: [val, .\\train]\n", DataCfgUse::kPaths);
  CHECK(cfg.train == std::vector<std::string>{folder.path("set/train")});
  CHECK(cfg.val == std::vector<std::string>{folder.path("set/val"), folder.path("set/train")});
  CHECK(read("path: ..\ntrain: set/train\nval: set/val\n", DataCfgUse::kPaths).train[0] ==
        folder.path("set/train"));
  CHECK(read("val: val\n", DataCfgUse::kValPaths).val.size() == 1);
  CHECK_THROWS_WITH(read("val: val\n", DataCfgUse::kPaths), Catch::Contains("no train: is given"));
  CHECK_THROWS_WITH(read("train: train\n", DataCfgUse::kValPaths), Catch::Contains("neither val: nor test:"));
  CHECK_THROWS_WITH(read("train: train\nval: {json: x}\n", DataCfgUse::kPaths),
                    Catch::Contains("not found: val 'x'"));
}

TEST_CASE("for names and heads alone no path is looked up", "[data][data_cfg]") {
  const DataCfg cfg = parse("train: /nowhere\n" + kNames);
  CHECK(cfg.train == std::vector<std::string>{"/nowhere"});
  CHECK(cfg.heads.empty());
}

TEST_CASE("data: an entry written as a map brings its heads and its folder of images") {
  const TempFolder folder;
  folder.write("set/images/a.jpg", "");
  folder.write("set/x.json", "");
  const auto read = [&](const std::string& text) {
    return read_data_cfg(
        folder.write("set/data.yaml", kNames + "heads: {a: {classes: 0-2}, b: {classes: 3-4}}\n" + text),
        DataCfgUse::kPaths);
  };
  const DataCfg cfg =
      read("train: [{images: images, heads: [a]}, {json: x.json, images: images}]\nval: x.json\n");
  CHECK(cfg.train == std::vector<std::string>{folder.path("set/images"), folder.path("set/x.json")});
  CHECK(cfg.entry(cfg.train[0]).heads == std::vector<std::string>{"a"});
  CHECK(cfg.entry(cfg.train[0]).images.empty());
  CHECK(cfg.entry(cfg.train[1]).images == folder.path("set/images"));
  CHECK(cfg.entry("other").heads.empty());
  CHECK_THROWS_WITH(read("train: {images: images, heads: c}\nval: images\n"),
                    Catch::Contains("the head 'c'"));
  CHECK_THROWS_WITH(read("train: {image: images}\nval: images\n"), Catch::Contains("did you mean 'images'"));
  CHECK_THROWS_WITH(read("train: {heads: a}\nval: images\n"), Catch::Contains("neither images nor json"));
  CHECK_THROWS_WITH(read("train: {json: x.json, images: gone}\nval: images\n"),
                    Catch::Contains("not found: train 'gone'"));
  CHECK_THROWS_WITH(read("train: {images: images, heads: a}\nval: {images: images, heads: b}\n"),
                    Catch::Contains("described twice"));
}

namespace {

// Two sets of images, each with its data file, below one folder.
struct TwoSets {
  TempFolder folder;
  TwoSets() {
    for (const char* path : {"cells/images/train", "cells/images/val", "street/train", "street/val"})
      make_folders(folder.path(path));
    folder.write("cells/bccd.yaml", "train: images/train\nval: images/val\nnames: [RBC, WBC]\n");
    folder.write("street/voc.yaml", "train: train\nval: val\nnames: {0: car, 1: dog, 2: cat}\n");
  }
  DataCfg read(const std::string& text, DataCfgUse use = DataCfgUse::kPaths) const {
    return read_data_cfg(folder.write("two.yaml", text), use);
  }
};

}  // namespace

TEST_CASE("data: heads bring their own data sets, names one after the other and entries of their own") {
  const TwoSets sets;
  const DataCfg cfg =
      sets.read("heads: {cells: {data: cells/bccd.yaml}, objects: {data: street/voc.yaml, weight: 0.5}}\n");
  CHECK(cfg.names == std::vector<std::string>{"RBC", "WBC", "car", "dog", "cat"});
  REQUIRE(cfg.heads.size() == 2);
  CHECK(cfg.heads[0].classes == std::vector<int>{0, 1});
  CHECK(cfg.heads[1].classes == std::vector<int>{2, 3, 4});
  CHECK(cfg.heads[1].weight == 0.5);
  CHECK(cfg.train ==
        std::vector<std::string>{sets.folder.path("cells/images/train"), sets.folder.path("street/train")});
  const EntryCfg entry = cfg.entry(cfg.val.at(1));
  CHECK(entry.path == sets.folder.path("street/val"));
  CHECK(entry.heads == std::vector<std::string>{"objects"});
  CHECK(entry.classes == std::vector<int>{2, 3, 4});
  CHECK(cfg.names_of(entry) == std::vector<std::string>{"car", "dog", "cat"});
  CHECK(sets.read("heads: {c: {data: cells/bccd.yaml}}\n", DataCfgUse::kNamesAndHeads).names.size() == 2);
}

TEST_CASE("data: a head with its own data beside groups of classes of this file") {
  const TwoSets sets;
  const DataCfg cfg = sets.read(
      "train: [street/train, {images: cells, heads: [b]}]\nval: street/val\nnames: [x, y, z]\n"
      "heads: {a: 0-1, cells: {data: cells/bccd.yaml}, b: [z]}\n");
  CHECK(cfg.names == std::vector<std::string>{"x", "y", "z", "RBC", "WBC"});
  CHECK(cfg.heads[1].classes == std::vector<int>{3, 4});
  const EntryCfg own = cfg.entry(sets.folder.path("street/train"));
  CHECK(own.heads == std::vector<std::string>{"a", "b"});
  CHECK(own.classes == std::vector<int>{0, 1, 2});
  CHECK(cfg.entry(sets.folder.path("cells")).heads == std::vector<std::string>{"b"});
}

TEST_CASE("data: an entry may say which classes the ids of its label files are") {
  const TwoSets sets;
  const std::string start = "names: [x, y, z]\nheads: {a: 0-1, b: 2}\nval: street/val\n";
  const DataCfg cfg =
      sets.read(start + "train: [street/train, {images: cells/images/train, classes: [z, 0]}]\n");
  CHECK(cfg.entry(cfg.train[1]).classes == std::vector<int>{2, 0});
  CHECK(cfg.entry(cfg.train[1]).heads.empty());
  CHECK(sets.read(start + "train: {images: street/train, heads: [b, a]}\n").details.empty());
}

TEST_CASE("data: faults of heads with their own data name both sides in one line") {
  const auto [text, message] = GENERATE(table<std::string, std::string>({
      {"heads: {c: {data: cells/bccd.yaml, classes: 0-1}}", "head c has both classes and data"},
      {"heads: {c: {data: cells/bccd.yaml}, d: {data: cells/copy.yaml}}", "the class 'RBC' of head d ("},
      {"names: [a, WBC]\ntrain: street/train\nval: street/val\nheads: {a: 0-1, c: {data: cells/bccd.yaml}}",
       "the class 'WBC' of head c ("},
      {"heads: {c: {data: two.yaml}}", "brings data for the head 'c' of"},
      {"heads: {c: {data: cells/heads.yaml}}", "cannot have heads itself"},
      {"heads: {c: {data: cells/gone.yaml}}", "not found: the data file 'cells/gone.yaml'"},
      {"heads: {c: {data: cells/no_train.yaml}}", "no train: is given"},
      {"names: [a]\nheads: {a: 0, c: {data: cells/bccd.yaml}}", "head 'a' has no training data"},
      {"names: [a, b]\ntrain: street/train\nval: street/val\nheads: {a: 0, c: {data: cells/bccd.yaml}}",
       "class 1 ('b') belongs to no head"},
      {"names: [a, b]\ntrain: street/train\nval: street/val\nheads: {a: 0-2, c: {data: cells/bccd.yaml}}",
       "class 2 ('RBC') belongs to head a and again to head c"},
      {"train: street/train\nheads: {c: {data: cells/bccd.yaml}}", "train is given but no names"},
      {"names: [a, b]\nheads: {a: 0, b: 1}\ntrain: {images: street/train, heads: a}\nval: street/val",
       "head 'b' has no training data"},
      {"names: [a, b]\nheads: {aa: 0, b: 1}\ntrain: {images: street/train, heads: ab}\nval: street/val",
       "the head 'ab', which heads: does not have; did you mean 'aa'?"},
      {"names: [a]\nheads: {a: 0, c: {data: cells/bccd.yaml}}\ntrain: cells/images/train\nval: street/val",
       "is described twice, in different ways"},
  }));
  const TwoSets sets;
  sets.folder.write("cells/copy.yaml", "train: images/train\nval: images/val\nnames: [RBC]\n");
  sets.folder.write("cells/heads.yaml", "train: images/train\nval: images/val\nnames: [q]\nheads: {a: 0}\n");
  sets.folder.write("cells/no_train.yaml", "val: images/val\nnames: [q]\n");
  try {
    sets.read(text + "\n");
    FAIL("accepted: " << text);
  } catch (const Error& e) {
    CHECK(e.exit_code() == (message.starts_with("not found") ? ExitCode::kData : ExitCode::kUsage));
    CHECK_THAT(e.what(), Catch::Contains(message) && Catch::Contains(".yaml") && !Catch::Contains("\n"));
  }
}

TEST_CASE("data: a head that no entry of val is labelled for is named, and more than 64 heads are refused") {
  const TwoSets sets;
  const log::Capture said;
  sets.read("names: [a, b]\nheads: {a: 0, b: 1}\ntrain: street/train\nval: {images: street/val, heads: a}\n");
  CHECK_THAT(said.text(), Catch::Contains("head b: it is not validated"));
  std::string text = "nc: 65\nheads:\n";
  for (int h = 0; h < 65; ++h) text += fmt::format("  h{}: {}\n", h, h);
  CHECK_THROWS_WITH(parse(text), Catch::Contains("65 heads, at most 64"));
}
