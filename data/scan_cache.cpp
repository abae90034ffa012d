#include "data/scan_cache.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "core/byte_reader.h"
#include "core/file.h"
#include "core/log.h"
#include "core/sha256.h"
#include "data/paths.h"

namespace mtyolo::data {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "mtyolo image cache 1\n";
constexpr size_t kDigestSize = 64;
constexpr size_t kMaxCacheBytes = size_t{4} << 30;

template <class T>
void put(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out += char(uint64_t(value) >> (8 * i) & 0xff);
}

std::string digest(std::string_view bytes) { return sha256_hex(std::as_bytes(std::span(bytes))); }

}  // namespace

std::optional<FileStamp> stamp_of(const std::string& path) {
  std::error_code size_error, time_error;
  const uint64_t bytes = fs::file_size(path, size_error);
  const auto modified = fs::last_write_time(path, time_error);
  if (size_error || time_error) return {};
  return FileStamp{bytes, int64_t(modified.time_since_epoch().count())};
}

std::optional<ImageSize> ScanCache::find(const std::string& path, const FileStamp& stamp) const {
  const auto at = entries_.find(path);
  if (at == entries_.end() || at->second.stamp != stamp) return {};
  return at->second.size;
}

void ScanCache::add(const std::string& path, const FileStamp& stamp, const ImageSize& size) {
  entries_[path] = {stamp, size};
}

// Little-endian: per image the length of its path (u32), the path, bytes (u64), modified (i64), width and
// height (i32).
std::string ScanCache::to_bytes() const {
  std::vector<const std::string*> paths;
  for (const auto& [path, entry] : entries_) paths.push_back(&path);
  std::sort(paths.begin(), paths.end(), [](const auto* a, const auto* b) { return *a < *b; });
  std::string out(kMagic);
  for (const std::string* path : paths) {
    const Entry& e = entries_.at(*path);
    put(out, uint32_t(path->size()));
    out += *path;
    put(out, e.stamp.bytes);
    put(out, e.stamp.modified);
    put(out, int32_t(e.size.width));
    put(out, int32_t(e.size.height));
  }
  return out + digest(out);
}

std::optional<ScanCache> ScanCache::from_bytes(std::string_view bytes) {
  if (bytes.size() < kMagic.size() + kDigestSize || !bytes.starts_with(kMagic)) return {};
  const std::string_view body = bytes.substr(0, bytes.size() - kDigestSize);
  if (digest(body) != bytes.substr(body.size())) return {};
  ScanCache cache;
  ByteReader reader(std::as_bytes(std::span(body)), kMagic.size());
  while (!reader.at_end()) {
    const auto length = reader.little<uint32_t>();
    if (!length || *length > kMaxPathBytes) return {};
    const auto path = reader.text(*length);
    const auto size = reader.little<uint64_t>();
    const auto modified = reader.little<int64_t>();
    const auto width = reader.little<int32_t>(), height = reader.little<int32_t>();
    if (!path || !size || !modified || !width || !height) return {};
    if (*width < kMinSampleSide || *height < kMinSampleSide || *width > kMaxImageSide ||
        *height > kMaxImageSide)
      return {};
    cache.add(std::string(*path), {*size, *modified}, {*width, *height});
  }
  return cache;
}

ScanCache ScanCache::load(const std::string& file) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return {};
  try {
    if (auto cache = from_bytes(read_file(file, kMaxCacheBytes))) return std::move(*cache);
    log::info("{}: is no cache of this version, or damaged: ignored and made anew", file);
  } catch (const Error& e) {
    log::info("{}: ignored", e.what());
  }
  return {};
}

void ScanCache::save(const std::string& file) const {
  try {
    write_file_atomically(file, to_bytes());
  } catch (const Error& e) {
    log::info("{}: images are decoded anew at the next start", e.what());
  }
}

std::string scan_cache_path(const std::string& entry) {
  std::string path = entry;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path + ".mtyolo-cache";
}

}  // namespace mtyolo::data
