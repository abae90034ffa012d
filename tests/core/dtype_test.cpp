#include "core/dtype.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "tests/support/throws.h"

using namespace mtyolo;

namespace {

Half half(uint32_t bits) {
  Half h;
  h.bits = uint16_t(bits);
  return h;
}

BFloat16 bfloat(uint32_t bits) {
  BFloat16 b;
  b.bits = uint16_t(bits);
  return b;
}

// The value of a half by its definition.
double half_value(uint32_t bits) {
  const int exponent = int(bits >> 10 & 31);
  const double fraction = double(bits & 1023) / 1024;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

}  // namespace

TEST_CASE("dtype: every half has the value of its bits and comes back unchanged", "[core][dtype]") {
  int wrong = 0;
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = float(half(bits));
    const bool special = (bits & 0x7c00) == 0x7c00;
    if (special && (bits & 0x3ff) != 0) {
      wrong += !std::isnan(value) || !std::isnan(float(Half(value)));
      continue;
    }
    const double want = special ? (bits & 0x8000 ? -INFINITY : INFINITY) : half_value(bits);
    wrong += double(value) != want || Half(value).bits != bits;
  }
  CHECK(wrong == 0);
}

TEST_CASE("dtype: every bfloat16 comes back unchanged and NaN stays NaN", "[core][dtype]") {
  int wrong = 0;
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = float(bfloat(bits));
    const bool nan = (bits & 0x7fff) > 0x7f80;
    wrong += nan ? !std::isnan(float(BFloat16(value))) : BFloat16(value).bits != bits;
  }
  CHECK(wrong == 0);
}

TEST_CASE("dtype: halves round to the nearest and ties go to the even neighbour", "[core][dtype]") {
  int wrong = 0;
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = float(half(bits)), high = float(half(bits + 1));
    const float middle = low + (high - low) / 2;  // exact: a half has 11 bits, a float 24
    wrong += Half(middle).bits != (bits % 2 == 0 ? bits : bits + 1);
    wrong += Half(std::nextafter(middle, low)).bits != bits;
    wrong += Half(std::nextafter(middle, high)).bits != bits + 1;
  }
  CHECK(wrong == 0);
  CHECK(Half(65519.0f).bits == 0x7bff);
  CHECK(Half(65520.0f).bits == 0x7c00);
  CHECK(Half(-1e30f).bits == 0xfc00);
  CHECK(Half(-0.0f).bits == 0x8000);
}

TEST_CASE("dtype: bfloat16 rounds to the nearest and ties go to the even neighbour", "[core][dtype]") {
  CHECK(BFloat16(1.00390625f).bits == 0x3f80);  // halfway between 0x3f80 and 0x3f81
  CHECK(BFloat16(1.01171875f).bits == 0x3f82);  // halfway between 0x3f81 and 0x3f82
  CHECK(BFloat16(1.00390637f).bits == 0x3f81);
  CHECK(BFloat16(std::numeric_limits<float>::max()).bits == 0x7f80);
  CHECK(BFloat16(-std::numeric_limits<float>::infinity()).bits == 0xff80);
}

TEST_CASE("dtype: names are those of PyTorch and an unknown one is refused by name", "[core][dtype]") {
  for (const DType t : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kU8, DType::kI8,
                        DType::kI16, DType::kI32, DType::kI64, DType::kBool})
    CHECK(dtype_from_name(name(t)) == t);
  CHECK(name(DType::kBF16) == "bfloat16");
  CHECK(item_size(DType::kI16) == 2);
  CHECK(test::error_text([] { dtype_from_name("float8\n"); }) == "unknown element type 'float8\\x0a'");
}
