// The queue of work of a device, as a name.
#pragma once

namespace mtyolo {

// What a host-side launch function takes first: a cudaStream_t for mtyolo::cuda, an emulator::Stream for
// mtyolo::simt. Null is the default stream of either.
struct KernelStream {
  void* handle = nullptr;
};

}  // namespace mtyolo
