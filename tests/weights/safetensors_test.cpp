#include "models/weights/safetensors.h"

#include <catch2/catch.hpp>

#include "tests/weights/builders.h"
#include "tests/weights/expect_refused.h"

using namespace mtyolo;
using namespace mtyolo::models;
using namespace mtyolo::test;

namespace {

std::string file_of(const std::string& header, size_t data_bytes) {
  return little(header.size(), 8) + header + std::string(data_bytes, '\1');
}

std::string message(const std::string& header, size_t data_bytes) {
  const std::string bytes = file_of(header, data_bytes);
  return refused([&] { parse_safetensors(bytes_of(bytes), nullptr); }).message;
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

}  // namespace

TEST_CASE("safetensors: tensors come in file order with their metadata", "[weights][safetensors]") {
  const std::string header = R"({"b":)" + entry("U8", "[3]", "[8,11]") + R"(,"a":)" +
                             entry("F32", "[1,2]", "[0,8]") + R"(,"__metadata__":{"k":"v"}})";
  const std::string bytes = file_of(header, 11);
  std::map<std::string, std::string> metadata;
  const StateDict tensors = parse_safetensors(bytes_of(bytes), nullptr, &metadata);
  REQUIRE(tensors.size() == 2);
  CHECK(tensors.entries()[0].first == "a");
  CHECK(tensors.find("a")->shape() == Shape{1, 2});
  CHECK(tensors.find("b")->dtype() == DType::kU8);
  CHECK(metadata.at("k") == "v");
}

TEST_CASE("safetensors: each broken rule is named", "[weights][safetensors]") {
  const auto one = [](const std::string& e) { return R"({"t":)" + e + "}"; };
  CHECK(message(one(entry("F32", "[2]", "[0,8]")), 8) == "accepted");
  CHECK(message(one(entry("F32", "[3]", "[0,8]")), 8) ==
        "tensor 't' has 8 bytes of data, its shape and type need 12");
  CHECK(message(one(entry("F31", "[2]", "[0,8]")), 8) == "tensor 't' has the unknown type 'F31'");
  CHECK(message(one(entry("F32", "[2]", "[0,8]")), 9) == "the data end at 8, the file has 9 bytes of data");
  CHECK(message(one(entry("F32", "[2]", "[4,12]")), 12) ==
        "data of tensor 't' begin at 4, expected 0: the data have a gap or overlap");
  CHECK(message(one(entry("F32", "[2]", "[8,0]")), 8) ==
        "tensor 't' has data_offsets outside the 8 bytes of data");
  CHECK(message(one(entry("F32", "[4611686018427387904,4611686018427387904]", "[0,8]")), 8) ==
        "'t' has a size above 2^62");
  CHECK(message(one(entry("F32", "[-2]", "[0,8]")), 8) ==
        "'t' has a negative number where the format has none");
  CHECK(message(one(entry("F32", "[[2]]", "[0,8]")), 8) == "'t' has a list where the format has none");
  CHECK(message(R"({"t":{"dtype":"F32"}})", 0) == "'t' lacks dtype, shape or data_offsets");
  const std::string e = entry("F32", "[1]", "[0,4]");
  CHECK(message(R"({"t":)" + e + R"(,"t":)" + e + "}", 4) == "'t' stands twice in the header");
  CHECK(message(" {}", 0) == "the header does not begin with {");
  CHECK(message("{", 0) == "the header is not valid JSON at byte 10");
  CHECK(message(one(entry("BOOL", "[1]", "[0,1]")), 1) == "accepted");
}

TEST_CASE("safetensors: a header longer than the file is refused before it is read",
          "[weights][safetensors]") {
  for (const std::string& bytes :
       {std::string("abc"), little(100, 8) + "{}", little(uint64_t(1) << 60, 8) + "{}"})
    CHECK(refused([&] { parse_safetensors(bytes_of(bytes), nullptr); }).code == "safetensors");
}
