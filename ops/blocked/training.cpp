// Pointwise, pooling and moving ops of a training step on blocked tensors.
#include "ops/blocked/training.h"

#include <cstring>

namespace mtyolo::ops::blocked {
namespace {

constexpr const char* kNeedsBlocked = "needs a blocked map";

// Rows of all blocks of both maps: gx = f(gx or 0, gy).
const Map& result_of(Context& ctx, const Map& map, GradMode mode) {
  if (mode == GradMode::kOverwrite) zero_halo(ctx, map);
  return map;
}

void fill_zero(Context& ctx, const Map& map) {
  for_blocks(ctx, map, [&](int image, int begin, int end) {
    const MapView m = map.image(image);
    for (int b = begin; b < end; ++b)
      for (int i = -m.halo; i < m.h + m.halo; ++i)
        std::memset(moved(m, b * m.block_stride + i * m.row_stride - m.halo * kBlock).data, 0,
                    element_bytes(m, int64_t(m.w + 2 * m.halo) * kBlock));
  });
}

bool same_size(const Map& a, const Map& b) {
  return a.n == b.n && a.view.channels == b.view.channels && a.view.h == b.view.h && a.view.w == b.view.w;
}

void add_or_copy(Context& ctx, const Map& from, const Map& to, GradMode mode) {
  MTYOLO_CHECK(same_size(from, to), "blocked map: {} channels {}x{} into {} channels {}x{}",
               from.view.channels, from.view.h, from.view.w, to.view.channels, to.view.h, to.view.w);
  if (mode == GradMode::kAccumulate) add(ctx, to, from, to);
  else upsample(ctx, from, 1, result_of(ctx, to, mode));
}

// Calls f(rows, elements of the map, count) for runs of channels that are neighbours in both.
template <class F>
void for_head_rows(Context& ctx, const Map& raw, int anchors, float* rows, F&& f) {
  const int columns = raw.view.channels / anchors;
  const int64_t image_floats = int64_t(raw.view.channels) * raw.view.h * raw.view.w;
  ctx.pool().parallel_for(int64_t(raw.n) * raw.view.h, [&](int64_t index) {
    const int image = int(index / raw.view.h), i = int(index % raw.view.h);
    const MapView m = raw.image(image);
    with_type(m, [&](auto value) {
      for (int j = 0; j < m.w; ++j)
        for (int channel = 0; channel < m.channels;) {
          const int anchor = channel / columns, column = channel % columns;
          const int run = std::min({kBlock - channel % kBlock, columns - column, m.channels - channel});
          f(rows + image * image_floats + ((int64_t(anchor) * m.h + i) * m.w + j) * columns + column,
            element<decltype(value)>(m, channel, i, j), run);
          channel += run;
        }
    });
  });
}

}  // namespace

namespace {
Element element_of(DType type) { return type == DType::kBF16 ? Element::kBF16 : Element::kF32; }
}  // namespace

Map map_of(const Tensor& t) {
  MTYOLO_CHECK(t.defined() && t.is_blocked(), "{}, where a blocked map is needed", t);
  Map m;
  m.n = int(t.size(0));
  m.image_stride = t.stride(0);
  m.view.data = t.raw();
  m.view.type = element_of(t.dtype());
  m.view.block_stride = t.stride(1), m.view.row_stride = t.stride(2);
  m.view.channels = int(t.size(1)), m.view.h = int(t.size(2)), m.view.w = int(t.size(3));
  m.view.halo = t.halo();
  return m;
}

PlainMap::PlainMap(Context& ctx, const Tensor& plain, int halo, DType type) {
  const Shape& s = plain.shape();
  const int n = int(s[0]), c = int(s[1]), h = int(s[2]), w = int(s[3]);
  const int pixel = c <= kStemPixel ? kStemPixel : kBlock;
  memory = Tensor::empty({map_floats(n, c, h, w, halo, pixel)}, type, ctx.allocator());
  map = make_map(memory.raw(), n, c, h, w, halo, pixel, element_of(type));
  pack(ctx, plain, map);
}

Tensor to_blocked(Context& ctx, const Tensor& plain, int halo, DType type) {
  Tensor t = Tensor::empty_blocked(plain.shape(), halo, ctx.allocator(), type);
  pack(ctx, plain, map_of(t));
  return t;
}

Tensor to_plain(Context& ctx, const Tensor& blocked) {
  Tensor t = Tensor::empty(blocked.shape(), DType::kF32, ctx.allocator());
  unpack(ctx, map_of(blocked), t);
  return t;
}

const char* max_pool2d_refuses(const MaxPool2dForward::Query& q) {
  return q.x.is_blocked() ? nullptr : kNeedsBlocked;
}
void max_pool2d_forward(Context& ctx, const Tensor& x, const MaxPool2d& p, Tensor& y) {
  max_pool2d(ctx, map_of(x), p, result_of(ctx, map_of(y), GradMode::kOverwrite));
}

const char* max_pool2d_grad_refuses(const MaxPool2dBackward::Query& q) {
  return q.x.is_blocked() ? nullptr : kNeedsBlocked;
}
void max_pool2d_backward(Context& ctx, const Tensor& x, const Tensor& gy, const MaxPool2d& p, GradMode mode,
                         Tensor& gx) {
  const Map from = map_of(x), out = map_of(gy), to = map_of(gx);
  if (mode == GradMode::kOverwrite) fill_zero(ctx, to);
  const int64_t lanes = int64_t(from.view.h) * out.view.w * kBlock;
  const int64_t floats = 2 * lanes + int64_t(from.view.h) * from.view.w * kBlock;
  reserve_scratch(ctx, floats);
  ctx.pool().parallel_for(int64_t(from.n) * from.blocks(), [&](int64_t i) {
    const int image = int(i / from.blocks()), block = int(i % from.blocks());
    PoolGradTask task{from.image(image), out.image(image), to.image(image), p.k, p.stride, p.pad,
                      nullptr,           nullptr,          nullptr};
    const Tensor memory = Tensor::empty({floats}, DType::kF32, ctx.allocator());
    task.best = memory.data<float>(), task.sum = task.best + 2 * lanes;
    task.column = reinterpret_cast<int32_t*>(task.best + lanes);
    kernels().max_pool_grad(task, block);
  });
}

const char* upsample_refuses(const UpsampleForward::Query& q) {
  return q.x.is_blocked() ? nullptr : kNeedsBlocked;
}
void upsample_forward(Context& ctx, const Tensor& x, const Upsample& p, Tensor& y) {
  upsample(ctx, map_of(x), p.scale, result_of(ctx, map_of(y), GradMode::kOverwrite));
}

const char* upsample_grad_refuses(const UpsampleBackward::Query& q) {
  return q.gy.is_blocked() ? nullptr : kNeedsBlocked;
}
void upsample_backward(Context& ctx, const Tensor& gy, const Upsample& p, GradMode mode, Tensor& gx) {
  const Map from = map_of(gy), to = result_of(ctx, map_of(gx), mode);
  for_blocks(ctx, to, [&](int image, int begin, int end) {
    kernels().upsample_grad(from.image(image), to.image(image), p.scale, mode == GradMode::kAccumulate, begin,
                            end);
  });
}

void add_forward(Context& ctx, const Tensor& a, const Tensor& b, Tensor& y) {
  add(ctx, map_of(a), map_of(b), result_of(ctx, map_of(y), GradMode::kOverwrite));
}

void accumulate(Context& ctx, const Tensor& source, Tensor& destination) {
  add_or_copy(ctx, map_of(source), map_of(destination), GradMode::kAccumulate);
}

void copy(Context& ctx, const Tensor& source, Tensor& destination) {
  add_or_copy(ctx, map_of(source), map_of(destination), GradMode::kOverwrite);
}

void concat_forward(Context& ctx, std::span<const Tensor> inputs, Tensor& y) {
  const Map to = result_of(ctx, map_of(y), GradMode::kOverwrite);
  int first = 0;
  for (const Tensor& x : inputs) {
    const Map from = map_of(x);
    if (first % kBlock != 0) {
      copy_channels(ctx, from, to, first);
    } else if (const Map range = to.channels(first, from.view.channels); range.view.data != from.view.data) {
      upsample(ctx, from, 1, range);
    }
    first += from.view.channels;
  }
}

void concat_backward(Context& ctx, const Tensor& gy, int first, GradMode mode, Tensor& gx) {
  const Map from = map_of(gy), to = map_of(gx);
  if (first % kBlock == 0) {
    add_or_copy(ctx, from.channels(first, to.view.channels), to, mode);
    return;
  }
  result_of(ctx, to, mode);
  ctx.pool().parallel_for(int64_t(to.n) * to.view.h, [&](int64_t index) {
    const MapView a = from.image(int(index / to.view.h)), b = to.image(int(index / to.view.h));
    const int row = int(index % to.view.h);
    with_type(b, [&](auto value) {
      using T = decltype(value);
      for (int c = 0; c < b.channels; ++c)
        for (int j = 0; j < b.w; ++j) {
          T& g = *element<T>(b, c, row, j);
          const float part = float(*element<T>(a, first + c, row, j));
          g = T(part + (mode == GradMode::kAccumulate ? float(g) : 0.0f));
        }
    });
  });
}

void space_to_depth_forward(Context& ctx, const Tensor& x, Tensor& y) {
  const Map to = result_of(ctx, map_of(y), GradMode::kOverwrite);
  if (x.is_blocked()) return space_to_depth(ctx, map_of(x), to);
  const int channels = int(x.size(1));
  ctx.pool().parallel_for(int64_t(to.n) * to.view.h, [&](int64_t i) {
    const int64_t image = i / to.view.h;
    const auto row_of = [&](int c, int row) {
      return x.data<float>() + image * x.stride(0) + c * x.stride(1) + row * x.stride(2);
    };
    with_type(to.view, [&]<class T>(T) {
      depth_row<T>(to.image(int(image)), int(i % to.view.h), channels, row_of, x.stride(3),
                   [](T& deep, float wide) { deep = T(wide); });
    });
  });
}

void space_to_depth_backward(Context& ctx, const Tensor& gy, GradMode mode, Tensor& gx) {
  const Map to = result_of(ctx, map_of(gx), mode);
  if (mode == GradMode::kOverwrite)
    for_depth(ctx, map_of(gy), to, [](auto deep, auto& wide) { wide = deep; });
  else for_depth(ctx, map_of(gy), to, []<class T>(T deep, T& wide) { wide = T(float(wide) + float(deep)); });
}

void head_rows_forward(Context& ctx, const Tensor& raw, int anchors, Tensor& rows) {
  for_head_rows(ctx, map_of(raw), anchors, rows.data<float>(), [](float* row, const auto* map, int count) {
    for (int k = 0; k < count; ++k) row[k] = float(map[k]);
  });
}

void head_rows_backward(Context& ctx, const Tensor& g_rows, GradMode mode, Tensor& g_raw) {
  const Map to = result_of(ctx, map_of(g_raw), mode);
  const bool accumulates = mode == GradMode::kAccumulate;
  for_head_rows(ctx, to, int(g_rows.size(1)), g_rows.data<float>(),
                [&]<class T>(const float* row, T* map, int count) {
                  for (int k = 0; k < count; ++k) map[k] = T(row[k] + (accumulates ? float(map[k]) : 0.0f));
                });
}

}  // namespace mtyolo::ops::blocked
