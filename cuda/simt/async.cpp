#include "cuda/simt/async.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "cuda/simt/memory.h"
#include "cuda/simt/race.h"
#include "cuda/simt/sanitizer.h"

namespace mtyolo::emulator {
namespace {

void perform(PendingCopy& copy) {
  if (copy.from == nullptr) std::memset(copy.to, 0, copy.bytes);
  else std::memcpy(copy.to, copy.from, copy.bytes);
  copy.performed = true;
}

}  // namespace

void copy_async(void* to, const void* from, uint32_t bytes, bool fill, const Site& at) {
  Engine& e = engine();
  if (!e.arena().contains(to)) e.fail(at, "cp_async: the destination is no shared memory");
  check_access(to, bytes, Access::kWrite, at);
  if (fill) {
    e.accesses().record(e.thread(), nullptr, bytes, false, at);  // a lane that skips this visit
  } else {
    if (e.arena().contains(from)) e.fail(at, "cp_async: the source is shared memory");
    check_access(from, bytes, Access::kRead, at);
#ifdef MTYOLO_ASAN
    if (__asan_region_is_poisoned(const_cast<void*>(from), bytes) != nullptr)
      e.fail(at, fmt::format("cp_async reads {} bytes outside every buffer", bytes));
#endif
  }
  PendingCopy copy{to, fill ? nullptr : from, bytes, e.thread().copy_groups, false, at};
  const AsyncMode mode = options().async;
  if (mode == AsyncMode::kEarly || (mode == AsyncMode::kMixed && e.random().below(2) == 0)) perform(copy);
  else std::memset(to, 0xff, bytes);
  e.thread().copies.push_back(copy);
}

void commit_copies() { ++engine().thread().copy_groups; }

void wait_copies(uint32_t groups_left, const Site& at) {
  Engine& e = engine();
  Thread& thread = e.thread();
  const auto done = [&](PendingCopy& copy) {
    if (copy.group + groups_left >= thread.copy_groups) return false;
    if (!copy.performed) {
      race_access(copy.to, copy.bytes, true, &at);
      perform(copy);
    }
    return true;
  };
  std::erase_if(thread.copies, done);
}

}  // namespace mtyolo::emulator
