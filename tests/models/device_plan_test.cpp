// Plans on a device against the plan of the CPU: where values lie and what runs, with kernels that are their
// definitions. The real kernels: tests/cuda/kernels_test.cpp.
#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "core/random.h"
#include "cuda/session_simt.h"
#include "models/import_model.h"
#include "models/plan/detector.h"
#include "tests/support/reference_kernels.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::models;

namespace {

DeviceBackend emulated() { return {open_simt_session(), test::reference_kernels()}; }

Tensor random_images(const Shape& shape) {
  Tensor t = Tensor::empty(shape);
  RandomStream random(3, 1, 0);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = float(random.uniform());
  return t;
}

Model narrow(const std::string& name, double width = 0.125) {
  Cfg cfg = shipped_cfg(name);
  cfg.width_multiple *= width;
  return model_from_cfg(cfg, 11);
}

// Largest difference relative to the value, where that is above 1.
double worst(const std::vector<HeadOutput>& a, const std::vector<HeadOutput>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (size_t h = 0; h < a.size(); ++h) {
    REQUIRE(a[h].predictions.shape() == b[h].predictions.shape());
    const float *x = a[h].predictions.data<float>(), *y = b[h].predictions.data<float>();
    for (int64_t i = 0; i < a[h].predictions.numel(); ++i) {
      const double d = std::abs(double(x[i]) - double(y[i])) / std::max(1.0, std::abs(double(y[i])));
      if (!(d <= most)) most = d;
    }
  }
  return most;
}

double worst_of(const Model& model, const Tensor& images, KernelMath math) {
  Context ctx(2);
  Detector cpu(ctx, model.graph, model.weights, ops::Impls());
  Detector device(ctx, model.graph, model.weights, emulated(), math);
  return worst(device.forward(images), cpu.forward(images));
}

using Found = std::vector<std::vector<ops::Detection>>;

// Detections of images on the device, and the host's suppression of the predictions made there.
void check_detections(Detector& device, const Tensor& images, const DetectParams& params) {
  const Found found = device.detect(images, params);
  std::vector<Tensor> predictions;
  if (params.augment) predictions = device.forward_augmented(images);
  else
    for (const HeadOutput& out : device.forward(images)) predictions.push_back(out.predictions);
  const Found want = device.suppress(predictions, params);
  REQUIRE(found.size() == want.size());
  for (size_t n = 0; n < found.size(); ++n) {
    REQUIRE(found[n].size() == want[n].size());
    CHECK_FALSE(found[n].empty());
    for (size_t i = 0; i < found[n].size(); ++i) CHECK(found[n][i] == want[n][i]);
  }
}

// Kernels of one run that ends with detections.
int kernels_of(const std::string& name, DevicePlan& plan) {
  plan.set_detection({});
  const int kernels = plan.kernels(DeviceResult::kDetections);
  std::map<std::string, int> count;
  for (const auto& step : plan.steps()) ++count[step.op];
  std::string text;
  for (const auto& [op, n] : count) text += fmt::format(" {} {},", op, n);
  WARN(name << ":" << text << " in all " << kernels << " with nms as one kernel");
  return kernels;
}

}  // namespace

TEST_CASE("device: a plan gives what the CPU's plan gives, for every shipped cfg", "[device]") {
  const std::string name = GENERATE(from_range(shipped_cfg_names()));
  const Model model = narrow(name, name == "x50-csp" ? 0.5 : 0.125);
  INFO(name);
  CHECK(worst_of(model, random_images({1, 3, 128, 64 * (model.graph.max_stride / 32)}), KernelMath::kF32) <
        1e-4);
}

TEST_CASE("device: two heads, heads of their own rows and cross-stitch units, batches, rectangles",
          "[device]") {
  const Sharing sharing = GENERATE(Sharing{}, Sharing{.until = 20}, Sharing{.mode = Sharing::Mode::kNone},
                                   Sharing{.mode = Sharing::Mode::kSoft, .cross_stitch = {2, 30}});
  Model single = narrow("yolov7-tiny");
  single.cfg = with_sharing(single.cfg, sharing);
  std::vector<HeadGroup> groups{{"a", {}}, {"b", {}}};
  for (int c = 0; c < 80; ++c) groups[c % 3 == 0 ? 0 : 1].classes.push_back(c);
  const Model model = split_heads(single, groups);
  CHECK(worst_of(model, random_images({3, 3, 64, 96}), KernelMath::kF32) < 1e-4);
}

TEST_CASE("device: f16, bf16 and tf32 stay near f32", "[device]") {
  const std::string name = GENERATE("yolov7-tiny", "yolov7-w6");
  const Model model = narrow(name, 0.25);
  const Tensor images = random_images({1, 3, 128, 128});
  // Boxes in pixels, relative to their size; sums of bf16 lose three bits more than those of f16.
  CHECK(worst_of(model, images, KernelMath::kTF32) < 4e-3);
  CHECK(worst_of(model, images, KernelMath::kF16) < 4e-3);
  CHECK(worst_of(model, images, KernelMath::kBF16) < 3e-2);
}

TEST_CASE("device: detections are those of the predictions, by class filter, threshold and overflow",
          "[device]") {
  Context ctx(2);
  const Model model = narrow("yolov7-tiny");
  const Tensor images = random_images({2, 3, 64, 96});
  Detector device(ctx, model.graph, model.weights, emulated(), KernelMath::kF32);
  DetectParams p;
  p.nms.conf_thres = 1e-5f;
  check_detections(device, images, p);
  p.nms.classes = {1, 5, 62, 200};
  p.nms.multi_label = true;
  check_detections(device, images, p);
  p.nms.classes.clear();
  p.nms.conf_thres = 0;  // 378 rows of 80 classes: more than the device keeps of an image
  std::vector<int64_t> overflown;
  DevicePlan& plan = device.device_plan_for(images);
  plan.set_detection(p);
  plan.run(DeviceResult::kDetections);
  plan.detections(overflown);
  CHECK(overflown == std::vector<int64_t>{0, 1});
  check_detections(device, images, p);
  p.head_conf_thres = {1e-4f};
  p.augment = true;
  check_detections(device, images, p);
  Detector cpu(ctx, model.graph, model.weights, ops::Impls());
  const Tensor u8 = Tensor::full(images.shape(), 77, DType::kU8);
  CHECK(worst(device.forward(u8), cpu.forward(u8)) < 1e-4);
}

TEST_CASE("device: the replayed record gives the same bits and takes no memory", "[device]") {
  Context ctx(2);
  const DeviceBackend backend = emulated();
  const Model model = narrow("yolov7-tiny");
  Detector device(ctx, model.graph, model.weights, backend, KernelMath::kF16);
  const Tensor images = random_images({1, 3, 64, 64});
  const Tensor first = device.forward(images)[0].predictions.clone();
  device.detect(images, {});
  const uint64_t requests = backend.session->allocator()->stats().requests;
  for (int i = 0; i < 3; ++i) {
    CHECK(bit_equal(device.forward(images)[0].predictions, first));
    device.detect(images, {});
  }
  CHECK(backend.session->allocator()->stats().requests == requests);
  CHECK(bit_equal(device.device_plan_for(images).predictions()[0].predictions, first));  // after detections
}

TEST_CASE("device: kernels of a run, no copies, no buffers that overlap", "[device]") {
  const auto [name, most] = GENERATE(table<std::string, int>(
      {{"yolov7", 110}, {"yolov7-tiny", 80}, {"yolov7-w6", 130}, {"yolov7x", 150}, {"yolov7-e6", 200}}));
  Context ctx(2);
  const Model model = narrow(name, 0.25);
  const auto network =
      std::make_shared<DeviceNetwork>(ctx, emulated(), model.graph, model.weights, KernelMath::kF16);
  DevicePlan plan(network, 1, 128, 128, DType::kU8);
  CHECK(kernels_of(name, plan) <= most);
  CHECK(plan.copied_concat_inputs() == 0);
  const auto& buffers = plan.buffers();
  for (size_t i = 0; i < buffers.size(); ++i)
    for (size_t j = i + 1; j < buffers.size(); ++j) {
      const BufferLife &a = buffers[i], &b = buffers[j];
      const bool together = a.first_step <= b.last_step && b.first_step <= a.last_step;
      REQUIRE_FALSE((together && a.offset < b.offset + b.floats && b.offset < a.offset + a.floats));
    }
}

TEST_CASE("device: what no kernel runs is refused by row", "[device]") {
  Context ctx(1);
  Model model = narrow("yolov7-tiny");
  for (GraphNode& node : model.graph.nodes)
    if (auto* a = std::get_if<ops::Activation>(&node.attrs); a != nullptr && node.row == 3) a->slope = 0.2f;
  CHECK_THROWS_WITH(Detector(ctx, model.graph, model.weights, emulated(), KernelMath::kF32),
                    Catch::Contains("row 3") && Catch::Contains("slope 0.2"));
}
