// Packing of convolution weights and the split of a convolution into tasks.
#include <algorithm>
#include <utility>

#include "core/cache_sizes.h"
#include "ops/blocked/blocked.h"

namespace mtyolo::ops::blocked {
namespace {

int blocks_of(int channels) { return (channels + kBlock - 1) / kBlock; }

// How the rows and panels of a layer are cut. Either a task keeps one panel of weights in the second-level
// cache and walks many rows, or it keeps some rows of the input there and walks all panels: whichever moves
// fewer bytes.
struct Split {
  int chunks;       // of nearly as many output rows
  bool all_panels;  // a task computes every panel of its rows
};

// About as many chunks, but so that no thread is left with much more than the others.
int even_chunks(int about, const Map& y, int threads) {
  const auto longest = [&](int chunks) {  // rows of the busiest thread
    return (chunks * y.n + threads - 1) / threads * ((y.view.h + chunks - 1) / chunks);
  };
  int best = about;
  for (int chunks = std::max(1, about * 3 / 4); chunks <= std::min(2 * about, y.view.h); ++chunks)
    if (longest(chunks) < longest(best)) best = chunks;
  return best;
}

Split split_rows(const PackedConv& conv, const Map& x, const Map& y, int panels, int threads) {
  // Bytes of input rows that share the cache with a weight panel.
  const double rows_budget = 0.375 * double(cache_sizes().l2);
  const Conv2d& p = conv.params();
  const double row_bytes = double(element_bytes(x.view, int64_t(x.view.w) * conv.in_channels()));
  const double x_bytes = row_bytes * x.view.h, w_bytes = double(conv.size_bytes());
  const int overlap = std::max(0, p.dilation_h * (p.kernel_h - 1) + 1 - p.stride_h);
  const int rows = std::clamp(int((rows_budget / row_bytes - overlap) / p.stride_h), 1, y.view.h);
  const int chunks = (y.view.h + rows - 1) / rows;
  const double by_rows = x_bytes * (1 + double(overlap) / (rows * p.stride_h)) + w_bytes * chunks;
  const double by_panels = x_bytes * panels + w_bytes;
  if (by_rows < by_panels && chunks * y.n >= 2 * threads)
    return {chunks * y.n < 8 * threads ? even_chunks(chunks, y, threads) : chunks, true};
  // Enough tasks that the last ones finish together.
  const int wanted = std::max(1, (8 * threads + panels * y.n - 1) / (panels * y.n));
  return {std::min(wanted, y.view.h), false};
}

}  // namespace

PackedConv::PackedConv(Context& ctx, const Tensor& weight, const Tensor& bias, const Conv2d& params,
                       const KernelTable& table, Element type)
    : table_(&table), type_(type), params_(params) {
  const Shape& s = weight.shape();
  MTYOLO_CHECK(s.rank() == 4 && s[2] == params.kernel_h && s[3] == params.kernel_w && params.groups >= 1 &&
                   s[0] % params.groups == 0,
               "conv2d: weight {} does not fit a {}x{} kernel with {} groups", weight, params.kernel_h,
               params.kernel_w, params.groups);
  out_channels_ = int(s[0]);
  in_channels_ = int(s[1]) * params.groups;
  packed_ = PackedTensors::make(ctx, lay_out(), table.panel, out_channels_, bias);
  const Tensor source = weight.dtype() == DType::kF32 ? weight : weight.to(DType::kF32);
  if (type_ == Element::kBF16)
    reserve_scratch(ctx, int64_t(params_.kernel_h) * params_.kernel_w * kBlock * table.panel);
  ctx.pool().parallel_for(panels(), [&](int64_t i) { pack_panel(ctx, int(i), source); });
}

PackedConv::PackedConv(PackedTensors packed, int in_channels, int out_channels, const Conv2d& params,
                       const KernelTable& table, Element type)
    : table_(&table),
      type_(type),
      params_(params),
      in_channels_(in_channels),
      out_channels_(out_channels),
      packed_(std::move(packed)) {
  packed_.check(lay_out(), table.panel, out_channels);
}

int64_t PackedConv::lay_out() {
  const int width = table_->panel, count = (out_channels_ + width - 1) / width;
  const int group_out = out_channels_ / params_.groups, group_in = in_channels_ / params_.groups;
  int64_t floats = 0;
  for (int i = 0; i < count; ++i) {
    const int first_group = i * width / group_out;
    const int last_group = (std::min((i + 1) * width, out_channels_) - 1) / group_out;
    Panel panel{floats, first_group * group_in / kBlock, ((last_group + 1) * group_in - 1) / kBlock + 1};
    panels_.push_back(panel);
    const int lanes = std::min(panel.block_end * kBlock, in_channels_) - panel.block_begin * kBlock;
    floats += int64_t(type_ == Element::kBF16 ? (lanes + 1) / 2 : lanes) * params_.kernel_h *
              params_.kernel_w * width;
  }
  return floats;
}

// [tap][lane][panel] of outputs [first, last) and input lanes [lane_begin, lane_end).
void PackedConv::pack_block(int first, int last, int lane_begin, int lane_end, const Tensor& weight,
                            float* to) const {
  const int width = table_->panel, taps = params_.kernel_h * params_.kernel_w;
  const int group_in = in_channels_ / params_.groups, group_out = out_channels_ / params_.groups;
  const int64_t lanes = lane_end - lane_begin;
  // What belongs to another group or beyond the last output is zero.
  if (params_.groups > 1 || last - first < width) std::fill_n(to, taps * lanes * width, 0.0f);
  for (int out = first; out < last;) {
    const int group = out / group_out, group_begin = group * group_in;
    const int end = std::min(last, (group + 1) * group_out);
    const int in_begin = std::max(lane_begin, group_begin),
              in_end = std::min(lane_end, group_begin + group_in);
    if (in_begin < in_end)
      gather_weight(weight, out, end - out, in_begin - group_begin, in_end - in_begin,
                    to + int64_t(in_begin - lane_begin) * width + (out - first), lanes * width, width);
    out = end;
  }
}

void PackedConv::pack_panel(Context& ctx, int index, const Tensor& weight) {
  const Panel& panel = panels_[size_t(index)];
  const int width = table_->panel, taps = params_.kernel_h * params_.kernel_w;
  const int first = index * width, last = std::min(first + width, out_channels_);
  const bool pairs = type_ == Element::kBF16;
  const Tensor scratch =
      pairs ? Tensor::empty({taps, kBlock, width}, DType::kF32, ctx.allocator()) : Tensor();
  auto* to = static_cast<float*>(packed_.weights.raw()) + panel.offset;
  for (int block = panel.block_begin; block < panel.block_end; ++block) {
    const int lane_begin = block * kBlock, lanes = std::min(kBlock, in_channels_ - lane_begin);
    pack_block(first, last, lane_begin, lane_begin + lanes, weight, pairs ? scratch.data<float>() : to);
    for (int tap = 0; pairs && tap < taps; ++tap)
      table_->pair_lanes(scratch.data<float>() + int64_t(tap) * lanes * width, lanes,
                         reinterpret_cast<uint32_t*>(to) + int64_t(tap) * ((lanes + 1) / 2) * width);
    to += int64_t(taps) * (pairs ? (lanes + 1) / 2 : lanes) * width;
  }
}

void conv2d(Context& ctx, const PackedConv& conv, const ConvCall& call) {
  const Conv2d& p = conv.params();
  const Map &x = call.x, &y = call.y;
  const Shape want =
      conv2d_shape({x.n, x.view.channels, x.view.h, x.view.w},
                   {conv.out_channels(), conv.in_channels() / p.groups, p.kernel_h, p.kernel_w}, p);
  MTYOLO_CHECK(want == Shape({y.n, y.view.channels, y.view.h, y.view.w}),
               "conv2d: y is [{},{},{},{}], expected {}", y.n, y.view.channels, y.view.h, y.view.w, want);
  MTYOLO_CHECK(x.view.halo >= std::max(p.pad_h, p.pad_w),
               "conv2d: a halo of {} cannot hold a padding of {}x{}", x.view.halo, p.pad_h, p.pad_w);
  conv2d_part(ctx, conv, call);
}

void PackedConv::compute(const ConvCall& call, int image, int panel, int row_begin, int row_end) const {
  const Panel& info = panels_[size_t(panel)];
  const Conv2d& p = params_;
  const int panel_blocks = table_->panel / kBlock;
  ConvTask task;
  task.x = call.x.image(image);
  task.y = call.y.image(image);
  if (call.residual) task.residual = call.residual->image(image);
  task.weight = packed_.weights.data<float>() + info.offset;
  task.bias = packed_.bias.data<float>() + int64_t(panel) * table_->panel;
  task.block_begin = info.block_begin;
  task.block_end = info.block_end;
  task.out_block = panel * panel_blocks;
  task.out_blocks = std::min(panel_blocks, blocks_of(out_channels_) - task.out_block);
  task.kernel_h = p.kernel_h, task.kernel_w = p.kernel_w;
  task.stride_h = p.stride_h, task.stride_w = p.stride_w;
  task.pad_h = p.pad_h, task.pad_w = p.pad_w;
  task.dilation_h = p.dilation_h, task.dilation_w = p.dilation_w;
  task.row_begin = row_begin, task.row_end = row_end;
  task.epilogue = to_epilogue(call.activation.kind);
  task.slope = call.activation.slope;
  (type_ == Element::kBF16 ? table_->conv_bf16 : table_->conv)(task);
}

void conv2d_part(Context& ctx, const PackedConv& conv, const ConvCall& call) {
  const Map &x = call.x, &y = call.y;
  const int panels = conv.panels();
  MTYOLO_CHECK(x.view.type == conv.type_ &&
                   (!call.residual ||
                    call.residual->view.type == (conv.type_ == Element::kF32 ? y.view.type : conv.type_)),
               "conv2d: maps and packed weights differ in type");
  const Split split = split_rows(conv, x, y, panels, ctx.pool().size());
  const int chunks = split.chunks, h = y.view.h;
  const auto run = [&](int image, int panel, int chunk) {
    conv.compute(call, image, panel, chunk * h / chunks, (chunk + 1) * h / chunks);
  };
  if (split.all_panels) {
    ctx.pool().parallel_for(int64_t(y.n) * chunks, [&](int64_t i) {
      for (int panel = 0; panel < panels; ++panel) run(int(i / chunks), panel, int(i % chunks));
    });
    return;
  }
  ctx.pool().parallel_for(int64_t(y.n) * panels * chunks, [&](int64_t i) {
    run(int(i / (int64_t(panels) * chunks)), int(i / chunks % panels), int(i % chunks));
  });
}

}  // namespace mtyolo::ops::blocked
