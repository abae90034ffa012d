// Gradient of a convolution's weight on blocked maps.
//
// Direct form: for a panel of output channels, an input block and a tap, the products of x and gy summed over
// pixels (outer_tile.h). The pixels are cut into parts with sums of their own, added in order at the end;
// how many depends on shapes alone. Within a part, pieces of about 128 pixels stay in the first-level cache.
// 3x3 layers with stride 1: Winograd's forms, as forward (winograd_kernel.cpp).
#include <algorithm>

#include "ops/blocked/training.h"
#include "ops/blocked/winograd.h"

namespace mtyolo::ops::blocked {
namespace {

int divide_up(int64_t a, int64_t b) { return int((a + b - 1) / b); }

// What both forms share: the panels of gy and where the results go.
struct Weight {
  Weight(const Map& x, const Map& gy, const Conv2d& p, GradMode m, Tensor& g, const KernelTable& k)
      : table(k), params(p), mode(m), gw(g) {
    panels = divide_up(gy.view.channels, k.panel);
    blocks = x.blocks();
    lanes = lanes_of(0, x.view.channels);
  }

  // Blocks of input channels that the outputs of a panel read.
  std::pair<int, int> input_blocks(int panel) const {
    const int group_out = int(gw.size(0)) / params.groups, group_in = int(gw.size(1));
    const int last_out = std::min((panel + 1) * table.panel, int(gw.size(0))) - 1;
    return {panel * table.panel / group_out * group_in / kBlock,
            ((last_out / group_out + 1) * group_in - 1) / kBlock + 1};
  }
  int panel_blocks(int panel, const Map& gy) const {
    return std::min(table.panel / kBlock, gy.blocks() - panel * (table.panel / kBlock));
  }
  int lanes_of(int block, int channels) const {
    return std::min(kBlock, (channels - block * kBlock + 3) / 4 * 4);
  }
  // Sums of one panel and input block, at sums[lane * lane_stride + tap * tap_stride + o], to gw.
  void put(int panel, int block, const float* sums, int64_t lane_stride, int64_t tap_stride) const {
    const int group_out = int(gw.size(0)) / params.groups, group_in = int(gw.size(1));
    const int taps = params.kernel_h * params.kernel_w;
    const int last_out = std::min((panel + 1) * table.panel, int(gw.size(0)));
    for (int o = panel * table.panel; o < last_out; ++o) {
      const int group_begin = o / group_out * group_in;
      const int begin = std::max(block * kBlock, group_begin);
      const int end = std::min((block + 1) * kBlock, group_begin + group_in);
      float* to = gw.data<float>() + (int64_t(o) * group_in + begin - group_begin) * taps;
      const float* from = sums + (begin - block * kBlock) * lane_stride + o % table.panel;
      for (int c = begin; c < end; ++c, from += lane_stride)
        for (int t = 0; t < taps; ++t, ++to)
          *to = from[t * tap_stride] + (mode == GradMode::kAccumulate ? *to : 0.0f);
    }
  }

  const KernelTable& table;
  const Conv2d& params;
  GradMode mode;
  Tensor& gw;
  int panels = 0, blocks = 0, lanes = kBlock;
};

class DirectWgrad {
 public:
  DirectWgrad(const Map& x, const Map& gy, const Weight& weight) : x_(x), gy_(gy), w_(weight) {
    const Conv2d& p = w_.params;
    taps_ = p.kernel_h * p.kernel_w;
    pair_floats_ = int64_t(taps_) * w_.lanes * w_.table.panel;
    // Pieces: small enough for the first-level cache, and their input channels for the second.
    const int wide = x.view.type == Element::kBF16 ? 2 : 1;
    const int most = 128 * wide, fewest = 32 * wide;
    const int64_t input = (96 << 10) * wide;
    const int64_t stride = int64_t(p.stride_h) * p.stride_w;
    const int pixels = int(std::clamp<int64_t>(input / (x.view.channels * stride), fewest, most));
    columns_ = divide_up(gy.view.w, divide_up(gy.view.w, pixels));
    rows_ = std::clamp(pixels / columns_, 1, gy.view.h);
    row_pieces_ = divide_up(gy.view.h, rows_), column_pieces_ = divide_up(gy.view.w, columns_);
    // Parts and groups of panels: about 16 tasks, and sums of all parts within a few megabytes.
    constexpr int kTasks = 16;
    constexpr int64_t kSumsFloats = 1 << 20;
    const int64_t all = int64_t(gy.n) * row_pieces_ * column_pieces_;
    const int64_t sums = int64_t(w_.panels) * w_.blocks * pair_floats_;
    parts_ = int(std::min(all, std::clamp<int64_t>(kSumsFloats / sums, 1, kTasks)));
    groups_ = std::min(w_.panels, divide_up(kTasks, parts_));
  }

  void run(Context& ctx) {
    const int64_t part_floats = int64_t(w_.panels) * w_.blocks * pair_floats_;
    const Tensor memory = Tensor::empty({parts_, part_floats}, DType::kF32, ctx.allocator());
    float* sums = memory.data<float>();
    if (x_.view.type == Element::kBF16) reserve_scratch(ctx, PairedPixels::memory_floats(*this));
    ctx.pool().parallel_for(int64_t(parts_) * groups_, [&](int64_t i) {
      const int part = int(i / groups_), group = int(i % groups_);
      run_part(ctx, part, group * w_.panels / groups_, (group + 1) * w_.panels / groups_,
               sums + part * part_floats);
    });
    ctx.pool().parallel_for(int64_t(w_.panels) * w_.blocks, [&](int64_t i) {
      const int panel = int(i / w_.blocks), block = int(i % w_.blocks);
      const auto [begin, end] = w_.input_blocks(panel);
      if (block < begin || block >= end) return;
      float* total = sums + i * pair_floats_;
      for (int part = 1; part < parts_; ++part)
        for (int64_t k = 0; k < pair_floats_; ++k) total[k] += total[part * part_floats + k];
      w_.put(panel, block, total, w_.table.panel, int64_t(w_.lanes) * w_.table.panel);
    });
  }

 private:
  // Some pixels of one image.
  struct Piece {
    MapView x, gy;
    int row, column, rows, columns;
  };
  Piece piece_at(int64_t i) const {
    Piece p;
    p.column = int(i % column_pieces_) * columns_;
    p.row = int(i / column_pieces_ % row_pieces_) * rows_;
    const int image = int(i / (int64_t(column_pieces_) * row_pieces_));
    p.x = x_.image(image), p.gy = gy_.image(image);
    p.rows = std::min(rows_, p.gy.h - p.row), p.columns = std::min(columns_, p.gy.w - p.column);
    return p;
  }
  // Elements from the start of x to what tap (u, v) of a block reads for the first pixel.
  int64_t offset(const Piece& piece, int block, int u, int v) const {
    const Conv2d& p = w_.params;
    return block * piece.x.block_stride +
           (int64_t(piece.row) * p.stride_h - p.pad_h + u * p.dilation_h) * piece.x.row_stride +
           (int64_t(piece.column) * p.stride_w - p.pad_w + v * p.dilation_w) * piece.x.pixel;
  }
  float* sums_of(float* sums, int panel, int block, int tap) const {
    return sums + (int64_t(panel) * w_.blocks + block) * pair_floats_ +
           int64_t(tap) * w_.lanes * w_.table.panel;
  }

  void run_part(Context& ctx, int part, int panel_begin, int panel_end, float* sums) const {
    const int64_t all = int64_t(gy_.n) * row_pieces_ * column_pieces_;
    const int64_t begin = part * all / parts_, end = (part + 1) * all / parts_;
    if (x_.view.type == Element::kBF16) {
      const PairedPixels paired(ctx, *this, panel_begin, panel_end);
      for (int64_t i = begin; i < end; ++i) paired.run(piece_at(i), i > begin, sums);
      return;
    }
    for (int64_t i = begin; i < end; ++i)
      for (int panel = panel_begin; panel < panel_end; ++panel)
        run_piece(piece_at(i), panel, i > begin, sums);
  }

  void run_piece(const Piece& piece, int panel, bool add, float* sums) const {
    const Conv2d& p = w_.params;
    const MapView &x = piece.x, &gy = piece.gy;
    OuterTask task;
    task.x_row = p.stride_h * x.row_stride, task.x_pixel = int64_t(p.stride_w) * x.pixel;
    task.gy_row = gy.row_stride, task.gy_block = gy.block_stride;
    task.rows = piece.rows, task.columns = piece.columns;
    task.blocks = w_.panel_blocks(panel, gy_);
    task.gy = element(gy, panel * w_.table.panel, piece.row, piece.column);
    task.add = add;
    const auto [begin, end] = w_.input_blocks(panel);
    for (int block = begin; block < end; ++block) {
      task.lanes = w_.lanes_of(block, x.channels);
      for (int tap = 0; tap < taps_; ++tap) {
        task.x = moved(x, offset(piece, block, tap / p.kernel_w, tap % p.kernel_w)).data;
        task.sums = sums_of(sums, panel, block, tap);
        w_.table.outer(task);
      }
    }
  }

  // bf16: pixels are paired for the panels of gy once per piece, for x once per block and tap.
  class PairedPixels {
   public:
    PairedPixels(Context& ctx, const DirectWgrad& wgrad, int panel_begin, int panel_end)
        : g_(wgrad), begin_(panel_begin), end_(panel_end) {
      block_ = block_pairs(g_);
      panel_ = g_.w_.table.panel / kBlock * block_;
      memory_ = Tensor::empty({memory_floats(g_)}, DType::kI32, ctx.allocator());
    }
    static int64_t block_pairs(const DirectWgrad& g) {
      return int64_t(g.rows_) * divide_up(g.columns_, 2) * kBlock;
    }
    static int64_t memory_floats(const DirectWgrad& g) {  // of the largest group of panels
      return block_pairs(g) * (1 + divide_up(g.w_.panels, g.groups_) * (g.w_.table.panel / kBlock));
    }

    void run(const Piece& piece, bool add, float* sums) const {
      const Weight& w = g_.w_;
      auto* const x_pairs = reinterpret_cast<uint32_t*>(memory_.data<int32_t>());
      uint32_t* const gy_pairs = x_pairs + block_;
      for (int panel = begin_; panel < end_; ++panel)
        for (int b = 0; b < w.panel_blocks(panel, g_.gy_); ++b)
          pair(element<Bf16>(piece.gy, panel * w.table.panel + b * kBlock, piece.row, piece.column),
               piece.gy.row_stride, kBlock, kBlock, piece, gy_pairs + (panel - begin_) * panel_ + b * block_);
      OuterTask task;
      task.x = x_pairs, task.x_pixel = kBlock, task.gy_block = block_;
      task.columns = piece.rows * divide_up(piece.columns, 2);
      task.add = add;
      for (int block = 0; block < w.blocks; ++block)
        for (int tap = 0; tap < g_.taps_; ++tap) run_tap(piece, block, tap, x_pairs, gy_pairs, task, sums);
    }

   private:
    void pair(const Bf16* from, int64_t row, int64_t pixel, int lanes, const Piece& piece,
              uint32_t* to) const {
      g_.w_.table.pair_pixels({from, row, pixel, piece.rows, piece.columns, lanes, to});
    }

    void run_tap(const Piece& piece, int block, int tap, uint32_t* x_pairs, const uint32_t* gy_pairs,
                 OuterTask task, float* sums) const {
      const Weight& w = g_.w_;
      const Conv2d& p = w.params;
      const MapView at = moved(piece.x, g_.offset(piece, block, tap / p.kernel_w, tap % p.kernel_w));
      pair(static_cast<const Bf16*>(at.data), p.stride_h * at.row_stride, int64_t(p.stride_w) * at.pixel,
           at.pixel, piece, x_pairs);
      task.lanes = w.lanes_of(block, at.channels);
      for (int panel = begin_; panel < end_; ++panel) {
        const auto [first, last] = w.input_blocks(panel);
        if (block < first || block >= last) continue;
        task.blocks = w.panel_blocks(panel, g_.gy_);
        task.gy = gy_pairs + (panel - begin_) * panel_;
        task.sums = g_.sums_of(sums, panel, block, tap);
        w.table.outer_bf16(task);
      }
    }

    const DirectWgrad& g_;
    int begin_, end_;
    int64_t block_ = 0, panel_ = 0;  // pairs of a block, and of a panel of gy
    Tensor memory_;
  };

  const Map &x_, &gy_;
  const Weight& w_;
  int taps_ = 1, rows_ = 1, columns_ = 1, row_pieces_ = 1, column_pieces_ = 1, parts_ = 1, groups_ = 1;
  int64_t pair_floats_ = 0;
};

class WinogradWgrad {
 public:
  WinogradWgrad(const Map& x, const Map& gy, const Weight& weight) : x_(x), gy_(gy), w_(weight) {
    form_ = int32_t(winograd_form(x.view.channels, gy.view.channels));
    positions_ = (form_ + 2) * (form_ + 2);
    tile_rows_ = divide_up(gy.view.h, form_), tile_columns_ = divide_up(gy.view.w, form_);
    // Tiles per round: the transforms of both maps fit in the third-level cache.
    constexpr int64_t kFloats = 6 << 20;
    const int64_t tiles =
        std::clamp<int64_t>(kFloats / (positions_ * kBlock * (x.blocks() + gy.blocks())), 128, 512);
    rows_ = int(std::clamp<int64_t>(tiles / tile_columns_, 1, int64_t(gy.n) * tile_rows_));
    // [position][panel][lane of all blocks][panel width]
    panel_floats_ = int64_t(w_.blocks) * kBlock * w_.table.panel;
    position_floats_ = w_.panels * panel_floats_;
  }

  void run(Context& ctx) {
    const int64_t tiles = int64_t(rows_) * tile_columns_;
    const Tensor memory =
        Tensor::empty({positions_ * (position_floats_ + tiles * kBlock * (x_.blocks() + gy_.blocks()))},
                      DType::kF32, ctx.allocator());
    u_ = memory.data<float>();
    v_ = u_ + positions_ * position_floats_;
    m_ = v_ + positions_ * tiles * kBlock * x_.blocks();
    const int all_rows = gy_.n * tile_rows_;
    for (int first = 0; first < all_rows; first += rows_)
      round(ctx, first, std::min(rows_, all_rows - first));
    reserve_scratch(ctx, kBlock * 9 * w_.table.panel);
    ctx.pool().parallel_for(int64_t(w_.panels) * w_.blocks, [&](int64_t i) {
      const int panel = int(i / w_.blocks), block = int(i % w_.blocks);
      const Tensor g = Tensor::empty({kBlock, 9, w_.table.panel}, DType::kF32, ctx.allocator());
      w_.table.winograd_weight_grad(form_,
                                    u_ + panel * panel_floats_ + int64_t(block) * kBlock * w_.table.panel,
                                    position_floats_, kBlock, g.data<float>());
      w_.put(panel, block, g.data<float>(), 9 * w_.table.panel, w_.table.panel);
    });
  }

 private:
  // Tile rows [first, first + rows) of the batch, counted through all images.
  void round(Context& ctx, int first, int rows) const {
    const int64_t tiles = int64_t(rows) * tile_columns_;
    ctx.pool().parallel_for(2 * int64_t(rows), [&](int64_t i) {
      const int row = int(i / 2), image = (first + row) / tile_rows_;
      const Map& map = i % 2 == 0 ? x_ : gy_;
      WinogradTask task;
      task.form = form_;
      task.x = map.image(image);
      task.v = (i % 2 == 0 ? v_ : m_) + int64_t(row) * tile_columns_ * kBlock;
      task.v_position = map.blocks() * tiles * kBlock;
      task.tiles = tiles;
      task.tile_columns = tile_columns_;
      task.tile_row_begin = (first + row) % tile_rows_;
      task.tile_row_end = task.tile_row_begin + 1;
      (i % 2 == 0 ? w_.table.winograd_input : w_.table.winograd_output_grad)(task);
    });
    const int groups = std::min(w_.panels, 4);
    ctx.pool().parallel_for(int64_t(positions_) * groups, [&](int64_t i) {
      const int position = int(i / groups), group = int(i % groups);
      for (int panel = group * w_.panels / groups; panel < (group + 1) * w_.panels / groups; ++panel)
        multiply(position, panel, tiles, first > 0);
    });
  }

  void multiply(int position, int panel, int64_t tiles, bool add) const {
    OuterTask task;
    const int panel_blocks = w_.table.panel / kBlock;
    task.gy = m_ + (int64_t(position) * gy_.blocks() + panel * panel_blocks) * tiles * kBlock;
    task.gy_block = tiles * kBlock;
    task.blocks = w_.panel_blocks(panel, gy_);
    task.columns = int(tiles);
    task.add = add;
    for (int block = 0; block < w_.blocks; ++block) {
      task.x = v_ + (int64_t(position) * w_.blocks + block) * tiles * kBlock;
      task.sums =
          u_ + position * position_floats_ + panel * panel_floats_ + int64_t(block) * kBlock * w_.table.panel;
      w_.table.outer(task);
    }
  }

  const Map &x_, &gy_;
  const Weight& w_;
  int32_t form_ = 2;
  int positions_ = 16, tile_rows_ = 1, tile_columns_ = 1, rows_ = 1;
  int64_t panel_floats_ = 0, position_floats_ = 0;
  float *u_ = nullptr, *v_ = nullptr, *m_ = nullptr;  // sums, transforms of x and of gy
};

void run_wgrad(Context& ctx, const Map& x, const Map& gy, const Conv2d& p, GradMode mode, Tensor& gw) {
  const Weight weight(x, gy, p, mode, gw, kernels());
  const bool f32 = x.view.type == Element::kF32;
  if (f32 && p.stride_h == 1 && x.view.pixel == kBlock &&
      winograd_refuses(p, x.view.channels, gy.view.channels) == nullptr)
    WinogradWgrad(x, gy, weight).run(ctx);
  else DirectWgrad(x, gy, weight).run(ctx);
}

}  // namespace

const char* conv2d_wgrad_refuses(const Conv2dBackwardWeight::Query& q) {
  if (!q.gy.is_blocked()) return "needs a blocked gradient";
  if (q.gw.dtype() != DType::kF32 || !q.gw.is_contiguous()) return "needs a contiguous f32 result";
  const bool covered = !q.x.is_blocked() || q.x.halo() >= std::max(q.params.pad_h, q.params.pad_w);
  return covered ? nullptr : "the halo does not cover the padding";
}

void conv2d_wgrad(Context& ctx, const Tensor& x, const Tensor& gy, const Conv2d& p, GradMode mode, Tensor& gw,
                  Tensor& gb) {
  if (x.is_blocked()) {
    run_wgrad(ctx, map_of(x), map_of(gy), p, mode, gw);
  } else {
    const PlainMap packed(ctx, x, std::max(p.pad_h, p.pad_w), gy.dtype());
    run_wgrad(ctx, packed.map, map_of(gy), p, mode, gw);
  }
  if (!gb.defined()) return;
  if (mode == GradMode::kOverwrite) gb.fill(0);
  sum_pixels(ctx, gy, gb);
}

}  // namespace mtyolo::ops::blocked
