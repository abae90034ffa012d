#include "core/random.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "tests/support/throws.h"

using namespace mtyolo;
using Block = std::array<uint32_t, 4>;

TEST_CASE("random: Philox4x32-10 gives the known answers of its authors", "[core][random]") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr uint32_t kOnes = 0xffffffff;
  CHECK(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
        Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("random: a stream is a function of seed, stream and position", "[core][random]") {
  RandomStream a(7, 1, 5), b(7, 1, 5);
  for (int i = 0; i < 9; ++i) CHECK(a.bits() == b.bits());
  std::set<uint32_t> first;
  for (const uint64_t seed : {7ull, 8ull, 7ull << 32})
    for (const uint32_t stream : {1u, 2u})
      for (const uint64_t position : {5ull, 6ull, 5ull << 32})
        first.insert(RandomStream(seed, stream, position).bits());
  CHECK(first.size() == 18);
}

TEST_CASE("random: uniform draws fill 0 to 1 evenly", "[core][random]") {
  RandomStream r(1, 2, 3);
  std::array<int, 10> bins{};
  for (int i = 0; i < 100000; ++i) {
    const double u = r.uniform();
    REQUIRE((u >= 0 && u < 1));
    ++bins[size_t(u * 10)];
  }
  for (int count : bins) CHECK(std::abs(count - 10000) < 500);  // 5 standard deviations are 474
  for (int i = 0; i < 1000; ++i) {
    const double u = r.uniform(-2, 3);
    CHECK((u >= -2 && u < 3));
  }
}

TEST_CASE("random: normal draws have mean 0, deviation 1 and normal tails", "[core][random]") {
  RandomStream r(11, 0, 0);
  double sum = 0, squares = 0;
  int beyond_two = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = r.normal();
    sum += x;
    squares += x * x;
    beyond_two += std::abs(x) > 2;
  }
  CHECK(std::abs(sum / kDraws) < 0.016);  // 5 / sqrt(100000)
  CHECK(std::abs(squares / kDraws - 1) < 0.025);
  CHECK(std::abs(double(beyond_two) / kDraws - 0.0455) < 0.0035);
}

TEST_CASE("random: below(n) reaches every number under n and no other", "[core][random]") {
  RandomStream r(3, 3, 3);
  std::array<int, 7> seen{};
  for (int i = 0; i < 7000; ++i) ++seen.at(size_t(r.below(7)));
  for (int count : seen) CHECK(count > 800);
  CHECK(r.below(1) == 0);
  CHECK(test::error_text([&] { r.below(0); }) == "random: below(0)");
}
