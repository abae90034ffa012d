#include "train/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace mtyolo::train {
namespace {

constexpr int64_t kMinWarmup = 1000;           // iterations
constexpr int64_t kPatience = 10;              // epochs
constexpr double kGrowth = 1e-4, kDrop = 0.5;  // plateau

struct Named {
  const char* name;
  LrSchedule kind;
};
constexpr std::array<Named, 4> kSchedules{{{"cosine", LrSchedule::kCosine},
                                           {"linear", LrSchedule::kLinear},
                                           {"step", LrSchedule::kStep},
                                           {"plateau", LrSchedule::kPlateau}}};

// To whole numbers, halves to even (train.md section 4).
double round_half_even(double x) {
  const double down = std::floor(x), rest = x - down;
  if (rest != 0.5) return rest < 0.5 ? down : down + 1;
  return std::fmod(down, 2) == 0 ? down : down + 1;
}

double number(const Document& state, const char* key) {
  const Document* value = state.find(key);
  if (value == nullptr) throw document_error(state, fmt::format("the state of the schedule has no {}", key));
  return value->as_double(key, -1e300, 1e300);
}

}  // namespace

Compat compat_by_name(const std::string& name) {
  if (name.empty()) return {};
  if (name == "v7") return Compat::v7();
  fail(ExitCode::kUsage, "usage", "no compatibility {}; there is v7", quoted(name));
}

LrSchedule lr_schedule_by_name(const std::string& name) {
  for (const Named& s : kSchedules)
    if (name == s.name) return s.kind;
  fail(ExitCode::kUsage, "usage", "no schedule {}; there are cosine, linear, step, plateau", quoted(name));
}

int accumulation(int64_t total_batch, int64_t nominal_batch) {
  MTYOLO_CHECK(total_batch >= 1 && nominal_batch >= 1, "batch {} of nominally {}", total_batch,
               nominal_batch);
  return int(std::max(round_half_even(double(nominal_batch) / double(total_batch)), 1.0));
}

Schedule::Schedule(const ScheduleParams& params) : p_(params) {
  MTYOLO_CHECK(p_.epochs >= 1 && p_.batches_per_epoch >= 1, "a schedule of {} epochs of {} batches",
               p_.epochs, p_.batches_per_epoch);
  if (p_.run_iterations == 0) p_.run_iterations = p_.epochs * p_.batches_per_epoch;
  if (p_.warmup_iterations) {
    warmup_ = *p_.warmup_iterations;
    return;
  }
  warmup_ = std::max(int64_t(round_half_even(p_.warmup_epochs * double(p_.batches_per_epoch))), kMinWarmup);
  if (p_.compat.long_warmup) return;
  if (p_.warmup_epochs == 0) warmup_ = 0;
  const int64_t half = p_.run_iterations / 2;
  if (warmup_ <= half) return;
  message_ = fmt::format("warm-up of {} iterations cut to {}, half of the run", warmup_, half);
  warmup_ = half;
}

double Schedule::factor(int epoch) const {
  const double x = epoch, e = p_.epochs;
  switch (p_.kind) {
    case LrSchedule::kCosine:
      return (1 - std::cos(std::numbers::pi * x / e)) / 2 * (p_.lrf - 1) + 1;
    case LrSchedule::kLinear:
      return p_.epochs == 1 ? 1 : (1 - x / (e - 1)) * (1 - p_.lrf) + p_.lrf;
    case LrSchedule::kStep:
      return 3 * x < 2 * e ? 1 : 9 * x < 8 * e ? std::sqrt(p_.lrf) : p_.lrf;
    case LrSchedule::kPlateau:
      return plateau_;
  }
  return 1;
}

Rates Schedule::rates(int64_t ni, int epoch) const {
  // The reference's counter is one epoch late once warm-up no longer sets the rates; in the epoch in which
  // warm-up ends, its last rates stay.
  const bool lags = p_.compat.lagging_rate && epoch > warmup_ / p_.batches_per_epoch;
  const double goal = p_.lr0 * factor(lags ? epoch - 1 : epoch);
  const double ratio = double(p_.nominal_batch) / double(p_.total_batch);
  Rates r;
  r.lr.fill(goal);
  r.momentum = p_.momentum;
  r.accumulate = accumulation(p_.total_batch, p_.nominal_batch);
  if (warmup_ > 0 && ni <= warmup_) {
    const double t = double(ni) / double(warmup_);
    const auto lerp = [&](double from, double to) { return from + (to - from) * t; };
    r.lr = {lerp(0, goal), lerp(0, goal), lerp(p_.warmup_bias_lr, goal)};
    if (p_.momentum_warmup) r.momentum = lerp(p_.warmup_momentum, p_.momentum);
    r.accumulate = int(std::max(1.0, round_half_even(lerp(1, ratio))));
  }
  for (double& lr : r.lr) lr *= scale_;
  return r;
}

void Schedule::end_epoch(double fitness) {
  if (p_.kind != LrSchedule::kPlateau) return;
  if (fitness > best_ * (1 + kGrowth)) {
    best_ = fitness;
    bad_epochs_ = 0;
  } else if (++bad_epochs_ > kPatience) {
    plateau_ = std::max(plateau_ * kDrop, std::min(p_.lrf, 1.0));
    bad_epochs_ = 0;
  }
}

Document Schedule::state() const {
  const auto scalar = [](double x) { return Document::scalar(fmt::format("{}", x)); };
  return Document::map({{"scale", scalar(scale_)},
                        {"plateau", scalar(plateau_)},
                        {"best", scalar(best_)},
                        {"bad_epochs", scalar(double(bad_epochs_))}});
}

void Schedule::restore(const Document& state) {
  scale_ = number(state, "scale");
  plateau_ = number(state, "plateau");
  best_ = number(state, "best");
  bad_epochs_ = int64_t(std::clamp(number(state, "bad_epochs"), 0.0, 1e9));
}

bool Window::step_after(int64_t ni, int accumulate, bool last_of_epoch) {
  ++pending_;
  const bool step = reference_ ? ni % accumulate == 0 : pending_ >= accumulate || last_of_epoch;
  if (step) pending_ = 0;
  return step;
}

}  // namespace mtyolo::train
