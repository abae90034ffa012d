// Batch normalisation in training on blocked tensors, and what the same kernels compute: activations, learned
// vectors per channel, sums over pixels.
//
// A block of 16 channels is cut into pieces of about 256 pixels of one image. Each piece yields sums in f32
// that are taken about its own mean (batch norm) or its own start (gradients), and the pieces of a block are
// added in order in f64. Where there are many blocks, a task does all passes over one of them, which then
// often still lies in a cache.
#include <array>
#include <cmath>

#include "ops/blocked/training.h"

namespace mtyolo::ops::blocked {
namespace {

using Lanes = std::array<float, kBlock>;
using Sums = std::array<double, kBlock>;

// Values per channel, padded to whole blocks.
class Vector {
 public:
  Vector(Context& ctx, const Map& map, float value = 0)
      : memory_(Tensor::empty({int64_t(map.blocks()) * kBlock}, DType::kF32, ctx.allocator())) {
    std::fill_n(data(), memory_.numel(), value);
  }
  Vector(Context& ctx, const Map& map, const Tensor& values) : Vector(ctx, map) {
    memory_.slice(0, 0, map.view.channels).copy_from(values.reshape({map.view.channels}));
  }
  float* data() const { return memory_.data<float>(); }

 private:
  Tensor memory_;
};

// How the pixels of a map are cut.
struct Pieces {
  explicit Pieces(const Map& map) : n(map.n), h(map.view.h), blocks(map.blocks()) {
    constexpr int kPixels = 256;
    rows = std::clamp(kPixels / map.view.w, 1, h);
    per_image = (h + rows - 1) / rows;
    count = n * per_image;
    pixels = int64_t(n) * h * map.view.w;
    width = map.view.w;
  }
  int64_t pixels_of(int piece) const {
    const int first = piece % per_image * rows;
    return int64_t(std::min(rows, h - first)) * width;
  }
  int n, h, blocks, width = 0, rows = 1, per_image = 1, count = 1;
  int64_t pixels = 0;
};

struct Maps {
  const Map* x = nullptr;
  const Map* gy = nullptr;
  const Map* y = nullptr;
};

// The task of one piece of one block; pointers per channel are those of block 0 and move along.
NormTask piece_task(const Pieces& pieces, const Maps& maps, NormTask task, int block, int piece) {
  const int image = piece / pieces.per_image;
  if (maps.x != nullptr) task.x = maps.x->image(image);
  if (maps.gy != nullptr) task.gy = maps.gy->image(image);
  if (maps.y != nullptr) task.y = maps.y->image(image);
  task.block = block;
  task.row_begin = piece % pieces.per_image * pieces.rows;
  task.row_end = std::min(pieces.h, task.row_begin + pieces.rows);
  for (const float** p :
       {&task.mean, &task.inv_std, &task.scale, &task.bias, &task.mean_gu, &task.mean_gu_xhat})
    if (*p != nullptr) *p += block * kBlock;
  return task;
}

// Calls reduce(block, piece), then finish(block) when all pieces of a block are reduced, then apply(block,
// piece). Empty functions are left out.
struct Passes {
  std::function<void(int, int)> reduce;
  std::function<void(int)> finish;
  std::function<void(int, int)> apply;
};

void run_passes(Context& ctx, const Pieces& pieces, const Passes& passes) {
  if (pieces.blocks >= 2 * ctx.pool().size()) {
    ctx.pool().parallel_for(pieces.blocks, [&](int64_t block) {
      for (int i = 0; passes.reduce && i < pieces.count; ++i) passes.reduce(int(block), i);
      if (passes.finish) passes.finish(int(block));
      for (int i = pieces.count; passes.apply && i-- > 0;) passes.apply(int(block), i);
    });
    return;
  }
  const int groups = std::min(pieces.count, 8 * ctx.pool().size());
  const auto each = [&](const std::function<void(int, int)>& pass) {
    if (!pass) return;
    ctx.pool().parallel_for(int64_t(pieces.blocks) * groups, [&](int64_t i) {
      const int block = int(i / groups), group = int(i % groups);
      for (int k = group * pieces.count / groups; k < (group + 1) * pieces.count / groups; ++k)
        pass(block, k);
    });
  };
  each(passes.reduce);
  if (passes.finish)
    ctx.pool().parallel_for(pieces.blocks, [&](int64_t block) { passes.finish(int(block)); });
  each(passes.apply);
}

// Sums of all pieces of a map: [block][piece][rows of 16].
class Partial {
 public:
  Partial(Context& ctx, const Pieces& pieces, int rows)
      : pieces_(pieces),
        rows_(rows),
        memory_(Tensor::empty({int64_t(pieces.blocks) * pieces.count * rows, kBlock}, DType::kF32,
                              ctx.allocator())) {}
  float* at(int block, int piece) const {
    return memory_.data<float>() + (int64_t(block) * pieces_.count + piece) * rows_ * kBlock;
  }
  // Sum of one row of 16 over the pieces of a block.
  Sums total(int block, int row) const {
    Sums sums{};
    for (int i = 0; i < pieces_.count; ++i) {
      const float* from = at(block, i) + row * kBlock;
      for (size_t c = 0; c < kBlock; ++c) sums[c] += double(from[c]);
    }
    return sums;
  }

 private:
  const Pieces& pieces_;
  int rows_;
  Tensor memory_;
};

struct Moments {
  Sums mean{}, squares{};  // squares: sum of squares about the mean
};

// Joins the moments of the pieces (T. Chan, G. Golub, R. LeVeque, "Updating formulae and a pairwise algorithm
// for computing sample variances", 1979): sum of squares = sum of those about the pieces' means plus
// n_i * (mean_i - mean)^2.
Moments join(const Partial& partial, const Pieces& pieces, int block) {
  Moments m;
  for (int i = 0; i < pieces.count; ++i) {
    const float* from = partial.at(block, i);
    const double count = double(pieces.pixels_of(i));
    for (size_t c = 0; c < kBlock; ++c) m.mean[c] += double(from[c]) * count + double(from[kBlock + c]);
  }
  for (double& v : m.mean) v /= double(pieces.pixels);
  for (int i = 0; i < pieces.count; ++i) {
    const float* from = partial.at(block, i);
    const double count = double(pieces.pixels_of(i)), inverse = 1 / count;
    for (size_t c = 0; c < kBlock; ++c) {
      const double d = double(from[c]) + double(from[kBlock + c]) * inverse - m.mean[c];
      m.squares[c] += double(from[2 * kBlock + c]) + count * d * d;
    }
  }
  return m;
}

const char* refuses(const Tensor& x) { return x.is_blocked() ? nullptr : "needs a blocked map"; }

// y = activation((x - mean) * scale + bias), by channel.
void apply(Context& ctx, const Tensor& x, const Vector& mean, const Vector& scale, const Vector& bias,
           const Activation& activation, Tensor& y) {
  const Map from = map_of(x), to = map_of(y);
  const Pieces pieces(from);
  NormTask task;
  task.mean = mean.data(), task.scale = scale.data(), task.bias = bias.data();
  task.epilogue = to_epilogue(activation.kind), task.slope = activation.slope;
  run_passes(ctx, pieces,
             {{}, {}, [&](int block, int piece) {
                kernels().norm_apply(piece_task(pieces, {&from, nullptr, &to}, task, block, piece));
              }});
  zero_halo(ctx, to);
}

// gx (+)= scale * gy * activation'(x), by channel.
void apply_grad(Context& ctx, const Map& x, const Tensor& gy, const Vector& scale,
                const Activation& activation, GradMode mode, Tensor& gx) {
  const Map from = map_of(gy), to = map_of(gx);
  const Pieces pieces(from);
  const Vector zero(ctx, from);
  NormTask task;
  task.mean = task.bias = zero.data(), task.scale = scale.data();
  task.epilogue = to_epilogue(activation.kind), task.slope = activation.slope;
  task.add = mode == GradMode::kAccumulate;
  run_passes(ctx, pieces, {{}, {}, [&](int block, int piece) {
                             kernels().norm_grad(piece_task(pieces, {&x, &from, &to}, task, block, piece));
                           }});
  if (mode == GradMode::kOverwrite) zero_halo(ctx, to);
}

// Adds the sums of gy (or, with x, of gy * x) to sums [C].
void add_sums(Context& ctx, const Map& x, const Map& gy, int row, Tensor& sums) {
  const Pieces pieces(gy);
  const Vector zero(ctx, gy), one(ctx, gy, 1);
  const Partial partial(ctx, pieces, 2);
  NormTask task;
  task.mean = task.bias = zero.data(), task.scale = task.inv_std = one.data();
  float* to = sums.data<float>();
  const auto reduce = [&](int block, int piece) {
    NormTask t = piece_task(pieces, {&x, &gy, nullptr}, task, block, piece);
    t.sums = partial.at(block, piece);
    kernels().norm_grad_sums(t);
  };
  const auto finish = [&](int block) {
    const Sums total = partial.total(block, row);
    for (int c = block * kBlock; c < std::min((block + 1) * kBlock, gy.view.channels); ++c)
      to[c] = float(double(to[c]) + total[size_t(c % kBlock)]);
  };
  run_passes(ctx, pieces, {reduce, finish, {}});
}

}  // namespace

const char* batch_norm_refuses(const BatchNormTrainForward::Query& q) { return refuses(q.x); }
const char* batch_norm_grad_refuses(const BatchNormTrainBackward::Query& q) { return refuses(q.x); }
const char* activation_refuses(const ActivationForward::Query& q) { return refuses(q.x); }
const char* activation_grad_refuses(const ActivationBackward::Query& q) { return refuses(q.x); }

void batch_norm_forward(Context& ctx, const Tensor& x, const BatchNormStats& stats, const BatchNormTrain& p,
                        const BatchNormSaved& saved, Tensor& y) {
  const Map from = map_of(x), to = map_of(y);
  const Pieces pieces(from);
  const Partial partial(ctx, pieces, 3);
  const Vector mean(ctx, from), scale(ctx, from), bias(ctx, from, stats.bias);
  const Maps maps{&from, nullptr, &to};
  NormTask task;
  task.mean = mean.data(), task.scale = scale.data(), task.bias = bias.data();
  task.epilogue = to_epilogue(p.activation.kind), task.slope = p.activation.slope;
  const float* weight = stats.weight.data<float>();
  float *running_mean = stats.mean.data<float>(), *running_var = stats.var.data<float>();
  float *saved_mean = saved.mean.data<float>(), *saved_inv_std = saved.inv_std.data<float>();

  const auto reduce = [&](int block, int piece) {
    NormTask t = piece_task(pieces, maps, task, block, piece);
    t.sums = partial.at(block, piece);
    kernels().norm_moments(t);
  };
  const auto move = [&](float& running, double batch) {
    running = float((1 - p.momentum) * double(running) + p.momentum * batch);
  };
  const auto finish = [&](int block) {
    const Moments moments = p.frozen ? Moments{} : join(partial, pieces, block);
    for (int c = block * kBlock; c < std::min((block + 1) * kBlock, from.view.channels); ++c) {
      const size_t lane = size_t(c % kBlock);
      const double count = double(pieces.pixels), squares = moments.squares[lane];
      const double m = p.frozen ? double(running_mean[c]) : moments.mean[lane];
      const double var = p.frozen ? double(running_var[c]) : squares / count;
      const double inv_std = 1 / std::sqrt(var + p.eps);
      saved_mean[c] = mean.data()[c] = float(m);
      saved_inv_std[c] = float(inv_std);
      scale.data()[c] = saved_inv_std[c] * weight[c];
      if (p.frozen) continue;
      move(running_mean[c], m);
      move(running_var[c], squares / std::max(1.0, count - 1));
    }
  };
  const auto normalise = [&](int block, int piece) {
    kernels().norm_apply(piece_task(pieces, maps, task, block, piece));
  };
  if (p.frozen) run_passes(ctx, pieces, {{}, finish, normalise});
  else run_passes(ctx, pieces, {reduce, finish, normalise});
  zero_halo(ctx, to);
}

void batch_norm_again(Context& ctx, const Tensor& x, const BatchNormStats& stats, const BatchNormTrain& p,
                      const BatchNormSaved& saved, Tensor& y) {
  const Map map = map_of(x);
  const Vector mean(ctx, map, saved.mean), scale(ctx, map, saved.inv_std), bias(ctx, map, stats.bias);
  for (int c = 0; c < map.view.channels; ++c) scale.data()[c] *= stats.weight.data<float>()[c];
  apply(ctx, x, mean, scale, bias, p.activation, y);
}

void batch_norm_backward(Context& ctx, const Tensor& x, const Tensor& gy, const BatchNormStats& stats,
                         const BatchNormTrain& p, const BatchNormSaved& saved, const BatchNormGrads& grads) {
  const Map from = map_of(x), out = map_of(gy), to = map_of(grads.gx.defined() ? grads.gx : gy);
  const Pieces pieces(from);
  const Partial partial(ctx, pieces, 2);
  const Vector mean(ctx, from, saved.mean), inv_std(ctx, from, saved.inv_std), scale(ctx, from, stats.weight),
      bias(ctx, from, stats.bias), mean_gu(ctx, from), mean_gu_xhat(ctx, from);
  for (int c = 0; c < from.view.channels; ++c) scale.data()[c] *= inv_std.data()[c];
  // Where gx is overwritten it holds gu between the passes: one exponential and division per pixel saved.
  const bool reduces = !p.frozen || grads.gw.defined() || grads.gb.defined();
  const bool keeps_gu = reduces && grads.gx.defined() && grads.x_mode == GradMode::kOverwrite &&
                        p.activation.kind == ActivationKind::kSilu;
  const Maps first{&from, &out, keeps_gu ? &to : nullptr}, second{&from, keeps_gu ? &to : &out, &to};
  NormTask task;
  task.mean = mean.data(), task.inv_std = inv_std.data(), task.scale = scale.data(), task.bias = bias.data();
  if (!p.frozen) task.mean_gu = mean_gu.data(), task.mean_gu_xhat = mean_gu_xhat.data();
  task.epilogue = to_epilogue(p.activation.kind), task.slope = p.activation.slope;
  task.add = grads.x_mode == GradMode::kAccumulate;

  const auto reduce = [&](int block, int piece) {
    NormTask t = piece_task(pieces, first, task, block, piece);
    t.sums = partial.at(block, piece);
    kernels().norm_grad_sums(t);
  };
  const auto put = [&](const Tensor& g, int c, double sum) {
    if (!g.defined()) return;
    float& to_add = g.data<float>()[c];
    to_add = float(sum + (grads.param_mode == GradMode::kAccumulate ? double(to_add) : 0.0));
  };
  const auto finish = [&](int block) {
    const Sums gu = partial.total(block, 0), gu_xhat = partial.total(block, 1);
    for (int c = block * kBlock; c < std::min((block + 1) * kBlock, from.view.channels); ++c) {
      const size_t lane = size_t(c % kBlock);
      mean_gu.data()[c] = float(gu[lane] / double(pieces.pixels));
      mean_gu_xhat.data()[c] = float(gu_xhat[lane] / double(pieces.pixels));
      put(grads.gb, c, gu[lane]);
      put(grads.gw, c, gu_xhat[lane]);
    }
  };
  Passes passes;
  if (reduces) passes = {reduce, finish, {}};
  if (grads.gx.defined())
    passes.apply = [&](int block, int piece) {
      NormTask t = piece_task(pieces, second, task, block, piece);
      if (keeps_gu) t.epilogue = Epilogue::kNone;
      kernels().norm_grad(t);
    };
  run_passes(ctx, pieces, passes);
  if (grads.gx.defined() && grads.x_mode == GradMode::kOverwrite) zero_halo(ctx, to);
}

void activation_forward(Context& ctx, const Tensor& x, const Activation& p, Tensor& y) {
  const Map map = map_of(x);
  apply(ctx, x, Vector(ctx, map), Vector(ctx, map, 1), Vector(ctx, map), p, y);
}

void activation_backward(Context& ctx, const Tensor& x, const Tensor& gy, const Activation& p, GradMode mode,
                         Tensor& gx) {
  const Map map = map_of(x);
  apply_grad(ctx, map, gy, Vector(ctx, map, 1), p, mode, gx);
}

void scale_shift_forward(Context& ctx, const Tensor& x, const Tensor& implicit, const ScaleShift& p,
                         Tensor& y) {
  const Map map = map_of(x);
  const Vector vector(ctx, map, implicit), zero(ctx, map);
  if (p.kind == ImplicitKind::kAdd) apply(ctx, x, zero, Vector(ctx, map, 1), vector, {}, y);
  else apply(ctx, x, zero, vector, zero, {}, y);
}

void scale_shift_backward(Context& ctx, const Tensor& x, const Tensor& implicit, const Tensor& gy,
                          const ScaleShift& p, GradMode mode, Tensor& gx, Tensor& g_implicit) {
  const Map out = map_of(gy);
  const bool adds = p.kind == ImplicitKind::kAdd;
  if (g_implicit.defined()) add_sums(ctx, adds ? out : map_of(x), out, adds ? 0 : 1, g_implicit);
  if (!gx.defined()) return;
  const Vector scale = adds ? Vector(ctx, out, 1) : Vector(ctx, out, implicit);
  apply_grad(ctx, out, gy, scale, {}, mode, gx);
}

void sum_pixels(Context& ctx, const Tensor& gy, Tensor& sums) {
  const Map map = map_of(gy);
  add_sums(ctx, map, map, 0, sums);
}

}  // namespace mtyolo::ops::blocked
