#include <algorithm>
#include <cmath>
#include <limits>

#include "models/export/onnx_run.h"
#include "models/plan/plan.h"
#include "models/plan/probe_image.h"

namespace mtyolo::models {
namespace {

// Rows of one head with the columns of all classes.
void spread(const Head& head, const Tensor& predictions, Tensor rows) {
  rows.slice(2, 0, 5).copy_from(predictions.slice(2, 0, 5));
  for (int i = 0; i < head.nc(); ++i) {
    const int column = 5 + head.classes[size_t(i)];
    rows.slice(2, column, column + 1).copy_from(predictions.slice(2, 5 + i, 6 + i));
  }
}

// What the file should give for `output`, from the native forward pass.
Tensor expected_output(const Graph& graph, const OnnxOutput& output, const std::vector<HeadOutput>& heads) {
  if (output.level >= 0) {
    const Shape& s = output.shape;
    const Tensor& raw = heads[size_t(output.head)].raw[size_t(output.level)];
    return raw.reshape({s[0], s[1], s[4], s[2], s[3]}).permute({0, 1, 3, 4, 2}).contiguous();
  }
  if (output.head >= 0) return heads[size_t(output.head)].predictions;
  Tensor all = Tensor::zeros(output.shape);
  int64_t row = 0;
  for (size_t h = 0; h < heads.size(); ++h) {
    const Tensor& predictions = heads[h].predictions;
    spread(graph.heads[h], predictions, all.slice(1, row, row + predictions.size(1)));
    row += predictions.size(1);
  }
  return all;
}

// `scale` of a raw logit is its size, of a box the image's side, of a score 1.
double largest_difference(const Tensor& got, const Tensor& native, bool raw, double side) {
  const int64_t columns = native.size(native.rank() - 1);
  const float *a = got.data<float>(), *b = native.data<float>();
  double worst = 0;
  for (int64_t i = 0; i < native.numel(); ++i) {
    const double scale = raw ? std::max(1.0, std::abs(double(b[i]))) : i % columns < 4 ? side : 1.0;
    const double difference = std::abs(double(a[i]) - double(b[i])) / scale;
    if (!std::isfinite(difference)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, difference);
  }
  return worst;
}

void check_interface(const OnnxModel& model, const std::vector<OnnxOutput>& outputs,
                     const std::string& path) {
  std::string found, wanted;
  for (const OnnxValue& v : model.outputs) found += fmt::format(" {}{}", v.name, v.shape);
  for (const OnnxOutput& o : outputs) wanted += fmt::format(" {}{}", o.name, o.shape);
  if (found != wanted)
    throw Error({ExitCode::kVerify,
                 "onnx_outputs",
                 fmt::format("the outputs are{}, expected{}", found, wanted),
                 path,
                 {},
                 {}});
}

}  // namespace

OnnxVerification verify_onnx(Context& ctx, const std::string& path, const Graph& graph,
                             const StateDict& weights, const OnnxOptions& options, uint64_t seed) {
  const std::vector<OnnxOutput> outputs = onnx_outputs(graph, options);
  const OnnxProgram program(read_onnx(path));
  check_interface(program.model(), outputs, path);
  const Tensor images = probe_image(ctx, program.model().inputs[0].shape, seed);
  ops::Impls impls;
  ops::register_cpu_impls(impls);
  const std::vector<Tensor> got = program.run(ctx, impls, images);

  const bool raw = options.decode == OnnxOptions::Decode::kRaw;
  const Plan plan(Network::build(ctx, graph, weights), options.batch, options.height, options.width,
                  {.keep_raw = raw});
  Plan::State state = plan.make_state(ctx);
  plan.run(ctx, images, state);

  const auto side = double(std::max(options.height, options.width));
  OnnxVerification result;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor native = expected_output(graph, outputs[i], state.outputs());
    const double difference = largest_difference(got[i], native.contiguous(), raw, side);
    if (i > 0 && difference <= result.max_difference) continue;
    result = {difference, outputs[i].name};
  }
  return result;
}

}  // namespace mtyolo::models
