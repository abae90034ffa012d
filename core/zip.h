// Zip files, read under rules Z1 to Z7 of reliability.md section 3 and written so that PyTorch can map them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "core/file.h"

namespace mtyolo {

inline constexpr uint64_t kZipMaxEntries = 1'000'000;
inline constexpr size_t kZipMaxName = 1024;
// Bytes that all deflated entries together may give: a constant and a multiple of the file's size (Z7).
inline constexpr uint64_t kZipInflateBase = uint64_t(64) << 20, kZipInflateFactor = 16;

struct ZipEntry {
  std::string_view name;  // a key, never a path
  uint64_t compressed = 0, size = 0;
  uint64_t local_offset = 0, data_offset = 0;
  uint32_t crc = 0;
  bool deflated = false;
};

// Bytes of one entry: a view of the file, or inflated bytes that `owner` keeps.
struct ZipContent {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
};

class ZipReader {
 public:
  // Reads the directory and checks every rule but the CRCs. `bytes` must outlive the reader. Throws
  // Error{exit, "zip_..."} that names the entry.
  explicit ZipReader(std::span<const std::byte> bytes, ExitCode exit = ExitCode::kModel);

  const std::vector<ZipEntry>& entries() const { return entries_; }
  const ZipEntry* find(std::string_view name) const;
  // The content of every entry, in their order; stored ones are not copied. CRCs are checked on all cores.
  // Throws Error with code Z2 or Z7. Called once.
  std::vector<ZipContent> read(Checksums checksums = Checksums::kCheck);

 private:
  struct Directory {
    uint64_t offset = 0, size = 0, count = 0, end = 0;
  };
  Directory find_directory() const;
  void merge_zip64(Directory& d, uint64_t end_record) const;
  void read_directory(const Directory& d);
  void read_local(ZipEntry& entry, uint16_t flags, uint16_t method) const;
  void check_ranges(const Directory& d) const;
  ZipContent content(const ZipEntry& entry);  // CRC not checked
  template <class... Args>
  [[noreturn]] void refuse(const char* code, fmt::format_string<Args...> text, Args&&... args) const;

  std::span<const std::byte> bytes_;
  ExitCode exit_;
  uint64_t inflate_left_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string_view, size_t> index_;
};

// Writes stored entries whose data begin at multiples of 64 bytes; zip64 fields only where they are needed.
class ZipWriter {
 public:
  explicit ZipWriter(AtomicFile& file) : file_(file) {}
  void add(const std::string& name, std::span<const std::byte> bytes);
  void finish();  // the directory; the caller commits the file

 private:
  struct Written {
    std::string name;
    uint64_t offset, size;
    uint32_t crc;
  };
  AtomicFile& file_;
  std::vector<Written> written_;
};

}  // namespace mtyolo
