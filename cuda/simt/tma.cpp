#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "cuda/check.h"
#include "cuda/simt/hopper.h"
#include "cuda/simt/memory.h"
#include "cuda/simt/race.h"

namespace mtyolo::emulator {
namespace {

static_assert(sizeof(BoxMap) <= sizeof(TensorMap));

TensorMap packed(const BoxMap& map) {
  TensorMap out{};
  std::memcpy(out.bytes, &map, sizeof(map));
  return out;
}

uint32_t rows_of(const BoxMap& m) {
  if (m.im2col) return m.box[1];
  uint32_t rows = 1;
  for (int d = 1; d < m.rank; ++d) rows *= uint32_t(m.box[d] + m.steps[d] - 1) / m.steps[d];
  return rows;
}
uint32_t row_bytes(const BoxMap& m) { return uint32_t(m.box[0]) * m.element; }

// Calls f(place) for each row of the box, in its order in shared memory; place[1..] are the coordinates
// outside the innermost.
template <class F>
void for_rows(const BoxMap& m, const int* begin, const int* offsets, F&& f) {
  const uint32_t rows = rows_of(m);
  int64_t at[5] = {begin[0], 0, 0, 0, 0}, from[3] = {begin[1], begin[2], begin[3]};
  for (uint32_t row = 0; row < rows; ++row) {
    if (m.im2col) {
      at[1] = from[0] + offsets[0], at[2] = from[1] + offsets[1], at[3] = from[2];
      f(row, at);
      from[0] += m.steps[1];
      if (from[0] < m.dims[1] + m.upper) continue;
      from[0] = m.lower, from[1] += m.steps[2];
      if (from[1] < m.dims[2] + m.upper) continue;
      from[1] = m.lower, ++from[2];
      continue;
    }
    uint32_t rest = row;
    for (int d = 1; d < m.rank; ++d) {
      const uint32_t count = uint32_t(m.box[d] + m.steps[d] - 1) / m.steps[d];
      at[d] = begin[d] + int64_t(rest % count) * m.steps[d];
      rest /= count;
    }
    f(row, at);
  }
}

// The part of a row that lies in the tensor: elements first..last of the box; none: first == last.
struct Inside {
  int64_t first = 0, last = 0;
  const char* from = nullptr;
};
Inside inside(const BoxMap& m, const int64_t* at) {
  Inside part;
  part.from = m.data;
  for (int d = 1; d < m.rank; ++d) {
    if (at[d] < 0 || at[d] >= m.dims[d]) return {};
    part.from += at[d] * m.strides[d];
  }
  part.first = std::clamp<int64_t>(-at[0], 0, m.box[0]);
  part.last = std::clamp<int64_t>(m.dims[0] - at[0], part.first, m.box[0]);
  part.from += (at[0] + part.first) * m.element;
  return part;
}

}  // namespace

TensorMap encode(const TiledMap& map) {
  if (const char* why = tensor_map_refuses(map)) check_argument(false, why);
  BoxMap m{};
  m.data = static_cast<const char*>(map.data);
  m.rank = uint8_t(map.rank), m.element = uint8_t(bytes_of(map.type)), m.swizzle = uint8_t(map.swizzle);
  for (int d = 0; d < 5; ++d) {
    m.strides[d] = map.strides[d], m.dims[d] = map.dims[d];
    m.box[d] = uint16_t(map.box[d]), m.steps[d] = uint8_t(map.steps[d]);
  }
  return packed(m);
}

TensorMap encode(const Im2colMap& map) {
  if (const char* why = tensor_map_refuses(map)) check_argument(false, why);
  BoxMap m{};
  const KernelMap& x = map.x;
  m.data = static_cast<const char*>(x.data);
  m.rank = 4, m.im2col = 1, m.element = uint8_t(bytes_of(x.type)), m.swizzle = uint8_t(map.swizzle);
  m.dims[0] = x.c, m.dims[1] = x.w, m.dims[2] = x.h, m.dims[3] = x.n;
  m.strides[1] = int64_t{x.pixel_stride} * m.element;
  m.strides[2] = m.strides[1] * x.w, m.strides[3] = m.strides[2] * x.h;
  m.box[0] = uint16_t(map.channels), m.box[1] = uint16_t(map.pixels);
  m.steps[1] = m.steps[2] = uint8_t(map.step);
  m.lower = int8_t(map.lower), m.upper = int8_t(map.upper);
  return packed(m);
}

void Hopper::perform(Engine& e, const Box& box) {
  const BoxMap& m = box.map;
  const uint32_t bytes = row_bytes(m), start = shared_offset(box.to);
  std::vector<char> line(bytes);
  for_rows(m, box.begin, box.offsets, [&](uint32_t row, const int64_t* at) {
    std::fill(line.begin(), line.end(), 0);
    const Inside part = inside(m, at);
    if (part.first < part.last)
      std::memcpy(line.data() + part.first * m.element, part.from,
                  size_t(part.last - part.first) * m.element);
    for (uint32_t chunk = 0; chunk < bytes; chunk += 16) {
      const uint32_t place = swizzled_address(Swizzle(m.swizzle), start + row * bytes + chunk);
      std::memcpy(static_cast<char*>(e.arena().dynamic()) + place, line.data() + chunk, 16);
    }
  });
  Barrier& b = barriers.at(box.barrier);
  b.bytes -= int64_t{rows_of(m)} * bytes;
  settle(e, b, box.at);
}

bool Hopper::deliver(Engine& e) {
  if (boxes.empty()) return false;
  const auto chosen = boxes.begin() + ptrdiff_t(e.random().below(boxes.size()));
  const Box box = *chosen;
  boxes.erase(chosen);
  perform(e, box);
  return true;
}

void copy_box(void* to, const TensorMap& map, uint64_t* barrier, const int* begin, int rank,
              const int* offsets, const Site& at) {
  Engine& e = engine();
  Hopper& h = e.hopper();
  Hopper::Box box{};
  std::memcpy(&box.map, map.bytes, sizeof(BoxMap));
  const BoxMap& m = box.map;
  if (m.rank != rank || (m.im2col != 0) != (offsets != nullptr))
    e.fail(at, fmt::format("box copy: {} coordinates for a map of rank {}{}", rank, m.rank,
                           m.im2col ? " that wants offsets of im2col" : ""));
  if (!h.barrier(barrier, at).fenced)
    e.fail(at, "box copy: no fence_barrier_init since its mbarrier was made");
  const uint32_t bytes = rows_of(m) * row_bytes(m);
  if (!e.arena().holds(to, bytes))
    e.fail(at, fmt::format("box copy: {} bytes outside a shared variable", bytes));
  const uint32_t period = std::max(128u, 8 * swizzle_span(Swizzle(m.swizzle)));
  if (shared_offset(to) % period != 0)
    e.fail(at, fmt::format("box copy: the destination must be a multiple of {}", period));
  std::copy(begin, begin + rank, box.begin);
  if (offsets != nullptr) std::copy(offsets, offsets + 2, box.offsets);
  for_rows(m, box.begin, box.offsets, [&](uint32_t, const int64_t* place) {
    const Inside part = inside(m, place);
    const auto size = size_t(part.last - part.first) * m.element;
    if (size == 0) return;
    check_range(part.from, size, at);
    race_access(part.from, size, false, &at);
  });
  box.to = static_cast<char*>(to), box.barrier = barrier, box.at = at;
  const auto lines = e.written_by.begin() + shared_offset(to) / 128;
  std::fill(lines, lines + (bytes + 127) / 128, 0u);
  const AsyncMode mode = options().async;
  if (mode == AsyncMode::kEarly || (mode == AsyncMode::kMixed && e.random().below(2) == 0)) {
    h.perform(e, box);
    return e.check_failed();
  }
  std::memset(to, 0xff, bytes);
  h.boxes.push_back(box);
}

}  // namespace mtyolo::emulator
