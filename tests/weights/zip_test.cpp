#include "core/zip.h"

#include <zlib.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "core/sha256.h"
#include "tests/weights/builders.h"
#include "tests/weights/expect_refused.h"

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

const std::string kContent = "forty-two bytes of content, give or take..";

// Offsets in the zip of one entry named "a" with kContent.
constexpr size_t kDirectory = 30 + 1 + 42, kEnd = kDirectory + 46 + 1;

std::string one_entry() { return make_zip({{"a", kContent, 0, {}}}); }

std::string deflated(const std::string& plain) {
  std::string out(compressBound(plain.size()) + 64, '\0');
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  z.avail_in = uInt(plain.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = uInt(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string patched(std::string bytes, size_t at, const std::string& with) {
  return bytes.replace(at, with.size(), with);
}

// The rule that refuses the bytes, reading every entry.
std::string rule(const std::string& bytes) {
  return refused([&] {
           ZipReader zip(bytes_of(bytes));
           zip.read();
         })
      .code;
}

}  // namespace

TEST_CASE("zip: a stored and a deflated entry give their content", "[weights][zip]") {
  const std::string long_text(10000, 'z');
  const std::string bytes =
      make_zip({{"a", kContent, 0, {}}, {"dir/b", deflated(long_text), 8, long_text}}, "comment");
  ZipReader zip(bytes_of(bytes));
  REQUIRE(zip.entries().size() == 2);
  const std::vector<ZipContent> contents = zip.read();
  const auto text = [&](size_t i) {
    return std::string(reinterpret_cast<const char*>(contents.at(i).bytes.data()), contents[i].bytes.size());
  };
  CHECK(text(0) == kContent);
  CHECK(text(1) == long_text);
  CHECK(zip.find("b") == nullptr);
}

TEST_CASE("zip Z1: the end record is exactly at the end and nothing stands before or after",
          "[weights][zip]") {
  CHECK(rule(one_entry()) == "accepted");
  CHECK(rule(one_entry() + "x") == "Z1");
  CHECK(rule("x" + one_entry()) != "accepted");
  CHECK(rule(one_entry().substr(0, 100)) == "Z1");
  CHECK(rule("") == "Z1");
  const std::string end = one_entry().substr(kEnd);
  CHECK(rule(make_zip({{"a", kContent, 0, {}}}, end)) == "Z1");           // another end record in the comment
  CHECK(rule(patched(one_entry(), kEnd + 4, little(1, 2))) == "Z1");      // disk number
  CHECK(rule(patched(one_entry(), kEnd + 8, little(0, 4))) == "Z1");      // fewer entries than walked
  CHECK(rule(patched(one_entry(), kEnd + 16, little(5000, 4))) == "Z1");  // directory outside
}

TEST_CASE("zip Z2: method, encryption, size, deflate stream and CRC are checked", "[weights][zip]") {
  const auto both = [](size_t local, size_t central, const std::string& with) {
    return patched(patched(one_entry(), local, with), kDirectory + central, with);
  };
  CHECK(rule(both(8, 10, little(12, 2))) == "Z2");
  CHECK(rule(both(6, 8, little(1, 2))) == "Z2");
  CHECK(rule(both(22, 24, little(41, 4))) == "Z2");
  CHECK(rule(both(14, 16, little(7, 4))) == "Z2");
  CHECK(rule(patched(one_entry(), 40, "X")) == "Z2");
  const std::string stream = deflated(kContent);
  CHECK(rule(make_zip({{"a", stream, 8, kContent}})) == "accepted");
  CHECK(rule(make_zip({{"a", stream, 8, kContent + "more"}})) == "Z2");       // too few bytes come out
  CHECK(rule(make_zip({{"a", stream, 8, kContent.substr(0, 20)}})) == "Z2");  // too many
  CHECK(rule(make_zip({{"a", stream + "rest", 8, kContent}})) == "Z2");       // input is left
  CHECK(rule(make_zip({{"a", stream.substr(0, 9), 8, kContent}})) == "Z2");   // the stream does not end
}

TEST_CASE("zip Z3: the local header agrees with the directory", "[weights][zip]") {
  CHECK(rule(patched(one_entry(), 0, "PX")) == "Z3");
  CHECK(rule(patched(one_entry(), 30, "b")) == "Z3");
  CHECK(rule(patched(one_entry(), 8, little(8, 2))) == "Z3");
  CHECK(rule(patched(one_entry(), 14, little(0, 4))) == "Z3");
  // All three left to the descriptor: fine with flag bit 3, refused without.
  const std::string zeros = patched(one_entry(), 14, little(0, 4) + little(0, 4) + little(0, 4));
  CHECK(rule(zeros) == "Z3");
  CHECK(rule(patched(zeros, 6, little(8, 2))) == "accepted");
}

TEST_CASE("zip Z4: zip64 fields must be there and agree", "[weights][zip]") {
  CHECK(rule(patched(one_entry(), kEnd + 8, "\xff\xff\xff\xff")) == "Z4");
  CHECK(rule(patched(one_entry(), kDirectory + 20, "\xff\xff\xff\xff\xff\xff\xff\xff")) == "Z4");
  const std::string bytes = one_entry(), end = bytes.substr(kEnd);
  const auto with_zip64 = [&](uint64_t count) {
    return bytes.substr(0, kEnd) + "PK\x06\x06" + little(44, 8) + little(45, 2) + little(45, 2) +
           little(0, 8) + little(count, 8) + little(count, 8) + little(47, 8) + little(kDirectory, 8) +
           "PK\x06\x07" + little(0, 4) + little(kEnd, 8) + little(1, 4) + end;
  };
  CHECK(rule(with_zip64(1)) == "accepted");
  CHECK(rule(with_zip64(2)) == "Z4");
  CHECK(rule(patched(with_zip64(1), kEnd + 56 + 8, little(1u << 30, 8))) == "Z4");
}

TEST_CASE("zip Z5: entries overlap neither each other nor the directory", "[weights][zip]") {
  std::string bytes =
      make_zip({{"a", "12345678901234567890123456789012345678901234567890", 0, {}}, {"a", "x", 0, {}}});
  const size_t second = bytes.rfind("PK\x01\x02");
  CHECK(rule(bytes) == "Z6");
  // The first entry's data reach over the second local header.
  std::string overlapping = make_zip({{"a", "xx", 0, {}}, {"b", "y", 0, {}}});
  const size_t size_at = 18, central = overlapping.find("PK\x01\x02");
  for (const size_t at : {size_at, size_at + 4}) overlapping.replace(at, 4, little(10, 4));
  for (const size_t at : {central + 20, central + 24}) overlapping.replace(at, 4, little(10, 4));
  CHECK(rule(overlapping) == "Z5");
  CHECK(second != std::string::npos);
}

TEST_CASE("zip Z6: names are unique, short and hold no NUL", "[weights][zip]") {
  CHECK(rule(make_zip({{"a", "1", 0, {}}, {"a", "2", 0, {}}})) == "Z6");
  CHECK(rule(make_zip({{std::string("a\0b", 3), "1", 0, {}}})) == "Z6");
  CHECK(rule(make_zip({{std::string(1025, 'n'), "1", 0, {}}})) == "Z6");
  CHECK(rule(make_zip({{std::string(1024, 'n'), "1", 0, {}}})) == "accepted");
}

TEST_CASE("zip Z7: inflated bytes and entry counts are bounded by the file", "[weights][zip]") {
  const std::string zeros(size_t(70) << 20, '\0');
  CHECK(rule(make_zip({{"a", deflated(zeros), 8, zeros}})) == "Z7");
  CHECK(rule(patched(one_entry(), kEnd + 8, little(60000, 2) + little(60000, 2))) == "Z7");
}

TEST_CASE("zip: what the writer writes is read back, aligned to 64 bytes", "[weights][zip]") {
  const std::string path = (std::filesystem::temp_directory_path() / "mtyolo_zip_test.zip").string();
  AtomicFile out(path);
  ZipWriter writer(out);
  writer.add("archive/data.pkl", bytes_of(kContent));
  writer.add("archive/empty", {});
  writer.add("archive/data/0", bytes_of(std::string(1000, 'q')));
  writer.finish();
  out.commit();
  const auto file = MappedFile::open(path);
  std::filesystem::remove(path);
  ZipReader zip(file->bytes());
  REQUIRE(zip.entries().size() == 3);
  const std::vector<ZipContent> contents = zip.read();
  for (size_t i = 0; i < contents.size(); ++i) {
    CHECK(zip.entries()[i].data_offset % 64 == 0);
    CHECK(contents[i].bytes.size() == zip.entries()[i].size);
  }
}

TEST_CASE("sha256: the digests of FIPS 180-4's examples", "[weights]") {
  CHECK(sha256_hex(bytes_of("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex(bytes_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("sha256: the processor's instructions give the portable state after any number of blocks",
          "[weights]") {
  std::string data(64 * 9, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = char(i * i * 11 + 3 * i);
  for (size_t blocks = 0; blocks <= 9; ++blocks) {
    sha256::State portable{1, 2, 3, 0x80000000, 5, 0xffffffff, 7, 8}, fast = portable;
    if (!sha256::blocks_x86(fast, bytes_of(data).first(64 * blocks))) return;  // not on this machine
    sha256::blocks_portable(portable, bytes_of(data).first(64 * blocks));
    CHECK(fast == portable);
  }
}

TEST_CASE("crc32: folding gives zlib's checksum for every length and start", "[weights]") {
  std::string data(1000, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = char(i * i * 7 + i);
  for (size_t n = 0; n <= data.size(); n += 7) {
    const auto expected = ::crc32(uLong(n), reinterpret_cast<const Bytef*>(data.data()), uInt(n));
    CHECK(mtyolo::crc32(bytes_of(std::string_view(data).substr(0, n)), uint32_t(n)) == uint32_t(expected));
  }
}
