// The ops of `bench kernels` on a device: its kernels, and convolutions by the libraries that are there.
#include <cstring>

#include "cli/bench_kernels.h"
#include "core/random.h"
#include "core/storage.h"
#include "cuda/conv_tuning.h"

namespace mtyolo::cli {
namespace {

constexpr int kAlign = 16;  // bytes of a pixel's beginning
constexpr int kRuns = 10;   // between two ends of a measurement, which cost some themselves

class DeviceRunner : public KernelRunner {
 public:
  DeviceRunner(DeviceBackend backend, KernelMath math)
      : backend_(std::move(backend)),
        math_(math),
        emulated_(backend_.kernels->prefix() == "simt"),
        providers_(conv_providers(backend_, nullptr)) {}

  std::optional<KernelRun> prepare(const KernelCase& c) override {
    keep_.clear();
    if (c.op == "conv2d_forward") return convolution(c, std::get<ops::Conv2d>(c.attrs));
    if (c.op == "detect_decode" || c.op == "nms") return detection(c);
    const bool known = c.op == "max_pool_forward" || c.op == "upsample_forward" || c.op == "copy" ||
                       c.op == "space_to_depth";
    if (!known) return {};
    const KernelMap x = map(c.x), y = map(c.y);
    const auto& k = *backend_.kernels;
    std::function<void(KernelStream)> work = [&k, x, y](KernelStream s) { k.copy_map(s, x, y); };
    if (const auto* p = std::get_if<ops::MaxPool2d>(&c.attrs))
      work = [&k, x, y, p = *p](KernelStream s) { k.max_pool(s, x, p.k, p.stride, p.pad, y); };
    else if (const auto* up = std::get_if<ops::Upsample>(&c.attrs))
      work = [&k, x, y, scale = up->scale](KernelStream s) { k.upsample(s, x, scale, y); };
    else if (c.op == "space_to_depth") work = [&k, x, y](KernelStream s) { k.space_to_depth(s, x, y); };
    return timed(k.prefix() + "." + c.op, std::move(work));
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

  void* take(const std::vector<char>& bytes) {
    keep_.push_back(Storage::allocate(backend_.session->allocator(), bytes.size()));
    backend_.session->upload(keep_.back()->data(), bytes.data(), bytes.size());
    return keep_.back()->data();
  }

  // Values of either sign between 0.5 and 1: a power of two by the exponent, random bits below it.
  void* drawn(int64_t elements, KernelType type) {
    const int bytes = bytes_of(type);
    std::vector<char> values(size_t(elements * bytes));
    RandomStream random(1, 2, 3);
    for (int64_t i = 0; i < elements; ++i) {
      const auto bits = uint32_t(random.below(int64_t(1) << 32));
      const uint32_t value = type == KernelType::kF32   ? (bits & 0x807fffff) | 0x3f000000
                             : type == KernelType::kF16 ? (bits & 0x83ff) | 0x3800
                                                        : (bits & 0x807f) | 0x3f00;
      std::memcpy(values.data() + i * bytes, &value, size_t(bytes));
    }
    return take(values);
  }

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
    const int step = kAlign / bytes_of(a.x.type);
    a.weight_stride = (a.kernel * a.kernel * (a.x.c / a.groups) + step - 1) / step * step;
    a.weight = drawn(int64_t(a.y.c) * a.weight_stride, a.x.type);
    a.epilogue.bias = static_cast<const float*>(drawn(a.y.c, KernelType::kF32));
    a.epilogue.activation = c.activation.kind == ops::ActivationKind::kSilu ? KernelActivation::kSilu
                            : c.activation.kind == ops::ActivationKind::kLeakyRelu
                                ? KernelActivation::kLeakyRelu
                                : KernelActivation::kNone;
    std::vector<KernelRun> runs;
    for (const auto& provider : providers_) {
      const auto choices =
          provider->refuses(a) == nullptr ? provider->choices(a) : std::vector<std::string>{};
      if (choices.empty()) continue;
      const std::shared_ptr<ConvPlan> plan = provider->plan(a, choices[0]);
      void* workspace = take(std::vector<char>(std::max<size_t>(plan->workspace_bytes(), 1)));
      runs.push_back(timed(provider->name() + " " + choices[0],
                           [plan, workspace](KernelStream s) { plan->run(s, workspace); }));
    }
    if (runs.empty()) fail(ExitCode::kRuntime, "no_implementation", "{}: no kernel takes it", c.name());
    KernelRun own = runs[0];
    own.libraries.assign(runs.begin() + 1, runs.end());
    return own;
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
    const auto zeros = [&](size_t n) { return take(std::vector<char>(n)); };
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
  ConvProviders providers_;
  std::vector<std::shared_ptr<Storage>> keep_;  // of the case at hand
};

}  // namespace

std::unique_ptr<KernelRunner> device_kernel_runner(DeviceBackend backend, KernelMath math) {
  return std::make_unique<DeviceRunner>(std::move(backend), math);
}

}  // namespace mtyolo::cli
