// How sums over the pixels of a map are cut: into tiles of pixels, whose number depends on the map's shape
// alone and says how much memory the sums of tiles need.
#pragma once

#include "ops/device/types.h"

namespace mtyolo {

// A block has `tile` pixels of `columns` (at most eight) 16-byte packs of channels; `groups` blocks have all
// channels.
struct ColumnGrid {
  int64_t pixels = 0;
  int c = 0, groups = 0, columns = 0, tile = 0, tiles = 0;
};

// `tile` 0: at least 128 pixels, and at most about 2048 blocks (four waves of a large device).
inline ColumnGrid column_grid(const KernelMap& map, int tile = 0) {
  const int pack = 16 / bytes_of(map.type), packs = (map.c + pack - 1) / pack;
  ColumnGrid g{.pixels = map.pixels(), .c = map.c, .groups = (packs + 7) / 8};
  g.columns = (packs + g.groups - 1) / g.groups;
  const int64_t spread = (g.pixels * g.groups + 2047) / 2048;
  g.tile = tile != 0 ? tile : int(spread > 128 ? spread : 128);
  g.tiles = int((g.pixels + g.tile - 1) / g.tile);
  return g;
}

// Bytes of `sums` sums per tile and channel.
inline size_t column_workspace(const KernelMap& map, int sums) {
  return size_t(column_grid(map).tiles) * size_t(sums) * size_t(map.c) * sizeof(float);
}

}  // namespace mtyolo
