// Operations on maps on the emulated device beside the CPU's reference ops in double precision; also what the
// mutation test runs.
#pragma once

#include <string>

#include "core/tensor.h"
#include "ops/device/types.h"
#include "tests/cuda/simt_testing.h"

namespace mtyolo::test {

// How a map lies: `before` channels left of it and `after` right of it belong to others.
struct MapCase {
  KernelType type = KernelType::kF32;
  Shape shape{};  // N,C,H,W
  int before = 0, after = 0;
};

// A map on the emulated device; all of 0xFF bytes, or with values.
class TestMap {
 public:
  TestMap(const MapCase& c, const Shape& shape) : TestMap(c, shape, {}) {}
  TestMap(const MapCase& c, const Tensor& values) : TestMap(c, values.shape(), values) {}

  const KernelMap& map() const { return map_; }
  // "" when the map holds `want`, [N,C,H,W] f64, to a relative L2 distance (0: exactly, a NaN for a NaN), and
  // nothing beside it was written.
  std::string fault(const Tensor& want, double tolerance) const;

 private:
  TestMap(const MapCase& c, const Shape& shape, const Tensor& values);
  std::vector<uint8_t> stored(const Tensor& values) const;
  size_t place(int64_t i) const;  // the byte where element i of [N,C,H,W] begins

  KernelMap map_;
  int before_ = 0;
  SimtBuffer<uint8_t> bytes_;
};

// Values that the type holds exactly.
Tensor map_values(KernelType type, const Shape& shape, uint64_t seed);
double map_tolerance(KernelType type);

// "" when everything of map_ops.h that takes the type is right.
std::string map_ops_fault(const MapCase& c);
// The same for map_grad.h.
std::string map_grad_fault(const MapCase& c);

struct PoolCase {
  MapCase map;
  int k = 2, stride = 2, pad = 0;
};
// "" when the pool, its argmax and its gradient are right on maps with many equal values; with `special` also
// NaN and windows of nothing but -inf.
std::string pool_fault(const PoolCase& c, bool special);

// "" when pictures become the input that data/ makes of them.
std::string image_fault(KernelType type);

}  // namespace mtyolo::test
