#include "cuda/detect.h"

#include "cuda/check.h"
#include "cuda/device/block.cuh"
#include "cuda/device/math.cuh"
#include "cuda/launch.h"
#include "cuda/nms.h"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / int(kWarp), kBoxColumns = 5;
static_assert(kWarps == kBlockUnits && int(kWarp) == kUnitRows);

// Where a row of predictions comes from.
template <class T>
struct Row {
  const T* logits;
  float x, y, stride, anchor_w, anchor_h;
};

template <class T>
MTYOLO_DEV Row<T> row_at(const DecodeHead& head, int image, int row) {
  int l = 0;
  for (; l + 1 < head.level_count; ++l) {
    const int rows = head.levels[l].raw.h * head.levels[l].raw.w * head.levels[l].anchor_count;
    if (row < rows) break;
    row -= rows;
  }
  const DecodeLevel& level = head.levels[l];
  const int pixels = level.raw.h * level.raw.w, anchor = row / pixels, pixel = row % pixels;
  const int64_t from = (int64_t{image} * pixels + pixel) * level.raw.pixel_stride;
  return {static_cast<const T*>(level.raw.data) + from + anchor * (kBoxColumns + head.classes),
          float(pixel % level.raw.w),
          float(pixel / level.raw.w),
          level.stride,
          level.anchors[2 * anchor],
          level.anchors[2 * anchor + 1]};
}

// Both kernels below decode by these instructions, so that they agree bit for bit; mul_rn because corners are
// differences from these products.
template <class T>
MTYOLO_DEV float decoded(const Row<T>& row, int column) {
  const float s = sigmoid(to_float(row.logits[column]));
  if (column == 0) return mul_rn(2 * s - 0.5f + row.x, row.stride);
  if (column == 1) return mul_rn(2 * s - 0.5f + row.y, row.stride);
  if (column == 2) return 2 * s * (2 * s) * row.anchor_w;
  if (column == 3) return 2 * s * (2 * s) * row.anchor_h;
  return s;
}

// A warp for each row: reads and writes of neighbours.
template <class T>
MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 4) decode_kernel(DecodeHead head, int rows, float* predictions) {
  const int row = int(block_index().x) * kWarps + int(warp_index()), image = int(block_index().y);
  if (row >= rows) return;
  const Row<T> from = row_at<T>(head, image, row);
  const int columns = kBoxColumns + head.classes;
  float* const to = predictions + (int64_t{image} * rows + row) * columns;
  for (int c = int(lane_index()); c < columns; c += int(kWarp)) to[c] = decoded(from, c);
}

struct CandidateParams {
  int head_index, rows, first_unit, units, capacity;
  bool multi_label;
  const uint8_t* wanted;
  int class_limit;
  int* unit_counts;
  NmsCandidate* candidates;
};

MTYOLO_DEV bool finite(float x) { return (as_bits(x) & 0x7f800000u) != 0x7f800000u; }

// The candidates of one row, made by a warp: how many there are, and with kStore from place `at` on.
template <bool kStore, class T>
MTYOLO_DEV int row_candidates(const DecodeHead& head, const CandidateParams& p, const Row<T>& row,
                              NmsCandidate* out, int at) {
  const int lane = int(lane_index());
  const float x = decoded(row, 0), y = decoded(row, 1), w = decoded(row, 2), h = decoded(row, 3);
  const float objectness = decoded(row, 4);
  NmsCandidate d{x - w / 2, y - h / 2, x + w / 2, y + h / 2, 0, 0, p.head_index, 0};
  const bool objectness_alone = head.classes == 1 && head.score_is_objectness;
  bool good = finite(x) && finite(y) && finite(w) && finite(h) && finite(d.x1) && finite(d.y1) &&
              finite(d.x2) && finite(d.y2);
  uint32_t best_bits = 0;  // scores are not negative, so that their bits order them
  int best = INT32_MAX;
  for (int c = lane; c < head.classes; c += int(kWarp)) {
    const float s = decoded(row, kBoxColumns + c);
    const uint32_t bits = as_bits(objectness * s);
    good = good && MTYOLO_MUTANT(161, finite(s), true);
    if (best == INT32_MAX || bits > best_bits) best_bits = bits, best = c;
  }
  if (!all(good)) return 0;
  best = reduce_min(best_bits == reduce_max(best_bits) ? best : INT32_MAX);
  int count = 0;
  for (int first = 0; first < head.classes; first += int(kWarp)) {
    const int c = first + lane;
    bool take = c < head.classes && (p.multi_label || c == MTYOLO_MUTANT(162, best, 0));
    if (take) {
      d.confidence = objectness_alone ? objectness : objectness * decoded(row, kBoxColumns + c);
      d.class_id = head.class_ids[c];
      take = MTYOLO_MUTANT(163, d.confidence > head.conf_thres, d.confidence >= head.conf_thres) &&
             (p.wanted == nullptr ||
              (d.class_id < p.class_limit && p.wanted[MTYOLO_MUTANT(164, d.class_id, c)] != 0));
    }
    const uint32_t votes = ballot(take);
    if constexpr (kStore) {
      const int place = at + count + int(count_bits(votes & ((1u << lane) - 1)));
      if (take && MTYOLO_MUTANT(165, place < p.capacity, place <= p.capacity)) out[place] = d;
    }
    count += int(count_bits(votes));
  }
  return count;
}

// How many candidates of the image lie before those of this warp.
MTYOLO_DEV int candidates_before(const int* unit_counts, int block_unit) {
  int before = 0;
  for (int u = int(thread_index().x); u < block_unit; u += kThreads) before += unit_counts[u];
  before = block_sum(before);
  for (int w = 0; w < int(warp_index()); ++w) before += unit_counts[block_unit + w];
  return before;
}

// A warp looks at the objectness of 32 rows, then with all lanes at each row that passes. Launched twice: to
// count the candidates of every warp, and to store them where the counts say: their order is that of rows.
template <class T, bool kStore>
MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 4) candidates_kernel(DecodeHead head, CandidateParams p) {
  const int image = int(block_index().y), block_unit = p.first_unit + int(block_index().x) * kWarps;
  int* const unit_counts = p.unit_counts + int64_t{image} * p.units;
  NmsCandidate* const out = p.candidates + int64_t{image} * p.capacity;
  int at = kStore ? candidates_before(unit_counts, block_unit) : 0;
  const int first = (int(block_index().x) * kWarps + int(warp_index())) * kUnitRows;
  const int mine = first + int(lane_index());
  const bool passed = mine < p.rows && decoded(row_at<T>(head, image, mine), 4) > head.conf_thres;
  for (uint32_t left = ballot(passed); left != 0; left &= left - 1)
    at += row_candidates<kStore>(head, p, row_at<T>(head, image, first + int(lowest_bit(left))), out, at);
  if (!kStore && lane_index() == 0) unit_counts[block_unit + int(warp_index())] = at;
}

template <class T>
void make_candidates(KernelStream stream, const DecodeHead& head, const CandidateParams& p, int images) {
  const LaunchDims dims{{uint32_t(units_of(p.rows) / kBlockUnits), uint32_t(images)}, {kThreads}};
  launch(candidates_kernel<T, false>, dims, stream, head, p);
  launch(candidates_kernel<T, true>, dims, stream, head, p);
}

// Calls f(T{}) for the type of the raw maps.
template <class F>
void with_type(const DecodeHead& head, F&& f) {
  switch (head.levels[0].raw.type) {
    case KernelType::kF32:
      return f(float{});
    case KernelType::kF16:
      return f(half{});
    case KernelType::kBF16:
      return f(bfloat16{});
    default:
      check_argument(false, "decode: raw maps must be f32, f16 or bf16");
  }
}

}  // namespace

void decode(KernelStream stream, const DecodeHead& head, int images, float* predictions) {
  const int rows = decode_rows(head, images);
  with_type(head, [&]<class T>(T) {
    launch(decode_kernel<T>, {{uint32_t(rows + kWarps - 1) / kWarps, uint32_t(images)}, {kThreads}}, stream,
           head, rows, predictions);
  });
}

void nms(KernelStream stream, const NmsArgs& args) {
  const NmsSelectArgs select = nms_plan(args).select;
  check_argument(args.workspace != nullptr && reinterpret_cast<uintptr_t>(args.workspace) % 16 == 0 &&
                     args.workspace_bytes >= nms_workspace(args),
                 "nms: the workspace is not aligned to 16 bytes or smaller than nms_workspace");
  CandidateParams p{0,
                    0,
                    0,
                    select.units,
                    select.capacity,
                    args.multi_label,
                    args.wanted_classes,
                    args.class_limit,
                    const_cast<int*>(select.unit_counts),
                    const_cast<NmsCandidate*>(select.candidates)};
  for (const DecodeHead& head : args.heads) {
    check_argument(head.class_ids != nullptr, "nms: a head without class_ids");
    p.rows = decode_rows(head, args.images);
    with_type(head, [&]<class T>(T) { make_candidates<T>(stream, head, p, args.images); });
    p.first_unit += units_of(p.rows);
    ++p.head_index;
  }
  nms_select(stream, select);
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS
