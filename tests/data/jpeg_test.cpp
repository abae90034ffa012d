// Our own decoder of baseline JPEG against libjpeg, which also writes the files.
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
// jpeglib.h needs the two above.
#include <jpeglib.h>

#include "core/file.h"
#include "core/log.h"
#include "core/random.h"
#include "data/codec.h"
#include "data/jpeg_baseline.h"
#include "tests/data/pictures.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"

using namespace mtyolo;
using namespace mtyolo::data;

namespace {

struct Options {
  int width, height;
  int quality = 90;
  int across = 1, down = 1;  // sampling of luma; 0 across: grey
  int restart = 0;           // MCUs
  bool progressive = false, apart = false, optimize = false;
  int noise = 60;
};

// Soft colours and noise.
Image picture(const Options& o) {
  RandomStream random(7, 1, 0);
  Image image(o.width, o.height);
  for (int y = 0; y < o.height; ++y)
    for (int x = 0; x < o.width * 3; ++x)
      image.row(y)[x] = uint8_t(90 + (x * 3 + y * 2 + x * y / 64) % 100 + int(random.uniform() * o.noise));
  return image;
}

std::string write_jpeg(const Options& o) {
  const Image image = picture(o);
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long count = 0;
  jpeg_mem_dest(&info, &bytes, &count);
  info.image_width = JDIMENSION(o.width), info.image_height = JDIMENSION(o.height);
  info.input_components = 3, info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, o.quality, TRUE);
  if (o.across == 0) jpeg_set_colorspace(&info, JCS_GRAYSCALE);
  info.comp_info[0].h_samp_factor = std::max(o.across, 1), info.comp_info[0].v_samp_factor = o.down;
  info.restart_interval = unsigned(o.restart);
  info.optimize_coding = o.optimize ? TRUE : FALSE;
  if (o.progressive) jpeg_simple_progression(&info);
  jpeg_scan_info scans[3] = {{1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}};
  if (o.apart) info.scan_info = scans, info.num_scans = 3;
  jpeg_start_compress(&info, TRUE);
  for (int y = 0; y < o.height; ++y) {
    JSAMPROW row = const_cast<JSAMPROW>(image.row(y));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string file(reinterpret_cast<const char*>(bytes), count);
  std::free(bytes);
  return file;
}

bool has_own_decoder() {
#ifdef __SSE2__
  return __builtin_cpu_supports("avx2");
#else
  return false;
#endif
}

// Whether our own decoder takes the file.
bool is_ours(const std::string& file) {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(file.data()), file.size());
  jpeg_read_header(&info, TRUE);
  Image image(int(info.image_width), int(info.image_height));
  const bool ours = decode_baseline(info, {info.src->next_input_byte, info.src->bytes_in_buffer}, image);
  jpeg_destroy_decompress(&info);
  return ours;
}

struct Outcome {
  std::vector<uint8_t> pixels;
  std::string said;  // the error or the warnings
  bool operator==(const Outcome&) const = default;
};

Outcome decode(const std::string& file, JpegPath path) {
  const log::Capture said;
  try {
    const Image image = decode_jpeg(std::as_bytes(std::span(file)), "picture", DamagePolicy::kWarn, path);
    return {image.pixels, said.text()};
  } catch (const Error& e) {
    return {{}, e.what()};
  }
}

bool same_outcome(const std::string& file) {
  return decode(file, JpegPath::kFastest) == decode(file, JpegPath::kLibrary);
}

}  // namespace

TEST_CASE("jpeg: every sampling, size, quality and restart interval has libjpeg's pixels", "[data][jpeg]") {
  const auto [across, down] = GENERATE(table<int, int>({{0, 1}, {1, 1}, {2, 1}, {1, 2}, {2, 2}}));
  for (const auto& [width, height] : std::vector<std::pair<int, int>>{
           {1, 1}, {7, 5}, {17, 33}, {5, 4}, {4, 40}, {100, 1}, {6, 70}, {16, 16}, {131, 77}, {300, 64}})
    for (const int quality : {1, 40, 92, 100})
      for (const int restart : {0, 1, 7}) {
        const Options o{width, height, quality, across, down, restart};
        CAPTURE(across, down, width, height, quality, restart);
        const std::string file = write_jpeg(o);
        REQUIRE(is_ours(file) == (has_own_decoder() && (across < 2 || width > 4)));
        REQUIRE(decode(file, JpegPath::kLibrary).said == "");
        REQUIRE(same_outcome(file));
      }
}

TEST_CASE("jpeg: codes of the picture's own have libjpeg's pixels", "[data][jpeg]") {
  const int noise = GENERATE(0, 3, 20, 160);
  for (const int quality : {30, 75, 98}) {
    Options o{203, 150, quality, 2, 2};
    o.optimize = true, o.noise = noise;
    CAPTURE(noise, quality);
    const std::string file = write_jpeg(o);
    CHECK(is_ours(file) == has_own_decoder());
    CHECK(same_outcome(file));
  }
}

TEST_CASE("jpeg: other kinds of file are left to libjpeg", "[data][jpeg]") {
  Options progressive{40, 30}, apart{40, 30}, four{90, 30, 90, 4, 1};
  progressive.progressive = apart.apart = true;
  for (const Options& o : {progressive, apart, four}) {
    const std::string file = write_jpeg(o);
    CHECK_FALSE(is_ours(file));
    CHECK(decode(file, JpegPath::kFastest).said == "");
    CHECK(same_outcome(file));
  }
}

TEST_CASE("jpeg: values beyond what a picture can have are left to libjpeg", "[data][jpeg]") {
  Options o{64, 64, 100, 1, 1};
  o.noise = 160;
  std::string file = write_jpeg(o);
  REQUIRE(is_ours(file) == has_own_decoder());
  for (size_t at = file.find("\xff\xdb"); at != std::string::npos; at = file.find("\xff\xdb", at + 2))
    std::fill_n(file.begin() + int64_t(at) + 5, 64, '\xff');
  CHECK_FALSE(is_ours(file));
  CHECK(same_outcome(file));
}

TEST_CASE("jpeg: damaged and truncated files end as by libjpeg", "[data][jpeg]") {
  const auto [across, down, restart] = GENERATE(table<int, int, int>({{0, 1, 2}, {1, 2, 0}, {2, 2, 1}}));
  const std::string file = write_jpeg({24, 20, 80, across, down, restart});
  const size_t scan = file.find("\xff\xda");
  size_t refused = 0, taken = 0;
  for (size_t n = scan; n < file.size(); ++n) {
    CAPTURE(n);
    REQUIRE(same_outcome(file.substr(0, n)));
    for (const char flip : {'\x01', '\x10', '\x80', '\xff'}) {
      std::string changed = file;
      changed[n] = char(changed[n] ^ flip);
      const Outcome ours = decode(changed, JpegPath::kFastest);
      REQUIRE(ours == decode(changed, JpegPath::kLibrary));
      ++(ours.said.empty() ? taken : refused);
    }
  }
  CHECK(refused > 50);
  CHECK(taken > 50);
}

TEST_CASE("jpeg: the photos of the goldens have libjpeg's pixels", "[data][jpeg]") {
  const auto folder = test::shared_folder() / "goldens" / "images";
  if (!std::filesystem::exists(folder))
    MTYOLO_SKIP("the goldens are not here");  // nor need be: a user has the project alone
  for (const auto& photo : std::filesystem::directory_iterator(folder)) {
    if (photo.path().extension() != ".jpg") continue;
    CAPTURE(photo.path());
    const std::string file = read_file(photo.path().string(), size_t(1) << 24);
    CHECK(is_ours(file) == has_own_decoder());
    CHECK(same_outcome(file));
  }
}
