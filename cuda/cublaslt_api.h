// What this project uses of cuBLASLt, declared from its public documentation (docs.nvidia.com/cuda/cublas),
// so that building needs no header of it. tests/cuda compares the values with cublasLt.h where that is
// installed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace mtyolo::cublaslt {

// clang-format off
enum DataType : int { kFloat = 0, kHalf = 2, kBFloat16 = 14 };                         // CUDA_R_...
enum Compute : int { kCompute32F = 68, kCompute32FPedantic = 69, kComputeTF32 = 77 };  // CUBLAS_COMPUTE_...
enum MatmulAttribute : int { kTransA = 3, kEpilogue = 7, kBiasPointer = 8, kBiasType = 26 };
enum PreferenceAttribute : int {
  kReductionMask = 3, kMostWorkspace = 1, kAlignmentA = 5, kAlignmentB = 6, kAlignmentC = 7, kAlignmentD = 8
};
enum Epilogue : uint32_t { kPlain = 1, kRelu = 2, kBias = 4, kReluBias = 6 };
inline constexpr int32_t kTranspose = 1;  // CUBLAS_OP_T
// Sums of a split depth in f32 and in a fixed order (CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE).
inline constexpr uint32_t kReductionInCompute = 2;
// clang-format on

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes;
  int status;
  float waves;
  int reserved[4];
};

struct Api {
  int (*create)(void** handle);
  int (*destroy)(void* handle);
  size_t (*version)();
  const char* (*status_text)(int status);
  int (*create_matmul)(void** made, int compute, int scale_type);
  int (*destroy_matmul)(void* matmul);
  int (*set_matmul)(void* matmul, int attribute, const void* value, size_t bytes);
  int (*create_layout)(void** made, int type, uint64_t rows, uint64_t columns, int64_t stride);
  int (*destroy_layout)(void* layout);
  int (*create_preference)(void** made);
  int (*destroy_preference)(void* preference);
  int (*set_preference)(void* preference, int attribute, const void* value, size_t bytes);
  int (*heuristics)(void* handle, void* matmul, void* a, void* b, void* c, void* d, void* preference,
                    int wanted, Heuristic* results, int* found);
  int (*matmul)(void* handle, void* matmul, const void* alpha, const void* a, void* a_layout, const void* b,
                void* b_layout, const void* beta, const void* c, void* c_layout, void* d, void* d_layout,
                const Algorithm* algorithm, void* workspace, size_t workspace_bytes, void* stream);
};

// The library, opened at the first call; null when it is not installed, and `why` says so.
const Api* api(std::string* why);

}  // namespace mtyolo::cublaslt
