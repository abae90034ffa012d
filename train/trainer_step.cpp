// One micro-batch: gradients, and at the end of a window an update; what is not finite is left out
// (reliability.md section 11).
#include <cmath>

#include "core/fault.h"
#include "core/log.h"
#include "core/random.h"
#include "ops/interpolate.h"
#include "train/trainer.h"

namespace mtyolo::train {
namespace {

constexpr int kBadInARow = 10, kRollbacks = 3;
constexpr uint32_t kScaleStream = 0x6d736361;  // "msca"
constexpr double kGib = double(1 << 30);

Tensor as_float(Context& ctx, const Tensor& images) {
  Tensor x = Tensor::empty(images.shape(), DType::kF32, ctx.allocator());
  const uint8_t* from = images.data<uint8_t>();
  float* to = x.data<float>();
  const int64_t plane = images.size(1) * images.size(2) * images.size(3);
  ctx.pool().parallel_for(images.size(0), [&](int64_t n) {
    for (int64_t i = n * plane; i < (n + 1) * plane; ++i) to[i] = float(from[i]) / 255.0f;
  });
  return x;
}

}  // namespace

void Trainer::mark_border() {
  border_ = {state_.batch, state_.iteration, state_.counted, state_.labels, state_.losses};
  good_in_window_ = 0;
  learner_->keep_statistics();
}

void Trainer::return_to_border() {
  state_.batch = border_.batch;
  state_.iteration = border_.iteration;
  state_.counted = border_.counted;
  state_.labels = border_.labels;
  state_.losses = border_.losses;
  learner_->restore_statistics();
  learner_->clear_gradients();
  window_->restore(0);
}

// A side drawn from half to one and a half of --img-size, as a multiple of the stride (train.md section 7).
Tensor Trainer::resized(const Tensor& images) const {
  if (!setup_.settings.multi_scale) return images;
  const int64_t grid = setup_.stride, size = setup_.settings.img_size;
  const int64_t low = size / 2, high = size + size / 2 + grid;
  RandomStream random(uint64_t(setup_.settings.seed), kScaleStream, uint64_t(state_.iteration));
  const int64_t side = std::max((low + random.below(high - low)) / grid * grid, grid);
  const double factor = double(side) / double(std::max(images.size(2), images.size(3)));
  if (factor == 1) return images;
  const auto scaled = [&](int64_t dim) {
    return int64_t(std::ceil(double(dim) * factor / double(grid))) * grid;
  };
  const Tensor x = as_float(ctx_, images);
  Tensor y = Tensor::empty({x.size(0), x.size(1), scaled(x.size(2)), scaled(x.size(3))}, DType::kF32,
                           ctx_.allocator());
  ops::interpolate_bilinear_forward(ctx_, x, y);
  return y;
}

Trainer::Flow Trainer::micro_batch(const data::Batch& batch) {
  const Rates rates = schedule_->rates(state_.iteration, int(state_.epoch));
  clock_.enter(Phase::kCompute);
  const Tensor images = resized(batch.images);
  const BatchLoss loss = learner_->accumulate(images, batch);
  clock_.enter(Phase::kUpdate);
  last_labels_ = int64_t(batch.targets.size());
  if (loss.finite()) {
    for (size_t h = 0; h < loss.heads.size(); ++h) {
      state_.losses[h].box += loss.heads[h].box;
      state_.losses[h].obj += loss.heads[h].obj;
      state_.losses[h].cls += loss.heads[h].cls;
      state_.losses[h].batches += loss.heads[h].images > 0;
    }
    ++state_.counted;
    state_.labels += last_labels_;
    ++good_in_window_;
  } else {
    bad_step("the loss is not finite", batch, loss.bad_heads);
  }
  ++state_.batch;
  if (window_->step_after(state_.iteration++, rates.accumulate, state_.batch == loader_->batches())) {
    const std::string bad = good_in_window_ > 0 ? learner_->close_window() : "";
    if (!bad.empty()) {
      learner_->clear_gradients();
      learner_->restore_statistics();
      bad_step("the gradient of " + bad + " is not finite", batch, {});
    } else if (good_in_window_ > 0) {
      learner_->update(rates);
      ++state_.optimizer_steps;
      if (loss.finite()) bad_in_a_row_ = 0;
    }
    mark_border();
  }
  clock_.enter(Phase::kElse);
  fault::at("step");
  report_step(batch, int(std::max(images.size(2), images.size(3))));
  return bad_in_a_row_ >= kBadInARow ? roll_back(first_bad_) : Flow::kGoOn;
}

void Trainer::report_step(const data::Batch& batch, int img_size) {
  last_size_ = img_size;
  images_in_epoch_ += batch.size();
  StepEvent e;
  e.epoch = state_.epoch;
  e.epochs = setup_.settings.epochs;
  e.batch = state_.batch;
  e.batches = loader_->batches();
  e.iteration = state_.iteration;
  for (const LossSums& sums : state_.losses) {
    const LossSums& mean = e.heads.emplace_back(sums.mean());
    const double w = learner_->head_weight(e.heads.size() - 1);
    e.loss.box += w * mean.box, e.loss.obj += w * mean.obj, e.loss.cls += w * mean.cls;
  }
  e.labels = last_labels_;
  e.img_size = img_size;
  e.memory_gb = double(ctx_.allocator()->stats().peak_bytes) / kGib;
  const double elapsed = std::chrono::duration<double>(Clock::now() - epoch_began_).count();
  e.images_per_s = elapsed > 0 ? double(images_in_epoch_) / elapsed : 0;
  const double per_iteration = elapsed / double(std::max<int64_t>(1, ++steps_in_epoch_));
  e.seconds_left = per_iteration * double(e.epochs * e.batches - state_.iteration);
  e.images = &batch;
  tell([&](Observer* o) { o->on_step(e); });
}

void Trainer::bad_step(const std::string& what, const data::Batch& batch,
                       const std::vector<std::string>& heads) {
  ++state_.skipped_steps;
  ++bad_in_a_row_;
  first_bad_ = heads.empty() ? what : fmt::format("{} (heads: {})", what, fmt::join(heads, ", "));
  warnings_.warn("non_finite",
                 fmt::format("epoch {}, batch {} is skipped: {}", state_.epoch, state_.batch, first_bad_));
  log::debug("images of the skipped batch: {}", fmt::join(batch.paths, " "));
}

Trainer::Flow Trainer::roll_back(const std::string& what) {
  const int count = state_.rollbacks + 1;
  if (count > kRollbacks)
    throw Error(
        {ExitCode::kRuntime,
         "diverged",
         fmt::format("training diverged: after {} returns to the last good state {}", kRollbacks, what),
         folder_,
         {},
         "lower lr0 in --hyp, check the labels (mtyolo data check), then start again"});
  take_results(true);
  const models::Checkpoint checkpoint = find_checkpoint(folder_);
  const int saved = state_from(checkpoint).rollbacks;
  const int64_t skipped = state_.skipped_steps, unreadable = state_.unreadable;
  take_up(checkpoint);
  schedule_->scale_rates(std::pow(0.5, count - saved));
  state_.rollbacks = count;
  state_.skipped_steps = skipped;
  state_.unreadable = unreadable;
  bad_in_a_row_ = 0;
  window_->restore(0);
  warnings_.warn("rollback",
                 fmt::format("{}: back to epoch {}, batch {}, half the learning rate, other order ({} of {})",
                             what, state_.epoch, state_.batch, count, kRollbacks));
  write_results();
  return Flow::kRestart;
}

void Trainer::note_unreadable() {
  const data::LoaderStats& stats = loader_->stats();
  state_.unreadable += stats.unreadable - unreadable_seen_;
  unreadable_seen_ = stats.unreadable;
  for (; unreadable_named_ < stats.unreadable_paths.size(); ++unreadable_named_)
    warnings_.warn("image_unreadable",
                   fmt::format("{} cannot be read any more; another image takes its place",
                               mtyolo::quoted(stats.unreadable_paths[unreadable_named_])));
}

}  // namespace mtyolo::train
