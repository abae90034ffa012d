// What cuDNN and cuBLASLt are told: shapes and strides as plain numbers, and the numbers of their headers
// where those are installed.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "cuda/conv_cublas.h"
#include "cuda/conv_cudnn.h"
#include "tests/support/skip.h"
#if __has_include(<cudnn.h>)
#include <cudnn.h>
#endif
#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
#endif

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

void* at(uintptr_t address) { return reinterpret_cast<void*>(address); }

// A 3x3 convolution of 2 images from a slice of 96 channels into one of 256.
ConvArgs conv_args(KernelMath math) {
  ConvArgs a;
  a.math = math;
  const KernelType type = type_of(math);
  a.x = {at(0x1010), type, 2, 20, 24, 64, 96};
  a.weight = at(0x2000), a.weight_stride = 576;
  a.kernel = 3, a.pad = 1, a.stride = 2;
  a.y = {at(0x3008), type, 2, 10, 12, 128, 256};
  a.epilogue.bias = static_cast<float*>(at(0x4004));
  a.epilogue.activation = KernelActivation::kSilu;
  return a;
}

// Its gradients; of the weights of 56 channels.
ConvDgradArgs dgrad_args(KernelMath math) {
  const ConvArgs a = conv_args(math);
  return {math, a.y, a.weight, a.weight_stride, a.kernel, a.stride, a.pad, a.groups, a.x};
}
ConvWgradArgs wgrad_args(KernelMath math) {
  const ConvArgs a = conv_args(math);
  auto* gw = static_cast<float*>(at(0x5000));
  return {math, a.y, a.x, a.kernel, a.stride, a.pad, a.groups, gw, 504, 56, 1, 56};
}

ConvArgs pointwise_args() {
  ConvArgs a = conv_args(KernelMath::kF16);
  a.kernel = 1, a.pad = 0, a.stride = 1, a.weight_stride = 72;
  a.y = {at(0x3000), KernelType::kF16, 2, 20, 24, 128, 256};
  return a;
}

}  // namespace

TEST_CASE("cuda_host: cuDNN is told dimensions, strides and alignment of slices") {
  const CudnnConvGraph g = cudnn_conv_graph(conv_args(KernelMath::kBF16));
  REQUIRE(g.tensors.size() == 6);
  CHECK(g.tensors[0] ==
        CudnnTensor{0, cudnn::kBFloat16, {2, 64, 20, 24}, {46080, 1, 2304, 96}, 16, false, at(0x1010)});
  CHECK(g.tensors[1] ==
        CudnnTensor{1, cudnn::kBFloat16, {128, 64, 3, 3}, {576, 1, 192, 64}, 16, false, at(0x2000)});
  CHECK(g.tensors[2] ==
        CudnnTensor{2, cudnn::kFloat, {2, 128, 10, 12}, {15360, 1, 1536, 128}, 16, true, nullptr});
  CHECK(g.tensors[3] ==
        CudnnTensor{3, cudnn::kFloat, {1, 128, 1, 1}, {128, 1, 128, 128}, 4, false, at(0x4004)});
  CHECK(g.tensors[4].is_virtual);
  CHECK(g.tensors[5] ==
        CudnnTensor{5, cudnn::kBFloat16, {2, 128, 10, 12}, {30720, 1, 3072, 256}, 8, false, at(0x3008)});
  CHECK(g.stride == 2);
  CHECK(g.pad == 1);
  CHECK(g.pointwise ==
        std::vector<CudnnPointwise>{{cudnn::kAdd, 2, 3, 4, 0}, {cudnn::kSwishFwd, 4, -1, 5, 0}});
}

TEST_CASE("cuda_host: cuDNN's operations follow the epilogue's order, and the last one writes the result") {
  ConvArgs args = conv_args(KernelMath::kF16);
  args.epilogue.scale = static_cast<float*>(at(0x5000));
  args.epilogue.activation = KernelActivation::kLeakyRelu;
  args.residual = args.y, args.residual.data = at(0x6000);
  const CudnnConvGraph g = cudnn_conv_graph(args);
  CHECK(g.pointwise == std::vector<CudnnPointwise>{{cudnn::kMul, 2, 3, 4, 0},
                                                   {cudnn::kAdd, 4, 5, 6, 0},
                                                   {cudnn::kReluFwd, 6, -1, 7, 0.1},
                                                   {cudnn::kAdd, 7, 8, 9, 0}});
  CHECK(g.tensors[9].data == at(0x3008));
  CHECK(g.tensors[8].data == at(0x6000));
  args = conv_args(KernelMath::kF16);
  args.groups = 4, args.epilogue = {};
  const CudnnConvGraph plain = cudnn_conv_graph(args);
  REQUIRE(plain.tensors.size() == 3);
  CHECK(plain.tensors[1].dims == std::array<int64_t, 4>{128, 16, 3, 3});
  CHECK(plain.tensors[2].data == at(0x3008));
  args.weight_stride = 144;
  CHECK(cudnn_conv_refuses(args) == nullptr);
  args.weight_stride = 152;
  CHECK(cudnn_conv_refuses(args) == std::string("takes weights without gaps only"));
  args.weight_stride = 144, args.second = args.y;
  CHECK(cudnn_conv_refuses(args) == std::string("writes no second copy"));
  CHECK(cudnn_conv_refuses(conv_args(KernelMath::kS8)) != nullptr);
}

TEST_CASE("cuda_host: cuDNN is told a gradient's tensors in the places of the convolution's") {
  const CudnnConvGraph forward = cudnn_conv_graph(conv_args(KernelMath::kBF16)),
                       dgrad = cudnn_conv_graph(dgrad_args(KernelMath::kBF16)),
                       wgrad = cudnn_conv_graph(wgrad_args(KernelMath::kBF16));
  CHECK(dgrad.operation == cudnn::kConvolutionBackwardData);
  REQUIRE(dgrad.tensors.size() == 3);
  CHECK(dgrad.tensors[0] == forward.tensors[0]);
  CHECK(dgrad.tensors[1] == forward.tensors[1]);
  const CudnnTensor gy{2, cudnn::kBFloat16, {2, 128, 10, 12}, {30720, 1, 3072, 256}, 8, false, at(0x3008)};
  CHECK(dgrad.tensors[2] == gy);
  CHECK(wgrad.operation == cudnn::kConvolutionBackwardFilter);
  REQUIRE(wgrad.tensors.size() == 3);
  CHECK(wgrad.tensors[0].dims == std::array<int64_t, 4>{2, 56, 20, 24});
  CHECK(wgrad.tensors[0].strides == forward.tensors[0].strides);
  CHECK(wgrad.tensors[1] ==
        CudnnTensor{1, cudnn::kFloat, {128, 56, 3, 3}, {504, 1, 168, 56}, 16, false, at(0x5000)});
  CHECK(wgrad.tensors[2] == gy);
  CHECK(wgrad.stride == 2);
  CHECK(dgrad.pad == 1);
  ConvDgradArgs added = dgrad_args(KernelMath::kF16);
  added.accumulate = true;
  CHECK(cudnn_conv_refuses(added) == std::string("adds to no result"));
}

TEST_CASE("cuda_host: cuBLASLt is told the product of a 1x1 convolution") {
  ConvArgs args = pointwise_args();
  CHECK(cublas_conv_refuses(args) == nullptr);
  CHECK(cublas_product(args) == CublasProduct{128, 960, 64, 72, 96, 256, cublaslt::kHalf, cublaslt::kHalf,
                                              cublaslt::kCompute32F, cublaslt::kBias, true, true});
  args.y.type = KernelType::kF32, args.epilogue.activation = KernelActivation::kRelu;
  CublasProduct p = cublas_product(args);
  CHECK(p.epilogue == cublaslt::kReluBias);
  CHECK_FALSE(p.convert_bias);
  CHECK_FALSE(p.activate_after);
  args.math = KernelMath::kTF32, args.x.type = KernelType::kF32, args.epilogue = {};
  p = cublas_product(args);
  CHECK(p.compute == cublaslt::kComputeTF32);
  CHECK(p.epilogue == cublaslt::kPlain);
  CHECK(cublas_conv_refuses(conv_args(KernelMath::kF16)) ==
        std::string("computes 1x1 convolutions of stride 1 only"));
}

TEST_CASE("cuda_host: numbers of cuDNN's interface are those of its header") {
#if __has_include(<cudnn.h>)
  CHECK(int(cudnn::kVariantPack) == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  CHECK(int(cudnn::kTensor) == CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  CHECK(int(cudnn::kOperationGraph) == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  CHECK(int(cudnn::kConvolutionForward) == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  CHECK(int(cudnn::kConvolutionBackwardData) == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
  CHECK(int(cudnn::kConvolutionBackwardFilter) ==
        CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR);
  const auto from = [](cudnn::Attribute first) { return first + cudnn::kForwardY - cudnn::kForwardAlpha; };
  CHECK(from(cudnn::kBackwardDataAlpha) == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY);
  CHECK(from(cudnn::kBackwardFilterAlpha) == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY);
  CHECK(int(cudnn::kPointwiseOperation) == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  CHECK(int(cudnn::kPointwiseReluSlope) == CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE);
  CHECK(int(cudnn::kPointwiseSwishBeta) == CUDNN_ATTR_POINTWISE_SWISH_BETA);
  CHECK(int(cudnn::kPointwiseY) == CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
  CHECK(int(cudnn::kConvolutionSpatialDims) == CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS);
  CHECK(int(cudnn::kForwardY) == CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y);
  CHECK(int(cudnn::kHeuristicsResults) == CUDNN_ATTR_ENGINEHEUR_RESULTS);
  CHECK(int(cudnn::kPlanWorkspaceSize) == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
  CHECK(int(cudnn::kTensorVirtual) == CUDNN_ATTR_TENSOR_IS_VIRTUAL);
  CHECK(int(cudnn::kPackWorkspace) == CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  CHECK(int(cudnn::kEngineNotes) == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE);
  CHECK(int(cudnn::kTypeDescriptor) == CUDNN_TYPE_BACKEND_DESCRIPTOR);
  CHECK(int(cudnn::kTypePointwiseMode) == CUDNN_TYPE_POINTWISE_MODE);
  CHECK(int(cudnn::kTypeNote) == CUDNN_TYPE_NUMERICAL_NOTE);
  CHECK(int(cudnn::kBFloat16) == CUDNN_DATA_BFLOAT16);
  CHECK(int(cudnn::kSwishFwd) == CUDNN_POINTWISE_SWISH_FWD);
  CHECK(int(cudnn::kNoteNondeterministic) == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC);
  CHECK(cudnn::kHeuristicsModeA == CUDNN_HEUR_MODE_A);
  CHECK(cudnn::kCrossCorrelation == CUDNN_CROSS_CORRELATION);
  CHECK(cudnn::kMostNotes >= CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
#else
  MTYOLO_SKIP("cudnn.h is not installed");     // our constants are held to the vendor's header where it is
#endif
}

TEST_CASE("cuda_host: numbers of cuBLASLt's interface are those of its header") {
#if __has_include(<cublasLt.h>)
  CHECK(int(cublaslt::kBFloat16) == CUDA_R_16BF);
  CHECK(int(cublaslt::kComputeTF32) == CUBLAS_COMPUTE_32F_FAST_TF32);
  CHECK(int(cublaslt::kCompute32FPedantic) == CUBLAS_COMPUTE_32F_PEDANTIC);
  CHECK(int(cublaslt::kTransA) == CUBLASLT_MATMUL_DESC_TRANSA);
  CHECK(int(cublaslt::kEpilogue) == CUBLASLT_MATMUL_DESC_EPILOGUE);
  CHECK(int(cublaslt::kBiasPointer) == CUBLASLT_MATMUL_DESC_BIAS_POINTER);
  CHECK(int(cublaslt::kMostWorkspace) == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
  CHECK(int(cublaslt::kReductionMask) == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
  CHECK(int(cublaslt::kAlignmentD) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
  CHECK(int(cublaslt::kReductionInCompute) == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
  CHECK(int(cublaslt::kReluBias) == CUBLASLT_EPILOGUE_RELU_BIAS);
  CHECK(sizeof(cublaslt::Heuristic) == sizeof(cublasLtMatmulHeuristicResult_t));
  CHECK(offsetof(cublaslt::Heuristic, status) == offsetof(cublasLtMatmulHeuristicResult_t, state));
#else
  MTYOLO_SKIP("cublasLt.h is not installed");  // likewise
#endif
}

TEST_CASE("cuda_host: cuDNN plans our graphs for a GPU that is not here") {
  // What a device says of itself in the JSON of cuDNN 9.8 and later. Engines that compile at run time need
  // the driver, so the convolution here has no bias: engines that are built in take it.
  CudnnOptions options;
  options.device_json =
      R"({"deviceName": "A100", "deviceVer": 800, "cudaDeviceId": 0, "totalGlobalMem": 80000000000,
      "driverVer": 13000, "maxGridSize": [2147483647, 65535, 65535],
      "maxBlockSize": [1024, 1024, 64],
      "regsPerBlock": 65536, "multiProcessorCount": 108,
      "smClockRateKHz": 1410000, "memClockRateKHz": 1593000,
      "l2CacheSize": 41943040, "warpSize": 32, "maxSharedMemoryPerBlock": 49152,
      "maxSharedMemoryPerBlockOptin": 166912, "reservedSharedMemoryPerBlock": 1024,
      "maxRegistersPerSM": 65536,
      "pciDeviceId": 0, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048,
      "isTccDriver": 0, "supportCoopLaunch": 1})";
  std::string why;
  if (cudnn::api(&why) == nullptr) MTYOLO_SKIP(why);  // the library itself is asked to plan
  if (cudnn::api(&why)->version() < 90800)
    MTYOLO_SKIP("this cuDNN plans for no device that is not here");  // and no device is here
  const auto provider = make_cudnn_conv(options, &why);
  REQUIRE(provider != nullptr);
  ConvArgs args = conv_args(KernelMath::kF16);
  args.y.data = at(0x3000);
  CHECK_NOTHROW(provider->choices(args));  // the graph with bias and activation is well-formed
  args.epilogue = {};
  const auto choices = provider->choices(args);
  REQUIRE(!choices.empty());
  const auto plan = provider->plan(args, choices.front());
  CHECK_THROWS_AS(plan->run({}, nullptr), Error);
  CHECK_THROWS_AS(provider->plan(args, "engine99"), Error);
  const auto engines = [&](auto gradient) {
    gradient.gy.data = at(0x3000);
    return make_cudnn_conv<decltype(gradient)>(options, &why)->choices(gradient).size();
  };
  CHECK(engines(dgrad_args(KernelMath::kF16)) > 0);
  CHECK(engines(dgrad_args(KernelMath::kF32)) > 0);
  CHECK(engines(wgrad_args(KernelMath::kTF32)) > 0);
  options.gw_of_math = true;
  CHECK(engines(wgrad_args(KernelMath::kF16)) > 0);
}
