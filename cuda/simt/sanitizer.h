// AddressSanitizer's manual controls, nothing in other builds.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define MTYOLO_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MTYOLO_ASAN 1
#endif
#endif
#ifdef MTYOLO_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace mtyolo::emulator {

#ifdef MTYOLO_ASAN
inline constexpr bool kAsan = true;
inline void poison(const void* p, size_t bytes) { __asan_poison_memory_region(p, bytes); }
inline void unpoison(const void* p, size_t bytes) { __asan_unpoison_memory_region(p, bytes); }
#else
inline constexpr bool kAsan = false;
inline void poison(const void*, size_t) {}
inline void unpoison(const void*, size_t) {}
#endif

}  // namespace mtyolo::emulator
