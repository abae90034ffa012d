// The compiled plan against the un-fused run, and what the passes promise.
#include <catch2/catch.hpp>
#include <cmath>

#include "models/model.h"
#include "models/plan/detector.h"
#include "models/plan/eager.h"
#include "tests/models/random_model.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::models;
using namespace mtyolo::test;

namespace {

using ops::blocked::Element;

std::vector<HeadOutput> run_plan(Context& ctx, const Model& model, const Tensor& images,
                                 Element type = Element::kF32) {
  const Plan plan(Network::build(ctx, model.graph, model.weights, true, type), images.size(0), images.size(2),
                  images.size(3), {.keep_raw = true});
  Plan::State state = plan.make_state(ctx);
  plan.run(ctx, images, state);
  return state.outputs();
}

double max_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const Tensor x = a.to(DType::kF32), y = b.to(DType::kF32);
  double worst = 0;
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double scale = std::max(1.0, std::abs(double(y.data<float>()[i])));
    const double d = std::abs(double(x.data<float>()[i]) - double(y.data<float>()[i])) / scale;
    if (!(d <= worst)) worst = d;
  }
  return worst;
}

}  // namespace

TEST_CASE("a plan gives what the un-fused network gives, for every shipped cfg", "[plan]") {
  const std::string name = GENERATE(from_range(shipped_cfg_names()));
  Context ctx(2);
  ops::Impls impls;
  ops::register_cpu_impls(impls);
  // 32 groups need at least 32 channels.
  const Model model = narrow_model(name, name == "x50-csp" ? 0.5 : 0.125);
  const Tensor images = random_images({1, 3, 128, 64 * (model.graph.max_stride / 32)});
  const std::vector<Tensor> values = run_eagerly(ctx, impls, model.graph, model.weights, images);
  INFO(name);
  // Up to 250 layers of f32 rounding; decoded boxes relative to their size.
  CHECK(max_difference(run_plan(ctx, model, images)[0].predictions,
                       head_predictions(model.graph, values)[0]) < 1e-4);
}

TEST_CASE("a plan in bf16 stays within the roundings of its maps and weights", "[plan]") {
  const std::string name = GENERATE("yolov7-tiny", "yolov7", "yolov7-w6", "yolov7-e6e", "yolor-csp");
  Context ctx(2);
  Cfg cfg = shipped_cfg(name);
  cfg.width_multiple *= 0.25;
  const Model model = test::random_model(cfg, 11);
  // Fresh weights let a signal fade; these pass it on, and no bias of a head covers it.
  for (const ParamInfo& param : model.graph.params)
    if (param.kind == ParamInfo::Kind::kConvBias)
      std::fill_n(model.weights.find(param.name)->data<float>(), model.weights.find(param.name)->numel(),
                  0.0f);
  for (const ParamInfo& param : model.graph.params)
    if (const Tensor& t = *model.weights.find(param.name);
        t.rank() == 4 && param.name.ends_with("conv.weight"))
      for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] *= 2.0f;
  const Tensor images = random_images({1, 3, 128, 64 * (model.graph.max_stride / 32)});
  const std::vector<HeadOutput> want = run_plan(ctx, model, images);
  const std::vector<HeadOutput> got = run_plan(ctx, model, images, Element::kBF16);
  // The longest way from the image to a node, in convolutions.
  std::vector<int> depth(model.graph.nodes.size());
  for (const GraphNode& node : model.graph.nodes) {
    for (const int input : node.inputs)
      depth[size_t(node.id)] = std::max(depth[size_t(node.id)], depth[size_t(input)]);
    depth[size_t(node.id)] += std::holds_alternative<ops::Conv2d>(node.attrs);
  }
  for (size_t level = 0; level < want[0].raw.size(); ++level) {
    double difference = 0, norm = 0;
    const Tensor &a = got[0].raw[level], &b = want[0].raw[level];
    for (int64_t i = 0; i < a.numel(); ++i) {
      difference += std::pow(double(a.data<float>()[i]) - double(b.data<float>()[i]), 2);
      norm += std::pow(double(b.data<float>()[i]), 2);
    }
    const double error = std::sqrt(difference / norm);
    // Each convolution rounds its weights and its result, by 0.424 * 2^-8 in the mean square
    // (tests/golden/detect_golden.cpp); independent, they add in squares.
    const double bound = std::sqrt(2.0 * depth[size_t(model.graph.heads[0].raw[level])]) * 0.424 * 0x1p-8;
    INFO(name << " level " << level << ": relative error " << error << ", bound " << bound);
    CHECK(error < bound);
    CHECK(error > 0x1p-12);  // it is bf16
  }
}

TEST_CASE("a plan in bf16 takes half of the memory, and leaves logits as they are", "[plan]") {
  Context ctx(2);
  const Model model = narrow_model("yolov7", 0.5);
  const Plan f32(Network::build(ctx, model.graph, model.weights), 1, 256, 320);
  const Plan bf16(Network::build(ctx, model.graph, model.weights, true, Element::kBF16), 1, 256, 320);
  CHECK(bf16.arena_bytes() < 0.55 * double(f32.arena_bytes()));
  int rounded = 0, logits = 0;
  const HeadOutput head = run_plan(ctx, model, random_images({1, 3, 64, 64}), Element::kBF16)[0];
  for (const Tensor& raw : head.raw)
    for (int64_t i = 0; i < raw.numel(); ++i, ++logits)
      rounded += float(BFloat16(raw.data<float>()[i])) == raw.data<float>()[i];
  CHECK(rounded < logits / 100);  // by chance one of 2^16
}

TEST_CASE("a plan in bf16 rounds neither the image nor the weights that meet it", "[plan]") {
  Context ctx(2);
  const std::string name = GENERATE("yolov7-tiny", "yolov7-w6");  // w6: space to depth first
  const Model model = narrow_model(name);
  const Tensor images = random_images({1, 3, 128, 128});
  const auto raw = [&](const Tensor& x) {
    return run_plan(ctx, model, x, Element::kBF16)[0].predictions.clone();
  };
  const Tensor exact = raw(images);
  CHECK_FALSE(bit_equal(exact, raw(images.to(DType::kBF16).to(DType::kF32))));
  const auto stem = std::find_if(model.graph.params.begin(), model.graph.params.end(),
                                 [](const ParamInfo& p) { return p.kind == ParamInfo::Kind::kConvWeight; });
  const Tensor& weight = *model.weights.find(stem->name);
  for (int64_t i = 0; i < weight.numel(); ++i) weight.data<float>()[i] *= 1 + 0x1p-19f;  // lost in bf16
  CHECK_FALSE(bit_equal(exact, raw(images)));
}

TEST_CASE("a plan gives the same bits for one and two threads and for an image alone or in a batch",
          "[plan]") {
  const std::string name = GENERATE("yolov7-tiny", "yolov7-w6", "yolov7-e6e");
  const Element type = GENERATE(Element::kF32, Element::kBF16);
  Context one(1), two(2);
  const Model model = narrow_model(name, 0.25);
  const Tensor images = random_images({2, 3, 128, 192});
  const Tensor a = run_plan(one, model, images, type)[0].predictions.clone();
  const Tensor b = run_plan(two, model, images, type)[0].predictions.clone();
  CHECK(bit_equal(a, b));
  CHECK(bit_equal(a.slice(0, 1, 2), run_plan(two, model, images.slice(0, 1, 2), type)[0].predictions));
}

TEST_CASE("a plan reads u8 images of any strides as value / 255", "[plan]") {
  Context ctx(2);
  const Model model = narrow_model("yolov7-tiny");
  Tensor u8 = Tensor::empty({1, 64, 96, 3}, DType::kU8);
  for (int64_t i = 0; i < u8.numel(); ++i) u8.data<uint8_t>()[i] = uint8_t(i * 37 % 256);
  const Tensor nchw = u8.permute({0, 3, 1, 2});
  Tensor f32 = nchw.to(DType::kF32);
  for (int64_t i = 0; i < f32.numel(); ++i) f32.data<float>()[i] /= 255.0f;
  CHECK(bit_equal(run_plan(ctx, model, nchw)[0].predictions, run_plan(ctx, model, f32)[0].predictions));
}

TEST_CASE("buffers alive at the same time never share bytes, and the arena is smaller than their sum",
          "[plan]") {
  const std::string name = GENERATE("yolov7", "yolov7-tiny", "yolov7-w6", "yolov7-e6e", "yolor-csp");
  Context ctx(2);
  const Model model = narrow_model(name, 0.5);
  const Plan plan(Network::build(ctx, model.graph, model.weights), 1, 256, 320);
  const auto& buffers = plan.buffers();
  for (size_t i = 0; i < buffers.size(); ++i)
    for (size_t j = i + 1; j < buffers.size(); ++j) {
      const BufferLife &a = buffers[i], &b = buffers[j];
      const bool together = a.first_step <= b.last_step && b.first_step <= a.last_step;
      const bool overlap = a.offset < b.offset + b.floats && b.offset < a.offset + a.floats;
      REQUIRE_FALSE((together && overlap));
    }
  WARN(name << ": arena " << plan.arena_bytes() / 1024 << " KiB, sum of maps "
            << plan.sum_of_maps_bytes() / 1024 << " KiB");
  CHECK(plan.arena_bytes() < 0.6 * double(plan.sum_of_maps_bytes()));
}

TEST_CASE("the arena of yolov7 holds what is alive at once and nothing more", "[plan]") {
  Context ctx(2);
  const Model model = narrow_model("yolov7", 0.5);
  const Plan plan(Network::build(ctx, model.graph, model.weights), 1, 320, 320);
  int64_t most = 0;
  for (int step = 0; step < int(plan.steps().size()); ++step) {
    int64_t alive = 0;
    for (const BufferLife& b : plan.buffers())
      if (b.first_step <= step && step <= b.last_step) alive += b.floats;
    most = std::max(most, alive);
  }
  CHECK(plan.arena_bytes() == size_t(most) * sizeof(float));
}

TEST_CASE("no concat of the official networks copies an input", "[plan]") {
  const std::string name = GENERATE("yolov7", "yolov7-tiny", "yolov7x", "yolov7-w6", "yolov7-e6");
  Context ctx(2);
  const Model model = model_from_cfg(shipped_cfg(name + "-deploy"), 1);
  const Plan plan(Network::build(ctx, model.graph, model.weights), 1, 64, 64);
  CHECK(plan.copied_concat_inputs() == 0);
}

TEST_CASE("nothing but convolutions, pools, upsampling and decoding remains on the hot path", "[plan]") {
  Context ctx(2);
  const Model model = narrow_model("yolov7", 0.5);
  const Plan plan(Network::build(ctx, model.graph, model.weights), 1, 64, 64);
  int convs = 0;
  double flops = 0;
  for (const Plan::StepInfo& step : plan.steps()) {
    flops += step.flops;
    INFO(step.op << " " << step.scope);
    CHECK((step.op == "input" || step.op == "conv2d" || step.op == "max_pool2d" || step.op == "upsample" ||
           step.op == "detect_decode"));
    convs += step.op == "conv2d";
  }
  // 95 convolutions (graph.md section 8), of which the three RepConvs' 1x1 branches are folded away and the
  // first two are one step.
  CHECK(convs == 91);
  const Graph folded = fold_graph(model.graph).graph;
  CHECK(flops == Approx(conv_flops(folded, 1, 64, 64)));
}

TEST_CASE("stride-1 pools of one value become a chain of 5x5 pools with equal results", "[plan]") {
  Context ctx(2);
  const Model model = narrow_model("yolov7");
  const FoldedGraph folded = fold_graph(model.graph);
  const Graph chained = chain_pools(folded.graph);
  int fives = 0;
  for (const GraphNode& node : chained.nodes)
    if (const auto* pool = std::get_if<ops::MaxPool2d>(&node.attrs); pool != nullptr && pool->stride == 1)
      fives += *pool == ops::MaxPool2d{5, 1, 2};
  CHECK(fives == 3);
}

TEST_CASE("folding leaves a weight and a bias per convolution under deploy names", "[plan]") {
  const Model model = narrow_model("yolov7");
  const FoldedGraph folded = fold_graph(model.graph);
  int reparam = 0;
  for (const GraphNode& node : folded.graph.nodes) {
    CHECK_FALSE(std::holds_alternative<ops::BatchNorm>(node.attrs));
    CHECK_FALSE(std::holds_alternative<ops::ScaleShift>(node.attrs));
    if (!std::holds_alternative<ops::Conv2d>(node.attrs)) continue;
    REQUIRE(node.params.size() == 2);
    CHECK(folded.recipes.contains(node.id));
    reparam += node.params[0].ends_with(".rbr_reparam.weight");
  }
  CHECK(reparam == 3);
}

TEST_CASE("a plan refuses sides that are no multiple of the stride", "[plan]") {
  Context ctx(1);
  const Model model = narrow_model("yolov7-tiny");
  const auto network = Network::build(ctx, model.graph, model.weights);
  CHECK_THROWS_WITH(Plan(network, 1, 64, 50), Catch::Contains("64x50") && Catch::Contains("multiples of 32"));
}

TEST_CASE("test-time augmentation joins the rows of three passes in the frame of the original", "[plan]") {
  Context ctx(2);
  const Model model = narrow_model("yolov7-tiny");
  Detector detector(ctx, model.graph, model.weights, ops::Impls());
  const Tensor images = random_images({1, 3, 640, 640});
  const Tensor all = detector.forward_augmented(images)[0];
  CHECK(all.size(1) == 25200 + 18207 + 12348);  // eval.md section 5
  const Tensor plain = detector.forward(images)[0].predictions;
  CHECK(bit_equal(all.slice(1, 0, 25200), plain));
}

TEST_CASE("a detector keeps working when the shape of the images changes", "[plan]") {
  Context ctx(2);
  const Model model = narrow_model("yolov7-tiny");
  Detector detector(ctx, model.graph, model.weights, ops::Impls());
  const Tensor first = random_images({1, 3, 64, 96});
  const Tensor want = detector.forward(first)[0].predictions.clone();
  for (int64_t side : {64, 128, 160}) detector.forward(random_images({1, 3, side, side}));
  CHECK(bit_equal(detector.forward(first)[0].predictions, want));
}
