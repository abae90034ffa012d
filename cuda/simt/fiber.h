// Stacks that are left and entered again: x86-64 and aarch64 by a few instructions of our own, others through
// ucontext (ten times slower: two system calls a switch). AddressSanitizer is told of every switch.
#pragma once

#include <cstddef>

namespace mtyolo::emulator {

// A place to come back to; the saved registers lie on the stack it belongs to.
struct Context {
  void* stack_pointer = nullptr;
  void* fake_stack = nullptr;  // AddressSanitizer's
  const void* bottom = nullptr;
  size_t size = 0;
};

// Leaves `from`, the running context, and goes on in `to`.
void switch_context(Context& from, Context& to);

// A stack with a guard page below it. `entry` starts at the first switch and must not return.
class FiberStack {
 public:
  static constexpr size_t kBytes = 64 << 10;
  explicit FiberStack(void (*entry)());
  ~FiberStack();
  FiberStack(const FiberStack&) = delete;
  FiberStack& operator=(const FiberStack&) = delete;

  Context context;

 private:
  void* memory_ = nullptr;  // guard page, then the stack
};

// To be called first by `entry`.
void finish_first_switch();

}  // namespace mtyolo::emulator
