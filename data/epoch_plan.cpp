#include "data/epoch_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/random.h"

namespace mtyolo::data {
namespace {

constexpr uint32_t kShuffleStream = 0x5f1e;

double ratio_of(const Sample& sample) { return double(sample.height) / std::max(1, sample.width); }

// The smallest input of whole strides that holds the pictures of a batch (data.md section 5).
void set_rect_shape(const Dataset& dataset, const LoaderParams& params, const std::vector<int64_t>& order,
                    BatchPlan& batch) {
  double lowest = INFINITY, highest = 0;
  for (int64_t i = batch.first; i < batch.first + batch.count; ++i) {
    const double ratio = ratio_of(dataset.sample(order[size_t(i)]));
    lowest = std::min(lowest, ratio);
    highest = std::max(highest, ratio);
  }
  const double rows = highest < 1 ? highest : 1, columns = highest >= 1 && lowest > 1 ? 1 / lowest : 1;
  const auto side = [&](double share) {
    return std::max(1, int(std::ceil(share * params.img_size / params.stride + params.pad))) * params.stride;
  };
  batch.height = side(rows);
  batch.width = side(columns);
}

}  // namespace

std::vector<int64_t> permutation(int64_t count, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  RandomStream random(seed, kShuffleStream, uint64_t(epoch));
  for (int64_t i = count - 1; i > 0; --i) std::swap(order[size_t(i)], order[size_t(random.below(i + 1))]);
  return order;
}

int64_t count_batches(int64_t images, const LoaderParams& params) {
  const int64_t size = std::min<int64_t>(params.batch_size, images);
  const int64_t batches = (images + size - 1) / size;
  return params.merge_last_image && batches > 1 && images % size == 1 ? batches - 1 : batches;
}

EpochPlan plan_epoch(const Dataset& dataset, const LoaderParams& params, int64_t epoch,
                     std::vector<int64_t> order) {
  const int64_t images = dataset.size(), batches = count_batches(images, params);
  const int64_t size = std::min<int64_t>(params.batch_size, images);
  const bool rect = params.rect && order.empty();
  EpochPlan plan;
  if (!order.empty()) {
    MTYOLO_CHECK(int64_t(order.size()) == images, "an order of {} images for a data set of {}", order.size(),
                 images);
    for (const int64_t index : order)
      MTYOLO_CHECK(index >= 0 && index < images, "order: image {} of {}", index, images);
    plan.order = std::move(order);
  } else if (params.shuffle && !rect) {
    plan.order = permutation(images, params.seed, epoch);
  } else {
    plan.order.resize(size_t(images));
    std::iota(plan.order.begin(), plan.order.end(), 0);
  }
  if (rect)
    std::sort(plan.order.begin(), plan.order.end(), [&](int64_t a, int64_t b) {
      const double ratio_a = ratio_of(dataset.sample(a)), ratio_b = ratio_of(dataset.sample(b));
      return ratio_a != ratio_b ? ratio_a < ratio_b : a < b;
    });
  for (int64_t i = 0; i < images; ++i)
    plan.by_label[dataset.sample(plan.order[size_t(i)]).labelled].push_back(i);
  for (int64_t i = 0; i < batches; ++i) {
    const int64_t first = i * size, end = i + 1 == batches ? images : first + size;
    plan.batches.push_back({first, end - first, params.img_size, params.img_size});
    if (rect) set_rect_shape(dataset, params, plan.order, plan.batches.back());
  }
  if (rect && params.shuffle) {  // images of like shape stay together; their batches change places
    const std::vector<BatchPlan> sorted = plan.batches;
    const std::vector<int64_t> places = permutation(batches, params.seed, epoch);
    for (size_t i = 0; i < sorted.size(); ++i) plan.batches[i] = sorted[size_t(places[i])];
  }
  return plan;
}

}  // namespace mtyolo::data
