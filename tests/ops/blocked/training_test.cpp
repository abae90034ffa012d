// Batch norm, activations, pooling and the moving ops on blocked tensors against plain loops in double
// precision. CMake runs these once per instruction set (MTYOLO_ISA).
#include "ops/add.h"
#include "ops/concat.h"
#include "tests/ops/blocked/training_testing.h"

using namespace mtyolo;
using namespace mtyolo::ops;
using namespace mtyolo::test;

namespace {

// dy/dx by the central difference of the reference, so that no formula stands here twice.
double slope(const Activation& a, double x) {
  constexpr double h = 1e-5;
  return (activation_reference(a, x + h) - activation_reference(a, x - h)) / (2 * h);
}

struct BatchNormCase {
  Tensor x, gy, weight, bias, mean, var, saved_mean, saved_inv_std;
  BatchNormTrain p;
  BatchNormCase(const Shape& shape, double offset, BatchNormTrain params) : p(params) {
    const int64_t c = shape[1];
    x = random_tensor(shape, 1, offset), gy = random_tensor(shape, 2);
    weight = random_tensor({c}, 3, 1.5), bias = random_tensor({c}, 4);
    mean = random_tensor({c}, 5), var = random_tensor({c}, 6, 2);
    saved_mean = Tensor::full({c}, NAN), saved_inv_std = Tensor::full({c}, NAN);
  }
  BatchNormStats stats() const { return {weight, bias, mean, var}; }
  BatchNormSaved saved() const { return {saved_mean, saved_inv_std}; }
};

struct BatchNormWant {
  Grid y, gx, gw, gb, mean, var;
};

// Sets gy to 0 where u lies at a kink of an activation: there rounding decides about the slope.
BatchNormWant definition(BatchNormCase& c) {
  Grid gy(c.gy);
  const Grid x(c.x), weight(c.weight), bias(c.bias), r_mean(c.mean), r_var(c.var);
  const Shape& s = x.shape;
  BatchNormWant want{Grid(s), Grid(s), Grid({s[1]}), Grid({s[1]}), r_mean, r_var};
  const double count = double(s[0] * s[2] * s[3]);
  for (int64_t k = 0; k < s[1]; ++k) {
    const size_t at = size_t(k);
    const auto each = [&](auto&& f) {
      for (int64_t n = 0; n < s[0]; ++n)
        for (int64_t i = 0; i < s[2]; ++i)
          for (int64_t j = 0; j < s[3]; ++j) f(n, i, j);
    };
    double mean = r_mean.v[at], var = r_var.v[at];
    if (!c.p.frozen) {
      mean = var = 0;
      each([&](auto n, auto i, auto j) { mean += x.at(n, k, i, j) / count; });
      each([&](auto n, auto i, auto j) { var += std::pow(x.at(n, k, i, j) - mean, 2) / count; });
      want.mean.v[at] += c.p.momentum * (mean - want.mean.v[at]);
      want.var.v[at] += c.p.momentum * (var * count / std::max(1.0, count - 1) - want.var.v[at]);
    }
    const double inv_std = 1 / std::sqrt(var + c.p.eps);
    const auto xhat = [&](auto n, auto i, auto j) { return (x.at(n, k, i, j) - mean) * inv_std; };
    each([&](auto n, auto i, auto j) {
      const double u = xhat(n, i, j) * weight.v[at] + bias.v[at];
      if (std::abs(u) < 1e-4 || std::abs(std::abs(u) - 3) < 1e-4) gy.at(n, k, i, j) = 0;
    });
    const auto gu = [&](auto n, auto i, auto j) {
      return gy.at(n, k, i, j) * slope(c.p.activation, xhat(n, i, j) * weight.v[at] + bias.v[at]);
    };
    each([&](auto n, auto i, auto j) {
      want.y.at(n, k, i, j) = activation_reference(c.p.activation, xhat(n, i, j) * weight.v[at] + bias.v[at]);
      want.gb.v[at] += gu(n, i, j);
      want.gw.v[at] += gu(n, i, j) * xhat(n, i, j);
    });
    each([&](auto n, auto i, auto j) {
      const double rest = c.p.frozen ? 0 : (want.gb.v[at] + xhat(n, i, j) * want.gw.v[at]) / count;
      want.gx.at(n, k, i, j) = weight.v[at] * inv_std * (gu(n, i, j) - rest);
    });
  }
  for (size_t i = 0; i < gy.v.size(); ++i) c.gy.data<float>()[i] = float(gy.v[i]);
  return want;
}

constexpr ActivationKind kKinds[] = {ActivationKind::kIdentity,  ActivationKind::kSilu,
                                     ActivationKind::kLeakyRelu, ActivationKind::kSigmoid,
                                     ActivationKind::kRelu,      ActivationKind::kHardswish};

Tensor plus(const Tensor& a, const Tensor& b) {
  Tensor sum = a.clone();
  for (int64_t i = 0; i < sum.numel(); ++i) sum.data<float>()[i] += b.data<float>()[i];
  return sum;
}

}  // namespace

TEST_CASE("blocked training: batch norm with activation and its gradients equal the definition",
          "[blocked]") {
  Setup s;
  const ActivationKind kind = GENERATE(from_range(std::begin(kKinds), std::end(kKinds)));
  const bool frozen = GENERATE(false, true);
  const Shape shape = GENERATE(Shape{2, 20, 7, 9}, Shape{1, 33, 1, 1}, Shape{3, 80, 20, 33});
  BatchNormCase c(shape, 0.5, {.momentum = 0.1, .frozen = frozen, .activation = {kind, 0.1f}});
  const BatchNormWant want = definition(c);
  const Tensor x = blocked_with_noise(s.ctx, c.x, 0), gy = blocked_with_noise(s.ctx, c.gy, 1);
  Tensor y = dirty(shape, 1);
  s.run<BatchNormTrainForward>({x, c.p}, x, c.stats(), c.p, c.saved(), y);
  CHECK(difference(s.ctx, y, want.y) < 3e-6);
  CHECK(halo_is_zero(y));
  CHECK(difference(c.mean, want.mean) < 1e-6);
  CHECK(difference(c.var, want.var) < 1e-6);

  Tensor gx = dirty(shape, 1), gw = Tensor::full({shape[1]}, 5), gb = Tensor::full({shape[1]}, NAN);
  const double tolerance = shape[2] == 1 ? 1e-4 : 3e-5;  // one pixel: inv_std is 30, everything cancels
  s.run<BatchNormTrainBackward>({x, c.p}, x, gy, c.stats(), c.p, c.saved(), BatchNormGrads{gx, gw, {}});
  CHECK(difference(s.ctx, gx, want.gx) < tolerance);
  CHECK(halo_is_zero(gx));
  Grid five({shape[1]});
  std::fill(five.v.begin(), five.v.end(), 5);
  CHECK(difference(gw, want.gw + five) < 1e-4);
  const Grid once(blocked::to_plain(s.ctx, gx));
  blocked::batch_norm_backward(s.ctx, x, gy, c.stats(), c.p, c.saved(),
                               {gx, {}, gb, GradMode::kAccumulate, GradMode::kOverwrite});
  CHECK(difference(s.ctx, gx, once + once) < 1e-5);
  CHECK(difference(gb, want.gb) < 1e-4);
  blocked::batch_norm_backward(s.ctx, x, gy, c.stats(), c.p, c.saved(), {gy, {}, {}});  // in place
  CHECK(bit_equal(blocked::to_plain(s.ctx, gy).to(DType::kF64), [&] {
    Tensor t = Tensor::empty(shape, DType::kF64);
    std::copy(once.v.begin(), once.v.end(), t.data<double>());
    return t;
  }()));
}

TEST_CASE("blocked training: batch norm holds with a mean of 1e4 times the deviation", "[blocked]") {
  Setup s;
  BatchNormCase c({2, 16, 24, 25}, 5773.5, {});  // uniform in -1..1: deviation 0.577
  const BatchNormWant want = definition(c);
  Tensor y = dirty(c.x.shape(), 0);
  blocked::batch_norm_forward(s.ctx, blocked_with_noise(s.ctx, c.x, 1), c.stats(), c.p, c.saved(), y);
  // The saved mean is f32: off by up to 2^-12 / 0.577 deviations.
  CHECK(difference(s.ctx, y, want.y) < 1.1e-3);
  CHECK(difference(c.var, want.var) < 1e-6);
}

TEST_CASE("blocked training: batch norm's results do not depend on the number of threads", "[blocked]") {
  const Shape shape = GENERATE(Shape{2, 32, 40, 70}, Shape{2, 160, 9, 9});
  std::vector<std::vector<Tensor>> results;
  for (int threads : {1, 2, 5}) {
    Context ctx(threads);
    const BatchNormCase c(shape, 0.5, {.activation = {ActivationKind::kSilu}});
    const Tensor x = blocked::to_blocked(ctx, c.x, 0), gy = blocked::to_blocked(ctx, c.gy, 0);
    Tensor y = dirty(shape, 1), gx = dirty(shape, 1), gw = Tensor::zeros({shape[1]}),
           gb = Tensor::zeros({shape[1]});
    blocked::batch_norm_forward(ctx, x, c.stats(), c.p, c.saved(), y);
    blocked::batch_norm_backward(ctx, x, gy, c.stats(), c.p, c.saved(), {gx, gw, gb});
    results.push_back({blocked::to_plain(ctx, y), blocked::to_plain(ctx, gx), gw, gb, c.mean, c.var,
                       c.saved_mean, c.saved_inv_std});
  }
  for (size_t k = 0; k < results[0].size(); ++k) {
    CHECK(bit_equal(results[0][k], results[1][k]));
    CHECK(bit_equal(results[0][k], results[2][k]));
  }
}

TEST_CASE("blocked training: activations and their gradients equal the definition", "[blocked]") {
  Setup s;
  const Activation act{GENERATE(from_range(std::begin(kKinds), std::end(kKinds))), 0.1f};
  Tensor x = random_tensor({2, 19, 5, 7}, 1), gy = random_tensor(x.shape(), 2);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] *= 6;
  Grid y(x.shape()), gx(x.shape());
  for (size_t i = 0; i < y.v.size(); ++i) {
    y.v[i] = activation_reference(act, double(x.data<float>()[i]));
    gx.v[i] = double(gy.data<float>()[i]) * slope(act, double(x.data<float>()[i]));
  }
  const Tensor bx = blocked_with_noise(s.ctx, x, 1), bgy = blocked_with_noise(s.ctx, gy, 0);
  Tensor by = dirty(x.shape(), 1), bgx = dirty(x.shape(), 1);
  s.run<ActivationForward>({bx}, bx, act, by);
  CHECK(difference(s.ctx, by, y) < 5e-6);
  CHECK(halo_is_zero(by));
  s.run<ActivationBackward>({bx}, bx, bgy, act, GradMode::kOverwrite, bgx);
  CHECK(difference(s.ctx, bgx, gx) < 5e-6);
  CHECK(halo_is_zero(bgx));
  s.run<ActivationBackward>({bx}, bx, bgy, act, GradMode::kAccumulate, bgx);
  CHECK(difference(s.ctx, bgx, gx + gx) < 1e-5);
}

TEST_CASE("blocked training: max pooling's gradient goes to the first maximum", "[blocked]") {
  Setup s;
  const MaxPool2d p = GENERATE(MaxPool2d{2, 2, 0}, MaxPool2d{5, 1, 2}, MaxPool2d{13, 1, 6},
                               MaxPool2d{3, 2, 1}, MaxPool2d{3, 3, 0});
  Tensor x = random_tensor({2, 19, 11, 13}, 1);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = std::round(3 * x.data<float>()[i]);  // ties
  const Shape out = max_pool2d_shape(x.shape(), p);
  const Tensor gy = random_tensor(out, 2);
  const Grid from(x), g(gy);
  Grid want(x.shape());
  for (int64_t n = 0; n < out[0]; ++n)
    for (int64_t c = 0; c < out[1]; ++c)
      for (int64_t i = 0; i < out[2]; ++i)
        for (int64_t j = 0; j < out[3]; ++j) {
          int64_t row = -1, column = -1;
          for (int64_t u = i * p.stride - p.pad; u < i * p.stride - p.pad + p.k; ++u)
            for (int64_t v = j * p.stride - p.pad; v < j * p.stride - p.pad + p.k; ++v) {
              if (u < 0 || v < 0 || u >= x.size(2) || v >= x.size(3)) continue;
              if (row >= 0 && from.at(n, c, u, v) <= from.at(n, c, row, column)) continue;
              row = u, column = v;
            }
          want.at(n, c, row, column) += g.at(n, c, i, j);
        }
  const Tensor bx = blocked_with_noise(s.ctx, x, 0), bgy = blocked_with_noise(s.ctx, gy, 1);
  Tensor gx = dirty(x.shape(), 1);
  s.run<MaxPool2dBackward>({bx, p}, bx, bgy, p, GradMode::kOverwrite, gx);
  CHECK(difference(s.ctx, gx, want) < 3e-5);
  CHECK(halo_is_zero(gx));
  s.run<MaxPool2dBackward>({bx, p}, bx, bgy, p, GradMode::kAccumulate, gx);
  CHECK(difference(s.ctx, gx, want + want) < 6e-5);
  Tensor y = dirty(out, 1), plain = Tensor::empty(out);
  s.run<MaxPool2dForward>({bx, p}, bx, p, y);
  max_pool2d_forward(s.ctx, s.impls, x, p, plain);
  CHECK(bit_equal(blocked::to_plain(s.ctx, y), plain));
  CHECK(halo_is_zero(y));
}

TEST_CASE("blocked training: upsampling and its gradient", "[blocked]") {
  Setup s;
  const Upsample p{2};
  const Tensor x = random_tensor({2, 21, 4, 6}, 1), gy = random_tensor({2, 21, 8, 12}, 2);
  Grid y(gy.shape()), gx(x.shape());
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t c = 0; c < 21; ++c)
      for (int64_t i = 0; i < 8; ++i)
        for (int64_t j = 0; j < 12; ++j) {
          y.at(n, c, i, j) = x.at({n, c, i / 2, j / 2});
          gx.at(n, c, i / 2, j / 2) += gy.at({n, c, i, j});
        }
  const Tensor bx = blocked_with_noise(s.ctx, x, 0), bgy = blocked_with_noise(s.ctx, gy, 1);
  Tensor by = dirty(gy.shape(), 1), bgx = dirty(x.shape(), 1);
  s.run<UpsampleForward>({bx}, bx, p, by);
  CHECK(difference(s.ctx, by, y) == 0);
  CHECK(halo_is_zero(by));
  s.run<UpsampleBackward>({bgy}, bgy, p, GradMode::kOverwrite, bgx);
  CHECK(difference(s.ctx, bgx, gx) < 1e-6);
  CHECK(halo_is_zero(bgx));
  s.run<UpsampleBackward>({bgy}, bgy, p, GradMode::kAccumulate, bgx);
  CHECK(difference(s.ctx, bgx, gx + gx) < 2e-6);
}

TEST_CASE("blocked training: add, accumulate, copy and concat move the right elements", "[blocked]") {
  Setup s;
  const int64_t first = GENERATE(16, 21);
  const Tensor a = random_tensor({2, first, 4, 6}, 1), b = random_tensor({2, 19, 4, 6}, 2),
               b2 = random_tensor(b.shape(), 3);
  const Tensor ba = blocked_with_noise(s.ctx, a, 1), bb = blocked_with_noise(s.ctx, b, 0);
  Tensor sum = dirty(b.shape(), 1);
  add_forward(s.ctx, bb, blocked_with_noise(s.ctx, b2, 1), sum);
  CHECK(difference(s.ctx, sum, Grid(plus(b, b2))) == 0);
  CHECK(halo_is_zero(sum));
  blocked::copy(s.ctx, bb, sum);
  blocked::accumulate(s.ctx, bb, sum);
  CHECK(difference(s.ctx, sum, Grid(b) + Grid(b)) == 0);

  Tensor joined = dirty({2, first + 19, 4, 6}, 1), plain = Tensor::empty(joined.shape());
  const std::vector<Tensor> inputs{ba, bb}, plain_inputs{a, b};
  concat_forward(s.ctx, inputs, joined);
  concat_forward(s.ctx, plain_inputs, plain);
  CHECK(difference(s.ctx, joined, Grid(plain)) == 0);
  CHECK(halo_is_zero(joined));
  Tensor back = dirty(b.shape(), 1);
  blocked::concat_backward(s.ctx, joined, int(first), GradMode::kOverwrite, back);
  CHECK(difference(s.ctx, back, Grid(b)) == 0);
  CHECK(halo_is_zero(back));
  blocked::concat_backward(s.ctx, joined, int(first), GradMode::kAccumulate, back);
  CHECK(difference(s.ctx, back, Grid(b) + Grid(b)) == 0);
}

TEST_CASE("blocked training: an input of concat that lies in place is not touched", "[blocked]") {
  Setup s;
  const Tensor a = random_tensor({1, 32, 3, 4}, 1);
  Tensor joined = dirty({1, 48, 3, 4}, 1);
  Tensor range = joined.slice(1, 0, 32);
  blocked::copy(s.ctx, blocked_with_noise(s.ctx, a, 0), range);
  const Tensor b = random_tensor({1, 16, 3, 4}, 2);
  const std::vector<Tensor> inputs{range, blocked_with_noise(s.ctx, b, 0)};
  concat_forward(s.ctx, inputs, joined);
  CHECK(difference(s.ctx, range, Grid(a)) == 0);
  CHECK(difference(s.ctx, joined.slice(1, 32, 48), Grid(b)) == 0);
}

TEST_CASE("blocked training: learned vectors per channel and their gradients", "[blocked]") {
  Setup s;
  const ScaleShift p{GENERATE(ImplicitKind::kAdd, ImplicitKind::kMul)};
  const bool adds = p.kind == ImplicitKind::kAdd;
  const Tensor x = random_tensor({2, 37, 5, 6}, 1), gy = random_tensor(x.shape(), 2),
               v = random_tensor({1, 37, 1, 1}, 3);
  Grid y(x.shape()), gx(x.shape()), gv(v.shape());
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t c = 0; c < 37; ++c)
      for (int64_t i = 0; i < 5; ++i)
        for (int64_t j = 0; j < 6; ++j) {
          const double k = v.at({0, c, 0, 0}), g = gy.at({n, c, i, j}), in = x.at({n, c, i, j});
          y.at(n, c, i, j) = adds ? in + k : in * k;
          gx.at(n, c, i, j) = adds ? g : g * k;
          gv.v[size_t(c)] += adds ? g : g * in;
        }
  const Tensor bx = blocked_with_noise(s.ctx, x, 0), bgy = blocked_with_noise(s.ctx, gy, 0);
  Tensor by = dirty(x.shape(), 1), bgx = dirty(x.shape(), 1), got = Tensor::zeros(v.shape());
  scale_shift_forward(s.ctx, bx, v, p, by);
  CHECK(difference(s.ctx, by, y) < 1e-6);
  CHECK(halo_is_zero(by));
  blocked::scale_shift_backward(s.ctx, bx, v, bgy, p, GradMode::kOverwrite, bgx, got);
  CHECK(difference(s.ctx, bgx, gx) < 1e-6);
  CHECK(difference(got, gv) < 1e-5);
  Tensor none;
  blocked::scale_shift_backward(s.ctx, bx, v, bgy, p, GradMode::kAccumulate, bgx, none);
  CHECK(difference(s.ctx, bgx, gx + gx) < 1e-6);
  blocked::scale_shift_backward(s.ctx, bx, v, bgy, p, GradMode::kOverwrite, none, got);
  CHECK(difference(got, gv + gv) < 2e-5);
}

TEST_CASE("blocked training: space_to_depth and head rows go there and back", "[blocked]") {
  Setup s;
  const Tensor x = random_tensor({2, 12, 6, 8}, 1);
  Tensor deep = Tensor::empty({2, 48, 3, 4}), b_deep = dirty(deep.shape(), 1), b_x = dirty(x.shape(), 1);
  space_to_depth_forward(s.ctx, x, deep);
  space_to_depth_forward(s.ctx, GENERATE(true, false) ? blocked_with_noise(s.ctx, x, 1) : x, b_deep);
  CHECK(difference(s.ctx, b_deep, Grid(deep)) == 0);
  CHECK(halo_is_zero(b_deep));
  blocked::space_to_depth_backward(s.ctx, b_deep, GradMode::kOverwrite, b_x);
  CHECK(difference(s.ctx, b_x, Grid(x)) == 0);
  CHECK(halo_is_zero(b_x));
  blocked::space_to_depth_backward(s.ctx, b_deep, GradMode::kAccumulate, b_x);
  CHECK(difference(s.ctx, b_x, Grid(x) + Grid(x)) == 0);

  const Tensor raw = random_tensor({2, 27, 4, 5}, 2);
  Tensor rows = Tensor::empty({2, 3, 4, 5, 9}), back = dirty(raw.shape(), 1);
  blocked::head_rows_forward(s.ctx, blocked_with_noise(s.ctx, raw, 0), 3, rows);
  for (int64_t k = 0; k < 27; ++k) CHECK(rows.at({1, k / 9, 2, 3, k % 9}) == raw.at({1, k, 2, 3}));
  blocked::head_rows_backward(s.ctx, rows, GradMode::kOverwrite, back);
  CHECK(difference(s.ctx, back, Grid(raw)) == 0);
  CHECK(halo_is_zero(back));
  blocked::head_rows_backward(s.ctx, rows, GradMode::kAccumulate, back);
  CHECK(difference(s.ctx, back, Grid(raw) + Grid(raw)) == 0);
}
