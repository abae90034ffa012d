// JPEG by libjpeg-turbo with its default transforms (slow integer DCT, smooth chroma upsampling), straight
// into the final buffer; sound files of the usual kind by data/jpeg_baseline.h. libjpeg reports fatal errors
// by a call that must not return: `guarded` holds the only setjmp, and the steps it runs have trivial locals
// only, so that the jump skips no destructor.
#include <csetjmp>
#include <cstdio>
// jpeglib.h needs the two above.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <cstring>

#include "core/log.h"
#include "data/codec.h"
#include "data/jpeg_baseline.h"

namespace mtyolo::data {
namespace {

struct JpegState {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  jpeg_source_mgr source;
  jpeg_progress_mgr progress;
  jmp_buf escape;
  const JOCTET* bytes;
  size_t byte_count;
  char message[JMSG_LENGTH_MAX];        // the fatal error
  char first_warning[JMSG_LENGTH_MAX];  // "" = none
  bool premature_end;                   // a segment ended before its blocks were there
  bool ran_out;                         // the file ended without an end marker
  bool too_many_scans;
  bool complete;             // every component and every bit of its coefficients came
  uint32_t components_seen;  // in the scans of a multi-scan file
  uint8_t* pixels;
  uint8_t* cmyk_row;  // width * 4, only for four components
};

JpegState& state_of(j_common_ptr info) { return *static_cast<JpegState*>(info->client_data); }

void on_fatal(j_common_ptr info) {
  JpegState& s = state_of(info);
  s.errors.format_message(info, s.message);
  std::longjmp(s.escape, 1);
}

void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  JpegState& s = state_of(info);
  if (s.errors.msg_code == JWRN_HIT_MARKER) s.premature_end = true;
  if (s.first_warning[0] == '\0') s.errors.format_message(info, s.first_warning);
  ++s.errors.num_warnings;
}

void on_print(j_common_ptr) {}

void on_progress(j_common_ptr info) {
  JpegState& s = state_of(info);
  for (int i = 0; i < s.info.comps_in_scan; ++i)
    s.components_seen |= 1u << s.info.cur_comp_info[i]->component_index;
  s.too_many_scans = s.info.input_scan_number > kMaxJpegScans;
  if (s.too_many_scans) std::longjmp(s.escape, 1);
}

void source_start(j_decompress_ptr) {}

// Called when no byte is left: hands out an end marker, so that the decoder comes to an end.
boolean source_fill(j_decompress_ptr info) {
  static const JOCTET kEnd[2] = {0xff, JPEG_EOI};
  state_of(reinterpret_cast<j_common_ptr>(info)).ran_out = true;
  info->src->next_input_byte = kEnd;
  info->src->bytes_in_buffer = sizeof(kEnd);
  return TRUE;
}

void source_skip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  if (size_t(count) > info->src->bytes_in_buffer) {
    source_fill(info);
    return;
  }
  info->src->next_input_byte += count;
  info->src->bytes_in_buffer -= size_t(count);
}

void source_end(j_decompress_ptr) {}

// Runs one step; false if libjpeg gave up, then message or too_many_scans says why.
bool guarded(JpegState& s, void (*step)(JpegState&)) {
  if (setjmp(s.escape) != 0) return false;
  step(s);
  return true;
}

void read_header(JpegState& s) {
  s.info.err = jpeg_std_error(&s.errors);
  s.errors.error_exit = on_fatal;
  s.errors.emit_message = on_message;
  s.errors.output_message = on_print;
  s.info.client_data = &s;
  jpeg_create_decompress(&s.info);
  s.source = {s.bytes,     s.byte_count,           source_start, source_fill,
              source_skip, jpeg_resync_to_restart, source_end};
  s.info.src = &s.source;
  s.progress.progress_monitor = on_progress;
  s.info.progress = &s.progress;
  jpeg_read_header(&s.info, TRUE);
}

bool is_cmyk(const JpegState& s) {
  return s.info.jpeg_color_space == JCS_CMYK || s.info.jpeg_color_space == JCS_YCCK;
}

// data.md 2: the values are inverted, as Adobe writes them; OpenCV's integer form.
void cmyk_to_rgb(const uint8_t* cmyk, int width, uint8_t* rgb) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    const int k = cmyk[3];
    for (int c = 0; c < 3; ++c) rgb[c] = uint8_t(k - (((255 - cmyk[c]) * k) >> 8));
  }
}

// A progressive file may end between two scans without any warning: then coefficients or their low bits are
// missing.
// Asked before jpeg_finish_decompress, which frees what is looked at here.
bool is_complete(JpegState& s) {
  const auto all = (1u << s.info.num_components) - 1;
  if (jpeg_has_multiple_scans(&s.info) && s.components_seen != all) return false;
  if (!s.ran_out || !s.info.progressive_mode) return true;
  for (int c = 0; c < s.info.num_components; ++c)
    for (int k = 0; k < DCTSIZE2; ++k)
      if (s.info.coef_bits[c][k] != 0) return false;
  return true;
}

void read_pixels(JpegState& s) {
  constexpr int kRows = 16;
  s.info.out_color_space = is_cmyk(s) ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&s.info);
  const size_t row_bytes = size_t(s.info.output_width) * 3;
  JSAMPROW rows[kRows];
  while (s.info.output_scanline < s.info.output_height) {
    uint8_t* first = s.pixels + s.info.output_scanline * row_bytes;
    if (is_cmyk(s)) {
      rows[0] = s.cmyk_row;
      if (jpeg_read_scanlines(&s.info, rows, 1) == 1)
        cmyk_to_rgb(s.cmyk_row, int(s.info.output_width), first);
      continue;
    }
    const JDIMENSION left = s.info.output_height - s.info.output_scanline;
    const JDIMENSION count = std::min<JDIMENSION>(left, kRows);
    for (JDIMENSION i = 0; i < count; ++i) rows[i] = first + i * row_bytes;
    jpeg_read_scanlines(&s.info, rows, count);
  }
  s.complete = is_complete(s);
  jpeg_finish_decompress(&s.info);
}

struct JpegReader {
  JpegState state{};
  ~JpegReader() { jpeg_destroy_decompress(&state.info); }
};

[[noreturn]] void fail_decode(const JpegState& s, const std::string& name) {
  if (s.too_many_scans)
    throw image_error(name, "image_scans", fmt::format("JPEG with more than {} scans", kMaxJpegScans));
  const char* code = s.ran_out ? "image_truncated" : "image_corrupt";
  throw image_error(name, code,
                    fmt::format("JPEG cannot be decoded{}: {}", s.ran_out ? ", the file is truncated" : "",
                                static_cast<const char*>(s.message)));
}

void check_header(const JpegState& s, const std::string& name) {
  check_image_size(s.info.image_width, s.info.image_height, name);
  if (s.info.arith_code)
    throw image_error(name, "image_format", "JPEG with arithmetic coding is not supported");
  if (s.info.jpeg_color_space == JCS_UNKNOWN)
    throw image_error(name, "image_format",
                      fmt::format("JPEG with {} components of unknown meaning", s.info.num_components));
  // Every 8x8 block takes at least one bit: a file that cannot hold its picture is refused before memory is
  // taken.
  uint64_t blocks = 0;
  for (int c = 0; c < s.info.num_components; ++c)
    blocks += uint64_t(s.info.comp_info[c].width_in_blocks) * s.info.comp_info[c].height_in_blocks;
  if (s.byte_count < blocks / 8)
    throw image_error(name, "image_truncated",
                      fmt::format("JPEG of {} x {} pixels in {} bytes is truncated", s.info.image_width,
                                  s.info.image_height, s.byte_count));
}

void check_result(const JpegState& s, const std::string& name, DamagePolicy damage) {
  if (s.premature_end || !s.complete)
    throw image_error(name, "image_truncated",
                      s.ran_out ? "JPEG is truncated: pixel data is missing"
                                : "JPEG is corrupt: a segment of pixel data ends early");
  if (s.errors.num_warnings > 0) {
    const std::string warning = static_cast<const char*>(s.first_warning);
    if (damage == DamagePolicy::kRefuse)
      throw image_error(name, "image_corrupt", "JPEG is damaged: " + warning);
    log::warning("{}: JPEG is damaged: {} ({} warnings)", name, warning, s.errors.num_warnings);
  } else if (s.ran_out) {
    log::warning("{}: JPEG without end marker; its pixels are complete", name);
  }
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name, DamagePolicy damage,
                  JpegPath path) {
  JpegReader reader;
  JpegState& s = reader.state;
  s.bytes = reinterpret_cast<const JOCTET*>(bytes.data());
  s.byte_count = bytes.size();
  if (!guarded(s, read_header)) fail_decode(s, name);
  check_header(s, name);
  Image image(int(s.info.image_width), int(s.info.image_height));
  const std::span<const uint8_t> scan(s.source.next_input_byte, s.source.bytes_in_buffer);
  if (path == JpegPath::kFastest && s.errors.num_warnings == 0 && !s.ran_out &&
      decode_baseline(s.info, scan, image))
    return image;
  std::vector<uint8_t> cmyk_row(is_cmyk(s) ? size_t(image.width) * 4 : 0);
  s.pixels = image.pixels.data();
  s.cmyk_row = cmyk_row.data();
  if (!guarded(s, read_pixels)) fail_decode(s, name);
  check_result(s, name, damage);
  return image;
}

}  // namespace mtyolo::data
