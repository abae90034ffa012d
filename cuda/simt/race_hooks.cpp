// What -fsanitize=thread makes a compiler call for every access of a kernel. Linked in place of
// ThreadSanitizer's own library, so that the accesses of one block's threads, which share a thread of the
// host, are told apart.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cuda/simt/race.h"

namespace {

bool inside = false;  // one worker: inline functions of the checker itself may be the instrumented ones

void seen(const void* p, size_t bytes, bool write, const void* pc) {
  if (!mtyolo::emulator::race_checking || inside) return;
  inside = true;
  mtyolo::emulator::race_access_slow(p, bytes, write, nullptr, pc);
  inside = false;
}

}  // namespace

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

#define MTYOLO_HOOK(name, bytes, write) \
  void name(void* p) { seen(p, bytes, write, __builtin_return_address(0)); }
MTYOLO_HOOK(__tsan_read1, 1, false)
MTYOLO_HOOK(__tsan_read2, 2, false)
MTYOLO_HOOK(__tsan_read4, 4, false)
MTYOLO_HOOK(__tsan_read8, 8, false)
MTYOLO_HOOK(__tsan_read16, 16, false)
MTYOLO_HOOK(__tsan_write1, 1, true)
MTYOLO_HOOK(__tsan_write2, 2, true)
MTYOLO_HOOK(__tsan_write4, 4, true)
MTYOLO_HOOK(__tsan_write8, 8, true)
MTYOLO_HOOK(__tsan_write16, 16, true)
MTYOLO_HOOK(__tsan_unaligned_read2, 2, false)
MTYOLO_HOOK(__tsan_unaligned_read4, 4, false)
MTYOLO_HOOK(__tsan_unaligned_read8, 8, false)
MTYOLO_HOOK(__tsan_unaligned_read16, 16, false)
MTYOLO_HOOK(__tsan_unaligned_write2, 2, true)
MTYOLO_HOOK(__tsan_unaligned_write4, 4, true)
MTYOLO_HOOK(__tsan_unaligned_write8, 8, true)
MTYOLO_HOOK(__tsan_unaligned_write16, 16, true)
#undef MTYOLO_HOOK

void __tsan_read_range(void* p, unsigned long bytes) { seen(p, bytes, false, __builtin_return_address(0)); }
void __tsan_write_range(void* p, unsigned long bytes) { seen(p, bytes, true, __builtin_return_address(0)); }

// Clang's spelling of copies.
void* __tsan_memcpy(void* to, const void* from, size_t bytes) {
  seen(from, bytes, false, __builtin_return_address(0));
  seen(to, bytes, true, __builtin_return_address(0));
  return std::memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, size_t bytes) {
  seen(from, bytes, false, __builtin_return_address(0));
  seen(to, bytes, true, __builtin_return_address(0));
  return std::memmove(to, from, bytes);
}
void* __tsan_memset(void* to, int value, size_t bytes) {
  seen(to, bytes, true, __builtin_return_address(0));
  return std::memset(to, value, bytes);
}

}  // extern "C"
