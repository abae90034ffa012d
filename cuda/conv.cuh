// The main loop of an implicit matrix product: tiles of x and of weight go through a ring in shared memory,
// 64 bytes of depth a stage. A row of the x tile is an output pixel; the bytes of its depth are those of its
// kernel's taps, one tap behind the other.
#pragma once

#include "cuda/conv_epilogue.cuh"
#include "cuda/launch.h"

namespace mtyolo::MTYOLO_KERNEL_NS {

MTYOLO_DEV int chunk_place(int row, int chunk) {
  return MTYOLO_MUTANT(106, swizzled<kConvChunks>(row, chunk), row * kConvChunks + chunk) * 16;
}

// Which of a thread's chunk of depth is copied next. A thread has one chunk of every row it copies. kPiece:
// bytes that are copied at once, 16 or, when a tap is shorter, that tap.
template <int kM, int kThreads, int kPiece>
class XLoader {
  static constexpr int kRowStep = kThreads / kConvChunks, kRows = kM / kRowStep;
  static_assert(kM % kRowStep == 0);

 public:
  // From byte `depth` of the rows on.
  MTYOLO_DEV XLoader(const ConvParams& p, int first_m, int depth)
      : row_(int(thread_index().x) / kConvChunks), chunk_(int(thread_index().x) % kConvChunks) {
    MTYOLO_UNROLL
    for (int i = 0; i < kRows; ++i) place_row(p, first_m + row_ + i * kRowStep, i);
    depth += chunk_ * 16;
    tap_ = p.pointwise ? 0 : int(divide(p.x_tap, uint32_t(depth)));
    in_tap_ = depth - tap_ * p.tap_bytes;
  }

  MTYOLO_DEV void copy(const ConvParams& p, char* tile) const {
    MTYOLO_UNROLL
    for (int turn = 0; turn < 16 / kPiece; ++turn) {
      const int piece = turn ^ (row_ / 2 & (16 / kPiece - 1));  // rows that share banks take turns
      int offset = in_tap_;
      uint32_t need = in_tap_ < p.tap_bytes ? 1 : 2;
      if (!p.pointwise) {
        const int tap = tap_ + MTYOLO_MUTANT(115, piece, 16 / kPiece - 1 - piece),
                  r = int(uint32_t(tap) * p.tap_inverse >> 16), s = tap - r * p.kernel;
        offset += MTYOLO_MUTANT(114, r, s) * p.line_bytes + MTYOLO_MUTANT(114, s, r) * p.pixel_bytes;
        need = 1u << r | 0x10000u << s;
      }
      MTYOLO_UNROLL
      for (int i = 0; i < kRows; ++i)
        cp_async<kPiece>(tile + chunk_place(row_ + i * kRowStep, chunk_) + piece * kPiece, from_[i] + offset,
                         (valid_[i] & need) == need);
    }
  }

  MTYOLO_DEV void advance(const ConvParams& p) {
    if constexpr (kPiece < 16) {
      tap_ += kConvDepthBytes / kPiece;
    } else {
      in_tap_ += kConvDepthBytes;
      if (p.pointwise) return;
      for (; in_tap_ >= p.tap_bytes; in_tap_ -= p.tap_bytes) ++tap_;
    }
  }

 private:
  // The address of the row's first tap, which may lie outside x, and the taps that lie inside: bits of kernel
  // rows, and of kernel columns above them. Behind the last tap is a kernel row without its bit.
  MTYOLO_DEV void place_row(const ConvParams& p, int m, int i) {
    from_[i] = p.x, valid_[i] = 0;
    if (m >= p.pixels) return;
    if (p.pointwise) {
      from_[i] += int64_t{m} * p.pixel_bytes, valid_[i] = 1;
      return;
    }
    const int image = int(divide(p.y_image, uint32_t(m))), rest = m - image * int(p.y_image.divisor);
    const int line = int(divide(p.y_line, uint32_t(rest))), column = rest - line * int(p.y_line.divisor);
    const int y = line * p.stride - p.pad, x = column * p.stride - p.pad;
    from_[i] += image * p.image_bytes + int64_t{y} * p.line_bytes + int64_t{x} * p.pixel_bytes;
    valid_[i] = inside(y, p.h, p.kernel) | inside(MTYOLO_MUTANT(107, x, x + 1), p.w, p.kernel) << 16;
  }
  // Bits of 0 <= first + bit < size, bit < kernel.
  MTYOLO_DEV static uint32_t inside(int first, int size, int kernel) {
    const int end = size - first < kernel ? size - first : kernel, begin = first < 0 ? -first : 0;
    return end > begin ? (1u << end) - (1u << begin) : 0;
  }

  const char* from_[kRows];
  uint32_t valid_[kRows];
  int row_, chunk_, tap_, in_tap_;
};

// Copies the weights' rows first_n.. of a tile, zeros where the matrix ends.
template <int kN, int kThreads>
MTYOLO_DEV void copy_weights(const ConvParams& p, char* tile, int first_n, int depth) {
  const int thread = int(thread_index().x);
  MTYOLO_UNROLL
  for (int i = 0; i < (kN * kConvChunks + kThreads - 1) / kThreads; ++i) {
    const int row = thread / kConvChunks + i * (kThreads / kConvChunks), chunk = thread % kConvChunks;
    const int n = first_n + row, at = depth + chunk * 16;
    if (kN * kConvChunks >= kThreads || row < kN)
      cp_async<16>(tile + chunk_place(row, chunk), p.weight + n * p.weight_stride + at,
                   MTYOLO_MUTANT(108, n < p.channels, n <= p.channels) &&
                       MTYOLO_MUTANT(109, at < p.weight_bytes, at <= p.weight_bytes));
  }
}

MTYOLO_DEV void wait_for_stage(int stages) {
  if (stages == 2) cp_async_wait<0>();
  else if (stages == 3) cp_async_wait<1>();
  else cp_async_wait<2>();
}

// Tile: as for finish_tile(), and step(x_tile, weight_tile), which adds one stage's products to sums.
template <class Tile, int kPiece>
MTYOLO_DEV void conv_tile(const ConvParams& p) {
  MTYOLO_DYNAMIC_SMEM(char, ring);
  constexpr int kM = Tile::kM, kN = Tile::kN, kThreads = Tile::kThreads;
  constexpr int kStageBytes = (kM + kN) * kConvDepthBytes;
  const TilePlace at = tile_place(p, int(block_index().x), int(block_index().y));
  const int begin = int(int64_t{p.depth_tiles} * at.split / p.splits);
  const int end = int(int64_t{p.depth_tiles} * (at.split + 1) / p.splits);
  XLoader<kM, kThreads, kPiece> x(p, at.m * kM, begin * kConvDepthBytes);
  Tile tile;
  int next = begin, write = 0, read = 0;
  const auto load = [&] {
    if (next < end) {
      char* stage = ring + write * kStageBytes;
      x.copy(p, stage);
      copy_weights<kN, kThreads>(p, stage + kM * kConvDepthBytes, at.n * kN, next * kConvDepthBytes);
      x.advance(p);
      if (++write == p.stages) write = 0;
    }
    ++next;
    cp_async_commit();  // an empty group keeps the count right
  };
  for (int i = 1; i < p.stages; ++i) load();
  for (int i = begin; i < end; ++i) {
    MTYOLO_MUTANT(110, MTYOLO_MUTANT(111, wait_for_stage(p.stages), wait_for_stage(p.stages + 1)), void());
    MTYOLO_MUTANT(112, sync(), void());  // all threads have this stage, and are done with the one before
    load();
    const char* stage = ring + read * kStageBytes;
    tile.step(stage, stage + kM * kConvDepthBytes);
    if (++read == p.stages) read = 0;
  }
  finish_tile(p, ring, tile, at);
}

}  // namespace mtyolo::MTYOLO_KERNEL_NS
