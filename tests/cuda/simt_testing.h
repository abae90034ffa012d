// What the tests of kernels share: buffers on the emulated device, the runs that every kernel must pass,
// errors.
#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/random.h"
#include "cuda/simt/memory.h"
#include "cuda/simt/options.h"
#include "tests/support/skip.h"
#include "tests/support/throws.h"

namespace mtyolo::test {

// The host function of a kernel under test: TESTED(gemm)(stream, args). With MTYOLO_TEST_ON_GPU the same
// tests run on an NVIDIA GPU: arrays lie in memory that host and device share, and reading one waits for the
// device.
#ifdef MTYOLO_TEST_ON_GPU
#define TESTED(name) ::mtyolo::cuda::name
inline constexpr bool kOnGpu = true;
#else
#define TESTED(name) ::mtyolo::simt::name
inline constexpr bool kOnGpu = false;
#endif
void* allocate_tested(size_t bytes);  // of 0xFF bytes
void free_tested(void* pointer, size_t bytes) noexcept;
void wait_for_tested();
// What the kernels that `f` launches end with, when they run at last (MTYOLO_SIMT_STREAMS=random).
template <class F>
std::string launch_error(F&& f) {
  return error_text([&] { f(), wait_for_tested(); });
}

// An array on the tested device. Without values it holds 0xFF bytes.
template <class T>
class SimtBuffer {
 public:
  explicit SimtBuffer(size_t count)
      : count_(count), data_(static_cast<T*>(allocate_tested(count * sizeof(T)))) {}
  explicit SimtBuffer(const std::vector<T>& values) : SimtBuffer(values.size()) {
    if (count_ != 0) std::memcpy(static_cast<void*>(data_), values.data(), count_ * sizeof(T));
  }
  ~SimtBuffer() { free_tested(data_, count_ * sizeof(T)); }
  SimtBuffer(const SimtBuffer&) = delete;
  SimtBuffer& operator=(const SimtBuffer&) = delete;

  T* get() const { return data_; }
  std::vector<T> values() const {
    wait_for_tested();
    return {data_, data_ + count_};
  }
  // Whether element i still holds the bytes it was allocated with.
  bool untouched(size_t i) const {
    wait_for_tested();
    const auto* bytes = reinterpret_cast<const unsigned char*>(data_ + i);
    for (size_t b = 0; b < sizeof(T); ++b)
      if (bytes[b] != 0xff) return false;
    return true;
  }

 private:
  size_t count_;
  T* data_;
};

// Sets options for its lifetime. On a GPU options mean nothing: a test that changes them looks at the
// emulator and is left out there.
class WithOptions {
 public:
  explicit WithOptions(const emulator::Options& o) : before_(emulator::options()) {
    if (kOnGpu && (o.count || to_string(o) != to_string(before_)))
      leave_out("this test looks at the emulator");
    emulator::set_options(o);
  }
  ~WithOptions() { emulator::set_options(before_); }
  WithOptions(const WithOptions&) = delete;
  WithOptions& operator=(const WithOptions&) = delete;

 private:
  emulator::Options before_;
};

// What CI runs every kernel test under: in order, and warp-greedy with three seeds; copies late. Once on a
// GPU.
std::vector<emulator::Options> kernel_runs();

// Values in -1..1 that are exact in every type but s8; s8 takes whole numbers.
std::vector<double> random_values(size_t count, uint64_t seed, bool whole);

// sqrt(sum (got - want)^2 / sum want^2); infinite when a value is not finite.
double relative_l2(const std::vector<double>& got, const std::vector<double>& want);

}  // namespace mtyolo::test
