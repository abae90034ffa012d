// Pooling, upsampling, sums, activations and head decoding on blocked maps.
#include "ops/blocked/epilogue.h"
#include "ops/blocked/parts.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

// The kernels of the table that have sources of their own.
void conv(const ConvTask& task);
void winograd_input(const WinogradTask& task);
void winograd_output(const WinogradTask& task);
void winograd_output_grad(const WinogradTask& task);
void winograd_weight(const WinogradWeightTask& task);
void winograd_weight_grad(int32_t form, const float* u, int64_t u_position, int32_t lanes, float* g);
void strassen_input(const MapView (&x)[4], const MapView (&t)[4]);
void strassen_product(const StrassenTask& task);
void outer(const OuterTask& task);
void conv_bf16(const ConvTask& task);
void outer_bf16(const OuterTask& task);
void norm_moments(const NormTask& task);
void norm_apply(const NormTask& task);
void norm_grad_sums(const NormTask& task);
void norm_grad(const NormTask& task);
void max_pool_grad(const PoolGradTask& task, int32_t block);
void upsample_grad(const MapView& gy, const MapView& gx, int32_t scale, bool add, int32_t block_begin,
                   int32_t block_end);

namespace {

// The larger value; NaN wins, as in the reference op.
inline Vec max_nan(Vec a, Vec b) { return ((b > a) | (b != b)) ? b : a; }

// Windows that overlap: the largest of each row's part of a window, then of these.
template <class T>
void pool_by_rows(const PoolTask& task, int block) {
  const MapView &x = task.x, &y = task.y;
  const int row_floats = y.w * kBlock;
  for (int row = 0; row < x.h; ++row)
    for (int j = 0; j < y.w; ++j) {
      const int first = larger(j * task.stride - task.pad, 0);
      const int last = smaller(j * task.stride - task.pad + task.k, x.w);
      for (int c = 0; c < kBlock; c += kFloats) {
        Vec best = load(pixel_at<const T>(x, block, row, first) + c);
        for (int v = first + 1; v < last; ++v)
          best = max_nan(best, load(pixel_at<const T>(x, block, row, v) + c));
        store(task.best + int64_t(row) * row_floats + j * kBlock + c, best);
      }
    }
  for (int i = 0; i < y.h; ++i) {
    const int first = larger(i * task.stride - task.pad, 0);
    const int last = smaller(i * task.stride - task.pad + task.k, x.h);
    for (int c = 0; c < row_floats; c += kFloats) {
      Vec best = load(task.best + int64_t(first) * row_floats + c);
      for (int u = first + 1; u < last; ++u)
        best = max_nan(best, load(task.best + int64_t(u) * row_floats + c));
      store(pixel_at<T>(y, block, i, 0) + c, best);
    }
  }
}

void max_pool(const PoolTask& task, int32_t block_begin, int32_t block_end) {
  const MapView &x = task.x, &y = task.y;
  with_element(x, [&](auto element) {
    using T = decltype(element);
    if (task.best != nullptr)
      for (int block = block_begin; block < block_end; ++block) pool_by_rows<T>(task, block);
    else
      for (int block = block_begin; block < block_end; ++block)
        for (int i = 0; i < y.h; ++i) {
          const int row_first = larger(i * task.stride - task.pad, 0);
          const int row_last = smaller(i * task.stride - task.pad + task.k, x.h);
          for (int j = 0; j < y.w; ++j) {
            const int first = larger(j * task.stride - task.pad, 0);
            const int last = smaller(j * task.stride - task.pad + task.k, x.w);
            for (int c = 0; c < kBlock; c += kFloats) {
              Vec best = load(pixel_at<const T>(x, block, row_first, first) + c);
              for (int u = row_first; u < row_last; ++u)
                for (int v = first; v < last; ++v)
                  best = max_nan(best, load(pixel_at<const T>(x, block, u, v) + c));
              store(pixel_at<T>(y, block, i, j) + c, best);
            }
          }
        }
  });
}

void upsample(const MapView& x, const MapView& y, int32_t scale, int32_t block_begin, int32_t block_end) {
  with_element(x, [&](auto element) {
    using T = decltype(element);
    for (int block = block_begin; block < block_end; ++block)
      for (int i = 0; i < y.h; ++i)
        for (int j = 0; j < x.w; ++j)
          for (int c = 0; c < kBlock; c += kFloats) {
            const Vec v = load(pixel_at<const T>(x, block, i / scale, j) + c);
            for (int k = 0; k < scale; ++k) store(pixel_at<T>(y, block, i, j * scale + k) + c, v);
          }
  });
}

void add(const MapView& a, const MapView& b, const MapView& y, int32_t block_begin, int32_t block_end) {
  with_element(y, [&](auto element) {
    using T = decltype(element);
    for (int block = block_begin; block < block_end; ++block)
      for (int i = 0; i < y.h; ++i)
        for (int j = 0; j < y.w; ++j)
          for (int c = 0; c < kBlock; c += kFloats)
            store(pixel_at<T>(y, block, i, j) + c,
                  load(pixel_at<const T>(a, block, i, j) + c) + load(pixel_at<const T>(b, block, i, j) + c));
  });
}

void activate(const MapView& y, Epilogue epilogue, float slope, int32_t block_begin, int32_t block_end) {
  with_element(y, [&](auto element) {
    for (int block = block_begin; block < block_end; ++block)
      for (int i = 0; i < y.h; ++i)
        for (int j = 0; j < y.w; ++j) {
          auto* p = pixel_at<decltype(element)>(y, block, i, j);
          for (int c = 0; c < kBlock; c += kFloats)
            store(p + c, apply_epilogue(load(p + c), epilogue, slope));
        }
  });
}

// Sigmoid of `count` values in place, whole vectors: the buffer is padded.
inline void sigmoid_all(float* values, int count) {
  for (int i = 0; i < count; i += kFloats) store(values + i, sigmoid(load(values + i)));
}

// Column 0..3 (x, y, w, h in pixels) from its sigmoid.
inline float box_value(const DecodeTask& task, int anchor, int column, float s, int row, int cell) {
  if (column == 0) return (2.0f * s - 0.5f + float(cell)) * task.stride;
  if (column == 1) return (2.0f * s - 0.5f + float(row)) * task.stride;
  return (2.0f * s) * (2.0f * s) * task.anchors[2 * anchor + column - 2];
}

void decode(const DecodeTask& task, int32_t row_begin, int32_t row_end) {
  constexpr int kMaxChannels = 1 << 12;
  alignas(64) float buffer[kMaxChannels];
  const MapView& x = task.x;
  const int columns = x.channels / task.anchor_count;
  const int blocks = (x.channels + kBlock - 1) / kBlock;
  const int chunk_blocks = kMaxChannels / kBlock;
  for (int i = row_begin; i < row_end; ++i)
    for (int j = 0; j < x.w; ++j)
      for (int first = 0; first < blocks; first += chunk_blocks) {
        const int count = smaller(blocks - first, chunk_blocks);
        with_element(x, [&](auto element) {
          using T = decltype(element);
          for (int b = 0; b < count; ++b)
            for (int c = 0; c < kBlock; c += kFloats)
              store(buffer + b * kBlock + c, load(pixel_at<const T>(x, first + b, i, j) + c));
        });
        sigmoid_all(buffer, count * kBlock);
        const int end = smaller(x.channels, (first + count) * kBlock);
        for (int channel = first * kBlock; channel < end;) {
          const int anchor = channel / columns, column = channel % columns;
          const int run = smaller(end - channel, columns - column);
          float* y = task.y + ((int64_t(anchor) * x.h + i) * x.w + j) * columns;
          for (int k = 0; k < run; ++k) y[column + k] = buffer[channel - first * kBlock + k];
          for (int k = column; k < smaller(column + run, 4); ++k)
            y[k] = box_value(task, anchor, k, y[k], i, j);
          channel += run;
        }
      }
}

void pair_pixels(const PairTask& task) {
  const int pairs = (task.columns + 1) / 2;
  for (int i = 0; i < task.rows; ++i) {
    const Bf16* from = task.from + i * task.row;
    Word* to = task.to + int64_t(i) * pairs * kBlock;
    for (int k = 0; k < pairs; ++k, from += 2 * task.pixel, to += kBlock) {
      const bool both = 2 * k + 1 < task.columns;
      if (task.lanes < kBlock) {
        for (int lane = 0; lane < task.lanes; ++lane)
          to[lane] = from[lane].bits | uint32_t(both ? from[task.pixel + lane].bits : 0) << 16;
        continue;
      }
      const auto words = [](const Bf16* p) {
        return __builtin_convertvector(*reinterpret_cast<const HalfWords*>(p), Words);
      };
      for (int c = 0; c < kBlock; c += kFloats)
        *reinterpret_cast<Words*>(to + c) =
            both ? words(from + c) | words(from + task.pixel + c) << 16 : words(from + c);
    }
  }
}

void pair_lanes(const float* from, int32_t lanes, uint32_t* to) {
  for (int lane = 0; lane < lanes; lane += 2)
    for (int o = 0; o < kPanel; o += kFloats, to += kFloats) {
      const float* first = from + lane * kPanel + o;
      const Words second = lane + 1 < lanes ? round_to_bf16(load(first + kPanel)) : Words{};
      *reinterpret_cast<Words*>(to) = round_to_bf16(load(first)) | second << 16;
    }
}

#define MTYOLO_TEXT_(x) #x
#define MTYOLO_TEXT(x) MTYOLO_TEXT_(x)

}  // namespace

extern constinit const KernelTable kTable{.isa = MTYOLO_TEXT(MTYOLO_ISA),
                                          .panel = kPanel,
                                          .tile = kTile,
                                          .conv = conv,
                                          .conv_bf16 = conv_bf16,
                                          .winograd_input = winograd_parts<winograd_input>,
                                          .winograd_output = winograd_parts<winograd_output>,
                                          .winograd_output_grad = winograd_parts<winograd_output_grad>,
                                          .winograd_weight = winograd_weight,
                                          .winograd_weight_grad = winograd_weight_grad,
                                          .strassen_input = strassen_input,
                                          .strassen_product = strassen_product,
                                          .outer = outer,
                                          .outer_bf16 = outer_bf16,
                                          .pair_pixels = pair_pixels,
                                          .pair_lanes = pair_lanes,
                                          .norm_moments = norm_parts<norm_moments>,
                                          .norm_apply = norm_parts<norm_apply>,
                                          .norm_grad_sums = norm_parts<norm_grad_sums>,
                                          .norm_grad = norm_parts<norm_grad>,
                                          .max_pool = max_pool,
                                          .max_pool_grad = max_pool_grad,
                                          .upsample = upsample,
                                          .upsample_grad = upsample_grad,
                                          .add = add,
                                          .activate = activate,
                                          .decode = decode};

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA
