// `mtyolo infer` from outside, on a small network with seeded random weights: what it finds means nothing,
// but every file, number and message does.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/file.h"
#include "data/encode.h"
#include "models/model.h"
#include "tests/cli/command.h"

using namespace mtyolo;
using namespace mtyolo::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

data::Image picture(int width, int height, int seed) {
  data::Image image(width, height);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = uint8_t((i * size_t(seed) * 2654435761u >> 7) % 251);
  return image;
}

// A folder with weights w.pt, pictures a.png and b.png and a file broken.jpg that is no picture.
struct Setup {
  TempFolder folder;
  std::string weights = folder.path("w.pt"), pictures = folder.path("pictures");

  Setup() {
    Document document = models::shipped_cfg("yolov7-tiny").document;
    for (auto& [key, value] : document.fields)
      if (key == "width_multiple") value.text = "0.125";
    const models::Cfg cfg = models::cfg_from_document(document, "tiny");
    models::BuildOptions options;
    for (int i = 0; i < 80; ++i) options.names.push_back("thing " + std::to_string(i));
    models::write_pt(weights, models::checkpoint_from_model(models::model_from_cfg(cfg, 5, options)));
    make_folders(pictures);
    data::write_image(pictures + "/a.png", picture(97, 60, 3));
    data::write_image(pictures + "/b.png", picture(50, 80, 7));
    write_file_atomically(pictures + "/broken.jpg", "no picture");
  }

  CommandResult infer(std::vector<std::string> words) const {
    words.insert(words.begin(), "infer");
    for (const char* word : {"--weights", weights.c_str(), "--img-size", "96", "--project"})
      words.push_back(word);
    words.push_back(folder.path("runs"));
    return run_mtyolo(words);
  }
};

// Random weights score low: this shows some detections of every picture.
const std::string kLow = "--conf-thres=0.0001";

json detections(const CommandResult& r) {
  INFO(r.err);
  REQUIRE(r.exit_code == 0);
  return json::parse(r.out);
}

}  // namespace

TEST_CASE("infer: --json prints one document of the agreed form") {
  const Setup s;
  const json d = detections(s.infer({s.pictures + "/a.png", "--json", "--nosave", kLow, "--max-det", "4"}));
  CHECK(d.at("schema_version") == 1);
  CHECK(d.at("kind") == "detections");
  CHECK(d.at("model").at("img_size") == 96);
  CHECK(d.at("model").at("heads").at("all").size() == 80);
  const json& image = d.at("images").at(0);
  CHECK(image.at("width") == 97);
  CHECK(image.at("height") == 60);
  CHECK(image.at("frame").is_null());
  CHECK(image.at("speed_ms").at("inference") > 0);
  REQUIRE(image.at("detections").size() == 4);
  double last = 1;
  for (const json& x : image.at("detections")) {
    CHECK(x.at("head") == "all");
    CHECK(x.at("name") == "thing " + std::to_string(int(x.at("class"))));
    CHECK(double(x.at("confidence")) <= last);
    last = x.at("confidence");
    CHECK(double(x.at("box").at("x1")) >= 0);
    CHECK(double(x.at("box").at("x2")) <= 97);
    CHECK(double(x.at("box").at("y2")) <= 60);
  }
  CHECK_FALSE(fs::exists(s.folder.path("runs")));
}

TEST_CASE("infer: a broken file in a folder is counted and named, and the rest goes on") {
  const Setup s;
  const CommandResult r = s.infer({s.pictures, "--nosave"});
  CHECK(r.exit_code == 0);
  CHECK(r.err.find("broken.jpg") != std::string::npos);
  CHECK(r.err.find("in 2 images, 1 left out (unreadable)") != std::string::npos);
  CHECK(r.err.find("Speed: ") != std::string::npos);
  CHECK(r.out.find("image 1/3 ") != std::string::npos);
}

TEST_CASE("infer: only unreadable images end with exit 3") {
  const Setup s;
  const CommandResult r = s.infer({s.pictures + "/broken.jpg", "--nosave"});
  CHECK(r.exit_code == 3);
  CHECK(r.err.find("none of the images could be read") != std::string::npos);
}

TEST_CASE("infer: writes pictures, labels, crops and JSON into a fresh run folder") {
  const Setup s;
  const std::vector<std::string> words{s.pictures,   kLow,          "--max-det",   "3",
                                       "--save-txt", "--save-conf", "--save-crop", "--save-json"};
  REQUIRE(s.infer(words).exit_code == 0);
  const fs::path run = fs::path(s.folder.path("runs")) / "exp";
  CHECK(data::read_image((run / "a.png").string()).width == 97);
  const json d = json::parse(read_file((run / "detections.json").string(), 1 << 20));
  std::istringstream lines(read_file((run / "labels" / "a.txt").string(), 1 << 20));
  int count = 0;
  double cls = 0, cx = 0, cy = 0, w = 0, h = 0, conf = 0;
  while (lines >> cls >> cx >> cy >> w >> h >> conf) {
    const json& x = d.at("images").at(0).at("detections").at(size_t(count++));
    CHECK(cls == x.at("class"));
    CHECK(std::abs(conf - double(x.at("confidence"))) < 1e-5);
    CHECK(std::abs((cx - w / 2) * 97 - double(x.at("box").at("x1"))) < 1e-3);
    CHECK(std::abs((cy + h / 2) * 60 - double(x.at("box").at("y2"))) < 1e-3);
  }
  CHECK(count == 3);
  CHECK(std::distance(fs::recursive_directory_iterator(run / "crops"), {}) > 3);
  REQUIRE(s.infer(words).exit_code == 0);
  CHECK(fs::exists(fs::path(s.folder.path("runs")) / "exp2" / "b.png"));
}

TEST_CASE("infer: a batch gives the same detections as single images") {
  const Setup s;
  data::write_image(s.pictures + "/c.png", picture(97, 60, 11));
  const std::vector<std::string> sources{s.pictures + "/a.png", s.pictures + "/c.png", "--json", "--nosave",
                                         kLow};
  auto batched = sources;
  batched.insert(batched.end(), {"--batch-size", "2"});
  const json one = detections(s.infer(sources)), two = detections(s.infer(batched));
  REQUIRE(one.at("images").size() == 2);
  for (size_t i = 0; i < 2; ++i)
    CHECK(one.at("images").at(i).at("detections") == two.at("images").at(i).at("detections"));
}

TEST_CASE("infer: --classes takes ids and names and filters before --max-det") {
  const Setup s;
  const json d =
      detections(s.infer({s.pictures + "/a.png", "--json", "--nosave", kLow, "--classes", "thing 22", "43"}));
  REQUIRE_FALSE(d.at("images").at(0).at("detections").empty());
  for (const json& x : d.at("images").at(0).at("detections"))
    CHECK((x.at("class") == 22 || x.at("class") == 43));
}

TEST_CASE("infer: wrong names and values are refused with exit 2 and the nearest valid one") {
  const Setup s;
  const auto [words, text] = GENERATE(table<std::vector<std::string>, std::string>({
      {{"--classes", "thing_3"}, "did you mean 'thing 3'?"},
      {{"--classes", "80"}, "0..79"},
      {{"--heads", "b"}, "the model has the heads all"},
      {{"--conf-thres", "a=0.3"}, "the model has the heads all"},
      {{"--conf-thres", "1.5"}, "expected a number in 0..1"},
      {{"--iou-thres", "2"}, "0"},
      {{"--save-text"}, "save-txt"},
      {{"--impl", "conv2d=cpu.fast"}, "cpu.igemm"},
  }));
  auto all = words;
  all.insert(all.begin(), {s.pictures + "/a.png", "--nosave"});
  const CommandResult r = s.infer(all);
  INFO(r.err);
  CHECK(r.exit_code == 2);
  CHECK(r.err.find(text) != std::string::npos);
  CHECK(r.out.empty());
}

TEST_CASE("infer: a threshold for a head that --heads leaves out says so") {
  const Setup s;
  std::vector<models::HeadGroup> groups{{"red", {}}, {"other", {}}};
  for (int c = 0; c < 80; ++c) groups[size_t(c % 2)].classes.push_back(c);
  const models::Model two = models::split_heads(models::load_model(s.weights), groups);
  models::write_pt(s.weights, models::checkpoint_from_model(two));
  const std::vector<std::string> words{s.pictures + "/a.png", "--nosave", "--heads", "red", "--conf-thres"};
  const auto run = [&](const std::string& thresholds) {
    auto all = words;
    all.push_back(thresholds);
    return s.infer(all);
  };
  CHECK(run("red=0.2").exit_code == 0);
  CHECK(run("other=0.2").exit_code == 2);
  CHECK_THAT(run("other=0.2").err, Catch::Contains("'other=0.2': --heads red leaves that head out"));
}

TEST_CASE("infer: --impl conv2d=cpu.reference runs the definition and agrees with the kernels") {
  const Setup s;
  const std::vector<std::string> base{s.pictures + "/a.png", "--json", "--nosave", kLow, "--max-det", "3"};
  auto slow = base;
  slow.insert(slow.end(), {"--impl", "conv2d=cpu.reference"});
  const json a = detections(s.infer(base)).at("images").at(0).at("detections");
  const json b = detections(s.infer(slow)).at("images").at(0).at("detections");
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i)
    CHECK(std::abs(double(a.at(i).at("confidence")) - double(b.at(i).at("confidence"))) < 1e-5);
}

TEST_CASE("infer: missing sources and weights are told apart") {
  const Setup s;
  const CommandResult no_source = s.infer({s.folder.path("nowhere.jpg")});
  CHECK(no_source.exit_code == 3);
  CHECK(no_source.err.find("nowhere.jpg") != std::string::npos);
  const CommandResult no_weights = run_mtyolo({"infer", s.pictures, "--weights", s.folder.path("no.pt")});
  CHECK(no_weights.exit_code == 4);
  CHECK(no_weights.err.find("no.pt") != std::string::npos);
}

TEST_CASE("infer: pictures of the same name in two folders keep their own results") {
  const Setup s;
  make_folders(s.folder.path("more"));
  data::write_image(s.folder.path("more/a.png"), picture(40, 40, 5));
  REQUIRE(s.infer({s.pictures + "/a.png", s.folder.path("more/a.png")}).exit_code == 0);
  const fs::path run = fs::path(s.folder.path("runs")) / "exp";
  CHECK(data::read_image((run / "a.png").string()).width == 97);
  CHECK(data::read_image((run / "a_2.png").string()).width == 40);
}

TEST_CASE("infer: --augment, --square and --agnostic-nms run and change what is computed") {
  const Setup s;
  // Boxes are compared before they are clipped to the picture, so only a low threshold makes classes compete.
  const auto [flag, iou] = GENERATE(table<std::string, std::string>(
      {{"--augment", "0.9"}, {"--square", "0.9"}, {"--agnostic-nms", "0.02"}}));
  const std::vector<std::string> base{s.pictures + "/b.png", "--json", "--nosave", kLow, "--iou-thres", iou};
  const json plain = detections(s.infer(base)).at("images").at(0).at("detections");
  auto words = base;
  words.push_back(flag);
  INFO(flag);
  CHECK(detections(s.infer(words)).at("images").at(0).at("detections") != plain);
}

std::array<double, 4> box_of(const json& d) {
  const json& box = d.at("box");
  return {box.at("x1"), box.at("y1"), box.at("x2"), box.at("y2")};
}

double iou(const std::array<double, 4>& a, const std::array<double, 4>& b) {
  const auto area = [](const std::array<double, 4>& r) {
    return std::max(r[2] - r[0], 0.0) * std::max(r[3] - r[1], 0.0);
  };
  const double both =
      area({std::max(a[0], b[0]), std::max(a[1], b[1]), std::min(a[2], b[2]), std::min(a[3], b[3])});
  return both / (area(a) + area(b) - both);
}

// Each of `wanted` above the score has one of its class at the same place in `got`, alike as far as rounding
// in f32 goes, and there are no others.
void check_same_set(const json& got, const json& wanted, double score) {
  const auto above = [&](const json& d) { return d.at("confidence").get<double>() > score; };
  CHECK(std::count_if(got.begin(), got.end(), above) == std::count_if(wanted.begin(), wanted.end(), above));
  std::vector<bool> taken(got.size());
  for (const json& w : wanted) {
    if (!above(w)) continue;
    size_t best = got.size();
    for (size_t i = 0; i < got.size(); ++i)
      if (!taken[i] && got[i].at("class") == w.at("class") &&
          (best == got.size() || iou(box_of(got[i]), box_of(w)) > iou(box_of(got[best]), box_of(w))))
        best = i;
    INFO(w);
    REQUIRE(best < got.size());
    taken[best] = true;
    CHECK(iou(box_of(got[best]), box_of(w)) > 0.999);
    CHECK(got[best].at("confidence").get<double>() == Approx(w.at("confidence").get<double>()).epsilon(1e-4));
    for (size_t side = 0; side < 4; ++side)
      CHECK(box_of(got[best])[side] == Approx(box_of(w)[side]).margin(1e-2));
  }
}

// In the widest gap between neighbouring scores, so that rounding moves none across.
double score_between(const json& found) {
  double score = 0, widest = 0;
  for (size_t i = 4; i < found.size(); ++i) {
    const double above = found[i - 1].at("confidence"), below = found[i].at("confidence");
    if (above - below > widest) widest = above - below, score = (above + below) / 2;
  }
  return score;
}

TEST_CASE("infer: the emulated device finds what the CPU finds, alone and in batches") {
  const Setup s;
  const auto found = [&](std::vector<std::string> more) {
    std::vector<std::string> words{s.pictures, "--json", "--nosave", kLow, "--square", "--max-det", "32"};
    words.insert(words.end(), more.begin(), more.end());
    return detections(s.infer(words)).at("images");
  };
  const json want = found({});
  for (const std::string batch : {"1", "2"}) {
    const json got = found({"--batch", batch, "--device", "simt"});
    REQUIRE(got.size() == want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      REQUIRE(want[i]["detections"].size() > 4);
      check_same_set(got[i]["detections"], want[i]["detections"], score_between(want[i]["detections"]));
    }
  }
}

TEST_CASE("infer: a device that is not there and a type the CPU does not compute in are refused") {
  const Setup s;
  const auto refusal = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {s.pictures + "/a.png", "--nosave"});
    const CommandResult r = s.infer(words);
    CHECK(r.exit_code == 2);
    return r.err;
  };
  CHECK_THAT(refusal({"--device", "tpu"}), Catch::Contains("expected cpu, the number of a GPU, or simt"));
  CHECK_THAT(refusal({"--device", "9999"}), Catch::Contains("--device '9999': "));
  CHECK_THAT(refusal({"--dtype", "fp16", "--device", "cpu"}), Catch::Contains("the CPU computes in fp32"));
  CHECK_THAT(refusal({"--dtype", "bf16", "--device", "cpu", "--impl", "conv2d=cpu.reference"}),
             Catch::Contains("computes in fp32 alone"));
  CHECK(s.infer({s.pictures + "/a.png", "--nosave", "--dtype", "bf16", "--device", "cpu"}).exit_code == 0);
  CHECK_THAT(refusal({"--device", "simt", "--impl", "conv2d=cpu.igemm"}), Catch::Contains("simt.igemm"));
}
