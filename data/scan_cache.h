// What decoding the images of an entry found, kept beside it so that the next start need not decode them
// again: "<entry>.mtyolo-cache". Labels are never kept: they are read anew each time, so an edited label or
// another nc cannot be missed (known-issues.md D1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "data/image.h"

namespace mtyolo::data {

// What tells whether a file is still the same.
struct FileStamp {
  uint64_t bytes = 0;
  int64_t modified = 0;  // ticks of the file system's clock
  bool operator==(const FileStamp&) const = default;
};
std::optional<FileStamp> stamp_of(const std::string& path);

class ScanCache {
 public:
  // The size of an image that was decoded whole, if the file still has the stamp.
  std::optional<ImageSize> find(const std::string& path, const FileStamp& stamp) const;
  void add(const std::string& path, const FileStamp& stamp, const ImageSize& size);
  size_t size() const { return entries_.size(); }

  std::string to_bytes() const;  // ends in the SHA-256 of what comes before
  // Nothing if the bytes are no cache of this version, or damaged.
  static std::optional<ScanCache> from_bytes(std::string_view bytes);

  // A cache that is not there, cannot be read or is damaged is an empty one; a folder that cannot be written
  // to stays as it is. Each is worth a note, never an error.
  static ScanCache load(const std::string& file);
  void save(const std::string& file) const;

 private:
  struct Entry {
    FileStamp stamp;
    ImageSize size;
  };
  std::unordered_map<std::string, Entry> entries_;
};

std::string scan_cache_path(const std::string& entry);

}  // namespace mtyolo::data
