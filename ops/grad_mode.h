// What a backward function does with the gradient tensor it is given.
#pragma once

#include <cstdint>

namespace mtyolo::ops {

// kOverwrite: the first writer; what stood there is not read, so no zero-fill is needed. kAccumulate: adds.
enum class GradMode : uint8_t { kOverwrite, kAccumulate };

}  // namespace mtyolo::ops
