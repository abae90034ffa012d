// Residual blocks and their cross-stage-partial forms (graph.md 3.2).
#include "models/module.h"

namespace mtyolo::models {
namespace {

enum class Block { kBottleneck, kRes, kResX };

struct BlockArgs {
  bool shortcut = true;
  int groups = 1;
  double expansion = 0.5;
};

// Arguments c2, shortcut, g, e from row argument `first` on.
BlockArgs block_arguments(const ModuleCall& call, bool shortcut, int groups) {
  call.expect_arguments(4);
  return {call.flag(1, "shortcut", shortcut), call.whole(2, "the groups", groups, 1, kMaxChannels),
          call.real(3, "the expansion", 0.5, 0, 16)};
}

// One residual block; the input is added when asked for and the channels agree.
int residual_block(GraphBuilder& b, const std::string& scope, Block kind, int x, int c2,
                   const BlockArgs& args) {
  const int hidden = int(c2 * args.expansion);
  const auto child = [&](const char* name) { return scope + "." + name; };
  int y = conv_block(b, child("cv1"), x, hidden);
  if (kind == Block::kBottleneck) {
    y = conv_block(b, child("cv2"), y, c2, {3, 1, args.groups});
  } else {
    y = conv_block(b, child("cv2"), y, hidden, {3, 1, args.groups});
    y = conv_block(b, child("cv3"), y, c2);
  }
  return args.shortcut && b.channels(x) == c2 ? b.add(scope, x, y) : y;
}

int block_row(const ModuleCall& call, Block kind, int groups) {
  const BlockArgs args = block_arguments(call, true, groups);
  return residual_block(call.builder, call.scope, kind, call.x(), call.c2, args);
}

int chain(const ModuleCall& call, Block kind, int x, int channels, const BlockArgs& args) {
  for (int i = 0; i < call.repeats; ++i)
    x = residual_block(call.builder, call.child(fmt::format("m.{}", i)), kind, x, channels, args);
  return x;
}

}  // namespace

int expand_bottleneck(const ModuleCall& call) { return block_row(call, Block::kBottleneck, 1); }
int expand_res(const ModuleCall& call) { return block_row(call, Block::kRes, 1); }
int expand_res_x(const ModuleCall& call) { return block_row(call, Block::kResX, 32); }

int expand_csp(const ModuleCall& call) {
  GraphBuilder& b = call.builder;
  const std::string& name = call.row.module;
  const char form = name.back();
  const Block kind = name.starts_with("Bottleneck") ? Block::kBottleneck
                     : name.starts_with("ResX")     ? Block::kResX
                                                    : Block::kRes;
  // BottleneckCSPB alone defaults to no shortcut, and form B ignores the expansion.
  BlockArgs args =
      block_arguments(call, kind != Block::kBottleneck || form != 'B', kind == Block::kResX ? 32 : 1);
  const int hidden = form == 'B' ? call.c2 : int(call.c2 * args.expansion);
  args.expansion = kind == Block::kRes ? 0.5 : 1.0;
  // The convolutions after the blocks are registered before them.
  const int z = conv_block(b, call.child("cv1"), call.x(), hidden);
  const int side = conv_block(b, call.child("cv2"), form == 'B' ? z : call.x(), hidden);
  if (form == 'C') {
    declare_conv_block(b, call.child("cv3"), hidden, hidden);
    declare_conv_block(b, call.child("cv4"), 2 * hidden, call.c2);
    const int deep = conv_block(b, call.child("cv3"), chain(call, kind, z, hidden, args), hidden);
    return conv_block(b, call.child("cv4"), b.concat(call.scope, {deep, side}), call.c2);
  }
  declare_conv_block(b, call.child("cv3"), 2 * hidden, call.c2);
  const int deep = chain(call, kind, z, hidden, args);
  return conv_block(b, call.child("cv3"), b.concat(call.scope, {deep, side}), call.c2);
}

}  // namespace mtyolo::models
