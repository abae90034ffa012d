// Streams and events of the emulated device. Work runs when it is queued, or (StreamMode::kRandom) when the
// host next waits, from any stream that is ready, so that a missing event shows.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "cuda/dims.h"

namespace mtyolo::emulator {

class Event {
 public:
  bool done() const { return pending_ == 0; }

 private:
  friend class Stream;
  int pending_ = 0;  // records that are still queued
};

class Stream {
 public:
  Stream();
  ~Stream();  // what is queued is dropped: synchronize first
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void enqueue(std::function<void()> work);
  void record(const std::shared_ptr<Event>& event);  // done when all work queued before is
  void wait(const std::shared_ptr<Event>& event);    // work queued from now on runs after it
  void synchronize();                                // runs until this stream is empty
  // From here on work is appended to `work` instead of being queued; null ends that.
  void capture(std::vector<std::function<void()>>* work) { captured_ = work; }
  bool capturing() const { return captured_ != nullptr; }
  KernelStream handle() { return {this}; }

 private:
  struct Item {
    std::function<void()> work;
    std::shared_ptr<Event> after;  // may be null
  };
  static bool step(uint64_t draw);  // runs one item of any ready stream
  std::deque<Item> queue_;
  std::vector<std::function<void()>>* captured_ = nullptr;
};

// What a KernelStream names; the default stream for null.
Stream& stream_of(KernelStream stream);

}  // namespace mtyolo::emulator
