#include "train/hyp.h"

#include <catch2/catch.hpp>

#include "core/log.h"
#include "core/yaml.h"
#include "tests/support/temp_folder.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::train;
using test::error_text;

namespace {

std::string refusal(const std::string& yaml) {
  return error_text([&] { hyp_from_document(parse_yaml(yaml, "h.yaml")); });
}

}  // namespace

TEST_CASE("train: the built-in hyper-parameters differ where yolov7's files do") {
  CHECK(read_hyp("p5") == Hyp{});
  CHECK(read_hyp("p6").lrf == 0.2);
  const Hyp tiny = read_hyp("tiny"), custom = read_hyp("custom");
  CHECK(tiny.lrf == 0.01);
  CHECK(tiny.cls == 0.5);
  CHECK(tiny.obj == 1);
  CHECK(tiny.translate == 0.1);
  CHECK(tiny.scale == 0.5);
  CHECK(tiny.paste_in == 0.05);
  CHECK(custom.scale == 0.5);
  CHECK(custom.mixup == 0);
  CHECK(custom.lrf == 0.1);
  CHECK(error_text([] { read_hyp("p7"); }) ==
        "no file 'p7' and no built-in hyper-parameters of that name; there are p5, p6, tiny, custom");
}

TEST_CASE("train: hyp.yaml reads back as it was written") {
  Hyp h = read_hyp("tiny");
  h.lr0 = 0.1 + 0.2;
  h.close_mosaic = 15;
  h.cls_weights = {1, 0.1f};
  h.head_weights = {{"a", 0.3}, {"a \"b\"", 2}};
  h.lr_groups = {{"model.0", 0.1}};
  const std::string text = hyp_yaml(h, {{"a", {.box = 0.05, .obj = 0.7, .cls = 0.3, .weight_decay = 5e-4}}});
  CHECK(hyp_from_document(parse_yaml(text, "h.yaml")) == h);
  CHECK(text.find("# \"a\" of this run: box 0.05, obj 0.7, cls 0.3, weight_decay 0.0005\n") !=
        std::string::npos);
}

TEST_CASE("train: a hyp file may leave keys out, and says which") {
  const test::TempFolder folder;
  const log::Capture said;
  const Hyp h = read_hyp(folder.write("h.yaml", "lr0: 0.02\n"));
  CHECK(h.lr0 == 0.02);
  CHECK(h.lrf == 0.1);
  CHECK(said.text().find("not given, as in p5: lrf, momentum,") != std::string::npos);
  const std::string bad = folder.write("bad.yaml", "lr0: many\n");
  CHECK(error_text([&] { read_hyp(bad); }) ==
        bad + ": line 1, column 6: lr0 is 'many', expected a number in 0..10");
}

TEST_CASE("train: a hyper-parameter out of range, unknown or not built is refused with its line") {
  CHECK(refusal("lr0: 0.1\nmomentum: 1.5\n") ==
        "line 2, column 11: momentum is '1.5', expected a number in 0..0.9999");
  CHECK(refusal("anchor_t: 1\n").find("in 1.01..100") != std::string::npos);
  CHECK(refusal("fliplr: nan\n").find("fliplr is 'nan', expected a number") != std::string::npos);
  CHECK(refusal("weight_deca: 0.1\n")
            .find("unknown hyper-parameter 'weight_deca'; did you mean 'weight_decay'?") !=
        std::string::npos);
  CHECK(refusal("gridmask: 0.5\n").find("gridmask is not built; leave it out") != std::string::npos);
  CHECK(refusal("anchors: 3\n").find("write the anchors into the cfg") != std::string::npos);
  CHECK(refusal("anchors: 0\n") == "no error");
  CHECK(refusal("lr_groups: 3\n").find("lr_groups is no map") != std::string::npos);
  CHECK(refusal("cls_weights: [1, -1]\n").find("cls_weights[1] is '-1'") != std::string::npos);
  CHECK(refusal("[1, 2]").find("no map of names") != std::string::npos);
}

TEST_CASE("train: gains and decay scale with levels, classes, image size and batch") {
  const ScaledHyp v7 = scaled_hyp(Hyp{}, 3, 80, 640, 16), w6 = scaled_hyp(Hyp{}, 4, 80, 1280, 16);
  CHECK(v7.box == Approx(0.05));
  CHECK(v7.cls == Approx(0.3));
  CHECK(v7.obj == Approx(0.7));
  CHECK(v7.weight_decay == Approx(5e-4));
  CHECK(w6.box == Approx(0.0375));
  CHECK(w6.cls == Approx(0.225));
  CHECK(w6.obj == Approx(2.1));
  CHECK(scaled_hyp(Hyp{}, 3, 80, 640, 24).weight_decay == Approx(1.125 * 5e-4));
  CHECK(scaled_hyp(Hyp{}, 3, 80, 640, 128).weight_decay == Approx(2.0 * 5e-4));
}
