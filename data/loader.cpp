#include "data/loader.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>

#include "core/allocator.h"
#include "core/error.h"
#include "core/thread_pool.h"
#include "data/sample_maker.h"

namespace mtyolo::data {
namespace {

constexpr int64_t kMaxUnreadable = 1000;  // reliability.md section 8

// A batch in the making. Samples are handed out one by one, so all threads work on the oldest batch first.
struct Making {
  std::shared_ptr<const Epoch> epoch;
  BatchPlan plan;
  Tensor images;
  std::vector<MadeSample> samples;
  int64_t handed_out = 0, done = 0;
  int64_t error_at = -1;  // lowest sample that failed
  std::exception_ptr error;

  bool complete() const { return done == plan.count; }
};

Batch collect(Making& making, bool letterboxes) {
  Batch batch;
  batch.images = making.images;
  for (size_t i = 0; i < making.samples.size(); ++i) {
    MadeSample& sample = making.samples[i];
    for (BatchTarget target : sample.targets) {
      target.image = int(i);
      batch.targets.push_back(target);
    }
    batch.labelled.push_back(sample.labelled);
    batch.indices.push_back(sample.index);
    batch.paths.push_back(std::move(sample.path));
    if (letterboxes) batch.letterboxes.push_back(sample.letterbox);
  }
  return batch;
}

}  // namespace

class Loader::Impl {
 public:
  Impl(const Dataset& dataset, const LoaderParams& params)
      : dataset_(dataset), params_(params), maker_(dataset, params), augmentation_(params.augmentation) {
    const int64_t most = std::min<int64_t>(available_cores(), batches());
    try {
      for (int64_t i = 0; i < std::min<int64_t>(params.workers, most); ++i)
        threads_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {  // fewer threads make the same batches; none: the caller makes them
    }
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_workers_.notify_all();
    for (std::thread& t : threads_) t.join();
  }

  int64_t batches() const { return count_batches(dataset_.size(), params_); }
  void set_augmentation(const AugmentParams& augmentation) { augmentation_ = augmentation; }
  const LoaderStats& stats() const { return stats_; }

  void begin_epoch(int64_t number, int64_t first_batch, std::vector<int64_t> order) {
    MTYOLO_CHECK(number >= 0 && first_batch >= 0 && first_batch <= batches(),
                 "epoch {} from batch {}, expected 0..{}", number, first_batch, batches());
    auto epoch = std::make_shared<Epoch>();
    epoch->number = number;
    epoch->augmentation = augmentation_;
    epoch->plan = plan_epoch(dataset_, params_, number, std::move(order));
    {
      const std::lock_guard lock(mutex_);
      epoch_ = std::move(epoch);
      making_.clear();
      next_to_begin_ = next_to_give_ = first_batch;
    }
    wake_workers_.notify_all();
  }

  bool next(Batch& batch) {
    MTYOLO_CHECK(epoch_ != nullptr, "Loader::next before begin_epoch");
    batch = {};  // gives the memory of the images back before more is asked for
    if (next_to_give_ == batches()) return false;
    const auto start = std::chrono::steady_clock::now();
    const std::shared_ptr<Making> making = threads_.empty() ? make_here() : wait_for_oldest();
    stats_.wait_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    wake_workers_.notify_all();
    if (making->error) std::rethrow_exception(making->error);
    count_unreadable(*making);
    batch = collect(*making, !params_.augment);
    return true;
  }

 private:
  std::shared_ptr<Making> begin_batch() {
    auto making = std::make_shared<Making>();
    making->epoch = epoch_;
    making->plan = epoch_->plan.batches[size_t(next_to_begin_++)];
    const BatchPlan& plan = making->plan;
    making->samples.resize(size_t(plan.count));
    try {
      making->images = Tensor::empty({plan.count, 3, plan.height, plan.width}, DType::kU8, allocator_);
    } catch (...) {
      making->error = std::current_exception();
      making->handed_out = making->done = plan.count;
    }
    return making;
  }

  void make_sample(Making& making, int64_t i, MakerSpace& space) const {
    const BatchPlan& plan = making.plan;
    uint8_t* planes = making.images.data<uint8_t>() + i * 3 * plan.height * plan.width;
    making.samples[size_t(i)] =
        maker_.make(*making.epoch, plan.first + i, plan.width, plan.height, planes, space);
  }

  std::shared_ptr<Making> make_here() {
    next_to_begin_ = next_to_give_++;
    auto making = begin_batch();
    while (making->handed_out < making->plan.count) make_sample(*making, making->handed_out++, space_);
    return making;
  }

  std::shared_ptr<Making> wait_for_oldest() {
    std::unique_lock lock(mutex_);
    batch_done_.wait(lock, [&] {
      const auto oldest = making_.find(next_to_give_);
      return oldest != making_.end() && oldest->second->complete();
    });
    auto making = making_.extract(next_to_give_++).mapped();
    return making;
  }

  // The oldest batch with samples that no thread has taken, or a new one; empty when nothing is to be done.
  std::shared_ptr<Making> find_work() {
    for (const auto& [number, making] : making_)
      if (making->handed_out < making->plan.count) return making;
    while (epoch_ && next_to_begin_ < std::min(batches(), next_to_give_ + params_.prefetch)) {
      const int64_t number = next_to_begin_;
      const auto making = making_[number] = begin_batch();
      if (!making->complete()) return making;
      batch_done_.notify_all();  // failed at once
    }
    return {};
  }

  void work() {
    MakerSpace space;
    std::unique_lock lock(mutex_);
    while (true) {
      std::shared_ptr<Making> making;
      wake_workers_.wait(lock, [&] { return stopping_ || (making = find_work()); });
      if (stopping_) return;
      const int64_t i = making->handed_out++;
      lock.unlock();
      std::exception_ptr error;
      try {
        make_sample(*making, i, space);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (error && (!making->error || i < making->error_at)) {
        making->error = error;
        making->error_at = i;
      }
      if (++making->done == making->plan.count) batch_done_.notify_all();
    }
  }

  void count_unreadable(const Making& making) {
    for (const MadeSample& sample : making.samples) {
      stats_.unreadable += sample.replaced;
      for (const std::string& path : sample.unreadable)
        if (unreadable_.insert(path).second) stats_.unreadable_paths.push_back(path);
    }
    const int64_t images = dataset_.size(), bad = int64_t(unreadable_.size());
    if (bad * 2 > images || bad >= kMaxUnreadable)
      fail(ExitCode::kData, "images_unreadable",
           "{} of {} images cannot be read any more, the last is {}; is the disk still there?", bad, images,
           quoted(stats_.unreadable_paths.back()));
  }

  const Dataset& dataset_;
  const LoaderParams params_;
  const SampleMaker maker_;
  const std::shared_ptr<Allocator> allocator_ = std::make_shared<Allocator>();  // keeps freed batches
  MakerSpace space_;  // of the caller, without threads
  LoaderStats stats_;
  std::set<std::string> unreadable_;
  AugmentParams augmentation_;

  std::mutex mutex_;  // guards everything below
  std::condition_variable wake_workers_, batch_done_;
  std::shared_ptr<const Epoch> epoch_;
  std::map<int64_t, std::shared_ptr<Making>> making_;  // by number of the batch
  int64_t next_to_begin_ = 0, next_to_give_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

Loader::Loader(const Dataset& dataset, const LoaderParams& params) {
  MTYOLO_CHECK(params.batch_size >= 1 && params.img_size >= 1 && params.stride >= 1 && params.prefetch >= 1 &&
                   params.workers >= 0 && params.pad >= 0,
               "loader: batch_size {}, img_size {}, stride {}, prefetch {}, workers {}, pad {}",
               params.batch_size, params.img_size, params.stride, params.prefetch, params.workers,
               params.pad);
  if (dataset.size() == 0) fail(ExitCode::kData, "data_empty", "the data set has no images");
  impl_ = std::make_unique<Impl>(dataset, params);
}
Loader::~Loader() = default;

int64_t Loader::batches() const { return impl_->batches(); }
void Loader::set_augmentation(const AugmentParams& augmentation) { impl_->set_augmentation(augmentation); }
void Loader::begin_epoch(int64_t epoch, int64_t first_batch, std::vector<int64_t> order) {
  impl_->begin_epoch(epoch, first_batch, std::move(order));
}
bool Loader::next(Batch& batch) { return impl_->next(batch); }
const LoaderStats& Loader::stats() const { return impl_->stats(); }

}  // namespace mtyolo::data
