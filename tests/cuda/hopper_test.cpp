// The model of sm_90a: barriers with phases, box copies, products of a warpgroup, and that their misuse is
// found.
#include "cuda/device/hopper.cuh"
#include "cuda/device/block.cuh"
#include "cuda/device/tensor_map.cuh"
#include "cuda/device/vec.cuh"
#include "cuda/device/wgmma.cuh"
#include "cuda/launch.h"
#include "tests/cuda/simt_testing.h"

using namespace mtyolo;
using namespace mtyolo::simt;
using namespace mtyolo::test;

namespace mtyolo::simt {
namespace {

// What box_kernel and product_kernel do wrong, by a part of the error that must follow; "" nothing.
using Fault = std::string_view;

struct BoxRun {
  int rank = 0, begin[5] = {}, offsets[2] = {}, bytes = 0;
  bool im2col = false;
  Fault fault{};
};

// One box, copied out byte by byte.
MTYOLO_KERNEL box_kernel(MTYOLO_GRID_CONSTANT const TensorMap map, BoxRun run, unsigned char* out) {
  MTYOLO_DYNAMIC_SMEM(char, tile);
  MTYOLO_SMEM(MBarrier, bar, [1]);
  const Fault f = run.fault;
  if (thread_index().x == 0) {
    if (f != "not initialised") mbarrier_init(bar, 1);
    if (f == "initialised twice") mbarrier_init(bar, 1);
    if (f != "no fence_barrier_init") fence_barrier_init();
    if (f == "overwritten") bar->state = 0;
    const int wrong = f == "lacks 0 arrivals and 16 bytes"           ? 16
                      : f == "16 bytes more than its phase expected" ? -16
                                                                     : 0;
    if (f != "lacks 1 arrivals") mbarrier_arrive_expect_tx(bar, uint32_t(run.bytes + wrong));
    if (f == "more than 1 arrivals in a phase") mbarrier_arrive(bar);
    char* to = tile + (f == "must be a multiple of 1024"  ? 64
                       : f == "outside a shared variable" ? 1 << 16
                                                          : 0);
    const auto& b = run.begin;
    if (run.im2col) tma_load_im2col(to, map, bar, {b[0], b[1], b[2], b[3]}, run.offsets[0], run.offsets[1]);
    else if (run.rank == 1 || f == "1 coordinates for a map of rank 2") tma_load(to, map, bar, {b[0]});
    else if (run.rank == 2) tma_load(to, map, bar, {b[0], b[1]});
    else if (run.rank == 3) tma_load(to, map, bar, {b[0], b[1], b[2]});
    else tma_load(to, map, bar, b);
  }
  sync();
  if (f != "nobody waited for this box copy") mbarrier_wait(bar, f == "expected 0 or 1" ? 2 : 0);
  for (int i = int(thread_index().x); i < run.bytes; i += int(block_size().x))
    out[i] = (unsigned char)(tile[i]);
}

// d (64 x N) of A (64 x 16) and B (N x 16) in rows of one span; without a swizzle as 8 x 16-byte matrices.
template <class T, int N>
MTYOLO_KERNEL product_kernel(MTYOLO_GRID_CONSTANT const TensorMap a_map,
                             MTYOLO_GRID_CONSTANT const TensorMap b_map, Swizzle swizzle, float* out,
                             Fault f) {
  MTYOLO_DYNAMIC_SMEM(char, tile);
  MTYOLO_SMEM(MBarrier, bar, [1]);
  const auto span = swizzle_span(swizzle);
  char* b_tile = tile + 64 * 128;
  const int t = int(thread_index().x);
  if (f == "deadlock" && t >= 64) return;
  if (t == 0) {
    mbarrier_init(bar, 1);
    fence_barrier_init();
    mbarrier_arrive_expect_tx(bar, uint32_t(64 + N) * (swizzle == Swizzle::kNone ? 32 : span));
    for (int part = 0; part < (swizzle == Swizzle::kNone ? 2 : 1); ++part) {
      tma_load(tile + part * 64 * 16, a_map, bar, {8 * part, 0});
      tma_load(b_tile + part * N * 16, b_map, bar, {8 * part, 0});
    }
  }
  if (f != "deadlock") sync();
  mbarrier_wait(bar, 0);
  if (t == 0 && (f == "without fence_proxy_async" || f == "fenced")) {
    st128(b_tile, ld128(b_tile));
    if (f == "fenced") fence_proxy_async();
  }
  if (f == "fenced") sync();
  const uint32_t stride = f == "multiple of eight spans" ? 8 * span + 16 : 8 * span;
  const Swizzle read = f == "other swizzle" ? Swizzle::k64 : swizzle;
  const auto da = wgmma_descriptor(tile, read, stride, 64 * 16);
  const char* from = f == "outside the shared variables"                 ? tile + 60000
                     : f == "threads of a warpgroup disagree" && t == 77 ? tile
                                                                         : b_tile;
  const auto db = wgmma_descriptor(from, swizzle, 8 * span, N * 16);
  float d[N / 2];
  for (int i = 0; i < N / 2; ++i) d[i] = float(i);
  if (f != "no wgmma_fence") wgmma_fence();
  wgmma<T, N>(d, da, db, false);
  wgmma<T, N>(d, da, db, true);
  if (f != "before it waited for this wgmma") wgmma_commit();
  if (f != "read early") wgmma_wait<0>(d);
  for (int i = 0; i < N / 2; ++i) {
    const emulator::Place p = emulator::d_place(t, i);
    out[p.row * N + p.column] = d[i];
  }
  if (f == "read early") wgmma_wait<0>(d);
}

// Two warps hand numbers over, `rounds` times; each slot has a full and an empty barrier.
MTYOLO_KERNEL ring_kernel(int rounds, int wrong, int* out) {
  MTYOLO_SMEM(MBarrier, full, [2]);
  MTYOLO_SMEM(MBarrier, empty, [2]);
  MTYOLO_SMEM(int, slot, [2]);
  if (thread_index().x == 0) {
    for (int i = 0; i < 2; ++i) mbarrier_init(&full[i], 1), mbarrier_init(&empty[i], 32);
    fence_barrier_init();
  }
  sync();
  for (int i = 0; i < rounds; ++i) {
    const int s = i % 2;
    const auto parity = uint32_t(i / 2 % 2);
    if (thread_index().x == 0) {
      mbarrier_wait(&empty[s], wrong == 1 ? parity : parity ^ 1);
      slot[s] = i;
      mbarrier_arrive(&full[s]);
    } else if (warp_index() == 1) {
      if (wrong != 2) mbarrier_wait(&full[s], wrong == 3 ? 0 : parity);
      out[i * 32 + int(lane_index())] = slot[s];
      if (wrong != 4 || lane_index() != 5) mbarrier_arrive(&empty[s]);
    }
  }
}

MTYOLO_KERNEL registers_kernel(int part) {
  if (part == 0 || warp_index() == 1) more_registers<232>();
}

MTYOLO_KERNEL phase_kernel(int* out) {
  MTYOLO_SMEM(MBarrier, bar, [1]);
  if (thread_index().x != 0) return;
  mbarrier_init(bar, 2);
  int i = 0;
  for (int arrivals = 0; arrivals < 6; ++arrivals) {
    for (const uint32_t parity : {0u, 1u}) out[i++] = mbarrier_test(bar, parity);
    mbarrier_arrive(bar);
  }
}

}  // namespace
}  // namespace mtyolo::simt

namespace {

std::vector<emulator::Options> copy_runs() {
  std::vector<emulator::Options> runs;
  for (emulator::Options run : kernel_runs())
    for (const auto mode :
         {emulator::AsyncMode::kLate, emulator::AsyncMode::kEarly, emulator::AsyncMode::kMixed}) {
      run.async = mode;
      runs.push_back(run);
    }
  return runs;
}

std::vector<Half> numbers(size_t count) {
  std::vector<Half> values(count);
  for (size_t i = 0; i < count; ++i) values[i].bits = uint16_t(i * 7 + 1);
  return values;
}

// Byte `i` of a row of `span` bytes, from the drawings of the CUDA driver API.
size_t drawn(Swizzle s, size_t row, size_t i) {
  const size_t span = swizzle_span(s), chunk = i / 16;
  const size_t moved = s == Swizzle::k128  ? chunk ^ (row % 8)
                       : s == Swizzle::k64 ? chunk ^ (row / 2 % 4)
                       : s == Swizzle::k32 ? chunk ^ (row / 4 % 2)
                                           : chunk;
  return row * span + moved * 16 + i % 16;
}

uint16_t half_at(const std::vector<unsigned char>& bytes, size_t at) {
  return uint16_t(bytes[at] | bytes[at + 1] << 8);
}

template <class T, int N>
std::string product(Swizzle swizzle, Fault f) {
  const int width = swizzle == Swizzle::kNone ? 8 : int(swizzle_span(swizzle)) / 2;
  const auto a = random_values(64 * 64, 1, false), b = random_values(size_t(N) * 64, 2, false);
  std::vector<T> a_typed, b_typed;
  for (const double v : a) a_typed.push_back(T(float(v)));
  for (const double v : b) b_typed.push_back(T(float(v)));
  const SimtBuffer<T> device_a(a_typed), device_b(b_typed);
  const SimtBuffer<float> out(64 * size_t(N));
  TiledMap map{device_a.get(), std::is_same_v<T, Half> ? KernelType::kF16 : KernelType::kBF16};
  map.dims[0] = 64, map.dims[1] = 64, map.strides[1] = 128, map.box[0] = width, map.box[1] = 64;
  map.swizzle = swizzle;
  const TensorMap a_map = tensor_map(map);
  map.data = device_b.get(), map.dims[1] = map.box[1] = N;
  const TensorMap b_map = tensor_map(map);
  launch(product_kernel<T, N>, {{1}, {128}, size_t(64 + N) * 128}, {}, a_map, b_map, swizzle, out.get(), f);
  const std::vector<float> stored = out.values();
  std::vector<double> want;
  for (size_t m = 0; m < 64; ++m)
    for (size_t n = 0; n < size_t(N); ++n) {
      double sum = 0;
      for (size_t k = 0; k < 16; ++k) sum += a[m * 64 + k] * b[n * 64 + k];
      want.push_back(2 * sum);
    }
  return relative_l2({stored.begin(), stored.end()}, want) < 1e-6 ? "" : "wrong product";
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("simt: wgmma's accumulators are m16n8 fragments side by side, and chunks swizzle as drawn") {
  for (const int n : {64, 128, 256}) {
    std::vector<int> seen(size_t(64 * n));
    for (int thread = 0; thread < 128; ++thread)
      for (int i = 0; i < n / 2; ++i) {
        const emulator::Place p = emulator::d_place(thread, i), small = emulator::c_place(thread % 32, i % 4);
        CHECK(p == emulator::Place{thread / 32 * 16 + small.row, i / 4 * 8 + small.column});
        ++seen[size_t(p.row * n + p.column)];
      }
    CHECK(seen == std::vector<int>(size_t(64 * n), 1));
  }
  for (const Swizzle s : {Swizzle::kNone, Swizzle::k32, Swizzle::k64, Swizzle::k128})
    for (size_t row = 0; row < 24; ++row)
      for (size_t i = 0; i < swizzle_span(s); ++i)
        CHECK(swizzled_address(s, uint32_t(row * swizzle_span(s) + i)) == drawn(s, row, i));
}

TEST_CASE("simt: phases of an mbarrier end with their last arrival and alternate in parity") {
  const SimtBuffer<int> out(12);
  launch(phase_kernel, {{1}, {32}}, {}, out.get());
  CHECK(out.values() == std::vector<int>{0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 1});
}

TEST_CASE("simt: tiled boxes hold the tensor's elements, and zeros outside it") {
  // c 40, x 9, y 5, and two dimensions of 3 and 2
  const int64_t dims[5] = {40, 9, 5, 3, 2}, strides[5] = {2, 96, 96 * 9, 96 * 45, 96 * 135};
  const std::vector<Half> x = numbers(48 * 9 * 5 * 3 * 2);
  const SimtBuffer<Half> device(x);
  struct Case {
    int rank, box[5], steps[5];
    Swizzle swizzle;
  };
  const Case cases[] = {{1, {16, 1, 1, 1, 1}, {1, 1, 1, 1, 1}, Swizzle::kNone},
                        {2, {64, 7, 1, 1, 1}, {1, 1, 1, 1, 1}, Swizzle::k128},
                        {3, {32, 4, 3, 1, 1}, {1, 1, 1, 1, 1}, Swizzle::k64},
                        {3, {16, 5, 4, 1, 1}, {1, 2, 3, 1, 1}, Swizzle::k32},
                        {5, {8, 3, 2, 2, 2}, {1, 1, 2, 1, 1}, Swizzle::kNone}};
  for (const emulator::Options& run : copy_runs())
    for (const Case& c : cases) {
      const WithOptions with(run);
      TiledMap map{device.get(), KernelType::kF16, c.rank};
      BoxRun box{c.rank};
      int rows = 1, count[5] = {c.box[0], 1, 1, 1, 1};
      for (int d = 0; d < c.rank; ++d) {
        map.dims[d] = dims[d], map.strides[d] = strides[d], map.box[d] = c.box[d], map.steps[d] = c.steps[d];
        if (d > 0) rows *= count[d] = (c.box[d] + c.steps[d] - 1) / c.steps[d];
      }
      map.swizzle = c.swizzle;
      box.bytes = rows * c.box[0] * 2;
      const SimtBuffer<unsigned char> out(size_t(box.bytes));
      for (const int corner : {-1, 0, 1})  // before, inside and behind the tensor, in every dimension
        for (int d = 0; d < c.rank; ++d) {
          for (int other = 0; other < c.rank; ++other) box.begin[other] = other == 0 ? 8 : 0;
          box.begin[d] = corner < 0 ? -c.box[d] / 2 - (d == 0 ? 1 : 0) : corner == 0 ? 0 : int(dims[d]) - 1;
          launch(box_kernel, {{1}, {64}, size_t(box.bytes)}, {}, tensor_map(map), box, out.get());
          const auto got = out.values();
          int wrong = 0;
          for (int row = 0; row < rows; ++row)
            for (int i = 0; i < c.box[0]; ++i) {
              int64_t rest = row, at = box.begin[0] + i, place = at;
              bool inside = at >= 0 && at < dims[0];
              for (int e = 1; e < c.rank; rest /= count[e], ++e) {
                at = box.begin[e] + rest % count[e] * c.steps[e];
                inside = inside && at >= 0 && at < dims[e];
                place += at * strides[e] / 2;
              }
              const uint16_t want = inside ? x[size_t(place)].bits : uint16_t(0);
              const size_t linear = size_t(row * c.box[0] + i) * 2;
              wrong += half_at(got, c.swizzle == Swizzle::kNone
                                        ? linear
                                        : drawn(c.swizzle, size_t(row), size_t(i) * 2)) != want;
            }
          INFO("rank " << c.rank << ", dimension " << d << " at " << box.begin[d]);
          CHECK(wrong == 0);
        }
    }
}

TEST_CASE("simt: a column of im2col holds the pixels that a convolution's tap reads") {
  const int n = 2, h = 7, w = 9, c = 24, stride_c = 32;
  const std::vector<Half> x = numbers(size_t(n * h * w * stride_c));
  const SimtBuffer<Half> device(x);
  for (const emulator::Options& run : copy_runs())
    for (const int step : {1, 2}) {
      const WithOptions with(run);
      const int kernel = 3, pad = 1, p = (h + 2 * pad - kernel) / step + 1,
                q = (w + 2 * pad - kernel) / step + 1;
      const Im2colMap map{{device.get(), KernelType::kF16, n, h, w, c, stride_c},
                          -pad,
                          pad - (kernel - 1),
                          step,
                          32,
                          40,
                          Swizzle::k64};
      BoxRun box{4, {}, {}, 40 * 64, true};
      const SimtBuffer<unsigned char> out(size_t(box.bytes));
      for (const int first : {0, 13, n * p * q - 5})
        for (int tap = 0; tap < 9; ++tap) {
          const int r = tap / 3, s = tap % 3;
          box.begin[1] = first % q * step - pad, box.begin[2] = first / q % p * step - pad;
          box.begin[3] = first / q / p, box.offsets[0] = s, box.offsets[1] = r;
          launch(box_kernel, {{1}, {64}, size_t(box.bytes)}, {}, tensor_map(map), box, out.get());
          const auto got = out.values();
          int wrong = 0;
          for (int i = 0; i < 40; ++i)
            for (int e = 0; e < 32; ++e) {
              const int pixel = first + i, y = pixel / q % p * step - pad + r, z = pixel % q * step - pad + s;
              const bool inside = pixel < n * p * q && y >= 0 && y < h && z >= 0 && z < w && e < c;
              const int at = ((pixel / q / p * h + y) * w + z) * stride_c + e;
              wrong += half_at(got, drawn(Swizzle::k64, size_t(i), size_t(e) * 2)) !=
                       (inside ? x[size_t(at)].bits : uint16_t(0));
            }
          INFO("first " << first << ", tap " << tap << ", step " << step);
          CHECK(wrong == 0);
        }
    }
}

TEST_CASE("simt: wgmma agrees with the sum, whatever the swizzle, the type and the width") {
  for (const emulator::Options& run : copy_runs()) {
    const WithOptions with(run);
    for (const Swizzle s : {Swizzle::kNone, Swizzle::k32, Swizzle::k64, Swizzle::k128})
      CHECK(product<Half, 64>(s, "").empty());
    CHECK(product<BFloat16, 128>(Swizzle::k128, "").empty());
    CHECK(product<Half, 256>(Swizzle::k128, "").empty());
    CHECK(product<Half, 64>(Swizzle::k128, "fenced").empty());
  }
}

TEST_CASE("simt: misuse of wgmma is found and names its line") {
  for (const Fault text : {"without fence_proxy_async", "no wgmma_fence", "before it waited for this wgmma",
                           "threads of a warpgroup disagree", "outside the shared variables",
                           "multiple of eight spans", "deadlock"}) {
    const std::string error = launch_error([&] { (void)product<Half, 64>(Swizzle::k128, text); });
    INFO(text << ": " << error);
    CHECK(has(error, text));
    CHECK(has(error, "tests/cuda/hopper_test.cpp:"));
  }
  CHECK(product<Half, 64>(Swizzle::k128, "read early") == "wrong product");
  CHECK(product<Half, 64>(Swizzle::k128, "other swizzle") == "wrong product");
  for (const int part : {0, 1}) {
    const std::string error = launch_error([&] { launch(registers_kernel, {{1}, {384}}, {}, part); });
    CHECK(has(error, part == 0 ? "a multiprocessor has 65536" : "different numbers of registers"));
  }
}

TEST_CASE("simt: misuse of box copies and their barriers is found and names its line") {
  const SimtBuffer<Half> device(numbers(64 * 8));
  TiledMap map{device.get()};
  map.dims[0] = 64, map.dims[1] = 8, map.strides[1] = 128, map.box[0] = 64, map.box[1] = 8;
  map.swizzle = Swizzle::k128;
  const SimtBuffer<unsigned char> out(1024);
  for (const Fault text : {"no fence_barrier_init", "not initialised", "initialised twice", "overwritten",
                           "lacks 0 arrivals and 16 bytes", "16 bytes more than its phase expected",
                           "more than 1 arrivals in a phase", "lacks 1 arrivals", "expected 0 or 1",
                           "nobody waited for this box copy", "must be a multiple of 1024",
                           "outside a shared variable", "1 coordinates for a map of rank 2"}) {
    const BoxRun box{2, {}, {}, 1024, false, text};
    const std::string error = launch_error([&] {
      launch(box_kernel, {{1}, {64}, 2048}, {}, tensor_map(map), box, out.get());
    });
    INFO(text << ": " << error);
    CHECK(has(error, text));
    CHECK(has(error, "tests/cuda/hopper_test.cpp:"));
  }
  map.box[0] = 32;
  CHECK(has(error_text([&] { (void)tensor_map(map); }), "one span wide"));
}

TEST_CASE("simt: a ring of full and empty barriers hands on, and each wrong wait or arrival is found") {
  for (const emulator::Options& run : kernel_runs()) {
    const WithOptions with(run);
    const SimtBuffer<int> out(7 * 32);
    for (const int wrong : {0, 1, 2, 3, 4}) {
      const std::string error = launch_error([&] {
        launch(ring_kernel, {{1}, {64}}, {}, 7, wrong, out.get());
      });
      bool right = true;
      for (size_t i = 0; i < 7 * 32; ++i) right = right && out.values()[i] == int(i / 32);
      INFO(wrong << ": " << error);
      CHECK((error == "no error" && right) == (wrong == 0));
    }
  }
}
