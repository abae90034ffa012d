// How the emulator runs kernels: read from the environment once, replaced by tests.
#pragma once

#include <cstdint>
#include <string>

namespace mtyolo::emulator {

// Which thread of a block goes on when one has to wait. kWarpGreedy runs one warp, chosen at random, as far
// as it can before any other moves: the largest skew between warps. kBlockShuffle runs blocks in random
// order.
enum class Order : uint8_t { kInOrder, kReverse, kShuffle, kWarpGreedy, kBlockShuffle };
// When an asynchronous copy is performed: at the wait for it, at once, or either by a coin.
enum class AsyncMode : uint8_t { kLate, kEarly, kMixed };
// When work on streams runs: at once, or when the host next waits, any ready stream first.
enum class StreamMode : uint8_t { kAtOnce, kRandom };

struct Options {
  Order order = Order::kInOrder;  // MTYOLO_SIMT_ORDER inorder, reverse, shuffle, warp-greedy, block-shuffle
  uint64_t seed = 1;              // MTYOLO_SIMT_SEED
  AsyncMode async = AsyncMode::kLate;        // MTYOLO_SIMT_ASYNC late, early, mixed
  StreamMode streams = StreamMode::kAtOnce;  // MTYOLO_SIMT_STREAMS at-once, random
  int repeat = 1;      // MTYOLO_SIMT_REPEAT: runs of every launch that must agree bitwise
  int workers = 1;     // MTYOLO_SIMT_WORKERS: blocks that run at the same time
  bool count = false;  // MTYOLO_SIMT_COUNT: fill Counters (cuda/simt/counters.h)
};

const Options& options();
// Replaces the options and begins to number launches at 0 again, so that a failure repeats.
void set_options(const Options& options);
std::string to_string(const Options& options);  // "order warp-greedy, seed 3, copies late"

}  // namespace mtyolo::emulator
