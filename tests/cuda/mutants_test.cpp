// Defects on purpose, each of which at least one configuration of CI must find.
#include <functional>
#include <set>

#include "cuda/device/config.cuh"
#include "cuda/simt/counters.h"
#include "tests/cuda/conv_case.h"
#include "tests/cuda/conv_grad_case.h"
#include "tests/cuda/gemm_case.h"
#include "tests/cuda/map_case.h"
#include "tests/cuda/nms_case.h"
#include "tests/cuda/norm_case.h"
#include "tests/cuda/optimizer_case.h"
#include "tests/cuda/race_testing.h"
#include "tests/cuda/reduce_case.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

struct Mutant {
  int number;
  const char* what;
};

// Defects, and whether the tests of their kernels find anything wrong.
struct Suite {
  std::vector<Mutant> mutants;
  std::function<bool()> wrong;
};

const std::vector<Mutant> kProductMutants{
    {1, "scale of the neighbouring channel"},
    {2, "bias subtracted"},
    {3, "no swizzle, on neither side"},
    {4, "one row too many read"},
    {5, "one chunk too many read at the end of k"},
    {6, "another swizzle when loading"},
    {7, "wait for one group too few"},
    {8, "next copy started before the barrier"},
    {9, "barrier after the wait dropped"},
    {10, "one channel too many stored"},
    {11, "fragments of two neighbouring tiles of b swapped"},
    {12, "row and column of the accumulators swapped"},
    {13, "channel offset forgotten"},
    {14, "last column left out"},
    {15, "sum not stored"},
    {16, "wait dropped"},
    {17, "another stage read than was filled"},
    {18, "barrier before the parts are added dropped"},
    {19, "shuffles over half a warp"},
};

bool products_wrong() {
  const GemmCase cases[] = {{.m = 70, .n = 40, .k = 208, .c_offset = 8, .c_extra = 3, .scaled = true},
                            {.m = 40, .n = 66, .k = 80, .stages = 2}};
  bool wrong = false;
  for (const GemmCase& c : cases)
    for (const KernelMath math : {KernelMath::kF16, KernelMath::kF32})
      wrong = wrong || !gemm_fault(math, c).empty();
  for (const int columns : {100, 1000})
    wrong = wrong || !row_sum_fault(KernelType::kF32, 5, columns, 1).empty();
  return wrong;
}

const std::vector<Mutant> kMapMutants{
    {140, "last pack of channels stored whole"},       {141, "upsampling repeats rows instead of pixels"},
    {142, "row and column of space_to_depth swapped"}, {143, "scale of a pack's first channels for all"},
    {144, "last maximum instead of the first"},        {145, "one column too many in a window"},
    {146, "barrier after the tile of a pool dropped"}, {147, "fourth channel not zero"},
    {148, "two roundings of a letterbox in one"},      {149, "slabs of a sum over pixels left out"},
};

bool maps_wrong() {
  const MapCase tail{KernelType::kF16, {2, 37, 4, 8}, 0, 11};
  return !map_ops_fault(tail).empty() || !map_grad_fault(tail).empty() ||
         !image_fault(KernelType::kF16).empty() ||
         !pool_fault({{KernelType::kF16, {2, 16, 6, 5}}, 5, 1, 2}, false).empty() ||
         !pool_fault({{KernelType::kF32, {2, 3, 4, 6}}, 2, 2, 0}, true).empty();
}

const std::vector<Mutant> kConvMutants{
    {100, "scale of s8 results forgotten"},
    {101, "enlarged pixels on the wrong line"},
    {102, "moments over rows behind the last pixel"},
    {103, "splits added in the order of their coming"},
    {104, "results staged while operands are read"},
    {105, "barrier after staging dropped"},
    {106, "no swizzle, on neither side"},
    {107, "halo off by one"},
    {108, "one channel too many of the weights read"},
    {109, "one chunk too many of the weights read"},
    {110, "wait dropped"},
    {111, "wait for one group too few"},
    {112, "barrier after the wait dropped"},
    {113, "halves of the accumulators swapped"},
    {114, "kernel rows and columns swapped"},
    {115, "taps of a stem's chunk swapped"},
    {116, "channels of another group"},
    {117, "lines of 16 bytes to any address"},
    {118, "whole lines at the last channels"},
};

bool convolutions_wrong() {
  const auto wrong = [](KernelMath math, const ConvCase& c) { return !conv_fault(math, c).empty(); };
  if (wrong(KernelMath::kF16, {.size = 5, .c = 40, .k = 23, .y_offset = 1, .second = 4}) ||
      wrong(KernelMath::kF16, {.size = 5, .c = 4, .k = 23, .y_extra = 1, .moments = true}) ||
      wrong(KernelMath::kF16, {.size = 5, .c = 16, .k = 16, .groups = 4}) ||
      wrong(KernelMath::kS8, {.size = 5, .c = 16, .k = 16, .out = KernelType::kS8}))
    return true;
  emulator::Options again = emulator::options();
  if (again.count) return false;
  again.order = emulator::Order::kBlockShuffle, again.repeat = 3;
  const WithOptions with(again);
  return wrong(KernelMath::kF32, {.size = 5, .c = 16, .k = 8, .config = {64, 64, 2, 7}});
}

const std::vector<Mutant> kTrainingMutants{
    {150, "last pixel of a map left out"},
    {151, "channels beyond the slice stored"},
    {152, "barrier before the sums of a block dropped"},
    {153, "barrier before the sums of tiles dropped"},
    {154, "moments of tiles joined without their count"},
    {155, "running variance divided by the count"},
    {156, "slope of SiLU with the other sign"},
    {157, "momentum without Nesterov's look ahead"},
    {158, "four values moved at the end of a buffer"},
    {159, "infinite gradients not seen"},
};

bool training_wrong() {
  const NormCase c{.n = 2, .h = 9, .w = 11, .c = 21, .before = 3, .after = 4};
  const NormCase aligned{.n = 1, .h = 5, .w = 5, .c = 12, .before = 16, .after = 4};
  return !norm_fault(KernelType::kF32, c).empty() || !norm_fault(KernelType::kF16, aligned).empty() ||
         !optimizer_fault({.rule = StepRule::kSgd, .bad_step = 1}).empty();
}

const std::vector<Mutant> kGradientMutants{
    {120, "taps of the other parity"},
    {121, "wait for one group too few"},
    {122, "barrier after the wait dropped"},
    {123, "one row too many of the weights read"},
    {124, "one row too many of gy read"},
    {125, "no swizzle, on neither side"},
    {126, "one pixel too many at the end of a part"},
    {127, "parts added backwards"},
    {128, "overwritten instead of added to"},
    {129, "the channel that pads stored"},
    {130, "lanes exchange with the wrong neighbour"},
    {131, "the first of two taps copied twice"},
    {132, "values not finite not flagged"},
    {133, "last pixel of the bias left out"},
    {134, "another stage read than was filled"},
    {135, "one column too many of x read"},
    {136, "barrier before the sums of a bias dropped"},
    {137, "rows of gx that meet no tap of a group"},
    {138, "barrier before the sums of a group's lines dropped"},
    {139, "last of a group's lines left out"},
};

bool gradients_wrong() {
  const ConvGradCase cases[] = {{.shape = {1, 4, 5, 16, 72, 3, 2, 1}, .splits = 2, .accumulate = true},
                                {.shape = {2, 7, 6, 4, 40, 3, 1, 1}, .splits = 3, .channels = 3},
                                {.shape = {1, 6, 6}, .infinite = true},
                                {.shape = {1, 15, 5, 16, 40, 3, 2, 1, 8}, .splits = 1}};
  bool wrong = !wgrad_order_fault().empty();
  for (const KernelMath math : {KernelMath::kF16, KernelMath::kF32}) {
    wrong = wrong || !dgrad_fault(math, cases[0]).empty() || !dgrad_fault(math, cases[3]).empty();
    for (const ConvGradCase& c : cases) wrong = wrong || !wgrad_fault(math, c).empty();
    wrong = wrong || !bias_grad_fault(math, cases[1]).empty();
  }
  return wrong;
}

const std::vector<Mutant> kDetectionMutants{
    {161, "rows with a class that is not finite taken"},
    {162, "first class instead of the best"},
    {163, "confidence at the threshold taken"},
    {164, "class filter by column"},
    {165, "one candidate too many stored"},
    {167, "equal digits in reverse order"},
    {168, "barrier after the ranks of a warp dropped"},
    {169, "barrier before a chunk is resolved dropped"},
    {170, "IoU at the threshold suppressed"},
    {172, "barrier before boxes are read dropped"},
    {173, "first kept boxes forgotten"},
    {174, "one box more than max_det kept"},
    {175, "exactly full counted as overflow"},
    {177, "one box more than max_nms visited"},
};

bool detections_wrong() {
  const ops::NmsParams some{.max_det = 5, .classes = {0, 7}}, all{.multi_label = true};
  return !nms_fault({.classes = {3, 1}, .side = 4, .spoiled = true, .spare = 0, .params = some}).empty() ||
         !nms_fault({.side = 4, .spare = -1, .params = all}).empty() ||
         !select_fault({140, 70}, 2, 9, {.iou_thres = 0.25, .agnostic = true}).empty() ||
         !select_fault({70}, 9, 9, {.iou_thres = 0.9, .max_det = 40, .max_nms = 20}).empty();
}

const std::vector<Mutant> kHopperMutants{
    {180, "barriers made without a fence"},
    {181, "full barrier always waited for at phase 0"},
    {182, "empty barrier waited for at the other phase"},
    {183, "stage never handed back"},
    {184, "bytes of the weights not expected"},
    {185, "wait for the stage's bytes dropped"},
    {186, "another swizzle in the descriptor"},
    {187, "wait for the last products dropped"},
    {188, "stage handed back while it is multiplied"},
    {189, "stage filled before it is handed back"},
    {190, "fence before the products dropped"},
    {191, "row and column of the tap swapped"},
    {192, "second warpgroup multiplies the first one's pixels"},
    {193, "staged part overwritten before it is read"},
    {194, "last channels of a tap left out"},
    {195, "pad forgotten"},
};

bool hopper_wrong() {
  const ConvCase cases[] = {
      {.size = 8, .c = 24, .k = 70, .hopper = 1, .config = {128, 64, 8, 1}},
      {.size = 9, .c = 72, .k = 130, .kernel = 1, .hopper = 1, .config = {128, 128, 6, 1}}};
  bool wrong = false;
  for (const ConvCase& c : cases) wrong = wrong || !conv_fault(KernelMath::kF16, c).empty();
  return wrong;
}

const std::vector<Suite> kSuites{
    {kHopperMutants, hopper_wrong},
    {kProductMutants, products_wrong},
    {kConvMutants, convolutions_wrong},
    {kGradientMutants, gradients_wrong},
    {kMapMutants, maps_wrong},
    {kTrainingMutants, training_wrong},
    {kDetectionMutants, detections_wrong},
};

bool tests_fail(const Suite& suite, const emulator::Options& options) {
  const WithOptions with(options);
  emulator::reset_counters();
  bool wrong = false;
  const std::string thrown = error_text([&] { wrong = suite.wrong(); });
  return wrong || thrown != "no error" || emulator::counters().shared_extra != 0;
}

// The configurations of CI that find the present defect.
std::set<std::string> found_by(const Suite& suite) {
  std::set<std::string> found;
  for (const emulator::Options& run : kernel_runs())
    if (tests_fail(suite, run))
      found.insert(run.order == emulator::Order::kInOrder ? "in order" : "warp-greedy");
  emulator::Options counting = emulator::options();
  counting.count = true;
  if (found.empty() && tests_fail(suite, counting)) found.insert("bank counter");
  const WithRaceChecker checker;
  if (tests_fail(suite, emulator::options())) found.insert("race checker");
  return found;
}

}  // namespace

TEST_CASE("simt_race: without a defect no configuration finds one") {
  emulator::mutant = 0;
  for (const Suite& suite : kSuites) CHECK(found_by(suite).empty());
}

TEST_CASE("simt_race: every seeded defect is found by a configuration of CI") {
  std::set<std::string> ways;
  for (const Suite& suite : kSuites)
    for (const Mutant& m : suite.mutants) {
      emulator::mutant = m.number;
      const std::set<std::string> found = found_by(suite);
      emulator::mutant = 0;
      std::string list;
      for (const std::string& f : found) list += (list.empty() ? "" : ", ") + f;
      std::printf("%2d %-50s %s\n", m.number, m.what, list.c_str());
      INFO(m.number << ": " << m.what);
      CHECK(!found.empty());
      ways.insert(found.begin(), found.end());
    }
  CHECK(ways.size() == 4);
}
