// Small types that the host side of a kernel and the kernel itself share. No CUDA header is needed.
#pragma once

#include <cstdint>

namespace mtyolo {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  constexpr uint64_t volume() const { return uint64_t(x) * y * z; }
};

// The queue of work that a host-side launch function takes first: a cudaStream_t for mtyolo::cuda, an
// emulator::Stream for mtyolo::simt. Null is the default stream of either.
struct KernelStream {
  void* handle = nullptr;
};

}  // namespace mtyolo
