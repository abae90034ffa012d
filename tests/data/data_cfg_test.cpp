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
      {"{a: {weight: 1}}", "head a has no classes"},
      {"{a.b: {classes: 0-4}}", "head name 'a.b'"},
      {"{a: {classes: 0-4, weight: -1}}", "weight is '-1'"},
      {"{a: {data: other.yaml}}", "not built yet"},
      {"[a, b]", "heads is no map"},
      {"{}", "heads is no map"},
  }));
  try {
    heads(text);
    FAIL("accepted: " << text);
  } catch (const Error& e) {
    CHECK(e.exit_code() == ExitCode::kUsage);
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
