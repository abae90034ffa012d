#include <array>
#include <limits>

#include "core/crc32.h"
#include "core/zip.h"

namespace mtyolo {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint32_t kOnes32 = 0xffffffff;
constexpr uint16_t kOnes16 = 0xffff, kUtf8Flag = 0x0800, kVersion = 20, kZip64Version = 45;
constexpr uint16_t kPaddingField = 0x4246;      // "FB", as PyTorch's writer names it
constexpr uint16_t kFirstDosDate = 1 << 5 | 1;  // 1980-01-01: equal content gives equal bytes

// Little-endian numbers and text, appended.
struct Record {
  std::string bytes;
  template <class T>
  Record& put(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) bytes.push_back(char(uint64_t(value) >> (8 * i) & 0xff));
    return *this;
  }
};

uint32_t cut(uint64_t value) { return value >= kOnes32 ? kOnes32 : uint32_t(value); }

// The zip64 block with those of the values that do not fit.
Record zip64_block(std::initializer_list<uint64_t> values) {
  Record numbers;
  for (const uint64_t v : values)
    if (v >= kOnes32) numbers.put<uint64_t>(v);
  Record block;
  if (!numbers.bytes.empty())
    block.put<uint16_t>(1).put(uint16_t(numbers.bytes.size())).bytes += numbers.bytes;
  return block;
}

}  // namespace

void ZipWriter::add(const std::string& name, std::span<const std::byte> content) {
  MTYOLO_CHECK(name.size() <= kZipMaxName, "zip: the entry name {} is too long", quoted(name));
  const uint64_t offset = file_.position(), size = content.size();
  const uint32_t crc = crc32(content);
  Record extra = size >= kOnes32 ? zip64_block({size, size}) : Record{};
  const uint64_t data_at = offset + 30 + name.size() + extra.bytes.size() + 4;
  const auto padding = uint16_t((kAlignment - data_at % kAlignment) % kAlignment);
  extra.put(kPaddingField).put(padding).bytes.append(padding, 'Z');
  Record header;
  header.put(uint32_t(0x04034b50))
      .put(size >= kOnes32 ? kZip64Version : kVersion)
      .put(kUtf8Flag)
      .put(uint16_t(0));
  header.put(uint16_t(0)).put(kFirstDosDate).put(crc).put(cut(size)).put(cut(size));
  header.put(uint16_t(name.size())).put(uint16_t(extra.bytes.size()));
  file_.write(header.bytes + name + extra.bytes);
  file_.write(content);
  written_.push_back({name, offset, size, crc});
}

void ZipWriter::finish() {
  const uint64_t start = file_.position(), count = written_.size();
  for (const Written& w : written_) {
    const Record extra = zip64_block({w.size, w.size, w.offset});
    const uint16_t version = extra.bytes.empty() ? kVersion : kZip64Version;
    Record entry;
    entry.put(uint32_t(0x02014b50)).put(version).put(version).put(kUtf8Flag).put(uint16_t(0));
    entry.put(uint16_t(0)).put(kFirstDosDate).put(w.crc).put(cut(w.size)).put(cut(w.size));
    entry.put(uint16_t(w.name.size())).put(uint16_t(extra.bytes.size())).put(uint16_t(0)).put(uint16_t(0));
    entry.put(uint16_t(0)).put(uint32_t(0)).put(cut(w.offset));
    file_.write(entry.bytes + w.name + extra.bytes);
  }
  const uint64_t end = file_.position(), size = end - start;
  Record tail;
  if (count >= kOnes16 || start >= kOnes32 || size >= kOnes32) {
    tail.put(uint32_t(0x06064b50)).put(uint64_t(44)).put(kZip64Version).put(kZip64Version);
    tail.put(uint32_t(0)).put(uint32_t(0)).put(count).put(count).put(size).put(start);
    tail.put(uint32_t(0x07064b50)).put(uint32_t(0)).put(end).put(uint32_t(1));
  }
  const auto count16 = count >= kOnes16 ? kOnes16 : uint16_t(count);
  tail.put(uint32_t(0x06054b50)).put(uint16_t(0)).put(uint16_t(0)).put(count16).put(count16);
  tail.put(cut(size)).put(cut(start)).put(uint16_t(0));
  file_.write(tail.bytes);
}

}  // namespace mtyolo
