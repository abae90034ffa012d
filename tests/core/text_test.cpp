#include "core/text.h"

#include <catch2/catch.hpp>

using namespace mtyolo;

TEST_CASE("text: trim takes blanks off both ends and split keeps empty parts", "[core][text]") {
  CHECK(trim(" \t a b\r\n") == "a b");
  CHECK(trim(" \n") == "");
  CHECK(split("a,,b,", ',') == std::vector<std::string_view>{"a", "", "b", ""});
  CHECK(split("", ',') == std::vector<std::string_view>{""});
}

TEST_CASE("text: an integer is the whole token or nothing", "[core][text]") {
  CHECK(parse_int("-17") == -17);
  CHECK(parse_int("+5") == 5);
  CHECK(parse_int("9223372036854775807") == INT64_MAX);
  for (const char* wrong : {"", "+", "+-1", "++1", " 1", "1 ", "1.0", "0x10", "9223372036854775808", "1e3"})
    CHECK_FALSE(parse_int(wrong).has_value());
}

TEST_CASE("text: a number is finite, whole and independent of the locale", "[core][text]") {
  CHECK(parse_double("0.1") == 0.1);
  CHECK(parse_double("-1e-3") == -1e-3);
  CHECK(parse_double("+.5") == 0.5);
  for (const char* wrong : {"", "nan", "inf", "-infinity", "1e999", "1,5", "0.1x", "--1", "0x1p3", " 1"})
    CHECK_FALSE(parse_double(wrong).has_value());
}

TEST_CASE("text: only well-formed UTF-8 is valid", "[core][text]") {
  CHECK(is_valid_utf8("gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x90\xb1"));
  for (const char* wrong :
       {"\xff", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"})
    CHECK_FALSE(is_valid_utf8(wrong));
}

TEST_CASE("text: the nearest name is offered when it is near enough", "[core][text]") {
  const std::vector<std::string> names{"warmup_epochs", "warmup_momentum", "lr0"};
  CHECK(nearest_name("warmup_epoch", names) == "warmup_epochs");
  CHECK(nearest_name("LR0", names) == "lr0");
  CHECK(nearest_name("zzz", names) == "");
  CHECK(did_you_mean("warmup_epoch", names) == "; did you mean 'warmup_epochs'?");
  CHECK(did_you_mean("banana", names) == "");
}

TEST_CASE("text: two swapped letters are one mistake", "[core][text]") {
  const std::vector<std::string> names{"infer", "info"};
  CHECK(nearest_name("inof", names) == "info");
  CHECK(nearest_name("nifo", names) == "info");
  CHECK(nearest_name("ofni", names) == "");
}

TEST_CASE("text: a huge name is compared with nothing", "[core][text]") {
  const std::vector<std::string> names(100, std::string(1000, 'a'));
  CHECK(nearest_name(std::string(size_t(1) << 20, 'a'), names) == "");
}
