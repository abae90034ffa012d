#include "ops/blocked/strassen.h"
#include "ops/blocked/training.h"
#include "ops/blocked/winograd.h"
#include "ops/cpu/kernels.h"
#include "ops/impls.h"

namespace mtyolo::ops {

// Best first, reference last.
void register_cpu_impls(Impls& impls) {
  namespace b = blocked;
  impls.add<Conv2dForward>("cpu.blocked", b::conv2d_refuses, b::conv2d_forward);
  impls.add<Conv2dBackwardInput>("cpu.blocked", b::conv2d_dgrad_refuses, b::conv2d_dgrad);
  impls.add<Conv2dBackwardWeight>("cpu.blocked", b::conv2d_wgrad_refuses, b::conv2d_wgrad);
  impls.add<BatchNormTrainForward>("cpu.blocked", b::batch_norm_refuses, b::batch_norm_forward);
  impls.add<BatchNormTrainBackward>("cpu.blocked", b::batch_norm_grad_refuses, b::batch_norm_backward);
  impls.add<ActivationForward>("cpu.blocked", b::activation_refuses, b::activation_forward);
  impls.add<ActivationBackward>("cpu.blocked", b::activation_grad_refuses, b::activation_backward);
  impls.add<MaxPool2dForward>("cpu.blocked", b::max_pool2d_refuses, b::max_pool2d_forward);
  impls.add<MaxPool2dBackward>("cpu.blocked", b::max_pool2d_grad_refuses, b::max_pool2d_backward);
  impls.add<UpsampleForward>("cpu.blocked", b::upsample_refuses, b::upsample_forward);
  impls.add<UpsampleBackward>("cpu.blocked", b::upsample_grad_refuses, b::upsample_backward);
  impls.add<Conv2dForward>("cpu.winograd", blocked::winograd_refuses_query, blocked::winograd_forward);
  impls.add<Conv2dForward>("cpu.strassen", blocked::strassen_refuses_query, blocked::strassen_forward);
  impls.add<Conv2dForward>("cpu.igemm", blocked::igemm_refuses, blocked::igemm_forward);
  impls.add<Conv2dForward>("cpu.reference", any_input, conv2d_reference_cpu);
  impls.add<BatchNormForward>("cpu.reference", any_input, batch_norm_reference_cpu);
  impls.add<ActivationForward>("cpu.reference", any_input, activation_reference_cpu);
  impls.add<MaxPool2dForward>("cpu.reference", any_input, max_pool2d_reference_cpu);
  impls.add<UpsampleForward>("cpu.reference", any_input, upsample_reference_cpu);
  impls.add<Conv2dBackwardInput>("cpu.reference", any_input, conv2d_dgrad_reference_cpu);
  impls.add<Conv2dBackwardWeight>("cpu.reference", any_input, conv2d_wgrad_reference_cpu);
  impls.add<BatchNormTrainForward>("cpu.reference", any_input, batch_norm_train_reference_cpu);
  impls.add<BatchNormTrainBackward>("cpu.reference", any_input, batch_norm_train_grad_reference_cpu);
  impls.add<ActivationBackward>("cpu.reference", any_input, activation_grad_reference_cpu);
  impls.add<MaxPool2dBackward>("cpu.reference", any_input, max_pool2d_grad_reference_cpu);
  impls.add<UpsampleBackward>("cpu.reference", any_input, upsample_grad_reference_cpu);
}

}  // namespace mtyolo::ops
