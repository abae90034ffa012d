#include "ops/blocked/winograd.h"

#include <algorithm>

#include "core/cache_sizes.h"

namespace mtyolo::ops::blocked {
namespace {

constexpr int kFewChannels = 32;  // below, the transforms cost what the multiplications save

constexpr int64_t kManyWeights = 512 * 512;  // beyond, the larger transformed weights take too much memory

// An odd number of cache lines, so that the positions of a tile fall into different sets of a cache.
int64_t position_stride(int64_t lines) { return (lines | 1) * kBlock; }

// Of a form: pixels of a side of an output tile, stride, positions of V, M and U.
struct Extent {
  int side, stride, v, m, u;
};
constexpr Extent extent(WinogradForm form) {
  if (form == WinogradForm::kF4) return {4, 1, 36, 36, 36};
  return form == WinogradForm::kF2 ? Extent{2, 1, 16, 16, 16} : Extent{2, 2, 25, 9, 18};
}

// M[m] sums the products of `count` positions of V and of U from these on (winograd_kernel.cpp).
struct Sum {
  int v, u, count;
};
Sum sum_of(WinogradForm form, int m) {
  constexpr Sum kStrided[] = {{0, 0, 4},   {4, 11, 2}, {6, 7, 4},   {10, 14, 2}, {12, 17, 1},
                              {13, 15, 2}, {15, 2, 4}, {19, 12, 2}, {21, 5, 4}};
  return form == WinogradForm::kStrided ? kStrided[m] : Sum{m, m, 1};
}

// How an image is cut: tile rows into nearly equal chunks, output panels into groups, each of which
// transforms its chunk's input anew.
struct Cut {
  int chunks, groups;
};

Cut cut(const WinogradTask& whole, const Extent& e, int images, int panels, int panel_blocks, int threads) {
  // What a chunk writes and reads again should stay in the second-level cache, over which all weights pass.
  constexpr int64_t kFewTiles = 28;  // two register tiles, or a weight is read too often
  const int64_t blocks = (whole.x.channels + kBlock - 1) / kBlock * e.v + panel_blocks * e.m;
  const int64_t tiles = std::max(cache_sizes().l2 * 3 / 4 / (blocks * kBlock * 4), kFewTiles);
  const int rows = int(std::clamp<int64_t>(tiles / whole.tile_columns, 1, whole.tile_row_end));
  Cut c{(whole.tile_row_end + rows - 1) / rows, 1};
  // Groups of at least 8 blocks: then the second transform costs a few hundredths of the products.
  c.groups = std::clamp((2 * threads + images * c.chunks - 1) / (images * c.chunks), 1,
                        std::max(1, panels * panel_blocks / 8));
  const int tasks = images * c.chunks * c.groups;
  if (tasks < 4 * threads && tasks % threads != 0)
    c.chunks = std::min(whole.tile_row_end, (c.chunks + threads - 1) / threads * threads);
  return c;
}

}  // namespace

const char* winograd_refuses(const Conv2d& p, int in_channels, int out_channels, Element type) {
  if (p != Conv2d::square(3, 1, 1) && p != Conv2d::square(3, 2, 1))
    return "needs a 3x3 kernel with stride 1 or 2, padding 1 and one group";
  if (in_channels < kFewChannels || out_channels < kFewChannels)
    return "needs at least 32 channels on both sides";
  // 32 channels come from a layer that reads the image: the chain with it (conv2d_chain.h) is faster.
  if (p.stride_h == 2 && (in_channels < 2 * kFewChannels || in_channels % kBlock != 0 ||
                          int64_t(in_channels) * out_channels > kManyWeights))
    return "stride 2 needs at least 64 input channels, a multiple of 16, and at most 512 x 512 kernels";
  // Products stay f32, each of which takes the time of two in bf16.
  if (type == Element::kBF16 && winograd_form(in_channels, out_channels, p.stride_h) != WinogradForm::kF4)
    return "F(2x2, 3x3) saves too few products for bf16 maps";
  return nullptr;
}

WinogradForm winograd_form(int in_channels, int out_channels, int stride) {
  if (stride == 2) return WinogradForm::kStrided;
  return int64_t(in_channels) * out_channels > kManyWeights ? WinogradForm::kF2 : WinogradForm::kF4;
}

WinogradConv::WinogradConv(Context& ctx, const Tensor& weight, const Tensor& bias, WinogradForm form,
                           const KernelTable& table)
    : table_(&table), form_(form) {
  const Shape& s = weight.shape();
  MTYOLO_CHECK(s.rank() == 4 && s[2] == 3 && s[3] == 3, "conv2d: weight {} is no 3x3 kernel", weight);
  out_channels_ = int(s[0]);
  in_channels_ = int(s[1]);
  MTYOLO_CHECK(form != WinogradForm::kStrided || in_channels_ % kBlock == 0,
               "conv2d: weight {} has no whole blocks of input channels", weight);
  packed_ = PackedTensors::make(ctx, floats(), table.panel, out_channels_, bias);
  const Tensor source = weight.dtype() == DType::kF32 ? weight : weight.to(DType::kF32);
  reserve_scratch(ctx, kBlock * 9 * table.panel);
  ctx.pool().parallel_for(panels(), [&](int64_t i) { pack_panel(ctx, int(i), source); });
}

WinogradConv::WinogradConv(PackedTensors packed, int in_channels, int out_channels, WinogradForm form,
                           const KernelTable& table)
    : table_(&table),
      form_(form),
      in_channels_(in_channels),
      out_channels_(out_channels),
      packed_(std::move(packed)) {
  packed_.check(floats(), table.panel, out_channels);
}

int64_t WinogradConv::panel_stride() const { return extent(form_).u * panel_floats(); }

void WinogradConv::pack_panel(Context& ctx, int panel, const Tensor& weight) {
  const int width = table_->panel, first = panel * width, last = std::min(first + width, out_channels_);
  // Input channels are consecutive in a panel, block after block.
  const Tensor g = Tensor::empty({kBlock, 9, width}, DType::kF32, ctx.allocator());
  if (last - first < width) std::fill_n(g.data<float>(), g.numel(), 0.0f);
  WinogradWeightTask task;
  task.form = int32_t(form_);
  task.g = g.data<float>();
  task.u_position = panel_floats();
  for (int begin = 0; begin < in_channels_; begin += kBlock) {
    task.lanes = std::min(kBlock, in_channels_ - begin);
    gather_weight(weight, first, last - first, begin, task.lanes, g.data<float>(), width, 9 * width);
    task.u = packed_.weights.data<float>() + panel * panel_stride() + int64_t(begin) * width;
    table_->winograd_weight(task);
  }
}

// Some tile rows and output panels of one image.
struct WinogradConv::Part {
  int image, row_begin, row_end, panel_begin, panel_end;
  int64_t scratch;  // floats of the largest part
};

void WinogradConv::run_part(Context& ctx, const ConvCall& call, const Part& part) const {
  const int panel_blocks = table_->panel / kBlock, blocks = (in_channels_ + kBlock - 1) / kBlock;
  const int out_blocks = (out_channels_ + kBlock - 1) / kBlock;
  const Extent e = extent(form_);
  WinogradTask task;
  task.form = int32_t(form_);
  task.x = call.x.image(part.image);
  task.y = call.y.image(part.image);
  if (call.residual) task.residual = call.residual->image(part.image);
  task.tile_row_begin = part.row_begin, task.tile_row_end = part.row_end;
  task.tile_columns = (task.y.w + e.side - 1) / e.side;
  task.tiles = int64_t(part.row_end - part.row_begin) * task.tile_columns;
  // Positions of one sum follow each other as blocks do.
  task.v_position =
      form_ == WinogradForm::kStrided ? blocks * task.tiles * kBlock : position_stride(blocks * task.tiles);
  task.m_position = position_stride(panel_blocks * task.tiles);
  const Tensor scratch = Tensor::empty({part.scratch}, DType::kF32, ctx.allocator());
  task.v = scratch.data<float>();
  task.m = task.v + e.v * task.v_position;
  float* no_bias = task.m + e.m * task.m_position;
  std::fill_n(no_bias, table_->panel, 0.0f);
  task.epilogue = to_epilogue(call.activation.kind);
  task.slope = call.activation.slope;
  table_->winograd_input(task);
  // The products of one panel do not leave the caches before they are transformed.
  for (int panel = part.panel_begin; panel < part.panel_end; ++panel) {
    task.out_block = panel * panel_blocks;
    task.out_blocks = std::min(panel_blocks, out_blocks - task.out_block);
    task.bias = packed_.bias.data<float>() + int64_t(panel) * table_->panel;
    multiply(task, panel, no_bias);
    table_->winograd_output(task);
  }
}

// A 1x1 convolution over the tiles of each position.
void WinogradConv::multiply(const WinogradTask& task, int panel, const float* no_bias) const {
  ConvTask product;
  product.x.block_stride = product.y.block_stride = task.tiles * kBlock;
  product.x.w = product.y.w = int(task.tiles);
  product.bias = no_bias;
  product.row_end = 1;
  product.out_blocks = task.out_blocks;
  for (int p = 0; p < extent(form_).m; ++p) {
    const Sum sum = sum_of(form_, p);
    product.x.channels = sum.count * in_channels_;
    product.block_end = (product.x.channels + kBlock - 1) / kBlock;
    product.x.data = task.v + sum.v * task.v_position;
    product.y.data = task.m + p * task.m_position;
    product.weight = packed_.weights.data<float>() + panel * panel_stride() + sum.u * panel_floats();
    table_->conv(product);
  }
}

void conv2d(Context& ctx, const WinogradConv& conv, const ConvCall& call) {
  const Map &x = call.x, &y = call.y;
  const Extent e = extent(conv.form_);
  MTYOLO_CHECK(x.view.channels == conv.in_channels_ && y.view.channels == conv.out_channels_ && x.n == y.n &&
                   (x.view.h - 1) / e.stride + 1 == y.view.h && (x.view.w - 1) / e.stride + 1 == y.view.w &&
                   x.view.pixel == kBlock,
               "conv2d: [{},{},{},{}] does not become [{},{},{},{}]", x.n, x.view.channels, x.view.h,
               x.view.w, y.n, y.view.channels, y.view.h, y.view.w);
  MTYOLO_CHECK(!call.residual || call.residual->view.type == y.view.type,
               "conv2d: result and residual differ in type");
  MTYOLO_CHECK(x.view.halo >= 1, "conv2d: a halo of {} cannot hold a padding of 1x1", x.view.halo);
  const int panels = conv.panels();
  WinogradTask whole;
  whole.x = x.view;
  whole.tile_row_end = (y.view.h + e.side - 1) / e.side;
  whole.tile_columns = (y.view.w + e.side - 1) / e.side;
  const Cut c = cut(whole, e, y.n, panels, conv.table_->panel / kBlock, ctx.pool().size());
  const auto most = [](int count, int parts) { return (count + parts - 1) / parts; };
  const int64_t tiles = int64_t(most(whole.tile_row_end, c.chunks)) * whole.tile_columns;
  const int64_t scratch = e.v * position_stride(x.blocks() * tiles) +
                          e.m * position_stride(conv.table_->panel / kBlock * tiles) + conv.table_->panel;
  reserve_scratch(ctx, scratch);
  ctx.pool().parallel_for(int64_t(y.n) * c.chunks * c.groups, [&](int64_t i) {
    const int group = int(i % c.groups), chunk = int(i / c.groups % c.chunks);
    conv.run_part(ctx, call,
                  {int(i / c.groups / c.chunks), chunk * whole.tile_row_end / c.chunks,
                   (chunk + 1) * whole.tile_row_end / c.chunks, group * panels / c.groups,
                   (group + 1) * panels / c.groups, scratch});
  });
}

const char* winograd_refuses_query(const Conv2dForward::Query& q) {
  if (const char* reason = igemm_refuses(q)) return reason;
  return winograd_refuses(q.params, int(q.x.size(1)), int(q.weight.size(0)));
}

void winograd_forward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Conv2d& p, Tensor& y) {
  const WinogradConv conv(ctx, weight, bias, winograd_form(int(x.size(1)), int(y.size(1)), p.stride_h));
  run_on_maps(ctx, x, p.pad_h, y, [&](const ConvCall& call) { conv2d(ctx, conv, call); });
}

}  // namespace mtyolo::ops::blocked
