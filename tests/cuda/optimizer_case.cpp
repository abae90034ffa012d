#include "tests/cuda/optimizer_case.h"

#include <limits>

#include "tests/cuda/simt_testing.h"
#include "train/ema.h"
#include "train/optimizer.h"

namespace mtyolo::test {
namespace {

using autograd::ParamGroup;

Tensor random_tensor(int n, uint64_t seed) {
  const std::vector<double> values = random_values(size_t(n), seed, false);
  return Tensor::from(std::vector<float>(values.begin(), values.end()), {n});
}

// A model of three parameters and a running mean, on the CPU and on the device.
struct Model {
  const OptimizerCase c;
  Context ctx{1};
  autograd::ParamStore store;
  train::Optimizer optimizer;
  train::Ema ema;
  models::Graph graph;
  const size_t n;
  SimtBuffer<float> values, first, second, averages, buffer, buffer_averages;
  SimtBuffer<uint16_t> copy;
  SimtBuffer<StepControl> control;
  SimtBuffer<StepFactors> factors;
  SimtBuffer<int64_t> counts;
  SimtBuffer<double> workspace;

  explicit Model(const OptimizerCase& of)
      : c(of),
        store(ctx,
              {{"norm", ParamGroup::kNorm, random_tensor(c.sizes[0], 1)},
               {"weight", ParamGroup::kWeight, random_tensor(c.sizes[1], 2)},
               {"bias", ParamGroup::kBias, random_tensor(c.sizes[2], 3)}},
              {{"running", random_tensor(6, 4)}}),
        optimizer(ctx, store,
                  {.kind = c.rule == StepRule::kSgd    ? train::OptimizerKind::kSgd
                           : c.rule == StepRule::kAdam ? train::OptimizerKind::kAdam
                                                       : train::OptimizerKind::kAdamW,
                   .weight_decay = 0.05}),
        ema(ctx, store, 0.9, 2),
        n(size_t(store.values().numel())),
        values(flat(store.values())),
        first(std::vector<float>(n, 0)),
        second(std::vector<float>(n, 0)),
        averages(flat(store.values())),
        buffer(flat(random_tensor(6, 5))),
        buffer_averages(flat(store.find_buffer("running")->value)),
        copy(n),
        control(std::vector<StepControl>(1)),
        factors(3),
        counts(std::vector<int64_t>(3, 0)),
        workspace(gradient_squares_workspace(int64_t(n)) / sizeof(double)) {
    for (const char* name : {"norm", "weight", "bias", "running"}) graph.params.push_back({name, {}});
    store.find_buffer("running")->value.copy_from(random_tensor(6, 5));
  }
  static std::vector<float> flat(const Tensor& t) { return {t.data<float>(), t.data<float>() + t.numel()}; }

  // Those of the CPU, clipped; and those of the device, scaled.
  std::vector<float> set_gradients(int step) {
    double squares = 0;
    std::vector<float> scaled;
    const std::vector<double> g = random_values(n, uint64_t(10 + step), false);
    for (const double v : g) squares += v * v;
    const double norm = std::sqrt(squares), most = c.most_norm;
    for (size_t i = 0; i < n; ++i) {
      store.gradients().data<float>()[i] = float(g[i] * (most > 0 && norm > most ? most / norm : 1));
      scaled.push_back(float(g[i]) * control.values()[0].loss_scale);
    }
    if (step == c.bad_step) scaled[n - 2] = -std::numeric_limits<float>::infinity();
    return scaled;
  }

  void device_step(const train::Rates& r, const std::vector<float>& scaled) {
    const SimtBuffer<float> gradients(scaled);
    const SimtBuffer<StepRates> rates(
        {{r.lr[0], r.momentum, 0}, {r.lr[1], r.momentum, 0.05}, {r.lr[2], r.momentum, 0}});
    TESTED(gradient_squares)({}, gradients.get(), int64_t(n), control.get(), workspace.get());
    BeginStepArgs begin{.control = control.get(), .dynamic_scale = true, .most_norm = c.most_norm};
    begin.ema_decay = 0.9, begin.ema_tau = 2, begin.rule = c.rule, begin.groups = 3;
    begin.rates = rates.get(), begin.counts = counts.get(), begin.factors = factors.get();
    TESTED(begin_step)({}, begin);
    size_t at = 0;
    for (size_t i = 0; i < 3; at += size_t(c.sizes[i++])) {
      OptimizerStepArgs args{.rule = c.rule, .control = control.get(), .factors = factors.get() + i};
      args.n = c.sizes[i], args.values = values.get() + at, args.gradients = gradients.get() + at;
      args.first = first.get() + at, args.averages = averages.get() + at;
      if (c.rule != StepRule::kSgd) args.second = second.get() + at;
      args.copy = copy.get() + at, args.copy_type = c.copy;
      TESTED(optimizer_step)({}, args);
    }
    OptimizerStepArgs args{.rule = StepRule::kNone, .control = control.get(), .n = 6};
    args.values = buffer.get(), args.averages = buffer_averages.get();
    TESTED(optimizer_step)({}, args);
  }

  std::vector<float> everything() const {
    std::vector<float> all;
    for (const auto* b : {&values, &first, &second, &averages, &buffer, &buffer_averages})
      for (const float v : b->values()) all.push_back(v);
    for (const uint16_t v : copy.values()) all.push_back(v);
    for (const int64_t v : counts.values()) all.push_back(float(v));
    all.push_back(float(control.values()[0].updates));
    return all;
  }

  std::string compare() const {
    const models::StateDict moments = optimizer.state(), averaged = ema.state_dict(graph);
    size_t at = 0;
    for (const char* name : {"norm", "weight", "bias"}) {
      const auto* p = const_cast<autograd::ParamStore&>(store).find(name);
      const std::string prefix = "optimizer.";
      const bool sgd = c.rule == StepRule::kSgd;
      std::string fault =
          beside("values", values, at, p->value) + beside("averages", averages, at, *averaged.find(name)) +
          beside("first moment", first, at, *moments.find(prefix + (sgd ? "momentum." : "exp_avg.") + name));
      if (!sgd) fault += beside("second moment", second, at, *moments.find(prefix + "exp_avg_sq." + name));
      if (!fault.empty()) return fault;
      at += size_t(p->value.numel());
    }
    const std::vector<float> now = values.values();
    const std::vector<uint16_t> rounded = copy.values();
    for (size_t i = 0; i < n; ++i) {
      const uint16_t want = c.copy == KernelType::kF16 ? Half(now[i]).bits : BFloat16(now[i]).bits;
      if (rounded[i] != want) return fmt::format("copy {} is {:04x}, not {:04x}", i, rounded[i], want);
    }
    return beside("running averages", buffer_averages, 0, *averaged.find("running"));
  }
  static std::string beside(const char* what, const SimtBuffer<float>& got, size_t at, const Tensor& want) {
    const std::vector<float> all = got.values();
    const float *g = all.data() + at, *w = want.data<float>();
    const double distance = relative_l2({g, g + want.numel()}, {w, w + want.numel()});
    return distance <= 1e-6 ? "" : fmt::format("{}: relative distance {}; ", what, distance);
  }
};

}  // namespace

std::string optimizer_fault(const OptimizerCase& c) {
  Model m(c);
  for (int step = 0; step < 3; ++step) {
    const train::Rates r{.lr = {0.01 * (step + 1), 0.02, 0.03}, .momentum = 0.8 + 0.05 * step};
    const std::vector<float> gradients = m.set_gradients(step), before = m.everything();
    const float scale = m.control.values()[0].loss_scale;
    m.device_step(r, gradients);
    if (step == c.bad_step) {
      const std::vector<float> after = m.everything();
      if (std::memcmp(before.data(), after.data(), before.size() * sizeof(float)) != 0)
        return "a skipped step moved something";
      if (m.control.values()[0].loss_scale != scale / 2) return "the loss scale was not halved";
      continue;
    }
    m.optimizer.step(m.ctx, r);
    m.ema.update(m.ctx, m.store);
    const std::string fault = m.compare();
    if (!fault.empty()) return fmt::format("step {}: {}", step, fault);
  }
  return m.control.values()[0].updates == m.optimizer.steps() ? "" : "steps were counted wrongly";
}

}  // namespace mtyolo::test
