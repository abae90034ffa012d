// The flags every verb has (conventions.md section 1) and what follows from them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/options.h"
#include "core/context.h"
#include "ops/impls.h"

namespace mtyolo::cli {

struct CommonOptions {
  std::string device;             // as given; cli/backend.h
  int threads = 0;                // 0 = all cores
  bool low_memory = false;        // prefer less memory over speed
  std::vector<std::string> impl;  // "conv2d=cpu.reference"
  int64_t seed = 0;
  bool deterministic = false;  // on the CPU every run is
  bool json = false, quiet = false, verbose = false;
  std::string log_file, config;
  std::string project, name = "exp";  // project: "runs/<verb>" unless given
  bool exist_ok = false;
  std::string profile;  // Chrome trace, empty = off
};

// Registers the common flags under their own headline, after those of the verb.
void register_common(Options& options, CommonOptions& common, const std::string& verb);

// Logging, memory and profiling as asked for, and the notes of `options`.
void apply_common(const Options& options, const CommonOptions& common);

// What ops run with: --threads.
Context make_context(const CommonOptions& common);
// The CPU implementations with those of --impl forced.
ops::Impls make_impls(const CommonOptions& common);

}  // namespace mtyolo::cli
