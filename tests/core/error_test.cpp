#include "core/error.h"

#include <catch2/catch.hpp>
#include <iomanip>

using namespace mtyolo;

TEST_CASE("error: the text joins file, place, message and suggestion, and leaves empty parts out",
          "[core][error]") {
  const Error full({ExitCode::kModel, "zip_crc", "bad checksum", "a.pt", "entry 3", "copy it again"});
  CHECK(std::string(full.what()) == "a.pt: entry 3: bad checksum; copy it again");
  CHECK(full.exit_code() == ExitCode::kModel);
  CHECK(std::string(Error({ExitCode::kUsage, "usage", "no input", {}, {}, {}}).what()) == "no input");
}

TEST_CASE("error: a file is added only where none is known", "[core][error]") {
  const Error e({ExitCode::kData, "x", "wrong", {}, {}, {}});
  CHECK(std::string(e.in_file("b.yaml").what()) == "b.yaml: wrong");
  CHECK(std::string(e.in_file("b.yaml").in_file("c.yaml").what()) == "b.yaml: wrong");
}

TEST_CASE("error: quoted text cannot move the cursor or break the line", "[core][error]") {
  CHECK(quoted("a\nb\x1b[2J\x7f") == "'a\\x0ab\\x1b[2J\\x7f'");
  CHECK(quoted("gr\xc3\xbcn") == "'gr\xc3\xbcn'");
  CHECK(quoted("\xc2\x9b[2J") == "'\\xc2\\x9b[2J'");  // U+009B, the one-character form of ESC [
}

TEST_CASE("error: every kind of text is quoted by this project's rules, not by <iomanip>", "[core][error]") {
  std::string text = "a\n";
  const std::string fixed = text;
  CHECK(fmt::format("{} {}", quoted(text), quoted(fixed)) == "'a\\x0a' 'a\\x0a'");
  CHECK(fmt::format("{} {}", quoted(text + "b"), quoted(std::string_view(text))) == "'a\\x0ab' 'a\\x0a'");
}

TEST_CASE("error: bytes that are not UTF-8 are escaped, also overlong forms and surrogates",
          "[core][error]") {
  CHECK(quoted("\xff") == "'\\xff'");
  CHECK(quoted("\xc0\x8a") == "'\\xc0\\x8a'");
  CHECK(quoted("\xed\xa0\x80") == "'\\xed\\xa0\\x80'");
  CHECK(quoted("\xe2\x82") == "'\\xe2\\x82'");
}

TEST_CASE("error: quoted text is cut at 80 characters", "[core][error]") {
  CHECK(quoted(std::string(80, 'x')) == "'" + std::string(80, 'x') + "'");
  CHECK(quoted(std::string(81, 'x')) == "'" + std::string(80, 'x') + "...'");
}
