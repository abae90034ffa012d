#include "models/cfg.h"

#include <catch2/catch.hpp>

#include "core/yaml.h"
#include "models/compact_cfg.h"
#include "models/graph_builder.h"

namespace mtyolo::models {
namespace {

Cfg cfg_of(const std::string& yaml) { return cfg_from_document(parse_yaml(yaml, "net.yaml"), "net.yaml"); }

// A small official cfg whose rows and head are given.
std::string official(const std::string& rows, const std::string& head = "[[[-1], 1, Detect, [nc, anchors]]]",
                     const std::string& top = "nc: 2\n") {
  return top + "anchors: [[10,13, 16,30]]\nbackbone:\n" + rows + "head: " + head + "\n";
}

std::string refusal(const std::string& yaml) {
  try {
    build_graph(cfg_of(yaml));
  } catch (const Error& e) {
    CHECK(e.exit_code() == ExitCode::kUsage);
    CHECK(e.info().file == "net.yaml");
    return e.what();
  }
  return "accepted";
}

bool contains(const std::string& text, const std::string& part) {
  INFO(text);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

TEST_CASE("cfg: rows keep absolute row numbers, typed arguments and their line") {
  const Cfg cfg = cfg_of(
      official("  - [-1, 1, Conv, [16, 3, 2, None, 1, nn.LeakyReLU(0.1)]]\n  - [-1, 1, Conv, [nc, [1, 1]]]\n"
               "  - [[-1, 0], 1, 'Concat', [1]]\n"));
  REQUIRE(cfg.rows.size() == 4);
  CHECK(cfg.rows[0].from == std::vector<int>{-1});
  CHECK(cfg.rows[2].from == std::vector<int>{1, 0});
  CHECK(cfg.rows[2].module == "Concat");
  CHECK(cfg.rows[0].line == 4);
  CHECK(cfg.rows[2].line == 6);
  CHECK(cfg.rows[0].args[3].kind == CfgArg::Kind::kNull);
  CHECK(cfg.rows[0].args[5].text == "nn.LeakyReLU(0.1)");
  CHECK(cfg.rows[1].args[1].items.size() == 2);
  CHECK(cfg.anchors == std::vector<std::vector<float>>{{10, 13, 16, 30}});
}

TEST_CASE("cfg: a count of anchors gives placeholders for every level of the head") {
  const Cfg cfg = cfg_of(
      "nc: 2\nanchors: 3\nbackbone: [[-1, 1, Conv, [8, 3, 8]], [-1, 1, Conv, [8, 3, 2]]]\n"
      "head: [[[0, 1], 1, Detect, [nc, anchors]]]\n");
  CHECK(cfg.anchors == std::vector<std::vector<float>>(2, {0, 1, 2, 3, 4, 5}));
}

TEST_CASE("cfg: a count of anchors needs a head that reads rows for every level") {
  const std::string message = refusal(
      "nc: 2\nanchors: 3\nbackbone: [[-1, 1, Conv, [8, 3, 8]]]\n"
      "head: [[[0], 1, IAuxDetect, [nc, anchors]]]\n");
  contains(message, "IAuxDetect reads 1 rows, expected 2 for each of 1..16 levels of anchors");
}

TEST_CASE("cfg: faults are refused with file, line and what was expected") {
  contains(refusal(official("  - [-1, 1, Convv, [16, 3, 2]]\n")),
           "line 4, row 0 ('Convv'): unknown module 'Convv'; did you mean 'Conv'?; known are Conv, DWConv");
  contains(refusal(official("  - [3, 1, Conv, [16, 3, 2]]\n")), "row 0 reads row 3, expected an earlier one");
  contains(refusal(official("  - [-2, 1, Conv, [16, 3, 2]]\n")), "row 0 reads row -2");
  contains(refusal(official("  - [-1, 0, Conv, [16, 3, 2]]\n")),
           "the number of row 0 is '0', expected a whole number in 1..1000");
  contains(refusal(official("  - [-1, 1, Conv, [70000, 3, 2]]\n")),
           "the channels is 70000, expected a whole number in 1..65536");
  contains(refusal(official("  - [-1, 1, Conv, [16, 300, 2]]\n")),
           "the kernel is 300, expected a whole number in 1..255");
  contains(refusal(official("  - [-1, 1, Conv, [16, 3, 65]]\n")),
           "the stride is 65, expected a whole number in 1..64");
  contains(refusal(official("  - [-1, 1, Conv, [16, 3, 1.5]]\n")), "the stride is 1.5");
  contains(refusal(official("  - [-1, 1, Conv, [16, 3, 2, None, 5]]\n")),
           "5 groups do not divide 3 input and 16 output");
  contains(refusal(official("  - [-1, 1, Conv, [16, 3, 2, None, 1, nn.Magic()]]\n")),
           "the activation 'nn.Magic()' is not known");
  contains(refusal(official("  - [-1, 1, Conv, [16, 3, 2, None, 1, __import__('os')]]\n")), "is not known");
  contains(refusal(official("  - [-1, 1, Conv, [16, 3, 2]]\n", "[[-1, 1, Conv, [8]]]")),
           "the last row is no detection head");
  contains(refusal(official("  - [-1, 1, Conv, [16, 3, 2]]\n  - [[0, -1], 1, Conv, [8]]\n")),
           "reads 2 rows, expected one");
  contains(refusal(official("  - [-1, 1, Conv, [16, 3, 2]]\n", "[[[0, 0], 1, Detect, [nc, anchors]]]")),
           "reads 2 rows, expected 1 for 1 levels of anchors");
  contains(refusal(official("  - [-1, 1000, Conv, [16, 3, 2]]\n")),
           "repeated 1000 times, but turns 3 channels into 16");
  contains(refusal(official("  - [-1, 1, Conv, [16, 3, 2]]\n", "[]", "nc: 0\n")),
           "nc is '0', expected a whole number in 1..100000");
  contains(refusal(official("  - [-1, 1, Conv, [16]]\n", "[]", "nc: 2\nwidth_multiple: 17\n")),
           "width_multiple is '17'");
  contains(refusal(official("  - [-1, 1, Conv, [16]]\n", "[]", "nc: 2\ndepth_multiple: 0\n")),
           "depth_multiple is 0");
  contains(refusal("nc: 2\n"), "no backbone: is given");
  contains(refusal("[1, 2]\n"), "not a model description");
  contains(
      refusal(
          official("  - [-1, 1, Conv, [16, 3, 2]]\n  - [-1, 1, MP, []]\n  - [[-1, 0], 1, Concat, [1]]\n")),
      "row 2 (Concat), line 6 of the cfg: its inputs [1,16,64,64] and [1,16,128,128] have different sizes");
}

TEST_CASE("cfg: a network of too many operations or parameters is refused before memory is taken") {
  std::string rows;
  for (int i = 0; i < 300; ++i) rows += "  - [-1, 1000, Conv, [3]]\n";
  contains(refusal("width_multiple: 0.001\n" + official("  - [-1, 1, Conv, [8]]\n" + rows)),
           "more than 200000 operations");
  contains(refusal(official("  - [-1, 1, Conv, [65536, 3, 2]]\n  - [-1, 1, Conv, [65536, 3, 2]]\n")),
           "more than 2147483648 parameters");
}

TEST_CASE("cfg: a chain of upsamplings that would overflow is refused, the largest class count is not") {
  contains(refusal(official("  - [-1, 1, Conv, [8]]\n  - [-1, 100, nn.Upsample, [None, 16, nearest]]\n")),
           "larger than 65536");
  CHECK(build_graph(cfg_of(official("  - [-1, 1, Conv, [8]]\n", "[[[-1], 1, Detect, [nc, anchors]]]",
                                    "nc: 100000\n")))
            .heads[0]
            .nc() == 100'000);
}

TEST_CASE("cfg: widths round up to 8, repeats round half to even, and the outputs' width is exempt") {
  // 3 * (59 + 5) = 192 stays although width_multiple would make it 104.
  const Graph graph = build_graph(
      cfg_of("nc: 59\nwidth_multiple: 0.51\ndepth_multiple: 0.5\nanchors: [[1,2,3,4,5,6]]\nbackbone:\n"
             "  - [-1, 1, Conv, [33, 3, 2]]\n  - [-1, 1, Conv, [192, 1, 1]]\n  - [-1, 5, Bottleneck, [192]]\n"
             "  - [-1, 3, BottleneckCSPA, [192]]\nhead: [[[-1], 1, Detect, [nc, anchors]]]\n"));
  std::vector<std::string> names;
  for (const ParamInfo& p : graph.params) names.push_back(p.name);
  CHECK(graph.params[0].shape == Shape{24, 3, 3, 3});
  CHECK(graph.params[6].shape == Shape{192, 24, 1, 1});
  const auto has = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  CHECK(has("model.2.1.cv2.conv.weight"));  // 5 * 0.5 = 2.5 -> 2
  CHECK_FALSE(has("model.2.2.cv2.conv.weight"));
  CHECK(has("model.3.m.1.cv1.conv.weight"));  // 3 * 0.5 = 1.5 -> 2
  CHECK_FALSE(has("model.3.m.2.cv1.conv.weight"));
}

TEST_CASE("cfg: compact rows expand to official ones with labels, lists and repeats") {
  const Document d = expand_compact_cfg(
      parse_yaml("nc: 3\nanchors: v3\nactivation: nn.LeakyReLU(0.1)\nrows:\n"
                 "  - a: Conv 8 3 2\n  - b: MPD 8\n  - ELAN 8 8 2 all 16\n  - SPP 16 5,9 x2\n"
                 "  - UP 8 b-1\nhead:\n  training:\n    - IDetect @a,b,-1\n  deploy:\n    - Detect @a,b,-1\n",
                 "c.yaml"),
      CfgForm::kDeploy);
  const Cfg cfg = cfg_from_document(d, "c.yaml");
  REQUIRE(cfg.rows.size() == 1 + 5 + 6 + 1 + 4 + 1);
  CHECK(cfg.rows[0].args.size() == 6);
  CHECK(cfg.rows[3].from == std::vector<int>{0});  // MPD: the second 1x1 reads the block's input
  CHECK(cfg.rows[5].from == std::vector<int>{4, 2});
  CHECK(cfg.rows[10].from == std::vector<int>{9, 8, 7, 6});  // ELAN with all taps
  CHECK(cfg.rows[12].repeats == 2);
  CHECK(cfg.rows[12].args[1].items.size() == 2);
  CHECK(cfg.rows[15].from == std::vector<int>{4});  // b-1
  CHECK(cfg.rows[17].module == "Detect");
  CHECK(cfg.rows[17].from == std::vector<int>{0, 5, 16});
  CHECK(cfg.rows[17].line == 14);
  CHECK(cfg.anchors[2][5] == 326);
  contains(refusal("nc: 3\nanchors: v3\nrows:\n  - Conv 8 3 2\n  - UP 8 c9\nhead:\n  - Detect @0\n"),
           "line 5, column 5: 'c9' is no row number and no label above");
  contains(refusal("nc: 3\nanchors: v3\nrowz: []\nrows:\n  - Conv 8\nhead:\n  - Detect @0\n"),
           "unknown key 'rowz'");
}

TEST_CASE("cfg: an unknown shipped name suggests the nearest") {
  try {
    shipped_cfg("yolov7-tny");
    FAIL();
  } catch (const Error& e) {
    contains(e.what(), "no cfg named 'yolov7-tny'; did you mean 'yolov7-tiny'?");
  }
  CHECK(cfg_by_name("yolov7-w6-deploy").rows.back().module == "Detect");
}

TEST_CASE("cfg: the stored document rebuilds the network with the classes and anchors it was given") {
  Cfg cfg = with_classes(shipped_cfg("yolov7-tiny"), 5);
  cfg = with_anchors(std::move(cfg), {{1, 2}, {3.5, 4}, {5, 6}});
  const Cfg again = cfg_from_document(cfg.document, "again");
  CHECK(again.nc == 5);
  CHECK(again.anchors == cfg.anchors);
  CHECK(build_graph(again).parameter_count() == build_graph(cfg).parameter_count());
}

}  // namespace
}  // namespace mtyolo::models
