// `mtyolo val` from outside: a trained network on the shared blood cells, and a small random one on pictures
// made here for everything else.
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/file.h"
#include "data/coco_classes.h"
#include "data/encode.h"
#include "models/model.h"
#include "tests/cli/command.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"

using namespace mtyolo;
using namespace mtyolo::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

models::Model random_model(int nc, const std::vector<models::HeadGroup>& heads = {}) {
  Document document = models::shipped_cfg("yolov7-tiny").document;
  for (auto& [key, value] : document.fields) {
    if (key == "width_multiple") value.text = "0.125";
    if (key == "nc") value.text = std::to_string(nc);
  }
  models::BuildOptions options;
  for (int i = 0; i < nc; ++i) options.names.push_back("thing " + std::to_string(i));
  options.heads = heads;
  return models::model_from_cfg(models::cfg_from_document(document, "tiny"), 5, options);
}

// Pictures 1.png, x/2.png, y/02.png with labels of three classes, data.yaml and weights for them.
struct Setup {
  TempFolder folder;
  std::string weights = folder.path("w.pt");

  Setup() {
    models::write_pt(weights, models::checkpoint_from_model(random_model(3)));
    int cls = 0;
    for (const char* name : {"1", "x/2", "y/02"}) {
      data::Image image(97, 60);
      for (size_t i = 0; i < image.pixels.size(); ++i)
        image.pixels[i] = uint8_t((i * size_t(cls + 3) * 2654435761u >> 7) % 251);
      const std::string file = folder.path(std::string("images/") + name + ".png");
      make_folders(fs::path(file).parent_path().string());
      data::write_image(file, image);
      folder.write(std::string("labels/") + name + ".txt", fmt::format("{} 0.5 0.5 0.5 0.25\n", cls++));
    }
  }

  std::string data(const std::string& more = "",
                   const std::string& names = "[thing 0, thing 1, thing 2]") const {
    return folder.write("data.yaml", "val: images\nnames: " + names + "\n" + more);
  }
  CommandResult val(const std::string& data_file, std::vector<std::string> words,
                    const std::string& with = {}) const {
    words.insert(words.begin(), {"val", data_file, "--weights", with.empty() ? weights : with, "--img-size",
                                 "96", "--project", folder.path("runs")});
    return run_mtyolo(words);
  }
  std::string run(const std::string& file) const {
    return read_file(folder.path("runs/exp/" + file), size_t(1) << 24);
  }
};

}  // namespace

TEST_CASE("val: repeats the recorded evaluation of a trained network") {
  const auto trained = shared_folder() / "goldens" / "trained" / "bccd-tiny-320";
  const auto set = shared_folder() / "data" / "bccd-yolo" / "data.yaml";
  if (!fs::exists(trained) || !fs::exists(set)) MTYOLO_SKIP("no shared data");
  const json want =
      json::parse(read_file((trained / "case.json").string(), size_t(1) << 24)).at("evaluation");
  const TempFolder folder;
  const CommandResult r =
      run_mtyolo({"val", set.string(), "--weights", (trained / "best.pt").string(), "--img", "320",
                  "--metric", "coco", "--json", "--project", folder.path()});
  INFO(r.err);
  REQUIRE(r.exit_code == 0);
  const json all = json::parse(r.out).at("all"), coco = want.at("coco").at("stats");
  const char* keys[] = {"mAP50_95", "mAP50", "mAP75", "small", "medium", "large"};
  for (size_t i = 0; i < std::size(keys); ++i) {
    INFO(keys[i]);
    CHECK(double(all.at(keys[i])) == Approx(double(coco[i])).margin(0.0005));
  }
  CHECK(double(all.at("P")) == Approx(double(want.at("native").at("P"))).margin(0.0005));
  CHECK(double(all.at("R")) == Approx(double(want.at("native").at("R"))).margin(0.0005));
  CHECK(all.at("labels") == 1137);
  CHECK(json::parse(read_file(folder.path("exp/metrics.json"), size_t(1) << 24)) == json::parse(r.out));
}

TEST_CASE("val: prints the table, and files name every image once") {
  const Setup s;
  const CommandResult r = s.val(
      s.data(), {"--conf-thres", "0.0001", "--max-det", "5", "--save-json", "--save-txt", "--save-conf"});
  INFO(r.err);
  REQUIRE(r.exit_code == 0);
  CHECK(r.out.find("Class       Images       Labels            P            R       mAP@.5   mAP@.5:.95") !=
        std::string::npos);
  CHECK(r.out.find("thing 2            1            1") != std::string::npos);
  CHECK(r.out.find("Speed: ") != std::string::npos);
  CHECK(r.err.find("2 images share their id with another") != std::string::npos);

  std::set<std::string> ids;
  for (const json& p : json::parse(s.run("predictions.json"))) {
    ids.insert(p.at("image_id").dump());
    const json& b = p.at("bbox");
    CHECK(double(b[0]) >= 0);
    CHECK(double(b[0]) + double(b[2]) <= 97.001);
    CHECK(int(p.at("category_id")) < 3);
  }
  CHECK(ids == std::set<std::string>{"1", "\"x/2\"", "\"y/02\""});

  for (const char* name :
       {"PR_curve.png", "confusion_matrix.png", "val_batch0_labels.jpg", "val_batch0_pred.jpg"})
    CHECK(data::read_image(s.folder.path(std::string("runs/exp/") + name)).width > 100);

  std::istringstream line(s.run("labels/x/2.txt"));
  double cls = -1, cx = 0, cy = 0, w = 0, h = 0, conf = 0;
  int lines = 0;
  while (line >> cls >> cx >> cy >> w >> h >> conf) {
    ++lines;
    CHECK(cx - w / 2 >= -1e-5);
    CHECK(cy + h / 2 <= 1 + 1e-5);
    CHECK(conf > 0.0001);
  }
  CHECK(lines == 5);
}

TEST_CASE("val: hybrid files begin with the true labels, the metrics know nothing of them") {
  const Setup s;
  const CommandResult r = s.val(s.data(), {"--save-hybrid", "--json", "--metric", "v7"});
  REQUIRE(r.exit_code == 0);
  CHECK(s.run("labels/y/02.txt").starts_with("2 0.5 0.5 0.5 0.25\n"));
  CHECK(double(json::parse(r.out).at("all").at("mAP50")) < 0.5);
  CHECK(json::parse(r.out).at("metric") == "v7");
}

TEST_CASE("val: one class for all, squares, augmentation and the speed task run") {
  const Setup s;
  const json d = json::parse(s.val(s.data(), {"--single-cls", "--no-rect", "--augment", "--json"}).out);
  CHECK(d.at("classes").size() == 1);
  CHECK(d.at("classes").at(0).at("name") == "item");
  CHECK(d.at("all").at("labels") == 3);
  const CommandResult r = s.val(s.data(), {"--task", "speed", "--name", "quick"});
  CHECK(r.exit_code == 0);
  CHECK(r.out.find("Speed: ") != std::string::npos);
  CHECK_FALSE(fs::exists(s.folder.path("runs/quick")));
}

TEST_CASE("val: heads have rows, and --heads leaves the others out") {
  const Setup s;
  const std::string two = s.folder.path("two.pt");
  models::write_pt(two, models::checkpoint_from_model(random_model(3, {{"a", {0, 1}}, {"b", {2}}})));
  const std::string data = s.data("heads: {b: {classes: [2]}, a: {classes: 0-1}}\n");
  const CommandResult r = s.val(data, {}, two);
  INFO(r.err);
  REQUIRE(r.exit_code == 0);
  CHECK(r.out.find("head:a") < r.out.find("head:b"));
  const json d = json::parse(s.val(s.data(), {"--heads", "a", "--json"}, two).out);
  CHECK(d.at("all").at("labels") == 2);
  CHECK(d.at("classes").size() == 2);
  CHECK(d.at("classes").at(0).at("head") == "a");
}

TEST_CASE("val: a model that does not belong to the data is refused with both sides") {
  const Setup s;
  const std::string two = s.folder.path("two.pt");
  models::write_pt(two, models::checkpoint_from_model(random_model(3, {{"a", {0, 1}}, {"b", {2}}})));
  const auto refused = [](const CommandResult& r, const std::vector<std::string>& parts) {
    INFO(r.err);
    CHECK(r.exit_code == 2);
    for (const std::string& part : parts) CHECK(r.err.find(part) != std::string::npos);
  };
  refused(s.val(s.data("", "[one]"), {}), {"has 1 class ('one')", "has 3 ('thing 0, thing 1, thing 2')"});
  refused(s.val(s.data("heads: {a: {classes: 0-1}, b: {classes: [2]}}\n"), {}),
          {"has one head", "mtyolo import", "--heads"});
  refused(s.val(s.data("heads: {a: {classes: [0]}, b: {classes: 1-2}}\n"), {}, two),
          {"'a' (1 class: 0), 'b' (2 classes: 1 .. 2)", "'a' (2 classes: 0 .. 1), 'b' (1 class: 2)"});
  refused(s.val(s.data("", "[x, y, z]"), {}, two), {"has no heads and other names", "'thing 0'"});
  refused(s.val(s.data(), {"--heads", "c"}, two), {"the model has the heads a, b"});
  refused(run_mtyolo({"val", s.data()}), {"val needs the weights"});
  const CommandResult renamed = s.val(s.data("", "[x, y, z]"), {});
  CHECK(renamed.exit_code == 0);
  CHECK(renamed.err.find("class 0 is 'x', in the model 'thing 0'") != std::string::npos);
}

TEST_CASE("val: results of a COCO set have the ids of its file, and its crowds are ignored") {
  const Setup s;
  s.folder.write("set.json", R"({"images":[{"id":40,"file_name":"1.png","width":97,"height":60}],
    "categories":[{"id":9,"name":"thing 1"},{"id":5,"name":"thing 0"},{"id":7,"name":"thing 2"}],
    "annotations":[
      {"id":1,"image_id":40,"category_id":7,"bbox":[10,10,40,20],"area":800,"iscrowd":0},
      {"id":2,"image_id":40,"category_id":9,"bbox":[0,0,97,60],"area":5820,"iscrowd":1}]})");
  const std::string data = s.folder.write(
      "json.yaml", "val: {json: set.json, images: images}\nnames: [thing 0, thing 1, thing 2]\n");
  const CommandResult r = s.val(data, {"--save-json", "--json", "--conf-thres", "0.0001"});
  INFO(r.err);
  REQUIRE(r.exit_code == 0);
  std::set<int> categories;
  for (const json& p : json::parse(s.run("predictions.json"))) {
    CHECK(p.at("image_id") == 40);
    categories.insert(int(p.at("category_id")));
  }
  CHECK(categories == std::set<int>{5, 7, 9});
  CHECK(json::parse(r.out).at("all").at("labels") == 1);
}

TEST_CASE("val: missing data and splits are named") {
  const Setup s;
  const CommandResult missing = s.val(s.folder.path("none.yaml"), {});
  CHECK(missing.exit_code == 3);
  CHECK(missing.err.find("none.yaml") != std::string::npos);
  const CommandResult split = s.val(s.data(), {"--task", "test"});
  CHECK(split.exit_code == 3);
  CHECK(split.err.find("names no images for --task test") != std::string::npos);
  CHECK_FALSE(fs::exists(s.folder.path("runs")));
}

TEST_CASE("val: COCO's classes have its category ids") {
  const auto& ids = data::coco_category_ids();
  CHECK(ids.size() == 80);
  CHECK(data::coco_class_names().size() == 80);
  const auto id_of = [&](const char* name) {
    const auto& names = data::coco_class_names();
    return ids.at(size_t(std::find(names.begin(), names.end(), name) - names.begin()));
  };
  CHECK(id_of("person") == 1);
  CHECK(id_of("stop sign") == 13);
  CHECK(id_of("backpack") == 27);
  CHECK(id_of("dining table") == 67);
  CHECK(id_of("toilet") == 70);
  CHECK(id_of("toothbrush") == 90);
}
