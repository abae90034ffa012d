// 1x1 convolutions as matrix products by cuBLASLt, with bias and ReLU in its epilogue and the other
// activations by our kernel in place.
#pragma once

#include <memory>
#include <string>

#include "cuda/cublaslt_api.h"
#include "ops/device/conv_provider.h"
#include "ops/device/kernels.h"

namespace mtyolo {

// The product as cuBLASLt sees it, matrices by columns: y^T [m, n] = a^T [m, k] b [k, n] with the weight as a
// [k, m], its rows along the depth, and x as b; m channels, n pixels. Strides in elements.
struct CublasProduct {
  int m = 0, n = 0, k = 0, a_stride = 0, b_stride = 0, d_stride = 0;
  cublaslt::DataType operands = cublaslt::kFloat, result = cublaslt::kFloat;
  cublaslt::Compute compute = cublaslt::kCompute32F;
  cublaslt::Epilogue epilogue = cublaslt::kPlain;
  bool convert_bias = false;    // the epilogue takes it in the result's type
  bool activate_after = false;  // by our kernel
  bool operator==(const CublasProduct&) const = default;
};

// For arguments that cublas_conv_refuses() takes.
CublasProduct cublas_product(const ConvArgs& args);
const char* cublas_conv_refuses(const ConvArgs& args);

// Null when cuBLASLt is not installed or does not start, and `why` says so.
std::unique_ptr<ConvProvider> make_cublas_conv(std::shared_ptr<const DeviceKernels> kernels,
                                               std::string* why);

}  // namespace mtyolo
