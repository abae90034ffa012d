// tensor_map(TiledMap or Im2colMap): the descriptor, encoded on the host. For files that start kernels.
// Throws Error{"check"} for what tensor_map_refuses names, Error{"cuda_launch"} when the driver refuses it.
#pragma once

#include "cuda/check.h"
#include "cuda/device/config.cuh"
#include "cuda/tensor_map.h"
#ifdef MTYOLO_SIMT
#include "cuda/simt/hopper.h"
#else
#include <cuda.h>
#include <cuda_runtime.h>
#endif

namespace mtyolo::MTYOLO_KERNEL_NS {

#ifdef MTYOLO_SIMT

inline TensorMap tensor_map(const TiledMap& map) { return emulator::encode(map); }
inline TensorMap tensor_map(const Im2colMap& map) { return emulator::encode(map); }

#else

// A function of the driver, which the program is not linked against.
template <class F>
F driver_function(const char* name) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const cudaError_t error = cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result);
  if (error != cudaSuccess || found == nullptr || result != cudaDriverEntryPointSuccess)
    launch_failed(int(error), cudaGetErrorName(error), name, {__FILE__, __LINE__, {}, {}, 0});
  return reinterpret_cast<F>(found);
}

inline CUtensorMapDataType driver_type(KernelType type) {
  if (type == KernelType::kF32) return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  if (type == KernelType::kF16) return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
  return type == KernelType::kBF16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_UINT8;
}

inline TensorMap encoded(CUresult result, const CUtensorMap& map) {
  static_assert(sizeof(CUtensorMap) == sizeof(TensorMap));
  if (result != CUDA_SUCCESS)
    launch_failed(int(cudaErrorInvalidValue), "cudaErrorInvalidValue",
                  "the driver cannot encode this tensor map", {__FILE__, __LINE__, {}, {}, 0});
  TensorMap out;
  __builtin_memcpy(&out, &map, sizeof(out));
  return out;
}

inline TensorMap tensor_map(const TiledMap& map) {
  if (const char* why = tensor_map_refuses(map)) check_argument(false, why);
  static const auto encode = driver_function<decltype(&cuTensorMapEncodeTiled)>("cuTensorMapEncodeTiled");
  cuuint64_t dims[5], strides[4];
  cuuint32_t box[5], steps[5];
  for (int d = 0; d < map.rank; ++d) {
    dims[d] = cuuint64_t(map.dims[d]), box[d] = cuuint32_t(map.box[d]), steps[d] = cuuint32_t(map.steps[d]);
    if (d > 0) strides[d - 1] = cuuint64_t(map.strides[d]);
  }
  CUtensorMap out;
  return encoded(encode(&out, driver_type(map.type), cuuint32_t(map.rank), const_cast<void*>(map.data), dims,
                        strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CUtensorMapSwizzle(map.swizzle),
                        CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
                 out);
}

inline TensorMap tensor_map(const Im2colMap& map) {
  if (const char* why = tensor_map_refuses(map)) check_argument(false, why);
  static const auto encode = driver_function<decltype(&cuTensorMapEncodeIm2col)>("cuTensorMapEncodeIm2col");
  const auto bytes = cuuint64_t(map.x.pixel_stride) * cuuint64_t(bytes_of(map.x.type));
  const cuuint64_t dims[4] = {cuuint64_t(map.x.c), cuuint64_t(map.x.w), cuuint64_t(map.x.h),
                              cuuint64_t(map.x.n)};
  const cuuint64_t strides[3] = {bytes, bytes * dims[1], bytes * dims[1] * dims[2]};
  const int lower[2] = {map.lower, map.lower}, upper[2] = {map.upper, map.upper};
  const cuuint32_t steps[4] = {1, cuuint32_t(map.step), cuuint32_t(map.step), 1};
  CUtensorMap out;
  return encoded(encode(&out, driver_type(map.x.type), 4, map.x.data, dims, strides, lower, upper,
                        cuuint32_t(map.channels), cuuint32_t(map.pixels), steps,
                        CU_TENSOR_MAP_INTERLEAVE_NONE, CUtensorMapSwizzle(map.swizzle),
                        CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
                 out);
}

#endif

}  // namespace mtyolo::MTYOLO_KERNEL_NS
