#include "train/losses/ota.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "train/losses/bce.h"

namespace mtyolo::train {
namespace {

constexpr double kClamp = 1e-7, kIouEps = 1e-8, kIouWeight = 3;
constexpr int64_t kDecodeChunk = 128, kTargetChunk = 64;  // of one task
constexpr int kLogGroup = 16;  // factors >= kClamp whose product is a normal number

// The smallest (or, of negated values, largest) few of a stream; at equal values the first to come stay in
// front.
struct Smallest {
  int count = 0;
  double values[kMaxOtaTop];
  int index[kMaxOtaTop];

  bool refuses(double value, int limit) const { return count == limit && !(value < values[limit - 1]); }
  void add(double value, int i, int limit) {
    if (refuses(value, limit)) return;
    int at = count < limit ? count++ : limit - 1;
    for (; at > 0 && value < values[at - 1]; --at) {
      values[at] = values[at - 1];
      index[at] = index[at - 1];
    }
    values[at] = value;
    index[at] = i;
  }
};

struct Corners {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0, area = 0;
};

Corners corners(double x, double y, double w, double h) {
  return {x - w / 2, y - h / 2, x + w / 2, y + h / 2, w * h};
}

struct Truth {
  Corners box;
  int cls = 0;
  Smallest far;       // negated IoUs
  Smallest cheapest;  // costs
};

struct Decoded {
  Corners box;
  double objectness = 0;
  double absent = 0;  // -sum over all classes of ln(1 - y)
};

double iou_of(const Corners& a, const Corners& b) {
  const double w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1),
               h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (!(w > 0 && h > 0)) return 0;
  const double inter = w * h;
  return inter / (a.area + b.area - inter);
}

// Of the classes, then of the overlap: most pairs do not overlap, and few of the others need their logarithm.
double overlap_cost(double iou) {
  static const double kNone = -kIouWeight * std::log(kIouEps);
  return iou > 0 ? -kIouWeight * std::log(iou + kIouEps) : kNone;
}
constexpr double kLeastOverlapCost = -1e-7;  // below -3 ln(1 + 1e-8) and its rounding

class Assigner {
 public:
  Assigner(const std::vector<Grid>& grids, std::span<const Tensor> maps, std::vector<Match> candidates,
           std::vector<int64_t> level_ends, const OtaParams& params)
      : grids_(grids),
        maps_(maps),
        candidates_(std::move(candidates)),
        level_ends_(std::move(level_ends)),
        params_(params),
        columns_(maps[0].size(4)) {}

  void add_truth(const Target& t) {
    Truth truth;
    truth.box =
        corners(t.x * params_.scale_x, t.y * params_.scale_y, t.w * params_.scale_x, t.h * params_.scale_y);
    truth.cls = t.cls;
    truths_.push_back(truth);
  }

  // For each candidate the truth that gets it, or -1.
  std::vector<int> run(Context& ctx);

 private:
  void read(int64_t candidate, double* row) const;
  Decoded decode(int64_t candidate, std::vector<double>& row) const;
  // -ln y + ln(1-y) of one class.
  double present(int64_t candidate, double objectness, int cls) const;
  double logit(int64_t candidate, int64_t column) const;
  void scan_tile(Context& ctx, int64_t begin, int64_t end, const std::vector<int>& by_class);
  int winner(int64_t candidate) const;
  size_t level_of(int64_t candidate) const {
    return size_t(std::upper_bound(level_ends_.begin(), level_ends_.end(), candidate) - level_ends_.begin());
  }
  int64_t row_begin(int64_t candidate, size_t level) const {
    const Match& m = candidates_[size_t(candidate)];
    return (m.image * grids_[level].cells() + grids_[level].cell(m)) * columns_;
  }

  const std::vector<Grid>& grids_;
  std::span<const Tensor> maps_;
  std::vector<Match> candidates_;
  std::vector<int64_t> level_ends_;
  const OtaParams& params_;
  int64_t columns_;
  std::vector<Truth> truths_;
};

double Assigner::logit(int64_t candidate, int64_t column) const {
  const size_t level = level_of(candidate);
  const int64_t at = row_begin(candidate, level) + column;
  const Tensor& map = maps_[level];
  return map.dtype() == DType::kF32 ? double(map.data<float>()[at]) : map.data<double>()[at];
}

void Assigner::read(int64_t candidate, double* row) const {
  const size_t level = level_of(candidate);
  const int64_t at = row_begin(candidate, level);
  const Tensor& map = maps_[level];
  if (map.dtype() == DType::kF32) std::copy_n(map.data<float>() + at, columns_, row);
  else std::copy_n(map.data<double>() + at, columns_, row);
}

double likelihood(double logit, double objectness) {
  return std::clamp(std::sqrt(sigmoid(logit) * objectness), kClamp, 1 - kClamp);
}

double Assigner::present(int64_t candidate, double objectness, int cls) const {
  const double y = likelihood(logit(candidate, 5 + cls), objectness);
  return std::log((1 - y) / y);
}

Decoded Assigner::decode(int64_t candidate, std::vector<double>& row) const {
  read(candidate, row.data());
  const Match& m = candidates_[size_t(candidate)];
  const Grid& grid = grids_[level_of(candidate)];
  const double x = 2 * sigmoid(row[0]) - 0.5 + m.gi, y = 2 * sigmoid(row[1]) - 0.5 + m.gj;
  const double w = 2 * sigmoid(row[2]), h = 2 * sigmoid(row[3]);
  Decoded d;
  d.box = corners(x * grid.stride, y * grid.stride, w * w * grid.anchors[size_t(2 * m.anchor)] * grid.stride,
                  h * h * grid.anchors[size_t(2 * m.anchor + 1)] * grid.stride);
  d.objectness = sigmoid(row[4]);
  double product = 1;
  for (int64_t k = 5; k < columns_; ++k) {
    product *= 1 - likelihood(row[size_t(k)], d.objectness);
    if ((k - 4) % kLogGroup != 0 && k + 1 < columns_) continue;
    d.absent -= std::log(product);
    product = 1;
  }
  return d;
}

void Assigner::scan_tile(Context& ctx, int64_t begin, int64_t end, const std::vector<int>& by_class) {
  std::vector<Decoded> tile(static_cast<size_t>(end - begin));
  ctx.pool().parallel_for((end - begin + kDecodeChunk - 1) / kDecodeChunk, [&](int64_t chunk) {
    std::vector<double> row(static_cast<size_t>(columns_));
    const int64_t stop = std::min(end, begin + (chunk + 1) * kDecodeChunk);
    for (int64_t c = begin + chunk * kDecodeChunk; c < stop; ++c) tile[size_t(c - begin)] = decode(c, row);
  });
  const int64_t count = int64_t(truths_.size());
  ctx.pool().parallel_for((count + kTargetChunk - 1) / kTargetChunk, [&](int64_t chunk) {
    std::vector<double> of_class(tile.size());
    int cls = -1;
    for (int64_t i = chunk * kTargetChunk; i < std::min(count, (chunk + 1) * kTargetChunk); ++i) {
      Truth& t = truths_[size_t(by_class[size_t(i)])];
      if (t.cls != cls) {
        cls = t.cls;
        for (size_t c = 0; c < tile.size(); ++c)
          of_class[c] = present(begin + int64_t(c), tile[c].objectness, cls);
      }
      for (size_t c = 0; c < tile.size(); ++c) {
        const double iou = iou_of(t.box, tile[c].box);
        t.far.add(-iou, 0, params_.top);
        const double classes = tile[c].absent + of_class[c];
        if (t.cheapest.refuses(classes + kLeastOverlapCost, params_.top)) continue;
        t.cheapest.add(classes + overlap_cost(iou), int(begin + int64_t(c)), params_.top);
      }
    }
  });
}

// The truth with the least cost of all for a candidate that several marked.
int Assigner::winner(int64_t candidate) const {
  std::vector<double> row(static_cast<size_t>(columns_)),
      of_class(static_cast<size_t>(columns_), std::nan(""));
  const Decoded d = decode(candidate, row);
  int best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < truths_.size(); ++i) {
    const Truth& t = truths_[i];
    double& known = of_class[size_t(t.cls)];
    if (std::isnan(known)) known = present(candidate, d.objectness, t.cls);
    const double cost = d.absent + known + overlap_cost(iou_of(t.box, d.box));
    if (cost < least) {
      least = cost;
      best = int(i);
    }
  }
  return best;
}

std::vector<int> Assigner::run(Context& ctx) {
  std::vector<int> by_class(truths_.size());
  std::iota(by_class.begin(), by_class.end(), 0);
  std::sort(by_class.begin(), by_class.end(), [&](int a, int b) {
    return std::pair(truths_[size_t(a)].cls, a) < std::pair(truths_[size_t(b)].cls, b);
  });
  const int64_t count = int64_t(candidates_.size());
  for (int64_t begin = 0; begin < count; begin += params_.tile)
    scan_tile(ctx, begin, std::min(count, begin + params_.tile), by_class);

  std::vector<int> owner(candidates_.size(), -1);
  std::vector<int> contested;
  for (size_t i = 0; i < truths_.size(); ++i) {
    const Truth& t = truths_[i];
    const double sum = -std::accumulate(t.far.values, t.far.values + t.far.count, 0.0);
    const int positives = std::min(std::max(1, int(sum)), t.cheapest.count);
    for (int k = 0; k < positives; ++k) {
      int& o = owner[size_t(t.cheapest.index[k])];
      if (o >= 0) contested.push_back(t.cheapest.index[k]);
      else o = int(i);
    }
  }
  std::sort(contested.begin(), contested.end());
  contested.erase(std::unique(contested.begin(), contested.end()), contested.end());
  ctx.pool().parallel_for(int64_t(contested.size()), [&](int64_t i) {
    const int c = contested[size_t(i)];
    owner[size_t(c)] = winner(c);
  });
  return owner;
}

}  // namespace

std::vector<std::vector<Match>> assign_ota(Context& ctx, const std::vector<Grid>& grids,
                                           std::span<const Tensor> maps, std::span<const Target> targets,
                                           std::span<const int> rows,
                                           const std::vector<std::vector<Match>>& candidates,
                                           const OtaParams& params) {
  MTYOLO_CHECK(params.top >= 1 && params.top <= kMaxOtaTop && params.tile >= 1, "OTA with top {} and tile {}",
               params.top, params.tile);
  std::vector<Match> all;  // level-major: their numbers
  std::vector<int64_t> level_ends;
  for (const std::vector<Match>& level : candidates) {
    all.insert(all.end(), level.begin(), level.end());
    level_ends.push_back(int64_t(all.size()));
  }
  std::vector<std::vector<Match>> out(candidates.size());
  if (all.empty()) return out;
  Assigner assigner(grids, maps, std::move(all), std::move(level_ends), params);
  for (const int row : rows) assigner.add_truth(targets[size_t(row)]);
  const std::vector<int> owner = assigner.run(ctx);
  size_t number = 0;
  for (size_t level = 0; level < candidates.size(); ++level)
    for (Match m : candidates[level]) {
      const int won = owner[number++];
      if (won < 0) continue;
      m.target = rows[size_t(won)];
      out[level].push_back(m);
    }
  return out;
}

}  // namespace mtyolo::train
