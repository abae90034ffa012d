#include "ops/nms.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

namespace mtyolo::ops {
namespace {

constexpr int kBoxColumns = 5;  // cx, cy, w, h, objectness

// True if none of `count` floats is NaN or infinite: all their exponents are below the largest.
bool all_finite(const float* values, int64_t count) {
  int32_t largest = 0;
  for (int64_t i = 0; i < count; ++i)
    largest = std::max(largest, std::bit_cast<int32_t>(values[i]) & int32_t(0x7fffffff));
  return largest < 0x7f800000;
}

// Sorts like (confidence descending, candidate order ascending).
uint64_t sort_key(float confidence, size_t index) {
  const auto bits = std::bit_cast<uint32_t>(confidence + 0.0f);  // + 0: minus zero equals zero
  const uint32_t ascending = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return uint64_t(~ascending) << 32 | uint64_t(index);
}

// Collects the candidates of rows that passed the objectness test.
class RowReader {
 public:
  RowReader(const NmsParams& p, std::span<const int> class_ids, int head, std::vector<Detection>& out)
      : p_(p),
        class_ids_(class_ids),
        head_(head),
        out_(out),
        first_(out.size()),
        threshold_(p.conf_thres),
        scores_((class_ids.size() + kLanes - 1) / kLanes * kLanes, kNever),
        wanted_(class_ids.size(), 1) {
    if (p.classes.empty()) return;
    for (size_t c = 0; c < class_ids.size(); ++c)
      wanted_[c] = std::find(p.classes.begin(), p.classes.end(), class_ids[c]) != p.classes.end();
  }

  void read(const float* row) {
    const size_t classes = class_ids_.size();
    if (!all_finite(row, kBoxColumns + int64_t(classes))) return;
    Detection box{.x1 = row[0] - row[2] / 2,
                  .y1 = row[1] - row[3] / 2,
                  .x2 = row[0] + row[2] / 2,
                  .y2 = row[1] + row[3] / 2,
                  .head = head_};
    const std::array<float, 4> corners{box.x1, box.y1, box.x2, box.y2};
    if (!all_finite(corners.data(), 4)) return;
    const bool objectness_alone = classes == 1 && p_.one_class_score_is_objectness;
    for (size_t c = 0; c < classes; ++c)
      scores_[c] = objectness_alone ? row[4] : row[4] * row[kBoxColumns + c];
    // Lanes side by side run on whole vectors.
    std::array<float, kLanes> best;
    best.fill(kNever);
    for (size_t c = 0; c < scores_.size(); c += kLanes)
      for (size_t k = 0; k < kLanes; ++k) best[k] = scores_[c + k] > best[k] ? scores_[c + k] : best[k];
    const float largest = *std::max_element(best.begin(), best.end());
    if (!(largest > threshold_)) return;
    if (p_.multi_label) add_all(box);
    else add(box, size_t(std::find(scores_.begin(), scores_.end(), largest) - scores_.begin()));
  }

  // Drops what nms_select cannot reach, and from here on whatever is not better than its last place.
  void prune() {
    const size_t limit = size_t(std::max(p_.max_nms, 1));
    if (out_.size() - first_ <= std::max(2 * limit, kPruneFrom)) return;
    std::vector<uint64_t> keys(out_.size() - first_);
    for (size_t i = 0; i < keys.size(); ++i) keys[i] = sort_key(out_[first_ + i].confidence, i);
    std::nth_element(keys.begin(), keys.begin() + std::ptrdiff_t(limit - 1), keys.end());
    const uint64_t last = keys[limit - 1];
    threshold_ = out_[first_ + size_t(last & UINT32_MAX)].confidence;
    size_t kept = first_;
    for (size_t i = 0; i < keys.size(); ++i)
      if (sort_key(out_[first_ + i].confidence, i) <= last) out_[kept++] = out_[first_ + i];
    out_.resize(kept);
  }

 private:
  static constexpr size_t kLanes = 32, kPruneFrom = 1 << 16;
  static constexpr float kNever = -std::numeric_limits<float>::infinity();

  void add_all(Detection& box) {
    for (size_t first = 0; first < scores_.size(); first += kLanes) {
      int hits = 0;
      for (size_t k = 0; k < kLanes; ++k) hits += scores_[first + k] > threshold_ ? 1 : 0;
      for (size_t c = first; hits != 0 && c < std::min(first + kLanes, class_ids_.size()); ++c) add(box, c);
    }
  }

  void add(Detection& box, size_t c) {
    if (!(scores_[c] > threshold_) || !wanted_[c]) return;
    box.confidence = scores_[c];
    box.class_id = class_ids_[c];
    out_.push_back(box);
  }

  const NmsParams& p_;
  std::span<const int> class_ids_;
  int head_;
  std::vector<Detection>& out_;
  size_t first_;  // of out, in this call
  float threshold_;
  std::vector<float> scores_;
  std::vector<char> wanted_;
};

// The candidates as they are visited, the `limit` best. Few of them are, mostly: they are sorted as needed.
class VisitingOrder {
 public:
  VisitingOrder(const std::vector<Detection>& candidates, size_t limit) : keys_(candidates.size()) {
    MTYOLO_CHECK(candidates.size() <= UINT32_MAX, "nms: {} candidates, the limit is {}", candidates.size(),
                 UINT32_MAX);
    for (size_t i = 0; i < keys_.size(); ++i) keys_[i] = sort_key(candidates[i].confidence, i);
    limit_ = std::min(limit, keys_.size());
  }
  // The index of the next one.
  std::optional<size_t> next() {
    if (next_ == limit_) return {};
    if (next_ == sorted_) {
      sorted_ = std::min(std::max(kFirst, 4 * sorted_), limit_);
      const auto begin = keys_.begin() + std::ptrdiff_t(next_), end = keys_.begin() + std::ptrdiff_t(sorted_);
      if (end != keys_.end()) std::nth_element(begin, end, keys_.end());
      std::sort(begin, end);
    }
    return size_t(keys_[next_++] & UINT32_MAX);
  }

 private:
  static constexpr size_t kFirst = 1024;
  std::vector<uint64_t> keys_;
  size_t next_ = 0, sorted_ = 0, limit_ = 0;
};

// The boxes kept of one class, one array per coordinate so that the comparison runs on whole vectors.
class KeptBoxes {
 public:
  // True if the IoU of `d` with a kept box is above `limit`: inter / (a1 + a2 - inter), no +1. A NaN (two
  // boxes without area) is not above it.
  bool suppress(const Detection& d, float limit) const {
    constexpr size_t kBlock = 32;
    const float area = (d.x2 - d.x1) * (d.y2 - d.y1);
    for (size_t begin = 0; begin < x1_.size(); begin += kBlock) {
      const size_t end = std::min(begin + kBlock, x1_.size());
      int hits = 0;
      for (size_t k = begin; k < end; ++k) {
        const float w = std::min(d.x2, x2_[k]) - std::max(d.x1, x1_[k]);
        const float h = std::min(d.y2, y2_[k]) - std::max(d.y1, y1_[k]);
        const float inter = std::max(w, 0.0f) * std::max(h, 0.0f);
        hits += inter / (area_[k] + area - inter) > limit ? 1 : 0;
      }
      if (hits != 0) return true;
    }
    return false;
  }

  void add(const Detection& d) {
    x1_.push_back(d.x1);
    y1_.push_back(d.y1);
    x2_.push_back(d.x2);
    y2_.push_back(d.y2);
    area_.push_back((d.x2 - d.x1) * (d.y2 - d.y1));
  }

 private:
  std::vector<float> x1_, y1_, x2_, y2_, area_;
};

// The largest float not above the threshold: an f32 IoU is greater than one exactly when it is greater than
// the other.
float float_at_most(double threshold) {
  const float f = float(threshold);
  return double(f) > threshold ? std::nextafter(f, -std::numeric_limits<float>::infinity()) : f;
}

}  // namespace

void nms_candidates(const Tensor& predictions, const NmsParams& p, std::span<const int> class_ids, int head,
                    std::vector<Detection>& out) {
  const bool fits = predictions.defined() && predictions.dtype() == DType::kF32 && predictions.rank() == 2 &&
                    predictions.size(1) > kBoxColumns;
  MTYOLO_CHECK(fits, "nms: predictions are {}, expected [rows, 5 + classes] float32", predictions);
  MTYOLO_CHECK(predictions.size(1) == kBoxColumns + int64_t(class_ids.size()),
               "nms: {} class ids for predictions {}", class_ids.size(), predictions);
  const int64_t rows = predictions.size(0), columns = predictions.size(1);
  const int64_t row_step = predictions.stride(0), column_step = predictions.stride(1);
  const float* data = predictions.data<float>();
  RowReader reader(p, class_ids, head, out);
  std::vector<float> copy(static_cast<size_t>(columns));
  // 64 objectness tests without a branch, then the few rows that passed.
  for (int64_t begin = 0; begin < rows; begin += 64) {
    const int64_t count = std::min<int64_t>(64, rows - begin);
    uint64_t passed = 0;
    for (int64_t k = 0; k < count; ++k)
      passed |= uint64_t(data[(begin + k) * row_step + 4 * column_step] > p.conf_thres) << k;
    for (; passed != 0; passed &= passed - 1) {
      const float* row = data + (begin + std::countr_zero(passed)) * row_step;
      for (int64_t c = 0; c < columns && column_step != 1; ++c) copy[size_t(c)] = row[c * column_step];
      reader.read(column_step == 1 ? row : copy.data());
    }
    reader.prune();
  }
}

std::vector<Detection> nms_select(std::vector<Detection> candidates, const NmsParams& p) {
  const size_t max_det = size_t(std::max(p.max_det, 0)), max_nms = size_t(std::max(p.max_nms, 0));
  const float limit = float_at_most(p.iou_thres);
  std::unordered_map<int, KeptBoxes> kept;
  std::vector<Detection> result;
  VisitingOrder order(candidates, max_nms);
  while (result.size() < max_det) {
    const std::optional<size_t> index = order.next();
    if (!index) break;
    const Detection& d = candidates[*index];
    KeptBoxes& of_class = kept[p.agnostic ? 0 : d.class_id];
    if (of_class.suppress(d, limit)) continue;
    of_class.add(d);
    result.push_back(d);
  }
  return result;
}

std::vector<Detection> nms(const Tensor& predictions, const NmsParams& p) {
  std::vector<int> ids(
      predictions.rank() == 2 ? size_t(std::max<int64_t>(predictions.size(1) - kBoxColumns, 0)) : 0);
  std::iota(ids.begin(), ids.end(), 0);
  std::vector<Detection> candidates;
  nms_candidates(predictions, p, ids, 0, candidates);
  return nms_select(std::move(candidates), p);
}

}  // namespace mtyolo::ops
