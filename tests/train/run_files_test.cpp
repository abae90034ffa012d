// What a run leaves in its folder besides weights and tables.
#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/log.h"
#include "data/image.h"
#include "tests/support/throws.h"
#include "tests/train/tiny_run.h"
#include "train/run_pictures.h"
#include "train/run_report.h"

using namespace mtyolo;
using namespace mtyolo::test;
using namespace mtyolo::train;
namespace fs = std::filesystem;

namespace {

constexpr size_t kMost = 1 << 24;
constexpr const char* kTwoHeads = "heads:\n  a: {classes: [0]}\n  b: {classes: [1]}\n";

// The observers of a run into FOLDER, and what they warned of.
struct Files {
  std::vector<std::string> warned;
  Warnings warnings{[this](const std::string&, const std::string& text) { warned.push_back(text); }};
  RunEvents events;
  RunPictures pictures;
  RunReport report;

  explicit Files(const std::string& folder, bool draws = true)
      : events(folder, warnings),
        pictures(folder, events, warnings),
        report(folder, "mtyolo train <x>", {{"machine", "a fast one"}}, draws, warnings) {}
  TrainerHooks hooks(std::vector<Observer*> first = {}) {
    first.insert(first.end(), {&pictures, &report, &events});
    return {first, {}};
  }
};

// Calls a function after an epoch.
struct AfterEpoch : Observer {
  std::function<void(int64_t)> call;
  explicit AfterEpoch(std::function<void(int64_t)> f) : call(std::move(f)) {}
  void on_epoch(const EpochEvent& e) override { call(e.epoch); }
};

std::vector<std::string> event_files(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().starts_with("events.out.tfevents.")) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// How many records of an event file hold `tag`; checks the framing.
int records_with(const std::string& path, const std::string& tag) {
  const std::string bytes = read_file(path, kMost);
  int count = 0;
  for (size_t at = 0; at < bytes.size();) {
    uint64_t length = 0;
    REQUIRE(at + 16 <= bytes.size());
    std::memcpy(&length, bytes.data() + at, 8);
    REQUIRE(at + 16 + length <= bytes.size());
    const std::string data = bytes.substr(at + 12, length);
    CHECK(bytes.substr(at, 16 + length) == tf_record(data));
    count += data.find("\x0a" + std::string(1, char(tag.size())) + tag) != std::string::npos;
    at += 16 + length;
  }
  return count;
}

int64_t pictures_in(const std::string& folder) {
  int64_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder))
    count += entry.path().extension() == ".jpg" || entry.path().extension() == ".png";
  return count;
}

}  // namespace

TEST_CASE("train: a run leaves its pictures, numbers and report", "[run_files]") {
  TinyRun tiny(kTwoHeads);
  tiny.settings.epochs = 2;
  const std::string folder = tiny.run_folder("a");
  Files files(folder);
  std::string first_results;
  AfterEpoch probe([&](int64_t epoch) {
    if (epoch == 1) first_results = read_file(folder + "/results.png", kMost);
  });
  tiny.run("a", files.hooks({&probe}));
  CHECK(files.warned.empty());
  for (const char* name :
       {"labels.jpg", "labels_correlogram.jpg", "anchors.png", "train_batch0.jpg", "train_batch1.jpg",
        "train_batch2.jpg", "val_batch0_labels.jpg", "val_batch1_pred.jpg", "results.png", "PR_curve.png",
        "F1_curve_a.png", "P_curve_b.png", "R_curve.png", "confusion_matrix.png",
        "confusion_matrix_normalized_a.png"}) {
    INFO(name);
    REQUIRE(fs::exists(folder + "/" + name));
    CHECK(data::read_image(folder + "/" + name).width > 100);
  }
  // The row of the last epoch is in it.
  CHECK(first_results.size() < read_file(folder + "/results.png", kMost).size());

  const auto metrics = nlohmann::json::parse(read_file(folder + "/metrics.json", kMost));
  const ResultsTable table = parse_results_csv(read_file(folder + "/results.csv", kMost));
  const auto row = size_t(metrics["epoch"].get<int>());
  CHECK(metrics["all"]["mAP50"].get<double>() ==
        Approx(table.column("metrics/mAP_0.5").at(row)).margin(1e-5));
  CHECK(metrics["heads"].size() == 2);

  const std::string page = read_file(folder + "/report.html", kMost);
  CHECK(page.size() < 3'000'000);
  for (const char* part :
       {"<section id=\"training\">", "<section id=\"accuracy\">", "<section id=\"curves\">",
        "<section id=\"batches\">", "<section id=\"data\">", "<section id=\"time\">", "<section id=\"next\">",
        "mtyolo train &lt;x&gt;", "a fast one", "head a", "Finished after 2 epochs",
        "Confusion, share of each true class, head b", "warmup_momentum", "waiting for data"}) {
    INFO(part);
    CHECK(page.find(part) != std::string::npos);
  }

  REQUIRE(event_files(folder).size() == 1);
  const std::string events = event_files(folder)[0];
  for (const char* tag : {"train/box_loss", "metrics/mAP_0.5:0.95", "train_a/box_loss", "metrics_b/mAP_0.5",
                          "x/lr0", "AP/red", "AP/blue", "val_pred"}) {
    INFO(tag);
    CHECK(records_with(events, tag) == 2);
  }
  CHECK(records_with(events, "train_batch") == 3);
  CHECK(records_with(events, "classes") == 1);
}

TEST_CASE("train: a resumed run goes on in an event file of its own", "[run_files]") {
  TinyRun tiny;
  tiny.settings.epochs = 3;
  const std::string folder = tiny.run_folder("a");
  {
    Files files(folder);
    TrainerHooks hooks = files.hooks();
    int64_t done = 0;
    AfterEpoch probe([&](int64_t epoch) { done = epoch + 1; });
    hooks.observers.push_back(&probe);
    hooks.interrupted = [&] { return done == 2; };
    tiny.run("a", hooks);
    const std::string page = read_file(folder + "/report.html", kMost);
    CHECK(page.find("Interrupted after 2 epochs") != std::string::npos);
    CHECK(page.find("mtyolo train --resume " + folder) != std::string::npos);
    CHECK(fs::exists(folder + "/PR_curve.png"));
  }
  const std::string first = event_files(folder).at(0);
  fs::rename(first, folder + "/events.out.tfevents.0.first");  // this process would take the same name
  const std::string batch = read_file(folder + "/train_batch0.jpg", kMost);
  Files files(folder);
  tiny.resume("a", files.hooks());
  REQUIRE(event_files(folder).size() == 2);
  CHECK(records_with(event_files(folder)[0], "train/box_loss") == 2);
  CHECK(records_with(event_files(folder)[1], "train/box_loss") == 1);
  CHECK(records_with(event_files(folder)[1], "classes") == 0);
  CHECK(read_file(folder + "/train_batch0.jpg", kMost) == batch);
  const std::string page = read_file(folder + "/report.html", kMost);
  CHECK(page.find("Training batch 0") != std::string::npos);  // of the first process
  CHECK(page.find("before it was resumed") != std::string::npos);
  CHECK(page.find("mtyolo train --resume") == std::string::npos);
}

TEST_CASE("train: a picture that cannot be written is tried again and stops nothing", "[run_files]") {
  log::Capture quiet;
  TinyRun tiny;
  tiny.settings.epochs = 2;
  const std::string folder = tiny.run_folder("a");
  fs::create_directories(folder + "/labels.jpg/in_the_way");
  fs::create_directories(folder + "/metrics.json/in_the_way");
  fs::create_directories(folder + "/report.html/in_the_way");
  Files files(folder);
  AfterEpoch probe([&](int64_t epoch) {
    if (epoch == 1) fs::remove_all(folder + "/labels.jpg");
  });
  CHECK(tiny.run("a", files.hooks({&probe})).epochs_done == 2);
  CHECK(fs::is_regular_file(folder + "/labels.jpg"));
  REQUIRE(files.warned.size() == 3);
  CHECK(files.warned[0].starts_with("labels.jpg was not written: "));
  CHECK(files.warned[1].starts_with("metrics.json was not written: "));
  CHECK(files.warned[2].starts_with("report.html was not written: "));
}

TEST_CASE("train: without pictures there is still a report", "[run_files]") {
  TinyRun tiny;
  tiny.settings.epochs = 1;
  const std::string folder = tiny.run_folder("a");
  Files files(folder, false);
  tiny.run("a", {{&files.report, &files.events}, {}});
  CHECK(pictures_in(folder) == 0);
  CHECK(fs::exists(folder + "/metrics.json"));
  const std::string page = read_file(folder + "/report.html", kMost);
  CHECK(page.find("<section id=\"accuracy\">") != std::string::npos);
  CHECK(page.find("<img loading") == std::string::npos);
}

TEST_CASE("train: a run that an error ends leaves what there is of it, and the error", "[run_files]") {
  // Nothing that an observer does then hides the error.
  struct Trips : Observer {
    void on_failure(const Outcome&) override { throw std::runtime_error("tripped"); }
  };
  log::Capture log;
  TinyRun tiny;
  const std::string folder = tiny.run_folder("a");
  Files files(folder);
  Trips trips;
  AfterEpoch probe([&](int64_t) { fs::remove_all(tiny.folder.path("set/images")); });
  CHECK(error_code([&] { tiny.run("a", files.hooks({&trips, &probe})); }) == "images_unreadable");
  for (const char* name : {"results.png", "PR_curve.png", "metrics.json"}) {
    INFO(name);
    CHECK(fs::exists(folder + "/" + name));
  }
  const std::string page = read_file(folder + "/report.html", kMost);
  CHECK(page.find("Ended by an error after 1 epoch (none of the 16 images of the set can be read any more") !=
        std::string::npos);
  CHECK(page.find("mtyolo train --resume " + folder) != std::string::npos);
  CHECK(page.find("<section id=\"accuracy\">") != std::string::npos);
}

TEST_CASE("train: no memory left or no time left, the report says so", "[run_files]") {
  log::Capture quiet;
  TinyRun tiny;
  tiny.settings.epochs = 2;
  {
    Files files(tiny.run_folder("memory"), false);
    AfterEpoch probe([&](int64_t) { throw std::bad_alloc(); });
    CHECK_THROWS_AS(tiny.run("memory", files.hooks({&probe})), std::bad_alloc);
    const std::string page = read_file(tiny.run_folder("memory") + "/report.html", kMost);
    CHECK(page.find("Ended by an error after 1 epoch (out of memory)") != std::string::npos);
  }
  tiny.settings.time_limit = 1e-9;
  Files files(tiny.run_folder("time"), false);
  CHECK(tiny.run("time", files.hooks()).reason == EndReason::kTimeLimit);
  const std::string page = read_file(tiny.run_folder("time") + "/report.html", kMost);
  CHECK(page.find("Stopped by --time-limit after 0 epochs") != std::string::npos);
}

TEST_CASE("train: the data.yaml of a run means the same as the file it was made from") {
  const TempFolder folder;
  for (const char* path : {"cells/train", "cells/val", "street"}) make_folders(folder.path(path));
  folder.write("street/j.json", "");
  folder.write("cells/bccd.yaml", "train: train\nval: [val, train]\nnames: [RBC, 'no']\n");
  const std::string file = folder.write(
      "two.yaml",
      "train: [{json: street/j.json, images: street, heads: b}, {images: street, classes: [2, 0]}]\n"
      "names: [x, y, z]\nheads: {a: 0-1, cells: {data: cells/bccd.yaml, weight: 0.25}, b: z}\n");
  const data::DataCfg once = data::read_data_cfg(file, data::DataCfgUse::kPaths);
  const data::DataCfg again = data::read_data_cfg(folder.write("run/data.yaml", to_yaml(data_document(once))),
                                                  data::DataCfgUse::kPaths);
  CHECK(again.names == once.names);
  CHECK(again.train == once.train);
  CHECK(again.val == once.val);
  CHECK(again.details == once.details);
  REQUIRE(again.heads.size() == 3);
  for (size_t h = 0; h < 3; ++h) {
    CHECK(again.heads[h].name == once.heads[h].name);
    CHECK(again.heads[h].classes == once.heads[h].classes);
    CHECK(again.heads[h].weight == once.heads[h].weight);
  }
}
