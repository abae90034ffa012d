#include "ops/blocked/blocked.h"

#include <algorithm>
#include <cstring>

#include "ops/blocked/training.h"

namespace mtyolo::ops::blocked {
namespace {

void check_same_size(const char* op, const Map& a, const Map& b) {
  MTYOLO_CHECK(
      a.n == b.n && a.view.h == b.view.h && a.view.w == b.view.w && a.view.channels == b.view.channels,
      "{}: maps [{},{},{},{}] and [{},{},{},{}] differ", op, a.n, a.view.channels, a.view.h, a.view.w, b.n,
      b.view.channels, b.view.h, b.view.w);
}

template <class T, class E>
void pack_row(const Tensor& t, int64_t image, int row, const MapView& map) {
  const T* from = t.data<T>() + image * t.stride(0) + row * t.stride(2);
  for (int c = 0; c < map.channels; ++c) {
    E* at = element<E>(map, c, row, 0);
    const T* channel = from + c * t.stride(1);
    for (int j = 0; j < map.w; ++j) {
      const T value = channel[j * t.stride(3)];
      if constexpr (std::is_same_v<T, uint8_t>) at[int64_t(j) * map.pixel] = E(float(value) / 255.0f);
      else at[int64_t(j) * map.pixel] = E(value);
    }
  }
  for (int c = map.channels; c < kStemPixel && map.pixel == kStemPixel; ++c)
    for (int j = 0; j < map.w; ++j) element<E>(map, c, row, j)[0] = E(0.0f);
}

}  // namespace

size_t element_bytes(const MapView& m, int64_t count) {
  return size_t(count) * (m.type == Element::kBF16 ? sizeof(BFloat16) : sizeof(float));
}

MapView moved(const MapView& m, int64_t elements) {
  MapView v = m;
  with_type(m, [&](auto value) { v.data = static_cast<decltype(value)*>(m.data) + elements; });
  return v;
}

MapView Map::image(int i) const { return moved(view, i * image_stride); }

Map Map::channels(int first, int count) const {
  MTYOLO_CHECK(first % kBlock == 0 && view.pixel == kBlock, "blocked map: channel {} begins no block", first);
  Map m = *this;
  m.view = moved(view, first / kBlock * view.block_stride);
  m.view.channels = count;
  return m;
}

int64_t map_floats(int n, int channels, int h, int w, int halo, int pixel) {
  const int64_t blocks = pixel == kBlock ? (channels + kBlock - 1) / kBlock : 1;
  return n * blocks * (h + 2 * halo) * (w + 2 * halo) * pixel;
}

Map make_map(void* memory, int n, int channels, int h, int w, int halo, int pixel, Element type) {
  MTYOLO_CHECK(pixel == kBlock || channels <= pixel, "blocked map: {} channels in {} elements", channels,
               pixel);
  Map m;
  m.n = n;
  m.view.channels = channels;
  m.view.h = h, m.view.w = w, m.view.halo = halo, m.view.pixel = pixel;
  m.view.row_stride = int64_t(w + 2 * halo) * pixel;
  m.view.block_stride = m.view.row_stride * (h + 2 * halo);
  m.view.type = type;
  m.view.data = memory;
  m.view = moved(m.view, halo * m.view.row_stride + int64_t(halo) * pixel);
  m.image_stride = map_floats(1, channels, h, w, halo, pixel);
  return m;
}

void reserve_scratch(Context& ctx, int64_t floats) {
  std::vector<Tensor> all;
  for (int i = 0; i < ctx.pool().size(); ++i)
    all.push_back(Tensor::empty({floats}, DType::kF32, ctx.allocator()));
}

void zero_halo(const MapView& m, int block_begin, int block_end) {
  const int64_t row_bytes = int64_t(element_bytes(m, m.row_stride)),
                pixel_bytes = int64_t(element_bytes(m, m.pixel));
  const size_t row_size = size_t(row_bytes), side = size_t(m.halo * pixel_bytes);
  for (int b = block_begin; b < block_end; ++b) {
    auto* first = static_cast<std::byte*>(moved(m, b * m.block_stride - int64_t(m.halo) * m.pixel).data);
    for (int i = 1; i <= m.halo; ++i) std::memset(first - i * row_bytes, 0, row_size);
    for (int i = 0; i < m.h; ++i) {
      std::memset(first + i * row_bytes, 0, side);
      std::memset(first + i * row_bytes + (m.halo + m.w) * pixel_bytes, 0, side);
    }
    for (int i = 0; i < m.halo; ++i) std::memset(first + (m.h + i) * row_bytes, 0, row_size);
  }
}

void zero_halo(Context& ctx, const Map& map) {
  if (map.view.halo == 0) return;
  for_blocks(ctx, map, [&](int image, int begin, int end) { zero_halo(map.image(image), begin, end); });
}

void max_pool2d(Context& ctx, const Map& x, const MaxPool2d& p, const Map& y) {
  const Shape want = max_pool2d_shape({x.n, x.view.channels, x.view.h, x.view.w}, p);
  MTYOLO_CHECK(want == Shape({y.n, y.view.channels, y.view.h, y.view.w}), "max_pool2d: expected y of {}",
               want);
  for_blocks(ctx, y, [&](int image, int begin, int end) {
    kernels().max_pool({x.image(image), y.image(image), p.k, p.stride, p.pad}, begin, end);
  });
}

void upsample(Context& ctx, const Map& x, int scale, const Map& y) {
  MTYOLO_CHECK(
      y.view.h == x.view.h * scale && y.view.w == x.view.w * scale && y.view.channels == x.view.channels,
      "upsample: [{},{},{}] times {} is not [{},{},{}]", x.view.channels, x.view.h, x.view.w, scale,
      y.view.channels, y.view.h, y.view.w);
  for_blocks(ctx, y, [&](int image, int begin, int end) {
    kernels().upsample(x.image(image), y.image(image), scale, begin, end);
  });
}

void add(Context& ctx, const Map& a, const Map& b, const Map& y) {
  check_same_size("add", a, b);
  check_same_size("add", a, y);
  for_blocks(ctx, y, [&](int image, int begin, int end) {
    kernels().add(a.image(image), b.image(image), y.image(image), begin, end);
  });
}

void activate(Context& ctx, const Map& y, const Activation& activation) {
  for_blocks(ctx, y, [&](int image, int begin, int end) {
    kernels().activate(y.image(image), to_epilogue(activation.kind), activation.slope, begin, end);
  });
}

void copy_channels(Context& ctx, const Map& x, const Map& y, int y_first) {
  MTYOLO_CHECK(x.view.h == y.view.h && x.view.w == y.view.w && y_first + x.view.channels <= y.view.channels,
               "concat: {} channels do not fit at {} of {}", x.view.channels, y_first, y.view.channels);
  ctx.pool().parallel_for(int64_t(x.n) * x.view.h, [&](int64_t i) {
    const MapView from = x.image(int(i / x.view.h)), to = y.image(int(i / x.view.h));
    const int row = int(i % x.view.h);
    with_type(to, [&](auto value) {
      using T = decltype(value);
      for (int c = 0; c < from.channels; ++c)
        for (int j = 0; j < from.w; ++j) *element<T>(to, y_first + c, row, j) = *element<T>(from, c, row, j);
    });
  });
}

void space_to_depth(Context& ctx, const Map& x, const Map& y) {
  MTYOLO_CHECK(x.view.h == 2 * y.view.h && x.view.w == 2 * y.view.w && y.view.channels == 4 * x.view.channels,
               "space_to_depth: [{},{},{}] does not become [{},{},{}]", x.view.channels, x.view.h, x.view.w,
               y.view.channels, y.view.h, y.view.w);
  ctx.pool().parallel_for(int64_t(y.n) * y.view.h, [&](int64_t i) {
    const MapView from = x.image(int(i / y.view.h)), to = y.image(int(i / y.view.h));
    const int row = int(i % y.view.h);
    with_type(to, [&](auto value) {
      using T = decltype(value);
      for (int b = 0; b < 4; ++b)
        for (int c = 0; c < from.channels; ++c)
          for (int j = 0; j < to.w; ++j)
            *element<T>(to, b * from.channels + c, row, j) =
                *element<T>(from, c, 2 * row + b % 2, 2 * j + b / 2);
    });
  });
}

void pack(Context& ctx, const Tensor& nchw, const Map& map) {
  MTYOLO_CHECK(nchw.shape() == Shape({map.n, map.view.channels, map.view.h, map.view.w}),
               "pack: {} into a map [{},{},{},{}]", nchw, map.n, map.view.channels, map.view.h, map.view.w);
  ctx.pool().parallel_for(int64_t(map.n) * map.view.h, [&](int64_t i) {
    const int64_t image = i / map.view.h;
    const int row = int(i % map.view.h);
    const MapView to = map.image(int(image));
    with_type(to, [&](auto value) {
      using E = decltype(value);
      if (nchw.dtype() == DType::kU8) pack_row<uint8_t, E>(nchw, image, row, to);
      else pack_row<float, E>(nchw, image, row, to);
    });
  });
  zero_halo(ctx, map);
}

void unpack(Context& ctx, const Map& map, Tensor& nchw) {
  MTYOLO_CHECK(nchw.shape() == Shape({map.n, map.view.channels, map.view.h, map.view.w}),
               "unpack: {} from a map [{},{},{},{}]", nchw, map.n, map.view.channels, map.view.h, map.view.w);
  float* to = nchw.data<float>();
  ctx.pool().parallel_for(int64_t(map.n) * map.view.channels, [&](int64_t i) {
    const int image = int(i / map.view.channels), channel = int(i % map.view.channels);
    const MapView from = map.image(image);
    with_type(from, [&](auto value) {
      for (int row = 0; row < from.h; ++row)
        for (int j = 0; j < from.w; ++j)
          to[image * nchw.stride(0) + channel * nchw.stride(1) + row * nchw.stride(2) + j * nchw.stride(3)] =
              float(*element<decltype(value)>(from, channel, row, j));
    });
  });
}

void detect_decode(Context& ctx, const Map& raw, const DetectDecode& p, Tensor& predictions,
                   int64_t first_row) {
  const int64_t rows = int64_t(p.anchor_count()) * raw.view.h * raw.view.w;
  MTYOLO_CHECK(p.anchor_count() > 0 && raw.view.channels % p.anchor_count() == 0 && predictions.rank() == 3 &&
                   predictions.size(2) == raw.view.channels / p.anchor_count() &&
                   first_row + rows <= predictions.size(1) && predictions.is_contiguous(),
               "detect_decode: {} channels of {} anchors into {} at row {}", raw.view.channels,
               p.anchor_count(), predictions, first_row);
  ctx.pool().parallel_for(int64_t(raw.n) * raw.view.h, [&](int64_t i) {
    const int image = int(i / raw.view.h), row = int(i % raw.view.h);
    DecodeTask task{raw.image(image), nullptr, p.anchors.data(), p.anchor_count(), p.stride};
    task.y = predictions.data<float>() + image * predictions.stride(0) + first_row * predictions.stride(1);
    kernels().decode(task, row, row + 1);
  });
}

}  // namespace mtyolo::ops::blocked
