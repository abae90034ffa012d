#include "ops/blocked/ceiling.h"

#include "ops/blocked/blocked.h"

namespace mtyolo::ops::blocked {

const Ceiling& ceiling([[maybe_unused]] Element type) {
#if defined(__x86_64__)
  const std::string_view isa = kernels().isa;
  if (isa == "avx512bf16" && type == Element::kBF16) return avx512bf16::kCeiling;
  if (isa.starts_with("avx512")) return avx512::kCeiling;
  if (isa == "avx2") return avx2::kCeiling;
#endif
  return common::kCeiling;
}

}  // namespace mtyolo::ops::blocked
