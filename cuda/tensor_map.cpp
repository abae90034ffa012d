#include "cuda/tensor_map.h"

namespace mtyolo {
namespace {

bool misplaced(const void* data) { return data == nullptr || reinterpret_cast<uintptr_t>(data) % 16 != 0; }

const char* inner_refused(int64_t bytes, Swizzle swizzle) {
  if (bytes % 16 != 0) return "tensor map: the innermost box must be a multiple of 16 bytes";
  if (swizzle != Swizzle::kNone && bytes != swizzle_span(swizzle))
    return "tensor map: a swizzled box must be one span wide";
  return nullptr;
}

}  // namespace

const char* tensor_map_refuses(const TiledMap& map) {
  if (misplaced(map.data)) return "tensor map: data must be a multiple of 16";
  if (map.rank < 1 || map.rank > 5) return "tensor map: rank must be 1..5";
  for (int d = 0; d < map.rank; ++d) {
    if (map.dims[d] < 1 || map.dims[d] > int64_t{1} << 32) return "tensor map: dims must be 1..2^32";
    if (map.box[d] < 1 || map.box[d] > 256) return "tensor map: box must be 1..256";
    if (d == 0) continue;
    if (map.steps[d] < 1 || map.steps[d] > 8) return "tensor map: steps must be 1..8";
    if (map.strides[d] <= 0 || map.strides[d] % 16 != 0 || map.strides[d] >= int64_t{1} << 40)
      return "tensor map: strides must be multiples of 16 bytes below 2^40";
  }
  return inner_refused(int64_t{map.box[0]} * bytes_of(map.type), map.swizzle);
}

const char* tensor_map_refuses(const Im2colMap& map) {
  if (misplaced(map.x.data)) return "tensor map: data must be a multiple of 16";
  const auto bytes = int64_t{map.x.pixel_stride} * bytes_of(map.x.type);
  if (bytes % 16 != 0) return "tensor map: pixels must be multiples of 16 bytes apart";
  if (map.x.n < 1 || map.x.h < 1 || map.x.w < 1 || map.x.c < 1 || map.x.pixel_stride < map.x.c ||
      bytes * map.x.w * map.x.h >= int64_t{1} << 40)
    return "tensor map: x has no pixels, or too many";
  if (map.lower < -128 || map.lower > 127 || map.upper < -128 || map.upper > 127 ||
      map.x.w + map.upper <= map.lower || map.x.h + map.upper <= map.lower)
    return "tensor map: the corners must be -128..127 and leave a pixel";
  if (map.step < 1 || map.step > 8) return "tensor map: steps must be 1..8";
  if (map.channels < 1 || map.channels > 256 || map.pixels < 1 || map.pixels > 1024)
    return "tensor map: at most 256 channels and 1024 pixels";
  return inner_refused(int64_t{map.channels} * bytes_of(map.x.type), map.swizzle);
}

}  // namespace mtyolo
