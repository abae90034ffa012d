// From raw head maps to detections without a word from the host between: decode, filter, sort, suppress. The
// results are those of ops/detect_decode.h and ops/nms.h.
#pragma once

#include "cuda/dims.h"
#include "ops/device/detect.h"

namespace mtyolo {

// Bytes of NmsArgs::workspace.
size_t nms_workspace(const NmsArgs& args);

// decode: all predictions of one head, [n, rows, 5 + classes] f32 as ops/detect_decode.h orders them.
// nms: decode with filter, and suppression; may be recorded into a graph.
#define MTYOLO_DETECT_OPS                                                                   \
  void decode(KernelStream stream, const DecodeHead& head, int images, float* predictions); \
  void nms(KernelStream stream, const NmsArgs& args);
namespace simt {
MTYOLO_DETECT_OPS
}
namespace cuda {
MTYOLO_DETECT_OPS
}
#undef MTYOLO_DETECT_OPS

}  // namespace mtyolo
