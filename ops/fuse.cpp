#include "ops/fuse.h"

#include <cmath>

namespace mtyolo::ops {
namespace {

// Parameters in double while several foldings are added up.
struct Folded {
  Tensor weight, bias;  // f64, contiguous
};

void check_length(const char* what, const Tensor& t, int64_t want) {
  MTYOLO_CHECK(t.defined() && is_floating(t.dtype()) && t.numel() == want,
               "fuse: {} is {}, expected {} numbers", what, t, want);
}

// A contiguous f64 copy of a weight [O,C/G,kh,kw].
Tensor weight_f64(const char* what, const Tensor& weight) {
  MTYOLO_CHECK(weight.defined() && is_floating(weight.dtype()) && weight.rank() == 4,
               "fuse: {} is {}, expected a convolution weight [O,C/groups,kh,kw]", what, weight);
  Tensor copy = Tensor::empty(weight.shape(), DType::kF64);
  copy.copy_from(weight);
  return copy;
}

Tensor bias_f64(const Tensor& bias, int64_t outputs) {
  Tensor copy = Tensor::zeros({outputs}, DType::kF64);
  if (!bias.defined()) return copy;
  check_length("bias", bias, outputs);
  copy.copy_from(bias.reshape({outputs}));
  return copy;
}

void scale_output(Folded& f, int64_t o, double factor) {
  const int64_t taps = f.weight.numel() / f.weight.size(0);
  double* row = f.weight.data<double>() + o * taps;
  for (int64_t i = 0; i < taps; ++i) row[i] *= factor;
  f.bias.data<double>()[o] *= factor;
}

void apply_bn(Folded& f, const BatchNormStats& bn, double eps) {
  const int64_t outputs = f.weight.size(0);
  check_length("batch norm weight", bn.weight, outputs);
  check_length("batch norm bias", bn.bias, outputs);
  check_length("batch norm mean", bn.mean, outputs);
  check_length("batch norm variance", bn.var, outputs);
  const Tensor gamma = bn.weight.to(DType::kF64), beta = bn.bias.to(DType::kF64);
  const Tensor mean = bn.mean.to(DType::kF64), var = bn.var.to(DType::kF64);
  for (int64_t o = 0; o < outputs; ++o) {
    const double r = gamma.data<double>()[o] / std::sqrt(var.data<double>()[o] + eps);
    scale_output(f, o, r);
    f.bias.data<double>()[o] += beta.data<double>()[o] - r * mean.data<double>()[o];
  }
}

// Adds a folded branch; a 1x1 kernel goes to the centre of the sum's kernel.
void add_branch(Folded& sum, const Folded& branch) {
  const int64_t row_shift = (sum.weight.size(2) - branch.weight.size(2)) / 2;
  const int64_t column_shift = (sum.weight.size(3) - branch.weight.size(3)) / 2;
  const Shape& s = branch.weight.shape();
  double* to = sum.weight.data<double>();
  for (int64_t o = 0; o < s[0]; ++o) {
    for (int64_t c = 0; c < s[1]; ++c)
      for (int64_t u = 0; u < s[2]; ++u)
        for (int64_t v = 0; v < s[3]; ++v) {
          const int64_t row = (o * s[1] + c) * sum.weight.size(2) + u + row_shift;
          to[row * sum.weight.size(3) + v + column_shift] += branch.weight.at({o, c, u, v});
        }
    sum.bias.data<double>()[o] += branch.bias.at({o});
  }
}

ConvWeights rounded(const Folded& f) { return {f.weight.to(DType::kF32), f.bias.to(DType::kF32)}; }

// The 1x1 kernel that copies its input.
Tensor identity_kernel(int64_t channels, int64_t per_group) {
  Tensor kernel = Tensor::zeros({channels, per_group, 1, 1}, DType::kF64);
  for (int64_t o = 0; o < channels; ++o) kernel.data<double>()[o * per_group + o % per_group] = 1;
  return kernel;
}

}  // namespace

ConvWeights fuse_conv_bn(const ConvWeights& conv, const BatchNormStats& bn, double eps) {
  Folded f{weight_f64("weight", conv.weight), bias_f64(conv.bias, conv.weight.size(0))};
  apply_bn(f, bn, eps);
  return rounded(f);
}

ConvWeights fuse_repconv(const RepConvWeights& rep, double eps, int groups) {
  Folded sum{weight_f64("3x3 weight", rep.dense), bias_f64({}, rep.dense.size(0))};
  Folded one{weight_f64("1x1 weight", rep.one), bias_f64({}, rep.one.size(0))};
  const Shape& s = rep.dense.shape();
  MTYOLO_CHECK(s[2] == 3 && s[3] == 3 && rep.one.shape() == Shape({s[0], s[1], 1, 1}),
               "fuse: RepConv with weights {} and {}, expected [O,C,3,3] and [O,C,1,1]", s, rep.one.shape());
  apply_bn(sum, rep.dense_bn, eps);
  apply_bn(one, rep.one_bn, eps);
  add_branch(sum, one);
  if (rep.identity) {
    MTYOLO_CHECK(groups >= 1 && s[0] == s[1] * groups,
                 "fuse: RepConv with an identity branch has weight {} in {} groups, expected as many outputs "
                 "as inputs",
                 s, groups);
    Folded identity{identity_kernel(s[0], s[1]), bias_f64({}, s[0])};
    apply_bn(identity, *rep.identity, eps);
    add_branch(sum, identity);
  }
  return rounded(sum);
}

ConvWeights fuse_implicit(const ConvWeights& conv, const Tensor& add, const Tensor& mul, int groups) {
  Folded f{weight_f64("weight", conv.weight), bias_f64(conv.bias, conv.weight.size(0))};
  const Shape& s = conv.weight.shape();
  MTYOLO_CHECK(groups >= 1 && s[0] % groups == 0, "fuse: {} output channels do not split into {} groups",
               s[0], groups);
  if (add.defined()) {
    check_length("implicit addend", add, s[1] * groups);
    const Tensor term = add.to(DType::kF64);
    const int64_t taps = s[2] * s[3];
    const double* w = f.weight.data<double>();
    for (int64_t o = 0; o < s[0]; ++o) {
      const double* a = term.data<double>() + o / (s[0] / groups) * s[1];
      for (int64_t c = 0; c < s[1]; ++c)
        for (int64_t t = 0; t < taps; ++t) f.bias.data<double>()[o] += w[(o * s[1] + c) * taps + t] * a[c];
    }
  }
  if (mul.defined()) {
    check_length("implicit factor", mul, s[0]);
    const Tensor factor = mul.to(DType::kF64);
    for (int64_t o = 0; o < s[0]; ++o) scale_output(f, o, factor.data<double>()[o]);
  }
  return rounded(f);
}

}  // namespace mtyolo::ops
