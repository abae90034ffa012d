// What this computer is, as `mtyolo info` shows it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/cache_sizes.h"

namespace mtyolo::cli {

struct MachineInfo {
  std::string cpu_model;                  // "unknown" where the system does not say
  std::vector<std::string> cpu_features;  // of those that choose a kernel: "avx2", "fma", "avx512f", ...
  int cores_usable = 0, cores_online = 0;
  std::vector<CpuCache> caches;  // of the first core
  uint64_t ram_bytes = 0, ram_available_bytes = 0;
  std::vector<std::string> gpus;  // what the PCI bus or the driver names; empty = none found
  std::string gpu_driver;         // version, empty = none
  std::string cuda_toolkit;       // path of nvcc, empty = none
  std::string cuda_version;       // of the toolkit, empty = unknown
};

// MachineInfo::gpus alone.
std::vector<std::string> installed_gpus();

// Reads /proc and /sys only: no driver is loaded and no process starts.
MachineInfo inspect_machine();

}  // namespace mtyolo::cli
