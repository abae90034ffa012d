#include "ops/batch_norm.h"

#include "ops/checks.h"

namespace mtyolo::ops {

void batch_norm_forward(Context& ctx, const Impls& impls, const Tensor& x, const BatchNormStats& stats,
                        const BatchNorm& p, Tensor& y) {
  check_image("batch_norm", "input", x);
  const auto check_vector = [&](const char* what, const Tensor& v) {
    check_same_type("batch_norm", what, v, x);
    MTYOLO_CHECK(v.shape() == Shape({x.size(1)}),
                 "batch_norm: {} has shape {}, expected [{}] for the input {}", what, v.shape(), x.size(1),
                 x);
  };
  check_vector("weight", stats.weight);
  check_vector("bias", stats.bias);
  check_vector("mean", stats.mean);
  check_vector("var", stats.var);
  check_output("batch_norm", y, x.shape(), x);
  impls.choose<BatchNormForward>({x}).run(ctx, x, stats, p, y);
}

}  // namespace mtyolo::ops
