#include "cuda/session_simt.h"

#include <chrono>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "cuda/simt/memory.h"
#include "cuda/simt/stream.h"

namespace mtyolo {
namespace {

using Work = std::vector<std::function<void()>>;

struct SimtGraph : DeviceGraph {
  int nodes() const override { return int(work.size()); }
  Work work;
};

// Few multiprocessors: what is cut for them makes few blocks for the emulator to run.
DeviceInfo emulated() {
  DeviceInfo info;
  info.name = "emulated device";
  info.major = 9;
  info.multiprocessors = 4;
  info.shared_bytes_per_block = size_t{227} << 10;
  info.memory_bytes = size_t{8} << 30;
  return info;
}

class SimtSession : public DeviceSession {
 public:
  ~SimtSession() override { stream_.synchronize(); }
  const DeviceInfo& info() const override { return info_; }
  Device device() const override { return allocator_->device(); }
  KernelStream stream() override { return stream_.handle(); }
  const std::shared_ptr<Allocator>& allocator() override { return allocator_; }

  void upload(void* to, const void* from, size_t bytes) override {
    refuse_recording("upload");
    const auto* p = static_cast<const std::byte*>(from);
    stream_.enqueue(
        [to, copy = std::vector<std::byte>(p, p + bytes)] { std::memcpy(to, copy.data(), copy.size()); });
  }
  void download(void* to, const void* from, size_t bytes) override {
    refuse_recording("download");
    stream_.enqueue([=] { std::memcpy(to, from, bytes); });
  }
  void synchronize() override {
    refuse_recording("synchronize");
    stream_.synchronize();
  }

  std::unique_ptr<DeviceGraph> record(const std::function<void()>& work) override {
    refuse_recording("record");
    auto graph = std::make_unique<SimtGraph>();
    stream_.capture(&graph->work);
    try {
      work();
    } catch (...) {
      stream_.capture(nullptr);
      throw;
    }
    stream_.capture(nullptr);
    return graph;
  }
  void launch(DeviceGraph& graph) override {
    for (const auto& work : static_cast<SimtGraph&>(graph).work) stream_.enqueue(work);
  }
  double time(const std::function<void()>& work) override {
    using Clock = std::chrono::steady_clock;
    synchronize();
    const auto begin = Clock::now();
    work();
    synchronize();
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
  }

 private:
  void refuse_recording(const char* what) const {
    MTYOLO_CHECK(!stream_.capturing(), "session: {} while work is recorded", what);
  }

  DeviceInfo info_ = emulated();
  std::shared_ptr<Allocator> allocator_ =
      std::make_shared<Allocator>(Device{DeviceKind::kSimt, 0}, emulator::simt_runtime());
  emulator::Stream stream_;
};

}  // namespace

std::unique_ptr<DeviceSession> open_simt_session() { return std::make_unique<SimtSession>(); }

}  // namespace mtyolo
