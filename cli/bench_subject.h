// What `mtyolo bench` times: one file and one line in bench.cpp per subject.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/common.h"
#include "cli/output.h"
#include "models/model.h"

namespace mtyolo::cli {

struct BenchParams {
  std::string weights, cfg;  // a checkpoint, or a cfg that is run on random weights
  int size = 640, batch = 1;
  std::string dtype = "fp32";
};

// Time of one part of a run.
struct BenchLayer {
  std::string op, scope, detail;
  double ms = 0, gflops = 0;
};

double median(std::vector<double> values);  // 0 of none

class BenchSubject {
 public:
  virtual ~BenchSubject() = default;
  virtual void once() = 0;  // one timed run
  virtual double flops() const = 0;
  // More to report of a subject on a device; null: it runs on the CPU.
  virtual Json device_facts() { return nullptr; }
  // Median times of the parts over a few runs of their own, so that the clock between them costs the total
  // nothing. `stop` is asked between runs.
  virtual std::vector<BenchLayer> layers(const std::function<bool()>& stop) = 0;
};

// The network of a subject. Sides that are no multiple of the stride are rounded up in `params`, with a
// warning.
models::Model load_bench_model(BenchParams& params, const CommonOptions& common);

std::unique_ptr<BenchSubject> bench_model(Context& ctx, const CommonOptions& common, BenchParams& params);
// The weights of the network move.
std::unique_ptr<BenchSubject> bench_train(Context& ctx, const CommonOptions& common, BenchParams& params);

}  // namespace mtyolo::cli
