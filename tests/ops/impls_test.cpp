#include "ops/impls.h"

#include <catch2/catch.hpp>

#include "ops/conv2d.h"
#include "tests/ops/op_testing.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

struct Toy {
  static constexpr const char* kName = "toy";
  struct Query {
    int size;
  };
  using Run = int (*)();
};

const char* small_only(const Toy::Query& q) { return q.size < 10 ? nullptr : "needs a size below 10"; }

ops::Impls toy_impls() {
  ops::Impls impls;
  impls.add<Toy>("cpu.small", small_only, [] { return 1; });
  impls.add<Toy>("cpu.reference", ops::any_input, [] { return 2; });
  return impls;
}

}  // namespace

TEST_CASE("impls: the first implementation that takes the input runs", "[ops][impls]") {
  const ops::Impls impls = toy_impls();
  CHECK(impls.choose<Toy>({3}).run() == 1);
  CHECK(impls.choose<Toy>({30}).run() == 2);
}

TEST_CASE("impls: a forced implementation runs or says why it cannot", "[ops][impls]") {
  ops::Impls impls = toy_impls();
  impls.force("toy=cpu.reference");
  CHECK(impls.forced("toy") == "cpu.reference");
  CHECK(impls.choose<Toy>({3}).run() == 2);
  impls.force("toy=cpu.small");
  CHECK(error_text([&] { impls.choose<Toy>({30}); }) ==
        "toy: no implementation takes this input\n  cpu.small: needs a size below 10");
}

TEST_CASE("impls: a wrong --impl lists what exists", "[ops][impls]") {
  ops::Impls impls = toy_impls();
  CHECK(error_text([&] { impls.force("toi=cpu.small"); }) ==
        "--impl 'toi=cpu.small': expected OP=NAME with OP one of toy; did you mean 'toy'?");
  CHECK(error_text([&] { impls.force("toy=cpu.smal"); }) ==
        "--impl 'toy=cpu.smal': toy has the implementations cpu.small, cpu.reference; did you mean "
        "'cpu.small'?");
  CHECK(error_text([&] { impls.force("toy"); }).starts_with("--impl 'toy': expected OP=NAME"));
}

TEST_CASE("impls: every op of the CPU ends with its reference", "[ops][impls]") {
  const OpSetup s;
  CHECK(s.impls.names().size() == 12);
  for (const auto& [op, names] : s.impls.names()) CHECK(names.back() == "cpu.reference");
}
