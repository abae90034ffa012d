// Times the ops of a training step on blocked tensors, on layers of yolov7 and yolov7-tiny.
//   bench_training_ops [threads] [repeats] [fp32|bf16]
// Convolutions: GFLOP/s of the direct form (2 * multiplications of the definition), whatever form runs, best
// of the repeats. The others: GB/s of the least bytes that must move if no cache holds a whole map. "cpu"
// divides by the processor time of all threads instead: what one core does, on a machine that others use too.
#include <fmt/format.h>

#include <chrono>
#include <ctime>

#include "core/random.h"
#include "core/text.h"
#include "ops/blocked/training.h"

using namespace mtyolo;
using namespace mtyolo::ops;

namespace {

struct Layer {
  int n, c, o, size, kernel, stride;
};

constexpr Layer kLayers[] = {
    {4, 3, 32, 640, 3, 1},   {4, 32, 64, 640, 3, 2},   {4, 64, 64, 160, 1, 1},   {4, 64, 64, 160, 3, 1},
    {4, 64, 128, 160, 3, 2}, {4, 128, 128, 80, 3, 1},  {4, 256, 128, 80, 1, 1},  {4, 512, 256, 80, 1, 1},
    {4, 256, 256, 40, 3, 1}, {4, 256, 256, 40, 3, 2},  {4, 512, 512, 40, 1, 1},  {4, 1024, 512, 20, 1, 1},
    {4, 512, 512, 20, 3, 1}, {4, 512, 1024, 20, 3, 1}, {4, 1024, 255, 20, 1, 1}, {8, 3, 32, 640, 3, 2},
    {8, 32, 32, 160, 3, 1},  {8, 64, 32, 160, 1, 1},   {8, 128, 64, 80, 1, 1},   {8, 64, 64, 80, 3, 1},
    {8, 256, 512, 20, 1, 1},
};

struct Best {
  double wall = 0, cpu = 0;
};

template <class F>
Best time_of(int repeats, F&& f) {
  Best best{1e30, 1e30};
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu = std::clock();
    f();
    best.cpu = std::min(best.cpu, double(std::clock() - cpu) / CLOCKS_PER_SEC);
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
    best.wall = std::min(best.wall, wall.count());
  }
  return best;
}

Tensor random_blocked(Context& ctx, const Shape& shape, int halo, DType type) {
  Tensor t = Tensor::empty(shape);
  RandomStream random(1, 2, 3);
  const int64_t some = std::min<int64_t>(t.numel(), 1 << 16);
  for (int64_t i = 0; i < some; ++i) t.data<float>()[i] = float(random.uniform(-1, 1));
  for (int64_t i = some; i < t.numel(); ++i) t.data<float>()[i] = t.data<float>()[i - some];
  return blocked::to_blocked(ctx, t, halo, type);
}

std::string rate(double work, const Best& t) {
  if (t.wall == 0) return "      -      -";
  return fmt::format("{:7.1f} {:6.1f}", work / t.wall / 1e9, work / t.cpu / 1e9);
}

void bench_conv(Context& ctx, const Layer& l, DType type, int repeats) {
  const Conv2d p = Conv2d::square(l.kernel, l.stride, l.kernel / 2);
  const Tensor weight = Tensor::full({l.o, l.c, l.kernel, l.kernel}, 0.01);
  const bool image = l.c == 3;  // plain, and nobody asks for its gradient
  Tensor x = random_blocked(ctx, {l.n, l.c, l.size, l.size}, 1, type);
  Tensor y = random_blocked(ctx, conv2d_shape(x.shape(), weight.shape(), p), 1, type);
  Tensor gx = Tensor::empty_blocked(x.shape(), 1, ctx.allocator(), type), gw = weight.clone(), none;
  if (image) x = blocked::to_plain(ctx, x);
  const double flops = 2.0 * double(y.numel()) * l.c * l.kernel * l.kernel;
  const Best wgrad =
      time_of(repeats, [&] { blocked::conv2d_wgrad(ctx, x, y, p, GradMode::kOverwrite, gw, none); });
  Best dgrad, forward;
  if (!image) {
    dgrad = time_of(repeats, [&] { blocked::conv2d_dgrad(ctx, y, weight, p, GradMode::kOverwrite, gx); });
    forward = time_of(repeats, [&] { blocked::conv2d_forward(ctx, x, weight, {}, p, y); });
  } else {
    forward = time_of(repeats, [&] { blocked::conv2d_forward_plain(ctx, x, weight, {}, p, y); });
  }
  fmt::print("{}x{:4} ->{:5} {:3}x{:<3} {}x{} s{} | {} | {} | {} | {:6.2f} {:6.2f} {:6.2f}\n", l.n, l.c, l.o,
             l.size, l.size, l.kernel, l.kernel, l.stride, rate(flops, forward), rate(flops, dgrad),
             rate(flops, wgrad), forward.wall * 1e3, dgrad.wall * 1e3, wgrad.wall * 1e3);
}

void bench_norm(Context& ctx, const Layer& l, ActivationKind kind, DType type, int repeats) {
  const Shape shape{l.n, l.o, l.size / l.stride, l.size / l.stride};
  const Tensor x = random_blocked(ctx, shape, 0, type), gy = random_blocked(ctx, shape, 0, type);
  Tensor y = Tensor::empty_blocked(shape, 1, ctx.allocator(), type);
  const auto vector = [&](double v) { return Tensor::full({l.o}, v); };
  const BatchNormStats stats{vector(1), vector(0), vector(0), vector(1)};
  const BatchNormSaved saved{vector(0), vector(1)};
  BatchNormTrain p;
  p.activation.kind = kind;
  const double bytes = double(x.numel()) * double(item_size(type));
  const Best forward = time_of(repeats, [&] { blocked::batch_norm_forward(ctx, x, stats, p, saved, y); });
  const BatchNormGrads grads{gy, vector(0), vector(0)};
  const Best backward =
      time_of(repeats, [&] { blocked::batch_norm_backward(ctx, x, gy, stats, p, saved, grads); });
  const Best sum = time_of(repeats, [&] { blocked::accumulate(ctx, x, y); });
  fmt::print("{} {:10} | {} | {} | {} | {:6.2f} {:6.2f} {:6.2f}\n", shape, name(kind),
             rate(3 * bytes, forward), rate(5 * bytes, backward), rate(3 * bytes, sum), forward.wall * 1e3,
             backward.wall * 1e3, sum.wall * 1e3);
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? int(parse_int(argv[1]).value_or(2)) : 2;
  const int repeats = argc > 2 ? int(parse_int(argv[2]).value_or(5)) : 5;
  const DType type = argc > 3 && std::string_view(argv[3]) == "bf16" ? DType::kBF16 : DType::kF32;
  Context ctx(threads);
  fmt::print(
      "{} threads, {} kernels, {}; GFLOP/s wall and cpu, then ms: forward | input gradient | weight "
      "gradient\n",
      ctx.pool().size(), blocked::kernels().isa, type);
  for (const Layer& l : kLayers) bench_conv(ctx, l, type, repeats);
  fmt::print("GB/s wall and cpu, then ms: batch norm forward | backward | accumulate\n");
  for (const Layer& l : {kLayers[1], kLayers[4], kLayers[5], kLayers[8], kLayers[13]}) {
    bench_norm(ctx, l, ActivationKind::kSilu, type, repeats);
    bench_norm(ctx, l, ActivationKind::kLeakyRelu, type, repeats);
  }
}
