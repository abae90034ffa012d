#include "data/loader.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <thread>

#include "data/image_cache.h"
#include "tests/data/memory_dataset.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::data;
using namespace mtyolo::test;

namespace {

LoaderParams training_params(int workers) {
  LoaderParams p;
  p.batch_size = 4;
  p.img_size = 64;
  p.augment = p.shuffle = true;
  p.augmentation.degrees = 10;
  p.augmentation.mixup = 0.5;
  p.augmentation.copy_paste = 0.5;
  p.augmentation.paste_in = 0.5;
  p.workers = workers;
  p.seed = 7;
  return p;
}

LoaderParams validation_params() {
  LoaderParams p;
  p.batch_size = 4;
  p.img_size = 64;
  p.stride = 32;
  p.rect = true;
  p.pad = 0.5;
  p.workers = 2;
  return p;
}

std::vector<Batch> read_epoch(Loader& loader, int64_t epoch, int64_t first = 0,
                              std::vector<int64_t> order = {}) {
  loader.begin_epoch(epoch, first, std::move(order));
  std::vector<Batch> batches;
  for (Batch batch; loader.next(batch);) batches.push_back(batch);
  return batches;
}

bool same(const Batch& a, const Batch& b) {
  if (!bit_equal(a.images, b.images) || a.indices != b.indices || a.paths != b.paths ||
      a.labelled != b.labelled || a.targets.size() != b.targets.size())
    return false;
  for (size_t i = 0; i < a.targets.size(); ++i) {
    const BatchTarget &s = a.targets[i], &t = b.targets[i];
    if (s.image != t.image || s.cls != t.cls || s.x != t.x || s.y != t.y || s.w != t.w || s.h != t.h)
      return false;
  }
  return true;
}

bool same(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Batch& x, const Batch& y) { return same(x, y); });
}

std::vector<int64_t> indices_of(const std::vector<Batch>& batches) {
  std::vector<int64_t> indices;
  for (const Batch& b : batches) indices.insert(indices.end(), b.indices.begin(), b.indices.end());
  return indices;
}

}  // namespace

TEST_CASE("loader: the batches are the same for 0, 1 and 4 workers and any prefetch") {
  const MemoryDataset set = varied_dataset(18);
  Loader none(set, training_params(0));
  const auto expected = read_epoch(none, 3);
  REQUIRE(expected.size() == 5);
  CHECK(expected.back().size() == 2);
  for (const int workers : {1, 4}) {
    LoaderParams p = training_params(workers);
    p.prefetch = workers;
    Loader loader(set, p);
    CHECK(same(read_epoch(loader, 3), expected));
    CHECK_FALSE(same(read_epoch(loader, 4), expected));
    CHECK(same(read_epoch(loader, 3), expected));
  }
}

TEST_CASE("loader: an epoch can be started in the middle, and left before its end") {
  const MemoryDataset set = varied_dataset(18);
  Loader loader(set, training_params(2));
  const auto whole = read_epoch(loader, 1);
  loader.begin_epoch(5);
  Batch left;
  CHECK(loader.next(left));
  const auto rest = read_epoch(loader, 1, 3);
  REQUIRE(rest.size() == 2);
  CHECK(same(rest, {whole[3], whole[4]}));
  CHECK(read_epoch(loader, 1, 5).empty());
}

TEST_CASE("loader: shuffling takes every image once, in another order each epoch") {
  const MemoryDataset set = varied_dataset(18);
  Loader loader(set, training_params(1));
  auto first = indices_of(read_epoch(loader, 0)), second = indices_of(read_epoch(loader, 1));
  CHECK(first != second);
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  std::vector<int64_t> all(18);
  std::iota(all.begin(), all.end(), 0);
  CHECK(first == all);
  CHECK(second == all);
  const std::vector<int64_t> given(18, 4);
  CHECK(indices_of(read_epoch(loader, 1, 0, given)) == given);
}

TEST_CASE("loader: a last batch of one image joins the one before when asked") {
  const MemoryDataset set = varied_dataset(9);
  LoaderParams p = training_params(1);
  Loader plain(set, p);
  CHECK(plain.batches() == 3);
  p.merge_last_image = true;
  Loader merged(set, p);
  const auto batches = read_epoch(merged, 0);
  REQUIRE(batches.size() == 2);
  CHECK(batches[1].size() == 5);
  p.batch_size = 100;
  Loader one(set, p);
  CHECK(read_epoch(one, 0).at(0).size() == 9);
}

TEST_CASE("loader: targets are normalised centres in order of the images") {
  const MemoryDataset set = varied_dataset(8);
  Loader loader(set, training_params(2));
  size_t seen = 0;
  for (const Batch& batch : read_epoch(loader, 0)) {
    CHECK(batch.images.shape() == Shape{4, 3, 64, 64});
    CHECK(batch.letterboxes.empty());
    CHECK(std::is_sorted(batch.targets.begin(), batch.targets.end(),
                         [](const BatchTarget& a, const BatchTarget& b) { return a.image < b.image; }));
    for (const BatchTarget& t : batch.targets) {
      CHECK(t.image < batch.size());
      CHECK((t.x > 0 && t.x < 1 && t.y > 0 && t.y < 1 && t.w > 0 && t.h > 0));
    }
    seen += batch.targets.size();
  }
  CHECK(seen > 8);
}

TEST_CASE("loader: validation sorts by shape, pads by half a stride and records how images were fitted") {
  MemoryDataset set;
  set.add(pattern_image(64, 48), {{2, 0.25f, 0.5f, 0.5f, 1.0f, {}, false}});
  set.add(pattern_image(30, 60));
  set.add(pattern_image(128, 96));
  set.add(pattern_image(128, 32));
  LoaderParams p = validation_params();
  p.batch_size = 2;
  Loader loader(set, p);
  const auto batches = read_epoch(loader, 0);
  REQUIRE(indices_of(batches) == std::vector<int64_t>{3, 0, 2, 1});  // 0 and 2: equal shapes, order kept
  // Shares up to 0.75: ceil(0.75 * 2 + 0.5) = 2 strides of rows, ceil(2.5) = 3 of columns.
  CHECK(batches[0].images.shape() == Shape{2, 3, 64, 96});
  CHECK(batches[1].images.shape() == Shape{2, 3, 96, 96});
  const Letterbox& shrunk = batches[1].letterboxes.at(0);  // 128 x 96 -> 64 x 48
  CHECK(shrunk.scale == 0.5);
  CHECK(shrunk.scale_y == 0.5);
  CHECK((shrunk.left == 16 && shrunk.top == 24));
  CHECK((shrunk.source_width == 128 && shrunk.source_height == 96));
  CHECK(batches[1].letterboxes.at(1).scale_y == Approx(64.0 / 60));  // enlarged by the load step (D16)
  // 64 x 48 stays, 16 columns and 8 rows before it: the centre (16, 24) becomes (32, 32).
  REQUIRE(batches[0].targets.size() == 1);
  const BatchTarget& t = batches[0].targets[0];
  CHECK((t.image == 1 && t.cls == 2));
  CHECK(t.x == Approx(32.0 / 96));
  CHECK(t.y == Approx(32.0 / 64));
  CHECK(t.w == Approx(32.0 / 96));
  CHECK(t.h == Approx(48.0 / 64));
  // The pixels are those of the letterbox.
  const Image expected = pattern_image(64, 48);
  CHECK(batches[0].images.at({1, 1, 8 + 5, 16 + 9}) == expected.row(5)[9 * 3 + 1]);
  CHECK(batches[0].images.at({1, 0, 0, 0}) == 114);
}

TEST_CASE("loader: an odd spare pixel goes right and below, and labels follow the pixels") {
  MemoryDataset set;
  set.add(Image(64, 33, 200), {{0, 0.5f, 0.5f, 1, 1, {}, false}});
  LoaderParams p = validation_params();
  p.rect = false;
  Loader loader(set, p);
  const Batch batch = read_epoch(loader, 0).at(0);  // 33 rows of 64: 15 before, 16 behind
  CHECK(batch.images.at({0, 0, 14, 0}) == 114);
  CHECK(batch.images.at({0, 0, 15, 0}) == 200);
  CHECK(batch.images.at({0, 0, 47, 0}) == 200);
  CHECK(batch.images.at({0, 0, 48, 0}) == 114);
  const BatchTarget& t = batch.targets.at(0);
  CHECK(t.y == Approx((15 + 33 / 2.0) / 64));
  CHECK(t.h == Approx(33.0 / 64));
}

TEST_CASE("loader: training with rect keeps shapes together and shuffles the batches") {
  const MemoryDataset set = varied_dataset(20);
  LoaderParams p = training_params(2);
  p.rect = true;
  Loader loader(set, p);
  const auto first = read_epoch(loader, 0), second = read_epoch(loader, 1);
  CHECK(indices_of(first) != indices_of(second));
  const auto batch_sets = [](const std::vector<Batch>& batches) {
    std::set<std::vector<int64_t>> sets;
    for (const Batch& b : batches) sets.insert(b.indices);
    return sets;
  };
  CHECK(batch_sets(first) == batch_sets(second));
}

TEST_CASE("loader: an image that became unreadable is replaced by the next one and counted") {
  MemoryDataset set = varied_dataset(10);
  set.unreadable = {2, 9};
  set.change(6).width += 1;  // not the picture that was scanned
  LoaderParams p = validation_params();
  p.rect = false;
  Loader loader(set, p);
  CHECK(indices_of(read_epoch(loader, 0)) == std::vector<int64_t>{0, 1, 3, 3, 4, 5, 7, 7, 8, 0});
  CHECK(loader.stats().unreadable == 3);
  CHECK(loader.stats().unreadable_paths == std::vector<std::string>{"image2", "image6", "image9"});
}

TEST_CASE("loader: more than half unreadable ends the epoch with an error") {
  MemoryDataset set = varied_dataset(10);
  set.unreadable = {0, 1, 2, 3, 4, 5};
  for (const int workers : {0, 2}) {
    LoaderParams p = training_params(workers);
    Loader loader(set, p);
    loader.begin_epoch(0);
    Batch batch;
    CHECK(error_code([&] {
            while (loader.next(batch)) {
            }
          }) == "images_unreadable");
  }
  set.unreadable = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  Loader loader(set, validation_params());
  loader.begin_epoch(0);
  Batch batch;
  CHECK(error_code([&] { loader.next(batch); }) == "images_unreadable");
}

TEST_CASE("loader: what a worker throws arrives with its batch, and the loader goes on") {
  struct Failing : MemoryDataset {
    Image read(int64_t index) const override {
      if (index == 5) fail(ExitCode::kRuntime, "out_of_memory", "image {}", index);
      return MemoryDataset::read(index);
    }
  } set;
  for (int i = 0; i < 12; ++i) set.add(pattern_image(20, 20));
  LoaderParams p = validation_params();
  p.rect = false;
  Loader loader(set, p);
  loader.begin_epoch(0);
  Batch batch;
  CHECK(loader.next(batch));
  CHECK(error_code([&] { loader.next(batch); }) == "out_of_memory");
  CHECK(loader.next(batch));
  CHECK_FALSE(loader.next(batch));
}

TEST_CASE("loader: no more than the batches of prefetch are made ahead") {
  struct Counting : MemoryDataset {
    Image read(int64_t index) const override {
      ++reads;
      return MemoryDataset::read(index);
    }
    mutable std::atomic<int> reads{0};
  } set;
  for (int i = 0; i < 40; ++i) set.add(pattern_image(20, 20));
  LoaderParams p = validation_params();
  p.prefetch = 2;
  Loader loader(set, p);
  loader.begin_epoch(0);
  Batch batch;
  REQUIRE(loader.next(batch));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK(set.reads == 4 + 2 * 4);
  loader.begin_epoch(1);  // what was made ahead is dropped
  while (loader.next(batch)) {
  }
  CHECK(set.reads <= 4 + 2 * 4 + 40 + 1);
}

namespace {

// Images of class 0 are labelled for head 0, of class 1 for head 1, of class 2 for both; with polygons.
MemoryDataset labelled_in_groups(const std::vector<int>& classes) {
  MemoryDataset set;
  for (const int cls : classes) {
    set.add(Image(48, 40, uint8_t(60 + 40 * cls)),
            {{cls, 0.5f, 0.5f, 0.6f, 0.5f, {{0.2f, 0.25f}, {0.8f, 0.25f}, {0.5f, 0.75f}}, false}});
    set.change(set.size() - 1).labelled = cls == 2 ? ~0ull : uint64_t(1) << cls;
  }
  return set;
}

}  // namespace

TEST_CASE("loader: mosaics, mixup and pasted objects hold images labelled for the same heads only") {
  MemoryDataset set = labelled_in_groups({0, 1, 0, 1, 1, 2, 0, 1, 0, 1});  // one image of class 2
  LoaderParams p = training_params(2);
  p.augmentation.mixup = p.augmentation.paste_in = 1;
  const auto check = [&](Loader& loader) {
    size_t targets = 0;
    for (int64_t epoch = 0; epoch < 8; ++epoch)
      for (const Batch& batch : read_epoch(loader, epoch)) {
        for (size_t i = 0; i < batch.indices.size(); ++i)
          CHECK(batch.labelled[i] == set.sample(batch.indices[i]).labelled);
        for (const BatchTarget& t : batch.targets) {
          const uint64_t labelled = t.cls == 2 ? ~0ull : uint64_t(1) << t.cls;
          CHECK(batch.labelled[size_t(t.image)] == labelled);
        }
        targets += batch.targets.size();
      }
    CHECK(targets > 80);
  };
  Loader loader(set, p);
  check(loader);
  set.unreadable = {1, 4, 6};  // the others of the group take their place
  Loader holes(set, p);
  check(holes);
  CHECK(holes.stats().unreadable_paths.size() == 3);
}

TEST_CASE("loader: a group whose images are all gone is replaced by another, labelled as that is") {
  MemoryDataset set = labelled_in_groups({0, 0, 0, 1, 0, 0});
  set.unreadable = {3};
  LoaderParams p = training_params(1);
  p.shuffle = false;
  Loader loader(set, p);
  for (const Batch& batch : read_epoch(loader, 0))
    for (const uint64_t labelled : batch.labelled) CHECK((labelled & ~1ull) == 0);
  LoaderParams plain = validation_params();
  plain.rect = false;
  Loader validation(set, plain);
  const auto batches = read_epoch(validation, 0);
  CHECK(indices_of(batches) == std::vector<int64_t>{0, 1, 2, 4, 4, 5});
  CHECK(batches[0].labelled == std::vector<uint64_t>{1, 1, 1, 1});
}

TEST_CASE("loader: batches from a cache in memory or on disk are those without") {
  TempFolder folder;
  const MemoryDataset set = varied_dataset(10);
  LoaderParams p = training_params(2);
  Loader plain(set, p);
  const auto expected = read_epoch(plain, 0);
  for (const CacheMode mode : {CacheMode::kRam, CacheMode::kDisk}) {
    p.cache = std::make_shared<ImageCache>(set, ImageCacheParams{mode, p.img_size, true, folder.path("c")});
    Loader loader(set, p);
    CHECK(same(read_epoch(loader, 0), expected));
    CHECK(same(read_epoch(loader, 0), expected));
  }
}
