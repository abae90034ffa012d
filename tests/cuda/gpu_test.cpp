// What needs an NVIDIA GPU: the session, and every implementation of a convolution beside the others.
#include <catch2/catch.hpp>
#include <numeric>

#include "core/error.h"
#include "core/log.h"
#include "cuda/session_cuda.h"
#include "tests/support/skip.h"
#ifdef MTYOLO_WITH_CUDA
#include "core/storage.h"
#include "cuda/conv_tuning.h"
#include "cuda/kernels.h"
#endif

using namespace mtyolo;
using namespace mtyolo::test;

TEST_CASE("gpu: a session moves bytes, records and times on a real device") {
  if (const std::string absence = cuda_absence(); !absence.empty()) MTYOLO_SKIP(absence);  // no device
  const auto session = open_cuda_session(0);
  std::vector<int> sent(9 << 20), got(sent.size());
  std::iota(sent.begin(), sent.end(), 7);
  const size_t bytes = sent.size() * sizeof(int);
  Allocator& allocator = *session->allocator();
  void* data = allocator.allocate(bytes);
  session->upload(data, sent.data(), bytes);
  session->download(got.data(), data, bytes);
  session->synchronize();
  CHECK(got == sent);
  allocator.free(data, bytes);
  CHECK(session->time([] {}) >= 0);
  CHECK(session->record([] {})->nodes() == 0);
  std::string text;
  try {
    allocator.allocate(size_t(1) << 50);
  } catch (const Error& e) {
    text = e.what();
  }
  CHECK(text.find("cannot allocate 1073741824 MiB on cuda:0") == 0);
  session->synchronize();
}

#ifdef MTYOLO_WITH_CUDA
namespace {

// A convolution of 48 channels; real memory for its plan, though tuning has arrays of its own.
struct Subject {
  Subject(DeviceSession& session, KernelMath math, int kernel, KernelActivation activation) {
    const KernelType type = type_of(math);
    const auto array = [&](size_t bytes) {
      storage.push_back(Storage::allocate(session.allocator(), bytes));
      return storage.back()->data();
    };
    args.math = math, args.kernel = kernel, args.pad = kernel / 2;
    args.x = {array(size_t(20) << 20), type, 2, 20, 24, 64, 96};
    args.weight = array(size_t(1) << 20), args.weight_stride = kernel * kernel * 64;
    args.y = {array(size_t(20) << 20), type, 2, 20, 24, 48, 128};
    args.epilogue.bias = static_cast<const float*>(array(4096));
    args.epilogue.activation = activation;
  }
  std::vector<std::shared_ptr<Storage>> storage;
  ConvArgs args;
};

}  // namespace

TEST_CASE("gpu: implementations of a convolution agree, and the fastest runs as a graph") {
  if (const std::string absence = cuda_absence(); !absence.empty()) MTYOLO_SKIP(absence);  // no device
  const DeviceBackend backend{open_cuda_session(0), cuda::make_device_kernels()};
  DeviceSession& session = *backend.session;
  std::vector<std::string> absent;
  const ConvProviders providers = conv_providers(backend, &absent);
  for (const std::string& why : absent) WARN(why);
  const auto math = GENERATE(KernelMath::kF16, KernelMath::kBF16, KernelMath::kTF32, KernelMath::kF32);
  const auto kernel = GENERATE(1, 3);
  const auto activation = GENERATE(KernelActivation::kNone, KernelActivation::kSilu);
  INFO("math " << int(math) << ", kernel " << kernel << ", activation " << int(activation));
  const Subject subject(session, math, kernel, activation);
  const log::Capture capture;
  Autotuner tuner(TuneMode::kOn, "");
  for (const auto& provider : providers) {
    if (provider->refuses(subject.args) != nullptr || provider->choices(subject.args).empty()) continue;
    CHECK(tune_conv(session, providers, subject.args, provider->name(), tuner)
              .name.starts_with(provider->name()));
  }
  const ChosenConv tuned = tune_conv(session, providers, subject.args, "", tuner);
  CHECK(capture.text() == "");  // nothing was rejected for its result
  const size_t bytes = std::max<size_t>(tuned.plan->workspace_bytes(), 1);
  const auto workspace = Storage::allocate(session.allocator(), bytes);
  const std::vector<char> zeros(bytes);
  session.upload(workspace->data(), zeros.data(), bytes);
  tuned.plan->run(session.stream(), workspace->data());
  session.synchronize();
  const auto graph = session.record([&] { tuned.plan->run(session.stream(), workspace->data()); });
  CHECK(graph->nodes() >= 1);
  session.launch(*graph);
  session.synchronize();
}
#endif
