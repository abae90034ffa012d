// What sm_90 adds, as a model: barriers in shared memory with phases and byte counts (mbarrier), box copies
// (TMA) and products of a warpgroup (wgmma). Nothing here orders memory for the race checker.
//   PTX ISA: "mbarrier", "cp.async.bulk.tensor", "Tensors", "wgmma", "Matrix descriptor".
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "cuda/simt/engine.h"
#include "cuda/simt/tile.h"
#include "cuda/tensor_map.h"

namespace mtyolo::emulator {

TensorMap encode(const TiledMap& map);
TensorMap encode(const Im2colMap& map);

// What encode() puts into a TensorMap.
struct BoxMap {
  const char* data;
  int64_t strides[5];  // bytes
  int64_t dims[5];
  uint16_t box[5];   // im2col: channels, pixels
  uint8_t steps[5];  // im2col: of w at [1], of h at [2]
  int8_t lower, upper;
  uint8_t rank, element, swizzle, im2col;
};

void mbarrier_init(uint64_t* barrier, uint32_t arrivals, const Site& at);
void mbarrier_arrive(uint64_t* barrier, uint32_t bytes, const Site& at);
// Whether the phase of this parity is over; of the phases not begun the one before the present counts as
// over.
bool mbarrier_test(uint64_t* barrier, uint32_t parity, const Site& at);
void mbarrier_wait(uint64_t* barrier, uint32_t parity, const Site& at);
void fence_barrier_init();
// Orders what this thread wrote to shared memory before asynchronous accesses. Only the writer's own fence
// counts.
void fence_proxy_async();

// `at`: where the box begins, innermost first (im2col: c, w, h, n); offsets of im2col: w, h. Performed at
// once or when no thread can go on (AsyncMode); until then the box in shared memory holds 0xFF bytes.
void copy_box(void* to, const TensorMap& map, uint64_t* barrier, const int* begin, int rank,
              const int* offsets, const Site& at);

// Element of the accumulators that value `i` of thread 0..127 of a warpgroup is (simt-emulation.md, section
// 4).
constexpr Place d_place(int thread, int i) {
  const int lane = thread % 32;
  return {16 * (thread / 32) + lane / 4 + 8 * (i >> 1 & 1), 8 * (i >> 2) + 2 * (lane % 4) + (i & 1)};
}
// Byte `k` of row `row` of the matrix of a descriptor, K-major, as an offset in shared memory.
uint32_t descriptor_offset(uint64_t descriptor, uint32_t row, uint32_t k);
uint32_t shared_offset(const void* p);

struct Wgmma {
  int n = 0;
  bool bf16 = false;
  uint64_t a = 0, b = 0;
  bool accumulate = false;
  Site at;
};
// d (n / 2 values) = a b + d, by all threads of a warpgroup; d holds NaN until wgmma_wait() has seen it done.
void wgmma(const Wgmma& operation, float* d);
void wgmma_fence();
void wgmma_commit();
void wgmma_wait(uint32_t groups_left, const Site& at);
void set_registers(uint32_t count, const Site& at);

// Of one block; the functions above work on it.
struct Hopper {
  explicit Hopper(uint32_t count) : threads(count), groups((count + 127) / 128) {}

  // One late copy; false when there is none.
  bool deliver(Engine& e);
  std::string end_thread() const;        // what the present thread left undone, or ""
  std::string end_block() const;         // what the block left undone, or ""
  std::string pending_barriers() const;  // for the report of a deadlock

  struct Barrier {
    uint32_t count = 0, missing = 0;  // arrivals of a phase, of the present one
    int64_t bytes = 0;                // expected and not yet come
    uint64_t phase = 0;
    uint32_t initialiser = 0;
    bool fenced = false;
    Site at;
    std::vector<uint32_t> waiting, woken;
  };
  struct Box {
    BoxMap map;
    int begin[5], offsets[2];
    char* to;
    uint64_t* barrier;
    Site at;
  };
  struct Operation : Wgmma {
    uint32_t joined = 0;
    std::vector<float*> d;  // of the 128 threads
  };
  struct Group {
    std::deque<Operation> operations;  // not yet performed
    uint64_t performed = 0;
    std::vector<uint32_t> waiting;
  };
  struct Accumulators {
    std::vector<float> values;
    uint64_t last = 0;  // number of the operation that writes them last
  };
  struct ThreadState {
    uint64_t issued = 0;
    std::vector<uint64_t> groups;  // operations issued when each was committed
    bool fenced = false;
    std::map<float*, Accumulators> accumulators;  // not yet handed back
    Site at;
    uint32_t registers = 0;
  };

  Barrier& barrier(const uint64_t* p, const Site& at);
  void settle(Engine& e, Barrier& b, const Site& at);
  void perform(Engine& e, const Box& box);
  void perform_next(Engine& e, Group& group);

  std::map<const uint64_t*, Barrier> barriers;
  std::vector<Box> boxes;
  std::vector<ThreadState> threads;
  std::vector<Group> groups;
};

}  // namespace mtyolo::emulator
