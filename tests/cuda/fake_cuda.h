// A CUDA runtime of the host's memory, whose calls fail when a test says so.
#pragma once

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "cuda/cuda_calls.h"

namespace mtyolo::test {

class FakeCuda : public CudaCalls {
 public:
  int driver = 13000, devices = 1, major = 9, minor = 0;
  size_t total = size_t(64) << 20, used = 0;  // device memory
  std::vector<std::string> made;              // every call that queues or allocates, in order
  bool recording = false;
  int live = 0;  // objects made and not destroyed

  // From now on this call returns `error`: `times` times, or for ever.
  void fail(const std::string& call, int error, int times = -1) { failures_[call] = {error, times}; }

  int driver_version(int* version) override { return *version = driver, next("driver_version"); }
  int runtime_version(int* version) override { return *version = 13000, 0; }
  int count_devices(int* count) override { return *count = devices, next("count_devices"); }
  int describe(int, DeviceInfo* info) override {
    *info = {"Fake GPU", major, minor, 132, 232448, total};
    return next("describe");
  }
  int use_device(int) override { return next("use_device"); }
  int memory(size_t* free, size_t* all) override {
    return *free = total - used, *all = total, next("memory");
  }
  int allocate(void** p, size_t bytes) override {
    if (const int error = next("allocate")) return error;
    if (used + bytes > total) return kCudaOutOfMemory;
    used += bytes;
    return sizes_[*p = std::calloc(1, bytes)] = bytes, ++live, 0;
  }
  int release(void* p) override {
    used -= sizes_.at(p), sizes_.erase(p), std::free(p), --live;
    return next("release");
  }
  int allocate_pinned(void** p, size_t bytes) override {
    if (const int error = next("allocate_pinned")) return error;
    return *p = std::calloc(1, bytes), ++live, 0;
  }
  int release_pinned(void* p) override { return std::free(p), --live, 0; }
  int create_stream(void** s) override { return make(s, "create_stream"); }
  int destroy_stream(void* s) override { return drop(s); }
  int synchronize_stream(void*) override { return next("synchronize_stream"); }
  int copy(void* to, const void* from, size_t bytes, bool, void*) override {
    if (const int error = next("copy")) return error;
    __builtin_memcpy(to, from, bytes);
    return 0;
  }
  int create_event(void** e) override { return make(e, "create_event"); }
  int destroy_event(void* e) override { return drop(e); }
  int record_event(void*, void*) override { return next("record_event"); }
  int synchronize_event(void*) override { return next("synchronize_event"); }
  int elapsed_ms(float* ms, void*, void*) override { return *ms = 1.5f, 0; }
  int begin_capture(void*) override { return recording = true, next("begin_capture"); }
  int end_capture(void*, void** graph) override {
    recording = false;
    if (const int error = next("end_capture")) return error;
    return make(graph, "graph");
  }
  int count_nodes(void*, size_t* nodes) override { return *nodes = 3, 0; }
  int instantiate(void** executable, void*) override {
    if (const int error = next("instantiate")) return error;
    return make(executable, "executable");
  }
  int destroy_graph(void* graph) override { return drop(graph); }
  int destroy_executable(void* executable) override { return drop(executable); }
  int launch_graph(void*, void*) override { return next("launch_graph"); }
  int clear_error() override { return 0; }
  const char* name_of(int error) override { return error == 700 ? "cudaErrorIllegalAddress" : "cudaErrorX"; }
  const char* text_of(int) override { return "as the test wants it"; }

 private:
  struct Failure {
    int error, times;
  };
  int next(const std::string& call) {
    made.push_back(call);
    const auto it = failures_.find(call);
    if (it == failures_.end() || it->second.times == 0) return 0;
    if (it->second.times > 0) --it->second.times;
    return it->second.error;
  }
  int make(void** p, const std::string& call) {
    if (const int error = next(call)) return error;
    return *p = std::calloc(1, 1), ++live, 0;
  }
  int drop(void* p) { return std::free(p), --live, 0; }

  std::map<std::string, Failure> failures_;
  std::map<void*, size_t> sizes_;
};

}  // namespace mtyolo::test
