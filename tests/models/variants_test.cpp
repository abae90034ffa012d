// The table of graph.md section 8 and the entry counts of section 5, for every cfg we ship.
#include <catch2/catch.hpp>

#include "models/graph_builder.h"

namespace mtyolo::models {
namespace {

struct Variant {
  const char* name;
  int rows;
  int64_t built, fused;                     // parameters
  double flops_640, fused_640, fused_1280;  // GFLOPs
  int convs, norms;
  int64_t levels;
  size_t entries;  // of the state dict, 0 = not listed
};

// clang-format off
const std::vector<Variant> kVariants{
    {"yolov7-tiny", 78, 6228762, 6221370, 13.70, 13.70, 54.80, 58, 55, 3, 344},
    {"yolov7-tiny-deploy", 78, 6227101, 6219709, 13.70, 13.70, 54.80, 58, 55, 3, 338},
    {"yolov7-tiny-silu", 78, 6227101, 6219709, 13.70, 13.70, 54.80, 58, 55, 3, 338},
    {"yolov7", 106, 37622682, 36907898, 105.77, 104.51, 418.04, 95, 92, 3, 566},
    {"yolov7-deploy", 106, 37620125, 36905341, 105.77, 104.51, 418.04, 95, 92, 3, 560},
    {"yolov7x", 122, 71347394, 71314746, 189.67, 189.67, 758.69, 108, 105, 3, 644},
    {"yolov7x-deploy", 122, 71344389, 71311741, 189.67, 189.67, 758.69, 108, 105, 3, 638},
    {"yolov7-w6", 123, 82312436, 82277300, 105.03, 103.20, 412.80, 115, 107, 4, 668},
    {"yolov7-w6-deploy", 119, 70426236, 70394300, 89.93, 89.93, 359.72, 107, 103, 4, 628},
    {"yolov7-e6", 145, 111898292, 111851380, 147.02, 145.20, 580.78, 153, 145, 4, 896},
    {"yolov7-e6-deploy", 141, 97246652, 97202940, 128.61, 128.61, 514.43, 145, 141, 4, 856},
    {"yolov7-d6", 167, 154709364, 154652532, 201.52, 199.32, 797.29, 175, 167, 4, 1028},
    {"yolov7-d6-deploy", 163, 133810044, 133757052, 175.43, 175.43, 701.74, 167, 163, 4, 988},
    {"yolov7-e6e", 266, 166408884, 166335860, 228.96, 227.13, 908.54, 252, 244, 4, 1490},
    {"yolov7-e6e-deploy", 262, 151757244, 151687420, 210.55, 210.55, 842.18, 244, 240, 4, 1450},
    {"yolov3", 29, 61949149, 61922845, 155.89, 155.89, 623.57, 75, 72, 3, 0},
    {"yolov3-spp", 29, 62998749, 62971933, 156.73, 156.73, 626.92, 76, 73, 3, 0},
    {"yolov4-csp", 32, 52921437, 52889053, 120.24, 120.24, 480.96, 115, 112, 3, 0},
    {"yolor-csp", 32, 52923994, 52891610, 120.24, 120.24, 480.96, 115, 112, 3, 0},
    {"yolor-csp-x", 32, 96943410, 96895730, 226.52, 226.52, 906.07, 139, 136, 3, 0},
    {"yolor-p6", 42, 37265016, 37232824, 81.28, 81.28, 325.12, 145, 141, 4, 0},
    {"yolor-w6", 42, 79873400, 79828024, 113.16, 113.16, 452.65, 145, 141, 4, 0},
    {"yolor-e6", 42, 115899960, 115840120, 170.53, 170.53, 682.12, 161, 157, 4, 0},
    {"yolor-d6", 42, 151773240, 151696760, 233.61, 233.61, 934.43, 209, 205, 4, 0},
    {"r50-csp", 29, 34299578, 34270138, 65.15, 65.15, 260.60, 126, 123, 3, 0},
    {"x50-csp", 29, 32299962, 32264442, 60.27, 60.27, 241.10, 126, 123, 3, 0},
};
// clang-format on

template <class Op>
int count(const Graph& graph) {
  int n = 0;
  for (const GraphNode& node : graph.nodes) n += std::holds_alternative<Op>(node.attrs);
  return n;
}

TEST_CASE("variants: every shipped cfg has the parameters, operations and layers of the published table") {
  const Variant v = GENERATE(from_range(kVariants));
  INFO(v.name);
  const Cfg cfg = shipped_cfg(v.name);
  CHECK(cfg.rows.size() == size_t(v.rows));
  const Graph built = build_graph(cfg);
  CHECK(built.parameter_count() == v.built);
  CHECK(count<ops::Conv2d>(built) == v.convs);
  CHECK(count<ops::BatchNorm>(built) == v.norms);
  CHECK(conv_flops(built, 1, 640, 640) / 1e9 == Approx(v.flops_640).margin(0.005));
  if (v.entries > 0) CHECK(built.params.size() == v.entries);
  REQUIRE(built.heads.size() == 1);
  const std::vector<float> strides{8, 16, 32, 64};
  CHECK(built.heads[0].strides == std::vector<float>(strides.begin(), strides.begin() + v.levels));
  CHECK(built.max_stride == (v.levels == 3 ? 32 : 64));

  BuildOptions options;
  options.has_tensor = fused_form_has_tensor;
  const Graph fused = build_graph(cfg, options);
  CHECK(fused.parameter_count() == v.fused);
  CHECK(count<ops::BatchNorm>(fused) == 0);
  CHECK(conv_flops(fused, 1, 640, 640) / 1e9 == Approx(v.fused_640).margin(0.005));
  CHECK(conv_flops(fused, 1, 1280, 1280) / 1e9 == Approx(v.fused_1280).margin(0.005));
}

TEST_CASE("variants: the table covers every cfg that is shipped but the demo's own") {
  CHECK(kVariants.size() + 1 == shipped_cfg_names().size());
}

TEST_CASE("variants: predictions number 25200 at 640 and 102000 at 1280 pixels") {
  const auto rows = [](const char* name, int64_t side) {
    const Graph graph = build_graph(shipped_cfg(name));
    const std::vector<Shape> shapes = infer_shapes(graph, 2, side, side);
    int64_t sum = 0;
    for (const int id : graph.heads[0].decode) {
      CHECK(shapes[size_t(id)][0] == 2);
      CHECK(shapes[size_t(id)][2] == 85);
      sum += shapes[size_t(id)][1];
    }
    return sum;
  };
  CHECK(rows("yolov7", 640) == 25200);
  CHECK(rows("yolov7-w6", 1280) == 102000);
}

}  // namespace
}  // namespace mtyolo::models
