// Rendezvous of the lanes of a warp and of the threads of a block. Every arriver must agree on the operation,
// the mask and the call site; what disagrees ends the block with both sites.
#pragma once

#include <bit>
#include <cstring>
#include <type_traits>

#include "cuda/simt/engine.h"

namespace mtyolo::emulator {

// `mine` lies in the caller's stack; `combine` fills the results of all lanes when the last one arrives.
void warp_collective(const char* name, uint32_t mask, void* mine, Combine combine, const Site& at);
void sync_warp(uint32_t mask, const Site& at);

// Waits for all threads; the sum of what they brought.
int sync_block(int vote, const Site& at);
// bar.sync and bar.arrive with a number of threads, a multiple of 32.
void named_barrier(uint32_t id, uint32_t threads, bool wait, const Site& at);

enum class Shuffle : uint8_t { kIndex, kUp, kDown, kXor };
// The lane that `lane` reads from; itself where the CUDA guide says so.
uint32_t shuffle_source(Shuffle kind, uint32_t lane, uint32_t argument, uint32_t width);
[[noreturn]] void bad_shuffle(uint32_t lane, uint32_t source, const Site& at);

template <Shuffle kind, class T>
T shuffle(uint32_t mask, T value, uint32_t argument, uint32_t width, const Site& at) {
  struct Lane {
    T in, out;
    uint32_t argument, width;
  };
  Lane mine{value, value, argument, width};
  warp_collective(
      "shuffle", mask, &mine,
      [](void* const* lanes, const Site& site) {
        for (uint32_t i = 0; i < 32; ++i) {
          if (lanes[i] == nullptr) continue;
          Lane& lane = *static_cast<Lane*>(lanes[i]);
          const uint32_t source = shuffle_source(kind, i, lane.argument, lane.width);
          if (lanes[source] == nullptr) bad_shuffle(i, source, site);
          lane.out = static_cast<const Lane*>(lanes[source])->in;
        }
      },
      at);
  return mine.out;
}

uint32_t ballot(uint32_t mask, bool vote, const Site& at);

// For each lane the lanes that brought the same bits.
template <class T>
uint32_t match_any(uint32_t mask, T value, const Site& at) {
  static_assert(std::is_trivially_copyable_v<T>);
  struct Lane {
    T in;
    uint32_t out;
  };
  Lane mine{value, 0};
  warp_collective(
      "match", mask, &mine,
      [](void* const* lanes, const Site&) {
        for (uint32_t i = 0; i < 32; ++i)
          for (uint32_t j = 0; j < 32 && lanes[i] != nullptr; ++j)
            if (lanes[j] != nullptr && static_cast<Lane*>(lanes[i])->in == static_cast<Lane*>(lanes[j])->in)
              static_cast<Lane*>(lanes[i])->out |= 1u << j;
      },
      at);
  return mine.out;
}

// redux.sync: the combination of all lanes, in lane order.
template <class T, class F>
T reduce(uint32_t mask, T value, F, const Site& at) {
  T mine = value;
  warp_collective(
      "reduce", mask, &mine,
      [](void* const* lanes, const Site&) {
        T sum{};
        bool first = true;
        for (uint32_t i = 0; i < 32; ++i) {
          if (lanes[i] == nullptr) continue;
          sum = first ? *static_cast<T*>(lanes[i]) : F{}(sum, *static_cast<T*>(lanes[i]));
          first = false;
        }
        for (uint32_t i = 0; i < 32; ++i)
          if (lanes[i] != nullptr) *static_cast<T*>(lanes[i]) = sum;
      },
      at);
  return mine;
}

}  // namespace mtyolo::emulator
