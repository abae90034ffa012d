#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "data/encode.h"
#include "tests/cli/command.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;
using nlohmann::json;

namespace {

// Ten images with one box each, six in train and four in val.
std::string write_set(const TempFolder& folder) {
  const data::Image image(40, 20, 77);
  for (int i = 0; i < 10; ++i) {
    const std::string part = i < 6 ? "train" : "val";
    make_folders(folder.path("images/" + part));
    data::write_image(folder.path(fmt::format("images/{}/{}.png", part, i)), image);
    folder.write(fmt::format("labels/{}/{}.txt", part, i), fmt::format("{} 0.5 0.5 0.5 0.5\n", i % 2));
  }
  return folder.write("data.yaml", "train: images/train\nval: images/val\nnames: [a, b, c]\n");
}

json findings_of(const json& document, const std::string& check_id) {
  for (const json& f : document["findings"])
    if (f["check_id"] == check_id) return f;
  return nullptr;
}

}  // namespace

TEST_CASE("data check: a clean set gives exit 0 and one line per split") {
  const TempFolder folder;
  const std::string yaml = write_set(folder);
  const CommandResult r = run_mtyolo({"data", "check", yaml});
  CHECK(r.exit_code == 0);
  CHECK(r.out.find("train: 6 found, 0 missing (background), 0 empty, 0 refused, 6 boxes\n") == 0);
  CHECK(r.out.find("val: 4 found") != std::string::npos);
  CHECK(r.out.find("1 of 3 classes have no box: 'c'") != std::string::npos);
  CHECK(r.out.find("0 errors, 0 warnings, 2 notes\n") != std::string::npos);
}

TEST_CASE("data check: errors give exit 1, warnings with --strict, and the document names every file") {
  const TempFolder folder;
  const std::string yaml = write_set(folder);
  folder.write("labels/train/1.txt", "1 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0\n");
  CHECK(run_mtyolo({"data", "check", yaml, "--fast"}).exit_code == 0);
  CHECK(run_mtyolo({"data", "check", yaml, "--fast", "--strict"}).exit_code == 1);

  folder.write("labels/train/2.txt", "3 0.5 0.5 0.5 0.5\n");
  folder.write("labels/val/7.txt", "");
  const std::string png = read_file(folder.path("images/train/3.png"), 1 << 20);
  folder.write("images/train/3.png", png.substr(0, png.size() - 20));
  const CommandResult r = run_mtyolo({"data", "check", yaml, "--json", "--fix-list", folder.path("fix.txt")});
  CHECK(r.exit_code == 1);
  CHECK(r.err.empty());
  const json d = json::parse(r.out);
  CHECK(d["kind"] == "data_check");
  CHECK(d["summary"]["errors"] == 2);
  CHECK(d["summary"]["warnings"] == 2);
  CHECK(d["summary"]["splits"]["train"]["refused"] == 2);
  CHECK(d["summary"]["splits"]["val"]["empty"] == 1);
  const json refused = findings_of(d, "label_class");
  CHECK(refused["severity"] == "error");
  CHECK(refused["split"] == "train");
  CHECK(refused["count"] == 1);
  CHECK(refused["paths"][0] == folder.path("labels/train/2.txt"));
  CHECK(refused["message"].get<std::string>().find("line 1: class 3") != std::string::npos);
  CHECK(findings_of(d, "label_repeated")["count"] == 1);
  CHECK(findings_of(d, "label_area")["severity"] == "warning");
  CHECK(read_file(folder.path("fix.txt"), 1000) == folder.path("images/train/3.png\n") +
                                                       folder.path("labels/train/1.txt\n") +
                                                       folder.path("labels/train/2.txt\n"));
  // The header of the cut image is whole.
  const CommandResult fast = run_mtyolo({"data", "check", yaml, "--json", "--fast"});
  CHECK(json::parse(fast.out)["summary"]["errors"] == 1);
}

TEST_CASE("data check: images of two splits are a warning, a split without labels an error") {
  const TempFolder folder;
  write_set(folder);
  const std::string same = folder.write("same.yaml", "train: images/train\nval: images/train\nnc: 2\n");
  const CommandResult r = run_mtyolo({"data", "check", same});
  CHECK(r.exit_code == 0);
  CHECK(r.out.find("warning split_overlap in val: 6\n  6 of 6 images are also in train") !=
        std::string::npos);
  std::filesystem::remove_all(folder.path("labels/val"));
  const CommandResult bare = run_mtyolo({"data", "check", folder.path("data.yaml")});
  CHECK(bare.exit_code == 1);
  CHECK(bare.out.find("error no_labels in val") != std::string::npos);
}

TEST_CASE("data: what cannot be scanned gives exit 3, a wrong word exit 2") {
  const TempFolder folder;
  write_set(folder);
  make_folders(folder.path("nothing"));
  const std::string empty = folder.write("empty.yaml", "train: nothing\nnc: 1\n");
  CHECK(run_mtyolo({"data", "check", empty}).exit_code == 3);
  CHECK(run_mtyolo({"data", "stats", empty}).exit_code == 3);
  CHECK(run_mtyolo({"data", "check", folder.path("gone.yaml")}).exit_code == 3);
  CHECK(run_mtyolo({"data", "check"}).exit_code == 2);
  const CommandResult convert = run_mtyolo({"data", "convert", "a", "b"});
  CHECK(convert.exit_code == 2);
  CHECK(convert.err.find("data convert is not part of this version") != std::string::npos);
  CHECK(run_mtyolo({"data", "chek", empty}).err.find("did you mean 'check'?") != std::string::npos);
  CHECK(run_mtyolo({"data", "stats", folder.path("data.yaml"), "--fast"}).exit_code == 2);
  CHECK(run_mtyolo({"data", "check", folder.path("data.yaml"), "--plots"}).exit_code == 2);
}

TEST_CASE("data stats: images, boxes, sizes and shapes per class, as a table and as a document") {
  const TempFolder folder;
  const std::string yaml = write_set(folder);
  folder.write("labels/val/7.txt", "");
  const json d = json::parse(run_mtyolo({"data", "stats", yaml, "--json"}).out);
  CHECK(d["kind"] == "data_stats");
  CHECK(d["splits"]["train"]["images"] == 6);
  CHECK(d["splits"]["train"]["boxes"] == 6);
  CHECK(d["splits"]["train"]["classes"][1]["boxes"] == 3);
  CHECK(d["splits"]["train"]["sizes"]["small"] == 6);
  CHECK(d["splits"]["train"]["aspect"]["median"] == 2);
  CHECK(d["splits"]["train"]["image_width"]["max"] == 40);
  CHECK(d["splits"]["val"]["backgrounds"] == 1);
  const CommandResult text = run_mtyolo({"data", "stats", yaml});
  CHECK(text.exit_code == 0);
  CHECK(text.out.find("val: 4 images, 1 without labels, 3 boxes") != std::string::npos);
}

TEST_CASE("split: lists, links and copies are data sets that check clean") {
  const TempFolder folder;
  const std::string yaml = write_set(folder);
  for (const std::string mode : {"list", "link", "copy"}) {
    const std::string out = folder.path("out/" + mode);
    const CommandResult r = run_mtyolo(
        {"split", yaml, "--ratios", "0.5,0.3,0.2", "--stratify", "--mode", mode, "--out", out, "--json"});
    REQUIRE(r.exit_code == 0);
    CHECK(json::parse(r.out)["images"] == json{{"train", 5}, {"val", 3}, {"test", 2}});
    const CommandResult check = run_mtyolo({"data", "check", out + "/data.yaml", "--json"});
    CHECK(check.exit_code == 0);
    const json splits = json::parse(check.out)["summary"]["splits"];
    CHECK(splits["train"]["boxes"] == 5);
    CHECK(splits["test"]["boxes"] == 2);
    CHECK(std::filesystem::is_symlink(out + "/images/train") == false);
    CHECK(run_mtyolo({"split", yaml, "--out", out}).exit_code == 2);  // there already
  }
}

TEST_CASE("split: a folder without names gets made-up ones, wrong ratios are refused") {
  const TempFolder folder;
  write_set(folder);
  const std::string images = folder.path("images");
  const CommandResult r = run_mtyolo({"split", images, "--out", folder.path("out")});
  CHECK(r.exit_code == 0);
  CHECK(r.out.find("train 8  val 2  test 0  -> ") == 0);
  CHECK(read_file(folder.path("out/data.yaml"), 1000).find("names: [\"class0\",\"class1\"]") !=
        std::string::npos);
  for (const char* ratios : {"0.5", "0.5,0.4", "1.5,-0.5", "a,b", "0.1,0.2,0.3,0.4"})
    CHECK(run_mtyolo({"split", images, "--ratios", ratios}).exit_code == 2);
  CHECK(run_mtyolo({"split", images, "--group-by", "(", "--out", folder.path("o2")}).exit_code == 2);
  CHECK(run_mtyolo({"split", images, "--mode", "move"}).exit_code == 2);
  CHECK(run_mtyolo({"split", folder.path("gone")}).exit_code == 3);
}
