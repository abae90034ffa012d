#include "cuda/simt/fiber.h"

#include <sys/mman.h>

#include <cstdint>

#include "core/error.h"
#include "cuda/simt/sanitizer.h"

#if !defined(MTYOLO_SIMT_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define MTYOLO_SIMT_UCONTEXT
#endif
#ifdef MTYOLO_SIMT_UCONTEXT
#include <ucontext.h>

#include <memory>
#endif

namespace mtyolo::emulator {
namespace {

constexpr size_t kGuard = 64 << 10;  // the largest page of aarch64
thread_local Context* leaving = nullptr;

void started_on([[maybe_unused]] Context* self) {
#ifdef MTYOLO_ASAN
  __sanitizer_finish_switch_fiber(self == nullptr ? nullptr : self->fake_stack, &leaving->bottom,
                                  &leaving->size);
#endif
}

}  // namespace

#ifdef MTYOLO_SIMT_UCONTEXT

namespace {
void exchange(Context& from, Context& to) {
  ucontext_t here;
  from.stack_pointer = &here;
  swapcontext(&here, static_cast<ucontext_t*>(to.stack_pointer));
}
void prepare(Context& context, char* bottom, size_t size, void (*entry)()) {
  // The first context lies at the foot of its own stack.
  auto* first = reinterpret_cast<ucontext_t*>(bottom);
  getcontext(first);
  first->uc_stack.ss_sp = bottom + sizeof(ucontext_t);
  first->uc_stack.ss_size = size - sizeof(ucontext_t);
  first->uc_link = nullptr;
  makecontext(first, entry, 0);
  context.stack_pointer = first;
}
}  // namespace

#else

extern "C" void mtyolo_switch_stack(void** save, void* load);
#ifdef __x86_64__
asm(R"(
.text
.globl mtyolo_switch_stack
.type mtyolo_switch_stack,@function
mtyolo_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size mtyolo_switch_stack,.-mtyolo_switch_stack
)");
constexpr size_t kSaved = 8, kReturnSlot = 6;  // words on a left stack; which of them is the return address
#else
asm(R"(
.text
.globl mtyolo_switch_stack
.type mtyolo_switch_stack,%function
mtyolo_switch_stack:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size mtyolo_switch_stack,.-mtyolo_switch_stack
)");
constexpr size_t kSaved = 20, kReturnSlot = 11;
#endif

namespace {
void exchange(Context& from, Context& to) { mtyolo_switch_stack(&from.stack_pointer, to.stack_pointer); }
// What mtyolo_switch_stack finds on a stack that was never left: zeros, and entry as the return address. Both
// kinds of processor then stand at entry with the alignment of a call.
void prepare(Context& context, char* bottom, size_t size, void (*entry)()) {
  auto** words = reinterpret_cast<void**>(bottom + size) - kSaved;
  for (size_t i = 0; i < kSaved; ++i) words[i] = nullptr;
  words[kReturnSlot] = reinterpret_cast<void*>(entry);
  context.stack_pointer = words;
}
}  // namespace

#endif

void switch_context(Context& from, Context& to) {
  leaving = &from;
#ifdef MTYOLO_ASAN
  __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.size);
#endif
  exchange(from, to);
  started_on(&from);
}

void finish_first_switch() { started_on(nullptr); }

FiberStack::FiberStack(void (*entry)()) {
  memory_ = mmap(nullptr, kGuard + kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory_ == MAP_FAILED)
    fail(ExitCode::kRuntime, "out_of_memory", "simt: no memory for the stack of a thread");
  mprotect(memory_, kGuard, PROT_NONE);
  char* bottom = static_cast<char*>(memory_) + kGuard;
  context.bottom = bottom;
  context.size = kBytes;
  prepare(context, bottom, kBytes, entry);
}

FiberStack::~FiberStack() {
  unpoison(context.bottom, context.size);
  munmap(memory_, kGuard + kBytes);
}

}  // namespace mtyolo::emulator
