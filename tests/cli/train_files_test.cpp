// What `mtyolo train` leaves for people to look at.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/cli/command.h"
#include "tests/train/tiny_run.h"

using namespace mtyolo;
using namespace mtyolo::test;
namespace fs = std::filesystem;

TEST_CASE("train: the command draws, unless --noplots, and tells the report how it was called") {
  TinyRun tiny;
  tiny.settings.epochs = 1;
  std::vector<std::string> words = tiny.words("bare");
  REQUIRE(words.back() == "--noplots");
  REQUIRE(run_mtyolo(words).exit_code == 0);
  const std::string bare = tiny.run_folder("bare"), full = tiny.run_folder("full");
  CHECK(!fs::exists(bare + "/labels.jpg"));
  CHECK(!fs::exists(bare + "/results.png"));
  CHECK(fs::exists(bare + "/metrics.json"));
  CHECK(fs::exists(bare + "/report.html"));
  const auto found = nlohmann::json::parse(read_file(bare + "/predictions.json", 1 << 24));
  REQUIRE(!found.empty());
  std::set<int> images;
  for (const auto& d : found) {
    images.insert(d["image_id"].get<int>());  // the stems are numbers
    CHECK(d["category_id"].get<int>() < 2);
    CHECK(d["bbox"][0].get<double>() + d["bbox"][2].get<double>() < kTinySide + 1e-2);
  }
  CHECK(*images.rbegin() == 15);

  words = tiny.words("full");
  words.pop_back();
  REQUIRE(run_mtyolo(words).exit_code == 0);
  for (const char* name : {"labels.jpg", "results.png", "train_batch2.jpg", "val_batch0_pred.jpg",
                           "PR_curve.png", "confusion_matrix.png"})
    CHECK(fs::exists(full + "/" + name));
  const std::string page = read_file(full + "/report.html", 1 << 24);
  for (const std::string& part : {"mtyolo train " + tiny.settings.data, std::string("--batch-size 4"),
                                  std::string("--noautoanchor"), std::string("cores,")}) {
    INFO(part);
    CHECK(page.find(part) != std::string::npos);
  }
  CHECK(page.find("--noplots") == std::string::npos);
}
