// y[pixel, c] = g(c, values of x at that place), in f32; y may be one of x.
#pragma once

#include <span>
#include <type_traits>

#include "cuda/map.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS {

template <class From, class To, int kInputs, class G>
struct Pointwise {
  Slice<From> x[kInputs];
  int inputs;
  Slice<To> y;
  bool accumulate;
  G g;
  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int count) const {
    Lanes<From, kLanes> in[kInputs] = {};
    MTYOLO_UNROLL
    for (int i = 0; i < kInputs; ++i)
      if (i < inputs) in[i] = load<kLanes>(x[i].at(pixel, channel), count);
    float sums[kLanes];
    MTYOLO_UNROLL
    for (int e = 0; e < kLanes; ++e) {
      float values[kInputs] = {};
      MTYOLO_UNROLL
      for (int i = 0; i < kInputs; ++i)
        if (i < inputs) values[i] = to_float(in[i].values[e]);
      sums[e] = e < count ? g(channel + MTYOLO_MUTANT(143, e, 0), values) : 0;
    }
    put_sums<kLanes>(y.at(pixel, channel), sums, count, accumulate);
  }
};

// At most kInputs maps, all of `From`; y is of `To`.
template <class From, class To, int kInputs, class G>
void pointwise_typed(KernelStream stream, const G& g, std::span<const KernelMap> x, const KernelMap& y,
                     bool accumulate = false) {
  Pointwise<From, To, kInputs, G> op{{}, int(x.size()), slice<To>(y), accumulate, g};
  bool aligned = aligned16(y);
  check_map(y);
  for (size_t i = 0; i < x.size(); ++i) {
    check_map(x[i]);
    check_argument(same_shape(x[i], y) && x[i].type == x[0].type, "maps must have one shape and one type");
    aligned = aligned && aligned16(x[i]);
    op.x[i] = slice<From>(x[i]);
  }
  constexpr int kLanes = Pack<From>::kSize > Pack<To>::kSize ? Pack<From>::kSize : Pack<To>::kSize;
  for_each_pack<kLanes>(stream, aligned, y, op);
}

// All maps of one type, f32, f16 or bf16.
template <int kInputs, class G>
void pointwise(KernelStream stream, const G& g, std::span<const KernelMap> x, const KernelMap& y,
               bool accumulate = false) {
  check_argument(x[0].type == y.type, "maps must have one shape and one type");
  for_float(y.type, [&](auto of) {
    using T = typename decltype(of)::Type;
    pointwise_typed<T, T, kInputs>(stream, g, x, y, accumulate);
  });
}
template <class G, size_t kInputs>
void pointwise(KernelStream stream, const G& g, const KernelMap (&x)[kInputs], const KernelMap& y,
               bool accumulate = false) {
  pointwise<int(kInputs)>(stream, g, std::span<const KernelMap>(x), y, accumulate);
}

struct Scaled {
  const float *scale, *shift;  // null: 1, 0
  MTYOLO_DEV float operator()(int channel, const float* v) const {
    return (scale != nullptr ? v[0] * scale[channel] : v[0]) + (shift != nullptr ? shift[channel] : 0);
  }
};

}  // namespace mtyolo::MTYOLO_KERNEL_NS
