#include "cuda/image.h"

#include "cuda/map.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

constexpr int kThreads = 256, kPadding = 114;

template <class T>
MTYOLO_DEV T input_value(float value, float out_scale) {
  if constexpr (std::is_same_v<T, int8_t>) {
    const float scaled = value * out_scale;
    return int8_t(round_to_int(scaled > -128.0f ? (scaled < 127.0f ? scaled : 127.0f) : -128.0f));
  } else {
    return from_float<T>(value);
  }
}

// Four channels with one store.
template <class T>
MTYOLO_DEV void store_pixel(T* to, const float (&rgb)[3], float out_scale) {
  struct alignas(4 * sizeof(T)) Four {
    T values[4];
  };
  *reinterpret_cast<Four*>(to) = {{input_value<T>(rgb[0], out_scale), input_value<T>(rgb[1], out_scale),
                                   input_value<T>(rgb[2], out_scale),
                                   input_value<T>(MTYOLO_MUTANT(147, 0.0f, rgb[2]), out_scale)}};
}

template <class In, class T>
MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 4) normalise_kernel(const In* images, Slice<T> y, float out_scale) {
  const int64_t plane = int64_t{y.h} * y.w, i = int64_t{block_index().x} * kThreads + thread_index().x;
  if (i >= plane) return;
  const int64_t image = block_index().y;
  float rgb[3];
  MTYOLO_UNROLL
  for (int c = 0; c < 3; ++c) {
    const In value = images[(image * 3 + c) * plane + i];
    if constexpr (std::is_same_v<In, uint8_t>) rgb[c] = float(value) / 255.0f;
    else rgb[c] = value;
  }
  store_pixel(y.at(image * plane + i, 0), rgb, out_scale);
}

struct Pictures {
  LetterboxImage image[kMostPictures];
};

// Taps of one output coordinate, as data/resize_linear.cpp makes them: source indices and weights of 2048.
struct Tap {
  int first, second, weight_first, weight_second;
};

MTYOLO_DEV int clamped(int i, int size) { return i < 0 ? 0 : i >= size ? size - 1 : i; }

MTYOLO_DEV Tap make_tap(int at, int source, int target, bool column) {
  const double scale = 1.0 / (double(target) / source);
  float f = float(mul_rn(at + 0.5, scale) - 0.5);
  int i = int(f);
  if (float(i) > f) --i;
  f -= float(i);
  if (column && (i < 0 || i >= source - 1)) i = i < 0 ? 0 : source - 1, f = 0;
  return {clamped(i, source), clamped(i + 1, source), round_to_int((1.0f - f) * 2048.0f),
          round_to_int(f * 2048.0f)};
}

template <class T>
MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 4) letterbox_kernel(Pictures pictures, Slice<T> y, float out_scale) {
  const int i = int(block_index().x * kThreads + thread_index().x);
  if (i >= y.h * y.w) return;
  const LetterboxImage& p = pictures.image[block_index().y];
  const int row = i / y.w - p.top, column = i % y.w - p.left;
  float rgb[3] = {kPadding / 255.0f, kPadding / 255.0f, kPadding / 255.0f};
  if (row >= 0 && row < p.new_h && column >= 0 && column < p.new_w) {
    const Tap ty = make_tap(row, p.h, p.new_h, false), tx = make_tap(column, p.w, p.new_w, true);
    const uint8_t *a = p.pixels + int64_t{ty.first} * p.w * 3, *b = p.pixels + int64_t{ty.second} * p.w * 3;
    MTYOLO_UNROLL
    for (int c = 0; c < 3; ++c) {
      const int one = tx.first * 3 + c, two = tx.second * 3 + c;
      const int h0 = (a[one] * tx.weight_first + a[two] * tx.weight_second) >> 4;
      const int h1 = (b[one] * tx.weight_first + b[two] * tx.weight_second) >> 4;
      const int v = MTYOLO_MUTANT(148, ((ty.weight_first * h0) >> 16) + ((ty.weight_second * h1) >> 16),
                                  (ty.weight_first * h0 + ty.weight_second * h1) >> 16);
      rgb[c] = float(clamped((v + 2) >> 2, 256)) / 255.0f;
    }
  }
  store_pixel(y.at(int64_t{block_index().y} * y.h * y.w + i, 0), rgb, out_scale);
}

// Calls f(TypeOf<T>{}, grid and block).
template <class F>
void for_input(const KernelMap& y, F&& f) {
  check_map(y);
  const int64_t four = 4 * bytes_of(y.type);
  check_argument(
      y.c == 4 && y.pixel_stride % 4 == 0 && reinterpret_cast<uintptr_t>(y.data) % uint64_t(four) == 0,
      "normalise, letterbox: y must have 4 channels, aligned to the size of four");
  check_argument(y.n <= 65535, "normalise, letterbox: a batch of more than 65535");
  const LaunchDims dims{{uint32_t((int64_t{y.h} * y.w + kThreads - 1) / kThreads), uint32_t(y.n)},
                        {kThreads}};
  if (y.type == KernelType::kS8) f(TypeOf<int8_t>{}, dims);
  else for_float(y.type, [&](auto of) { f(of, dims); });
}

}  // namespace

void normalise(KernelStream stream, const void* images, KernelType type, const KernelMap& y,
               float out_scale) {
  check_argument(images != nullptr && (type == KernelType::kU8 || type == KernelType::kF32),
                 "normalise: images must be u8 or f32");
  for_input(y, [&](auto of, const LaunchDims& dims) {
    using T = typename decltype(of)::Type;
    if (type == KernelType::kU8)
      launch(normalise_kernel<uint8_t, T>, dims, stream, static_cast<const uint8_t*>(images), slice<T>(y),
             out_scale);
    else
      launch(normalise_kernel<float, T>, dims, stream, static_cast<const float*>(images), slice<T>(y),
             out_scale);
  });
}

void letterbox(KernelStream stream, std::span<const LetterboxImage> images, const KernelMap& y,
               float out_scale) {
  check_argument(images.size() == size_t(y.n) && y.n <= kMostPictures,
                 "letterbox: one picture for each of y's at most 64 slots is needed");
  Pictures pictures;
  for (size_t i = 0; i < images.size(); ++i) {
    const LetterboxImage& p = pictures.image[i] = images[i];
    check_argument(p.pixels != nullptr && p.w > 0 && p.h > 0 && p.new_w > 0 && p.new_h > 0 && p.left >= 0 &&
                       p.top >= 0 && p.left <= y.w - p.new_w && p.top <= y.h - p.new_h,
                   "letterbox: a picture is empty or does not fit into its slot");
  }
  for_input(y, [&](auto of, const LaunchDims& dims) {
    using T = typename decltype(of)::Type;
    launch(letterbox_kernel<T>, dims, stream, pictures, slice<T>(y), out_scale);
  });
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS
