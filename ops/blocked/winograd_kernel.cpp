// Transforms of the Winograd convolution F(2x2, 3x3) on blocked maps (Lavin and Gray, arXiv:1509.09308,
// section 4.1).
//
//   d  4x4 pixels of the input, tiles 2 apart     V = B^T d B      additions only
//   M[pos] = U[pos] * V[pos] for the 16 positions                  (conv_kernel.cpp, 1x1 over tiles)
//   y  2x2 pixels of the output                   y = A^T M A      additions only
//
//         | 1  0 -1  0 |          | 1  1  1  0 |
//   B^T = | 0  1  1  0 |    A^T = | 0  1 -1 -1 |
//         | 0 -1  1  0 |
//         | 0  1  0 -1 |
//
// Layout of V and M: [position][block][tile][16 lanes].
//
// Gradient of the weight g: gU[pos] = sum over tiles of V[pos] * (A gy A^T)[pos] (outer_kernel.cpp), and
// g = G^T gU G: each transform turned round.
#include "ops/blocked/kernels.h"
#include "ops/blocked/simd.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

namespace {

// The 4 pixels of one column of a tile, transformed along the column.
inline void transform_column(const float* const (&rows)[4], int64_t column, Vec (&out)[4]) {
  const Vec d0 = load(rows[0] + column), d1 = load(rows[1] + column);
  const Vec d2 = load(rows[2] + column), d3 = load(rows[3] + column);
  out[0] = d0 - d2;
  out[1] = d1 + d2;
  out[2] = d2 - d1;
  out[3] = d1 - d3;
}

inline void input_tile(const float* const (&rows)[4], const int64_t (&columns)[4], float* v,
                       int64_t position) {
  Vec t[4][4];  // [column][transformed row]
  for (int j = 0; j < 4; ++j) transform_column(rows, columns[j], t[j]);
  for (int i = 0; i < 4; ++i) {
    store(v + (4 * i + 0) * position, t[0][i] - t[2][i]);
    store(v + (4 * i + 1) * position, t[1][i] + t[2][i]);
    store(v + (4 * i + 2) * position, t[2][i] - t[1][i]);
    store(v + (4 * i + 3) * position, t[1][i] - t[3][i]);
  }
}

// One output row of a tile: A^T along the rows for all 4 columns, then along the columns.
inline void output_row(const float* m, int64_t position, int row, Vec (&y)[2]) {
  Vec s[4];
  for (int j = 0; j < 4; ++j) {
    const Vec a = load(m + (row == 0 ? j : 4 + j) * position),
              b = load(m + (row == 0 ? 4 + j : 8 + j) * position);
    const Vec c = load(m + (row == 0 ? 8 + j : 12 + j) * position);
    s[j] = row == 0 ? a + b + c : a - b - c;
  }
  y[0] = s[0] + s[1] + s[2];
  y[1] = s[1] - s[2] - s[3];
}

}  // namespace

void winograd_input(const WinogradTask& task) {
  const MapView& x = task.x;
  const int blocks = (x.channels + kBlock - 1) / kBlock;
  // Beyond the halo nothing is read; what would be there only reaches output pixels that do not exist.
  const int last_row = x.h + x.halo - 1, last_column = x.w + x.halo - 1;
  for (int block = 0; block < blocks; ++block) {
    float* v = task.v + block * task.tiles * kBlock;
    for (int i = task.tile_row_begin; i < task.tile_row_end; ++i) {
      const float* rows[4];
      for (int u = 0; u < 4; ++u) rows[u] = pixel_at<float>(x, block, smaller(2 * i - 1 + u, last_row), 0);
      for (int j = 0; j < task.tile_columns; ++j, v += kBlock) {
        int64_t columns[4];
        for (int k = 0; k < 4; ++k) columns[k] = int64_t(smaller(2 * j - 1 + k, last_column)) * kBlock;
        input_tile(rows, columns, v, task.v_position);
      }
    }
  }
}

void winograd_output(const WinogradTask& task) {
  const MapView& y = task.y;
  for (int b = 0; b < task.out_blocks; ++b) {
    const float* m = task.m + b * task.tiles * kBlock;
    const Vec bias = load(task.bias + b * kBlock);
    float* block = pixel_at<float>(y, task.out_block + b, 0, 0);
    const float* residual = nullptr;
    if (task.residual.data != nullptr) residual = pixel_at<float>(task.residual, task.out_block + b, 0, 0);
    for (int i = task.tile_row_begin; i < task.tile_row_end; ++i)
      for (int j = 0; j < task.tile_columns; ++j, m += kBlock)
        for (int u = 0; u < smaller(2, y.h - 2 * i); ++u) {
          Vec out[2];
          output_row(m, task.m_position, u, out);
          for (int k = 0; k < smaller(2, y.w - 2 * j); ++k) {
            Vec value = apply_epilogue(out[k] + bias, task.epilogue, task.slope);
            if (residual != nullptr)
              value += load(residual + (2 * i + u) * task.residual.row_stride + int64_t(2 * j + k) * kBlock);
            store(block + (2 * i + u) * y.row_stride + int64_t(2 * j + k) * kBlock, value);
          }
        }
  }
}

void winograd_output_grad(const WinogradTask& task) {
  const MapView& gy = task.x;
  const int blocks = (gy.channels + kBlock - 1) / kBlock;
  for (int block = 0; block < blocks; ++block) {
    float* v = task.v + block * task.tiles * kBlock;
    for (int i = task.tile_row_begin; i < task.tile_row_end; ++i) {
      const float* top = pixel_at<float>(gy, block, 2 * i, 0);
      const float* bottom = 2 * i + 1 < gy.h ? top + gy.row_stride : nullptr;
      for (int j = 0; j < task.tile_columns; ++j, v += kBlock) {
        Vec t[2][4];  // [column][transformed row]
        for (int k = 0; k < 2; ++k) {
          const bool inside = 2 * j + k < gy.w;
          const Vec a = inside ? load(top + (2 * j + k) * kBlock) : Vec{};
          const Vec b = inside && bottom != nullptr ? load(bottom + (2 * j + k) * kBlock) : Vec{};
          t[k][0] = a;
          t[k][1] = a + b;
          t[k][2] = a - b;
          t[k][3] = -b;
        }
        for (int u = 0; u < 4; ++u) {
          store(v + (4 * u + 0) * task.v_position, t[0][u]);
          store(v + (4 * u + 1) * task.v_position, t[0][u] + t[1][u]);
          store(v + (4 * u + 2) * task.v_position, t[0][u] - t[1][u]);
          store(v + (4 * u + 3) * task.v_position, -t[1][u]);
        }
      }
    }
  }
}

namespace {

// Half a register of channels at a time in f64, so that a transformed weight is rounded once.
using Doubles = double __attribute__((vector_size(kBytes)));
using HalfVec = float __attribute__((vector_size(kBytes / 2), aligned(kBytes / 2)));

inline Doubles load_doubles(const float* p) {
  return __builtin_convertvector(*reinterpret_cast<const HalfVec*>(p), Doubles);
}
inline void store_floats(float* p, Doubles v) {
  *reinterpret_cast<HalfVec*>(p) = __builtin_convertvector(v, HalfVec);
}

// G times a column of three.
inline void expand(Doubles a, Doubles b, Doubles c, Doubles (&out)[4]) {
  out[0] = a;
  out[1] = (a + b + c) * 0.5;
  out[2] = (a - b + c) * 0.5;
  out[3] = c;
}

}  // namespace

void winograd_weight(const WinogradWeightTask& task) {
  for (int lane = 0; lane < task.lanes; ++lane)
    for (int o = 0; o < kPanel; o += kFloats / 2) {
      const float* g = task.g + int64_t(lane) * 9 * kPanel + o;
      Doubles columns[3][4];  // [column of g][row of G g]
      for (int j = 0; j < 3; ++j)
        expand(load_doubles(g + j * kPanel), load_doubles(g + (3 + j) * kPanel),
               load_doubles(g + (6 + j) * kPanel), columns[j]);
      float* u = task.u + int64_t(lane) * kPanel + o;
      for (int i = 0; i < 4; ++i) {
        Doubles row[4];
        expand(columns[0][i], columns[1][i], columns[2][i], row);
        for (int j = 0; j < 4; ++j) store_floats(u + (4 * i + j) * task.u_position, row[j]);
      }
    }
}

void winograd_weight_grad(const float* u, int64_t u_position, int32_t lanes, float* g) {
  const Vec half = splat(0.5f);
  const auto fold = [&](Vec a, Vec b, Vec c, Vec d, Vec(&out)[3]) {  // G^T times a column of four
    out[0] = a + (b + c) * half;
    out[1] = (b - c) * half;
    out[2] = (b + c) * half + d;
  };
  for (int lane = 0; lane < lanes; ++lane)
    for (int o = 0; o < kPanel; o += kFloats) {
      const float* at = u + lane * kPanel + o;
      const auto position = [&](int p) { return load(at + p * u_position); };
      Vec columns[4][3];  // [column of U][row of G^T U]
      for (int j = 0; j < 4; ++j)
        fold(position(j), position(4 + j), position(8 + j), position(12 + j), columns[j]);
      for (int i = 0; i < 3; ++i) {
        Vec row[3];
        fold(columns[0][i], columns[1][i], columns[2][i], columns[3][i], row);
        for (int j = 0; j < 3; ++j) store(g + (lane * 9 + 3 * i + j) * kPanel + o, row[j]);
      }
    }
}

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA
