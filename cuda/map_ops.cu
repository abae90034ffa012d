#include "cuda/map_ops.h"

#include "cuda/epilogue.cuh"
#include "cuda/pointwise.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

struct Activated {
  KernelActivation activation;
  MTYOLO_DEV float operator()(int, const float* v) const { return activate(activation, v[0]); }
};
struct Sum {
  MTYOLO_DEV float operator()(int, const float* v) const { return v[0] + v[1]; }
};
struct Same {
  MTYOLO_DEV float operator()(int, const float* v) const { return v[0]; }
};
struct Constant {
  float value;
  MTYOLO_DEV float operator()(int, const float*) const { return value; }
};
struct Stitched {
  int inputs, channels;
  const float* weight;
  MTYOLO_DEV float operator()(int channel, const float* v) const {
    float sum = 0;
    MTYOLO_UNROLL
    for (int i = 0; i < kMostStitched; ++i)
      if (i < inputs) sum += weight[i * channels + channel] * v[i];
    return sum;
  }
};

// Of a map's own size for scale 1: a copy.
template <class W>
struct Enlarge {
  Slice<W> x, y;
  int scale;
  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int count) const {
    int64_t from = pixel;
    if (scale > 1) {
      const PixelPlace to = place(y, pixel);
      from = pixel_at(x, to.n, to.y / scale, MTYOLO_MUTANT(141, to.x / scale, to.x % x.w));
    }
    store(y.at(pixel, channel), load<kLanes>(x.at(from, channel), count), count);
  }
};

// No pack of y's channels lies in two blocks of x.c.
template <class W>
struct ToDepth {
  Slice<W> x, y;
  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int count) const {
    const PixelPlace to = place(y, pixel);
    const int block = channel / x.c;
    const int64_t from = pixel_at(x, to.n, 2 * to.y + MTYOLO_MUTANT(142, block % 2, block / 2),
                                  2 * to.x + MTYOLO_MUTANT(142, block / 2, block % 2));
    store(y.at(pixel, channel), load<kLanes>(x.at(from, channel % x.c), count), count);
  }
};

// f(TypeOf<W>{}) with a whole number of the type's size, for values that are only moved.
template <class F>
void for_word(KernelType type, F&& f) {
  if (bytes_of(type) == 4) f(TypeOf<uint32_t>{});
  else if (bytes_of(type) == 2) f(TypeOf<uint16_t>{});
  else f(TypeOf<uint8_t>{});
}

}  // namespace

void activate(KernelStream stream, KernelActivation activation, const KernelMap& x, const KernelMap& y) {
  pointwise(stream, Activated{activation}, {x}, y);
}

void add(KernelStream stream, const KernelMap& a, const KernelMap& b, const KernelMap& y) {
  pointwise(stream, Sum{}, {a, b}, y);
}

void scale_shift(KernelStream stream, const KernelMap& x, const float* scale, const float* shift,
                 const KernelMap& y) {
  pointwise(stream, Scaled{scale, shift}, {x}, y);
}

void cross_stitch(KernelStream stream, std::span<const KernelMap> x, const float* weight,
                  const KernelMap& y) {
  check_argument(!x.empty() && x.size() <= size_t(kMostStitched) && weight != nullptr,
                 "cross_stitch: 1 to 8 inputs and their weights are needed");
  pointwise<kMostStitched>(stream, Stitched{int(x.size()), y.c, weight}, x, y);
}

void copy_map(KernelStream stream, const KernelMap& x, const KernelMap& y) {
  if (x.type == y.type) return upsample(stream, x, 1, y);
  for_float(x.type, [&](auto from) {
    for_float(y.type, [&](auto to) {
      using From = typename decltype(from)::Type;
      using To = typename decltype(to)::Type;
      if constexpr (!std::is_same_v<From, To>) pointwise_typed<From, To, 1>(stream, Same{}, {&x, 1}, y);
    });
  });
}

void fill(KernelStream stream, const KernelMap& y, float value) {
  const auto run = [&](auto of) {
    using T = typename decltype(of)::Type;
    pointwise_typed<T, T, 1>(stream, Constant{value}, {}, y);
  };
  if (y.type == KernelType::kS8) run(TypeOf<int8_t>{});
  else if (y.type == KernelType::kU8) run(TypeOf<uint8_t>{});
  else for_float(y.type, run);
}

void upsample(KernelStream stream, const KernelMap& x, int scale, const KernelMap& y) {
  check_map(x), check_map(y);
  check_argument(scale >= 1 && x.type == y.type && y.n == x.n && y.h == int64_t{x.h} * scale &&
                     y.w == int64_t{x.w} * scale && y.c == x.c,
                 "upsample, copy_map: y must be x, scaled, of one type");
  for_word(y.type, [&](auto of) {
    using W = typename decltype(of)::Type;
    for_each_pack<Pack<W>::kSize>(stream, aligned16(x) && aligned16(y), y,
                                  Enlarge<W>{slice<W>(x), slice<W>(y), scale});
  });
}

void space_to_depth(KernelStream stream, const KernelMap& x, const KernelMap& y) {
  check_map(x), check_map(y);
  check_argument(x.type == y.type && y.n == x.n && x.h == 2 * y.h && x.w == 2 * y.w && y.c == 4 * x.c,
                 "space_to_depth: y must have half of x's sides, four times its channels and its type");
  for_word(y.type, [&](auto of) {
    using W = typename decltype(of)::Type;
    const bool packs = x.c % Pack<W>::kSize == 0 && aligned16(x) && aligned16(y);
    for_each_pack<Pack<W>::kSize>(stream, packs, y, ToDepth<W>{slice<W>(x), slice<W>(y)});
  });
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS
