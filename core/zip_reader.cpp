#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/byte_reader.h"
#include "core/checked.h"
#include "core/crc32.h"
#include "core/thread_pool.h"
#include "core/zip.h"

namespace mtyolo {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50, kEntrySignature = 0x02014b50, kEndSignature = 0x06054b50;
constexpr uint32_t kZip64EndSignature = 0x06064b50, kZip64LocatorSignature = 0x07064b50;
constexpr size_t kEndBytes = 22, kEntryBytes = 46, kLocatorBytes = 20, kZip64EndBytes = 56;
constexpr uint16_t kZip64Field = 1;
constexpr uint32_t kOnes32 = 0xffffffff;
constexpr uint16_t kOnes16 = 0xffff;
constexpr uint16_t kEncryptionFlags = 1u << 0 | 1u << 6 | 1u << 13, kDescriptorFlag = 1u << 3;

// Fields of a fixed-size record whose bytes are known to be there.
struct Fields {
  ByteReader reader;
  uint16_t u16() { return reader.little<uint16_t>().value_or(0); }
  uint32_t u32() { return reader.little<uint32_t>().value_or(0); }
  uint64_t u64() { return reader.little<uint64_t>().value_or(0); }
  void skip(size_t n) { reader.skip(n); }
};

// Replaces the values that are all ones by those of the zip64 block of an extra field (Z4). False if it is
// short.
bool apply_zip64(std::span<const std::byte> extra, std::initializer_list<uint64_t*> values) {
  ByteReader reader(extra);
  while (reader.remaining() >= 4) {
    const uint16_t id = *reader.little<uint16_t>(), size = *reader.little<uint16_t>();
    const auto block = reader.take(size);
    if (!block) return false;
    if (id != kZip64Field) continue;
    ByteReader numbers(*block);
    for (uint64_t* value : values) {
      if (*value != kOnes32) continue;
      const auto number = numbers.little<uint64_t>();
      if (!number) return false;
      *value = *number;
    }
    return true;
  }
  return std::none_of(values.begin(), values.end(), [](const uint64_t* v) { return *v == kOnes32; });
}

struct InflateStream {
  z_stream z{};
  bool ready = inflateInit2(&z, -MAX_WBITS) == Z_OK;
  ~InflateStream() {
    if (ready) inflateEnd(&z);
  }
};

// Exactly out.size() bytes must come out, the stream must end there and use up all input (Z2).
bool inflate_exactly(std::span<const std::byte> in, std::span<std::byte> out) {
  constexpr size_t kStep = size_t(1) << 30;
  InflateStream stream;
  if (!stream.ready) return false;
  std::byte spill{};
  size_t taken = 0, given = 0;
  while (true) {
    const size_t in_step = std::min(kStep, in.size() - taken), out_step = std::min(kStep, out.size() - given);
    const bool full = out_step == 0;
    stream.z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data() + taken));
    stream.z.avail_in = uInt(in_step);
    stream.z.next_out = reinterpret_cast<Bytef*>(full ? &spill : out.data() + given);
    stream.z.avail_out = full ? 1 : uInt(out_step);
    const int status = inflate(&stream.z, Z_NO_FLUSH);
    const size_t used = in_step - stream.z.avail_in;
    const size_t made = (full ? 1 : out_step) - stream.z.avail_out;
    if (full && made != 0) return false;
    taken += used;
    given += made;
    if (status == Z_STREAM_END) return taken == in.size() && given == out.size();
    if (status != Z_OK || (used == 0 && made == 0)) return false;
  }
}

}  // namespace

template <class... Args>
void ZipReader::refuse(const char* code, fmt::format_string<Args...> text, Args&&... args) const {
  fail(exit_, code, text, std::forward<Args>(args)...);
}

ZipReader::ZipReader(std::span<const std::byte> bytes, ExitCode exit)
    : bytes_(bytes), exit_(exit), inflate_left_(kZipInflateBase + kZipInflateFactor * bytes.size()) {
  const Directory directory = find_directory();
  read_directory(directory);
  check_ranges(directory);
}

// The end record reaches exactly the end of the file, and no other one could be meant (Z1).
ZipReader::Directory ZipReader::find_directory() const {
  const size_t window = std::min<size_t>(bytes_.size(), kEndBytes + kOnes16);
  std::optional<size_t> found;
  for (size_t at = bytes_.size() - window; at + kEndBytes <= bytes_.size(); ++at) {
    ByteReader reader(bytes_, at);
    if (*reader.little<uint32_t>() != kEndSignature) continue;
    reader.skip(kEndBytes - 6);
    if (found) refuse("Z1", "has a second end record at byte {} inside the comment of the first", at);
    if (at + kEndBytes + *reader.little<uint16_t>() == bytes_.size()) found = at;
  }
  if (!found)
    throw Error({exit_, "Z1", "the zip has no end record", {}, {}, "is it an incomplete download?"});
  Fields f{ByteReader(bytes_, *found + 4)};
  const uint16_t disk = f.u16(), directory_disk = f.u16(), count_here = f.u16(), count = f.u16();
  if (disk != 0 || directory_disk != 0 || count_here != count) refuse("Z1", "the zip has several parts");
  Directory d;
  d.count = count;
  d.size = f.u32();
  d.offset = f.u32();
  d.end = *found;
  merge_zip64(d, *found);
  const auto end = checked::add(d.offset, d.size);
  if (!end || *end > d.end)
    refuse("Z1", "the directory, {} bytes at {}, does not lie before the end record", d.size, d.offset);
  if (d.count > kZipMaxEntries || d.count > d.size / kEntryBytes)
    refuse("Z7", "the end record claims {} entries in a directory of {} bytes", d.count, d.size);
  return d;
}

void ZipReader::merge_zip64(Directory& d, uint64_t end_record) const {
  const bool needed = d.count == kOnes16 || d.size == kOnes32 || d.offset == kOnes32;
  Fields locator{ByteReader(bytes_, end_record < kLocatorBytes ? 0 : end_record - kLocatorBytes)};
  if (end_record < kLocatorBytes || locator.u32() != kZip64LocatorSignature) {
    if (needed) refuse("Z4", "the end record refers to a zip64 record that is not there");
    return;
  }
  const uint32_t disk = locator.u32();
  const uint64_t at = locator.u64();
  const uint32_t disks = locator.u32();
  const uint64_t limit = end_record - kLocatorBytes;
  if (disk != 0 || disks > 1 || at > limit || limit - at < kZip64EndBytes)
    refuse("Z4", "the zip64 locator points to byte {}, outside the file", at);
  Fields f{ByteReader(bytes_, at)};
  const bool signed_right = f.u32() == kZip64EndSignature;
  const uint64_t record_bytes = f.u64();
  if (!signed_right || record_bytes < kZip64EndBytes - 12 || record_bytes > limit - at - 12)
    refuse("Z4", "no valid zip64 end record at byte {}", at);
  f.skip(4);
  const uint32_t this_disk = f.u32(), directory_disk = f.u32();
  const uint64_t here = f.u64(), count = f.u64(), size = f.u64(), offset = f.u64();
  const bool agree = (d.count == kOnes16 || d.count == count) && (d.size == kOnes32 || d.size == size) &&
                     (d.offset == kOnes32 || d.offset == offset);
  if (!agree || this_disk != 0 || directory_disk != 0 || here != count)
    refuse("Z4", "the end record and the zip64 record disagree");
  d = {offset, size, count, at};
}

void ZipReader::read_directory(const Directory& d) {
  ByteReader reader(bytes_.subspan(size_t(d.offset), size_t(d.size)));
  while (!reader.at_end()) {
    const auto fixed = reader.take(kEntryBytes);
    Fields f{ByteReader(fixed.value_or(std::span<const std::byte>{}))};
    if (!fixed || f.u32() != kEntrySignature)
      refuse("Z1", "entry {} of the directory is damaged", entries_.size());
    f.skip(4);
    const uint16_t flags = f.u16(), method = f.u16();
    f.skip(4);
    ZipEntry e;
    e.crc = f.u32();
    e.compressed = f.u32();
    e.size = f.u32();
    const uint16_t name_bytes = f.u16(), extra_bytes = f.u16(), comment_bytes = f.u16(), disk = f.u16();
    f.skip(6);
    e.local_offset = f.u32();
    const auto name = reader.text(name_bytes);
    const auto extra = reader.take(extra_bytes);
    if (!name || !extra || !reader.skip(comment_bytes) || disk != 0)
      refuse("Z1", "entry {} of the directory is damaged", entries_.size());
    e.name = *name;
    if (e.name.empty() || e.name.size() > kZipMaxName || e.name.find('\0') != std::string_view::npos)
      refuse("Z6", "entry {} has the name {}", entries_.size(), quoted(e.name));
    if (!apply_zip64(*extra, {&e.size, &e.compressed, &e.local_offset}))
      refuse("Z4", "entry {} lacks its zip64 sizes", quoted(e.name));
    read_local(e, flags, method);
    if (!index_.emplace(e.name, entries_.size()).second)
      refuse("Z6", "entry {} stands twice in the zip", quoted(e.name));
    entries_.push_back(e);
  }
  if (entries_.size() != d.count)
    refuse("Z1", "the end record claims {} entries, the directory holds {}", d.count, entries_.size());
}

// Z2 and Z3: the local header says the same as the directory, or leaves sizes and CRC to a descriptor.
void ZipReader::read_local(ZipEntry& e, uint16_t flags, uint16_t method) const {
  if ((flags & kEncryptionFlags) != 0) refuse("Z2", "entry {} is encrypted", quoted(e.name));
  if (method != 0 && method != 8)
    refuse("Z2", "entry {} is compressed by method {}, only 0 and 8 are read", quoted(e.name), method);
  if (method == 0 && e.compressed != e.size)
    refuse("Z2", "entry {} is stored, {} bytes, but claims {}", quoted(e.name), e.compressed, e.size);
  e.deflated = method == 8;

  ByteReader reader(bytes_);
  const bool inside = reader.seek(e.local_offset) && reader.remaining() >= 30;
  Fields f{reader};
  if (!inside || f.u32() != kLocalSignature)
    refuse("Z3", "entry {} has no local header at byte {}", quoted(e.name), e.local_offset);
  f.skip(2);
  const uint16_t local_flags = f.u16(), local_method = f.u16();
  f.skip(4);
  const uint32_t crc = f.u32();
  uint64_t compressed = f.u32(), size = f.u32();
  const uint16_t name_bytes = f.u16(), extra_bytes = f.u16();
  const auto name = f.reader.text(name_bytes);
  const auto extra = f.reader.take(extra_bytes);
  if (!name || !extra || *name != e.name || local_method != method || (local_flags & kEncryptionFlags) != 0)
    refuse("Z3", "the local header of entry {} differs from the directory", quoted(e.name));
  if (!apply_zip64(*extra, {&size, &compressed}))
    refuse("Z4", "the local header of entry {} lacks its zip64 sizes", quoted(e.name));
  const bool same = crc == e.crc && compressed == e.compressed && size == e.size;
  const bool left_out = (local_flags & kDescriptorFlag) != 0 && crc == 0 && compressed == 0 && size == 0;
  if (!same && !left_out)
    refuse("Z3", "sizes or CRC in the local header of entry {} differ from the directory", quoted(e.name));
  e.data_offset = f.reader.position();
  if (e.compressed > f.reader.remaining())
    refuse("Z2", "entry {} claims {} bytes, {} are left in the file", quoted(e.name), e.compressed,
           f.reader.remaining());
}

// Z1 and Z5: entries begin at byte 0 and overlap neither each other nor the directory.
void ZipReader::check_ranges(const Directory& d) const {
  std::vector<const ZipEntry*> order;
  for (const ZipEntry& e : entries_) order.push_back(&e);
  std::sort(order.begin(), order.end(),
            [](const ZipEntry* a, const ZipEntry* b) { return a->local_offset < b->local_offset; });
  uint64_t position = 0;
  for (const ZipEntry* e : order) {
    if (e->local_offset < position) refuse("Z5", "entry {} overlaps the one before it", quoted(e->name));
    position = e->data_offset + e->compressed;
  }
  if (position > d.offset) refuse("Z5", "the last entry overlaps the directory");
  const uint64_t first = order.empty() ? d.offset : order.front()->local_offset;
  if (first != 0) refuse("Z1", "the zip begins at byte {}, something else stands before it", first);
}

const ZipEntry* ZipReader::find(std::string_view name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &entries_[it->second];
}

ZipContent ZipReader::content(const ZipEntry& e) {
  const auto bytes = bytes_.subspan(size_t(e.data_offset), size_t(e.compressed));
  if (!e.deflated) return {bytes, nullptr};
  if (e.size > inflate_left_)
    refuse("Z7", "entry {} inflates to {} bytes, {} are allowed for a file of {}", quoted(e.name), e.size,
           inflate_left_, bytes_.size());
  inflate_left_ -= e.size;
  const auto buffer = std::make_shared<std::vector<std::byte>>(size_t(e.size));
  if (!inflate_exactly(bytes, *buffer))
    refuse("Z2", "the compressed data of entry {} are damaged", quoted(e.name));
  return {*buffer, buffer};
}

std::vector<ZipContent> ZipReader::read(Checksums checksums) {
  std::vector<ZipContent> contents;
  for (const ZipEntry& e : entries_) contents.push_back(content(e));
  if (checksums == Checksums::kKnown) return contents;
  std::vector<uint32_t> crcs(contents.size());
  ThreadPool(checking_threads(bytes_.size())).parallel_for(int64_t(crcs.size()), [&](int64_t i) {
    crcs[size_t(i)] = crc32(contents[size_t(i)].bytes);
  });
  for (size_t i = 0; i < crcs.size(); ++i)
    if (crcs[i] != entries_[i].crc)
      refuse("Z2", "the checksum of entry {} is {:08x}, expected {:08x}: the file is damaged",
             quoted(entries_[i].name), crcs[i], entries_[i].crc);
  return contents;
}

}  // namespace mtyolo
