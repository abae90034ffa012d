#include "tests/cuda/nms_case.h"

#include <algorithm>
#include <limits>

#include "ops/detect_decode.h"
#include "tests/cuda/simt_testing.h"

namespace mtyolo::test {
namespace {

constexpr int kImages = 3, kGap = 3;  // channels between pixels
constexpr float kInfinity = std::numeric_limits<float>::infinity();
using Candidates = std::vector<std::vector<ops::Detection>>;  // of each image

// What the device writes, and what must be there.
struct Results {
  Results(size_t images, int most)
      : max_det(size_t(most)), detections(images * max_det), counts(images), overflow(images) {}

  template <class Args>
  void fill(Args& args, const ops::NmsParams& p) const {
    args.iou_thres = p.iou_thres, args.agnostic = p.agnostic;
    args.max_det = p.max_det, args.max_nms = p.max_nms;
    args.detections = detections.get(), args.counts = counts.get(), args.overflow = overflow.get();
  }
  std::string fault(const Candidates& candidates, const ops::NmsParams& p, size_t capacity) const {
    const auto found = detections.values();
    for (size_t image = 0; image < candidates.size(); ++image) {
      const size_t of = candidates[image].size();
      if (overflow.values()[image] != (of > capacity ? int(of) : 0))
        return fmt::format("image {}: overflow {} of {} candidates", image, overflow.values()[image], of);
      if (of > capacity) continue;
      const auto want = ops::nms_select(candidates[image], p);
      if (counts.values()[image] != int(want.size()))
        return fmt::format("image {}: {} detections, not {}", image, counts.values()[image], want.size());
      for (size_t i = 0; i < max_det; ++i) {
        const size_t at = image * max_det + i;
        if (i >= want.size() ? !detections.untouched(at) : !same(found[at], want[i]))
          return fmt::format("image {}: detection {} of {} differs", image, i, want.size());
      }
    }
    return "";
  }
  static bool same(const DeviceDetection& a, const ops::Detection& b) {
    return a.x1 == b.x1 && a.y1 == b.y1 && a.x2 == b.x2 && a.y2 == b.y2 && a.confidence == b.confidence &&
           a.class_id == b.class_id && a.head == b.head;
  }

  size_t max_det;
  SimtBuffer<DeviceDetection> detections;
  SimtBuffer<int> counts, overflow;
};

float logit(const NmsCase& c, int image, int column, RandomStream& random) {
  const float kBox[] = {0, 0, 0, kInfinity, -kInfinity, 2, -2, 0.5f};
  if (c.spoiled && random.below(40) == 0)
    return random.below(2) == 0 ? std::numeric_limits<float>::quiet_NaN() : kInfinity;
  if (column < 4) return kBox[random.below(8)];
  if (column > 4) return float(random.below(9) - 3);
  const int share = image == 0 ? c.dense : image == 1 ? 5 : 0;
  return random.below(100) < share ? float(random.below(4)) : -9.0f;
}

// One head with its maps on the device, and its predictions by either side.
template <class T>
struct Head {
  Head(const NmsCase& c, int index) : columns(5 + c.classes[size_t(index)]) {
    head.classes = columns - 5, head.level_count = 2;
    head.conf_thres = c.params.conf_thres;
    head.score_is_objectness = c.params.one_class_score_is_objectness;
    for (int i = head.classes; i-- > 0;) ids.push_back((c.shared_ids ? 0 : 7 * index) + i);
    class_ids = std::make_unique<SimtBuffer<int>>(ids);
    head.class_ids = class_ids->get();
    const int h = c.side, below = h - 2;
    rows = 2 * (h * (h + 1) + below * (below + 1));
    want = Tensor::empty({kImages, rows, columns});
    add_level(c, 0, h, {.stride = 8, .anchors = {16, 16, 16, 8}}, index);
    add_level(c, 1, below, {.stride = 16, .anchors = {40, 30, 32, 64}}, index);
    const SimtBuffer<float> device(size_t(want.numel()) + 1);
    TESTED(decode)({}, head, kImages, device.get());
    predictions = device.values();
    right = device.untouched(predictions.size() - 1);
    predictions.pop_back();
    for (size_t i = 0; i < predictions.size(); ++i) {
      const float w = want.data<float>()[i], got = predictions[i],
                  close = 1e-5f * std::max(1.0f, std::abs(w));
      right = right && (std::isnan(w) ? std::isnan(got) : std::abs(got - w) <= close);
    }
  }

  void add_level(const NmsCase& c, int l, int h, const ops::DetectDecode& p, int index) {
    const int w = h + 1, channels = 2 * columns, stride = channels + kGap;
    RandomStream random(uint64_t(10 * index + l), 0x6e6d73, uint64_t(c.side));
    std::vector<T> values(size_t(kImages * h * w * stride), T(1e9f));
    for (int i = 0; i < kImages * h * w * channels; ++i)
      values[size_t(i / channels * stride + i % channels)] =
          T(logit(c, i / (h * w * channels), i % channels % columns, random));
    maps.push_back(std::make_unique<SimtBuffer<T>>(values));
    DecodeLevel& level = head.levels[l];
    level.raw = {maps.back()->get(), c.type, kImages, h, w, channels, stride};
    level.stride = p.stride, level.anchor_count = 2;
    std::copy_n(p.anchors.data(), 4, level.anchors);
    Context ctx(1);
    const std::vector<float> floats(values.begin(), values.end());
    const Tensor raw = Tensor::from(floats, {kImages, h, w, stride}).permute({0, 3, 1, 2});
    Tensor y = want.slice(1, l == 0 ? 0 : rows - 2 * h * w, l == 0 ? 2 * h * w : rows);
    ops::detect_decode_forward(ctx, raw.slice(1, 0, channels), p, y);
  }

  int columns, rows = 0;
  DecodeHead head;
  std::vector<int> ids;
  std::unique_ptr<SimtBuffer<int>> class_ids;
  std::vector<std::unique_ptr<SimtBuffer<T>>> maps;
  Tensor want;
  std::vector<float> predictions;
  bool right = false;  // decode gave what is wanted
};

template <class T>
std::string fault(const NmsCase& c) {
  std::vector<Head<T>> heads;
  std::vector<DecodeHead> device_heads;
  Candidates candidates(kImages);
  for (int index = 0; index < int(c.classes.size()); ++index) {
    const Head<T>& h = heads.emplace_back(c, index);
    if (!h.right) return fmt::format("decode of head {}", index);
    device_heads.push_back(h.head);
    const Tensor all = Tensor::from(h.predictions, h.want.shape());
    for (int64_t image = 0; image < kImages; ++image)
      ops::nms_candidates(all.slice(0, image, image + 1).reshape({h.rows, h.columns}), c.params, h.ids, index,
                          candidates[size_t(image)]);
  }
  size_t most = 0;
  for (const auto& of_image : candidates) most = std::max(most, of_image.size());
  std::vector<uint8_t> wanted(64, c.params.classes.empty());
  for (const int id : c.params.classes) wanted[size_t(id)] = 1;
  const SimtBuffer<uint8_t> device_wanted(wanted);
  const Results results(kImages, c.params.max_det);
  NmsArgs args{.heads = device_heads, .images = kImages, .multi_label = c.params.multi_label};
  if (!c.params.classes.empty()) args.wanted_classes = device_wanted.get(), args.class_limit = 64;
  args.capacity = std::max(int(most) + c.spare, 1);
  results.fill(args, c.params);
  args.workspace_bytes = nms_workspace(args);
  const SimtBuffer<std::byte> workspace(args.workspace_bytes);
  args.workspace = workspace.get();
  TESTED(nms)({}, args);
  return results.fault(candidates, c.params, size_t(args.capacity));
}

}  // namespace

std::string nms_fault(const NmsCase& c) {
  if (c.type == KernelType::kF16) return fault<Half>(c);
  return c.type == KernelType::kBF16 ? fault<BFloat16>(c) : fault<float>(c);
}

std::string select_fault(const std::vector<int>& counts, int classes, int scores, const ops::NmsParams& p) {
  const size_t images = counts.size(), units = 3;
  const auto capacity = size_t(std::max(*std::max_element(counts.begin(), counts.end()), 1));
  RandomStream random(uint64_t(classes), 0x73656c, uint64_t(scores));
  const auto whole = [&](int64_t below) { return float(random.below(below)); };
  Candidates candidates(images);
  std::vector<NmsCandidate> slots(images * capacity);
  std::vector<int> unit_counts;
  for (size_t image = 0; image < images; ++image) {
    for (int i = 0; i < counts[image]; ++i) {
      NmsCandidate d{.x1 = whole(24), .y1 = whole(24)};
      d.x2 = d.x1 + whole(9), d.y2 = d.y1 + whole(9);
      d.confidence = (whole(scores) - 2) * 0.03f * (random.below(2) == 0 ? 1.0f : -1.0f);
      d.class_id = int(random.below(classes)), d.head = i;
      slots[image * capacity + size_t(i)] = d;
      candidates[image].push_back({d.x1, d.y1, d.x2, d.y2, d.confidence, d.class_id, d.head});
    }
    const int third = counts[image] / 3;
    unit_counts.insert(unit_counts.end(), {third, 0, counts[image] - third});
  }
  const SimtBuffer<NmsCandidate> device_slots(slots);
  const SimtBuffer<int> device_units(unit_counts);
  const SimtBuffer<uint64_t> keys(slots.size()), scratch(slots.size());
  const Results results(images, p.max_det);
  NmsSelectArgs args{.images = int(images), .capacity = int(capacity), .candidates = device_slots.get()};
  args.units = int(units), args.unit_counts = device_units.get();
  args.keys = keys.get(), args.scratch = scratch.get();
  results.fill(args, p);
  TESTED(nms_select)({}, args);
  return results.fault(candidates, p, capacity);
}

}  // namespace mtyolo::test
