// The session of a GPU on a runtime that a test controls.
#include "cuda/session_cuda.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <numeric>

#include "core/error.h"
#include "core/log.h"
#include "tests/cuda/fake_cuda.h"

using namespace mtyolo;
using namespace mtyolo::test;

namespace {

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.info().code + ": " + e.what();
  }
  return "";
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
std::unique_ptr<DeviceSession> open(FakeCuda& fake) { return open_cuda_session(fake, 0, "80,90a"); }
std::string open_error(FakeCuda& fake, int index = 0) {
  return error_of([&] { open_cuda_session(fake, index, "80,90a"); });
}

void check_round_trip(DeviceSession& session) {
  std::vector<int> sent(3 << 20), got(sent.size());  // more than the pinned blocks hold at a time, twice
  std::iota(sent.begin(), sent.end(), 7);
  const size_t bytes = sent.size() * sizeof(int);
  for (int round = 0; round < 2; ++round) {
    void* data = session.allocator()->allocate(bytes);
    session.upload(data, sent.data(), bytes);
    session.download(got.data(), data, bytes);
    session.synchronize();
    CHECK(got == sent);
    session.allocator()->free(data, bytes);
  }
  CHECK(session.allocator()->stats().system_requests == 1);
}

}  // namespace

TEST_CASE("cuda_host: a machine without a usable GPU gets one clear line") {
  CHECK(cuda_absence(nullptr) == "this build has no CUDA");
  FakeCuda fake;
  fake.driver = 0;
  CHECK(open_error(fake) ==
        "device: no NVIDIA driver is installed (libcuda.so.1 is not found); "
        "--device cpu works on every machine");
  fake.driver = 12040;
  fake.fail("count_devices", kCudaInsufficientDriver, 2);
  CHECK(has(open_error(fake), "too old: it supports CUDA 12.4, this program needs 13.0 or later"));
  fake.fail("count_devices", kCudaNoDevice, 1);
  CHECK(has(open_error(fake), "the NVIDIA driver finds no GPU"));
  fake.fail("count_devices", 802, 1);
  CHECK(has(open_error(fake), "does not start: cudaErrorX (as the test wants it)"));
  fake.devices = 2;
  CHECK(open_error(fake, 2) == "device: there is no cuda:2; the GPUs here are cuda:0 to cuda:1");
  CHECK(cuda_devices(&fake).size() == 2);
  fake.major = 6, fake.minor = 1;
  CHECK(has(open_error(fake), "cuda:0 (Fake GPU) has compute capability 6.1, 7.5 or newer is needed"));
  fake.major = 12, fake.minor = 0;
  CHECK(has(open_error(fake), "has kernels for 80,90a, cuda:0 (Fake GPU) has compute capability 12.0"));
  CHECK(has(open_error(fake), "-DMTYOLO_CUDA_ARCHS=120"));
  CHECK(fake.live == 0);
}

TEST_CASE("cuda_host: kernels run on the devices their architecture names") {
  CHECK(kernels_run_on("80,90a", 8, 0));
  CHECK(kernels_run_on("80,90a", 8, 9));
  CHECK(kernels_run_on("80,90a", 9, 0));
  CHECK_FALSE(kernels_run_on("80,90a", 7, 5));
  CHECK_FALSE(kernels_run_on("86", 8, 0));
  CHECK_FALSE(kernels_run_on("90a", 10, 0));
  CHECK(kernels_run_on("80,ptx", 12, 0));
  CHECK_FALSE(kernels_run_on("ptx", 7, 5));
  CHECK(kernels_run_on("120", 12, 1));
  CHECK_FALSE(kernels_run_on("", 8, 0));
}

TEST_CASE("cuda_host: transfers go through pinned memory in pieces and give everything back") {
  FakeCuda fake;
  {
    const auto session = open(fake);
    CHECK(session->info().name == "Fake GPU");
    CHECK(to_string(session->device()) == "cuda:0");
    check_round_trip(*session);
    CHECK(session->time([] {}) == 1.5);
  }
  CHECK(fake.live == 0);
}

TEST_CASE("cuda_host: a block may outlive its session") {
  FakeCuda fake;
  auto session = open(fake);
  auto allocator = session->allocator();
  void* block = allocator->allocate(100);
  session.reset();
  allocator->free(block, 100);
  allocator.reset();
  CHECK(fake.live == 0);
}

TEST_CASE("cuda_host: full memory is given back from the cache once, then said with sizes") {
  FakeCuda fake;
  const auto session = open(fake);
  Allocator& allocator = *session->allocator();
  const size_t most = size_t(40) << 20, less = size_t(30) << 20;
  allocator.free(allocator.allocate(less), less);
  allocator.free(allocator.allocate(most), most);  // fits only without the cached block
  CHECK(allocator.stats().cached_bytes == most);
  allocator.release_cached();
  void* kept = allocator.allocate(less);
  const std::string text = error_of([&] { allocator.allocate(most); });
  CHECK(has(text,
            "out_of_memory: cannot allocate 40 MiB on cuda:0 (Fake GPU): 34 of 64 MiB free, this "
            "program holds 30 MiB; use a smaller --img-size"));
  allocator.free(kept, less);
  allocator.free(allocator.allocate(most), most);
}

TEST_CASE("cuda_host: a failed call names call, place, error, device and memory, and the session goes on") {
  FakeCuda fake;
  const auto session = open(fake);
  int value = 1;
  void* data = session->allocator()->allocate(4);
  fake.fail("copy", 1, 1);
  const std::string text = error_of([&] { session->upload(data, &value, 4); });
  CHECK(has(text, "cuda: cudaErrorX (as the test wants it) from copy("));
  CHECK(has(text, "at cuda/session_cuda.cpp:"));
  CHECK(has(text, "on cuda:0 (Fake GPU), 63 of 64 MiB free"));
  session->upload(data, &value, 4);
  session->allocator()->free(data, 4);
}

TEST_CASE("cuda_host: a device that is lost fails fast with the first cause") {
  FakeCuda fake;
  const log::Capture capture;
  {
    const auto session = open(fake);
    const auto graph = session->record([] {});
    fake.fail("synchronize_stream", 700, 1);
    CHECK(has(error_of([&] { session->synchronize(); }), "MTYOLO_CUDA_SYNC=1"));
    const size_t calls = fake.made.size();
    const std::string text = error_of([&] { session->launch(*graph); });
    CHECK(has(text, "device_lost: cuda:0 (Fake GPU) cannot be used any more since: cudaErrorIllegalAddress"));
    CHECK(has(error_of([&] { session->allocator()->allocate(64); }), "cudaErrorIllegalAddress"));
    CHECK(fake.made.size() == calls);
  }
  CHECK(capture.text().empty());
}

TEST_CASE("cuda_host: a recording runs as a graph, and one that fails leaves the session as it was") {
  FakeCuda fake;
  {
    const auto session = open(fake);
    const auto graph = session->record([&] { CHECK(fake.recording); });
    CHECK(graph->nodes() == 3);
    session->launch(*graph);
    CHECK(fake.made.back() == "launch_graph");
    CHECK(has(error_of([&] { session->record([&] { session->synchronize(); }); }), "cannot wait"));
    CHECK_FALSE(fake.recording);
    for (const char* call : {"begin_capture", "end_capture", "instantiate"}) {
      fake.fail(call, 901, 1);
      CHECK(has(error_of([&] { session->record([] {}); }), "neither allocate, wait, nor transfer"));
    }
    CHECK(session->record([] {})->nodes() == 3);
  }
  CHECK(fake.live == 0);
}
