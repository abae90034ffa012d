// What the tests of kernels share: buffers on the emulated device, the runs that every kernel must pass,
// errors.
#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/error.h"
#include "core/random.h"
#include "cuda/simt/memory.h"
#include "cuda/simt/options.h"

namespace mtyolo::test {

// The host function of a kernel under test: TESTED(gemm)(stream, args).
#define TESTED(name) ::mtyolo::simt::name

// An array on the emulated device. Without values it holds 0xFF bytes.
template <class T>
class SimtBuffer {
 public:
  explicit SimtBuffer(size_t count)
      : count_(count), data_(static_cast<T*>(emulator::simt_runtime().allocate(count * sizeof(T)))) {}
  explicit SimtBuffer(const std::vector<T>& values) : SimtBuffer(values.size()) {
    if (count_ != 0) std::memcpy(static_cast<void*>(data_), values.data(), count_ * sizeof(T));
  }
  ~SimtBuffer() { emulator::simt_runtime().free(data_, count_ * sizeof(T)); }
  SimtBuffer(const SimtBuffer&) = delete;
  SimtBuffer& operator=(const SimtBuffer&) = delete;

  T* get() const { return data_; }
  std::vector<T> values() const { return {data_, data_ + count_}; }
  // Whether element i still holds the bytes it was allocated with.
  bool untouched(size_t i) const {
    const auto* bytes = reinterpret_cast<const unsigned char*>(data_ + i);
    for (size_t b = 0; b < sizeof(T); ++b)
      if (bytes[b] != 0xff) return false;
    return true;
  }

 private:
  size_t count_;
  T* data_;
};

// Sets options for its lifetime.
class WithOptions {
 public:
  explicit WithOptions(const emulator::Options& o) : before_(emulator::options()) {
    emulator::set_options(o);
  }
  ~WithOptions() { emulator::set_options(before_); }
  WithOptions(const WithOptions&) = delete;
  WithOptions& operator=(const WithOptions&) = delete;

 private:
  emulator::Options before_;
};

// What CI runs every kernel test under: in order, and warp-greedy with three seeds; copies late.
std::vector<emulator::Options> kernel_runs();

// The text of the Error that f throws, "" when it throws none.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// Values in -1..1 that are exact in every type but s8; s8 takes whole numbers.
std::vector<double> random_values(size_t count, uint64_t seed, bool whole);

// sqrt(sum (got - want)^2 / sum want^2); infinite when a value is not finite.
double relative_l2(const std::vector<double>& got, const std::vector<double>& want);

}  // namespace mtyolo::test
