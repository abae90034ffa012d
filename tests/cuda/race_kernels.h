// Kernels with races, and the same without; compiled with the hooks of the race checker.
#pragma once

namespace mtyolo::test {

// Kernel `which` of race_kernels.cpp on one or two blocks of 64 threads, with what orders its accesses or
// without.
enum class RaceKernel { kBarrier, kWarp, kShuffle, kRing, kBlocks, kSemaphore, kAtomic };
void run_race_kernel(RaceKernel which, bool ordered);

}  // namespace mtyolo::test
