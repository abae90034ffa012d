#include "data/image_cache.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "core/file.h"
#include "core/log.h"
#include "tests/data/memory_dataset.h"

using namespace mtyolo;
using namespace mtyolo::data;
using namespace mtyolo::test;

namespace {

// Counts how often pictures are decoded; their paths are files.
struct FileDataset : MemoryDataset {
  explicit FileDataset(const TempFolder& folder) {
    for (int i = 0; i < 3; ++i) {
      add(pattern_image(50 + i, 30));
      change(i).path = folder.write(fmt::format("{}.png", i), "content");
    }
  }
  Image read(int64_t index) const override {
    ++reads;
    return MemoryDataset::read(index);
  }
  mutable int reads = 0;
};

ImageCacheParams disk_params(const TempFolder& folder) {
  return {CacheMode::kDisk, 100, true, folder.path("cache"), 0};
}

std::string only_file(const std::string& folder) {
  return std::filesystem::directory_iterator(folder)->path().string();
}

}  // namespace

TEST_CASE("image cache: pictures are read once, in memory and from files of an earlier run") {
  TempFolder folder;
  FileDataset set(folder);
  const Image expected = *load_tile(set, 1, 100, true);
  set.reads = 0;
  for (const CacheMode mode : {CacheMode::kRam, CacheMode::kDisk}) {
    ImageCacheParams params = disk_params(folder);
    params.mode = mode;
    set.reads = 0;
    ImageCache cache(set, params);
    CHECK(cache.mode() == mode);
    CHECK(cache.load(1)->pixels == expected.pixels);
    CHECK(cache.load(1)->pixels == expected.pixels);
    CHECK(set.reads == 1);
  }
  ImageCache later(set, disk_params(folder));
  CHECK(later.load(1)->width == expected.width);
  CHECK(set.reads == 1);
}

TEST_CASE("image cache: a picture that changed, and a damaged file, are made again") {
  TempFolder folder;
  FileDataset set(folder);
  ImageCache cache(set, disk_params(folder));
  const auto expected = cache.load(0);
  folder.write("0.png", "another content");
  set.reads = 0;
  cache.load(0);
  CHECK(set.reads == 1);
  const std::string file = only_file(folder.path("cache"));
  std::string bytes = read_file(file, 1 << 20);
  bytes[bytes.size() / 2] ^= 1;
  write_file_atomically(file, bytes);
  CHECK(cache.load(0)->pixels == expected->pixels);
  CHECK(set.reads == 2);
  cache.load(0);
  CHECK(set.reads == 2);
}

TEST_CASE("image cache: cached bytes are taken only whole and for their key") {
  const CacheKey key{"a.png", 7, 8, 100, true};
  const std::string bytes = encode_cached_image(key, pattern_image(5, 4));
  const auto decode = [](const std::string& text, const CacheKey& k) {
    return decode_cached_image(std::as_bytes(std::span(text)), k);
  };
  REQUIRE(decode(bytes, key));
  CHECK(decode(bytes, key)->pixels == pattern_image(5, 4).pixels);
  for (size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode(bytes.substr(0, size), key));
  CHECK_FALSE(decode(bytes + "x", key));
  CacheKey other = key;
  other.modified_ns = 9;
  CHECK_FALSE(decode(bytes, other));
}

TEST_CASE("image cache: short memory means files, and a folder that cannot be written means no cache") {
  TempFolder folder;
  FileDataset set(folder);
  log::Capture capture;
  ImageCacheParams params = disk_params(folder);
  params.mode = CacheMode::kRam;
  params.memory_bytes = 3 * 100 * 60;  // less than three pictures
  ImageCache fallen(set, params);
  CHECK(fallen.mode() == CacheMode::kDisk);
  CHECK_THAT(capture.text(), Catch::Contains("cached as files"));
  params = disk_params(folder);
  params.folder = folder.path("0.png/below");
  ImageCache none(set, params);
  CHECK_THAT(capture.text(), Catch::Contains("no image cache"));
  set.reads = 0;
  CHECK(none.load(0)->width == 100);
  CHECK(none.load(0)->width == 100);
  CHECK(set.reads == 2);
}
