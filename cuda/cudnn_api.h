// What this project uses of cuDNN 9's backend API, declared from its public documentation
// (docs.nvidia.com/deeplearning/cudnn/backend), so that building needs no header of cuDNN. tests/cuda
// compares the values with cudnn.h where that is installed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace mtyolo::cudnn {

// clang-format off
enum Descriptor : int {
  kPointwise = 0, kConvolution = 1, kEngine = 2, kEngineConfig = 3, kEngineHeuristics = 4,
  kExecutionPlan = 5, kConvolutionForward = 10, kConvolutionBackwardFilter = 11,
  kConvolutionBackwardData = 12, kPointwiseOperation = 13, kOperationGraph = 15, kVariantPack = 16,
  kTensor = 17, kDeviceProperties = 38
};

enum Attribute : int {
  kPointwiseMode = 0, kPointwiseMathType = 1, kPointwiseReluSlope = 5, kPointwiseSwishBeta = 8,
  kConvolutionComputeType = 100, kConvolutionMode = 101, kConvolutionDilations = 102,
  kConvolutionStrides = 103, kConvolutionPostPaddings = 104, kConvolutionPrePaddings = 105,
  kConvolutionSpatialDims = 106, kHeuristicsMode = 200, kHeuristicsGraph = 201, kHeuristicsResults = 202,
  kHeuristicsDevice = 204, kConfigEngine = 300, kPlanHandle = 400, kPlanConfig = 401,
  kPlanWorkspaceSize = 402, kPlanDevice = 407, kForwardAlpha = 700, kForwardBeta = 701,
  kForwardDescriptor = 702, kForwardW = 703, kForwardX = 704, kForwardY = 705,
  kBackwardDataAlpha = 706, kBackwardFilterAlpha = 712,  // and on in the order of kForward...
  kPointwiseDescriptor = 750, kPointwiseX = 751, kPointwiseB = 752, kPointwiseY = 753,
  kGraphHandle = 800, kGraphOperations = 801,
  kTensorAlignment = 900, kTensorType = 901, kTensorDims = 902, kTensorStrides = 903, kTensorId = 906,
  kTensorVirtual = 907, kPackIds = 1000, kPackPointers = 1001, kPackWorkspace = 1003, kEngineNotes = 1303,
  kDeviceJson = 2702
};

enum Type : int {
  kTypeHandle = 0, kTypeDataType = 1, kTypeBool = 2, kTypeInt64 = 3, kTypeFloat = 4, kTypeDouble = 5,
  kTypePointer = 6, kTypeConvolutionMode = 7, kTypeHeuristicsMode = 8, kTypeNote = 11,
  kTypePointwiseMode = 14, kTypeDescriptor = 15, kTypeChar = 24
};

enum DataType : int { kFloat = 0, kHalf = 2, kBFloat16 = 9 };
enum Pointwise : int { kAdd = 0, kMul = 1, kReluFwd = 100, kSigmoidFwd = 102, kSwishFwd = 106 };
enum Note : int { kNoteTensorCore = 0, kNoteDownConvert = 1, kNoteReducedSum = 2, kNoteNondeterministic = 4 };
inline constexpr int kCrossCorrelation = 1, kHeuristicsModeA = 3, kMostNotes = 16;
// clang-format on

struct Api {
  int (*create)(void** handle);
  int (*destroy)(void* handle);
  int (*set_stream)(void* handle, void* stream);
  size_t (*version)();
  const char* (*error_text)(int status);
  void (*last_error)(char* text, size_t bytes);
  int (*create_descriptor)(int descriptor, void** made);
  int (*destroy_descriptor)(void* descriptor);
  int (*finalize)(void* descriptor);
  int (*set)(void* descriptor, int attribute, int type, int64_t count, const void* values);
  int (*get)(void* descriptor, int attribute, int type, int64_t room, int64_t* count, void* values);
  int (*execute)(void* handle, void* plan, void* pack);
};

// The library, opened at the first call; null when it is not installed, and `why` says so.
const Api* api(std::string* why);

}  // namespace mtyolo::cudnn
