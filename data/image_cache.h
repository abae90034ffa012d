// Pictures kept after the load step (data.md 2.1), in memory or as files.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace mtyolo::data {

// Image `index` decoded and scaled to img_size. Throws Error{kData} when it cannot be read or is not of the
// size that the scan noted.
std::shared_ptr<const Image> load_tile(const Dataset& dataset, int64_t index, int img_size, bool augment);

// Bytes that the system and the control group of this process have left.
uint64_t available_memory();

enum class CacheMode { kRam, kDisk };

struct ImageCacheParams {
  CacheMode mode = CacheMode::kRam;
  int img_size = 640;
  bool augment = false;
  std::string folder;         // of the files; kRam needs it only when memory is short
  uint64_t memory_bytes = 0;  // at most this for kRam; 0 = 80 % of what the machine has free now
};

// Thread-safe. Fills itself as images are asked for.
class ImageCache {
 public:
  // kRam becomes kDisk with a warning where the whole set does not fit into memory (known-issues D21).
  ImageCache(const Dataset& dataset, const ImageCacheParams& params);

  std::shared_ptr<const Image> load(int64_t index);  // as load_tile
  CacheMode mode() const { return params_.mode; }

 private:
  std::shared_ptr<const Image> load_from_disk(int64_t index);

  const Dataset& dataset_;
  ImageCacheParams params_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<const Image>> images_;  // kRam
  std::atomic<bool> writes_{true};                    // kDisk: false after the first failure
};

// What a cached picture was made from; it is used only while all of it is the same.
struct CacheKey {
  std::string path;
  uint64_t bytes = 0;
  int64_t modified_ns = 0;
  int img_size = 0;
  bool augment = false;
};

// A cache file: "mtyolo image 1\n", u32 length and text of the key, u32 width and height, pixels, and the
// CRC-32 of all before it; little-endian. Anything unexpected gives nothing.
std::string encode_cached_image(const CacheKey& key, const Image& image);
std::optional<Image> decode_cached_image(std::span<const std::byte> bytes, const CacheKey& key);

}  // namespace mtyolo::data
