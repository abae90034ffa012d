// The build loop of graph.md 1.1 and what follows construction (graph.md 2).
#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "models/module.h"

namespace mtyolo::models {
namespace {

// ceil(c * gain / 8) * 8, except for a width that happens to be the detection outputs' (graph.md 1.1).
int scaled_channels(const ModuleCall& call, const Cfg& cfg) {
  const int nominal = call.whole(0, "the channels", 0, 1, kMaxChannels);
  if (nominal == 0) call.builder.fail_row("no channels are given");
  const int outputs = int(cfg.anchors[0].size() / 2) * (cfg.nc + 5);
  if (nominal == outputs) return nominal;
  const double scaled = std::ceil(nominal * cfg.width_multiple / 8) * 8;
  if (scaled > kMaxChannels)
    call.builder.fail_row(
        fmt::format("{} channels after width_multiple, expected at most {}", scaled, kMaxChannels));
  return int(scaled);
}

// Python's round: halves go to the even neighbour, which is nearbyint in the default rounding mode.
int scaled_repeats(int repeats, const Cfg& cfg) {
  return repeats > 1 ? std::max(int(std::nearbyint(repeats * cfg.depth_multiple)), 1) : repeats;
}

class Rows {
 public:
  Rows(const Cfg& cfg, const BuildOptions& options) : cfg_(cfg), builder_(cfg, options) {}

  Graph build() {
    image_ = builder_.input();
    for (const CfgRow& row : cfg_.rows) {
      builder_.begin_row(row);
      add_row(row);
    }
    if (builder_.graph().heads.empty())
      builder_.fail_row("the last row is no detection head",
                        "end the cfg with Detect, IDetect or IAuxDetect");
    finish_heads();
    return std::move(builder_.graph());
  }

 private:
  void add_row(const CfgRow& row) {
    if (!builder_.graph().heads.empty())
      builder_.fail_row("a row after the detection head, which must be the last");
    const ModuleEntry& module = find_module(builder_, row.module);
    if (module.kind == ModuleKind::kHead) return add_heads(row);
    const std::string scope = fmt::format("model.{}", row.index);
    ModuleCall call{builder_, row, scope, inputs_of(row)};
    int repeats = scaled_repeats(row.repeats, cfg_);
    if (module.kind != ModuleKind::kMulti && call.inputs.size() != 1)
      builder_.fail_row(fmt::format("reads {} rows, expected one", call.inputs.size()));
    if (module.kind == ModuleKind::kMulti && repeats != 1)
      builder_.fail_row("a module that reads several rows cannot be repeated");
    if (module.kind == ModuleKind::kChannelled || module.kind == ModuleKind::kCounted)
      call.c2 = scaled_channels(call, cfg_);
    if (module.kind == ModuleKind::kCounted) call.repeats = std::exchange(repeats, 1);
    const size_t first_param = builder_.graph().params.size();
    for (int i = 0; i < repeats; ++i) {
      if (repeats > 1) call.scope = fmt::format("{}.{}", scope, i);
      const int c1 = call.c1();
      const int y = module.expand(call);
      // A Sequential of identical modules: each is made for the channels of the row read.
      if (i + 1 < repeats && builder_.channels(y) != c1)
        builder_.fail_row(fmt::format("repeated {} times, but turns {} channels into {}", repeats, c1,
                                      builder_.channels(y)));
      call.inputs = {y};
    }
    values_.push_back(call.x());
    note_row(row, row.repeats, first_param, call.x(), "");
  }

  std::vector<int> inputs_of(const CfgRow& row) const {
    std::vector<int> inputs;
    for (const int from : row.from) inputs.push_back(from < 0 ? image_ : values_[size_t(from)]);
    return inputs;
  }

  void add_heads(const CfgRow& row) {
    if (row.repeats != 1) builder_.fail_row("a detection head cannot be repeated");
    std::vector<HeadGroup> groups = builder_.options().heads;
    const bool split = !groups.empty();
    if (!split) {
      groups.push_back({"all", {}});
      for (int c = 0; c < cfg_.nc; ++c) groups[0].classes.push_back(c);
    }
    check_groups(groups);
    for (const HeadGroup& group : groups) {
      const std::string scope =
          fmt::format("{}model.{}", split ? "heads." + group.name + "." : "", row.index);
      const size_t first_param = builder_.graph().params.size();
      Head head = expand_detect({builder_, row, scope, inputs_of(row)}, group);
      head.score_is_objectness = cfg_.nc == 1;
      builder_.graph().heads.push_back(std::move(head));
      note_row(row, 1, first_param, -1, split ? group.name : "");
    }
  }

  void check_groups(const std::vector<HeadGroup>& groups) const {
    std::vector<bool> used(size_t(cfg_.nc));
    std::unordered_set<std::string> names;
    for (const HeadGroup& group : groups) {
      const bool plain = !group.name.empty() && std::all_of(group.name.begin(), group.name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-';
      });
      if (!plain || group.name.size() > 64)
        builder_.fail_row(fmt::format("the head's name {} is not made of 1..64 letters, digits, _ and -",
                                      quoted(group.name)));
      if (!names.insert(group.name).second)
        builder_.fail_row(fmt::format("two heads are named {}", quoted(group.name)));
      if (group.classes.empty())
        builder_.fail_row(fmt::format("the head {} has no classes", quoted(group.name)));
      for (const int c : group.classes) {
        if (c < 0 || c >= cfg_.nc)
          builder_.fail_row(
              fmt::format("the head {} has class {}, expected 0..{}", quoted(group.name), c, cfg_.nc - 1));
        if (used[size_t(c)]) builder_.fail_row(fmt::format("class {} is given twice among the heads", c));
        used[size_t(c)] = true;
      }
    }
  }

  void note_row(const CfgRow& row, int repeats, size_t first_param, int output, const std::string& head) {
    Graph& graph = builder_.graph();
    RowInfo info{row.index, row.from, repeats, row.module, 0, output, head};
    for (size_t i = first_param; i < graph.params.size(); ++i)
      if (!graph.params[i].is_buffer()) info.parameters += graph.params[i].shape.numel();
    graph.rows.push_back(std::move(info));
  }

  // Strides by a probe of 256 pixels (graph.md 2.2), then anchors in order and the predictions.
  void finish_heads() {
    constexpr int kProbe = 256;
    Graph& graph = builder_.graph();
    const std::vector<Shape> shapes = [&] {
      try {
        return infer_shapes(graph, 1, kProbe, kProbe);
      } catch (const Error& e) {
        throw e.in_file(cfg_.source);
      }
    }();
    float max_stride = 1;
    for (Head& head : graph.heads) {
      for (const int raw : head.raw) head.strides.push_back(float(kProbe) / float(shapes[size_t(raw)][2]));
      order_anchors(head);
      for (size_t i = 0; i < head.raw.size(); ++i) {
        const ops::DetectDecode decode{head.strides[i], head.anchors[i]};
        head.decode.push_back(
            builder_.detect_decode(head.prefix + fmt::format("decode.{}", i), head.raw[i], decode));
        max_stride = std::max(max_stride, head.strides[i]);
      }
    }
    graph.max_stride = int(max_stride);
    graph.names = builder_.options().names;
    if (!graph.names.empty() && graph.names.size() != size_t(cfg_.nc))
      builder_.fail_row(fmt::format("{} class names for {} classes", graph.names.size(), cfg_.nc));
    for (int c = int(graph.names.size()); c < cfg_.nc; ++c) graph.names.push_back(std::to_string(c));
  }

  // graph.md 2.3: the anchors' areas must grow with the strides, else the levels are reversed.
  static void order_anchors(Head& head) {
    const std::vector<float>&first = head.anchors.front(), &last = head.anchors.back();
    const auto sign = [](float v) { return v > 0 ? 1 : v < 0 ? -1 : 0; };
    const float area = last[last.size() - 2] * last[last.size() - 1] - first[0] * first[1];
    if (sign(area) != sign(head.strides.back() - head.strides.front()))
      std::reverse(head.anchors.begin(), head.anchors.end());
  }

  const Cfg& cfg_;
  GraphBuilder builder_;
  int image_ = 0;
  std::vector<int> values_;  // node of each row
};

}  // namespace

Graph build_graph(const Cfg& cfg, const BuildOptions& options) { return Rows(cfg, options).build(); }

}  // namespace mtyolo::models
