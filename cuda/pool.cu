#include "cuda/pool.h"

#include <type_traits>

#include "cuda/device/block.cuh"
#include "cuda/map.cuh"

namespace mtyolo::MTYOLO_KERNEL_NS {
namespace {

// Whether `x` takes the place of `best`, the maximum of those before it.
template <class T>
MTYOLO_DEV bool beats(T x, T best) {
  if constexpr (std::is_same_v<T, int8_t>) {
    return x > best;
  } else {
    const float a = to_float(x), b = to_float(best);
    return MTYOLO_MUTANT(144, a > b, a >= b) || (a != a && b == b);
  }
}

struct Window {
  int k, stride, pad;
};

template <class T>
struct MaxPool {
  Slice<T> x, y;
  Window window;
  uint8_t* argmax;
  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int count) const {
    const PixelPlace to = place(y, pixel);
    const int top = to.y * window.stride - window.pad, left = to.x * window.stride - window.pad;
    Lanes<T, kLanes> best{};
    Lanes<uint8_t, kLanes> index{};
    bool first = true;
    for (int u = 0; u < window.k; ++u)
      for (int v = 0; v < window.k; ++v) {
        const int row = top + u, column = left + v;
        if (row < 0 || row >= x.h || column < 0 || column >= MTYOLO_MUTANT(145, x.w, x.w + 1)) continue;
        const Lanes<T, kLanes> now = load<kLanes>(x.at(pixel_at(x, to.n, row, column), channel), count);
        MTYOLO_UNROLL
        for (int e = 0; e < kLanes; ++e)
          if (first || beats(now.values[e], best.values[e])) {
            best.values[e] = now.values[e];
            index.values[e] = uint8_t(u * window.k + v);
          }
        first = false;
      }
    store(y.at(pixel, channel), best, count);
    if constexpr (!std::is_same_v<T, int8_t>)
      if (argmax != nullptr) store(argmax + int64_t{pixel} * y.c + channel, index, count);
  }
};

// Each pixel of gx looks at the windows that hold it.
template <class T>
struct MaxPoolGrad {
  Slice<T> gy, gx;
  Window window;
  const uint8_t* argmax;
  bool accumulate;
  template <int kLanes>
  MTYOLO_DEV void run(uint32_t pixel, int channel, int count) const {
    const PixelPlace to = place(gx, pixel);
    const int bottom = to.y + window.pad, right = to.x + window.pad;
    const int first_row = first_window(bottom), first_column = first_window(right);
    float sums[kLanes] = {};
    for (int i = first_row; i * window.stride <= bottom && i < gy.h; ++i)
      for (int j = first_column; j * window.stride <= right && j < gy.w; ++j) {
        const int index = (bottom - i * window.stride) * window.k + right - j * window.stride;
        const int64_t from = pixel_at(gy, to.n, i, j);
        const auto chosen = load<kLanes>(argmax + from * gy.c + channel, count);
        const Lanes<T, kLanes> g = load<kLanes>(gy.at(from, channel), count);
        MTYOLO_UNROLL
        for (int e = 0; e < kLanes; ++e)
          if (chosen.values[e] == index) sums[e] += to_float(g.values[e]);
      }
    put_sums<kLanes>(gx.at(pixel, channel), sums, count, accumulate);
  }
  // The first window whose last row (column) is not before `last`.
  MTYOLO_DEV int first_window(int last) const {
    return last < window.k ? 0 : (last - window.k) / window.stride + 1;
  }
};

// Windows of 5 x 5, stride 1: a block takes kRows x kColumns pixels of kGroup packs of channels with two more
// on each side, and reduces rows, then columns.
constexpr int kPoolThreads = 128, kRows = 5, kColumns = 20, kGroup = 4, kAround = 2, kSide = 5;
constexpr int kTileRows = kRows + 2 * kAround, kTileColumns = kColumns + 2 * kAround;

template <class T>
MTYOLO_DEV Pack<T> lowest() {
  Pack<T> v;
  MTYOLO_UNROLL
  for (int e = 0; e < Pack<T>::kSize; ++e) {
    if constexpr (std::is_same_v<T, int8_t>) v.values[e] = -128;
    else v.values[e] = from_float<T>(as_float(0xff800000u));
  }
  return v;
}

// The largest of kSide packs `step` packs apart.
template <class T>
MTYOLO_DEV Pack<T> largest(const T* tile, int first, int step) {
  Pack<T> best = ld128(tile + first * Pack<T>::kSize);
  MTYOLO_UNROLL
  for (int i = 1; i < kSide; ++i) {
    const Pack<T> now = ld128(tile + (first + i * step) * Pack<T>::kSize);
    MTYOLO_UNROLL
    for (int e = 0; e < Pack<T>::kSize; ++e)
      if (beats(now.values[e], best.values[e])) best.values[e] = now.values[e];
  }
  return best;
}

template <class T>
MTYOLO_KERNEL MTYOLO_BOUNDS(kPoolThreads, 8) max_pool5_kernel(Slice<T> x, Slice<T> y, int tiles_x) {
  constexpr int kPack = Pack<T>::kSize;
  MTYOLO_SMEM(T, tile, [kTileRows * kTileColumns * kGroup * kPack]);
  MTYOLO_SMEM(T, rows, [kTileRows * kColumns * kGroup * kPack]);
  const int top = int(block_index().x) / tiles_x * kRows, left = int(block_index().x) % tiles_x * kColumns;
  const int first = int(block_index().y) * kGroup, image = int(block_index().z), packs = x.c / kPack;
  const int thread = int(thread_index().x);
  for (int i = thread; i < kTileRows * kTileColumns * kGroup; i += kPoolThreads) {
    const int pack = first + i % kGroup, column = left + i / kGroup % kTileColumns - kAround;
    const int row = top + i / (kGroup * kTileColumns) - kAround;
    const bool inside = row >= 0 && row < x.h && column >= 0 && column < x.w && pack < packs;
    st128(tile + i * kPack,
          inside ? ld128_nc(x.at(pixel_at(x, image, row, column), pack * kPack)) : lowest<T>());
  }
  MTYOLO_MUTANT(146, sync(), void());
  for (int i = thread; i < kTileRows * kColumns * kGroup; i += kPoolThreads) {
    const int row = i / (kColumns * kGroup), rest = i % (kColumns * kGroup);
    st128(rows + i * kPack, largest(tile, row * kTileColumns * kGroup + rest, kGroup));
  }
  sync();
  for (int i = thread; i < kRows * kColumns * kGroup; i += kPoolThreads) {
    const int pack = first + i % kGroup, column = left + i / kGroup % kColumns;
    const int row = top + i / (kGroup * kColumns);
    if (row >= y.h || column >= y.w || pack >= packs) continue;
    st128(y.at(pixel_at(y, image, row, column), pack * kPack), largest(rows, i, kColumns * kGroup));
  }
}

// Whether argmax has packs as maps have them.
template <class T>
bool aligned_bytes(const uint8_t* argmax, int channels) {
  constexpr int kPack = Pack<T>::kSize;
  return argmax == nullptr || (channels % kPack == 0 && reinterpret_cast<uintptr_t>(argmax) % kPack == 0);
}

template <class T>
void max_pool_typed(KernelStream stream, const KernelMap& x, const Window& window, const KernelMap& y,
                    uint8_t* argmax) {
  constexpr int kPack = Pack<T>::kSize;
  const bool aligned = aligned16(x) && aligned16(y) && aligned_bytes<T>(argmax, y.c);
  if (argmax != nullptr || window.k != kSide || window.stride != 1 || window.pad != kAround || !aligned ||
      x.c % kPack != 0)
    return for_each_pack<kPack>(stream, aligned, y, MaxPool<T>{slice<T>(x), slice<T>(y), window, argmax});
  const int tiles_x = (x.w + kColumns - 1) / kColumns, tiles_y = (x.h + kRows - 1) / kRows;
  const int groups = (x.c / kPack + kGroup - 1) / kGroup;
  launch(max_pool5_kernel<T>,
         {{uint32_t(tiles_x) * uint32_t(tiles_y), uint32_t(groups), uint32_t(x.n)}, {kPoolThreads}}, stream,
         slice<T>(x), slice<T>(y), tiles_x);
}

// y is what max_pool makes of x.
void check_window(const KernelMap& x, const Window& p, const KernelMap& y) {
  check_map(x), check_map(y);
  check_argument(p.k >= 1 && p.stride >= 1 && p.pad >= 0 && 2 * p.pad <= p.k,
                 "max_pool: k and stride must be at least 1, pad at most half of k");
  const int room_h = x.h + 2 * p.pad - p.k, room_w = x.w + 2 * p.pad - p.k;
  check_argument(
      room_h >= 0 && room_w >= 0 && x.type == y.type && x.n == y.n && x.c == y.c &&
          y.h == room_h / p.stride + 1 && y.w == room_w / p.stride + 1,
      "max_pool: y must have (side + 2 pad - k) / stride + 1 pixels a side, x's type and channels");
}

}  // namespace

void max_pool(KernelStream stream, const KernelMap& x, int k, int stride, int pad, const KernelMap& y,
              uint8_t* argmax) {
  const Window window{k, stride, pad};
  check_window(x, window, y);
  check_argument(argmax == nullptr || k <= 16, "max_pool: no byte holds the argmax of a k above 16");
  check_argument(argmax == nullptr || x.type != KernelType::kS8,
                 "max_pool: s8 has no gradient and no argmax");
  if (x.type == KernelType::kS8) return max_pool_typed<int8_t>(stream, x, window, y, argmax);
  for_float(x.type,
            [&](auto of) { max_pool_typed<typename decltype(of)::Type>(stream, x, window, y, argmax); });
}

void max_pool_grad(KernelStream stream, const KernelMap& gy, const uint8_t* argmax, int k, int stride,
                   int pad, bool accumulate, const KernelMap& gx) {
  const Window window{k, stride, pad};
  check_window(gx, window, gy);
  check_argument(argmax != nullptr && k <= 16, "max_pool_grad: argmax is needed, and k of at most 16");
  for_float(gx.type, [&](auto of) {
    using T = typename decltype(of)::Type;
    for_each_pack<Pack<T>::kSize>(stream, aligned16(gx) && aligned16(gy) && aligned_bytes<T>(argmax, gx.c),
                                  gx, MaxPoolGrad<T>{slice<T>(gy), slice<T>(gx), window, argmax, accumulate});
  });
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS
