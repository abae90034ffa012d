// The blocked kernels against the reference ops. CMake runs these once per instruction set (MTYOLO_ISA).
#include <catch2/catch.hpp>
#include <cmath>

#include "core/random.h"
#include "ops/blocked/conv2d_chain.h"
#include "ops/blocked/strassen.h"
#include "ops/blocked/winograd.h"
#include "ops/space_to_depth.h"

using namespace mtyolo;
using namespace mtyolo::ops;
using blocked::Element;

namespace {

Tensor random_tensor(const Shape& shape, uint32_t stream) {
  Tensor t = Tensor::empty(shape);
  RandomStream random(7, stream, 0);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = float(random.uniform(-1, 1));
  return t;
}

struct OwnedMap {
  Tensor memory;
  blocked::Map map;
};

OwnedMap packed(Context& ctx, const Tensor& x, int halo, int pixel = blocked::kBlock) {
  const int n = int(x.size(0)), c = int(x.size(1)), h = int(x.size(2)), w = int(x.size(3));
  OwnedMap m;
  m.memory = Tensor::full({blocked::map_floats(n, c, h, w, halo, pixel)}, NAN);
  m.map = blocked::make_map(m.memory.data<float>(), n, c, h, w, halo, pixel);
  blocked::pack(ctx, x, m.map);
  return m;
}

OwnedMap empty_map(const Shape& s, int halo = 0) {
  OwnedMap m;
  m.memory = Tensor::full({blocked::map_floats(int(s[0]), int(s[1]), int(s[2]), int(s[3]), halo)}, NAN);
  m.map = blocked::make_map(m.memory.data<float>(), int(s[0]), int(s[1]), int(s[2]), int(s[3]), halo);
  return m;
}

Tensor unpacked(Context& ctx, const blocked::Map& map) {
  Tensor y = Tensor::empty({map.n, map.view.channels, map.view.h, map.view.w});
  blocked::unpack(ctx, map, y);
  return y;
}

double max_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const Tensor x = a.contiguous(), y = b.contiguous();
  double worst = 0;
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double d = std::abs(double(x.data<float>()[i]) - double(y.data<float>()[i]));
    if (!(d <= worst)) worst = d;
  }
  return worst;
}

Impls reference_only() {
  Impls impls;
  register_cpu_impls(impls);
  impls.force("conv2d=cpu.reference");
  return impls;
}

Tensor reference_conv(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b, const Conv2d& p) {
  Tensor y = Tensor::empty(conv2d_shape(x.shape(), w.shape(), p));
  conv2d_forward(ctx, reference_only(), x, w, b, p, y);
  return y;
}

Tensor blocked_conv(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b, const Conv2d& p) {
  const OwnedMap in =
      packed(ctx, x, std::max(p.pad_h, p.pad_w), x.size(1) <= 4 ? blocked::kStemPixel : blocked::kBlock);
  const OwnedMap out = empty_map(conv2d_shape(x.shape(), w.shape(), p));
  blocked::conv2d(ctx, blocked::PackedConv(ctx, w, b, p), {in.map, out.map, {}, {}});
  return unpacked(ctx, out.map);
}

struct ConvCase {
  int n, c, o, h, w;
  Conv2d p;
};

}  // namespace

TEST_CASE("blocked conv2d equals the reference on odd sizes", "[blocked]") {
  Context ctx(2);
  const ConvCase c = GENERATE(ConvCase{1, 3, 32, 13, 29, Conv2d::square(3, 1, 1)},
                              ConvCase{2, 3, 5, 12, 17, Conv2d::square(3, 2, 1)},
                              ConvCase{1, 17, 33, 5, 15, Conv2d::square(1, 1, 0)},
                              ConvCase{2, 48, 80, 7, 43, Conv2d::square(3, 1, 1)},
                              ConvCase{1, 31, 16, 11, 1, Conv2d::square(3, 2, 1)},
                              ConvCase{1, 12, 40, 9, 14, Conv2d::square(6, 2, 2)},
                              ConvCase{1, 16, 255, 3, 2, Conv2d::square(1, 1, 0)},
                              ConvCase{1, 20, 24, 10, 10, {3, 3, 1, 1, 2, 2, 2, 2, 1}},
                              ConvCase{1, 9, 18, 8, 21, {1, 3, 1, 1, 0, 1, 1, 1, 1}},
                              ConvCase{1, 16, 16, 9, 28, {5, 5, 3, 4, 2, 2, 1, 1, 1}});
  const Tensor x = random_tensor({c.n, c.c, c.h, c.w}, 1);
  const Tensor w = random_tensor({c.o, c.c, c.p.kernel_h, c.p.kernel_w}, 2), b = random_tensor({c.o}, 3);
  INFO("kernels " << blocked::kernels().isa);
  // K = 432 products of mean size 1/4: rounding errors walk sqrt(K) * 2^-24 * K / 4 = 1.3e-4 at most in
  // practice.
  CHECK(max_difference(blocked_conv(ctx, x, w, b, c.p), reference_conv(ctx, x, w, b, c.p)) < 1e-4);
}

TEST_CASE("blocked conv2d equals the reference with groups that cross blocks", "[blocked]") {
  Context ctx(2);
  const auto [channels, out, groups] =
      GENERATE(std::tuple{32, 32, 32}, std::tuple{24, 48, 3}, std::tuple{64, 64, 4}, std::tuple{40, 20, 5},
               std::tuple{128, 128, 32});
  const Tensor x = random_tensor({1, channels, 6, 9}, 1);
  const Tensor w = random_tensor({out, channels / groups, 3, 3}, 2);
  const Conv2d p = Conv2d::square(3, 1, 1, groups);
  CHECK(max_difference(blocked_conv(ctx, x, w, {}, p), reference_conv(ctx, x, w, {}, p)) < 1e-5);
}

TEST_CASE("blocked conv2d gives an output channel the same bits wherever it stands", "[blocked]") {
  Context ctx(2);
  const Tensor x = random_tensor({1, 128, 6, 7}, 1), w = random_tensor({255, 128, 1, 1}, 2),
               b = random_tensor({255}, 3);
  const Tensor all = blocked_conv(ctx, x, w, b, {});
  const std::vector<int64_t> chosen{0, 4, 84, 85, 100, 254};
  Tensor some_w = Tensor::empty({6, 128, 1, 1}), some_b = Tensor::empty({6});
  for (int64_t i = 0; i < 6; ++i) {
    some_w.slice(0, i, i + 1).copy_from(w.slice(0, chosen[size_t(i)], chosen[size_t(i)] + 1));
    some_b.slice(0, i, i + 1).copy_from(b.slice(0, chosen[size_t(i)], chosen[size_t(i)] + 1));
  }
  const Tensor some = blocked_conv(ctx, x, some_w, some_b, {});
  for (int64_t i = 0; i < 6; ++i)
    CHECK(bit_equal(some.slice(1, i, i + 1), all.slice(1, chosen[size_t(i)], chosen[size_t(i)] + 1)));
}

TEST_CASE("blocked conv2d gives the same bits for one and two threads and for any batch", "[blocked]") {
  Context one(1), two(2);
  const Tensor x = random_tensor({3, 64, 20, 23}, 1), w = random_tensor({96, 64, 3, 3}, 2);
  const Conv2d p = Conv2d::square(3, 1, 1);
  const Tensor a = blocked_conv(one, x, w, {}, p), b = blocked_conv(two, x, w, {}, p);
  CHECK(bit_equal(a, b));
  CHECK(bit_equal(a.slice(0, 1, 2), blocked_conv(two, x.slice(0, 1, 2), w, {}, p)));
}

TEST_CASE("blocked conv2d applies the activation, then adds the residual", "[blocked]") {
  Context ctx(2);
  const auto kind = GENERATE(ActivationKind::kIdentity, ActivationKind::kSilu, ActivationKind::kLeakyRelu,
                             ActivationKind::kSigmoid, ActivationKind::kRelu, ActivationKind::kHardswish);
  const Tensor x = random_tensor({1, 16, 5, 6}, 1), w = random_tensor({32, 16, 1, 1}, 2),
               r = random_tensor({1, 32, 5, 6}, 3);
  const OwnedMap in = packed(ctx, x, 0), residual = packed(ctx, r, 1), out = empty_map({1, 32, 5, 6}, 2);
  const Activation act{kind, 0.1f};
  blocked::conv2d(ctx, blocked::PackedConv(ctx, w, {}, {}), {in.map, out.map, residual.map, act});
  const Tensor got = unpacked(ctx, out.map), plain = reference_conv(ctx, x, w, {}, {});
  for (int64_t i = 0; i < got.numel(); ++i) {
    const double want = activation_reference(act, plain.data<float>()[i]) + double(r.data<float>()[i]);
    CHECK(std::abs(double(got.data<float>()[i]) - want) < 3e-6);
  }
}

TEST_CASE("blocked silu keeps NaN and infinity and is accurate to 4e-7", "[blocked]") {
  Context ctx(1);
  const std::vector<float> values{-INFINITY, -200, -87.5f, -20, -1e-3f, 0,        1e-30f,
                                  0.5f,      3,    30,     90,  1e30f,  INFINITY, NAN};
  const Tensor x = Tensor::from(values, {1, 1, 1, int64_t(values.size())});
  const OwnedMap map = packed(ctx, x, 0);
  blocked::activate(ctx, map.map, {ActivationKind::kSilu});
  const Tensor y = unpacked(ctx, map.map);
  for (size_t i = 0; i < values.size(); ++i) {
    const double got = y.data<float>()[i];
    if (std::isnan(values[i]) || values[i] == -INFINITY) continue;
    const double want = values[i] / (1 + std::exp(-double(values[i])));
    INFO(values[i]);
    CHECK((got == want || std::abs(got - want) <= 4e-7 * std::abs(want) + 1e-35));
  }
  CHECK(std::isnan(y.data<float>()[13]));
  CHECK(y.data<float>()[12] == INFINITY);
}

TEST_CASE("blocked max_pool2d equals the reference, NaN included", "[blocked]") {
  Context ctx(2);
  const MaxPool2d p =
      GENERATE(MaxPool2d{2, 2, 0}, MaxPool2d{5, 1, 2}, MaxPool2d{13, 1, 6}, MaxPool2d{3, 2, 1});
  const Tensor x = random_tensor({2, 19, 11, 13}, 1);
  x.data<float>()[200] = NAN;
  Tensor want = Tensor::empty(max_pool2d_shape(x.shape(), p));
  max_pool2d_forward(ctx, reference_only(), x, p, want);
  const OwnedMap in = packed(ctx, x, 1), out = empty_map(want.shape());
  blocked::max_pool2d(ctx, in.map, p, out.map);
  CHECK(bit_equal(unpacked(ctx, out.map), want));
}

TEST_CASE("blocked upsample, add, space_to_depth and channel copies move the right elements", "[blocked]") {
  Context ctx(2);
  const Tensor x = random_tensor({2, 21, 4, 6}, 1), x2 = random_tensor({2, 21, 4, 6}, 2);
  Tensor up = Tensor::empty({2, 21, 8, 12}), deep = Tensor::empty({2, 84, 2, 3}),
         sum = Tensor::empty(x.shape());
  for (int64_t i = 0; i < sum.numel(); ++i) sum.data<float>()[i] = x.data<float>()[i] + x2.data<float>()[i];
  const OwnedMap a = packed(ctx, x, 1), b = packed(ctx, x2, 0), m_up = empty_map(up.shape(), 1);
  const OwnedMap m_deep = empty_map(deep.shape()), m_sum = empty_map(sum.shape()),
                 joined = empty_map({2, 42, 4, 6});
  blocked::upsample(ctx, a.map, 2, m_up.map);
  const Tensor got_up = unpacked(ctx, m_up.map);
  for (int64_t i = 0; i < 8; ++i)
    CHECK(got_up.at({1, 20, i, 2 * i % 12}) == x.at({1, 20, i / 2, 2 * i % 12 / 2}));
  blocked::add(ctx, a.map, b.map, m_sum.map);
  CHECK(bit_equal(unpacked(ctx, m_sum.map), sum));
  space_to_depth_forward(ctx, x, deep);
  blocked::space_to_depth(ctx, a.map, m_deep.map);
  CHECK(bit_equal(unpacked(ctx, m_deep.map), deep));
  blocked::copy_channels(ctx, a.map, joined.map, 0);
  blocked::copy_channels(ctx, b.map, joined.map, 21);
  const Tensor got = unpacked(ctx, joined.map);
  CHECK(bit_equal(got.slice(1, 0, 21), x));
  CHECK(bit_equal(got.slice(1, 21, 42), x2));
}

TEST_CASE("blocked detect_decode equals the reference op", "[blocked]") {
  Context ctx(2);
  const Tensor raw = random_tensor({2, 27, 3, 5}, 1);
  const DetectDecode p{16, {10, 13, 16, 30, 33, 23}};
  Tensor want = Tensor::empty(detect_decode_shape(raw.shape(), p)), got = Tensor::full({2, 50, 9}, -7);
  detect_decode_forward(ctx, raw, p, want);
  const OwnedMap map = packed(ctx, raw, 0);
  blocked::detect_decode(ctx, map.map, p, got, 5);
  CHECK(max_difference(got.slice(1, 5, 50), want) < 2e-5);
  CHECK(got.at({1, 4, 8}) == -7);
}

TEST_CASE("blocked conv2d refuses a halo smaller than its padding", "[blocked]") {
  Context ctx(1);
  const OwnedMap in = packed(ctx, random_tensor({1, 16, 4, 4}, 1), 0), out = empty_map({1, 16, 4, 4});
  const blocked::PackedConv conv(ctx, random_tensor({16, 16, 3, 3}, 2), {}, Conv2d::square(3, 1, 1));
  CHECK_THROWS_WITH(blocked::conv2d(ctx, conv, {in.map, out.map, {}, {}}), Catch::Contains("halo of 0"));
}

namespace {

using blocked::WinogradForm;

Conv2d params_of(WinogradForm form) { return Conv2d::square(3, form == WinogradForm::kStrided ? 2 : 1, 1); }

Tensor winograd(Context& ctx, WinogradForm form, const Tensor& x, const Tensor& w, const Tensor& b) {
  Tensor y = Tensor::empty(conv2d_shape(x.shape(), w.shape(), params_of(form)));
  const blocked::WinogradConv conv(ctx, w, b, form);
  blocked::run_on_maps(ctx, x, 1, y,
                       [&](const blocked::ConvCall& call) { blocked::conv2d(ctx, conv, call); });
  return y;
}

}  // namespace

TEST_CASE("winograd conv2d equals the reference on odd and even sizes", "[blocked]") {
  Context ctx(2);
  const WinogradForm form = GENERATE(WinogradForm::kF2, WinogradForm::kStrided, WinogradForm::kF4);
  const auto [n, c, o, h, w] =
      GENERATE(std::tuple{1, 32, 32, 8, 8}, std::tuple{2, 48, 40, 7, 13}, std::tuple{1, 33, 65, 1, 1},
               std::tuple{1, 64, 96, 2, 31}, std::tuple{1, 64, 33, 5, 6}, std::tuple{1, 256, 32, 20, 20});
  if (form == WinogradForm::kStrided && c % 16 != 0) {
    CHECK_THROWS_WITH(blocked::WinogradConv(ctx, random_tensor({o, c, 3, 3}, 2), {}, form),
                      Catch::Contains("whole blocks"));
    return;
  }
  const Tensor x = random_tensor({n, c, h, w}, 1), weight = random_tensor({o, c, 3, 3}, 2),
               b = random_tensor({o}, 3);
  const Tensor want = reference_conv(ctx, x, weight, b, params_of(form));
  // As for the direct form, sqrt(K) * 2^-24 * K / 4 with K = 9c, and four times that: the transforms add up
  // to four numbers (F4: four or five, some of them halved) before and after each product.
  const double k = 9.0 * c;
  CHECK(max_difference(winograd(ctx, form, x, weight, b), want) < 4 * std::sqrt(k) * 0x1p-24 * k / 4);
}

TEST_CASE("winograd conv2d gives the same bits for any threads, batch, and place of a channel", "[blocked]") {
  Context one(1), two(2);
  const WinogradForm form = GENERATE(WinogradForm::kF2, WinogradForm::kStrided, WinogradForm::kF4);
  const Tensor x = random_tensor({3, 48, 21, 18}, 1), w = random_tensor({300, 48, 3, 3}, 2);
  const Tensor a = winograd(one, form, x, w, {});
  CHECK(bit_equal(a, winograd(two, form, x, w, {})));
  CHECK(bit_equal(a.slice(0, 2, 3), winograd(two, form, x.slice(0, 2, 3), w, {})));
  const Tensor some = winograd(two, form, x, w.slice(0, 37, 75).contiguous(), {});
  CHECK(bit_equal(some, a.slice(1, 37, 75)));
}

TEST_CASE("a chain of two convolutions equals one after the other bit for bit", "[blocked]") {
  const int threads = GENERATE(1, 3);
  const auto type = GENERATE(Element::kF32, Element::kBF16);
  const auto [h, first, second] = GENERATE(std::tuple{38, Conv2d::square(3, 1, 1), Conv2d::square(3, 2, 1)},
                                           std::tuple{31, Conv2d::square(3, 2, 1), Conv2d::square(3, 2, 1)},
                                           std::tuple{9, Conv2d::square(1, 1, 0), Conv2d::square(5, 1, 2)});
  Context ctx(threads);
  const Tensor x = random_tensor({2, 3, h, 21}, 1), b = random_tensor({40}, 2);
  const Tensor w1 = random_tensor({40, 3, first.kernel_h, first.kernel_w}, 3);
  const Tensor w2 = random_tensor({24, 40, second.kernel_h, second.kernel_w}, 4);
  const Shape between = conv2d_shape(x.shape(), w1.shape(), first);
  const Shape result = conv2d_shape(between, w2.shape(), second);
  const auto map = [&](const Shape& s, int halo, int pixel = blocked::kBlock) {
    const int n = int(s[0]), c = int(s[1]), rows = int(s[2]), columns = int(s[3]);
    OwnedMap m{Tensor::full({blocked::map_floats(n, c, rows, columns, halo, pixel)}, NAN), {}};
    m.map = blocked::make_map(m.memory.raw(), n, c, rows, columns, halo, pixel, type);
    blocked::zero_halo(ctx, m.map);
    return m;
  };
  const OwnedMap in = map(x.shape(), 1, blocked::kStemPixel), mid = map(between, 2), one = map(result, 0),
                 two = map(result, 0), residual = map(result, 0);
  blocked::pack(ctx, x, in.map);
  blocked::pack(ctx, random_tensor(result, 5), residual.map);
  const auto pack = [&](const Tensor& w, const Conv2d& p, const Tensor& bias) {
    return std::make_shared<const blocked::PackedConv>(ctx, w, bias, p, blocked::kernels(), type);
  };
  const auto a = pack(w1, first, b), c = pack(w2, second, {});
  const Activation silu{ActivationKind::kSilu}, relu{ActivationKind::kRelu};
  blocked::conv2d(ctx, *a, {in.map, mid.map, {}, silu});
  blocked::conv2d(ctx, *c, {mid.map, one.map, residual.map, relu});
  blocked::conv2d(ctx, blocked::ConvChain{a, c, silu, type}, {in.map, two.map, residual.map, relu});
  CHECK(max_difference(unpacked(ctx, two.map), unpacked(ctx, one.map)) == 0);
}

TEST_CASE("winograd conv2d applies bias, activation and residual as the direct form does", "[blocked]") {
  Context ctx(2);
  const WinogradForm form = GENERATE(WinogradForm::kF2, WinogradForm::kStrided, WinogradForm::kF4);
  const Tensor x = random_tensor({1, 32, 5, 7}, 1), w = random_tensor({48, 32, 3, 3}, 2),
               b = random_tensor({48}, 4);
  const Shape shape = conv2d_shape(x.shape(), w.shape(), params_of(form));
  const OwnedMap in = packed(ctx, x, 2), residual = packed(ctx, random_tensor(shape, 3), 0);
  const OwnedMap direct = empty_map(shape, 1), fast = empty_map(shape, 1);
  const Activation silu{ActivationKind::kSilu};
  blocked::conv2d(ctx, blocked::PackedConv(ctx, w, b, params_of(form)),
                  {in.map, direct.map, residual.map, silu});
  blocked::conv2d(ctx, blocked::WinogradConv(ctx, w, b, form), {in.map, fast.map, residual.map, silu});
  CHECK(max_difference(unpacked(ctx, fast.map), unpacked(ctx, direct.map)) < 1e-4);
}

TEST_CASE("winograd conv2d takes the form of fewer weights for many channels", "[blocked]") {
  CHECK(blocked::winograd_form(512, 512) == WinogradForm::kF4);
  CHECK(blocked::winograd_form(512, 528) == WinogradForm::kF2);
  CHECK(blocked::winograd_form(128, 128, 2) == WinogradForm::kStrided);
  CHECK(blocked::winograd_refuses(Conv2d::square(3, 1, 1), 512, 528, blocked::Element::kBF16) != nullptr);
  Context ctx(1);
  const Tensor w = random_tensor({32, 32, 3, 3}, 1);
  const auto floats = [&](WinogradForm form) {
    return (blocked::WinogradConv(ctx, w, {}, form).size_bytes() - 32 * sizeof(float)) / sizeof(float);
  };
  CHECK(floats(WinogradForm::kF2) == 32 * 32 * 16);
  CHECK(floats(WinogradForm::kStrided) == 32 * 32 * 18);
  CHECK(floats(WinogradForm::kF4) == 32 * 32 * 36);
}

TEST_CASE("winograd conv2d says what it does not take", "[blocked]") {
  const Conv2d plain = Conv2d::square(3, 1, 1), strided = Conv2d::square(3, 2, 1);
  CHECK(blocked::winograd_refuses(plain, 32, 32) == nullptr);
  CHECK(blocked::winograd_refuses(strided, 64, 32) == nullptr);
  CHECK(blocked::winograd_refuses(strided, 256, 512) == nullptr);
  CHECK(blocked::winograd_refuses(strided, 128, 128, blocked::Element::kBF16) != nullptr);
  const auto names = [](const Conv2d& p, int in, int out, const char* what) {
    return std::string(blocked::winograd_refuses(p, in, out)).find(what) != std::string::npos;
  };
  CHECK(names(Conv2d::square(3, 3, 1), 64, 64, "stride 1 or 2"));
  CHECK(names(plain, 3, 64, "32 channels"));
  CHECK(names(strided, 32, 64, "64 input channels"));
  CHECK(names(strided, 72, 64, "multiple of 16"));
  CHECK(names(strided, 512, 513, "512 x 512"));
}

TEST_CASE("blocked: weights are gathered alike from rows and from a turned view", "[ops][blocked]") {
  const int outs = GENERATE(8, 7), ins = GENERATE(16, 5), kernel = GENERATE(1, 3);
  const Tensor weight = random_tensor({outs + 1, ins + 2, kernel, kernel}, 1);
  const Tensor turned = weight.permute({1, 0, 2, 3}).contiguous().permute({1, 0, 2, 3});
  const int64_t taps = kernel * kernel, width = outs + 3;
  for (const Tensor& w : {weight, turned}) {
    std::vector<float> to(size_t(taps * ins * width), 0.0f);
    blocked::gather_weight(w, 1, outs, 2, ins, to.data(), ins * width, width);
    for (int o = 0; o < outs; ++o)
      for (int c = 0; c < ins; ++c)
        for (int t = 0; t < int(taps); ++t)
          REQUIRE(to[size_t((t * ins + c) * width + o)] == weight.at({o + 1, c + 2, t / kernel, t % kernel}));
  }
}

TEST_CASE("blocked: what one convolution packed serves another, of the same sizes alone", "[blocked]") {
  Context ctx(2);
  const Conv2d p = Conv2d::square(3, 1, 1);
  const Tensor w = random_tensor({40, 33, 3, 3}, 7), bias = random_tensor({40}, 8);
  const blocked::PackedConv direct(ctx, w, bias, p);
  const blocked::WinogradConv winograd(ctx, w, bias, blocked::WinogradForm::kF4);
  const blocked::PackedConv direct_again(direct.packed(), 33, 40, p);
  const blocked::WinogradConv winograd_again(winograd.packed(), 33, 40, blocked::WinogradForm::kF4);
  CHECK(direct_again.packed().weights.raw() == direct.packed().weights.raw());
  CHECK(winograd_again.size_bytes() == winograd.size_bytes());
  CHECK_THROWS_WITH(blocked::PackedConv(direct.packed(), 34, 40, p), Catch::Contains("packed weights"));
  CHECK_THROWS_WITH(blocked::PackedConv(direct.packed(), 33, 400, p), Catch::Contains("packed weights"));
  CHECK_THROWS_WITH(blocked::WinogradConv(winograd.packed(), 33, 40, blocked::WinogradForm::kF2),
                    Catch::Contains("packed weights"));
  blocked::PackedTensors shifted = direct.packed();
  shifted.bias = Tensor::empty({65}).slice(0, 1, 65);
  CHECK_THROWS_WITH(blocked::PackedConv(shifted, 33, 40, p), Catch::Contains("multiples of 64"));
}

namespace {

Tensor strassen(Context& ctx, const Tensor& x, const Tensor& w, const Tensor& b) {
  Tensor y = Tensor::empty({x.size(0), w.size(0), x.size(2), x.size(3)});
  blocked::strassen_forward(ctx, x, w, b, Conv2d::square(1, 1, 0), y);
  return y;
}

// Norm of the difference to sums in f64.
double error_of(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& b) {
  double sum = 0;
  for (int64_t n = 0; n < y.size(0); ++n)
    for (int64_t o = 0; o < y.size(1); ++o)
      for (int64_t i = 0; i < y.size(2); ++i)
        for (int64_t j = 0; j < y.size(3); ++j) {
          double want = b.at({o});
          for (int64_t c = 0; c < x.size(1); ++c) want += double(w.at({o, c, 0, 0})) * x.at({n, c, i, j});
          sum += std::pow(y.at({n, o, i, j}) - want, 2);
        }
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("strassen conv2d rounds at most three times as much as the direct form", "[blocked]") {
  Context ctx(2);
  const auto [n, c, o, h, w] = GENERATE(std::tuple{1, 256, 128, 4, 14}, std::tuple{2, 288, 192, 3, 7},
                                        std::tuple{1, 320, 128, 1, 1}, std::tuple{1, 2048, 128, 5, 4});
  const Tensor x = random_tensor({n, c, h, w}, 1), weight = random_tensor({o, c, 1, 1}, 2),
               b = random_tensor({o}, 3);
  const double direct = error_of(blocked_conv(ctx, x, weight, b, Conv2d::square(1, 1, 0)), x, weight, b);
  const double fast = error_of(strassen(ctx, x, weight, b), x, weight, b);
  CAPTURE(direct, fast);
  CHECK(fast < 3 * direct);
}

TEST_CASE("strassen conv2d gives the same bits for any threads and batch", "[blocked]") {
  Context one(1), many(7);
  const Tensor x = random_tensor({3, 1024, 11, 19}, 1), w = random_tensor({256, 1024, 1, 1}, 2);
  const Tensor a = strassen(one, x, w, {});
  CHECK(max_difference(a, reference_conv(one, x, w, {}, Conv2d::square(1, 1, 0))) < 1e-3);
  CHECK(bit_equal(a, strassen(many, x, w, {})));
  CHECK(bit_equal(a.slice(0, 2, 3), strassen(many, x.slice(0, 2, 3), w, {})));
}

TEST_CASE("strassen conv2d applies bias, activation and residual to parts of maps", "[blocked]") {
  Context ctx(2);
  const Tensor x = random_tensor({1, 288, 5, 17}, 1), w = random_tensor({128, 256, 1, 1}, 2),
               b = random_tensor({128}, 4);
  const OwnedMap in = packed(ctx, x, 1), residual = packed(ctx, random_tensor({1, 128, 5, 17}, 3), 0);
  const OwnedMap direct = empty_map({1, 160, 5, 17}, 2), fast = empty_map({1, 160, 5, 17}, 2);
  const auto call = [&](const OwnedMap& y) {
    blocked::ConvCall c{in.map.channels(32, 256), y.map.channels(16, 128), {}, {ActivationKind::kSilu}};
    c.residual = residual.map;
    return c;
  };
  blocked::conv2d(ctx, blocked::PackedConv(ctx, w, b, Conv2d::square(1, 1, 0)), call(direct));
  const blocked::StrassenConv conv(ctx, w, b);
  blocked::conv2d(ctx, blocked::StrassenConv(conv.packed(), 256, 128), call(fast));
  CHECK(max_difference(unpacked(ctx, call(fast).y), unpacked(ctx, call(direct).y)) < 1e-4);
  for (const int first : {0, 144})
    CHECK(std::isnan(unpacked(ctx, fast.map.channels(first, 16)).at({0, 0, 0, 0})));
}

TEST_CASE("strassen conv2d keeps a NaN and says what it does not take", "[blocked]") {
  Context ctx(1);
  const int64_t channel = GENERATE(0, 255), row = GENERATE(0, 2, 4);
  Tensor x = random_tensor({1, 256, 5, 30}, 1);
  x.slice(1, channel, channel + 1).slice(2, row, row + 1).slice(3, 9, 10).fill(NAN);
  const Tensor y = strassen(ctx, x, random_tensor({128, 256, 1, 1}, 2), {});
  for (const int64_t o : {0, 63, 64, 127})
    CHECK((std::isnan(y.at({0, o, row, 9})) && y.at({0, o, row, 8}) < 1e3));
  const Conv2d p = Conv2d::square(1, 1, 0);
  CHECK(blocked::strassen_refuses(p, 512, 128) == nullptr);
  for (const auto& [c, o] : {std::pair{256, 128}, {1024, 64}, {528, 128}, {512, 255}})
    CHECK(blocked::strassen_refuses(p, c, o) != nullptr);
  CHECK(blocked::strassen_refuses(p, 512, 128, Element::kBF16) != nullptr);
  CHECK(blocked::strassen_refuses(Conv2d::square(1, 2, 0), 512, 128) != nullptr);
}
