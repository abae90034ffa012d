#include "cuda/nms.h"

#include "cuda/detect.h"
#include "tests/cuda/nms_case.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

template <class F>
void in_all_runs(F&& fault) {
  for (const emulator::Options& run : kernel_runs()) {
    const WithOptions with(run);
    INFO(to_string(run));
    CHECK(fault() == "");
  }
}

}  // namespace

TEST_CASE("simt: decode and nms equal those of ops, whatever the types, heads and labels") {
  const auto type = GENERATE(KernelType::kF32, KernelType::kF16, KernelType::kBF16);
  in_all_runs([&] {
    return nms_fault({.type = type, .classes = {3, 40}, .params = {.multi_label = true, .max_det = 400}});
  });
}

TEST_CASE("simt: nms keeps to the rules of ops::nms") {
  const ops::NmsParams plain{.iou_thres = 0.5};
  ops::NmsParams agnostic = plain, filtered = plain, few = plain, score = plain, many = plain;
  agnostic.agnostic = true, filtered.classes = {1, 8}, few.max_det = 5, few.max_nms = 9;
  score.one_class_score_is_objectness = false, many.multi_label = true, many.conf_thres = 0.001f;
  many.max_det = 100;
  const auto c = GENERATE_COPY(
      NmsCase{.params = plain}, NmsCase{.classes = {2, 4}, .params = agnostic},
      NmsCase{.classes = {2, 2}, .shared_ids = true, .params = plain},
      NmsCase{.classes = {3, 3}, .params = filtered}, NmsCase{.classes = {1}, .params = plain},
      NmsCase{.classes = {1}, .params = score}, NmsCase{.classes = {33, 1}, .spoiled = true, .params = many},
      NmsCase{.side = 12, .dense = 30, .params = plain}, NmsCase{.dense = 0, .params = plain},
      NmsCase{.dense = 100, .params = few}, NmsCase{.spare = 0, .params = many},
      NmsCase{.spare = -1, .params = many});
  in_all_runs([&] { return nms_fault(c); });
}

TEST_CASE("simt: suppression equals that of ops bit for bit, also at the threshold and among equals") {
  for (const double iou : {0.5, 0.45, 0.25})
    in_all_runs([&] { return select_fault({65, 0, 64, 500, 1}, 3, 7, {.iou_thres = iou, .max_det = 150}); });
}

TEST_CASE("simt: thousands of overlapping boxes are sorted and suppressed as by ops") {
  in_all_runs([] { return select_fault({3000, 100}, 2, 1 << 20, {.iou_thres = 0.1, .agnostic = true}); });
  in_all_runs([] { return select_fault({2049}, 5, 40, {.iou_thres = 0.9, .max_det = 70, .max_nms = 2000}); });
}

TEST_CASE("simt: nms writes the same bits for every seed") {
  emulator::Options o = emulator::options();
  o.order = emulator::Order::kShuffle;
  o.repeat = 3;
  const WithOptions with(o);
  CHECK(nms_fault({.classes = {3, 2}, .params = {.multi_label = true}}) == "");
}

TEST_CASE("simt: nms refuses what does not fit together") {
  DecodeHead head;
  float raw = 0;
  head.level_count = 1, head.classes = 2;
  head.levels[0] = {.raw = {&raw, KernelType::kF32, 2, 1, 1, 14, 14}, .anchor_count = 2};
  CHECK(error_text([&] { simt::decode({}, head, 3, &raw); }).find("raw map") != std::string::npos);
  NmsArgs args{.heads = {&head, 1}, .images = 2, .workspace = &raw};
  args.workspace_bytes = nms_workspace(args) - 1;
  CHECK(error_text([&] { simt::nms({}, args); }).find("workspace") != std::string::npos);
  args.max_det = 0;
  CHECK(error_text([&] { nms_workspace(args); }).find("max_det") != std::string::npos);
}
