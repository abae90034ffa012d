#include <algorithm>
#include <bit>
#include <cstring>

#include "core/dtype.h"
#include "core/error.h"
#include "cuda/simt/hopper.h"

namespace mtyolo::emulator {
namespace {

constexpr int kRows = 64, kDepth = 16, kMaxColumns = 256, kGroup = 128;

uint32_t bits(uint64_t descriptor, int first, int count) {
  return uint32_t(descriptor >> first) & ((1u << count) - 1);
}
Swizzle swizzle_of(uint64_t descriptor) { return Swizzle((4 - bits(descriptor, 62, 2)) % 4); }

float element(const char* p, bool bf16) {
  uint16_t raw;
  std::memcpy(&raw, p, 2);
  if (bf16) return std::bit_cast<float>(uint32_t(raw) << 16);
  Half h;
  h.bits = raw;
  return float(h);
}

// `rows` rows of 16 elements.
void load(Engine& e, uint64_t descriptor, int rows, bool bf16, float* out, const Site& at) {
  const auto* memory = static_cast<const char*>(e.arena().dynamic());
  for (int row = 0; row < rows; ++row)
    for (uint32_t k = 0; k < 2 * kDepth; k += 16) {
      const uint32_t place = descriptor_offset(descriptor, uint32_t(row), k);
      if (!e.arena().holds(memory + place, 16))
        e.fail(at, fmt::format("wgmma: row {} at offset {} lies outside the shared variables", row, place));
      if (const uint32_t writer = e.written_by[place / 128]; writer != 0)
        e.fail(at, fmt::format("wgmma: reads offset {}, written by thread {} without fence_proxy_async",
                               place, writer - 1));
      for (uint32_t i = 0; i < 8; ++i)
        out[row * kDepth + int(k / 2 + i)] = element(memory + place + 2 * i, bf16);
    }
}

}  // namespace

uint32_t shared_offset(const void* p) { return uint32_t(engine().arena().offset(p)); }

uint32_t descriptor_offset(uint64_t descriptor, uint32_t row, uint32_t k) {
  const uint32_t start = bits(descriptor, 0, 14) * 16, leading = bits(descriptor, 16, 14) * 16,
                 stride = bits(descriptor, 32, 14) * 16;
  const Swizzle swizzle = swizzle_of(descriptor);
  if (swizzle == Swizzle::kNone) return start + row / 8 * stride + k / 16 * leading + row % 8 * 16 + k % 16;
  return swizzled_address(swizzle, start + row / 8 * stride + row % 8 * swizzle_span(swizzle) + k);
}

void Hopper::perform_next(Engine& e, Group& group) {
  const Operation op = std::move(group.operations.front());
  group.operations.pop_front();
  thread_local float a[kRows * kDepth], b[kMaxColumns * kDepth], sum[kMaxColumns];
  load(e, op.a, kRows, op.bf16, a, op.at);
  load(e, op.b, op.n, op.bf16, b, op.at);
  thread_local float turned[kDepth * kMaxColumns];
  for (int n = 0; n < op.n; ++n)
    for (int k = 0; k < kDepth; ++k) turned[k * op.n + n] = b[n * kDepth + k];
  const auto first = size_t(&group - groups.data()) * kGroup;
  for (int row = 0; row < kRows; ++row) {
    std::fill(sum, sum + op.n, 0.0f);
    for (int k = 0; k < kDepth; ++k)
      for (int n = 0; n < op.n; ++n) sum[n] += a[row * kDepth + k] * turned[k * op.n + n];
    for (int quad = 0; quad < 4; ++quad) {  // the four threads that hold this row
      const int thread = row / 16 * 32 + row % 8 * 4 + quad;
      float* d = threads[first + size_t(thread)].accumulators.at(op.d[size_t(thread)]).values.data();
      for (int i = row / 8 % 2 * 2; i < op.n / 2; i += i % 2 == 0 ? 1 : 3)
        d[i] = sum[d_place(thread, i).column] + (op.accumulate ? d[i] : 0.0f);
    }
  }
  ++group.performed;
}

void wgmma(const Wgmma& mine, float* d) {
  Engine& e = engine();
  e.check_failed();
  Hopper& h = e.hopper();
  const uint32_t number = e.thread().number;
  Hopper::ThreadState& t = h.threads[number];
  Hopper::Group& group = h.groups[number / kGroup];
  const Site& at = mine.at;
  if (e.threads() % kGroup != 0) e.fail(at, "wgmma: the block must be whole warpgroups of 128 threads");
  if (!t.fenced) e.fail(at, "wgmma: no wgmma_fence since this thread last had the accumulators");
  for (const uint64_t descriptor : {mine.a, mine.b}) {
    const Swizzle swizzle = swizzle_of(descriptor);
    if (bits(descriptor, 49, 3) != 0 || bits(descriptor, 32, 14) * 16 % (8 * swizzle_span(swizzle)) != 0)
      e.fail(at,
             "wgmma: the descriptor's stride must be a multiple of eight spans of its swizzle, its base "
             "offset 0");
  }
  const uint64_t place = t.issued++ - group.performed;
  if (place == group.operations.size()) {
    group.operations.emplace_back();
    static_cast<Wgmma&>(group.operations.back()) = mine;
    group.operations.back().d.resize(kGroup);
  }
  Hopper::Operation& op = group.operations[place];
  if (op.n != mine.n || op.bf16 != mine.bf16 || op.a != mine.a || op.b != mine.b ||
      op.accumulate != mine.accumulate || !(op.at == at))
    e.fail(at, fmt::format(
                   "wgmma: threads of a warpgroup disagree: m64n{}k16 of {:#x} and {:#x} here, m64n{}k16 of "
                   "{:#x} and {:#x} at {}",
                   mine.n, mine.a, mine.b, op.n, op.a, op.b, to_string(op.at)));
  Hopper::Accumulators& acc = t.accumulators[d];
  const auto values = size_t(mine.n) / 2;
  if (acc.values.empty()) {
    acc.values.assign(d, d + values);
    std::memset(d, 0xff, values * sizeof(float));
  }
  if (acc.values.size() != values) e.fail(at, "wgmma: accumulators of another shape are still in flight");
  acc.last = t.issued;
  t.at = at;
  op.d[number % kGroup] = d;
  if (++op.joined < kGroup) return;
  for (const uint32_t thread : group.waiting) e.wake(thread);
  group.waiting.clear();
  const AsyncMode mode = options().async;
  if (mode == AsyncMode::kLate || (mode == AsyncMode::kMixed && e.random().below(2) == 0)) return;
  for (uint64_t i = 0; i <= place; ++i) h.perform_next(e, group);
}

void wgmma_fence() {
  Engine& e = engine();
  e.hopper().threads[e.thread().number].fenced = true;
}

void wgmma_commit() {
  Engine& e = engine();
  Hopper::ThreadState& t = e.hopper().threads[e.thread().number];
  t.groups.push_back(t.issued);
}

void wgmma_wait(uint32_t groups_left, const Site& at) {
  Engine& e = engine();
  e.check_failed();
  Hopper& h = e.hopper();
  const uint32_t number = e.thread().number;
  Hopper::ThreadState& t = h.threads[number];
  Hopper::Group& group = h.groups[number / kGroup];
  if (t.groups.size() <= groups_left) return;
  const uint64_t target = t.groups[t.groups.size() - 1 - groups_left];
  t.groups.erase(t.groups.begin(), t.groups.end() - ptrdiff_t(groups_left));
  while (group.performed < target) {
    if (group.operations.front().joined == kGroup) {
      h.perform_next(e, group);
      continue;
    }
    group.waiting.push_back(number);
    e.wait("wgmma", at);
  }
  std::erase_if(t.accumulators, [&](const auto& item) {
    if (item.second.last > target) return false;
    std::copy(item.second.values.begin(), item.second.values.end(), item.first);
    t.fenced = false;
    return true;
  });
}

}  // namespace mtyolo::emulator
