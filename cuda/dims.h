// Small types that the host side of a kernel and the kernel itself share. No CUDA header is needed.
#pragma once

#include <cstdint>

#include "ops/device/stream.h"

namespace mtyolo {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  constexpr uint64_t volume() const { return uint64_t(x) * y * z; }
};

}  // namespace mtyolo
