#include "core/document.h"

#include <catch2/catch.hpp>

#include "tests/support/throws.h"

using namespace mtyolo;
using test::error_text;

namespace {

Document at_line(Document d, int line, int column) {
  d.line = line;
  d.column = column;
  return d;
}

}  // namespace

TEST_CASE("document: fields are found by name", "[core][document]") {
  const Document d = Document::map({{"nc", Document::scalar("80")}, {"names", Document::list({})}});
  REQUIRE(d.find("nc") != nullptr);
  CHECK(d.find("nc")->text == "80");
  CHECK(d.find("Nc") == nullptr);
  CHECK(Document().is_null());
}

TEST_CASE("document: numbers are whole tokens inside their range", "[core][document]") {
  CHECK(Document::scalar(" 3 ").as_int("nc", 1, 10) == 3);
  CHECK(Document::scalar("0.33").as_double("depth_multiple", 0, 10) == 0.33);
  CHECK(error_text([] { Document::scalar("3.5").as_int("nc", 1, 10); }) ==
        "nc is '3.5', expected a whole number in 1..10");
  CHECK(error_text([] { Document::scalar("11").as_int("nc", 1, 10); }) ==
        "nc is '11', expected a whole number in 1..10");
  CHECK(error_text([] { Document::scalar("nan").as_double("lr0", 0, 1); }) ==
        "lr0 is 'nan', expected a number in 0..1");
}

TEST_CASE("document: booleans have three spellings in any case", "[core][document]") {
  for (const char* yes : {"true", "Yes", "ON"}) CHECK(Document::scalar(yes).as_bool("x"));
  for (const char* no : {"False", "no", "off"}) CHECK_FALSE(Document::scalar(no).as_bool("x"));
  CHECK(error_text([] { Document::scalar("1").as_bool("rect"); }) == "rect is '1', expected true or false");
}

TEST_CASE("document: errors say where and what was found instead", "[core][document]") {
  const Document list = at_line(Document::list({Document(), Document()}), 4, 2);
  CHECK(error_text([&] { list.as_text("head"); }) == "line 4, column 2: head is a list of 2, expected text");
  CHECK(error_text([&] { Document::map({}).as_int("nc", 0, 1); }) ==
        "nc is a map, expected a whole number in 0..1");
  CHECK(error_text([&] { Document().as_text("train"); }) == "train is nothing, expected text");
}
