#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "data/encode.h"
#include "data/image.h"
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

TEST_CASE("data check: what is left out counts neither for the exit code nor in the list of files") {
  const TempFolder folder;
  const std::string yaml = write_set(folder), fix = folder.path("fix.txt");
  folder.write("labels/train/1.txt", "1 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0\n");
  folder.write("labels/train/2.txt", "3 0.5 0.5 0.5 0.5\n");
  const auto check = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"data", "check", yaml, "--json", "--fix-list", fix});
    return run_mtyolo(flags);
  };
  CHECK(check({}).exit_code == 1);
  const CommandResult skipped = check({"--skip", "label_class,class_unused"});
  CHECK(skipped.exit_code == 0);
  const json d = json::parse(skipped.out);
  CHECK(d["summary"]["errors"] == 0);
  CHECK(d["summary"]["warnings"] == 2);
  CHECK(d["summary"]["left_out"] == 3);  // the class of a row, and unused classes in both splits
  CHECK(d["summary"]["splits"]["train"]["refused"] == 1);
  CHECK(findings_of(d, "label_class") == nullptr);
  CHECK(read_file(fix, 1000) == folder.path("labels/train/1.txt\n"));
  CHECK(check({"--skip", "label_class", "--strict"}).exit_code == 1);
  CHECK(check({"--skip", "label_class,label_area,label_repeated", "--strict"}).exit_code == 0);
  const CommandResult only = check({"--only", "label_class", "image_corrupt"});
  CHECK(only.exit_code == 1);
  CHECK(json::parse(only.out)["findings"].size() == 1);
  CHECK(check({"--only", "image_corrupt"}).exit_code == 0);
  const CommandResult text = run_mtyolo({"data", "check", yaml, "--only", "label_area"});
  CHECK_THAT(text.out, Catch::Contains("0 errors, 1 warnings, 0 notes, 4 findings of checks left out\n"));
}

TEST_CASE(
    "data check: an unknown check is refused with the nearest one, --only beside --skip with the reason") {
  const TempFolder folder;
  const std::string yaml = write_set(folder);
  const CommandResult wrong = run_mtyolo({"data", "check", yaml, "--skip", "label_clas"});
  CHECK(wrong.exit_code == 2);
  CHECK_THAT(wrong.err, Catch::Contains("unknown check 'label_clas'; did you mean 'label_class'?"));
  const CommandResult both =
      run_mtyolo({"data", "check", yaml, "--only", "label_class", "--skip", "label_area"});
  CHECK(both.exit_code == 2);
  CHECK_THAT(both.err, Catch::Contains("--only and --skip were both given"));
  CHECK(run_mtyolo({"data", "stats", yaml, "--only", "label_class"}).exit_code == 2);
}

TEST_CASE("data: --plots writes pictures of labels and findings and says where") {
  const TempFolder folder;
  const std::string yaml = write_set(folder), project = folder.path("runs");
  folder.write("labels/train/1.txt", "1 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5\n");
  folder.write("labels/train/2.txt", "3 0.5 0.5 0.5 0.5\n");
  folder.write("images/val/8.png", "no picture");
  const CommandResult check = run_mtyolo({"data", "check", yaml, "--plots", "--project", project});
  CHECK(check.exit_code == 1);
  CHECK_THAT(check.out, Catch::Contains("pictures in " + project +
                                        "/exp: train_examples.jpg train_label_class.jpg "
                                        "train_label_repeated.jpg val_examples.jpg val_image_unknown.jpg\n"));
  const json stats =
      json::parse(run_mtyolo({"data", "stats", yaml, "--plots", "--json", "--project", project}).out);
  std::vector<std::string> names;
  for (const std::string path : stats["pictures"]) {
    CHECK(path.starts_with(project + "/exp2/"));
    CHECK(data::read_sample_image(path).width > 1000);
    names.push_back(path.substr(project.size() + 6));
  }
  CHECK(names == std::vector<std::string>{"labels.jpg", "labels_correlogram.jpg", "labels_val.jpg",
                                          "labels_correlogram_val.jpg", "classes.png"});
  CHECK_FALSE(json::parse(run_mtyolo({"data", "stats", yaml, "--json"}).out).contains("pictures"));
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

TEST_CASE("split: moved images leave nothing behind, and a refused move changes nothing") {
  const TempFolder folder;
  const std::string yaml = write_set(folder), out = folder.path("out");
  folder.write("out/labels/train/0.txt", "mine");
  folder.write("out/labels/val/0.txt", "mine");
  const std::vector<std::string> words{"split", yaml, "--mode", "move", "--out", out, "--exist-ok", "--json"};
  const CommandResult refused = run_mtyolo(words);
  CHECK(refused.exit_code == 3);
  CHECK_THAT(refused.out, Catch::Contains("0.txt") && Catch::Contains("is there already"));
  CHECK(run_mtyolo({"data", "check", yaml}).exit_code == 0);
  std::filesystem::remove_all(out);
  const CommandResult moved = run_mtyolo(words);
  REQUIRE(moved.exit_code == 0);
  CHECK_THAT(moved.err, Catch::Contains("moved.txt says from where"));
  CHECK(json::parse(moved.out)["images"] == json{{"train", 8}, {"val", 2}, {"test", 0}});
  const json splits =
      json::parse(run_mtyolo({"data", "check", out + "/data.yaml", "--json"}).out)["summary"]["splits"];
  CHECK(splits["train"]["boxes"] == 8);
  CHECK(splits["val"]["boxes"] == 2);
  CHECK(std::filesystem::is_empty(folder.path("images/train")));
  CHECK(std::filesystem::is_empty(folder.path("labels/val")));
  const std::string record = read_file(out + "/moved.txt", 1 << 16);
  CHECK(std::count(record.begin(), record.end(), '\n') == 20);
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
  CHECK(run_mtyolo({"split", folder.path("gone")}).exit_code == 3);
}
