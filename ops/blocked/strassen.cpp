#include "ops/blocked/strassen.h"

#include <algorithm>
#include <array>

#include "core/cache_sizes.h"

namespace mtyolo::ops::blocked {
namespace {

// Rows of an image in two halves.
struct Chunk {
  int upper, lower, rows;
};
// 11, 12, 21, 22: the first half of the blocks in the upper and the lower rows, and the second half.
std::array<MapView, 4> quarters(const MapView& map, const Chunk& chunk) {
  std::array<MapView, 4> q;
  for (int i = 0; i < 4; ++i) {
    MapView& m = q[size_t(i)] = map;
    m.channels /= 2, m.h = chunk.rows;
    m.data = static_cast<float*>(map.data) + i / 2 * (m.channels / kBlock) * m.block_stride +
             (i % 2 == 0 ? chunk.upper : chunk.lower) * m.row_stride;
  }
  return q;
}

}  // namespace

const char* strassen_refuses(const Conv2d& p, int in_channels, int out_channels, Element type,
                             const KernelTable& table) {
  if (p != Conv2d::square(1, 1, 0)) return "needs a 1x1 kernel with stride 1, no padding and one group";
  if (type != Element::kF32) return "needs f32 maps";
  // Below, the sums cost what the multiplications save.
  if (std::min(in_channels, out_channels) < 128 || int64_t(in_channels) * out_channels < 256 * 256)
    return "needs at least 128 channels on both sides and a weight of 256x256";
  if (in_channels % (2 * kBlock) != 0 || out_channels % (2 * table.panel) != 0)
    return "needs halves of whole blocks and panels of channels";
  return nullptr;
}

StrassenConv::StrassenConv(Context& ctx, const Tensor& weight, const Tensor& bias, const KernelTable& table)
    : table_(&table) {
  const Shape& s = weight.shape();
  const int width = table.panel;
  MTYOLO_CHECK(s.rank() == 4 && s[2] == 1 && s[3] == 1 && s[0] % (2 * width) == 0 && s[1] % (2 * kBlock) == 0,
               "conv2d: weight {} has no quarters", weight);
  out_channels_ = int(s[0]), in_channels_ = int(s[1]);
  packed_ = PackedTensors::make(ctx, weight.numel(), width, out_channels_, bias);
  const Tensor source = weight.dtype() == DType::kF32 ? weight : weight.to(DType::kF32);
  const int64_t panels = s[0] / 2 / width, half = s[1] / 2 * width;
  ctx.pool().parallel_for(panels, [&](int64_t i) {
    const auto pack = [&](int64_t panel) {
      float* to = packed_.weights.data<float>() + panel * 2 * half;
      gather_weight(source, int(panel) * width, width, 0, in_channels_, to, 0, width);
      return to;
    };
    const float* w11 = pack(i);
    float* w21 = pack(panels + i);
    for (int64_t j = 0; j < half; ++j) w21[j] = float(double(w21[j]) + w21[half + j] - w11[j]);
  });
}

StrassenConv::StrassenConv(PackedTensors packed, int in_channels, int out_channels, const KernelTable& table)
    : table_(&table), in_channels_(in_channels), out_channels_(out_channels), packed_(std::move(packed)) {
  packed_.check(int64_t(in_channels) * out_channels, table.panel, out_channels);
}

struct StrassenConv::Part {
  int image;
  Chunk chunk;
  int panel_begin, panel_end;  // of either half
  int64_t scratch;             // floats of the largest part
};

void StrassenConv::run_part(Context& ctx, const ConvCall& call, const Part& part) const {
  const int in = in_channels_ / 2, out = out_channels_ / 2, width = table_->panel, rows = part.chunk.rows;
  const auto x = quarters(call.x.image(part.image), part.chunk);
  const auto y = quarters(call.y.image(part.image), part.chunk);
  std::array<MapView, 4> residual;
  if (call.residual) residual = quarters(call.residual->image(part.image), part.chunk);
  const Tensor memory = Tensor::empty({part.scratch}, DType::kF32, ctx.allocator());
  auto* free = memory.data<float>();
  const auto scratch = [&](int channels) {
    const MapView m = make_map(free, 1, channels, rows, x[0].w, 0).view;
    free += map_floats(1, channels, rows, x[0].w, 0);
    return m;
  };
  const MapView t[4] = {scratch(in), scratch(in), scratch(in), scratch(in)};
  const MapView u = scratch(out), u3 = scratch(out), none;
  table_->strassen_input({x[0], x[1], x[2], x[3]}, t);

  struct Product {
    int weight, sign;  // quarter + sign * S2
    MapView x, y, sums, also;
    int bias;    // of half 0 or 1, or -1
    int result;  // quarter of y, or -1
  };
  const Product products[] = {{0, 0, x[0], u, none, none, -1, -1},   // U1
                              {1, 0, x[2], y[0], u, none, 0, 0},     // Y11
                              {2, 0, t[1], u, u, none, -1, -1},      // U2
                              {3, -1, t[2], u3, u, none, 1, -1},     // U3, and the bias of Y21 and Y22
                              {0, 1, t[0], y[3], u3, u, -1, 3},      // Y22, and U2 + S1 T1
                              {1, -1, x[3], y[1], u, none, 0, 1},    // Y12
                              {3, 0, t[3], y[2], u3, none, -1, 2}};  // Y21
  for (const Product& p : products) {
    StrassenTask task;
    ConvTask& conv = task.conv;
    conv.x = p.x, conv.y = p.y, task.sums = p.sums, task.also = p.also, task.sign = p.sign;
    conv.block_end = in / kBlock, conv.row_end = rows;
    if (p.result >= 0) {
      conv.residual = residual[size_t(p.result)];
      conv.epilogue = to_epilogue(call.activation.kind), conv.slope = call.activation.slope;
    }
    for (int panel = part.panel_begin; panel < part.panel_end; ++panel) {
      const float* upper = packed_.weights.data<float>() + int64_t(panel) * width * in_channels_;
      const float* lower = upper + int64_t(out) * in_channels_;
      conv.weight = (p.weight < 2 ? upper : lower) + p.weight % 2 * in * width;
      task.other = lower;
      if (p.bias >= 0) conv.bias = packed_.bias.data<float>() + p.bias * out + panel * width;
      conv.out_block = panel * width / kBlock;
      task.ahead = panel == part.panel_begin && (&p == &products[0] || &p == &products[1]);
      table_->strassen_product(task);
    }
  }
}

void conv2d(Context& ctx, const StrassenConv& conv, const ConvCall& call) {
  const Map &x = call.x, &y = call.y;
  const int h = y.view.h, w = y.view.w, in = conv.in_channels_, out = conv.out_channels_;
  MTYOLO_CHECK(x.view.channels == in && y.view.channels == out && x.n == y.n && x.view.h == h &&
                   x.view.w == w && x.view.type == Element::kF32 && y.view.type == Element::kF32 &&
                   (!call.residual || call.residual->view.type == Element::kF32),
               "conv2d: f32 [{},{},{},{}] does not become [{},{},{},{}]", x.n, x.view.channels, x.view.h,
               x.view.w, y.n, y.view.channels, h, w);
  // A chunk and its sums stay in the second-level cache, there are enough for some threads, and a half has at
  // least two register tiles, or a weight is read too often.
  constexpr int kManyChunks = 8, kFewPixels = 28;
  const auto fit = int64_t(0.75 * double(cache_sizes().l2) / (4.0 * sizeof(float) * w * in));
  const int pairs = (h + 1) / 2, few = (kFewPixels + w - 1) / w;
  const int rows = int(std::max<int64_t>(std::min<int64_t>(fit, pairs / kManyChunks), few));
  const int chunks = (pairs + rows - 1) / rows, panels = out / 2 / conv.table_->panel;
  // Each group of panels forms the sums anew.
  const int tasks = y.n * chunks, wanted = 4 * ctx.pool().size();
  const int groups = std::clamp((wanted + tasks - 1) / tasks, 1, panels);
  const int64_t scratch = int64_t((pairs + chunks - 1) / chunks) * w * (2 * in + out);
  reserve_scratch(ctx, scratch);
  ctx.pool().parallel_for(int64_t(tasks) * groups, [&](int64_t i) {
    const int group = int(i % groups), chunk = int(i / groups % chunks);
    const int begin = chunk * pairs / chunks * 2, end = std::min((chunk + 1) * pairs / chunks * 2, h);
    const int half = (end - begin + 1) / 2;
    conv.run_part(ctx, call,
                  {int(i / groups / chunks),
                   {begin, end - half, half},
                   group * panels / groups,
                   (group + 1) * panels / groups,
                   scratch});
  });
}

const char* strassen_refuses_query(const Conv2dForward::Query& q) {
  if (const char* reason = igemm_refuses(q)) return reason;
  return strassen_refuses(q.params, int(q.x.size(1)), int(q.weight.size(0)));
}

void strassen_forward(Context& ctx, const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2d&,
                      Tensor& y) {
  const StrassenConv conv(ctx, weight, bias);
  run_on_maps(ctx, x, 0, y, [&](const ConvCall& call) { conv2d(ctx, conv, call); });
}

}  // namespace mtyolo::ops::blocked
