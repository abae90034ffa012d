#include "cuda/simt/stream.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/random.h"
#include "cuda/simt/options.h"

namespace mtyolo::emulator {
namespace {

std::vector<Stream*>& streams() {  // used from the host's thread only, as the device's host interface is here
  static std::vector<Stream*> all;
  return all;
}

}  // namespace

Stream::Stream() { streams().push_back(this); }
Stream::~Stream() { std::erase(streams(), this); }

void Stream::enqueue(std::function<void()> work) {
  if (captured_ != nullptr) return captured_->push_back(std::move(work));
  if (options().streams == StreamMode::kAtOnce && queue_.empty()) return work();
  queue_.push_back({std::move(work), nullptr});
}

void Stream::record(const std::shared_ptr<Event>& event) {
  ++event->pending_;
  enqueue([event] { --event->pending_; });
}

void Stream::wait(const std::shared_ptr<Event>& event) {
  if (!event->done()) queue_.push_back({[] {}, event});
}

bool Stream::step(uint64_t draw) {
  std::vector<Stream*> ready;
  for (Stream* s : streams())
    if (!s->queue_.empty() && (!s->queue_.front().after || s->queue_.front().after->done()))
      ready.push_back(s);
  if (ready.empty()) return false;
  Stream& chosen = *ready[draw % ready.size()];
  Item item = std::move(chosen.queue_.front());
  chosen.queue_.pop_front();
  item.work();
  return true;
}

void Stream::synchronize() {
  RandomStream random(options().seed, 0x73747265, 0);
  while (!queue_.empty())
    if (!step(random.bits())) fail(ExitCode::kRuntime, "simt", "streams wait for events that nobody records");
}

Stream& stream_of(KernelStream stream) {
  static Stream default_stream;
  return stream.handle == nullptr ? default_stream : *static_cast<Stream*>(stream.handle);
}

}  // namespace mtyolo::emulator
