#include "data/split.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "core/file.h"
#include "core/log.h"
#include "data/dataset_stats.h"
#include "tests/support/temp_folder.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::data;
using test::TempFolder;
namespace fs = std::filesystem;

namespace {

// Samples without files: image i has the classes classes[i].
class FakeSet : public Dataset {
 public:
  explicit FakeSet(const std::vector<std::vector<int>>& classes) {
    for (size_t i = 0; i < classes.size(); ++i) {
      Sample s;
      s.path = fmt::format("/d/images/cam{}_{}.png", i % 7, i);
      s.width = 200;
      s.height = 100;
      for (const int cls : classes[i]) s.labels.push_back({cls, 0.5f, 0.5f, 0.25f, 0.25f, {}, false});
      s.background = s.labels.empty();
      samples_.push_back(s);
    }
  }
  int64_t size() const override { return int64_t(samples_.size()); }
  const Sample& sample(int64_t i) const override { return samples_.at(size_t(i)); }
  const ScanReport& report() const override { return report_; }
  Image read(int64_t) const override { return {}; }

  std::vector<Sample> samples_;
  ScanReport report_;
};

// Class 0 everywhere, class 1 in every tenth, class 2 in five images, every 20th a background.
FakeSet mixed_set() {
  std::vector<std::vector<int>> classes(200);
  for (size_t i = 0; i < classes.size(); ++i) {
    if (i % 20 == 19) continue;
    classes[i] = {0, 0};
    if (i % 10 == 3) classes[i].push_back(1);
    if (i % 40 == 5) classes[i].push_back(2);
  }
  return FakeSet(classes);
}

int64_t images_with(const FakeSet& set, const std::vector<int>& parts, int part, int cls) {
  int64_t n = 0;
  for (size_t i = 0; i < parts.size(); ++i)
    if (parts[i] == part)
      n += std::any_of(set.samples_[i].labels.begin(), set.samples_[i].labels.end(),
                       [&](const Label& l) { return l.cls == cls; });
  return n;
}

}  // namespace

TEST_CASE("data: a split keeps the ratios to the image, and the seed draws it") {
  const FakeSet set = mixed_set();
  SplitParams params;
  params.ratios = {0.7, 0.2, 0.1};
  const auto parts = share_out(set, params, 3);
  CHECK(std::count(parts.begin(), parts.end(), 0) == 140);
  CHECK(std::count(parts.begin(), parts.end(), 1) == 40);
  CHECK(std::count(parts.begin(), parts.end(), 2) == 20);
  CHECK(share_out(set, params, 3) == parts);
  params.seed = 1;
  CHECK(share_out(set, params, 3) != parts);
  params.ratios = {0.5, 0.5, 0};
  const auto halves = share_out(set, params, 3);
  CHECK(std::count(halves.begin(), halves.end(), 2) == 0);
}

TEST_CASE("data: a stratified split has every class in its ratio, backgrounds too") {
  const FakeSet set = mixed_set();
  SplitParams params;
  params.stratify = true;
  for (params.seed = 0; params.seed < 5; ++params.seed) {
    const auto parts = share_out(set, params, 3);
    CHECK(std::abs(std::count(parts.begin(), parts.end(), 1) - 40) <= 1);
    CHECK(images_with(set, parts, 1, 1) == 4);
    CHECK(images_with(set, parts, 1, 2) == 1);
    int64_t backgrounds = 0;
    for (size_t i = 0; i < parts.size(); ++i)
      backgrounds += parts[i] == 1 && set.samples_[i].background ? 1 : 0;
    CHECK(backgrounds == 2);
  }
}

TEST_CASE("data: images of one group stay together") {
  const FakeSet set = mixed_set();
  SplitParams params;
  params.group_by = "(cam[0-9]+)_";
  params.ratios = {0.5, 0.5, 0};
  for (const bool stratify : {false, true}) {
    params.stratify = stratify;
    const auto parts = share_out(set, params, 3);
    for (size_t i = 7; i < parts.size(); ++i) CHECK(parts[i] == parts[i % 7]);
    CHECK(std::set<int>(parts.begin(), parts.end()).size() == 2);
  }
  CHECK(groups_of({"a1", "b1", "c", "d"}, "[0-9]") ==
        std::vector<std::string>{"group 1", "group 1", "path c", "path d"});
  CHECK_THAT(test::error_text([] { groups_of({}, "(a"); }), Catch::Contains("--group-by '(a'"));
}

TEST_CASE("data: two images of one name cannot be linked into one folder") {
  FakeSet set({{0}, {0}});
  const TempFolder folder;
  set.samples_[0].path = folder.write("a/x.png", "1");
  set.samples_[1].path = folder.write("b/x.png", "2");
  DataCfg cfg;
  cfg.names = {"no", "it's"};
  const auto write = [&](SplitMode mode, const std::string& out) {
    write_split(set, {0, 0}, cfg, mode, folder.path(out));
  };
  CHECK_THAT(test::error_text([&] { write(SplitMode::kLink, "l"); }), Catch::Contains("two images"));
  write(SplitMode::kList, "o");
  CHECK(read_file(folder.path("o/train.txt"), 100) == "../a/x.png\n../b/x.png\n");
  CHECK(!fs::exists(folder.path("o/val.txt")));
  CHECK(read_file(folder.path("o/data.yaml"), 1000) == "train: train.txt\nnc: 2\nnames: [\"no\",\"it's\"]\n");
}

TEST_CASE("data: no image gets the label of another when a split puts both into one folder") {
  FakeSet set({{0}, {}, {0}});
  const TempFolder folder;
  set.samples_[0].path = folder.write("a/images/x.png", "1");
  set.samples_[1].path = folder.write("b/images/x.jpg", "2");  // a background
  set.samples_[2].path = folder.write("a/images/x.bmp", "3");  // has the label of the first
  folder.write("a/labels/x.txt", "0 0.5 0.5 0.5 0.5\n");
  DataCfg cfg;
  cfg.names = {"c"};
  const auto write = [&](SplitMode mode, const std::vector<int>& parts, const std::string& out) {
    return test::error_text([&] { write_split(set, parts, cfg, mode, folder.path(out)); });
  };
  for (const SplitMode mode : {SplitMode::kLink, SplitMode::kCopy, SplitMode::kMove}) {
    CHECK_THAT(write(mode, {0, 0, 0}, "o"), Catch::Contains("would share this label file"));
    CHECK(fs::is_empty(folder.path("o")));
  }
  CHECK_THAT(write(SplitMode::kMove, {0, 1, 2}, "p"), Catch::Contains("is wanted in two places"));
  CHECK(fs::is_empty(folder.path("p")));
  folder.write("q/labels/val/x.txt", "0 0.1 0.1 0.1 0.1\n");
  CHECK_THAT(write(SplitMode::kMove, {0, 1, 0}, "q"), Catch::Contains("labels/val/x.txt: is there already"));
  fs::create_directories(folder.path("r/data.yaml"));  // cannot be written
  CHECK_THAT(write(SplitMode::kMove, {0, 1, 0}, "r"), Catch::Contains("all 4 files moved so far are back"));
  CHECK(!fs::exists(folder.path("r/images")));
  for (const Sample& s : set.samples_) CHECK(fs::exists(s.path));
  write_split(set, {0, 1, 0}, cfg, SplitMode::kMove, folder.path("s"));
  for (const Sample& s : set.samples_) CHECK(!fs::exists(s.path));
  CHECK(read_file(folder.path("s/images/train/x.bmp"), 9) == "3");
  CHECK(read_file(folder.path("s/images/val/x.jpg"), 9) == "2");
  CHECK(fs::exists(folder.path("s/labels/train/x.txt")));
  CHECK(!fs::exists(folder.path("s/labels/val/x.txt")));
}

TEST_CASE("data: statistics count images, boxes, sizes and shapes") {
  FakeSet set({{0, 0, 1}, {1}, {}});
  set.samples_[0].labels[2] = {1, 0.5f, 0.5f, 1, 1, {{0, 0}, {1, 0}, {1, 1}}, true};
  const DatasetStats s = stats_of(set, 3);
  CHECK((s.images == 3 && s.backgrounds == 1 && s.boxes == 4 && s.polygons == 1 && s.difficult == 1));
  CHECK((s.classes[0].images == 1 && s.classes[0].boxes == 2));
  CHECK((s.classes[1].images == 2 && s.classes[1].boxes == 2 && s.classes[2].boxes == 0));
  // 50 x 25 pixels is medium: 1250 >= 32^2; 200 x 100 is large.
  CHECK((s.sizes.small == 0 && s.sizes.medium == 3 && s.sizes.large == 1));
  CHECK(s.aspect[2] == 2);
  CHECK(s.boxes_per_image == Quantiles{0, 0, 1, 1, 3});
  CHECK(quantiles_of({}) == Quantiles{});
}
