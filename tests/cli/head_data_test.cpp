// Two data sets in one model from outside: blood cells as one head, VOC as the other.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/file.h"
#include "core/text.h"
#include "models/weights/checkpoint.h"
#include "tests/cli/command.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"

using namespace mtyolo;
using namespace mtyolo::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// two.yaml: a few images of each set, so that a test takes seconds.
struct TwoSets {
  TempFolder folder;
  std::string data, cfg, image;

  TwoSets() {
    const fs::path shared = fs::absolute(shared_folder()), cells = shared / "data/bccd-yolo";
    for (const char* split : {"train", "val"}) {
      std::set<std::string> paths;
      for (const auto& file : fs::directory_iterator(cells / "images" / split))
        paths.insert(file.path().string());
      std::string list;
      int count = 0;
      for (const std::string& path : paths)
        if (count++ < 12) list += path + "\n";
      image = *paths.begin();
      folder.write(std::string("cells_") + split + ".txt", list);
    }
    folder.write("bccd.yaml", "train: cells_train.txt\nval: cells_val.txt\nnames: [RBC, WBC, Platelets]\n");
    const std::string voc = (shared / "data/voc2007-sample").string();
    folder.write(
        "voc.yaml",
        "path: " + voc +
            "\ntrain: ImageSets/Main/val.txt\nval: ImageSets/Main/val.txt\n"
            "names: [aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, "
            "horse, motorbike, person, pottedplant, sheep, sofa, train, tvmonitor]\n");
    data = folder.write("two.yaml",
                        "heads: {cells: {data: bccd.yaml}, objects: {data: voc.yaml, weight: 1.0}}\n");
    cfg = folder.write("nano.yaml",
                       "nc: 2\nanchors: [[10, 13, 16, 30, 33, 23]]\nrows:\n  - Conv 8 3 2\n  - Conv 8 3 2\n"
                       "  - c: Conv 8 3 2\nhead:\n  - IDetect @c\n");
  }

  // The pictures are not ours to ship: without ../shared these tests cannot run.
  static bool there() { return fs::exists(shared_folder() / "data/voc2007-sample/ImageSets"); }

  std::string run_folder() const { return folder.path("runs/a"); }
  std::vector<std::string> train_words(std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"train",          data,
                                   "--cfg",          cfg,
                                   "--epochs",       "1",
                                   "--img-size",     "64",
                                   "--batch-size",   "8",
                                   "--noautoanchor", "--noplots",
                                   "--project",      folder.path("runs"),
                                   "--name",         "a",
                                   "--threads",      "2"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  json val(const std::string& file, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"val",
                                   file,
                                   "--weights",
                                   run_folder() + "/weights/best.pt",
                                   "--img-size",
                                   "64",
                                   "--json",
                                   "--project",
                                   folder.path("runs"),
                                   "--threads",
                                   "2"};
    words.insert(words.end(), more.begin(), more.end());
    const CommandResult r = run_mtyolo(words);
    INFO(r.err);
    REQUIRE(r.exit_code == 0);
    json d = json::parse(r.out);
    d.erase("speed_ms");
    d.erase("data");
    return d;
  }
};

}  // namespace

TEST_CASE("train: two data sets in one model train, go on, validate and infer, head by head") {
  if (!TwoSets::there()) MTYOLO_SKIP("no shared data");
  const TwoSets sets;
  const CommandResult trained = run_mtyolo(sets.train_words());
  INFO(trained.err);
  REQUIRE(trained.exit_code == 0);
  CHECK_THAT(trained.err, Catch::Contains("images per head: cells 12 (") && Catch::Contains("objects 30 (") &&
                              Catch::Contains("of 42"));
  const CommandResult resumed =
      run_mtyolo({"train", "--resume", sets.run_folder(), "--epochs", "2", "--threads", "2"});
  INFO(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK_THAT(resumed.err, !Catch::Contains("another data set"));
  const std::string csv = read_file(sets.run_folder() + "/results.csv", 1 << 20);
  CHECK_THAT(csv, Catch::Contains("cells/train/box_loss") && Catch::Contains("objects/metrics/mAP_0.5"));
  CHECK(split(trim(csv), '\n').size() == 3);

  const json whole = sets.val(sets.data);
  CHECK(whole == sets.val(sets.run_folder() + "/data.yaml"));  // the run's own copy means the same
  CHECK(whole.at("heads").at("objects").at("labels").get<int>() > 60);
  const json cells = sets.val(sets.data, {"--heads", "cells"});
  CHECK(cells.at("classes").size() == 3);
  CHECK(cells.at("all").at("labels") == whole.at("heads").at("cells").at("labels"));

  const CommandResult found =
      run_mtyolo({"infer", sets.image, "--weights", sets.run_folder() + "/weights/best.pt", "--img-size",
                  "64", "--conf-thres", "cells=0.0001,objects=1", "--json", "--nosave"});
  INFO(found.err);
  REQUIRE(found.exit_code == 0);
  const json d = json::parse(found.out);
  CHECK(d.at("model").at("heads").at("objects").at(19) == "tvmonitor");
  REQUIRE(d.at("images").at(0).at("detections").size() > 0);
  for (const json& x : d.at("images").at(0).at("detections")) {
    CHECK(x.at("head") == "cells");
    CHECK(x.at("class").get<int>() < 3);
  }
}

TEST_CASE("train: what is wrong with heads is one line that names both sides") {
  if (!TwoSets::there()) MTYOLO_SKIP("no shared data");
  const TwoSets sets;
  sets.folder.write("hyp.yaml", "repeat_thr: 0.1\n");
  sets.folder.write("same.yaml", "heads: {a: {data: bccd.yaml}, b: {data: bccd.yaml}}\n");
  sets.folder.write(
      "overlap.yaml",
      "train: cells_train.txt\nval: cells_val.txt\nnames: [a, b, c]\nheads: {x: 0-1, y: 1-2}\n");
  sets.folder.write("hole.yaml",
                    "train: cells_train.txt\nval: cells_val.txt\nnames: [a, b, c]\nheads: {x: 0, y: 2}\n");
  sets.folder.write("no_data.yaml",
                    "train: {images: cells_train.txt, heads: x}\nval: cells_val.txt\nnames: [a, b, c]\n"
                    "heads: {x: 0-1, y: 2}\n");
  const auto at = [&](const char* name) { return sets.folder.path(name); };
  const std::vector<std::tuple<std::vector<std::string>, std::vector<std::string>>> cases{
      {{"--data", at("same.yaml")}, {"the class 'RBC' of head b (", "is also one of head a ("}},
      {{"--data", at("overlap.yaml")}, {"class 1 ('b') belongs to head x and again to head y"}},
      {{"--data", at("hole.yaml")}, {"class 1 ('b') belongs to no head"}},
      {{"--data", at("no_data.yaml")}, {"head 'y' has no training data", "no entry of train:"}},
      {{"--freeze", "cels"}, {"--freeze 'cels'", "trunk, cells, objects", "did you mean 'cells'?"}},
      {{"--single-cls"}, {"--single-cls", "is labelled for cells alone"}},
      {{"--hyp", at("hyp.yaml"), "--image-weights"}, {"--image-weights and repeat_thr 0.1"}},
      {{"--hyp", at("hyp.yaml"), "--rect"}, {"--rect and repeat_thr 0.1"}},
  };
  for (const auto& [more, parts] : cases) {
    std::vector<std::string> words = sets.train_words();
    if (more[0] == "--data") words[1] = more[1];
    else words.insert(words.end(), more.begin(), more.end());
    const CommandResult r = run_mtyolo(words);
    INFO(r.err);
    CHECK(r.exit_code == 2);
    for (const std::string& part : parts) CHECK_THAT(r.err, Catch::Contains(part));
    CHECK(r.err.find("error") == r.err.rfind("error"));
  }
  CHECK(run_mtyolo({"split", sets.data}).err.find("split the data set of each head by itself") !=
        std::string::npos);
}

TEST_CASE("data: check, stats and anchors take a file whose heads bring their data") {
  if (!TwoSets::there()) MTYOLO_SKIP("no shared data");
  const TwoSets sets;
  const CommandResult stats = run_mtyolo({"data", "stats", sets.data, "--json"});
  INFO(stats.err);
  REQUIRE(stats.exit_code == 0);
  CHECK_THAT(stats.out, Catch::Contains("Platelets") && Catch::Contains("tvmonitor"));
  const CommandResult check = run_mtyolo({"data", "check", sets.data, "--fast"});
  INFO(check.err + check.out);
  CHECK(check.exit_code <= 1);
  const CommandResult anchors = run_mtyolo({"anchors", sets.data, "--n", "3", "--gen", "10"});
  INFO(anchors.err);
  CHECK(anchors.exit_code == 0);
}
