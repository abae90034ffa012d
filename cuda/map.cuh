// Kernels that give each pack of neighbouring channels of each pixel a thread: 16 bytes where pixels are
// aligned for it, else one element. An operation is a struct with
//   template <int kLanes> void run(uint32_t pixel, int channel, int count) const;   count <= kLanes channels
#pragma once

#include "cuda/check.h"
#include "cuda/device/math.cuh"
#include "cuda/device/vec.cuh"
#include "cuda/launch.h"
#include "ops/device/types.h"

namespace mtyolo::MTYOLO_KERNEL_NS {

inline constexpr int kMapThreads = 256;

// A KernelMap in a kernel.
template <class T>
struct Slice {
  T* data = nullptr;
  int n = 0, h = 0, w = 0, c = 0, stride = 0;

  MTYOLO_DEV T* at(int64_t pixel, int channel) const { return data + pixel * stride + channel; }
};
template <class T>
Slice<T> slice(const KernelMap& m) {
  return {static_cast<T*>(m.data), m.n, m.h, m.w, m.c, m.pixel_stride};
}

// Of a pixel's number in its map.
struct PixelPlace {
  int n, y, x;
};
template <class T>
MTYOLO_DEV PixelPlace place(const Slice<T>& map, uint32_t pixel) {
  const uint32_t row = pixel / uint32_t(map.w);
  return {int(row / uint32_t(map.h)), int(row % uint32_t(map.h)), int(pixel % uint32_t(map.w))};
}
template <class T>
MTYOLO_DEV int64_t pixel_at(const Slice<T>& map, int n, int y, int x) {
  return (int64_t{n} * map.h + y) * map.w + x;
}

// Neighbouring channels.
template <class T, int kLanes>
struct alignas(kLanes * sizeof(T) < 16 ? kLanes * sizeof(T) : 16) Lanes {
  T values[kLanes];
};
// The first `count` of kLanes; all of them with as few accesses as their alignment allows.
template <int kLanes, class T>
MTYOLO_DEV Lanes<T, kLanes> load(const T* p, int count, Site at = Site::here()) {
  Lanes<T, kLanes> v{};
  if (count < kLanes) {
    MTYOLO_UNROLL
    for (int e = 0; e < kLanes; ++e)
      if (e < count) v.values[e] = p[e];
  } else if constexpr (kLanes < Pack<T>::kSize) {
    v = *reinterpret_cast<const Lanes<T, kLanes>*>(p);
  } else {
    MTYOLO_UNROLL
    for (int i = 0; i < kLanes; i += Pack<T>::kSize)
      reinterpret_cast<Pack<T>&>(v.values[i]) = ld128(p + i, at);
  }
  return v;
}
template <int kLanes, class T>
MTYOLO_DEV void store(T* p, const Lanes<T, kLanes>& v, int count, Site at = Site::here()) {
  if (MTYOLO_MUTANT(140, count, kLanes) < kLanes) {
    MTYOLO_UNROLL
    for (int e = 0; e < kLanes; ++e)
      if (e < count) p[e] = v.values[e];
  } else if constexpr (kLanes < Pack<T>::kSize) {
    *reinterpret_cast<Lanes<T, kLanes>*>(p) = v;
  } else {
    MTYOLO_UNROLL
    for (int i = 0; i < kLanes; i += Pack<T>::kSize)
      st128(p + i, reinterpret_cast<const Pack<T>&>(v.values[i]), at);
  }
}
// Stores what was computed in f32, or adds it to what is there.
template <int kLanes, class T>
MTYOLO_DEV void put_sums(T* p, const float (&sums)[kLanes], int count, bool accumulate,
                         Site at = Site::here()) {
  Lanes<T, kLanes> v{};
  if (accumulate) v = load<kLanes>(p, count, at);
  MTYOLO_UNROLL
  for (int e = 0; e < kLanes; ++e)
    v.values[e] = from_float<T>(accumulate ? to_float(v.values[e]) + sums[e] : sums[e]);
  store(p, v, count, at);
}

template <int kLanes, class F>
MTYOLO_KERNEL MTYOLO_BOUNDS(kMapThreads, 2)
    for_each_pack_kernel(uint32_t total, uint32_t packs, int channels, F f) {
  const uint32_t i = block_index().x * kMapThreads + thread_index().x;
  if (i >= total) return;
  const uint32_t pixel = i / packs;
  const int channel = int(i % packs) * kLanes, rest = channels - channel;
  f.template run<kLanes>(pixel, channel, rest < kLanes ? rest : kLanes);
}

// f for all channels of all pixels of `map`; kLanes at a time when `aligned`.
template <int kLanes, class F>
void for_each_pack(KernelStream stream, bool aligned, const KernelMap& map, const F& f) {
  const int lanes = aligned ? kLanes : 1;
  const uint32_t packs = uint32_t(map.c + lanes - 1) / uint32_t(lanes);
  const uint32_t total = uint32_t(map.pixels()) * packs;
  const LaunchDims dims{{(total + kMapThreads - 1) / kMapThreads}, {kMapThreads}};
  if (aligned) launch(for_each_pack_kernel<kLanes, F>, dims, stream, total, packs, map.c, f);
  else launch(for_each_pack_kernel<1, F>, dims, stream, total, packs, map.c, f);
}

inline bool aligned16(const KernelMap& m) {
  return reinterpret_cast<uintptr_t>(m.data) % 16 == 0 &&
         int64_t{m.pixel_stride} * bytes_of(m.type) % 16 == 0;
}
inline bool same_shape(const KernelMap& a, const KernelMap& b) {
  return a.n == b.n && a.h == b.h && a.w == b.w && a.c == b.c;
}
// Throws Error{"check"}: there is a map, of less than 2^31 values.
inline void check_map(const KernelMap& m) {
  check_argument(m.data != nullptr && m.n > 0 && m.h > 0 && m.w > 0 && m.c > 0 && m.pixel_stride >= m.c,
                 "a map needs data, sides of at least 1, and a pixel stride no shorter than its channels");
  check_argument(m.pixels() * m.c < (int64_t{1} << 31), "a map has 2^31 values or more");
}

template <class T>
struct TypeOf {
  using Type = T;
};
// f(TypeOf<T>{}) with the type on the device. Throws Error{"check"} for whole numbers.
template <class F>
void for_float(KernelType type, F&& f) {
  switch (type) {
    case KernelType::kF32:
      return f(TypeOf<float>{});
    case KernelType::kF16:
      return f(TypeOf<half>{});
    case KernelType::kBF16:
      return f(TypeOf<bfloat16>{});
    default:
      check_argument(false, "the map must be f32, f16 or bf16");
  }
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS
