// The usual JPEG (baseline, Huffman, 8 bits, grey or YCbCr with chroma whole or halved) without libjpeg
// behind its header, with the same pixels in two thirds of the time.
#pragma once

#include <cstdint>
#include <span>

#include "data/image.h"

struct jpeg_decompress_struct;

namespace mtyolo::data {

// `info`: after jpeg_read_header. `scan`: the file from the first byte after it. True: the file is sound and
// `image`, which has the picture's size, holds its pixels. False: another kind of file, a damaged one or a
// processor without AVX2, left to libjpeg; `image` may hold anything.
bool decode_baseline(const jpeg_decompress_struct& info, std::span<const uint8_t> scan, Image& image);

}  // namespace mtyolo::data
