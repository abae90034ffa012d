#include "data/image_cache.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "core/byte_reader.h"
#include "core/crc32.h"
#include "core/file.h"
#include "core/log.h"
#include "core/sha256.h"
#include "core/text.h"

namespace mtyolo::data {
namespace {

constexpr std::string_view kMagic = "mtyolo image 1\n";

std::string key_text(const CacheKey& key) {
  return fmt::format("{}\n{}\n{}\n{}\n{}", key.path, key.bytes, key.modified_ns, key.img_size,
                     int(key.augment));
}

void append_u32(std::string& to, uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) to += char(value >> shift & 0xff);
}

// The first number of a small system file; nothing where there is none ("max").
std::optional<uint64_t> number_in(const std::string& path, std::string_view after = {}) {
  std::ifstream file(path);
  std::string word;
  bool found = after.empty();
  while (file >> word) {
    if (found) {
      const auto value = parse_int(word);
      return value ? std::optional<uint64_t>(uint64_t(*value)) : std::nullopt;
    }
    found = word == after;
  }
  return std::nullopt;
}

uint64_t scaled_bytes(const Sample& sample, int img_size) {
  const double longer = std::max({1, sample.width, sample.height});
  const double ratio = img_size / longer;
  return uint64_t(sample.width * ratio + 1) * uint64_t(sample.height * ratio + 1) * 3;
}

}  // namespace

uint64_t available_memory() {
  uint64_t bytes = number_in("/proc/meminfo", "MemAvailable:").value_or(0) * 1024;
  const auto limit = number_in("/sys/fs/cgroup/memory.max"),
             used = number_in("/sys/fs/cgroup/memory.current");
  if (limit && used) bytes = std::min(bytes, *limit - std::min(*limit, *used));
  return bytes;
}

std::shared_ptr<const Image> load_tile(const Dataset& dataset, int64_t index, int img_size, bool augment) {
  Image image = dataset.read(index);
  const Sample& sample = dataset.sample(index);
  if (image.width != sample.width || image.height != sample.height)
    throw Error({ExitCode::kData,
                 "image_changed",
                 fmt::format("has {} x {} pixels, had {} x {} when the data set was scanned", image.width,
                             image.height, sample.width, sample.height),
                 sample.path,
                 {},
                 {}});
  return std::make_shared<const Image>(load_scaled(std::move(image), img_size, augment));
}

std::string encode_cached_image(const CacheKey& key, const Image& image) {
  const std::string text = key_text(key);
  std::string out(kMagic);
  out.reserve(kMagic.size() + text.size() + image.pixels.size() + 16);
  append_u32(out, uint32_t(text.size()));
  out += text;
  append_u32(out, uint32_t(image.width));
  append_u32(out, uint32_t(image.height));
  out.append(reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size());
  append_u32(out, crc32(std::as_bytes(std::span(out))));
  return out;
}

std::optional<Image> decode_cached_image(std::span<const std::byte> bytes, const CacheKey& key) {
  ByteReader reader(bytes);
  const auto magic = reader.text(kMagic.size());
  if (!magic || *magic != kMagic) return std::nullopt;
  const auto length = reader.little<uint32_t>();
  const auto text = length ? reader.text(*length) : std::nullopt;
  if (!text || *text != key_text(key)) return std::nullopt;
  const auto width = reader.little<uint32_t>(), height = reader.little<uint32_t>();
  if (!width || !height || *width < 1 || *height < 1) return std::nullopt;
  if (*width > kMaxImageSide || *height > kMaxImageSide) return std::nullopt;
  const uint64_t size = uint64_t(*width) * *height * 3;
  const auto pixels = reader.take(size);
  const size_t checked = reader.position();
  const auto crc = reader.little<uint32_t>();
  if (!pixels || !crc || !reader.at_end() || *crc != crc32(bytes.first(checked))) return std::nullopt;
  Image image;
  image.width = int(*width);
  image.height = int(*height);
  const auto* first = reinterpret_cast<const uint8_t*>(pixels->data());
  image.pixels.assign(first, first + size);
  return image;
}

ImageCache::ImageCache(const Dataset& dataset, const ImageCacheParams& params)
    : dataset_(dataset), params_(params) {
  if (params_.mode == CacheMode::kRam) {
    uint64_t needed = 0;
    for (int64_t i = 0; i < dataset.size(); ++i) needed += scaled_bytes(dataset.sample(i), params.img_size);
    const uint64_t room = params.memory_bytes ? params.memory_bytes : available_memory() / 10 * 8;
    if (needed <= room) {
      images_.resize(size_t(dataset.size()));
      return;
    }
    log::warning("the images need {} MiB as a cache in memory, {} MiB may be used: they are cached as files",
                 needed >> 20, room >> 20);
    params_.mode = CacheMode::kDisk;
  }
  MTYOLO_CHECK(!params_.folder.empty(), "image cache: no folder for its files");
  try {
    make_folders(params_.folder);
  } catch (const Error& e) {
    log::warning("no image cache: {}", e.what());
    writes_ = false;
  }
}

std::shared_ptr<const Image> ImageCache::load(int64_t index) {
  if (params_.mode == CacheMode::kDisk) return load_from_disk(index);
  {
    const std::lock_guard lock(mutex_);
    if (images_.at(size_t(index))) return images_[size_t(index)];
  }
  auto image = load_tile(dataset_, index, params_.img_size, params_.augment);
  const std::lock_guard lock(mutex_);
  return images_[size_t(index)] = std::move(image);
}

std::shared_ptr<const Image> ImageCache::load_from_disk(int64_t index) {
  const std::string& path = dataset_.sample(index).path;
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return load_tile(dataset_, index, params_.img_size, params_.augment);
  const CacheKey key{path, uint64_t(info.st_size),
                     int64_t(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec, params_.img_size,
                     params_.augment};
  const std::string name = fmt::format("{}\n{}\n{}", path, key.img_size, int(key.augment));
  const std::string file =
      fmt::format("{}/{}.image", params_.folder, sha256_hex(std::as_bytes(std::span(name))));
  try {
    const std::string bytes = read_file(file, kMaxImageFileBytes);
    if (auto image = decode_cached_image(std::as_bytes(std::span(bytes)), key))
      return std::make_shared<const Image>(std::move(*image));
    log::debug("{}: not a cached image of {}; made again", file, quoted(path));
  } catch (const Error&) {  // not there yet
  }
  auto image = load_tile(dataset_, index, params_.img_size, params_.augment);
  if (!writes_) return image;
  try {
    write_file_atomically(file, encode_cached_image(key, *image));
  } catch (const Error& e) {
    if (writes_.exchange(false)) log::warning("the image cache is not filled further: {}", e.what());
  }
  return image;
}

}  // namespace mtyolo::data
