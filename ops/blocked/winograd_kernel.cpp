// Transforms of the Winograd convolutions F(2x2, 3x3) and F(4x4, 3x3) on blocked maps (Lavin and Gray,
// arXiv:1509.09308, section 4).
//
//   d  4x4 or 6x6 pixels of the input, tiles 2 or 4 apart     V = B^T d B
//   M[pos] = U[pos] * V[pos] for the 16 or 36 positions       (conv_kernel.cpp, 1x1 over tiles)
//   y  2x2 or 4x4 pixels of the output                        y = A^T M A
//
//   F(2x2, 3x3), points 0, 1, -1, infinity:
//         | 1  0 -1  0 |          | 1  1  1  0 |
//   B^T = | 0  1  1  0 |    A^T = | 0  1 -1 -1 |
//         | 0 -1  1  0 |
//         | 0  1  0 -1 |
//
//   F(4x4, 3x3), points 0, a, -a, b, -b, infinity with a = sqrt(1/2), b = sqrt(2), whose rounding errors are
//   smaller than those of 1 and 2 (Barabasz et al., arXiv:1803.10986, discuss the choice of points):
//         | 1    0  -5/2   0   1  0 |          | 1   1   1   1   1   0 |
//         | 0 -2a   -2     a   1  0 |    A^T = | 0   a  -a   b  -b   0 |
//   B^T = | 0  2a   -2    -a   1  0 |          | 0  1/2 1/2  2   2   0 |
//         | 0 -b/2 -1/2    b   1  0 |          | 0  a/2 -a/2 2b -2b  1 |
//         | 0  b/2 -1/2   -b   1  0 |
//         | 0    1    0  -5/2  0  1 |
//
// Stride 2, 2x2 outputs of 5x5 pixels, tiles 4 apart. In one dimension the outer taps see the even pixels, by
// F(2, 2) with points 0, 1, infinity, and the middle tap the odd ones, plainly:
//   V = (x0 - x2, x1, x2, x3, x4 - x2)     M = (V0 U0 + V1 U1, V2 U2, V3 U3 + V4 U4)
//   U = (g0, g1, g0 + g2, g1, g2)          y = (M0 + M1, M1 + M2)
// In two dimensions 25 products make 9 sums M of 4, 2 or 1, each a 1x1 convolution of as many times the
// channels, whose V and U lie one behind the other. Neighbours share what they have in common, so that 18
// places of U suffice (s: the sum of taps 0 and 2):
//   g00 g01 g10 g11 g20 g21 g22 g12 g11 g01 g02   g0s g1s g2s   gs0 gs1 gs2   gss
//
// Layout of V and M: [position][block][tile][16 lanes], f32 also for maps in bf16.
//
// Gradient of the weight g: gU[pos] = sum over tiles of V[pos] * (A gy A^T)[pos] (outer_kernel.cpp), and
// g = G^T gU G: each transform turned round.
#include "ops/blocked/epilogue.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {

namespace {

// One form: pixels of a side of an output tile, of an input tile, and between input tiles; places of M in a
// line; the transforms of one line; where positions of V and U lie.
struct InOrder {
  static int v_place(int position) { return position; }
  static int u_place(int position) { return position; }
};
struct F2 : InOrder {
  static constexpr int kOut = 2, kIn = 4, kStep = 2, kProducts = 4;
  static void input(const Vec (&d)[4], Vec (&v)[4]) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[1] - d[3];
  }
  static void output(const Vec (&m)[4], Vec (&y)[2]) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
  }
  static void output_grad(const Vec (&y)[2], Vec (&m)[4]) {
    m[0] = y[0];
    m[1] = y[0] + y[1];
    m[2] = y[0] - y[1];
    m[3] = -y[1];
  }
  static void weight_grad(const Vec (&u)[4], Vec (&g)[3]) {
    const Vec half = splat(0.5f);
    g[0] = u[0] + (u[1] + u[2]) * half;
    g[1] = (u[1] - u[2]) * half;
    g[2] = (u[1] + u[2]) * half + u[3];
  }
};
struct Strided {
  static constexpr int kOut = 2, kIn = 5, kStep = 4, kProducts = 3;
  static int v_place(int position) {
    constexpr int8_t kPlaces[] = {0,  1,  4,  8,  9,  2,  3,  5,  7,  6,  10, 11, 12,
                                  13, 14, 15, 16, 19, 24, 23, 17, 18, 20, 21, 22};
    return kPlaces[position];
  }
  static int u_place(int position) {
    constexpr int8_t kPlaces[] = {0,  1,  11, 9, 10, 2, 3, 12, 8, 7,  14, 15, 17,
                                  15, 16, 2,  3, 12, 8, 7, 4,  5, 13, 5,  6};
    return kPlaces[position];
  }
  static void input(const Vec (&d)[5], Vec (&v)[5]) {
    v[0] = d[0] - d[2];
    v[1] = d[1];
    v[2] = d[2];
    v[3] = d[3];
    v[4] = d[4] - d[2];
  }
  static void output(const Vec (&m)[3], Vec (&y)[2]) {
    y[0] = m[0] + m[1];
    y[1] = m[1] + m[2];
  }
};
struct F4 : InOrder {
  static constexpr int kOut = 4, kIn = 6, kStep = 4, kProducts = 6;
  static constexpr float kA = 0.70710678f, kB = 1.41421356f;
  static void input(const Vec (&d)[6], Vec (&v)[6]) {
    const Vec even_a = d[4] - splat(2.0f) * d[2], odd_a = splat(kA) * d[3] - splat(kB) * d[1];
    const Vec even_b = d[4] - splat(0.5f) * d[2], odd_b = splat(kB) * d[3] - splat(kA) * d[1];
    v[0] = d[0] + d[4] - splat(2.5f) * d[2];
    v[1] = even_a + odd_a;
    v[2] = even_a - odd_a;
    v[3] = even_b + odd_b;
    v[4] = even_b - odd_b;
    v[5] = d[1] + d[5] - splat(2.5f) * d[3];
  }
  static void output(const Vec (&m)[6], Vec (&y)[4]) {
    const Vec sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const Vec sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = splat(kA) * difference_a + splat(kB) * difference_b;
    y[2] = splat(0.5f) * sum_a + splat(2.0f) * sum_b;
    y[3] = splat(0.5f * kA) * difference_a + (splat(2.0f * kB) * difference_b + m[5]);
  }
  static void output_grad(const Vec (&y)[4], Vec (&m)[6]) {
    const Vec even_a = y[0] + splat(0.5f) * y[2], odd_a = splat(kA) * y[1] + splat(0.5f * kA) * y[3];
    const Vec even_b = y[0] + splat(2.0f) * y[2], odd_b = splat(kB) * y[1] + splat(2.0f * kB) * y[3];
    m[0] = y[0];
    m[1] = even_a + odd_a;
    m[2] = even_a - odd_a;
    m[3] = even_b + odd_b;
    m[4] = even_b - odd_b;
    m[5] = y[3];
  }
  static void weight_grad(const Vec (&u)[6], Vec (&g)[3]) {
    const Vec a = splat(-2.0f / 3) * (u[1] + u[2]), b = splat(1.0f / 6) * (u[3] + u[4]);
    g[0] = u[0] + a + b;
    g[1] = splat(-2.0f / 3 * kA) * (u[1] - u[2]) + splat(kB / 6) * (u[3] - u[4]);
    g[2] = splat(0.5f) * a + splat(2.0f) * b + u[5];
  }
};

template <class Run>
void with_form(int32_t form, Run&& run) {
  if (form == 4) run(F4{});
  else if (form == 3) run(Strided{});
  else run(F2{});
}

template <class F, class T>
inline void input_tile(const T* const (&rows)[F::kIn], const int64_t (&columns)[F::kIn], float* v,
                       int64_t position) {
  Vec t[F::kIn][F::kIn];  // [transformed row][column]
  for (int j = 0; j < F::kIn; ++j) {
    Vec d[F::kIn], line[F::kIn];
    for (int i = 0; i < F::kIn; ++i) d[i] = load(rows[i] + columns[j]);
    F::input(d, line);
    for (int i = 0; i < F::kIn; ++i) t[i][j] = line[i];
  }
  for (int i = 0; i < F::kIn; ++i) {
    Vec line[F::kIn];
    F::input(t[i], line);
    for (int j = 0; j < F::kIn; ++j) store(v + F::v_place(F::kIn * i + j) * position, line[j]);
  }
}

template <class F, class T>
void input_tiles(const WinogradTask& task) {
  const MapView& x = task.x;
  const int blocks = (x.channels + kBlock - 1) / kBlock;
  // Beyond the halo nothing is read; what would be there only reaches output pixels that do not exist.
  const int last_row = x.h + x.halo - 1, last_column = x.w + x.halo - 1;
  for (int block = 0; block < blocks; ++block) {
    float* v = task.v + block * task.tiles * kBlock;
    for (int i = task.tile_row_begin; i < task.tile_row_end; ++i) {
      const T* rows[F::kIn];
      for (int u = 0; u < F::kIn; ++u)
        rows[u] = pixel_at<const T>(x, block, smaller(F::kStep * i - 1 + u, last_row), 0);
      for (int j = 0; j < task.tile_columns; ++j, v += kBlock) {
        int64_t columns[F::kIn];
        for (int k = 0; k < F::kIn; ++k)
          columns[k] = int64_t(smaller(F::kStep * j - 1 + k, last_column)) * kBlock;
        for (int u = 0; u < F::kIn; ++u)  // the next tile's new pixels
          for (int k = F::kIn - F::kStep; k < F::kIn; ++k)
            __builtin_prefetch(rows[u] + (F::kStep * (j + 1) - 1 + k) * kBlock);
        input_tile<F, T>(rows, columns, v, task.v_position);
      }
    }
  }
}

// One tile of the result from its products; only rows x columns of it exist.
template <class F, class E, class T>
inline void output_tile(const WinogradTask& task, const float* m, Vec bias, E epilogue, T* y,
                        const T* residual, int rows, int columns) {
  Vec t[F::kOut][F::kProducts];  // [row][transformed column]
  for (int j = 0; j < F::kProducts; ++j) {
    Vec line[F::kProducts], out[F::kOut];
    for (int i = 0; i < F::kProducts; ++i) line[i] = load(m + (F::kProducts * i + j) * task.m_position);
    F::output(line, out);
    for (int i = 0; i < F::kOut; ++i) t[i][j] = out[i];
  }
  for (int i = 0; i < rows; ++i) {
    Vec out[F::kOut];
    F::output(t[i], out);
    for (int j = 0; j < columns; ++j) {
      Vec value = apply_epilogue(out[j] + bias, epilogue.value, task.slope);
      if (residual != nullptr) value += load(residual + i * task.residual.row_stride + j * kBlock);
      store(y + i * task.y.row_stride + j * kBlock, value);
    }
  }
}

template <class F, class T>
void output_tiles(const WinogradTask& task) {
  const MapView& y = task.y;
  with_epilogue(task.epilogue, [&](auto epilogue) {
    for (int b = 0; b < task.out_blocks; ++b) {
      const float* m = task.m + b * task.tiles * kBlock;
      const Vec bias = load(task.bias + b * kBlock);
      for (int i = task.tile_row_begin; i < task.tile_row_end; ++i)
        for (int j = 0; j < task.tile_columns; ++j, m += kBlock) {
          const auto at = [&](const MapView& map) {
            return pixel_at<T>(map, task.out_block + b, F::kOut * i, F::kOut * j);
          };
          const int rows = smaller(F::kOut, y.h - F::kOut * i), columns = smaller(F::kOut, y.w - F::kOut * j);
          const T* residual = task.residual.data != nullptr ? at(task.residual) : nullptr;
          if (rows == F::kOut && columns == F::kOut)
            output_tile<F>(task, m, bias, epilogue, at(y), residual, F::kOut, F::kOut);
          else output_tile<F>(task, m, bias, epilogue, at(y), residual, rows, columns);
        }
    }
  });
}

}  // namespace

void winograd_input(const WinogradTask& task) {
  with_form(task.form, [&](auto form) {
    with_element(task.x, [&](auto element) { input_tiles<decltype(form), decltype(element)>(task); });
  });
}

void winograd_output(const WinogradTask& task) {
  with_form(task.form, [&](auto form) {
    with_element(task.y, [&](auto element) { output_tiles<decltype(form), decltype(element)>(task); });
  });
}

namespace {

template <class F>
void output_grad_tiles(const WinogradTask& task) {
  const MapView& gy = task.x;
  const int blocks = (gy.channels + kBlock - 1) / kBlock;
  for (int block = 0; block < blocks; ++block) {
    float* v = task.v + block * task.tiles * kBlock;
    for (int i = task.tile_row_begin; i < task.tile_row_end; ++i)
      for (int j = 0; j < task.tile_columns; ++j, v += kBlock) {
        const float* from = pixel_at<float>(gy, block, F::kOut * i, F::kOut * j);
        const int rows = gy.h - F::kOut * i, columns = gy.w - F::kOut * j;
        Vec t[F::kOut][F::kIn];  // [row][transformed column]
        for (int u = 0; u < F::kOut; ++u) {
          Vec line[F::kOut];
          for (int k = 0; k < F::kOut; ++k)
            line[k] = u < rows && k < columns ? load(from + u * gy.row_stride + k * kBlock) : Vec{};
          F::output_grad(line, t[u]);
        }
        for (int k = 0; k < F::kIn; ++k) {
          Vec line[F::kOut], out[F::kIn];
          for (int u = 0; u < F::kOut; ++u) line[u] = t[u][k];
          F::output_grad(line, out);
          for (int u = 0; u < F::kIn; ++u) store(v + (F::kIn * u + k) * task.v_position, out[u]);
        }
      }
  }
}

}  // namespace

void winograd_output_grad(const WinogradTask& task) {
  if (task.form == 4) output_grad_tiles<F4>(task);
  else output_grad_tiles<F2>(task);
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
inline void expand(Doubles a, Doubles b, Doubles c, Doubles (&out)[5]) {
  out[0] = a;
  out[1] = out[3] = b;
  out[2] = a + c;
  out[4] = c;
}
inline void expand(Doubles a, Doubles b, Doubles c, Doubles (&out)[6]) {
  const double root = 1.41421356237309505;
  out[0] = a;
  out[1] = (a + b * (root / 2) + c * 0.5) * (-2.0 / 3);
  out[2] = (a - b * (root / 2) + c * 0.5) * (-2.0 / 3);
  out[3] = (a + b * root + c * 2.0) * (1.0 / 6);
  out[4] = (a - b * root + c * 2.0) * (1.0 / 6);
  out[5] = c;
}

template <class F>
void transform_weight(const WinogradWeightTask& task) {
  constexpr int kIn = F::kIn;
  for (int lane = 0; lane < task.lanes; ++lane)
    for (int o = 0; o < kPanel; o += kFloats / 2) {
      const float* g = task.g + int64_t(lane) * 9 * kPanel + o;
      Doubles columns[3][kIn];  // [column of g][row of G g]
      for (int j = 0; j < 3; ++j)
        expand(load_doubles(g + j * kPanel), load_doubles(g + (3 + j) * kPanel),
               load_doubles(g + (6 + j) * kPanel), columns[j]);
      float* u = task.u + int64_t(lane) * kPanel + o;
      for (int i = 0; i < kIn; ++i) {
        Doubles row[kIn];
        expand(columns[0][i], columns[1][i], columns[2][i], row);
        for (int j = 0; j < kIn; ++j) store_floats(u + F::u_place(kIn * i + j) * task.u_position, row[j]);
      }
    }
}

}  // namespace

void winograd_weight(const WinogradWeightTask& task) {
  with_form(task.form, [&](auto form) { transform_weight<decltype(form)>(task); });
}

namespace {

template <class F>
void weight_grads(const float* u, int64_t u_position, int32_t lanes, float* g) {
  for (int lane = 0; lane < lanes; ++lane)
    for (int o = 0; o < kPanel; o += kFloats) {
      const float* at = u + lane * kPanel + o;
      Vec columns[3][F::kIn];  // [row of G^T U][column of U]
      for (int j = 0; j < F::kIn; ++j) {
        Vec line[F::kIn], out[3];
        for (int i = 0; i < F::kIn; ++i) line[i] = load(at + (F::kIn * i + j) * u_position);
        F::weight_grad(line, out);
        for (int i = 0; i < 3; ++i) columns[i][j] = out[i];
      }
      for (int i = 0; i < 3; ++i) {
        Vec row[3];
        F::weight_grad(columns[i], row);
        for (int j = 0; j < 3; ++j) store(g + (lane * 9 + 3 * i + j) * kPanel + o, row[j]);
      }
    }
}

}  // namespace

void winograd_weight_grad(int32_t form, const float* u, int64_t u_position, int32_t lanes, float* g) {
  if (form == 4) weight_grads<F4>(u, u_position, lanes, g);
  else weight_grads<F2>(u, u_position, lanes, g);
}

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA
