#include "cuda/session_cuda.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/error.h"

namespace mtyolo {
namespace {

// Transfers go through pinned blocks of this size, several on the way at a time.
constexpr size_t kStagingBytes = size_t(4) << 20;
constexpr size_t kStagingBlocks = 4;

// The allocator with the memory it takes from.
struct Pool {
  explicit Pool(std::shared_ptr<CudaDevice> device) : memory(device), allocator(device->device(), memory) {}
  CudaMemory memory;
  Allocator allocator;
};

class Graph : public DeviceGraph {
 public:
  Graph(std::shared_ptr<CudaDevice> device, void* executable, int nodes)
      : device_(std::move(device)), executable_(executable), nodes_(nodes) {}
  ~Graph() override {
    if (!device_->lost())
      device_->report(device_->calls().destroy_executable(executable_), "destroy_executable(executable_)");
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  int nodes() const override { return nodes_; }
  void* executable() const { return executable_; }

 private:
  std::shared_ptr<CudaDevice> device_;
  void* executable_;
  int nodes_;
};

// An event that is destroyed with its name.
class Event {
 public:
  explicit Event(CudaDevice& device) : device_(device) { MTYOLO_CUDA_CHECK(device_, create_event(&event_)); }
  ~Event() {
    if (!device_.lost()) device_.report(device_.calls().destroy_event(event_), "destroy_event(event_)");
  }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void* get() const { return event_; }

 private:
  CudaDevice& device_;
  void* event_ = nullptr;
};

// A pinned block: free, on its way to the device, or on its way from there to `to`.
struct Staging {
  void* data = nullptr;
  std::unique_ptr<Event> done;
  bool busy = false;
  void* to = nullptr;
  size_t bytes = 0;
};

class CudaSession : public DeviceSession {
 public:
  CudaSession(CudaCalls& calls, int index, const std::string& archs)
      : device_(std::make_shared<CudaDevice>(calls, index, archs)), pool_(std::make_shared<Pool>(device_)) {
    allocator_ = std::shared_ptr<Allocator>(pool_, &pool_->allocator);
    MTYOLO_CUDA_CHECK(*device_, create_stream(&stream_));
  }
  ~CudaSession() override;
  CudaSession(const CudaSession&) = delete;
  CudaSession& operator=(const CudaSession&) = delete;

  const DeviceInfo& info() const override { return device_->info(); }
  Device device() const override { return device_->device(); }
  KernelStream stream() override { return {stream_}; }
  const std::shared_ptr<Allocator>& allocator() override { return allocator_; }
  void upload(void* to, const void* from, size_t bytes) override { transfer(to, from, bytes, true); }
  void download(void* to, const void* from, size_t bytes) override { transfer(to, from, bytes, false); }
  void synchronize() override;
  std::unique_ptr<DeviceGraph> record(const std::function<void()>& work) override;
  void launch(DeviceGraph& graph) override;
  double time(const std::function<void()>& work) override;

 private:
  void transfer(void* to, const void* from, size_t bytes, bool to_device);
  Staging& next_staging();
  void finish(Staging& s);

  std::shared_ptr<CudaDevice> device_;
  std::shared_ptr<Pool> pool_;
  std::shared_ptr<Allocator> allocator_;
  void* stream_ = nullptr;
  std::array<Staging, kStagingBlocks> staging_;
  size_t next_ = 0;
  bool recording_ = false;
};

CudaSession::~CudaSession() {
  CudaCalls& calls = device_->calls();
  if (!device_->lost()) device_->report(calls.synchronize_stream(stream_), "synchronize_stream(stream_)");
  for (Staging& s : staging_)
    if (s.data != nullptr) device_->report(calls.release_pinned(s.data), "release_pinned(data)");
  if (!device_->lost()) device_->report(calls.destroy_stream(stream_), "destroy_stream(stream_)");
}

// Waits for what a block carries and hands a download to its owner.
void CudaSession::finish(Staging& s) {
  if (!s.busy) return;
  MTYOLO_CUDA_CHECK(*device_, synchronize_event(s.done->get()));
  if (s.to != nullptr) std::memcpy(s.to, s.data, s.bytes);
  s.busy = false;
}

// The block used longest ago.
Staging& CudaSession::next_staging() {
  Staging& s = staging_[next_];
  next_ = (next_ + 1) % kStagingBlocks;
  finish(s);
  if (s.done == nullptr) s.done = std::make_unique<Event>(*device_);
  if (s.data == nullptr) MTYOLO_CUDA_CHECK(*device_, allocate_pinned(&s.data, kStagingBytes));
  return s;
}

void CudaSession::transfer(void* to, const void* from, size_t bytes, bool to_device) {
  device_->begin();
  MTYOLO_CHECK(!recording_, "a transfer cannot be recorded");
  for (size_t at = 0; at < bytes; at += kStagingBytes) {
    char* const target = static_cast<char*>(to) + at;
    const char* const source = static_cast<const char*>(from) + at;
    Staging& s = next_staging();
    s.to = to_device ? nullptr : target, s.bytes = std::min(kStagingBytes, bytes - at);
    if (to_device) std::memcpy(s.data, source, s.bytes);
    MTYOLO_CUDA_CHECK(*device_, copy(to_device ? target : s.data, to_device ? s.data : source, s.bytes,
                                     to_device, stream_));
    s.busy = true;
    MTYOLO_CUDA_CHECK(*device_, record_event(s.done->get(), stream_));
  }
}

void CudaSession::synchronize() {
  device_->begin();
  MTYOLO_CHECK(!recording_, "what is recorded cannot wait");
  for (Staging& s : staging_) finish(s);
  MTYOLO_CUDA_CHECK(*device_, synchronize_stream(stream_));
}

std::unique_ptr<DeviceGraph> CudaSession::record(const std::function<void()>& work) {
  device_->begin();
  MTYOLO_CHECK(!recording_, "a recording is already being made");
  void* graph = nullptr;
  void* executable = nullptr;
  const auto drop = [&] {
    if (graph != nullptr) device_->report(device_->calls().destroy_graph(graph), "destroy_graph(graph)");
    graph = nullptr;
  };
  MTYOLO_CUDA_CHECK(*device_, begin_capture(stream_));
  recording_ = true;
  try {
    work();
  } catch (...) {
    // The recording ends with an error of its own, of which the first one is the cause.
    recording_ = false;
    if (device_->calls().end_capture(stream_, &graph) != 0) device_->calls().clear_error();
    drop();
    throw;
  }
  recording_ = false;
  try {
    size_t nodes = 0;
    MTYOLO_CUDA_CHECK(*device_, end_capture(stream_, &graph));
    MTYOLO_CUDA_CHECK(*device_, count_nodes(graph, &nodes));
    MTYOLO_CUDA_CHECK(*device_, instantiate(&executable, graph));
    drop();
    return std::make_unique<Graph>(device_, executable, int(nodes));
  } catch (...) {
    drop();
    throw;
  }
}

void CudaSession::launch(DeviceGraph& graph) {
  device_->begin();
  const auto* own = dynamic_cast<const Graph*>(&graph);
  MTYOLO_CHECK(own != nullptr, "this graph was recorded on another kind of device");
  MTYOLO_CUDA_CHECK(*device_, launch_graph(own->executable(), stream_));
}

double CudaSession::time(const std::function<void()>& work) {
  device_->begin();
  MTYOLO_CHECK(!recording_, "a recording cannot be timed");
  const Event first(*device_), last(*device_);
  MTYOLO_CUDA_CHECK(*device_, record_event(first.get(), stream_));
  work();
  MTYOLO_CUDA_CHECK(*device_, record_event(last.get(), stream_));
  MTYOLO_CUDA_CHECK(*device_, synchronize_event(last.get()));
  float ms = 0;
  MTYOLO_CUDA_CHECK(*device_, elapsed_ms(&ms, first.get(), last.get()));
  return ms;
}

}  // namespace

std::unique_ptr<DeviceSession> open_cuda_session(CudaCalls& calls, int index, const std::string& archs) {
  return std::make_unique<CudaSession>(calls, index, archs);
}

std::unique_ptr<DeviceSession> open_cuda_session(int index) {
  CudaCalls* calls = cuda_runtime_calls();
  if (calls == nullptr)
    throw Error({ExitCode::kRuntime,
                 "device",
                 cuda_absence(calls),
                 {},
                 {},
                 "--device cpu works on every machine; for GPUs configure where nvcc is installed"});
  return open_cuda_session(*calls, index, cuda_archs());
}

}  // namespace mtyolo
