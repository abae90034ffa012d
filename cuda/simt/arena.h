// Shared memory of the block that runs: the dynamic part, then one slot for each shared variable that was
// met, with gaps between them. All of it holds 0xFF bytes (NaN) when a block starts; a write into a gap is
// found by AddressSanitizer at once, without it at the end of the block.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace mtyolo::emulator {

class Arena {
 public:
  static constexpr size_t kMaxBytes = 227 << 10;       // dynamic and static, of compute capability 9.0
  static constexpr size_t kMaxStaticBytes = 48 << 10;  // what nvcc accepts without dynamic memory
  static constexpr size_t kGap = 128, kSpace = 384 << 10;

  Arena();
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void begin_block(size_t dynamic_bytes);
  std::string end_block();  // what was overwritten, or ""

  void* dynamic() { return memory_; }
  // The variable of this key, made when it is first asked for; null when shared memory is full.
  void* slot(const void* key, size_t bytes);

  bool contains(const void* p) const { return p >= memory_ && p < memory_ + kSpace; }
  bool holds(const void* p, size_t bytes) const;  // all of it lies inside one variable
  size_t offset(const void* p) const { return size_t(static_cast<const char*>(p) - memory_); }

 private:
  struct Slot {
    const void* key;
    size_t begin, bytes;
  };
  void add(const void* key, size_t begin, size_t bytes);

  char* memory_ = nullptr;
  size_t used_ = 0;  // to the end of the last gap
  std::vector<Slot> slots_;
};

}  // namespace mtyolo::emulator
