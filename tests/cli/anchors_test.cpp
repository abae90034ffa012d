#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "data/encode.h"
#include "data/image.h"
#include "tests/cli/command.h"

using namespace mtyolo;
using namespace mtyolo::test;
using nlohmann::json;

namespace {

// Two pictures of 64 x 32 with `labels` each, and the data.yaml.
std::string write_dataset(const TempFolder& folder, const std::string& labels) {
  for (const char* name : {"a", "b"}) {
    const std::string image = folder.write(std::string("images/") + name + ".png", "");
    data::write_image(image, data::Image(64, 32, 90));
    folder.write(std::string("labels/") + name + ".txt", labels);
  }
  return folder.write("data.yaml", "train: images\nval: images\nnames: [x]\n");
}

// Sizes at 640 pixels: 64 x 32, 160 x 160 and 320 x 64, several times a little different.
std::string three_sizes() {
  std::string text;
  for (int i = 0; i < 6; ++i) {
    const double f = 1 + 0.01 * i;
    text += fmt::format("0 0.5 0.5 {} {}\n0 0.5 0.5 {} {}\n0 0.5 0.5 {} {}\n", 0.1 * f, 0.1 * f, 0.25 * f,
                        0.5 * f, 0.5 * f, 0.2 * f);
  }
  return text;
}

constexpr const char* kCfg =
    "# my network\nnc: 1\ndepth_multiple: 1.0\nwidth_multiple: 1.0\nanchors:\n  - [1,2]  # P3\n  - [3,4]\n"
    "  - [5,6]\n\nbackbone:\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, Conv, [8, 3, 2]]\n"
    "  - [-1, 1, Conv, [8, 3, 2]]  # keep me\n  - [-1, 1, Conv, [8, 3, 2]]\n  - [-1, 1, Conv, [8, 3, 2]]\n"
    "head:\n  - [[2, 3, 4], 1, Detect, [nc, anchors]]\n";

}  // namespace

TEST_CASE("anchors: the verb finds the sizes that are there, the same every time") {
  const TempFolder folder;
  const std::string data = write_dataset(folder, three_sizes());
  const std::vector<std::string> words{"anchors", data, "--n", "3", "--gen", "100", "--json"};
  const CommandResult r = run_mtyolo(words);
  REQUIRE(r.exit_code == 0);
  const json d = json::parse(r.out);
  CHECK(d["kind"] == "anchors");
  CHECK(d["labels"] == 36);
  CHECK(d["best_possible_recall"] == 1.0);
  REQUIRE(d["anchors"].size() == 1);
  const std::vector<double> sides = d["anchors"][0];
  REQUIRE(sides.size() == 6);
  const double expected[] = {64, 32, 320, 64, 160, 160};  // by area, a few per cent larger
  for (size_t i = 0; i < 6; ++i) CHECK(sides[i] == Approx(expected[i] * 1.025).epsilon(0.06));
  CHECK(run_mtyolo(words).out == r.out);
}

TEST_CASE("anchors: --write replaces the anchors of a description and nothing else") {
  const TempFolder folder;
  const std::string data = write_dataset(folder, three_sizes()), cfg = folder.write("net.yaml", kCfg);
  const CommandResult r = run_mtyolo({"anchors", data, "--write", cfg, "--gen", "20"});
  REQUIRE(r.exit_code == 0);
  CHECK_THAT(r.out, Catch::Contains("before: best possible recall 0.0000"));
  CHECK_THAT(r.out, Catch::Contains("found: best possible recall 1.0000"));
  const std::string text = read_file(cfg, 1 << 20), old = kCfg;
  const size_t begin = old.find("anchors:"), end = old.find("\nbackbone");
  CHECK(text.substr(0, begin) == old.substr(0, begin));
  CHECK(text.substr(text.find("\nbackbone")) == old.substr(end));
  const std::string lines = r.out.substr(r.out.find("anchors:\n"));
  CHECK(text.substr(begin, lines.size()) == lines);
}

TEST_CASE("anchors: too few labels and numbers that do not fit are refused") {
  const TempFolder folder;
  const std::string data = write_dataset(folder, "0 0.5 0.5 0.5 0.5\n");
  const CommandResult few = run_mtyolo({"anchors", data});
  CHECK(few.exit_code == 3);
  CHECK_THAT(few.err, Catch::Contains("the train split has 2 labels in all"));
  const std::string cfg = folder.write("net.yaml", kCfg);
  const CommandResult wrong = run_mtyolo({"anchors", data, "--write", cfg, "--n", "9"});
  CHECK(wrong.exit_code == 2);
  CHECK(read_file(cfg, 1 << 20) == kCfg);
}

TEST_CASE("anchors: --metric iou reports the mean overlap, and finds no less of it than ratio") {
  const TempFolder folder;
  const std::string data = write_dataset(folder, three_sizes());
  const auto overlap = [&](const std::string& metric) {
    const CommandResult r =
        run_mtyolo({"anchors", data, "--n", "3", "--gen", "100", "--metric", metric, "--json"});
    const json d = json::parse(r.out);
    CHECK(d["metric"] == metric);
    if (metric == "iou") CHECK(d["fitness"] == d["mean_iou"]);
    return d["mean_iou"].get<double>();
  };
  const double iou = overlap("iou");
  CHECK(iou > 0.94);                       // each size varies by 5 per cent
  CHECK(iou >= overlap("ratio") - 0.002);  // both are rounded to pixels
}

TEST_CASE("anchors: --heads fits each head's classes alone, and no description can hold that") {
  const TempFolder folder;
  std::string labels;
  for (int i = 0; i < 4; ++i) labels += fmt::format("0 0.5 0.5 0.1 0.1{}\n1 0.5 0.5 0.5 0.{}\n", i, 90 + i);
  write_dataset(folder, labels);
  const std::string plain = folder.path("data.yaml");
  const std::string data = folder.write("heads.yaml",
                                        "train: images\nval: images\nnames: [x, y]\n"
                                        "heads: {small: {classes: 0}, large: {classes: 1}}\n");
  const std::vector<std::string> words{"anchors", data, "--heads", "--n", "1", "--gen", "50"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), words.begin(), words.end());
    return run_mtyolo(more);
  };
  const CommandResult r = with({"--json", "--plot", "--project", folder.path("runs")});
  REQUIRE(r.exit_code == 0);
  const json d = json::parse(r.out);
  CHECK(d["heads"]["small"]["labels"] == 8);
  CHECK(d["heads"]["small"]["anchors"][0][0].get<double>() == Approx(64).margin(3));
  CHECK(d["heads"]["large"]["anchors"][0][0].get<double>() == Approx(320).margin(15));
  CHECK(d["heads"]["large"]["anchors"][0][1].get<double>() == Approx(292).margin(15));
  CHECK_FALSE(d.contains("anchors"));
  CHECK(d["pictures"] ==
        json{folder.path("runs/exp/anchors_small.png"), folder.path("runs/exp/anchors_large.png")});
  for (const std::string path : d["pictures"]) CHECK(data::read_sample_image(path).width == 2000);
  const CommandResult text = with({});
  CHECK_THAT(text.out, Catch::Contains("head small: 8 labels") && Catch::Contains("head large: 8 labels"));
  const std::string cfg = folder.write("net.yaml", kCfg);
  const CommandResult write = with({"--write", cfg});
  CHECK(write.exit_code == 2);
  CHECK_THAT(write.err, Catch::Contains("one list of anchors"));
  CHECK(read_file(cfg, 1 << 20) == kCfg);
  CHECK_THAT(with({"--n", "9"}).err, Catch::Contains("labels of head small"));
  const CommandResult none = run_mtyolo({"anchors", plain, "--heads", "--n", "1"});
  CHECK(none.exit_code == 2);
}
