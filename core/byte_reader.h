// Bounded cursor over bytes that came from a file or a client (reliability.md section 2): every read is
// checked and gives nothing when it would pass the end; no pointer arithmetic is needed outside this class.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace mtyolo {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes, size_t position = 0)
      : bytes_(bytes), position_(position < bytes.size() ? position : bytes.size()) {}

  size_t size() const { return bytes_.size(); }
  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }
  bool at_end() const { return position_ == bytes_.size(); }

  // False, and nothing moves, when `position` lies behind the end.
  bool seek(uint64_t position) {
    if (position > bytes_.size()) return false;
    position_ = size_t(position);
    return true;
  }
  bool skip(uint64_t count) { return count <= remaining() && seek(position_ + count); }

  // The next `count` bytes, a view of the source.
  std::optional<std::span<const std::byte>> take(uint64_t count) {
    if (count > remaining()) return std::nullopt;
    const auto part = bytes_.subspan(position_, size_t(count));
    position_ += size_t(count);
    return part;
  }
  std::optional<std::string_view> text(uint64_t count) {
    const auto part = take(count);
    if (!part) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(part->data()), part->size());
  }
  // Bytes up to, without, the next '\n', which is passed over; nothing if there is none.
  std::optional<std::string_view> line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + position_, remaining());
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    position_ += end + 1;
    return rest.substr(0, end);
  }

  // An unsigned integer or a float of sizeof(T) bytes in the given byte order.
  template <class T>
  std::optional<T> little() {
    return number<T>(std::endian::little);
  }
  template <class T>
  std::optional<T> big() {
    return number<T>(std::endian::big);
  }

 private:
  template <class T>
  std::optional<T> number(std::endian order) {
    static_assert(std::is_arithmetic_v<T>);
    const auto part = take(sizeof(T));
    if (!part) return std::nullopt;
    std::array<std::byte, sizeof(T)> raw;
    for (size_t i = 0; i < sizeof(T); ++i)
      raw[i] = (*part)[order == std::endian::native ? i : sizeof(T) - 1 - i];
    return std::bit_cast<T>(raw);
  }

  std::span<const std::byte> bytes_;
  size_t position_ = 0;
};

}  // namespace mtyolo
