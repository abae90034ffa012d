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
    builder_.begin_row(cfg_.rows.back());
    settle_groups();
    const int rows = int(cfg_.rows.size());
    // Rows up to a stage's end belong to one head after the other: a head's values are then done with before
    // the next one's are made, where no cross-stitch unit wants both.
    for (int row = 0; row < first_private_; ++row) add_row(row, kShared);
    for (int begin = first_private_; begin < rows;) {
      const int end = stage_end(begin);
      for (int head = 0; head < int(groups_.size()); ++head)
        for (int row = begin; row < end; ++row) add_row(row, head);
      if (is_stitched(end - 1)) cross_stitch(end - 1);
      begin = end;
    }
    if (builder_.graph().heads.empty())
      builder_.fail_row("the last row is no detection head",
                        "end the cfg with Detect, IDetect or IAuxDetect");
    couple();
    finish_heads();
    return std::move(builder_.graph());
  }

 private:
  static constexpr int kShared = -1;

  bool is_split() const { return !builder_.options().heads.empty(); }
  bool is_soft() const { return groups_.size() > 1 && cfg_.sharing.mode == Sharing::Mode::kSoft; }
  bool is_stitched(int row) const {
    const std::vector<int>& rows = cfg_.sharing.cross_stitch;
    return is_soft() && std::binary_search(rows.begin(), rows.end(), row);
  }

  void settle_groups() {
    groups_ = builder_.options().heads;
    if (!is_split()) {
      groups_.push_back({"all", {}});
      for (int c = 0; c < cfg_.nc; ++c) groups_[0].classes.push_back(c);
    }
    check_groups(groups_);
    const int rows = int(cfg_.rows.size());
    first_private_ = rows - 1;
    if (groups_.size() > 1 && rows > 1)
      first_private_ = cfg_.sharing.mode == Sharing::Mode::kHard ? shared_until(cfg_.sharing, rows) + 1 : 0;
    private_values_.resize(groups_.size());
  }

  // One past the next stitched row, else past the last row.
  int stage_end(int begin) const {
    for (int row = begin; row < int(cfg_.rows.size()); ++row)
      if (is_stitched(row)) return row + 1;
    return int(cfg_.rows.size());
  }

  // "heads.a." for what belongs to a head, "" for what is shared or the only head's.
  std::string prefix_of(int head) const {
    return head == kShared || !is_split() ? "" : fmt::format("heads.{}.", groups_[size_t(head)].name);
  }

  std::vector<int>& values_of(int head) { return head == kShared ? values_ : private_values_[size_t(head)]; }

  void add_row(int index, int head) {
    const CfgRow& row = cfg_.rows[size_t(index)];
    builder_.begin_row(row);
    const ModuleEntry& module = find_module(builder_, row.module);
    const bool last = index + 1 == int(cfg_.rows.size());
    if (module.kind == ModuleKind::kHead && !last)
      builder_.fail_row("a detection head before the last row, which it must be");
    if (module.kind == ModuleKind::kHead) return add_head(row, head);
    const std::string scope = fmt::format("{}model.{}", prefix_of(head), row.index);
    ModuleCall call{builder_, row, scope, inputs_of(row, head)};
    const size_t first_param = builder_.graph().params.size();
    expand(call, module);
    values_of(head).push_back(call.x());
    note_row(row, row.repeats, first_param, call.x(), head);
  }

  // Leaves the row's value as the call's input.
  void expand(ModuleCall& call, const ModuleEntry& module) {
    int repeats = scaled_repeats(call.row.repeats, cfg_);
    if (module.kind != ModuleKind::kMulti && call.inputs.size() != 1)
      builder_.fail_row(fmt::format("reads {} rows, expected one", call.inputs.size()));
    if (module.kind == ModuleKind::kMulti && repeats != 1)
      builder_.fail_row("a module that reads several rows cannot be repeated");
    if (module.kind == ModuleKind::kChannelled || module.kind == ModuleKind::kCounted)
      call.c2 = scaled_channels(call, cfg_);
    if (module.kind == ModuleKind::kCounted) call.repeats = std::exchange(repeats, 1);
    const std::string scope = call.scope;
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
  }

  std::vector<int> inputs_of(const CfgRow& row, int head) const {
    std::vector<int> inputs;
    for (const int from : row.from)
      inputs.push_back(from < 0 ? image_
                       : from < first_private_
                           ? values_[size_t(from)]
                           : private_values_[size_t(head)][size_t(from - first_private_)]);
    return inputs;
  }

  void add_head(const CfgRow& row, int index) {
    if (row.repeats != 1) builder_.fail_row("a detection head cannot be repeated");
    const HeadGroup& group = groups_[size_t(index)];
    const std::string scope = fmt::format("{}model.{}", prefix_of(index), row.index);
    const size_t first_param = builder_.graph().params.size();
    Head head = expand_detect({builder_, row, scope, inputs_of(row, index)}, group);
    head.score_is_objectness = cfg_.nc == 1;
    builder_.graph().heads.push_back(std::move(head));
    note_row(row, 1, first_param, -1, index);
  }

  // What later rows of each head read of this row is a mixture of all heads' values.
  void cross_stitch(int row) {
    builder_.begin_row(cfg_.rows[size_t(row)]);
    if (groups_.size() > kMaxStitchedHeads)
      builder_.fail_row(fmt::format("cross-stitch between {} heads, expected at most {}", groups_.size(),
                                    kMaxStitchedHeads));
    std::vector<int> inputs, mixed;
    for (const std::vector<int>& values : private_values_) inputs.push_back(values[size_t(row)]);
    std::vector<RowInfo>& infos = builder_.graph().rows;
    for (int head = 0; head < int(groups_.size()); ++head) {
      const std::string scope = fmt::format("{}model.{}.cross_stitch", prefix_of(head), row);
      mixed.push_back(builder_.cross_stitch(scope, inputs, head));
      for (RowInfo& info : infos)
        if (info.index == row && info.head == groups_[size_t(head)].name)
          info.parameters += int64_t(inputs.size()) * builder_.channels(mixed.back());
    }
    for (size_t head = 0; head < mixed.size(); ++head) private_values_[head][size_t(row)] = mixed[head];
  }

  // Graph::couplings: every pair of heads, every tensor of their rows that learns.
  void couple() {
    const Sharing& s = cfg_.sharing;
    if (!is_soft() || !is_tied(s)) return;
    const int last = s.couple_last < 0 ? int(cfg_.rows.size()) - 2 : s.couple_last;
    const std::vector<ParamInfo>& params = builder_.graph().params;
    for (const RowParams& row : row_params_) {
      if (row.index < s.couple_first || row.index > last) continue;
      for (size_t i = row.first; i < row.first + row.count; ++i)
        for (int other = row.head + 1; !params[i].is_buffer() && other < int(groups_.size()); ++other)
          couple(params[i], prefix_of(row.head), prefix_of(other));
    }
  }

  void couple(const ParamInfo& param, const std::string& from, const std::string& to) {
    const ParamInfo* other = builder_.find_param(to + param.name.substr(from.size()));
    if (other == nullptr || other->shape != param.shape) return;
    std::vector<Coupling>& couplings = builder_.graph().couplings;
    if (couplings.size() >= kMaxCouplings)
      builder_.fail_row(fmt::format("soft sharing ties more than {} pairs of tensors", kMaxCouplings));
    couplings.push_back({param.name, other->name, cfg_.sharing.strength});
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

  void note_row(const CfgRow& row, int repeats, size_t first_param, int output, int head) {
    Graph& graph = builder_.graph();
    const bool is_private = head != kShared && is_split();
    RowInfo info{
        row.index, row.from, repeats, row.module, 0, output, is_private ? groups_[size_t(head)].name : ""};
    for (size_t i = first_param; i < graph.params.size(); ++i)
      if (!graph.params[i].is_buffer()) info.parameters += graph.params[i].shape.numel();
    graph.rows.push_back(std::move(info));
    if (is_private) row_params_.push_back({row.index, head, first_param, graph.params.size() - first_param});
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
  std::vector<HeadGroup> groups_;
  int image_ = 0, first_private_ = 0;             // rows from first_private_ on exist once per head
  std::vector<int> values_;                       // node of each shared row
  std::vector<std::vector<int>> private_values_;  // by head, of the rows from first_private_ on
  struct RowParams {
    int index, head;
    size_t first, count;  // in Graph::params
  };
  std::vector<RowParams> row_params_;
};

}  // namespace

Graph build_graph(const Cfg& cfg, const BuildOptions& options) { return Rows(cfg, options).build(); }

}  // namespace mtyolo::models
