// What this process has used so far, from /proc.
#pragma once

#include <string>

namespace mtyolo::cli {

// Since the kernel started the process, a launcher that became it included; to the 10 ms of the kernel's
// clock tick. 0 where the system does not say.
double seconds_since_process_start();
double process_cpu_seconds();  // of all threads
double peak_memory_mib();      // highest resident set (VmHWM); 0 where the system does not say
std::string utc_now();         // "2024-05-01T12:00:00Z"

}  // namespace mtyolo::cli
