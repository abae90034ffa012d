#include "train/results.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::train;

TEST_CASE("results: one head has the columns of the contract, several repeat them by head",
          "[train][results]") {
  ResultsTable table{results_columns({"all"}), {}};
  CHECK(results_csv(table) ==
        "epoch,time,train/box_loss,train/obj_loss,train/cls_loss,metrics/precision,metrics/recall,"
        "metrics/mAP_0.5,metrics/mAP_0.5:0.95,val/box_loss,val/obj_loss,val/cls_loss,x/lr0,x/lr1,x/lr2,"
        "gpu_mem_gb,images_per_s\n");
  const auto two = results_columns({"a", "b"});
  REQUIRE(two.size() == 17 + 20);
  CHECK(two[17] == "a/train/box_loss");
  CHECK(two[36] == "b/val/cls_loss");
}

TEST_CASE("results: a table read back gives the same text, with gaps for missing values",
          "[train][results]") {
  const ResultsTable table{{"epoch", "time", "x"}, {{0, 1.5, 1.0 / 3}, {1, std::nan(""), 1e-9}}};
  const std::string text = results_csv(table);
  CHECK(text == "epoch,time,x\n0,1.5,0.3333333\n1,,1e-09\n");
  CHECK(results_csv(parse_results_csv(text)) == text);
  CHECK(test::error_text([] { parse_results_csv("a,b\n1,2\n3\n"); }) == "line 3 has 1 columns, expected 2");
  CHECK(test::error_text([] { parse_results_csv("a\nx\n"); }) == "line 2 holds 'x', expected a number");
}

TEST_CASE("results: a line of results.txt has yolov7's columns", "[train][results]") {
  ResultsLine l;
  l.epoch = 4;
  l.epochs = 300;
  l.labels = 77;
  l.img_size = 640;
  l.memory_gb = 1.25;
  l.box = 0.05;
  l.obj = 0.02;
  l.cls = 0.011234567;
  l.val[3] = 0.5;
  CHECK(results_txt_line(l) ==
        "     4/299     1.25G      0.05      0.02   0.01123   0.08123        77       640"
        "         0         0         0       0.5         0         0         0\n");
}
