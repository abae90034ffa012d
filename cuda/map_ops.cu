#include "cuda/map_ops.h"

#include "cuda/epilogue.cuh"
#include "cuda/map.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

template <class T>
struct Activate {
  Slice<T> x, y;
  KernelActivation activation;
  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int count) const {
    Lanes<T, kLanes> v = load<kLanes>(x.at(pixel, channel), count);
    MTYOLO_UNROLL
    for (int e = 0; e < kLanes; ++e) v.values[e] = from_float<T>(activate(activation, to_float(v.values[e])));
    store(y.at(pixel, channel), v, count);
  }
};

template <class T>
struct Add {
  Slice<T> a, b, y;
  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int count) const {
    Lanes<T, kLanes> v = load<kLanes>(a.at(pixel, channel), count);
    const Lanes<T, kLanes> w = load<kLanes>(b.at(pixel, channel), count);
    MTYOLO_UNROLL
    for (int e = 0; e < kLanes; ++e)
      v.values[e] = from_float<T>(to_float(v.values[e]) + to_float(w.values[e]));
    store(y.at(pixel, channel), v, count);
  }
};

template <class From, class To>
struct Convert {
  Slice<From> x;
  Slice<To> y;
  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int count) const {
    const Lanes<From, kLanes> v = load<kLanes>(x.at(pixel, channel), count);
    Lanes<To, kLanes> to;
    MTYOLO_UNROLL
    for (int e = 0; e < kLanes; ++e) to.values[e] = from_float<To>(to_float(v.values[e]));
    store(y.at(pixel, channel), to, count);
  }
};

template <class T>
struct Fill {
  Slice<T> y;
  float value;
  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int count) const {
    Lanes<T, kLanes> v;
    MTYOLO_UNROLL
    for (int e = 0; e < kLanes; ++e) v.values[e] = from_float<T>(value);
    store(y.at(pixel, channel), v, count);
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

template <class T>
struct ScaleShift {
  Slice<T> x, y;
  const float *scale, *shift;
  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int count) const {
    Lanes<T, kLanes> v = load<kLanes>(x.at(pixel, channel), count);
    MTYOLO_UNROLL
    for (int e = 0; e < kLanes; ++e) {
      if (e >= count) continue;
      float value = to_float(v.values[e]);
      if (scale != nullptr) value *= scale[MTYOLO_MUTANT(143, channel + e, e)];
      if (shift != nullptr) value += shift[channel + e];
      v.values[e] = from_float<T>(value);
    }
    store(y.at(pixel, channel), v, count);
  }
};

template <class T>
struct CrossStitch {
  Slice<T> x[kMostStitched], y;
  int inputs;
  const float* weight;
  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int count) const {
    float sums[kLanes] = {};
    MTYOLO_UNROLL
    for (int i = 0; i < kMostStitched; ++i) {
      if (i >= inputs) continue;
      const Lanes<T, kLanes> v = load<kLanes>(x[i].at(pixel, channel), count);
      MTYOLO_UNROLL
      for (int e = 0; e < kLanes; ++e)
        if (e < count) sums[e] += weight[i * y.c + channel + e] * to_float(v.values[e]);
    }
    Lanes<T, kLanes> to;
    MTYOLO_UNROLL
    for (int e = 0; e < kLanes; ++e) to.values[e] = from_float<T>(sums[e]);
    store(y.at(pixel, channel), to, count);
  }
};

void check_alike(const KernelMap& x, const KernelMap& y) {
  check_map(x), check_map(y);
  check_argument(same_shape(x, y) && x.type == y.type, "maps must have one shape and one type");
}

}  // namespace

void activate(KernelStream stream, KernelActivation activation, const KernelMap& x, const KernelMap& y) {
  check_alike(x, y);
  for_float(x.type, [&](auto of) {
    using T = typename decltype(of)::Type;
    for_each_pack<Pack<T>::kSize>(stream, aligned16(x) && aligned16(y), y,
                                  Activate<T>{slice<T>(x), slice<T>(y), activation});
  });
}

void add(KernelStream stream, const KernelMap& a, const KernelMap& b, const KernelMap& y) {
  check_alike(a, y), check_alike(b, y);
  for_float(y.type, [&](auto of) {
    using T = typename decltype(of)::Type;
    for_each_pack<Pack<T>::kSize>(stream, aligned16(a) && aligned16(b) && aligned16(y), y,
                                  Add<T>{slice<T>(a), slice<T>(b), slice<T>(y)});
  });
}

void copy_map(KernelStream stream, const KernelMap& x, const KernelMap& y) {
  if (x.type == y.type) return upsample(stream, x, 1, y);
  check_map(x), check_map(y);
  check_argument(same_shape(x, y), "copy_map: maps must have one shape");
  for_float(x.type, [&](auto from) {
    for_float(y.type, [&](auto to) {
      using From = typename decltype(from)::Type;
      using To = typename decltype(to)::Type;
      if constexpr (!std::is_same_v<From, To>)
        for_each_pack<8>(stream, aligned16(x) && aligned16(y), y,
                         Convert<From, To>{slice<From>(x), slice<To>(y)});
    });
  });
}

void fill(KernelStream stream, const KernelMap& y, float value) {
  check_map(y);
  const auto run = [&](auto of) {
    using T = typename decltype(of)::Type;
    for_each_pack<Pack<T>::kSize>(stream, aligned16(y), y, Fill<T>{slice<T>(y), value});
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

void scale_shift(KernelStream stream, const KernelMap& x, const float* scale, const float* shift,
                 const KernelMap& y) {
  check_alike(x, y);
  for_float(x.type, [&](auto of) {
    using T = typename decltype(of)::Type;
    for_each_pack<Pack<T>::kSize>(stream, aligned16(x) && aligned16(y), y,
                                  ScaleShift<T>{slice<T>(x), slice<T>(y), scale, shift});
  });
}

void cross_stitch(KernelStream stream, std::span<const KernelMap> x, const float* weight,
                  const KernelMap& y) {
  check_argument(!x.empty() && x.size() <= size_t(kMostStitched) && weight != nullptr,
                 "cross_stitch: 1 to 8 inputs and their weights are needed");
  bool aligned = aligned16(y);
  for (const KernelMap& input : x) {
    check_alike(input, y);
    aligned = aligned && aligned16(input);
  }
  for_float(y.type, [&](auto of) {
    using T = typename decltype(of)::Type;
    CrossStitch<T> op{.x = {}, .y = slice<T>(y), .inputs = int(x.size()), .weight = weight};
    for (size_t i = 0; i < x.size(); ++i) op.x[i] = slice<T>(x[i]);
    for_each_pack<Pack<T>::kSize>(stream, aligned, y, op);
  });
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS
