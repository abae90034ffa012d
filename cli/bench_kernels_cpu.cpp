// The ops of `bench kernels` on the CPU, as plan and training call them: maps in blocks, f32 or bf16.
#include <chrono>
#include <cstring>
#include <limits>

#include "cli/bench_kernels.h"
#include "core/random.h"
#include "data/image.h"
#include "ops/blocked/ceiling.h"
#include "ops/blocked/training.h"
#include "ops/blocked/winograd.h"
#include "ops/nms.h"
#include "train/ema.h"
#include "train/optimizer.h"

namespace mtyolo::cli {
namespace {

namespace blocked = ops::blocked;
using ops::GradMode;

double ms_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

Tensor drawn(const Shape& shape) {
  Tensor t = Tensor::empty(shape);
  RandomStream random(1, 2, 3);
  const int64_t some = std::min<int64_t>(t.numel(), 1 << 16);  // the others repeat them
  float* p = t.data<float>();
  for (int64_t i = 0; i < some; ++i) p[i] = float(random.uniform(-1, 1));
  for (int64_t i = some; i < t.numel(); ++i) p[i] = p[i - some];
  return t;
}

class CpuRunner : public KernelRunner {
 public:
  CpuRunner(Context& ctx, DType type) : ctx_(ctx), type_(type) {}

  std::optional<KernelRun> prepare(const KernelCase& c) override {
    for (const char* op : {"detect_decode", "nms", "letterbox"})  // f32 alone
      if (type_ != DType::kF32 && c.op == op) return {};
    KernelRun run{.impl = "cpu.blocked"};
    std::function<void()> work;
    if (const auto* p = std::get_if<ops::Conv2d>(&c.attrs)) work = convolution(c, *p, run.impl);
    else if (c.op == "nms") work = suppression(c, run.impl);
    else if (c.op == "letterbox") work = letterbox(c, run.impl);
    else if (c.op == "optimizer_step") work = optimizer(c, run.impl);
    else if (c.op.starts_with("batch_norm")) work = batch_norm(c);
    else work = map_op(c);
    run.ms = [work] { return ms_of(work); };
    return run;
  }

  Ceilings ceilings() override {
    constexpr int kLoops = 200, kCopies = 10;  // short ones, of which some run undisturbed
    constexpr int64_t kRounds = 200'000;
    constexpr size_t kBytes = size_t(128) << 20;
    const int threads = ctx_.pool().size();
    const size_t part = kBytes / size_t(threads);
    const blocked::Ceiling& ceiling = blocked::ceiling(element());
    std::vector<float> sums(static_cast<size_t>(threads));
    const auto multiply = [&](int64_t t) { sums[size_t(t)] += ceiling.run(kRounds); };
    std::vector<std::vector<char>> from(static_cast<size_t>(threads)), to(static_cast<size_t>(threads));
    const auto fill = [&](int64_t t) { from[size_t(t)].assign(part, 1), to[size_t(t)].assign(part, 0); };
    const auto copy = [&](int64_t t) { std::memcpy(to[size_t(t)].data(), from[size_t(t)].data(), part); };
    const auto fastest = [&](int runs, const std::function<void(int64_t)>& task) {
      double best = std::numeric_limits<double>::infinity();
      for (int i = 0; i < runs; ++i)
        best = std::min(best, ms_of([&] { ctx_.pool().parallel_for(threads, task); }));
      return best;
    };
    ctx_.pool().parallel_for(threads, fill);
    Ceilings best;
    best.gflops = double(threads) * kRounds * ceiling.flops / fastest(kLoops, multiply) * 1e-6;
    best.gbps = 2.0 * double(part) * threads / fastest(kCopies, copy) * 1e-6;
    return best;
  }

 private:
  blocked::Element element() const {
    return type_ == DType::kF32 ? blocked::Element::kF32 : blocked::Element::kBF16;
  }
  Tensor map(const Shape& shape, int halo = 0) {
    return blocked::to_blocked(ctx_, drawn(shape), halo, type_);
  }

  std::function<void()> convolution(const KernelCase& c, const ops::Conv2d& p, std::string& impl) {
    const Tensor weight = drawn({c.y[1], c.x[1] / p.groups, p.kernel_h, p.kernel_w});
    const int halo = std::max(p.pad_h, p.pad_w);
    const bool image = c.x[1] <= 4;
    const Tensor x = image ? drawn(c.x) : map(c.x, halo);
    Tensor y = map(c.y, halo);
    if (c.form_flops != c.flops && (type_ == DType::kF32 || c.op == "conv2d_forward") &&
        blocked::winograd_refuses(p, int(c.x[1]), int(c.y[1]), element()) == nullptr)
      impl = "cpu.winograd";
    if (c.op == "conv2d_dgrad") {
      return [this, y, weight, p, gx = map(c.x)]() mutable {
        blocked::conv2d_dgrad(ctx_, y, weight, p, GradMode::kOverwrite, gx);
      };
    }
    if (c.op == "conv2d_wgrad") {
      return [this, x, y, p, gw = weight.clone(), none = Tensor()]() mutable {
        blocked::conv2d_wgrad(ctx_, x, y, p, GradMode::kOverwrite, gw, none);
      };
    }
    if (impl != "cpu.winograd") impl = "cpu.igemm";
    std::shared_ptr<blocked::PlainMap> plain;
    if (image) plain = std::make_shared<blocked::PlainMap>(ctx_, x, halo, type_);
    const blocked::ConvCall call{
        image ? plain->map : blocked::map_of(x), blocked::map_of(y), {}, c.activation};
    const Tensor bias = drawn({c.y[1]});
    if (impl == "cpu.winograd") {
      auto conv = std::make_shared<blocked::WinogradConv>(
          ctx_, weight, bias, blocked::winograd_form(int(c.x[1]), int(c.y[1]), p.stride_h));
      return [this, x, y, plain, call, conv] { blocked::conv2d(ctx_, *conv, call); };
    }
    auto conv = std::make_shared<blocked::PackedConv>(ctx_, weight, bias, p, blocked::kernels(), element());
    return [this, x, y, plain, call, conv] { blocked::conv2d(ctx_, *conv, call); };
  }

  std::function<void()> batch_norm(const KernelCase& c) {
    const Shape channels{c.x[1]};
    const auto vector = [&](double v) { return Tensor::full(channels, v); };
    const ops::BatchNormStats stats{vector(1), vector(0), vector(0), vector(1)};
    const ops::BatchNormSaved saved{vector(0), vector(1)};
    ops::BatchNormTrain p;
    p.activation = c.activation;
    Tensor x = map(c.x), y = map(c.x, 1);
    if (c.op == "batch_norm_forward")
      return [=, this]() mutable { blocked::batch_norm_forward(ctx_, x, stats, p, saved, y); };
    const Tensor gy = map(c.x);
    const ops::BatchNormGrads grads{gy, vector(0), vector(0)};  // over gy, as in training
    return [=, this] { blocked::batch_norm_backward(ctx_, x, gy, stats, p, saved, grads); };
  }

  std::function<void()> optimizer(const KernelCase& c, std::string& impl) {
    impl = "cpu.optimizer";
    const std::vector<autograd::ParamSpec> params{{"values", autograd::ParamGroup::kWeight, drawn({c.x[1]})}};
    const auto store = std::make_shared<autograd::ParamStore>(ctx_, params, std::vector<autograd::Buffer>{});
    std::fill_n(store->gradients().data<float>(), c.x[1], 0.5f);
    const auto sgd = std::make_shared<train::Optimizer>(ctx_, *store, train::OptimizerParams{});
    return [this, store, sgd, average = std::make_shared<train::Ema>(ctx_, *store)] {
      sgd->step(ctx_, {{1e-2, 1e-2, 1e-2}, 0.937, 1});
      average->update(ctx_, *store);
    };
  }

  std::function<void()> map_op(const KernelCase& c) {
    const bool decode = c.op == "detect_decode", reorder = c.op == "space_to_depth";
    Tensor x = reorder ? drawn(c.x) : map(c.x), y = decode ? Tensor::empty(c.y) : map(c.y);
    if (const auto* p = std::get_if<ops::MaxPool2d>(&c.attrs)) {
      if (c.op == "max_pool_forward")
        return [this, x, y, pool = *p]() mutable { blocked::max_pool2d_forward(ctx_, x, pool, y); };
      return [this, x, y, pool = *p, gx = map(c.x)]() mutable {
        blocked::max_pool2d_backward(ctx_, x, y, pool, GradMode::kOverwrite, gx);
      };
    }
    if (const auto* p = std::get_if<ops::Upsample>(&c.attrs)) {
      if (c.op == "upsample_forward")
        return [this, x, y, up = *p]() mutable { blocked::upsample_forward(ctx_, x, up, y); };
      return [this, x, y, up = *p]() mutable {
        blocked::upsample_backward(ctx_, y, up, GradMode::kOverwrite, x);
      };
    }
    if (reorder) return [this, x, y]() mutable { blocked::space_to_depth_forward(ctx_, x, y); };
    if (decode)
      return [this, x, y, p = std::get<ops::DetectDecode>(c.attrs)]() mutable {
        blocked::detect_decode(ctx_, blocked::map_of(x), p, y, 0);
      };
    return [this, x, y]() mutable { blocked::copy(ctx_, x, y); };
  }

  std::function<void()> suppression(const KernelCase& c, std::string& impl) {
    impl = "cpu.nms";
    Tensor predictions = Tensor::empty(c.y);
    blocked::detect_decode(ctx_, blocked::map_of(map(c.x)), std::get<ops::DetectDecode>(c.attrs), predictions,
                           0);
    const Tensor rows = predictions.reshape({c.y[1], c.y[2]});
    return [rows] { ops::nms(rows, {.conf_thres = 0.001f}); };
  }

  static std::function<void()> letterbox(const KernelCase& c, std::string& impl) {
    impl = "cpu.letterbox";
    data::Image picture(int(c.x[3]), int(c.x[2]));
    RandomStream random(1, 2, 3);
    for (uint8_t& p : picture.pixels) p = uint8_t(random.below(256));
    const data::LetterboxParams params{.width = int(c.y[3]), .height = int(c.y[2]), .auto_pad = false};
    return [picture, params] {
      data::Letterbox done;
      data::letterbox(picture, params, done);
    };
  }

  Context& ctx_;
  DType type_;
};

}  // namespace

double multiply_adds_ms(Context& ctx) {
  constexpr int kTasks = 64;
  constexpr int64_t kRounds = 100'000;
  std::vector<float> sums(kTasks);
  return ms_of([&] {
    ctx.pool().parallel_for(
        kTasks, [&](int64_t t) { sums[size_t(t)] = blocked::ceiling(blocked::Element::kF32).run(kRounds); });
  });
}

std::unique_ptr<KernelRunner> cpu_kernel_runner(Context& ctx, DType type) {
  return std::make_unique<CpuRunner>(ctx, type);
}

}  // namespace mtyolo::cli
