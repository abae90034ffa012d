// Stands in for the exporter where the build found no onnx and protobuf.
#include "models/export/onnx.h"

namespace mtyolo::models {

bool onnx_is_available() { return false; }

void export_onnx(const Graph&, const StateDict&, const std::vector<std::string>&, const OnnxOptions&,
                 const std::string&) {
  throw Error({ExitCode::kUsage,
               "not_built",
               "this build cannot write ONNX: it was made without onnx and protobuf",
               {},
               {},
               "install the packages libonnx-dev and libprotobuf-dev and build again"});
}

}  // namespace mtyolo::models
