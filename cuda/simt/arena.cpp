#include "cuda/simt/arena.h"

#include <sys/mman.h>

#include <cstring>

#include "core/error.h"
#include "cuda/simt/sanitizer.h"

namespace mtyolo::emulator {
namespace {

constexpr int kPoison = 0xff;
size_t aligned(size_t n) { return (n + 127) / 128 * 128; }

}  // namespace

Arena::Arena() {
  void* p = mmap(nullptr, kSpace, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) fail(ExitCode::kRuntime, "out_of_memory", "simt: no memory for shared variables");
  memory_ = static_cast<char*>(p);
  used_ = kSpace;
}

Arena::~Arena() {
  unpoison(memory_, kSpace);
  munmap(memory_, kSpace);
}

void Arena::begin_block(size_t dynamic_bytes) {
  unpoison(memory_, kSpace);
  std::memset(memory_, kPoison, used_);
  poison(memory_, kSpace);
  slots_.clear();
  used_ = 0;
  add(nullptr, 0, dynamic_bytes);
}

void Arena::add(const void* key, size_t begin, size_t bytes) {
  slots_.push_back({key, begin, bytes});
  unpoison(memory_ + begin, bytes);
  used_ = aligned(begin + bytes) + kGap;
}

void* Arena::slot(const void* key, size_t bytes) {
  size_t total = bytes, of_variables = bytes;
  for (const Slot& s : slots_) {
    if (s.key == key) return memory_ + s.begin;
    total += s.bytes;
    if (s.key != nullptr) of_variables += s.bytes;
  }
  if (total > kMaxBytes || of_variables > kMaxStaticBytes) return nullptr;
  add(key, used_, bytes);
  return memory_ + slots_.back().begin;
}

bool Arena::holds(const void* p, size_t bytes) const {
  const size_t begin = offset(p);
  for (const Slot& s : slots_)
    if (begin >= s.begin && begin + bytes <= s.begin + s.bytes) return true;
  return false;
}

std::string Arena::end_block() {
  unpoison(memory_, kSpace);
  for (size_t i = 0; i < slots_.size(); ++i) {
    const size_t end = i + 1 < slots_.size() ? slots_[i + 1].begin : used_;
    for (size_t at = slots_[i].begin + slots_[i].bytes; at < end; ++at)
      if (static_cast<unsigned char>(memory_[at]) != kPoison)
        return fmt::format("shared memory was written {} bytes past the end of {} ({} bytes)",
                           at - slots_[i].begin - slots_[i].bytes + 1,
                           i == 0 ? "the dynamic part" : "variable " + std::to_string(i), slots_[i].bytes);
  }
  return "";
}

}  // namespace mtyolo::emulator
