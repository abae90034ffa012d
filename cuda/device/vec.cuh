// Accesses of 16 bytes.
#pragma once

#include "cuda/device/config.cuh"
#ifdef MTYOLO_SIMT
#include <cstring>

#include "cuda/simt/memory.h"
#endif

namespace mtyolo::MTYOLO_KERNEL_NS {

// 16 bytes of neighbours; T is a plain type of 1, 2, 4, 8 or 16 bytes.
template <class T>
struct alignas(16) Pack {
  static constexpr int kSize = int(16 / sizeof(T));
  T values[kSize];
};

#ifdef MTYOLO_SIMT

template <class T>
Pack<T> ld128(const T* p, Site at = Site::here()) {
  emulator::check_access(p, 16, emulator::Access::kRead, at);
  Pack<T> v;
  std::memcpy(static_cast<void*>(&v), p, 16);
  return v;
}
// For data that nobody writes while the kernel runs.
template <class T>
Pack<T> ld128_nc(const T* p, Site at = Site::here()) {
  return ld128(p, at);
}
template <class T>
void st128(T* p, const Pack<T>& v, Site at = Site::here()) {
  emulator::check_access(p, 16, emulator::Access::kWrite, at);
  std::memcpy(static_cast<void*>(p), &v, 16);
}

#else

template <class T>
MTYOLO_DEV Pack<T> ld128(const T* p, Site = {}) {
  Pack<T> v;
  *reinterpret_cast<uint4*>(&v) = *reinterpret_cast<const uint4*>(p);
  return v;
}
template <class T>
MTYOLO_DEV Pack<T> ld128_nc(const T* p, Site = {}) {
  Pack<T> v;
  *reinterpret_cast<uint4*>(&v) = __ldg(reinterpret_cast<const uint4*>(p));
  return v;
}
template <class T>
MTYOLO_DEV void st128(T* p, const Pack<T>& v, Site = {}) {
  *reinterpret_cast<uint4*>(p) = *reinterpret_cast<const uint4*>(&v);
}

#endif

}  // namespace mtyolo::MTYOLO_KERNEL_NS
