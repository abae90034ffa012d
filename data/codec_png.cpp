// PNG by libpng: own error handlers, limits from the header before memory is taken (reliability.md I2, I4).
// As in codec_jpeg.cpp, `guarded` holds the only setjmp and the steps it runs have trivial locals only.
#include <png.h>

#include <csetjmp>
#include <cstring>

#include "core/log.h"
#include "data/codec.h"

namespace mtyolo::data {
namespace {

struct PngState {
  png_structp png;
  png_infop info;
  jmp_buf escape;
  const std::byte* bytes;
  size_t left;
  char message[160];        // the fatal error
  char first_warning[160];  // "" = none
  bool ran_out;
  png_bytepp rows;  // `height` pointers into pixels
};

void keep_text(char (&to)[160], const char* text) { std::strncpy(to, text, sizeof(to) - 1); }

void on_fatal(png_structp png, png_const_charp text) {
  auto& s = *static_cast<PngState*>(png_get_error_ptr(png));
  keep_text(s.message, text);
  std::longjmp(s.escape, 1);
}

void on_warning(png_structp png, png_const_charp text) {
  auto& s = *static_cast<PngState*>(png_get_error_ptr(png));
  if (s.first_warning[0] == '\0') keep_text(s.first_warning, text);
}

void on_read(png_structp png, png_bytep to, size_t count) {
  auto& s = *static_cast<PngState*>(png_get_io_ptr(png));
  if (count > s.left) {
    s.ran_out = true;
    png_error(png, "the file ends early");
  }
  std::memcpy(to, s.bytes, count);
  s.bytes += count;
  s.left -= count;
}

bool guarded(PngState& s, void (*step)(PngState&)) {
  if (setjmp(s.escape) != 0) return false;
  step(s);
  return true;
}

void read_header(PngState& s) {
  constexpr int kChunkCache = 128, kChunkBytes = 1 << 20;
  s.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &s, on_fatal, on_warning);
  if (s.png == nullptr) std::longjmp(s.escape, 1);
  s.info = png_create_info_struct(s.png);
  if (s.info == nullptr) std::longjmp(s.escape, 1);
  png_set_read_fn(s.png, &s, on_read);
  png_set_user_limits(s.png, kMaxImageSide, kMaxImageSide);
  png_set_chunk_cache_max(s.png, kChunkCache);
  png_set_chunk_malloc_max(s.png, kChunkBytes);
  png_set_crc_action(s.png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  // Profiles, text and gamma do not change the pixels we want: skipped unread (I6).
  png_set_keep_unknown_chunks(s.png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_read_info(s.png, s.info);
}

// Every kind becomes 8-bit RGB: palette looked up, grey replicated, alpha dropped, 16 bits cut to the high
// byte.
void read_pixels(PngState& s) {
  const int type = png_get_color_type(s.png, s.info);
  png_set_expand(s.png);
  png_set_strip_16(s.png);
  png_set_strip_alpha(s.png);
  if ((type & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(s.png);
  png_set_interlace_handling(s.png);
  png_read_update_info(s.png, s.info);
  if (png_get_rowbytes(s.png, s.info) != size_t(png_get_image_width(s.png, s.info)) * 3)
    png_error(s.png, "unexpected row size");
  png_read_image(s.png, s.rows);
  png_read_end(s.png, nullptr);
}

struct PngReader {
  PngState state{};
  ~PngReader() {
    if (state.png != nullptr) png_destroy_read_struct(&state.png, &state.info, nullptr);
  }
};

[[noreturn]] void fail_decode(const PngState& s, const std::string& name) {
  throw image_error(name, s.ran_out ? "image_truncated" : "image_corrupt",
                    fmt::format("PNG cannot be decoded{}: {}", s.ran_out ? ", the file is truncated" : "",
                                static_cast<const char*>(s.message)));
}

// The size stands at a fixed place, 8 bytes of signature and 8 of chunk head before it. Checked by us first,
// because libpng words its own refusal as a generic one.
void check_header_size(std::span<const std::byte> bytes, const std::string& name) {
  if (bytes.size() < 33) throw image_error(name, "image_truncated", "PNG is truncated: no image data");
  uint64_t size[2] = {0, 0};
  for (size_t i = 0; i < 8; ++i) size[i / 4] = (size[i / 4] << 8) | uint64_t(bytes[16 + i]);
  check_image_size(size[0], size[1], name);
}

// Deflate shrinks by 1032 at most: a file that cannot hold its picture is refused before memory is taken.
void check_capacity(const PngState& s, size_t byte_count, const std::string& name) {
  const uint64_t width = png_get_image_width(s.png, s.info), height = png_get_image_height(s.png, s.info);
  const uint64_t bits = width * png_get_channels(s.png, s.info) * png_get_bit_depth(s.png, s.info);
  if (height * (bits / 8) > uint64_t(byte_count) * 1032)
    throw image_error(
        name, "image_truncated",
        fmt::format("PNG of {} x {} pixels in {} bytes is truncated", width, height, byte_count));
}

}  // namespace

Image decode_png(std::span<const std::byte> bytes, const std::string& name, DamagePolicy damage) {
  check_header_size(bytes, name);
  PngReader reader;
  PngState& s = reader.state;
  s.bytes = bytes.data();
  s.left = bytes.size();
  if (!guarded(s, read_header)) fail_decode(s, name);
  check_capacity(s, bytes.size(), name);
  Image image(int(png_get_image_width(s.png, s.info)), int(png_get_image_height(s.png, s.info)));
  std::vector<png_bytep> rows;
  for (int y = 0; y < image.height; ++y) rows.push_back(image.row(y));
  s.rows = rows.data();
  if (!guarded(s, read_pixels)) fail_decode(s, name);
  if (s.first_warning[0] != '\0') {
    const std::string warning = static_cast<const char*>(s.first_warning);
    if (damage == DamagePolicy::kRefuse)
      throw image_error(name, "image_corrupt", "PNG is damaged: " + warning);
    log::warning("{}: PNG is damaged: {}", name, warning);
  }
  return image;
}

}  // namespace mtyolo::data
