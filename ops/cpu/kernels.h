// The CPU kernels behind the ops, called after the checks of ops/<stem>.cpp. Contracts stand in ops/<stem>.h.
#pragma once

#include "ops/activation.h"
#include "ops/batch_norm.h"
#include "ops/conv2d.h"
#include "ops/cross_stitch.h"
#include "ops/detect_decode.h"
#include "ops/head_rows.h"
#include "ops/max_pool2d.h"
#include "ops/scale_shift.h"
#include "ops/space_to_depth.h"
#include "ops/upsample.h"

namespace mtyolo::ops {

// Reference implementations: double accumulation in the order of the formula, any strides, f32 and f64. Never
// optimised; every other implementation is compared with them.
void activation_reference_cpu(Context& ctx, const Tensor& x, const Activation& p, Tensor& y);
void batch_norm_reference_cpu(Context& ctx, const Tensor& x, const BatchNormStats& stats, const BatchNorm& p,
                              Tensor& y);
void conv2d_reference_cpu(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias,
                          const Conv2d& p, Tensor& y);
void max_pool2d_reference_cpu(Context& ctx, const Tensor& x, const MaxPool2d& p, Tensor& y);
void upsample_reference_cpu(Context& ctx, const Tensor& x, const Upsample& p, Tensor& y);
void activation_grad_reference_cpu(Context& ctx, const Tensor& x, const Tensor& gy, const Activation& p,
                                   GradMode mode, Tensor& gx);
void batch_norm_train_reference_cpu(Context& ctx, const Tensor& x, const BatchNormStats& stats,
                                    const BatchNormTrain& p, const BatchNormSaved& saved, Tensor& y);
void batch_norm_train_grad_reference_cpu(Context& ctx, const Tensor& x, const Tensor& gy,
                                         const BatchNormStats& stats, const BatchNormTrain& p,
                                         const BatchNormSaved& saved, const BatchNormGrads& grads);
void conv2d_dgrad_reference_cpu(Context& ctx, const Tensor& gy, const Tensor& weight, const Conv2d& p,
                                GradMode mode, Tensor& gx);
void conv2d_wgrad_reference_cpu(Context& ctx, const Tensor& x, const Tensor& gy, const Conv2d& p,
                                GradMode mode, Tensor& gw, Tensor& gb);
void max_pool2d_grad_reference_cpu(Context& ctx, const Tensor& x, const Tensor& gy, const MaxPool2d& p,
                                   GradMode mode, Tensor& gx);
void upsample_grad_reference_cpu(Context& ctx, const Tensor& gy, const Upsample& p, GradMode mode,
                                 Tensor& gx);

// Ops with a single implementation.
void add_cpu(Context& ctx, const Tensor& a, const Tensor& b, Tensor& y);
void scale_shift_cpu(Context& ctx, const Tensor& x, const Tensor& implicit, const ScaleShift& p, Tensor& y);
void scale_shift_grad_cpu(Context& ctx, const Tensor& x, const Tensor& implicit, const Tensor& gy,
                          const ScaleShift& p, GradMode mode, Tensor& gx, Tensor& g_implicit);
void cross_stitch_cpu(Context& ctx, std::span<const Tensor> x, const Tensor& weight, Tensor& y);
void cross_stitch_grad_cpu(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& gy,
                           GradMode mode, Tensor& gx, Tensor& g_weight);
void space_to_depth_cpu(Context& ctx, const Tensor& x, Tensor& y);
void space_to_depth_grad_cpu(Context& ctx, const Tensor& gy, GradMode mode, Tensor& gx);
void head_rows_cpu(Context& ctx, const Tensor& raw, Tensor& rows);
void head_rows_grad_cpu(Context& ctx, const Tensor& g_rows, GradMode mode, Tensor& g_raw);
void detect_decode_cpu(Context& ctx, const Tensor& raw, const DetectDecode& p, Tensor& y);
void interpolate_bilinear_cpu(Context& ctx, const Tensor& x, Tensor& y);

}  // namespace mtyolo::ops
