// The entropy-coded scan of a baseline JPEG (ITU-T T.81, F.2.2): bits to blocks of coefficients.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace mtyolo::data {

// One Huffman table. A lookup by the next bits of the stream gives a code with its value, often also the next
// code with its own, as an entry of these fields (first bit : bits):
//    0 : 8  bits of all this
//    8 : 8  steps from the first coefficient to the second in zigzag order, 0 if there is only one
//   16 : 8  steps to the first; 0 in a table for DC
//   24 : 8  64 - bits of the first
//   32 : 16 what is added to the bits of the first, read as one number, for its value modulo 2^16
//   48 : 16 the same for the second and all bits; as for the first if there is only one
class JpegCodes {
 public:
  static constexpr uint64_t kEndOfBlock = 129, kBadCode = 190;  // as steps

  // `counts`: codes of 1..16 bits at [1..16]. False: not a table for 8-bit samples.
  bool build(const uint8_t counts[17], const uint8_t symbols[256], bool dc);

  // `bits` from the left, at least 27 of them.
  uint64_t find(uint64_t bits) const {
    const uint64_t entry = entries_[bits >> (64 - kBits)];
    return entry != 0 ? entry : find_long(bits);
  }

 private:
  static constexpr int kBits = 10;
  void pair();
  uint64_t find_long(uint64_t bits) const;

  // 0: the code or the sign of its value is beyond kBits.
  std::array<uint64_t, size_t(1) << kBits> entries_;
  std::array<uint32_t, 17> limits_;  // of each length: the first 16 bits that are too great for it
  std::array<int, 17> offsets_;      // of its codes in the list of symbols
  struct Symbol {
    uint8_t size, steps;  // bits of the value
  };
  std::array<Symbol, 256> symbols_;
};

// Coefficients row by row. read_block writes without looking to one place behind the last.
struct JpegBlock {
  alignas(32) int16_t coefs[64 + 1] = {};
};

class JpegScan {
 public:
  // Takes the bytes up to the end marker out of their stuffing. False: another marker than the next restart
  // or the end, or not `segments` (at least 1) pieces between them.
  bool open(std::span<const uint8_t> bytes, size_t segments);

  // To the beginning of the next segment; false: the last one did not end where its bits end.
  bool next_segment();
  bool at_end() const;  // exactly at the end of a segment

  // Writes a block's coefficients other than 0 and returns the place in zigzag order after which there are
  // none, -1 for damaged data. `last_dc` is the prediction.
  int read_block(const JpegCodes& dc, const JpegCodes& ac, int& last_dc, JpegBlock& block);

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  std::vector<size_t> ends_;
  size_t segment_ = 0;
  const uint8_t* next_ = nullptr;
  const uint8_t* end_ = nullptr;
  uint64_t bits_ = 0;  // from the left
  int count_ = 0;      // of them
};

}  // namespace mtyolo::data
