// ONNX: a file is refused as a model, or every node's shape is known and within the limit; small ones run.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "models/export/onnx_file.h"
#include "models/export/onnx_run.h"

namespace {

using namespace mtyolo;
using namespace mtyolo::models;

void require(bool holds) {
  if (!holds) std::abort();
}

// Whether a run is cheap: few nodes, small input and constants.
bool is_small(const OnnxModel& model) {
  int64_t elements = model.inputs[0].shape.numel();
  for (const auto& [name, tensor] : model.constants) elements += tensor.numel();
  for (const OnnxValue& output : model.outputs) elements += output.shape.numel();
  return elements < 4096 && model.nodes.size() < 20;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const OnnxProgram program(parse_onnx(std::as_bytes(std::span(data, size))));
    for (const OnnxValue& output : program.model().outputs) require(output.shape.numel() <= kMaxOnnxElements);
    if (!is_small(program.model()) || program.elements() > 100'000) return 0;
    Context ctx(1);
    ops::Impls impls;
    ops::register_cpu_impls(impls);
    const auto outputs = program.run(ctx, impls, Tensor::full(program.model().inputs[0].shape, 0.5));
    for (size_t i = 0; i < outputs.size(); ++i)
      require(outputs[i].shape() == program.model().outputs[i].shape);
  } catch (const Error& e) {
    require(e.exit_code() == ExitCode::kModel);
  }
  return 0;
}
