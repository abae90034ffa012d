#include "core/file.h"
#include "data/image.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>

#include "core/log.h"
#include "data/encode.h"
#include "data/exif.h"
#include "tests/data/pictures.h"

using namespace mtyolo;
using namespace mtyolo::data;
using test::pattern_image;
using test::TempFolder;

namespace {

Image decode(const std::string& bytes, DamagePolicy damage = DamagePolicy::kWarn) {
  return decode_image(std::as_bytes(std::span(bytes)), "picture", damage);
}

std::string refusal(const std::string& bytes, DamagePolicy damage = DamagePolicy::kWarn) {
  try {
    decode(bytes, damage);
  } catch (const Error& e) {
    CHECK(e.exit_code() == ExitCode::kData);
    return e.info().code;
  }
  return "accepted";
}

// An EXIF block with one entry: the orientation.
std::string exif_block(int orientation, bool big_endian) {
  std::string b =
      big_endian ? std::string("MM\0\x2a\0\0\0\x08\0\x01", 10) : std::string("II\x2a\0\x08\0\0\0\x01\0", 10);
  const char value = char(orientation);
  b += big_endian ? std::string("\x01\x12\0\x03\0\0\0\x01\0", 9) + value + std::string(2, '\0')
                  : std::string("\x12\x01\x03\0\x01\0\0\0", 8) + value + std::string(3, '\0');
  return b + std::string(4, '\0');
}

std::string with_exif(const std::string& jpeg, const std::string& block) {
  const std::string body = std::string("Exif\0\0", 6) + block;
  const size_t length = body.size() + 2;
  return jpeg.substr(0, 2) + "\xff\xe1" + char(length >> 8) + char(length & 255) + body + jpeg.substr(2);
}

long peak_memory_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// A BMP header that claims any size, and `pixels` bytes after it.
std::string bmp(int32_t width, int32_t height, size_t pixels) {
  std::string b(54 + pixels, '\x40');
  const auto put = [&](size_t at, uint32_t value, size_t count) {
    for (size_t i = 0; i < count; ++i) b[at + i] = char(value >> (8 * i));
  };
  b[0] = 'B', b[1] = 'M';
  put(2, uint32_t(b.size()), 4), put(6, 0, 4), put(10, 54, 4), put(14, 40, 4);
  put(18, uint32_t(width), 4), put(22, uint32_t(height), 4), put(26, 1, 2), put(28, 24, 2);
  put(30, 0, 4), put(34, 0, 4), put(38, 0, 4), put(42, 0, 4), put(46, 0, 4), put(50, 0, 4);
  return b;
}

}  // namespace

TEST_CASE("lossless formats give back every pixel", "[data][image]") {
  const auto [w, h] = GENERATE(table<int, int>({{1, 1}, {37, 1}, {1, 50}, {45, 31}}));
  const Image image = pattern_image(w, h);
  CHECK(decode(encode_png(image)).pixels == image.pixels);
  CHECK(decode(encode_bmp(image)).pixels == image.pixels);
}

TEST_CASE("a JPEG of quality 95 stays close to the picture", "[data][image]") {
  Image image(64, 48);
  for (int y = 0; y < 48; ++y)
    for (int x = 0; x < 64; ++x) {
      image.row(y)[x * 3] = uint8_t(x * 4);
      image.row(y)[x * 3 + 1] = uint8_t(y * 5);
      image.row(y)[x * 3 + 2] = 90;
    }
  const Image back = decode(encode_jpeg(image));
  REQUIRE(back.width == 64);
  REQUIRE(back.height == 48);
  for (size_t i = 0; i < image.pixels.size(); ++i) REQUIRE(std::abs(image.pixels[i] - back.pixels[i]) <= 8);
}

TEST_CASE("content decides the format, not the name", "[data][image]") {
  const TempFolder folder;
  const Image image = pattern_image(20, 10);
  const std::string path = folder.write("x.jpg", encode_png(image));
  CHECK(read_image(path).pixels == image.pixels);
}

TEST_CASE("writing an image picks the format by the ending", "[data][image]") {
  const TempFolder folder;
  const Image image = pattern_image(20, 10);
  const auto [name, head] = GENERATE(table<std::string, std::string>(
      {{"a.png", "\x89PNG"}, {"a.BMP", "BM"}, {"a.jpg", "\xff\xd8\xff"}, {"a.dat", "\xff\xd8\xff"}}));
  write_image(folder.path(name), image);
  CHECK(read_file(folder.path(name), 1 << 20).starts_with(head));
}

TEST_CASE("all eight EXIF orientations show the picture upright", "[data][image]") {
  // Corners of the stored 3 x 2 picture a b c / d e f, read from the upper left along the row.
  const auto [orientation, expected] = GENERATE(table<int, std::string>({{1, "abcdef"},
                                                                         {2, "cbafed"},
                                                                         {3, "fedcba"},
                                                                         {4, "defabc"},
                                                                         {5, "adbecf"},
                                                                         {6, "daebfc"},
                                                                         {7, "fcebda"},
                                                                         {8, "cfbead"}}));
  Image stored(3, 2);
  for (int i = 0; i < 6; ++i) stored.pixels[size_t(i) * 3] = uint8_t('a' + i);
  const Image upright = turn_upright(stored, orientation);
  CHECK(upright.width == (orientation < 5 ? 3 : 2));
  std::string got;
  for (size_t i = 0; i < 6; ++i) got += char(upright.pixels[i * 3]);
  CHECK(got == expected);
}

TEST_CASE("the orientation is found in either byte order, and oddities count as upright", "[data][image]") {
  const std::string jpeg = encode_jpeg(pattern_image(24, 16));
  const auto orientation = [](const std::string& file) {
    return exif_orientation(std::as_bytes(std::span(file)));
  };
  CHECK(orientation(jpeg) == 1);
  CHECK(orientation(with_exif(jpeg, exif_block(6, true))) == 6);
  CHECK(orientation(with_exif(jpeg, exif_block(8, false))) == 8);
  CHECK(orientation(with_exif(jpeg, exif_block(9, true))) == 1);
  CHECK(orientation(with_exif(jpeg, exif_block(0, true))) == 1);
  std::string cut = exif_block(6, true);
  for (size_t size = 0; size < 22; ++size) CHECK(orientation(with_exif(jpeg, cut.substr(0, size))) == 1);
  std::string far = exif_block(6, true);
  far[4] = '\x7f';  // the directory lies outside the block
  CHECK(orientation(with_exif(jpeg, far)) == 1);
  std::string many = exif_block(6, true);
  many[8] = '\x01';  // 257 entries
  CHECK(orientation(with_exif(jpeg, many)) == 1);
  CHECK(decode(with_exif(jpeg, exif_block(6, true))).width == 16);
}

TEST_CASE("sizes over the limits are refused from the header", "[data][image]") {
  const auto [w, h] =
      GENERATE(table<int, int>({{65536, 1}, {2000000000, 2000000000}, {20000, 20000}, {0, 5}, {-5, 5}}));
  const long before = peak_memory_kib();
  CHECK(refusal(bmp(w, h, 100)) == "image_limits");
  CHECK(peak_memory_kib() - before < 8 << 10);
}

TEST_CASE("files too small for their header are refused before memory is taken", "[data][image]") {
  std::string jpeg = encode_jpeg(Image(16, 16, 90)), png = encode_png(Image(16, 16, 90));
  const size_t frame = jpeg.find("\xff\xc0");
  REQUIRE(frame != std::string::npos);
  jpeg.replace(frame + 5, 4, std::string("\x26\xac\x26\xac", 4));  // 9900 x 9900
  const long before = peak_memory_kib();
  CHECK(refusal(jpeg) == "image_truncated");
  CHECK(refusal(bmp(9900, 9900, 100)) == "image_truncated");
  CHECK(refusal(png.substr(0, 20)) == "image_truncated");
  CHECK(peak_memory_kib() - before < 8 << 10);
}

TEST_CASE("a picture cut anywhere is refused or complete, never half grey", "[data][image]") {
  const Image image = pattern_image(40, 30);
  const std::string file = GENERATE_COPY(encode_jpeg(image), encode_png(image), encode_bmp(image));
  const Image whole = decode(file);
  const log::Capture quiet;
  for (size_t size = 0; size < file.size(); ++size) {
    try {
      const Image got = decode(file.substr(0, size));
      INFO("cut at " << size << " of " << file.size());
      REQUIRE(got.pixels == whole.pixels);
    } catch (const Error& e) {
      REQUIRE(e.exit_code() == ExitCode::kData);
    }
  }
}

TEST_CASE("a JPEG without end marker is accepted with a note", "[data][image]") {
  std::string file = encode_jpeg(pattern_image(40, 30));
  const Image whole = decode(file);
  file.resize(file.size() - 2);
  const log::Capture said;
  CHECK(decode(file, DamagePolicy::kRefuse).pixels == whole.pixels);
  CHECK_THAT(said.text(), Catch::Contains("picture: JPEG without end marker"));
}

TEST_CASE("a PNG with a wrong checksum is refused", "[data][image]") {
  std::string file = encode_png(pattern_image(40, 30));
  const size_t data = file.find("IDAT");
  file[data + 20] = char(file[data + 20] ^ 0x10);
  CHECK(refusal(file) == "image_corrupt");
}

TEST_CASE("formats that are not built in are refused by name", "[data][image]") {
  const auto [head, name] =
      GENERATE(table<std::string, std::string>({{"RIFF1234WEBPVP8 ", "WebP"},
                                                {std::string("II\x2a\0rest", 8), "TIFF"},
                                                {"GIF89a..", "GIF"},
                                                {std::string("\0\0\0\x20"
                                                             "ftypavif",
                                                             12),
                                                 "AVIF"},
                                                {std::string("\0\0\0\x20"
                                                             "ftypheic",
                                                             12),
                                                 "HEIC"},
                                                {"P6 10 10 255\n", "PPM"}}));
  CHECK(refusal(head) == "image_format");
  CHECK_THROWS_WITH(decode(head), Catch::Contains("no decoder for " + name) || Catch::Contains(name));
}

TEST_CASE("what is no image says so", "[data][image]") {
  CHECK(refusal("") == "image_empty");
  CHECK(refusal("hello") == "image_unknown");
  CHECK_THROWS_WITH(decode("<!DOCTYPE html>"), Catch::Contains("looks like HTML"));
  const TempFolder folder;
  CHECK_THROWS_WITH(read_image(folder.path("none.jpg")), Catch::Contains("none.jpg: no such file"));
  CHECK_THROWS_WITH(read_image(folder.path(".")), Catch::Contains("is a folder"));
}

TEST_CASE("data sets refuse pictures of less than ten pixels a side", "[data][image]") {
  const TempFolder folder;
  write_image(folder.path("nine.png"), Image(9, 30));
  write_image(folder.path("ten.png"), Image(10, 30));
  CHECK_THROWS_WITH(read_sample_image(folder.path("nine.png")), Catch::Contains("has 9 x 30 pixels"));
  CHECK(read_sample_image(folder.path("ten.png")).width == 10);
}
