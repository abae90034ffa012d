// JPEG by libjpeg-turbo. As in codec_jpeg.cpp, the only setjmp is in a function without destructors to skip.
#include <csetjmp>
#include <cstdio>
// jpeglib.h needs the two above.
#include <jpeglib.h>

#include <cstdlib>

#include "core/error.h"
#include "data/encode.h"

namespace mtyolo::data {
namespace {

struct JpegWriter {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  jmp_buf escape{};
  char message[JMSG_LENGTH_MAX] = {};
  unsigned char* bytes = nullptr;  // grown by libjpeg with malloc
  unsigned long byte_count = 0;
  JpegWriter() = default;
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;
  ~JpegWriter() {
    jpeg_destroy_compress(&info);
    std::free(bytes);
  }
};

void on_fatal(j_common_ptr info) {
  auto& w = *static_cast<JpegWriter*>(info->client_data);
  w.errors.format_message(info, w.message);
  std::longjmp(w.escape, 1);
}

void on_message(j_common_ptr, int) {}

bool compress(JpegWriter& w, const Image& image, int quality) {
  w.info.err = jpeg_std_error(&w.errors);
  w.errors.error_exit = on_fatal;
  w.errors.emit_message = on_message;
  w.info.client_data = &w;
  if (setjmp(w.escape) != 0) return false;
  jpeg_create_compress(&w.info);
  jpeg_mem_dest(&w.info, &w.bytes, &w.byte_count);
  w.info.image_width = JDIMENSION(image.width);
  w.info.image_height = JDIMENSION(image.height);
  w.info.input_components = 3;
  w.info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&w.info);
  jpeg_set_quality(&w.info, quality, TRUE);
  for (int c = 0; c < w.info.num_components; ++c)
    w.info.comp_info[c].h_samp_factor = w.info.comp_info[c].v_samp_factor = 1;
  jpeg_start_compress(&w.info, TRUE);
  while (w.info.next_scanline < w.info.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(image.row(int(w.info.next_scanline)));  // libjpeg only reads it
    jpeg_write_scanlines(&w.info, &row, 1);
  }
  jpeg_finish_compress(&w.info);
  return true;
}

}  // namespace

std::string encode_jpeg(const Image& image, int quality) {
  JpegWriter writer;
  if (!compress(writer, image, quality))
    fail(ExitCode::kRuntime, "image_encode", "cannot encode a picture of {} x {} pixels as JPEG: {}",
         image.width, image.height, static_cast<const char*>(writer.message));
  return {reinterpret_cast<const char*>(writer.bytes), writer.byte_count};
}

}  // namespace mtyolo::data
