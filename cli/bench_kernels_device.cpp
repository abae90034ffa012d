// The ops of `bench kernels` on a device: its kernels, and convolutions by the libraries that are there.
#include <cstring>

#include "cli/bench_kernels.h"
#include "core/random.h"
#include "core/storage.h"
#include "cuda/conv_tuning.h"
#include "data/letterbox.h"
#include "models/plan/device_network.h"
#include "ops/device/training_kernels.h"

namespace mtyolo::cli {
namespace {

constexpr int kAlign = 16;  // bytes of a pixel's beginning
constexpr int kRuns = 10;   // between two ends of a measurement, which cost some themselves

KernelActivation activation_of(const KernelCase& c) {
  models::GraphNode node;
  node.scope = c.name();
  return models::kernel_activation(node, c.activation);
}

class DeviceRunner : public KernelRunner {
 public:
  DeviceRunner(DeviceBackend backend, KernelMath math)
      : backend_(std::move(backend)),
        math_(math),
        emulated_(backend_.kernels->prefix() == "simt"),
        training_(*backend_.kernels->training()),
        forward_(conv_providers(backend_, nullptr)),
        dgrad_(dgrad_providers(backend_)),
        wgrad_(wgrad_providers(backend_, {.gw_of_math = true})) {}

  std::optional<KernelRun> prepare(const KernelCase& c) override {
    keep_.clear();
    if (c.op == "conv2d_igemm") return {};  // as conv2d_forward
    if (c.op.starts_with("conv2d")) return convolution(c, std::get<ops::Conv2d>(c.attrs));
    if (c.op == "detect_decode" || c.op == "nms") return detection(c);
    if (c.op.starts_with("batch_norm")) return batch_norm(c);
    if (c.op == "optimizer_step") return optimizer(c);
    if (c.op == "letterbox") return letterbox(c);
    return map_op(c);
  }

  Ceilings ceilings() override {
    const int64_t side = emulated_ ? 16 : 1024, channels = emulated_ ? 64 : 4096;
    Ceilings best;
    KernelCase copy{.op = "copy"}, product{.op = "conv2d_forward", .attrs = ops::Conv2d{}};
    copy.x = copy.y = {1, 64, side, side};
    product.x = product.y = {1, channels, side / 8, side / 8};
    const double bytes = 2.0 * double(copy.x.numel()) * bytes_of(type_of(math_));
    const double flops = 2.0 * double(product.y.numel()) * double(channels);
    const KernelRun copying = *prepare(copy);
    best.gbps = bytes / fastest(copying) * 1e-6;
    const KernelRun multiplying = *prepare(product);
    best.gflops = flops / fastest(multiplying) * 1e-6;
    for (const KernelRun& r : multiplying.libraries)
      best.gflops = std::max(best.gflops, flops / fastest(r) * 1e-6);
    return best;
  }

 private:
  static double fastest(const KernelRun& run) {
    double best = run.ms();
    for (int i = 0; i < 5; ++i) best = std::min(best, run.ms());
    return best;
  }

  KernelRun timed(std::string impl, std::function<void(KernelStream)> work) {
    DeviceSession& session = *backend_.session;
    const int runs = emulated_ ? 1 : kRuns;
    return {std::move(impl), [&session, work, runs] {
              return session.time([&] {
                for (int i = 0; i < runs; ++i) work(session.stream());
              }) / runs;
            }};
  }

  std::string name_of(const KernelCase& c) const { return backend_.kernels->prefix() + "." + c.op; }
  int item() const { return bytes_of(type_of(math_)); }

  void* take(const std::vector<char>& bytes) {
    keep_.push_back(Storage::allocate(backend_.session->allocator(), bytes.size()));
    backend_.session->upload(keep_.back()->data(), bytes.data(), bytes.size());
    return keep_.back()->data();
  }

  void* zeros(size_t bytes) { return take(std::vector<char>(bytes)); }
  template <class T>
  T* placed(const T& value) {
    const auto* bytes = reinterpret_cast<const char*>(&value);
    return static_cast<T*>(take({bytes, bytes + sizeof value}));
  }

  // Values of either sign between 0.5 and 1: a power of two by the exponent, random bits below it.
  void* drawn(int64_t elements, KernelType type) {
    const int bytes = bytes_of(type);
    std::vector<char> values(size_t(elements * bytes));
    RandomStream random(1, 2, 3);
    const int64_t some = std::min<int64_t>(elements, 1 << 16);  // the others repeat them
    for (int64_t i = 0; i < some; ++i) {
      const auto bits = uint32_t(random.below(int64_t(1) << 32));
      const uint32_t value = type == KernelType::kF32   ? (bits & 0x807fffff) | 0x3f000000
                             : type == KernelType::kF16 ? (bits & 0x83ff) | 0x3800
                                                        : (bits & 0x807f) | 0x3f00;
      std::memcpy(values.data() + i * bytes, &value, size_t(bytes));
    }
    for (size_t i = size_t(some * bytes); i < values.size(); ++i)
      values[i] = values[i - size_t(some * bytes)];
    return take(values);
  }
  float* floats(int64_t count) { return static_cast<float*>(drawn(count, KernelType::kF32)); }

  KernelMap map(const Shape& s) {
    KernelMap m{nullptr, type_of(math_), int(s[0]), int(s[2]), int(s[3]), int(s[1]), 0};
    const int step = kAlign / bytes_of(m.type);
    m.pixel_stride = m.c <= 4 ? 4 : (m.c + step - 1) / step * step;
    m.data = drawn(m.pixels() * m.pixel_stride, m.type);
    return m;
  }

  KernelRun convolution(const KernelCase& c, const ops::Conv2d& p) {
    ConvArgs a;
    a.math = math_;
    a.x = map(c.x), a.y = map(c.y);
    a.x.c = p.groups == 1 ? a.x.pixel_stride : a.x.c;
    a.kernel = p.kernel_h, a.stride = p.stride_h, a.pad = p.pad_h, a.groups = p.groups;
    const int step = kAlign / item();
    a.weight_stride = (a.kernel * a.kernel * (a.x.c / a.groups) + step - 1) / step * step;
    a.weight = drawn(int64_t(a.y.c) * a.weight_stride, a.x.type);
    if (c.op == "conv2d_dgrad")
      return by_each(
          c, dgrad_,
          ConvDgradArgs{a.math, a.y, a.weight, a.weight_stride, a.kernel, a.stride, a.pad, a.groups, a.x});
    if (c.op == "conv2d_wgrad") {
      ConvWgradArgs w{a.math, a.y, a.x, a.kernel, a.stride, a.pad, a.groups};
      w.channels = int(c.x[1]), w.stride_tap = w.channels, w.stride_k = a.kernel * a.kernel * w.stride_tap;
      w.gw = floats(a.y.c * w.stride_k);
      KernelRun run = by_each(c, wgrad_, w);
      run.bytes = c.bytes - double(int(sizeof(float)) - item()) * double(c.x.numel() + c.y.numel());
      return run;
    }
    a.epilogue.bias = floats(a.y.c);
    a.epilogue.activation = activation_of(c);
    return by_each(c, forward_, a);
  }

  // By our best guess, and by each of the other providers that takes it.
  template <class Args>
  KernelRun by_each(const KernelCase& c, const ConvProvidersOf<Args>& providers, const Args& a) {
    std::vector<KernelRun> runs;
    for (const auto& provider : providers) {
      const auto choices =
          provider->refuses(a) == nullptr ? provider->choices(a) : std::vector<std::string>{};
      if (choices.empty()) continue;
      const std::shared_ptr<ConvPlan> plan = provider->plan(a, choices[0]);
      void* workspace = zeros(std::max<size_t>(plan->workspace_bytes(), 1));
      runs.push_back(timed(provider->name() + " " + choices[0],
                           [plan, workspace](KernelStream s) { plan->run(s, workspace); }));
    }
    if (runs.empty()) fail(ExitCode::kRuntime, "no_implementation", "{}: no kernel takes it", c.name());
    KernelRun own = runs[0];
    own.libraries.assign(runs.begin() + 1, runs.end());
    return own;
  }

  // Moments in a pass of their own, as on the CPU.
  KernelRun batch_norm(const KernelCase& c) {
    const TrainingKernels& t = training_;
    const int64_t n = c.x[1];
    BnActArgs args;
    args.norm = {floats(n), floats(n), floats(n), floats(n), floats(n), floats(n), floats(n)};
    args.activation = activation_of(c);
    args.y = map(c.x), args.a = args.gy = map(c.x), args.ga = map(c.x);
    args.grad_weight = floats(n), args.grad_bias = floats(n), args.sums = floats(2 * n);
    args.workspace = static_cast<float*>(zeros(t.bn_workspace(args.y)));
    BnFinalizeArgs finalize{.norm = args.norm, .c = int(n), .tiles = t.bn_moment_tiles(args.y)};
    float* moments = floats(3 * n * finalize.tiles);
    finalize.moments = moments;
    const auto forward = [&t, args, finalize, moments](KernelStream s) {
      t.bn_moments(s, args.y, moments);
      t.bn_finalize(s, finalize);
      t.bn_act_apply(s, args);
    };
    if (c.op == "batch_norm_forward") return timed(name_of(c), forward);
    forward(backend_.session->stream());
    return timed(name_of(c), [&t, args](KernelStream s) {
      t.bn_act_backward_reduce(s, args);
      t.bn_act_backward_apply(s, args);
    });
  }

  KernelRun map_op(const KernelCase& c) {
    const KernelMap x = map(c.x), y = map(c.y);
    const auto& k = *backend_.kernels;
    const TrainingKernels& t = training_;
    std::function<void(KernelStream)> work = [&k, x, y](KernelStream s) { k.copy_map(s, x, y); };
    double bytes = 0;
    if (const auto* p = std::get_if<ops::MaxPool2d>(&c.attrs)) {
      work = [&k, x, y, p = *p](KernelStream s) { k.max_pool(s, x, p.k, p.stride, p.pad, y); };
      if (c.op == "max_pool_backward") {
        auto* argmax = static_cast<uint8_t*>(zeros(size_t(c.y.numel())));
        t.max_pool(backend_.session->stream(), x, p->k, p->stride, p->pad, y, argmax);
        work = [&t, x, y, argmax, p = *p](KernelStream s) {
          t.max_pool_grad(s, y, argmax, p.k, p.stride, p.pad, false, x);
        };
        bytes = double(c.x.numel() * item() + c.y.numel() * (item() + 1));
      }
    } else if (const auto* up = std::get_if<ops::Upsample>(&c.attrs)) {
      work = [&k, x, y, scale = up->scale](KernelStream s) { k.upsample(s, x, scale, y); };
      if (c.op == "upsample_backward")
        work = [&t, x, y, scale = up->scale](KernelStream s) { t.upsample_grad(s, y, scale, false, x); };
    } else if (c.op == "space_to_depth") {
      work = [&k, x, y](KernelStream s) { k.space_to_depth(s, x, y); };
    }
    KernelRun run = timed(name_of(c), std::move(work));
    run.bytes = bytes;
    return run;
  }

  // SGD of one group with averages, and with the copy that convolutions of 16 bits read.
  KernelRun optimizer(const KernelCase& c) {
    const TrainingKernels& t = training_;
    const int64_t n = c.x[1];
    const bool copied = item() == 2;
    OptimizerStepArgs step{.n = n, .values = floats(n), .gradients = floats(n), .first = floats(n)};
    step.averages = floats(n);
    if (copied) step.copy = drawn(n, type_of(math_)), step.copy_type = type_of(math_);
    StepControl* control = placed(StepControl{});
    BeginStepArgs begin{.control = control, .groups = 1, .rates = placed(StepRates{1e-2, 0.937, 5e-4})};
    begin.counts = placed(int64_t{0}), begin.factors = placed(StepFactors{});
    step.control = control, step.factors = begin.factors;
    void* workspace = zeros(t.gradient_squares_workspace(n));
    KernelRun run = timed(name_of(c), [&t, step, begin, workspace](KernelStream s) {
      t.gradient_squares(s, step.gradients, step.n, begin.control, workspace);
      t.begin_step(s, begin);
      t.optimizer_step(s, step);
    });
    run.bytes = c.bytes + double(copied ? n * item() : 0);
    return run;
  }

  KernelRun letterbox(const KernelCase& c) {
    const auto* pixels = static_cast<const uint8_t*>(take(std::vector<char>(size_t(c.x.numel()), 77)));
    KernelMap y = map(c.y);
    y.c = y.pixel_stride;
    const data::ImageSize size{int(c.x[3]), int(c.x[2])};
    const data::LetterboxPlan plan =
        data::plan_letterbox(size, {.width = y.w, .height = y.h, .auto_pad = false});
    const LetterboxImage p{pixels,    size.width, size.height, plan.scaled_width, plan.scaled_height,
                           plan.left, plan.top};
    KernelRun run = timed(name_of(c), [&t = training_, p, y](KernelStream s) {
      t.letterbox(s, {&p, 1}, y, 1);
    });
    run.bytes = double(c.x.numel() + y.pixels() * y.c * item());
    return run;
  }

  KernelRun detection(const KernelCase& c) {
    const auto& p = std::get<ops::DetectDecode>(c.attrs);
    auto head = std::make_shared<DecodeHead>();
    DecodeLevel& level = head->levels[0];
    level.raw = map(c.x);
    level.stride = p.stride, level.anchor_count = p.anchor_count();
    std::copy(p.anchors.begin(), p.anchors.end(), level.anchors);
    head->level_count = 1;
    head->classes = int(c.y[2]) - 5;
    head->conf_thres = 0.001f;
    const auto& k = *backend_.kernels;
    if (c.op == "detect_decode") {
      float* rows = static_cast<float*>(drawn(c.y.numel(), KernelType::kF32));
      return timed(k.prefix() + ".decode",
                   [&k, head, n = int(c.x[0]), rows](KernelStream s) { k.decode(s, *head, n, rows); });
    }
    std::vector<int> ids(static_cast<size_t>(head->classes));
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = int(i);
    const auto* bytes = reinterpret_cast<const char*>(ids.data());
    head->class_ids = static_cast<const int*>(take({bytes, bytes + ids.size() * sizeof(int)}));
    NmsArgs args;
    args.images = int(c.x[0]), args.class_limit = head->classes;
    args.heads = {head.get(), 1};
    args.detections = static_cast<DeviceDetection*>(
        zeros(size_t(args.images) * size_t(args.max_det) * sizeof(DeviceDetection)));
    args.counts = static_cast<int*>(zeros(size_t(args.images) * sizeof(int)));
    args.overflow = static_cast<int*>(zeros(size_t(args.images) * sizeof(int)));
    args.workspace_bytes = k.nms_workspace(args);
    args.workspace = zeros(args.workspace_bytes);
    return timed(k.prefix() + ".nms", [&k, head, args](KernelStream s) { k.nms(s, args); });
  }

  DeviceBackend backend_;
  KernelMath math_;
  bool emulated_;
  const TrainingKernels& training_;
  ConvProviders forward_;
  ConvProvidersOf<ConvDgradArgs> dgrad_;
  ConvProvidersOf<ConvWgradArgs> wgrad_;
  std::vector<std::shared_ptr<Storage>> keep_;  // of the case at hand
};

}  // namespace

std::unique_ptr<KernelRunner> device_kernel_runner(DeviceBackend backend, KernelMath math) {
  return std::make_unique<DeviceRunner>(std::move(backend), math);
}

}  // namespace mtyolo::cli
