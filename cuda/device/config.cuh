// Words of kernels that differ between the two compilers. A kernel is compiled by nvcc into mtyolo::cuda and,
// with MTYOLO_SIMT defined, by the host compiler into mtyolo::simt; everything here and in the files beside
// it lies in that namespace too, so that both builds can be linked into one program.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/dims.h"
#ifdef MTYOLO_SIMT
#include "cuda/simt/engine.h"
#endif

#ifdef MTYOLO_SIMT
#define MTYOLO_KERNEL_NS simt
#define MTYOLO_KERNEL inline void
#define MTYOLO_DEV inline
#define MTYOLO_HOST_DEV inline
#define MTYOLO_BOUNDS(threads, blocks)
#define MTYOLO_UNROLL
#define MTYOLO_GRID_CONSTANT
// A variable of the block in shared memory: MTYOLO_SMEM(float, tile, [32][33]).
#define MTYOLO_SMEM(T, name, ...)                                 \
  typedef T name##_type __VA_ARGS__;                              \
  name##_type& name = *static_cast<name##_type*>(shared_variable( \
      []() -> const void* {                                       \
        static const char key = 0;                                \
        return &key;                                              \
      }(),                                                        \
      sizeof(name##_type)))
// The bytes asked for at launch, aligned to 1024.
#define MTYOLO_DYNAMIC_SMEM(T, name) \
  T* const name = static_cast<T*>(::mtyolo::emulator::engine().arena().dynamic())
#else
#define MTYOLO_KERNEL_NS cuda
#define MTYOLO_KERNEL __global__ void
#define MTYOLO_DEV __device__ __forceinline__
#define MTYOLO_HOST_DEV __host__ __device__ __forceinline__
#define MTYOLO_BOUNDS(threads, blocks) __launch_bounds__(threads, blocks)
#define MTYOLO_UNROLL _Pragma("unroll")
#define MTYOLO_GRID_CONSTANT __grid_constant__
#define MTYOLO_SMEM(T, name, ...) __shared__ __align__(128) T name __VA_ARGS__
#define MTYOLO_DYNAMIC_SMEM(T, name)                                       \
  extern __shared__ __align__(1024) unsigned char mtyolo_dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(mtyolo_dynamic_shared)
#endif

// A seeded defect of the mutation test: `good`, and in the build that defines MTYOLO_MUTANTS `bad` while
// defect n is chosen.
#ifdef MTYOLO_MUTANTS
#define MTYOLO_MUTANT(n, good, bad) (::mtyolo::emulator::mutant == (n) ? (bad) : (good))
namespace mtyolo::emulator {
inline int mutant = 0;
}
#else
#define MTYOLO_MUTANT(n, good, bad) (good)
#endif

namespace mtyolo::MTYOLO_KERNEL_NS {

#ifdef MTYOLO_SIMT

using emulator::Site;
inline Dim3 thread_index() { return emulator::engine().thread().index; }
inline Dim3 block_index() { return emulator::engine().block_index(); }
inline Dim3 block_size() { return emulator::engine().grid().block; }
inline Dim3 grid_size() { return emulator::engine().grid().grid; }

inline void* shared_variable(const void* key, size_t bytes, Site at = Site::here()) {
  emulator::Engine& e = emulator::engine();
  e.check_failed();
  void* p = e.arena().slot(key, bytes);
  if (p == nullptr)
    e.fail(at, "more shared memory than a block may have (48 KiB of variables, 227 KiB in all)");
  return p;
}

#else

// The place of a call is a matter of the emulator.
struct Site {
  static MTYOLO_HOST_DEV constexpr Site here() { return {}; }
};
MTYOLO_DEV Dim3 thread_index() { return {threadIdx.x, threadIdx.y, threadIdx.z}; }
MTYOLO_DEV Dim3 block_index() { return {blockIdx.x, blockIdx.y, blockIdx.z}; }
MTYOLO_DEV Dim3 block_size() { return {blockDim.x, blockDim.y, blockDim.z}; }
MTYOLO_DEV Dim3 grid_size() { return {gridDim.x, gridDim.y, gridDim.z}; }

#endif

}  // namespace mtyolo::MTYOLO_KERNEL_NS
