#include "core/dtype.h"

#include <array>

namespace mtyolo {
namespace {

struct TypeFacts {
  DType type;
  size_t size;
  std::string_view name;
};
constexpr std::array<TypeFacts, 10> kTypes{{{DType::kF32, 4, "float32"},
                                            {DType::kF16, 2, "float16"},
                                            {DType::kBF16, 2, "bfloat16"},
                                            {DType::kF64, 8, "float64"},
                                            {DType::kU8, 1, "uint8"},
                                            {DType::kI8, 1, "int8"},
                                            {DType::kI16, 2, "int16"},
                                            {DType::kI32, 4, "int32"},
                                            {DType::kI64, 8, "int64"},
                                            {DType::kBool, 1, "bool"}}};

}  // namespace

size_t item_size(DType type) { return kTypes.at(size_t(type)).size; }
std::string_view name(DType type) { return kTypes.at(size_t(type)).name; }

bool is_floating(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 || type == DType::kF64;
}

DType dtype_from_name(std::string_view text) {
  for (const TypeFacts& t : kTypes)
    if (t.name == text) return t.type;
  fail(ExitCode::kRuntime, "dtype", "unknown element type {}", quoted(text));
}

Half::Half(float value) {
  const uint32_t f = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (f >> 16) & 0x8000u;
  const uint32_t magnitude = f & 0x7fffffffu;
  uint32_t h = 0;
  if (magnitude > 0x7f800000u) {
    h = 0x7e00u;  // NaN stays NaN
  } else if (magnitude >= 0x477ff000u) {
    h = 0x7c00u;  // rounds to 65520 or more: infinity
  } else if (magnitude < 0x38800000u) {
    // Below the smallest normal half: adding 0.5 lines the bits up and rounds to nearest even.
    const float aligned = std::bit_cast<float>(magnitude) + 0.5f;
    h = std::bit_cast<uint32_t>(aligned) - 0x3f000000u;
  } else {
    const uint32_t rounding = 0xfffu + ((magnitude >> 13) & 1u);
    h = (magnitude - 0x38000000u + rounding) >> 13;
  }
  bits = uint16_t(sign | h);
}

}  // namespace mtyolo
