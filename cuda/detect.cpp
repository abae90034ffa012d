#include "cuda/check.h"
#include "cuda/nms.h"

namespace mtyolo {

int decode_rows(const DecodeHead& head, int images) {
  check_argument(images > 0 && images <= 65535, "decode: images must be 1 .. 65535");
  check_argument(head.level_count > 0 && head.level_count <= kMostLevels, "decode: a head has 1 .. 8 levels");
  check_argument(head.classes >= 0, "decode: a head cannot have less than 0 classes");
  int64_t rows = 0;
  for (int l = 0; l < head.level_count; ++l) {
    const DecodeLevel& level = head.levels[l];
    check_argument(level.anchor_count > 0 && level.anchor_count <= kMostAnchors,
                   "decode: a level has 1 .. 5 anchors");
    check_argument(level.raw.data != nullptr && level.raw.n == images && level.raw.h > 0 && level.raw.w > 0 &&
                       level.raw.c == level.anchor_count * (5 + head.classes) &&
                       level.raw.pixel_stride >= level.raw.c,
                   "decode: a raw map is not [images, h, w, anchors * (5 + classes)]");
    check_argument(level.raw.type == head.levels[0].raw.type,
                   "decode: the raw maps of a head are of different types");
    rows += level.raw.pixels() / images * level.anchor_count;
  }
  check_argument(rows <= INT32_MAX / (5 + head.classes), "decode: more predictions than fit 31 bits");
  return int(rows);
}

NmsPlan nms_plan(const NmsArgs& args) {
  check_argument(!args.heads.empty(), "nms: no heads");
  check_argument(args.capacity > 0 && args.max_det > 0 && args.max_nms >= 0,
                 "nms: capacity and max_det must be positive, max_nms not negative");
  NmsPlan plan;
  int64_t units = 0, most = 0;
  for (const DecodeHead& head : args.heads) {
    check_argument(head.classes > 0, "nms: a head needs a class");
    const int rows = decode_rows(head, args.images);
    units += units_of(rows);
    most += int64_t{rows} * head.classes;
  }
  check_argument(most <= INT32_MAX, "nms: more candidates possible than fit 31 bits");
  const size_t slots = size_t(args.images) * size_t(args.capacity);
  char* at = static_cast<char*>(args.workspace);
  const auto take = [&](size_t bytes) {
    char* const place = at == nullptr ? nullptr : at + plan.bytes;
    plan.bytes += (bytes + 255) / 256 * 256;
    return static_cast<void*>(place);
  };
  NmsSelectArgs& s = plan.select;
  s.images = args.images, s.capacity = args.capacity, s.units = int(units);
  s.candidates = static_cast<NmsCandidate*>(take(slots * sizeof(NmsCandidate)));
  s.keys = static_cast<uint64_t*>(take(slots * sizeof(uint64_t)));
  s.scratch = static_cast<uint64_t*>(take(slots * sizeof(uint64_t)));
  s.unit_counts = static_cast<int*>(take(size_t(args.images) * size_t(units) * sizeof(int)));
  s.iou_thres = args.iou_thres, s.agnostic = args.agnostic;
  s.max_det = args.max_det, s.max_nms = args.max_nms;
  s.detections = args.detections, s.counts = args.counts, s.overflow = args.overflow;
  return plan;
}

size_t nms_workspace(const NmsArgs& args) { return nms_plan(args).bytes; }

}  // namespace mtyolo
