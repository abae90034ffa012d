#include "ops/batch_norm.h"

#include "ops/blocked/training.h"
#include "ops/checks.h"

namespace mtyolo::ops {
namespace {

void check_vector(const char* op, const char* what, const Tensor& v, const Tensor& x) {
  check_same_type(op, what, v, x);
  MTYOLO_CHECK(v.shape() == Shape({x.size(1)}), "{}: {} has shape {}, expected [{}] for the input {}", op,
               what, v.shape(), x.size(1), x);
}

void check_stats(const char* op, const BatchNormStats& stats, const Tensor& x) {
  check_vector(op, "weight", stats.weight, x);
  check_vector(op, "bias", stats.bias, x);
  check_vector(op, "mean", stats.mean, x);
  check_vector(op, "var", stats.var, x);
}

void check_saved(const char* op, const BatchNormSaved& saved, const Tensor& x) {
  check_vector(op, "saved mean", saved.mean, x);
  check_vector(op, "saved inv_std", saved.inv_std, x);
}

}  // namespace

void batch_norm_forward(Context& ctx, const Impls& impls, const Tensor& x, const BatchNormStats& stats,
                        const BatchNorm& p, Tensor& y) {
  check_image("batch_norm", "input", x);
  check_stats("batch_norm", stats, x);
  check_output("batch_norm", y, x.shape(), x);
  impls.choose<BatchNormForward>({x}).run(ctx, x, stats, p, y);
}

void batch_norm_train_forward(Context& ctx, const Impls& impls, const Tensor& x, const BatchNormStats& stats,
                              const BatchNormTrain& p, const BatchNormSaved& saved, Tensor& y) {
  check_image("batch_norm_train", "input", x);
  MTYOLO_CHECK(x.numel() > 0, "batch_norm_train: the input {} has no elements", x);
  check_stats("batch_norm_train", stats, x);
  check_saved("batch_norm_train", saved, x);
  check_output("batch_norm_train", y, x.shape(), x);
  impls.choose<BatchNormTrainForward>({x, p}).run(ctx, x, stats, p, saved, y);
}

void batch_norm_train_again(Context& ctx, const Impls& impls, const Tensor& x, const BatchNormStats& stats,
                            const BatchNormTrain& p, const BatchNormSaved& saved, Tensor& y) {
  if (x.is_blocked()) return blocked::batch_norm_again(ctx, x, stats, p, saved, y);
  BatchNormTrain still = p;
  still.momentum = 0;
  batch_norm_train_forward(ctx, impls, x, stats, still, saved, y);
}

void batch_norm_train_backward(Context& ctx, const Impls& impls, const Tensor& x, const Tensor& gy,
                               const BatchNormStats& stats, const BatchNormTrain& p,
                               const BatchNormSaved& saved, const BatchNormGrads& grads) {
  check_image("batch_norm_train_grad", "input", x);
  check_gradient("batch_norm_train_grad", "gy", gy, x.shape(), x);
  check_stats("batch_norm_train_grad", stats, x);
  check_saved("batch_norm_train_grad", saved, x);
  if (grads.gx.defined()) check_output("batch_norm_train_grad", grads.gx, x.shape(), x);
  for (const Tensor* g : {&grads.gw, &grads.gb})
    if (g->defined()) check_output("batch_norm_train_grad", *g, {x.size(1)}, x);
  impls.choose<BatchNormTrainBackward>({x, p}).run(ctx, x, gy, stats, p, saved, grads);
}

}  // namespace mtyolo::ops
