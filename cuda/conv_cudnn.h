// Convolutions and their gradients by cuDNN's graph API: convolution, scale, bias, activation and residual
// fused into one kernel where it has an engine for that.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "cuda/conv.h"
#include "cuda/cudnn_api.h"
#include "ops/device/conv_provider.h"

namespace mtyolo {

// The description that cuDNN is given, as plain numbers: dimensions are N, C, H, W and K, C, R, S whatever
// the order in memory, which the strides say.
struct CudnnTensor {
  int64_t id = 0;
  cudnn::DataType type = cudnn::kFloat;
  std::array<int64_t, 4> dims{}, strides{};
  int64_t alignment = 16;  // bytes
  bool is_virtual = false;
  void* data = nullptr;
  bool operator==(const CudnnTensor&) const = default;
};
struct CudnnPointwise {
  cudnn::Pointwise mode = cudnn::kAdd;
  int64_t x = 0, b = -1, y = 0;  // ids; b is -1 for functions of one argument
  double slope = 0;              // of kReluFwd below zero
  bool operator==(const CudnnPointwise&) const = default;
};
struct CudnnConvGraph {
  // kConvolutionForward, kConvolutionBackwardData, kConvolutionBackwardFilter
  cudnn::Descriptor operation = cudnn::kConvolutionForward;
  // By id: 0 is x or its gradient, 1 the weight or its, 2 the sums of the convolution or gy.
  std::vector<CudnnTensor> tensors;
  std::vector<CudnnPointwise> pointwise;
  int64_t stride = 1, pad = 0;
};

// Throws nothing; for arguments that cudnn_conv_refuses() takes.
CudnnConvGraph cudnn_conv_graph(const ConvArgs& args);
CudnnConvGraph cudnn_conv_graph(const ConvDgradArgs& args);
CudnnConvGraph cudnn_conv_graph(const ConvWgradArgs& args);
const char* cudnn_conv_refuses(const ConvArgs& args);
const char* cudnn_conv_refuses(const ConvDgradArgs& args);
const char* cudnn_conv_refuses(const ConvWgradArgs& args);

struct CudnnOptions {
  bool deterministic = true;  // leave out engines whose results may differ between runs
  size_t most_workspace_bytes = size_t(256) << 20;
  // Gradients of weights are written in the math's type, as PyTorch has them, not in the f32 that is
  // promised: to compare times with. Engines from 16 bits to f32 are few.
  bool gw_of_math = false;
  // Properties of a device in cuDNN's JSON: plans are made for it and cannot run. For tests without a GPU.
  std::string device_json{};
};

// Of ConvArgs, ConvDgradArgs or ConvWgradArgs. Null when cuDNN 9 is not installed or does not start, and
// `why` says so.
template <class Args = ConvArgs>
std::unique_ptr<ConvProviderOf<Args>> make_cudnn_conv(const CudnnOptions& options, std::string* why);

}  // namespace mtyolo
