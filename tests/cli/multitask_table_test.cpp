// What bench multitask says of its runs, and where it says nothing.
#include "cli/multitask_table.h"
#include "cli/bench_report.h"

#include <catch2/catch.hpp>

#include "core/error.h"

using namespace mtyolo;
using namespace mtyolo::cli;

namespace {

std::vector<MultitaskRun> runs_of(const std::string& sharing, const std::vector<double>& first_head,
                                  const std::vector<double>& second_head) {
  std::vector<MultitaskRun> runs;
  for (size_t i = 0; i < first_head.size(); ++i) {
    MultitaskRun r;
    r.set = "cells";
    r.sharing = sharing;
    r.seed = int(i);
    r.parameters = 1.5e6;
    r.ms_per_image = double(10 + i);
    r.map50 = {first_head[i], second_head[i]};
    r.map50_95 = {first_head[i] / 2, second_head[i] / 2};
    runs.push_back(r);
  }
  return runs;
}

std::string table(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<MultitaskRun> runs = runs_of("two networks", {0.80, 0.84, 0.82}, {0.50, 0.52, 0.51});
  const std::vector<MultitaskRun> more = runs_of("hard", a, b);
  runs.insert(runs.end(), more.begin(), more.end());
  return multitask_markdown({{"cells", {"x", "y"}}}, runs);
}

}  // namespace

TEST_CASE("multitask: a sharing is better or worse only where the ranges over the seeds are apart", "[cli]") {
  const std::string text = table({0.86, 0.85, 0.87}, {0.49, 0.48, 0.47});
  CHECK(text.find("- hard against two networks, mAP@.5: x 4.0 points better; y 3.0 points worse\n") !=
        std::string::npos);
}

TEST_CASE("multitask: ranges that touch are no difference, however far the means are apart", "[cli]") {
  const std::string text = table({0.84, 0.90, 0.93}, {0.50, 0.30, 0.31});
  CHECK(text.find("x no difference beyond the spread (+7.0); y no difference beyond the spread (-14.0)") !=
        std::string::npos);
}

TEST_CASE("multitask: a row has the means, and the range of each head's mAP in per cent", "[cli]") {
  const std::string text = table({0.86, 0.85, 0.87}, {0.49, 0.48, 0.47});
  CHECK(text.find("| two networks | 1.50 M | 11.0 | 0 | 0 | 0 | 82.0 (80.0 to 84.0) | 41.0 (40.0 to 42.0) | "
                  "51.0 (50.0 to 52.0) | 25.5 (25.0 to 26.0) |\n") != std::string::npos);
}

TEST_CASE("multitask: the table replaces what stands between the markers and nothing else", "[cli]") {
  const std::string page = "a\n<!-- bench multitask: begin -->\nold\n<!-- bench multitask: end -->\nz\n";
  CHECK(replace_between_markers(page, "multitask", "new\n", "p.md") ==
        "a\n<!-- bench multitask: begin -->\nnew\n<!-- bench multitask: end -->\nz\n");
  CHECK_THROWS_AS(replace_between_markers("no markers", "multitask", "new", "p.md"), Error);
}
