// Plans on a device against the plan of the CPU: where values lie and what runs, with kernels that are their
// definitions. The real kernels: tests/cuda/kernels_test.cpp.
#include <catch2/catch.hpp>

#include "cuda/session_simt.h"
#include "data/letterbox.h"
#include "tests/models/device_case.h"
#include "tests/models/random_model.h"
#include "tests/support/reference_kernels.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::models;
using namespace mtyolo::test;

namespace {

DeviceBackend by_definition() { return {open_simt_session(), reference_kernels()}; }

}  // namespace

TEST_CASE("device: a plan gives what the CPU's plan gives, for every shipped cfg", "[device]") {
  const std::string name = GENERATE(from_range(shipped_cfg_names()));
  const Model model = narrow_model(name, name == "x50-csp" ? 0.5 : 0.125);
  const Tensor images = random_images({1, 3, 64, 64 * (model.graph.max_stride / 32)});
  INFO(name);
  CHECK(device_error(by_definition(), model, images, KernelMath::kF32) < 1e-4);
}

TEST_CASE("device: two heads, heads of their own rows and cross-stitch units, batches, rectangles",
          "[device]") {
  const Sharing sharing = GENERATE(Sharing{}, Sharing{.until = 20}, Sharing{.mode = Sharing::Mode::kNone},
                                   Sharing{.mode = Sharing::Mode::kSoft, .cross_stitch = {2, 30}});
  const Model model = two_headed(narrow_model("yolov7-tiny"), sharing);
  CHECK(device_error(by_definition(), model, random_images({3, 3, 64, 96}), KernelMath::kF32) < 1e-4);
}

TEST_CASE("device: f16, bf16 and tf32 stay near f32", "[device]") {
  const std::string name = GENERATE("yolov7-tiny", "yolov7-w6");
  const Model model = narrow_model(name, 0.25);
  const Tensor images = random_images({1, 3, 128, 128});
  // Boxes in pixels, relative to their size; sums of bf16 lose three bits more than those of f16.
  CHECK(device_error(by_definition(), model, images, KernelMath::kTF32) < 4e-3);
  CHECK(device_error(by_definition(), model, images, KernelMath::kF16) < 4e-3);
  CHECK(device_error(by_definition(), model, images, KernelMath::kBF16) < 3e-2);
}

TEST_CASE("device: detections are those of the predictions, by class filter, threshold and overflow",
          "[device]") {
  Context ctx(2);
  const Model model = narrow_model("yolov7-tiny");
  const Tensor images = random_images({2, 3, 64, 96});
  Detector device(ctx, model.graph, model.weights, by_definition(), KernelMath::kF32);
  DetectParams p;
  p.nms.conf_thres = 1e-5f;
  CHECK(same_detections(device, images, p));
  p.nms.classes = {1, 5, 62, 200};
  p.nms.multi_label = true;
  CHECK(same_detections(device, images, p));
  p.nms.classes.clear();
  p.nms.conf_thres = 0;  // 378 rows of 80 classes: more than the device keeps of an image
  std::vector<int64_t> overflown;
  DevicePlan& plan = device.device_plan_for(images);
  plan.set_detection(p);
  plan.run(DeviceResult::kDetections);
  plan.detections(overflown);
  CHECK(overflown == std::vector<int64_t>{0, 1});
  CHECK(same_detections(device, images, p));
  p.head_conf_thres = {1e-4f};
  p.augment = true;
  CHECK(same_detections(device, images, p));
  CHECK(device_error(by_definition(), model, Tensor::full(images.shape(), 77, DType::kU8), KernelMath::kF32) <
        1e-4);
}

TEST_CASE("device: the replayed record gives the same bits and takes no memory", "[device]") {
  Context ctx(2);
  const DeviceBackend backend = by_definition();
  const Model model = narrow_model("yolov7-tiny");
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

TEST_CASE("device: pictures letterboxed there give the detections of images, and take no memory",
          "[device]") {
  Context ctx(2);
  const DeviceBackend backend = by_definition();
  const Model model = narrow_model("demo");
  Detector device(ctx, model.graph, model.weights, backend, KernelMath::kF16);
  const int count = GENERATE(3, kMostPictures + 2);
  Tensor images = Tensor::empty({count, 3, 32, 32}, DType::kU8);
  std::vector<data::Image> decoded;
  std::vector<LetterboxImage> pictures;
  for (int i = 0; i < count; ++i) {
    data::Image& image = decoded.emplace_back(20 + i % 3 * 20, 31, uint8_t(i));
    for (size_t k = 0; k < image.pixels.size(); ++k) image.pixels[k] = uint8_t(k * k % 251 + size_t(i));
    auto done =
        data::plan_letterbox({image.width, image.height}, {.width = 32, .height = 32, .auto_pad = false});
    data::image_to_tensor(data::letterbox(image, {.width = 32, .height = 32, .auto_pad = false}, done),
                          images, i);
    pictures.push_back({image.pixels.data(), image.width, image.height, done.scaled_width, done.scaled_height,
                        done.left, done.top});
  }
  DetectParams p;
  p.nms.conf_thres = 1e-5f;
  const auto want = device.detect(images, p);
  CHECK(!want.back().empty());
  CHECK(device.detect(pictures, 32, 32, p) == want);
  const uint64_t requests = backend.session->allocator()->stats().requests;
  for (int i = 0; i < 2; ++i) CHECK(device.detect(pictures, 32, 32, p) == want);
  CHECK(backend.session->allocator()->stats().requests == requests);
}

TEST_CASE("device: kernels of a run, no copies, no buffers that overlap", "[device]") {
  // Beside suppression: 92 convolutions of yolov7, of which 16 are siblings, 8 pools, the input.
  const auto [name, kernels] = GENERATE(table<std::string, int>(
      {{"yolov7", 93}, {"yolov7-tiny", 57}, {"yolov7-w6", 101}, {"yolov7x", 109}, {"yolov7-e6", 147}}));
  Context ctx(2);
  const Model model = narrow_model(name, 0.25);
  const auto network =
      std::make_shared<DeviceNetwork>(ctx, by_definition(), model.graph, model.weights, KernelMath::kF16);
  DevicePlan plan(network, 1, 128, 128, DType::kU8);
  plan.set_detection({});
  INFO(name);
  CHECK(plan.kernels(DeviceResult::kDetections) == kernels + 1);
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
  Model model = narrow_model("yolov7-tiny");
  for (GraphNode& node : model.graph.nodes)
    if (auto* a = std::get_if<ops::Activation>(&node.attrs); a != nullptr && node.row == 3) a->slope = 0.2f;
  CHECK_THROWS_WITH(Detector(ctx, model.graph, model.weights, by_definition(), KernelMath::kF32),
                    Catch::Contains("row 3") && Catch::Contains("slope 0.2"));
}
