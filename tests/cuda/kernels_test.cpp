// Inference by the kernels themselves on the emulated device, against the plan of the CPU; and kernel by
// kernel against their definitions, since what a network makes of a rounding has no limit of its own.
#include "cuda/kernels.h"

#include <catch2/catch.hpp>
#include <chrono>

#include "core/storage.h"
#include "cuda/conv_tuning.h"
#include "cuda/session_simt.h"
#include "ops/conv2d.h"
#include "tests/models/device_case.h"
#include "tests/models/random_model.h"
#include "tests/support/reference_kernels.h"

using namespace mtyolo;
using namespace mtyolo::models;
using namespace mtyolo::test;

namespace {

DeviceBackend emulated() { return {open_simt_session(), simt::make_device_kernels()}; }

// device_error() of `backend`, each of whose kernels must store what it is defined to.
double checked_error(DeviceBackend backend, const Model& model, const Tensor& images, KernelMath math) {
  const auto fault = std::make_shared<std::string>();
  backend.kernels = checked_kernels(backend.kernels, fault);
  const double error = device_error(backend, model, images, math);
  CHECK(*fault == "");
  return error;
}

// By the first implementation.
template <class Args>
void run(const DeviceBackend& backend, const ConvProvidersOf<Args>& providers, const Args& args) {
  const auto plan = providers.at(0)->plan(args, providers[0]->choices(args).back());
  const auto workspace =
      Storage::allocate(backend.session->allocator(), std::max<size_t>(plan->workspace_bytes(), 16));
  plan->run(backend.session->stream(), workspace->data());
  backend.session->synchronize();
}

}  // namespace

TEST_CASE("simt_plan: a network with two heads and cross-stitch units, in batches of rectangles") {
  const Model model =
      two_headed(narrow_model("yolov7-tiny"), {.mode = Sharing::Mode::kSoft, .cross_stitch = {2, 30}});
  CHECK(checked_error(emulated(), model, random_images({3, 3, 32, 64}), KernelMath::kF32) < 1e-4);
}

TEST_CASE("simt_plan: the demo's network in each math") {
  const auto [math, most] = GENERATE(table<KernelMath, double>({{KernelMath::kF32, 1e-4},
                                                                {KernelMath::kTF32, 4e-3},
                                                                {KernelMath::kF16, 4e-3},
                                                                {KernelMath::kBF16, 3e-2}}));
  const Model model = narrow_model("demo", 1);
  CHECK(checked_error(emulated(), model, random_images({1, 3, 64, 64}), math) < most);
}

TEST_CASE("simt_plan: convolutions by the implementation that is asked for") {
  DeviceBackend backend = emulated();
  CHECK_THROWS_AS(make_conv_chooser(backend, "cudnn.graph", TuneMode::kOff, ""), Error);
  for (const char* name : {"simt.igemm", "simt.wgmma"}) {  // the second leaves the stem to the first
    INFO(name);
    backend.convs = make_conv_chooser(backend, name, TuneMode::kOff, "");
    CHECK(device_error(backend, narrow_model("yolov7-tiny"), random_images({1, 3, 32, 64}),
                       KernelMath::kF16) < 4e-3);
  }
}

TEST_CASE("simt_plan: gradients of a convolution by the implementations of a device are the CPU's") {
  Context ctx(2);
  ops::Impls impls;
  ops::register_cpu_impls(impls);
  const DeviceBackend backend = emulated();
  const ops::Conv2d p = ops::Conv2d::square(3, 2, 1);
  const Tensor x = random_images({2, 16, 39, 21}, 1), gy = random_images({2, 24, 20, 11}, 2),
               weight = random_images({24, 16, 3, 3}, 3);
  Tensor gx = Tensor::empty(x.shape()), gw = Tensor::empty(weight.shape()), none;
  ops::conv2d_backward_input(ctx, impls, gy, weight, p, ops::GradMode::kOverwrite, gx);
  ops::conv2d_backward_weight(ctx, impls, x, gy, p, ops::GradMode::kOverwrite, gw, none);
  std::vector<std::shared_ptr<Storage>> storage;
  const auto map = [&](const Tensor& t) {
    storage.push_back(Storage::allocate(backend.session->allocator(), t.size_bytes()));
    void* data = storage.back()->data();
    backend.session->upload(data, t.channels_last().raw(), t.size_bytes());
    const int c = int(t.size(1));
    return KernelMap{data, KernelType::kF32, int(t.size(0)), int(t.size(2)), int(t.size(3)), c, c};
  };
  const auto error = [](const void* data, const Tensor& want) {
    const auto *a = static_cast<const float*>(data), *b = static_cast<const float*>(want.raw());
    double most = 0;
    for (int64_t i = 0; i < want.numel(); ++i) most = std::max(most, std::abs(double(a[i]) - double(b[i])));
    return most;
  };
  const ConvDgradArgs dgrad{KernelMath::kF32, map(gy), map(weight).data, 144, 3, 2, 1, 1, map(x)};
  run(backend, dgrad_providers(backend), dgrad);
  CHECK(error(dgrad.gx.data, gx.channels_last()) < 1e-4);
  auto* sums = static_cast<float*>(map(Tensor::zeros(gw.shape())).data);
  run(backend, wgrad_providers(backend),
      ConvWgradArgs{KernelMath::kF32, dgrad.gy, map(x), 3, 2, 1, 1, sums, 144, 16});
  CHECK(error(sums, gw.channels_last()) < 1e-3);
}

TEST_CASE("simt_plan: a network with six levels of strides, ReOrg and RepConv") {
  const std::string name = GENERATE("yolov7", "yolov7-w6");
  CHECK(checked_error(emulated(), narrow_model(name), random_images({1, 3, 64, 128}), KernelMath::kF16) <
        4e-3);
}

TEST_CASE("simt_plan: detections on the device are the host's, replayed without new memory") {
  Context ctx(2);
  const DeviceBackend backend = emulated();
  const Model model = two_headed(narrow_model("yolov7-tiny"));
  Detector device(ctx, model.graph, model.weights, backend, KernelMath::kF16);
  const Tensor images = random_images({2, 3, 64, 32});
  DetectParams p;
  p.nms.conf_thres = 1e-5f;
  CHECK(same_detections(device, images, p));
  const uint64_t requests = backend.session->allocator()->stats().requests;
  const auto first = device.detect(images, p);
  CHECK(device.detect(images, p) == first);
  CHECK(same_detections(device, images, p));
  CHECK(backend.session->allocator()->stats().requests == requests);
  p.nms.multi_label = true;
  p.nms.conf_thres = 0;
  p.nms.classes = {0, 7, 79};
  CHECK(same_detections(device, images, p));
}

TEST_CASE("simt_plan: kernels of yolov7 from images to detections") {
  Context ctx(2);
  const Model model = narrow_model("yolov7", 0.25);
  const auto network =
      std::make_shared<DeviceNetwork>(ctx, emulated(), model.graph, model.weights, KernelMath::kF16);
  DevicePlan plan(network, 1, 64, 64, DType::kU8);
  plan.set_detection({});
  CHECK(plan.kernels(DeviceResult::kDetections) <= 110);
  WARN(plan.kernels(DeviceResult::kDetections) << " kernels");
}
