#include "tests/cuda/simt_testing.h"

#include <algorithm>
#include <limits>

#include "cuda/simt/stream.h"
#ifdef MTYOLO_TEST_ON_GPU
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>

#include "cuda/cuda_device.h"
#endif

namespace mtyolo::test {

#ifdef MTYOLO_TEST_ON_GPU
namespace {
void check(cudaError_t error, const char* call) {
  if (error != cudaSuccess) fail(ExitCode::kRuntime, "cuda", "{} from {}", cudaGetErrorString(error), call);
}
// Ends the process as skipped on a machine without a GPU.
void need_gpu() {
  static const std::string absence = cuda_absence();
  if (absence.empty()) return;
  std::printf("skipped: %s\n", absence.c_str());
  std::exit(kNoDeviceExitCode);
}
}  // namespace

void* allocate_tested(size_t bytes) {
  need_gpu();
  void* p = nullptr;
  check(cudaMallocManaged(&p, std::max<size_t>(bytes, 1)), "cudaMallocManaged");
  std::memset(p, 0xff, bytes);
  return p;
}
void free_tested(void* pointer, size_t) noexcept { cudaFree(pointer); }
void wait_for_tested() { check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }
#else
void* allocate_tested(size_t bytes) { return emulator::simt_runtime().allocate(bytes); }
void free_tested(void* pointer, size_t bytes) noexcept {
  launch_error([] {});  // queued work may use it; whoever looks at its results has waited and met its error
  emulator::simt_runtime().free(pointer, bytes);
}
void wait_for_tested() { emulator::stream_of({}).synchronize(); }
#endif

std::vector<emulator::Options> kernel_runs() {
  if (kOnGpu) return {emulator::options()};
  std::vector<emulator::Options> runs(4, emulator::options());
  runs[0].order = emulator::Order::kInOrder;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    runs[seed].order = emulator::Order::kWarpGreedy;
    runs[seed].seed = seed;
  }
  return runs;
}

std::vector<double> random_values(size_t count, uint64_t seed, bool whole) {
  RandomStream random(seed, 0x73696d74, 0);
  std::vector<double> values(count);
  for (double& v : values)
    v = whole ? double(random.below(255) - 127) : double(random.below(257) - 128) / 128;
  return values;
}

double relative_l2(const std::vector<double>& got, const std::vector<double>& want) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i])) return std::numeric_limits<double>::infinity();
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(difference / size);
}

}  // namespace mtyolo::test

// Following a stack for uses after return costs seven times the time on fibers. Lines of reports come from
// addr2line where LLVM's own program is not installed.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "detect_stack_use_after_return=0:allow_addr2line=1";
}
