#include <algorithm>
#include <bit>
#include <cmath>

#include "models/export/onnx.h"

namespace mtyolo::models {
namespace {

void check_options(const Graph& graph, const OnnxOptions& o) {
  if (o.opset < kMinOnnxOpset || o.opset > kMaxOnnxOpset)
    fail(ExitCode::kUsage, "usage", "operator set {} is not written, expected {} to {}", o.opset,
         kMinOnnxOpset, kMaxOnnxOpset);
  if (o.batch < 1) fail(ExitCode::kUsage, "usage", "a batch of {} images, expected at least 1", o.batch);
  const int stride = graph.max_stride;
  if (o.height < stride || o.width < stride || o.height % stride != 0 || o.width % stride != 0)
    fail(ExitCode::kUsage, "image_size", "the input is {} rows of {} pixels, expected multiples of {}",
         o.height, o.width, stride);
}

}  // namespace

int64_t global_class_count(const Graph& graph) {
  int count = int(graph.names.size());
  for (const Head& head : graph.heads)
    for (int id : head.classes) count = std::max(count, id + 1);
  return count;
}

std::vector<OnnxOutput> onnx_outputs(const Graph& graph, const OnnxOptions& options) {
  check_options(graph, options);
  const std::vector<Shape> shapes = infer_shapes(graph, options.batch, options.height, options.width);
  std::vector<OnnxOutput> outputs;
  int64_t all_rows = 0;
  for (int h = 0; h < int(graph.heads.size()); ++h) {
    const Head& head = graph.heads[size_t(h)];
    const std::string name = graph.heads.size() == 1 ? "output" : "output_" + head.name;
    int64_t rows = 0;
    for (int level = 0; level < int(head.raw.size()); ++level) {
      const Shape& map = shapes[size_t(head.raw[size_t(level)])];
      const int64_t anchors = int64_t(head.anchors[size_t(level)].size() / 2);
      rows += anchors * map[2] * map[3];
      if (options.decode != OnnxOptions::Decode::kRaw) continue;
      const long p = std::lround(std::log2(head.strides[size_t(level)]));
      outputs.push_back(
          {fmt::format("{}_p{}", name, p), {map[0], anchors, map[2], map[3], 5 + head.nc()}, h, level});
    }
    all_rows += rows;
    const bool apart = options.head_layout == OnnxOptions::HeadLayout::kSplit || graph.heads.size() == 1;
    if (options.decode == OnnxOptions::Decode::kGrid && apart)
      outputs.push_back({name, {options.batch, rows, 5 + head.nc()}, h, -1});
  }
  if (outputs.empty())
    outputs.push_back({"output", {options.batch, all_rows, 5 + global_class_count(graph)}, -1, -1});
  return outputs;
}

}  // namespace mtyolo::models
