#include "data/jpeg_scan.h"

#include <algorithm>
#include <cstring>

namespace mtyolo::data {
namespace {

// Zigzag to row * 8 + column. What lies beyond, as far as steps may lead, goes to the place behind the block.
constexpr std::array<uint8_t, 256> kOrder = [] {
  std::array<uint8_t, 256> order{};
  order.fill(64);
  int x = 0, y = 0;
  for (size_t i = 0; i < 64; ++i) {
    order[i] = uint8_t(y * 8 + x);
    const bool up = (x + y) % 2 == 0;
    int &ahead = up ? x : y, &back = up ? y : x;
    if (ahead == 7) ++back;
    else ++ahead, back -= back > 0;
  }
  return order;
}();

uint64_t all_bits(uint64_t entry) { return entry & 255; }
uint64_t second_steps(uint64_t entry) { return entry >> 8 & 255; }
uint64_t first_steps(uint64_t entry) { return entry >> 16 & 255; }
uint64_t first_bits(uint64_t entry) { return 64 - (entry >> 24 & 255); }
int16_t first_value(uint64_t entry, uint64_t bits) {
  return int16_t((bits >> (entry >> 24 & 63)) + (entry >> 32));
}
int16_t second_value(uint64_t entry, uint64_t bits) {
  return int16_t((bits >> (-entry & 63)) + (entry >> 48));
}

// A value of `size` bits whose first is 0 lacks 2^size - 1 of its own bits, and any lacks the code before it.
uint64_t make_entry(uint64_t code, uint64_t length, uint64_t size, uint64_t steps, bool negative) {
  const uint64_t bits = length + size;
  const uint64_t lack = uint16_t((size > 0 && negative ? 1 - (uint64_t(1) << size) : 0) - (code << size));
  return bits | steps << 16 | (64 - bits) << 24 | lack << 32 | lack << 48;
}

uint64_t load_big_endian(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof(value));
  return __builtin_bswap64(value);
}

}  // namespace

bool JpegCodes::build(const uint8_t counts[17], const uint8_t symbols[256], bool dc) {
  entries_.fill(0);
  uint32_t code = 0;
  size_t used = 0;
  for (int length = 1; length <= 16; ++length, code <<= 1) {
    offsets_[size_t(length)] = int(used) - int(code);
    for (int i = 0; i < counts[length]; ++i, ++code, ++used) {
      // Not even a code of ones alone is allowed.
      if (used == symbols_.size() || (code + 1) >> length != 0) return false;
      const int symbol = symbols[used], size = symbol & 15;
      if (dc ? symbol > 11 : size > 10) return false;
      // No value after other than 15 zeros ends the block, as in libjpeg.
      const uint64_t steps = dc ? 0 : size == 0 && symbol != 0xf0 ? kEndOfBlock : uint64_t(symbol >> 4) + 1;
      symbols_[used] = {uint8_t(size), uint8_t(steps)};
      if (length + (size > 0) > kBits) continue;
      for (size_t n = size_t(1) << (kBits - length), rest = 0; rest < n; ++rest)
        entries_[code * n + rest] = make_entry(code, uint64_t(length), uint64_t(size), steps, rest < n / 2);
    }
    limits_[size_t(length)] = code << (16 - length);
  }
  if (!dc) pair();
  return true;
}

// Adds the second code where it and its value's sign are within kBits.
void JpegCodes::pair() {
  const auto single = entries_;
  for (size_t i = 0; i < single.size(); ++i) {
    const uint64_t first = single[i], bits = all_bits(first);
    if (first == 0 || first_steps(first) == kEndOfBlock || bits >= kBits) continue;
    // The same entry whatever follows the bits that are known: only those decided.
    const size_t begin = (i << bits) % single.size(), end = begin + (size_t(1) << bits);
    const uint64_t second = single[begin];
    if (second == 0 || second != single[end - 1]) continue;
    const uint64_t bits_two = all_bits(second), before = uint64_t(i >> (kBits - bits)) << bits_two;
    const uint64_t lack = uint16_t((second >> 32) - before);
    entries_[i] = (bits + bits_two) | first_steps(second) << 8 | (first & 0x0000ffffffff0000) | lack << 48;
  }
}

uint64_t JpegCodes::find_long(uint64_t bits) const {
  const auto sixteen = uint32_t(bits >> 48);
  for (size_t length = kBits; length <= 16; ++length) {
    if (sixteen >= limits_[length]) continue;
    const uint32_t code = sixteen >> (16 - length);
    const Symbol symbol = symbols_[size_t(offsets_[length] + int(code))];
    return make_entry(code, length, symbol.size, symbol.steps, bits << length >> 63 == 0);
  }
  return make_entry(0, 1, 0, kBadCode, false);
}

bool JpegScan::open(std::span<const uint8_t> bytes, size_t segments) {
  constexpr size_t kBlockBytes = 64 * 4 + 8;  // one block may be read beyond the end before it is seen
  bytes_ = std::make_unique_for_overwrite<uint8_t[]>(bytes.size() + kBlockBytes);
  const uint8_t *at = bytes.data(), *const end = at + bytes.size();
  uint8_t* to = bytes_.get();
  while (at < end) {
    const auto* marker = static_cast<const uint8_t*>(std::memchr(at, 0xff, size_t(end - at)));
    if (marker == nullptr || marker + 1 == end) return false;
    std::memcpy(to, at, size_t(marker - at));
    to += marker - at;
    at = marker + 2;
    if (marker[1] == 0) {
      *to++ = 0xff;
      continue;
    }
    const size_t restart = 0xd0 + ends_.size() % 8;
    ends_.push_back(size_t(to - bytes_.get()));
    if (marker[1] != (ends_.size() < segments ? restart : 0xd9)) return false;
    if (ends_.size() < segments) continue;
    std::memset(to, 0, kBlockBytes);
    next_ = end_ = bytes_.get();
    return true;
  }
  return false;
}

bool JpegScan::at_end() const {
  const ptrdiff_t left = (end_ - next_) * 8 + count_;
  return left >= 0 && left < 8;
}

bool JpegScan::next_segment() {
  if (!at_end() || segment_ == ends_.size()) return false;
  next_ = end_;
  end_ = bytes_.get() + ends_[segment_++];
  bits_ = 0, count_ = 0;
  return true;
}

int JpegScan::read_block(const JpegCodes& dc, const JpegCodes& ac, int& last_dc, JpegBlock& block) {
  uint64_t bits = bits_, before = 0, entry = 0;
  int count = count_;
  const auto fill = [&] {  // to at least 56 bits, enough for two entries
    bits |= load_big_endian(next_) >> count;
    next_ += (63 - count) >> 3;
    count |= 56;
  };
  const auto skip = [&](uint64_t n) { bits <<= n & 63, count -= int(n); };
  fill();
  entry = dc.find(bits);
  if (first_steps(entry) != 0) return -1;
  last_dc += first_value(entry, bits);
  if (last_dc != int16_t(last_dc)) return -1;
  block.coefs[0] = int16_t(last_dc);
  skip(all_bits(entry));

  uint64_t first = 0, k = 0;  // places of the last entry's coefficients
  const auto step = [&] {
    entry = ac.find(bits);
    before = bits;
    first = k + first_steps(entry);
    k = first + second_steps(entry);
    skip(all_bits(entry));
    block.coefs[kOrder[k]] = second_value(entry, before);
    block.coefs[kOrder[first]] = first_value(entry, before);
    return k < 63;
  };
  do fill();
  while (step() && step());
  if (first == 63 && k > 63) {  // the block is full: the second code is the next block's
    k = 63;
    count += int(all_bits(entry) - first_bits(entry));
    bits = before << first_bits(entry);
  } else if (k > 63) {
    if ((k > first ? second_steps(entry) : first_steps(entry)) != JpegCodes::kEndOfBlock) return -1;
    k -= JpegCodes::kEndOfBlock;
    if (k > 63) return -1;
  }
  bits_ = bits, count_ = count;
  return (next_ - end_) * 8 > count ? -1 : int(k);
}

}  // namespace mtyolo::data
