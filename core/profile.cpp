#include "core/profile.h"

#include <unistd.h>

#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/file.h"

namespace mtyolo::profile {
namespace {

struct Range {
  std::string name, detail;
  int64_t begin_us, duration_us;
  int thread;
};

std::atomic<bool> recording{false};
std::mutex mutex;
std::vector<Range> ranges;
std::chrono::steady_clock::time_point origin;

int thread_number() {
  static std::atomic<int> next{0};
  thread_local const int number = next++;
  return number;
}

int64_t microseconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
}

}  // namespace

void start() {
  const std::lock_guard lock(mutex);
  ranges.clear();
  origin = std::chrono::steady_clock::now();
  recording = true;
}

bool active() { return recording.load(std::memory_order_relaxed); }

void write(const std::string& path) {
  recording = false;
  const std::lock_guard lock(mutex);
  nlohmann::json events = nlohmann::json::array();
  for (const Range& r : ranges) {
    events.push_back({{"name", r.name},
                      {"ph", "X"},
                      {"ts", r.begin_us},
                      {"dur", r.duration_us},
                      {"pid", getpid()},
                      {"tid", r.thread},
                      {"args", {{"detail", r.detail}}}});
  }
  const nlohmann::json trace{{"traceEvents", events}, {"displayTimeUnit", "ms"}};
  // Names come from model files and need not be UTF-8.
  write_file_atomically(path, trace.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

Scope::Scope(std::string_view name, std::string_view detail) : recording_(active()) {
  if (!recording_) return;
  name_ = name;
  detail_ = detail;
  begin_ = std::chrono::steady_clock::now();
}

Scope::~Scope() {
  if (!recording_) return;
  const auto end = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex);
  ranges.push_back({std::move(name_), std::move(detail_), microseconds(begin_ - origin),
                    microseconds(end - begin_), thread_number()});
}

}  // namespace mtyolo::profile
