#include "ops/blocked/winograd.h"

#include <algorithm>

namespace mtyolo::ops::blocked {
namespace {

constexpr int kPositions = 16;
constexpr int kFewChannels = 32;  // below, the transforms cost what the multiplications save

// Tile rows per task: so many tiles that the weights of a panel are read from the third-level cache seldom
// enough, few enough that the transformed input stays near. Equal shares, a multiple of the threads.
int chunk_count(int channels, int tile_rows, int tile_columns, int threads) {
  const int tiles = std::clamp((512 << 10) / (kPositions * 4 * channels), 40, 256);
  const int rows = std::max(1, tiles / tile_columns);
  int chunks = (tile_rows + rows - 1) / rows;
  if (chunks < 4 * threads) chunks = (chunks + threads - 1) / threads * threads;
  return std::min(chunks, tile_rows);
}

}  // namespace

const char* winograd_refuses(const Conv2d& p, int in_channels, int out_channels) {
  if (p != Conv2d::square(3, 1, 1)) return "needs a 3x3 kernel with stride 1, padding 1 and one group";
  if (in_channels < kFewChannels || out_channels < kFewChannels)
    return "needs at least 32 channels on both sides";
  return nullptr;
}

WinogradConv::WinogradConv(Context& ctx, const Tensor& weight, const Tensor& bias, const KernelTable& table)
    : table_(&table) {
  const Shape& s = weight.shape();
  MTYOLO_CHECK(s.rank() == 4 && s[2] == 3 && s[3] == 3, "conv2d: weight {} is no 3x3 kernel", weight);
  out_channels_ = int(s[0]);
  in_channels_ = int(s[1]);
  weights_ = Tensor::empty({panels() * kPositions * position_floats()}, DType::kF32, ctx.allocator());
  bias_ = Tensor::zeros({int64_t(panels()) * table.panel}, DType::kF32, ctx.allocator());
  if (bias.defined()) {
    MTYOLO_CHECK(bias.numel() == out_channels_, "conv2d: bias {} for {} output channels", bias,
                 out_channels_);
    bias_.slice(0, 0, out_channels_).copy_from(bias.reshape({out_channels_}));
  }
  const Tensor source = weight.dtype() == DType::kF32 ? weight : weight.to(DType::kF32);
  ctx.pool().parallel_for(panels(), [&](int64_t i) { pack_panel(ctx, int(i), source); });
}

void WinogradConv::pack_panel(Context& ctx, int panel, const Tensor& weight) {
  const int width = table_->panel, first = panel * width, last = std::min(first + width, out_channels_);
  // Input channels are consecutive in a panel, block after block.
  const Tensor g = Tensor::empty({kBlock, 9, width}, DType::kF32, ctx.allocator());
  if (last - first < width) std::fill_n(g.data<float>(), g.numel(), 0.0f);
  WinogradWeightTask task;
  task.g = g.data<float>();
  task.u_position = position_floats();
  for (int begin = 0; begin < in_channels_; begin += kBlock) {
    task.lanes = std::min(kBlock, in_channels_ - begin);
    gather_weight(weight, first, last - first, begin, task.lanes, g.data<float>(), width, 9 * width);
    task.u = weights_.data<float>() + panel * kPositions * position_floats() + int64_t(begin) * width;
    table_->winograd_weight(task);
  }
}

void WinogradConv::run_chunk(Context& ctx, const ConvCall& call, int image, int row_begin,
                             int row_end) const {
  const int panel_blocks = table_->panel / kBlock, blocks = (in_channels_ + kBlock - 1) / kBlock;
  WinogradTask task;
  task.x = call.x.image(image);
  task.y = call.y.image(image);
  if (call.residual) task.residual = call.residual->image(image);
  task.tile_row_begin = row_begin, task.tile_row_end = row_end;
  task.tile_columns = (task.y.w + 1) / 2;
  task.tiles = int64_t(row_end - row_begin) * task.tile_columns;
  task.v_position = blocks * task.tiles * kBlock;
  task.m_position = panel_blocks * task.tiles * kBlock;
  const Tensor scratch = Tensor::empty({kPositions * (task.v_position + task.m_position) + table_->panel},
                                       DType::kF32, ctx.allocator());
  task.v = scratch.data<float>();
  task.m = task.v + kPositions * task.v_position;
  float* no_bias = task.m + kPositions * task.m_position;
  std::fill_n(no_bias, table_->panel, 0.0f);
  task.epilogue = to_epilogue(call.activation.kind);
  task.slope = call.activation.slope;
  table_->winograd_input(task);

  ConvTask product;  // 1x1 over the tiles of one position
  product.x.block_stride = product.y.block_stride = task.tiles * kBlock;
  product.x.channels = in_channels_;
  product.x.w = product.y.w = int(task.tiles);
  product.bias = no_bias;
  product.block_end = blocks;
  product.row_end = 1;
  const int out_blocks = (out_channels_ + kBlock - 1) / kBlock;
  for (int panel = 0; panel < panels(); ++panel) {
    task.out_block = panel * panel_blocks;
    task.out_blocks = product.out_blocks = std::min(panel_blocks, out_blocks - task.out_block);
    for (int p = 0; p < kPositions; ++p) {
      product.x.data = task.v + p * task.v_position;
      product.y.data = task.m + p * task.m_position;
      product.weight = weights_.data<float>() + (int64_t(panel) * kPositions + p) * position_floats();
      table_->conv(product);
    }
    task.bias = bias_.data<float>() + int64_t(panel) * table_->panel;
    table_->winograd_output(task);
  }
}

void conv2d(Context& ctx, const WinogradConv& conv, const ConvCall& call) {
  const Map &x = call.x, &y = call.y;
  MTYOLO_CHECK(x.view.channels == conv.in_channels_ && y.view.channels == conv.out_channels_ && x.n == y.n &&
                   x.view.h == y.view.h && x.view.w == y.view.w && x.view.pixel == kBlock,
               "conv2d: [{},{},{},{}] does not become [{},{},{},{}]", x.n, x.view.channels, x.view.h,
               x.view.w, y.n, y.view.channels, y.view.h, y.view.w);
  MTYOLO_CHECK(x.view.halo >= 1, "conv2d: a halo of {} cannot hold a padding of 1x1", x.view.halo);
  const int tile_rows = (y.view.h + 1) / 2, tile_columns = (y.view.w + 1) / 2;
  const int chunks = chunk_count(conv.in_channels_, tile_rows, tile_columns, ctx.pool().size());
  ctx.pool().parallel_for(int64_t(y.n) * chunks, [&](int64_t i) {
    const int image = int(i / chunks), chunk = int(i % chunks);
    conv.run_chunk(ctx, call, image, chunk * tile_rows / chunks, (chunk + 1) * tile_rows / chunks);
  });
}

const char* winograd_refuses_query(const Conv2dForward::Query& q) {
  if (const char* reason = igemm_refuses(q)) return reason;
  return winograd_refuses(q.params, int(q.x.size(1)), int(q.weight.size(0)));
}

void winograd_forward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Conv2d& p, Tensor& y) {
  run_on_maps(ctx, x, p.pad_h, y,
              [&](const ConvCall& call) { conv2d(ctx, WinogradConv(ctx, weight, bias), call); });
}

}  // namespace mtyolo::ops::blocked
