#include "ops/fuse.h"

#include <algorithm>
#include <cmath>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mtyolo::ops {
namespace {

void check_length(const char* what, const Tensor& t, int64_t want) {
  MTYOLO_CHECK(t.defined() && is_floating(t.dtype()) && t.numel() == want,
               "fuse: {} is {}, expected {} numbers", what, t, want);
}

// Numbers of a vector in f64; zeros for an undefined one.
std::vector<double> vector_f64(const char* what, const Tensor& t, int64_t count) {
  std::vector<double> values(size_t(count), 0.0);
  if (!t.defined()) return values;
  check_length(what, t, count);
  const Tensor wide = t.to(DType::kF64);
  std::copy_n(wide.data<double>(), count, values.begin());
  return values;
}

#if defined(__x86_64__)
// to[i] = To(double(from[i]) * factor), eight at a time; returns how many were done.
template <class To>
__attribute__((target("avx2,f16c"))) int64_t scale_halves_avx2(const Half* from, int64_t count, double factor,
                                                               To* to) {
  const __m256d f = _mm256_set1_pd(factor);
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256 x = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
    const __m256d low = _mm256_mul_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(x)), f);
    const __m256d high = _mm256_mul_pd(_mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)), f);
    if constexpr (std::is_same_v<To, float>) {
      _mm_storeu_ps(to + i, _mm256_cvtpd_ps(low));
      _mm_storeu_ps(to + i + 4, _mm256_cvtpd_ps(high));
    } else {
      _mm256_storeu_pd(to + i, low);
      _mm256_storeu_pd(to + i + 4, high);
    }
  }
  return i;
}
#endif

template <class To>
int64_t scale_halves(const Half* from, int64_t count, double factor, To* to) {
#if defined(__x86_64__)
  static const bool has_f16c = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
  if (has_f16c) return scale_halves_avx2(from, count, factor, to);
#endif
  static_cast<void>(from), static_cast<void>(count), static_cast<void>(factor), static_cast<void>(to);
  return 0;
}

// A convolution weight [O,C/G,kh,kw] of any floating type, read one output channel at a time, so that no f64
// copy of it is made.
class WeightRows {
 public:
  WeightRows(const char* what, const Tensor& weight) {
    MTYOLO_CHECK(weight.defined() && is_floating(weight.dtype()) && weight.rank() == 4,
                 "fuse: {} is {}, expected a convolution weight [O,C/groups,kh,kw]", what, weight);
    weight_ = weight.contiguous();
    outputs_ = weight_.size(0);
    taps_ = outputs_ > 0 ? weight_.numel() / outputs_ : 0;
  }
  int64_t outputs() const { return outputs_; }
  int64_t taps() const { return taps_; }  // numbers per output channel

  // to[i] = factor * row[i]
  template <class To>
  void scaled(int64_t output, double factor, To* to) const {
    dispatch_dtype(weight_.dtype(), [&](auto tag) {
      using From = typename decltype(tag)::type;
      const From* from = weight_.data<From>() + output * taps_;
      int64_t done = 0;
      if constexpr (std::is_same_v<From, Half>) done = scale_halves(from, taps_, factor, to);
      for (int64_t i = done; i < taps_; ++i) to[i] = To(to_double(from[i]) * factor);
    });
  }

 private:
  Tensor weight_;
  int64_t outputs_ = 0, taps_ = 0;
};

// What a batch norm does to the output of a convolution: factor * x + shift, per channel.
struct Affine {
  std::vector<double> factor, shift;
};

Affine affine_of(const BatchNormStats& bn, int64_t outputs, double eps) {
  Affine a{vector_f64("batch norm weight", bn.weight, outputs),
           vector_f64("batch norm bias", bn.bias, outputs)};
  const std::vector<double> mean = vector_f64("batch norm mean", bn.mean, outputs);
  const std::vector<double> var = vector_f64("batch norm variance", bn.var, outputs);
  for (size_t o = 0; o < a.factor.size(); ++o) {
    a.factor[o] /= std::sqrt(var[o] + eps);
    a.shift[o] -= a.factor[o] * mean[o];
  }
  return a;
}

Tensor tensor_f32(const std::vector<double>& values) {
  Tensor t = Tensor::empty({int64_t(values.size())});
  for (size_t i = 0; i < values.size(); ++i) t.data<float>()[i] = float(values[i]);
  return t;
}

Tensor placed(const FuseInto& into, const Shape& shape) {
  if (!into.memory.defined()) return Tensor::empty(shape);
  return into.memory.slice(0, 0, shape.numel()).reshape(shape);
}

// body(begin, end) for ranges that cover the output channels.
template <class Body>
void for_outputs(const FuseInto& into, int64_t outputs, Body&& body) {
  constexpr int64_t kPart = 16;
  if (into.pool == nullptr) return body(int64_t(0), outputs);
  into.pool->parallel_for((outputs + kPart - 1) / kPart,
                          [&](int64_t i) { body(i * kPart, std::min(outputs, (i + 1) * kPart)); });
}

}  // namespace

ConvWeights fuse_conv_bn(const ConvWeights& conv, const BatchNormStats& bn, double eps,
                         const FuseInto& into) {
  const WeightRows rows("weight", conv.weight);
  std::vector<double> bias = vector_f64("bias", conv.bias, rows.outputs());
  const Affine a = affine_of(bn, rows.outputs(), eps);
  const Tensor weight = placed(into, conv.weight.shape());
  for_outputs(into, rows.outputs(), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      rows.scaled(o, a.factor[size_t(o)], weight.data<float>() + o * rows.taps());
      bias[size_t(o)] = bias[size_t(o)] * a.factor[size_t(o)] + a.shift[size_t(o)];
    }
  });
  return {weight, tensor_f32(bias)};
}

ConvWeights fuse_repconv(const RepConvWeights& rep, double eps, int groups, const FuseInto& into) {
  const WeightRows dense("3x3 weight", rep.dense), one("1x1 weight", rep.one);
  const Shape& s = rep.dense.shape();
  MTYOLO_CHECK(s[2] == 3 && s[3] == 3 && rep.one.shape() == Shape({s[0], s[1], 1, 1}),
               "fuse: RepConv with weights {} and {}, expected [O,C,3,3] and [O,C,1,1]", s, rep.one.shape());
  MTYOLO_CHECK(
      !rep.identity || (groups >= 1 && s[0] == s[1] * groups),
      "fuse: RepConv with an identity branch has weight {} in {} groups, expected as many outputs as inputs",
      s, groups);
  const Affine dense_bn = affine_of(rep.dense_bn, s[0], eps), one_bn = affine_of(rep.one_bn, s[0], eps);
  const Affine identity_bn = rep.identity ? affine_of(*rep.identity, s[0], eps) : Affine{};
  constexpr int64_t kCentre = 4;  // of nine taps
  std::vector<double> bias(size_t(s[0]), 0.0);
  const Tensor weight = placed(into, s);
  for_outputs(into, s[0], [&](int64_t begin, int64_t end) {
    std::vector<double> row(size_t(dense.taps()), 0.0), small(size_t(one.taps()), 0.0);
    for (int64_t o = begin; o < end; ++o) {
      const auto i = size_t(o);
      dense.scaled(o, dense_bn.factor[i], row.data());
      one.scaled(o, one_bn.factor[i], small.data());
      bias[i] = dense_bn.shift[i] + one_bn.shift[i];
      for (int64_t c = 0; c < s[1]; ++c) row[size_t(c * 9 + kCentre)] += small[size_t(c)];
      if (rep.identity) {
        row[size_t(o % s[1] * 9 + kCentre)] += identity_bn.factor[i];
        bias[i] += identity_bn.shift[i];
      }
      std::copy(row.begin(), row.end(), weight.data<float>() + o * dense.taps());
    }
  });
  return {weight, tensor_f32(bias)};
}

ConvWeights fuse_implicit(const ConvWeights& conv, const Tensor& add, const Tensor& mul, int groups,
                          const FuseInto& into) {
  const WeightRows rows("weight", conv.weight);
  const Shape& s = conv.weight.shape();
  MTYOLO_CHECK(groups >= 1 && s[0] % groups == 0, "fuse: {} output channels do not split into {} groups",
               s[0], groups);
  std::vector<double> bias = vector_f64("bias", conv.bias, s[0]);
  const std::vector<double> term = vector_f64("implicit addend", add, s[1] * groups);
  const std::vector<double> factor =
      mul.defined() ? vector_f64("implicit factor", mul, s[0]) : std::vector<double>(size_t(s[0]), 1.0);
  const int64_t window = s[2] * s[3];
  const Tensor weight = placed(into, s);
  for_outputs(into, s[0], [&](int64_t begin, int64_t end) {
    std::vector<double> row(size_t(add.defined() ? rows.taps() : 0), 0.0);
    for (int64_t o = begin; o < end; ++o) {
      const double* a = term.data() + o / (s[0] / groups) * s[1];
      if (add.defined()) rows.scaled(o, 1.0, row.data());
      for (size_t i = 0; i < row.size(); ++i) bias[size_t(o)] += row[i] * a[int64_t(i) / window];
      bias[size_t(o)] *= factor[size_t(o)];
      rows.scaled(o, factor[size_t(o)], weight.data<float>() + o * rows.taps());
    }
  });
  return {weight, tensor_f32(bias)};
}

}  // namespace mtyolo::ops
