#include "cuda/nms.h"

#include <cmath>
#include <limits>

#include "cuda/check.h"
#include "cuda/device/block.cuh"
#include "cuda/device/math.cuh"
#include "cuda/launch.h"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

constexpr int kThreads = 512, kWarps = kThreads / int(kWarp);
constexpr int kDigits = 256, kPasses = 4;             // of the sort by 32 bits, 8 at a time
constexpr int kItems = 4, kTile = kThreads * kItems;  // keys of a thread and of the block at a time
constexpr int kChunk = 64;                            // boxes whose suppression is decided at a time
constexpr int kGroups = kThreads / kChunk;

MTYOLO_DEV int thread() { return int(thread_index().x); }

// The key to sort by, ascending: decreasing confidence, then index. The sum makes minus zero equal zero.
MTYOLO_DEV uint64_t sort_key(float confidence, int index) {
  const uint32_t bits = as_bits(confidence + 0.0f);
  const uint32_t descending = (bits & 0x80000000u) != 0 ? bits : ~(bits | 0x80000000u);
  return uint64_t{descending} << 32 | uint32_t(index);
}
MTYOLO_DEV int digit_of(uint64_t key, int pass) { return int(key >> (32 + 8 * pass) & (kDigits - 1)); }

// Writes the keys of `count` candidates, and where the first key with each digit goes in each pass.
MTYOLO_DEV void make_keys(const NmsCandidate* candidates, int count, uint64_t* keys,
                          int (&starts)[kPasses][kDigits]) {
  for (int i = thread(); i < kPasses * kDigits; i += kThreads) starts[i / kDigits][i % kDigits] = 0;
  sync();
  for (int i = thread(); i < count; i += kThreads) {
    keys[i] = sort_key(candidates[i].confidence, i);
    MTYOLO_UNROLL
    for (int pass = 0; pass < kPasses; ++pass) atomic_add(&starts[pass][digit_of(keys[i], pass)], 1);
  }
  sync();
  if (warp_index() < kPasses) {
    int* const of_pass = starts[warp_index()];
    int before = 0;
    for (uint32_t d = lane_index(); d < kDigits; d += kWarp) {
      const int own = of_pass[d];
      int sum = own;  // of the lanes up to this one
      for (uint32_t by = 1; by < kWarp; by *= 2) {
        const int left = shfl_up(sum, by);
        if (lane_index() >= by) sum += left;
      }
      of_pass[d] = before + sum - own;
      before += shfl(sum, kWarp - 1);
    }
  }
  sync();
}

// One pass of the sort, stable: keys of a tile are ranked within their warp, warps by a sum for each digit.
MTYOLO_DEV void scatter(const uint64_t* from, uint64_t* to, int count, int pass, int (&starts)[kDigits],
                        int (&ranks)[kWarps][kDigits]) {
  const int warp = int(warp_index()), lane = int(lane_index());
  for (int tile = 0; tile < count; tile += kTile) {
    for (int i = thread(); i < kWarps * kDigits; i += kThreads) ranks[i / kDigits][i % kDigits] = 0;
    sync();
    uint64_t keys[kItems];
    int places[kItems];
    MTYOLO_UNROLL
    for (int i = 0; i < kItems; ++i) {
      const int at = tile + (warp * kItems + i) * int(kWarp) + lane;
      keys[i] = at < count ? from[at] : 0;
      const int digit = at < count ? digit_of(keys[i], pass) : kDigits;
      const uint32_t peers = match_any(digit), before = peers & ((1u << lane) - 1);
      places[i] = at < count ? ranks[warp][digit] + MTYOLO_MUTANT(167, int(count_bits(before)),
                                                                  int(count_bits(peers & ~before)) - 1)
                             : -1;
      sync_warp();
      if (at < count && before == 0) ranks[warp][digit] += int(count_bits(peers));
      MTYOLO_MUTANT(168, sync_warp(), void());
    }
    sync();
    if (thread() < kDigits) {
      int start = starts[thread()];
      for (int w = 0; w < kWarps; ++w) {
        const int own = ranks[w][thread()];
        ranks[w][thread()] = start;
        start += own;
      }
      starts[thread()] = start;
    }
    sync();
    MTYOLO_UNROLL
    for (int i = 0; i < kItems; ++i)
      if (places[i] >= 0) to[ranks[warp][digit_of(keys[i], pass)] + places[i]] = keys[i];
    sync();
  }
}

// Whether a kept box drops another: ops/nms.cpp's operations in its order, each rounded by itself.
template <class Kept>
MTYOLO_DEV bool drops(const Kept& k, const NmsCandidate& d, float limit, bool agnostic) {
  if (!agnostic && k.class_id != d.class_id) return false;
  const float w = (d.x2 < k.x2 ? d.x2 : k.x2) - (d.x1 > k.x1 ? d.x1 : k.x1);
  const float h = (d.y2 < k.y2 ? d.y2 : k.y2) - (d.y1 > k.y1 ? d.y1 : k.y1);
  const float inter = mul_rn(w < 0 ? 0 : w, h < 0 ? 0 : h);
  const float kept_area = mul_rn(k.x2 - k.x1, k.y2 - k.y1), area = mul_rn(d.x2 - d.x1, d.y2 - d.y1);
  const float iou = inter / (kept_area + area - inter);
  return MTYOLO_MUTANT(170, iou > limit, iou >= limit);
}

// The boxes of a chunk that are kept, at most `room`: the first alive is, and drops later ones. Lane i has
// the words of boxes i and i + 32: bit j of a box's word is set when box j before it would drop it.
MTYOLO_DEV uint64_t resolve(uint64_t alive, uint64_t word, uint64_t word_32, int room) {
  uint64_t keep = 0;
  for (; alive != 0 && room > 0; --room) {
    const uint32_t low = uint32_t(alive);
    const uint32_t i = low != 0 ? lowest_bit(low) : kWarp + lowest_bit(uint32_t(alive >> 32));
    keep |= uint64_t{1} << i;
    const uint64_t dropped = ballot((word >> i & 1) != 0) | uint64_t{ballot((word_32 >> i & 1) != 0)} << 32;
    alive &= ~(uint64_t{1} << i | dropped);
  }
  return keep;
}

// Walks the sorted candidates 64 at a time: each is compared with all kept so far and with those before it in
// the chunk. The kept ones are read from the results themselves. Returns how many there are.
MTYOLO_DEV int suppress(const NmsSelectArgs& p, float limit, const NmsCandidate* candidates,
                        const uint64_t* keys, int count, DeviceDetection* kept) {
  MTYOLO_SMEM(NmsCandidate, boxes, [kChunk]);
  MTYOLO_SMEM(uint32_t, words, [kChunk][2]);
  MTYOLO_SMEM(uint32_t, dropped, [kGroups][2]);
  MTYOLO_SMEM(uint64_t, keep, [1]);
  const int mine = thread() % kChunk, group = thread() / kChunk;
  const int half = int(warp_index()) % 2, lane = int(lane_index());
  int found = 0;
  for (int first = 0; first < count && found < p.max_det; first += kChunk) {
    const int size = count - first < kChunk ? count - first : kChunk;
    if (thread() < size) boxes[thread()] = candidates[uint32_t(keys[first + thread()])];
    MTYOLO_MUTANT(172, sync(), void());
    const NmsCandidate box = boxes[mine < size ? mine : 0];
    bool hit = mine >= size;
    for (int k = MTYOLO_MUTANT(173, group, group + kGroups); k < found && !hit; k += kGroups)
      hit = drops(kept[k], box, limit, p.agnostic);
    const uint32_t hits = ballot(hit);
    if (lane == 0) dropped[group][half] = hits;
    for (int i = group; i < size; i += kGroups) {
      const uint32_t bits = ballot(mine < i && drops(box, boxes[i], limit, p.agnostic));
      if (lane == 0) words[i][half] = bits;
    }
    MTYOLO_MUTANT(169, sync(), void());
    if (warp_index() == 0) {
      uint64_t gone = 0;
      for (int g = 0; g < kGroups; ++g) gone |= dropped[g][0] | uint64_t{dropped[g][1]} << 32;
      const auto word = [&](int i) { return i < size ? words[i][0] | uint64_t{words[i][1]} << 32 : 0; };
      const uint64_t result =
          resolve(~gone, word(lane), word(lane + int(kWarp)), p.max_det - found + MTYOLO_MUTANT(174, 0, 1));
      if (lane == 0) keep[0] = result;
    }
    sync();
    const uint32_t low = uint32_t(keep[0]), high = uint32_t(keep[0] >> 32);
    if (thread() < kChunk && (keep[0] >> thread() & 1) != 0) {
      const uint32_t below = (1u << lane) - 1;
      const uint32_t before =
          half == 0 ? count_bits(low & below) : count_bits(low) + count_bits(high & below);
      kept[found + int(before)] = {box.x1, box.y1, box.x2, box.y2, box.confidence, box.class_id, box.head};
    }
    found += int(count_bits(low) + count_bits(high));
  }
  return found;
}

MTYOLO_KERNEL MTYOLO_BOUNDS(kThreads, 1) select_kernel(NmsSelectArgs p, float limit) {
  MTYOLO_SMEM(int, starts, [kPasses][kDigits]);
  MTYOLO_SMEM(int, ranks, [kWarps][kDigits]);
  const int64_t image = block_index().x;
  int count = 0;
  for (int u = thread(); u < p.units; u += kThreads) count += p.unit_counts[image * p.units + u];
  count = block_sum(count);
  const bool too_many = MTYOLO_MUTANT(175, count > p.capacity, count >= p.capacity);
  if (thread() == 0) p.overflow[image] = too_many ? count : 0;
  if (too_many) count = 0;
  const NmsCandidate* const candidates = p.candidates + image * p.capacity;
  uint64_t* keys = p.keys + image * p.capacity;
  uint64_t* other = p.scratch + image * p.capacity;
  make_keys(candidates, count, keys, starts);
  for (int pass = 0; pass < kPasses; ++pass) {
    scatter(keys, other, count, pass, starts[pass], ranks);
    uint64_t* const sorted = other;
    other = keys, keys = sorted;
  }
  const int found = suppress(p, limit, candidates, keys,
                             count < p.max_nms ? count : MTYOLO_MUTANT(177, p.max_nms, p.max_nms + 1),
                             p.detections + image * p.max_det);
  if (thread() == 0) p.counts[image] = found;
}

// The largest float not above the threshold: an f32 IoU is greater than one exactly when it is greater than
// the other.
float float_at_most(double threshold) {
  const float f = float(threshold);
  return double(f) > threshold ? std::nextafter(f, -std::numeric_limits<float>::infinity()) : f;
}

}  // namespace

void nms_select(KernelStream stream, const NmsSelectArgs& args) {
  check_argument(
      args.images > 0 && args.capacity > 0 && args.units > 0 && args.max_det > 0 && args.max_nms >= 0,
      "nms_select: images, capacity, units and max_det must be positive, max_nms not negative");
  check_argument(args.detections != nullptr && args.counts != nullptr && args.overflow != nullptr,
                 "nms_select: no place for the results");
  launch(select_kernel, {{uint32_t(args.images)}, {kThreads}}, stream, args, float_at_most(args.iou_thres));
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS
