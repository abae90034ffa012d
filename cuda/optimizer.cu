#include "cuda/optimizer.h"

#include <cmath>

#include "cuda/check.h"
#include "cuda/device/block.cuh"
#include "cuda/device/math.cuh"
#include "cuda/device/vec.cuh"
#include "cuda/launch.h"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

constexpr int kThreads = 256, kPerBlock = 8192;
constexpr int kCleanSteps = 2000;
constexpr float kMostScale = 2147483648.0f;

bool aligned(const void* p, size_t bytes = 16) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; }

// In double precision: a norm shall not overflow before its gradients do.
MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 8)
    squares_kernel(const float* g, int64_t n, bool vectors, StepControl* control, double* parts) {
  const int64_t begin = int64_t{block_index().x} * kPerBlock;
  const int64_t end = begin + kPerBlock < n ? begin + kPerBlock : n;
  const float unscale = 1 / control->loss_scale;
  double sum = 0;
  bool bad = false;
  for (int64_t i = begin + int64_t{thread_index().x} * 4; i < end; i += kThreads * 4) {
    Pack<float> pack{};
    if (vectors && i + 4 <= end) pack = ld128_nc(g + i);
    else
      for (int e = 0; e < 4 && i + e < end; ++e) pack.values[e] = g[i + e];
    MTYOLO_UNROLL
    for (int e = 0; e < 4; ++e) {
      const float v = pack.values[e] * unscale;
      bad |= MTYOLO_MUTANT(159, (as_bits(pack.values[e]) & 0x7f800000u) == 0x7f800000u, v != v);
      sum += double(v) * v;
    }
  }
  const bool any_bad = sync_count(bad) != 0;
  sum = block_sum(sum);
  if (thread_index().x != 0) return;
  parts[block_index().x] = sum;
  if (any_bad) atomic_max(&control->non_finite, 1);
}

MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 1)
    add_squares_kernel(const double* parts, int count, StepControl* control) {
  double sum = 0;
  for (int i = int(thread_index().x); i < count; i += kThreads) sum += parts[i];
  sum = block_sum(sum);
  if (thread_index().x == 0) control->squares += sum;
}

MTYOLO_DEV StepFactors factors_of(const BeginStepArgs& p, const StepRates& r, double k) {
  if (p.rule == StepRule::kSgd)
    return {.rate = float(r.rate), .beta1 = float(r.momentum), .l2 = float(r.decay)};
  const bool decoupled = p.rule == StepRule::kAdamW;
  return {.rate = float(r.rate / (1 - ::pow(p.beta1, k))),
          .beta1 = float(p.beta1),
          .rest1 = float(1 - p.beta1),
          .beta2 = float(p.beta2),
          .rest2 = float(1 - p.beta2),
          .eps = float(p.eps),
          .root = float(1 / ::sqrt(1 - ::pow(p.beta2, k))),
          .l2 = decoupled ? 0 : float(r.decay),
          .keep = decoupled ? float(1 - r.rate * r.decay) : 1};
}

MTYOLO_DEV void move_scale(StepControl& c, bool skip) {
  c.clean_steps = skip ? 0 : c.clean_steps + 1;
  if (skip) c.loss_scale = c.loss_scale > 2 ? c.loss_scale / 2 : 1;
  else if (c.clean_steps == kCleanSteps) {
    c.loss_scale = c.loss_scale < kMostScale / 2 ? c.loss_scale * 2 : kMostScale;
    c.clean_steps = 0;
  }
}

// One block; thread 0 has the control block, all threads the groups.
MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 1) begin_step_kernel(BeginStepArgs p) {
  StepControl& c = *p.control;
  const bool skip = c.non_finite != 0;
  sync();
  if (!skip)
    for (int i = int(thread_index().x); i < p.groups; i += kThreads)
      p.factors[i] = factors_of(p, p.rates[i], double(++p.counts[i]));
  if (thread_index().x != 0) return;
  c.skip = skip;
  c.non_finite = 0;
  const double norm = ::sqrt(c.squares);
  double factor = 1 / double(c.loss_scale);
  if (p.most_norm > 0 && norm > p.most_norm) factor *= p.most_norm / norm;
  c.norm = float(norm);
  c.squares = 0;
  c.gradient_factor = float(factor);
  if (!skip) c.ema_rest = 1 - float(p.ema_decay * (1 - ::exp(-double(++c.updates) / p.ema_tau)));
  if (p.dynamic_scale) move_scale(c, skip);
}

// A thread has four neighbours of each flat buffer, or one at the end and where they are not aligned.
struct One {
  static constexpr int kSize = 1;
  float values[1];
};
template <class Floats>
MTYOLO_DEV Floats load(const float* p) {
  if constexpr (Floats::kSize == 1) return {{*p}};
  else return ld128(p);
}
template <class Floats>
MTYOLO_DEV void store(float* p, const Floats& x) {
  if constexpr (Floats::kSize == 1) *p = x.values[0];
  else st128(p, x);
}
template <class T>
struct alignas(8) Rounded {
  T values[4];
};
template <class T, class Floats>
MTYOLO_DEV void store_rounded(void* p, int64_t at, const Floats& x) {
  T* const to = static_cast<T*>(p) + at;
  const float(&v)[Floats::kSize] = x.values;
  if constexpr (Floats::kSize == 1) *to = from_float<T>(v[0]);
  else
    *reinterpret_cast<Rounded<T>*>(to) = {from_float<T>(v[0]), from_float<T>(v[1]), from_float<T>(v[2]),
                                          from_float<T>(v[3])};
}

template <StepRule kRule>
MTYOLO_DEV void move(const StepFactors& s, float g, float& w, float& first, float& second) {
  const float d = g + s.l2 * w;
  if constexpr (kRule == StepRule::kSgd) {
    first = s.beta1 * first + d;
    w -= s.rate * MTYOLO_MUTANT(157, d + s.beta1 * first, first);
  } else {
    first = s.beta1 * first + s.rest1 * d;
    second = s.beta2 * second + s.rest2 * d * d;
    w = s.keep * w - s.rate * first / (::sqrtf(second) * s.root + s.eps);
  }
}

template <StepRule kRule, class Floats>
MTYOLO_DEV void step_at(const OptimizerStepArgs& p, int64_t at) {
  Floats w = load<Floats>(p.values + at), average{}, first{}, second{};
  if (p.averages != nullptr) average = load<Floats>(p.averages + at);
  if constexpr (kRule != StepRule::kNone) {
    constexpr bool kTwo = kRule != StepRule::kSgd;
    const StepFactors factors = *p.factors;
    const float scale = p.control->gradient_factor;
    const Floats g = load<Floats>(p.gradients + at);
    first = load<Floats>(p.first + at);
    if constexpr (kTwo) second = load<Floats>(p.second + at);
    MTYOLO_UNROLL
    for (int e = 0; e < Floats::kSize; ++e)
      move<kRule>(factors, g.values[e] * scale, w.values[e], first.values[e], second.values[e]);
    store(p.values + at, w);
    store(p.first + at, first);
    if constexpr (kTwo) store(p.second + at, second);
  }
  if (p.averages != nullptr) {
    MTYOLO_UNROLL
    for (int e = 0; e < Floats::kSize; ++e)
      average.values[e] += p.control->ema_rest * (w.values[e] - average.values[e]);
    store(p.averages + at, average);
  }
  if (p.copy == nullptr) return;
  if (p.copy_type == KernelType::kF16) store_rounded<half>(p.copy, at, w);
  else store_rounded<bfloat16>(p.copy, at, w);
}

template <StepRule kRule>
MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 4) optimizer_step_kernel(OptimizerStepArgs p, int64_t packs) {
  if (p.control->skip != 0) return;
  const int64_t i = int64_t{block_index().x} * kThreads + thread_index().x, one = i + 3 * packs;
  if (i < packs) step_at<kRule, Pack<float>>(p, 4 * i);
  else if (one < p.n) step_at<kRule, One>(p, one);
}

}  // namespace

void gradient_squares(KernelStream stream, const float* gradients, int64_t n, StepControl* control,
                      void* workspace) {
  check_argument(gradients != nullptr && n > 0 && control != nullptr && workspace != nullptr,
                 "gradient_squares: a pointer is null, or there are no gradients");
  const int blocks = int((n + kPerBlock - 1) / kPerBlock);
  double* const parts = static_cast<double*>(workspace);
  launch(squares_kernel, {{uint32_t(blocks)}, {kThreads}}, stream, gradients, n, aligned(gradients), control,
         parts);
  launch(add_squares_kernel, {{1}, {kThreads}}, stream, parts, blocks, control);
}

void begin_step(KernelStream stream, const BeginStepArgs& args) {
  check_argument(args.control != nullptr && args.rates != nullptr && args.counts != nullptr &&
                     args.factors != nullptr && args.groups > 0,
                 "begin_step: a pointer is null, or there are no groups");
  check_argument(args.rule != StepRule::kNone, "begin_step: the rule must be SGD, Adam or AdamW");
  launch(begin_step_kernel, {{1}, {kThreads}}, stream, args);
}

void optimizer_step(KernelStream stream, const OptimizerStepArgs& args) {
  const bool moves = args.rule != StepRule::kNone, two = moves && args.rule != StepRule::kSgd;
  check_argument(args.control != nullptr && args.values != nullptr && args.n > 0,
                 "optimizer_step: control or values are null, or there are none");
  check_argument(!moves || (args.factors != nullptr && args.gradients != nullptr && args.first != nullptr),
                 "optimizer_step: factors, gradients or the first moment are null");
  check_argument(!two || args.second != nullptr, "optimizer_step: Adam needs a second moment");
  check_argument(
      args.copy == nullptr || args.copy_type == KernelType::kF16 || args.copy_type == KernelType::kBF16,
      "optimizer_step: copies are f16 or bf16");
  const bool vectors = aligned(args.values) && aligned(args.gradients) && aligned(args.first) &&
                       aligned(args.second) && aligned(args.averages) && aligned(args.copy, 8);
  const int64_t packs = vectors ? MTYOLO_MUTANT(158, args.n, args.n + 3) / 4 : 0;
  const LaunchDims dims{{uint32_t((args.n - 3 * packs + kThreads - 1) / kThreads)}, {kThreads}};
  if (!moves) launch(optimizer_step_kernel<StepRule::kNone>, dims, stream, args, packs);
  else if (two) launch(optimizer_step_kernel<StepRule::kAdam>, dims, stream, args, packs);
  else launch(optimizer_step_kernel<StepRule::kSgd>, dims, stream, args, packs);
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS
