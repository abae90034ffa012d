// Batch normalisation in training with the activation behind it, and its gradient (ops/batch_norm.h). All of
// it waits for memory; the row or few rows of a task stay in the first-level cache between two passes.
#include "ops/blocked/epilogue.h"

namespace mtyolo::ops::blocked::MTYOLO_ISA {
namespace {

// Calls f(row pointers) for the rows of a task.
template <class F>
inline void for_rows(const NormTask& task, F&& f) {
  for (int i = task.row_begin; i < task.row_end; ++i) f(i);
}

// Sums f(x - shift) over the pixels of the task in four chains.
template <class T, class F>
inline __attribute__((always_inline)) Vec sum_pixels(const NormTask& task, Vec shift, F&& f) {
  Vec a{}, b{}, c{}, d{};
  for (int i = task.row_begin; i < task.row_end; ++i) {
    const T* x = pixel_at<const T>(task.x, task.block, i, 0);
    int j = 0;
    for (; j + 4 <= task.x.w; j += 4, x += 4 * kBlock) {
      a += f(load(x) - shift);
      b += f(load(x + kBlock) - shift);
      c += f(load(x + 2 * kBlock) - shift);
      d += f(load(x + 3 * kBlock) - shift);
    }
    for (; j < task.x.w; ++j, x += kBlock) a += f(load(x) - shift);
  }
  return (a + b) + (c + d);
}

template <class T>
void moments(const NormTask& task) {
  const Vec first = load(pixel_at<const T>(task.x, task.block, task.row_begin, 0));
  const float pixels = float(task.row_end - task.row_begin) * float(task.x.w);
  const Vec sum = sum_pixels<T>(task, first, [](Vec v) { return v; });
  const Vec mean = sum * splat(1.0f / pixels);
  store(task.sums, first);
  store(task.sums + kBlock, sum);
  store(task.sums + 2 * kBlock,
        sum_pixels<T>(task, first, [mean](Vec v) { return (v - mean) * (v - mean); }));
}

template <class T>
void apply(const NormTask& task) {
  const Vec mean = load(task.mean), scale = load(task.scale), bias = load(task.bias);
  with_epilogue(task.epilogue, [&](auto epilogue) {
    for_rows(task, [&](int i) {
      const T* x = pixel_at<const T>(task.x, task.block, i, 0);
      T* y = pixel_at<T>(task.y, task.block, i, 0);
      for (int j = 0; j < task.x.w; ++j) {
        const Vec u = (load(x + j * kBlock) - mean) * scale + bias;
        store(y + j * kBlock, apply_epilogue(u, epilogue.value, task.slope));
      }
    });
  });
}

template <class T, bool Keep>
void grad_sums(const NormTask& task) {
  const Vec mean = load(task.mean), scale = load(task.scale), bias = load(task.bias);
  Vec sum[2] = {}, sum_x[2] = {};
  with_epilogue(task.epilogue, [&](auto epilogue) {
    for_rows(task, [&](int i) {
      const T* x = pixel_at<const T>(task.x, task.block, i, 0);
      const T* gy = pixel_at<const T>(task.gy, task.block, i, 0);
      const auto pixel = [&](int j, int chain) {
        const Vec d = load(x + j * kBlock) - mean;
        const Vec gu = load(gy + j * kBlock) * epilogue_slope(d * scale + bias, epilogue.value, task.slope);
        if constexpr (Keep) store(pixel_at<T>(task.y, task.block, i, j), gu);
        sum[chain] += gu;
        sum_x[chain] += gu * d;
      };
      int j = 0;
      for (; j + 2 <= task.x.w; j += 2) {
        pixel(j, 0);
        pixel(j + 1, 1);
      }
      if (j < task.x.w) pixel(j, 0);
    });
  });
  store(task.sums, sum[0] + sum[1]);
  store(task.sums + kBlock, (sum_x[0] + sum_x[1]) * load(task.inv_std));
}

template <class T, bool Add>
void grad(const NormTask& task) {
  const Vec mean = load(task.mean), scale = load(task.scale), bias = load(task.bias);
  // scale * (gu - mean_gu - (x - mean) * inv_std * mean_gu_xhat) = scale * gu - constant - (x - mean) *
  // factor
  Vec constant{}, factor{};
  if (task.mean_gu != nullptr) {
    constant = scale * load(task.mean_gu);
    factor = scale * load(task.inv_std) * load(task.mean_gu_xhat);
  }
  with_epilogue(task.epilogue, [&](auto epilogue) {
    for_rows(task, [&](int i) {
      const T* x = pixel_at<const T>(task.x, task.block, i, 0);
      const T* gy = pixel_at<const T>(task.gy, task.block, i, 0);
      T* gx = pixel_at<T>(task.y, task.block, i, 0);
      for (int j = 0; j < task.x.w; ++j) {
        const Vec d = load(x + j * kBlock) - mean;
        const Vec gu = load(gy + j * kBlock) * epilogue_slope(d * scale + bias, epilogue.value, task.slope);
        Vec g = gu * scale - constant - d * factor;
        if constexpr (Add) g += load(gx + j * kBlock);
        store(gx + j * kBlock, g);
      }
    });
  });
}

}  // namespace

void norm_moments(const NormTask& task) {
  with_element(task.x, [&](auto value) { moments<decltype(value)>(task); });
}

void norm_apply(const NormTask& task) {
  with_element(task.x, [&](auto value) { apply<decltype(value)>(task); });
}

void norm_grad_sums(const NormTask& task) {
  with_element(task.x, [&](auto value) {
    if (task.y.data != nullptr) grad_sums<decltype(value), true>(task);
    else grad_sums<decltype(value), false>(task);
  });
}

void norm_grad(const NormTask& task) {
  with_element(task.x, [&](auto value) {
    if (task.add) grad<decltype(value), true>(task);
    else grad<decltype(value), false>(task);
  });
}

}  // namespace mtyolo::ops::blocked::MTYOLO_ISA
