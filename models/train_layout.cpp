#include "models/train_layout.h"

#include <algorithm>

namespace mtyolo::models {
namespace {

constexpr int kBlock = 16;    // channels of a block (ops/blocked/blocked.h)
constexpr int kSegments = 8;  // about the square root of the layers of a network
constexpr int kNoSegment = -1;

template <class T>
const T* as(const GraphNode& node) {
  return std::get_if<T>(&node.attrs);
}

}  // namespace

TrainLayout::TrainLayout(const Graph& graph, bool recompute) : graph_(graph) {
  values_.resize(graph.nodes.size());
  find_needed();
  merge_activations();
  find_last_uses();
  std::vector<int> borders{1};  // node 0 is the image
  if (recompute) borders = cuts();
  borders.push_back(int(graph.nodes.size()));
  make_segments(borders);
  place_concats();
  grow_halos();
  if (!recompute) find_again();
}

void TrainLayout::find_needed() {
  for (const Head& head : graph_.heads)
    for (const auto* ids : {&head.raw, &head.aux_raw})
      for (const int id : *ids) values_[size_t(id)].needed = true;
  for (size_t i = graph_.nodes.size(); i-- > 0;)
    if (values_[i].needed)
      for (const int input : graph_.nodes[i].inputs) values_[size_t(input)].needed = true;
}

void TrainLayout::merge_activations() {
  std::vector<int> users(values_.size(), 0);
  for (const GraphNode& node : graph_.nodes)
    if (value(node.id).needed)
      for (const int input : node.inputs) ++users[size_t(input)];
  for (const Head& head : graph_.heads)
    for (const auto* ids : {&head.raw, &head.aux_raw})
      for (const int id : *ids) ++users[size_t(id)];
  for (const GraphNode& node : graph_.nodes) {
    value_of_.push_back(node.id);
    runs_.push_back(value(node.id).needed && as<Input>(node) == nullptr);
    if (!value(node.id).needed || as<ops::Activation>(node) == nullptr) continue;
    const int input = node.inputs[0];
    if (as<ops::BatchNorm>(graph_.nodes[size_t(input)]) == nullptr || users[size_t(input)] != 1) continue;
    value_of_[size_t(input)] = node.id;
    runs_.back() = false;
  }
}

void TrainLayout::find_last_uses() {
  for (const GraphNode& node : graph_.nodes)
    if (runs(node.id))
      for (const int input : node.inputs) values_[size_t(value_of(input))].last_use = node.id;
  for (const Head& head : graph_.heads)
    for (const auto* ids : {&head.raw, &head.aux_raw})
      for (const int id : *ids) values_[size_t(value_of(id))].last_use = int(graph_.nodes.size());
}

// Borders between rows: each segment makes about as many bytes as the others, and few bytes are kept between
// them.
std::vector<int> TrainLayout::cuts() const {
  const std::vector<Shape> shapes = infer_shapes(graph_, 1, 2 * graph_.max_stride, 2 * graph_.max_stride);
  const int count = int(graph_.nodes.size());
  std::vector<double> made(size_t(count), 0), kept(size_t(count) + 1, 0);
  double total = 0;
  for (int i = 0; i < count; ++i) {
    if (!runs(i)) continue;
    total += made[size_t(i)] = double(shapes[size_t(i)].numel());
    for (int j = i + 1; j <= std::min(value(value_of(i)).last_use, count); ++j)
      kept[size_t(j)] += made[size_t(i)];  // by a cut before node j
  }
  std::vector<int> borders{1};
  double since = 0;
  int best = -1;
  for (int i = 1; i < count; ++i) {
    since += made[size_t(i - 1)];
    const bool between_rows = graph_.nodes[size_t(i)].row != graph_.nodes[size_t(i - 1)].row;
    if (between_rows && since >= 0.5 * total / kSegments &&
        (best < 0 || kept[size_t(i)] <= kept[size_t(best)]))
      best = i;
    if (best < 0 || since < 1.5 * total / kSegments) continue;
    borders.push_back(best);
    since = 0;
    for (int j = best; j < i; ++j) since += made[size_t(j)];
    best = -1;
  }
  return borders;
}

void TrainLayout::make_segments(const std::vector<int>& borders) {
  for (size_t s = 0; s + 1 < borders.size(); ++s) {
    TrainSegment segment{borders[s], borders[s + 1], {}, {}};
    for (int i = segment.begin; i < segment.end; ++i) {
      if (!runs(i)) continue;
      if (value(value_of(i)).last_use >= segment.end) segment.outputs.push_back(value_of(i));
      for (const int input : graph_.nodes[size_t(i)].inputs)
        if (input < segment.begin) segment.inputs.push_back(value_of(input));
    }
    std::sort(segment.inputs.begin(), segment.inputs.end());
    const auto repeated = std::unique(segment.inputs.begin(), segment.inputs.end());
    segment.inputs.erase(repeated, segment.inputs.end());
    segments_.push_back(std::move(segment));
  }
}

// An input becomes a slice of the result when it is made in the same segment, begins at a whole block, ends
// at one or at the end, and is no slice of another value yet.
void TrainLayout::place_concats() {
  std::vector<int> segment_of(values_.size(), kNoSegment);
  for (size_t s = 0; s < segments_.size(); ++s)
    for (int i = segments_[s].begin; i < segments_[s].end; ++i)
      if (runs(i)) segment_of[size_t(value_of(i))] = int(s);
  for (const GraphNode& node : graph_.nodes) {
    if (!runs(node.id) || as<ops::Concat>(node) == nullptr) continue;
    int channel = 0;
    for (const int input : node.inputs) {
      const int id = value_of(input), channels = graph_.nodes[size_t(id)].channels;
      TrainValue& v = values_[size_t(id)];
      const bool whole =
          channel % kBlock == 0 && (channels % kBlock == 0 || channel + channels == node.channels);
      if (whole && v.parent < 0 && segment_of[size_t(id)] == segment_of[size_t(node.id)]) {
        v.parent = node.id;
        v.parent_channel = channel;
      }
      channel += channels;
    }
  }
}

void TrainLayout::grow_halos() {
  for (const GraphNode& node : graph_.nodes) {
    const auto* conv = as<ops::Conv2d>(node);
    if (!runs(node.id) || conv == nullptr) continue;
    TrainValue& owner = values_[size_t(root(value_of(node.inputs[0])))];
    owner.halo = std::max({owner.halo, conv->pad_h, conv->pad_w});
  }
}

// The results of batch norms with at least a quarter of the image's pixels: a tenth of all memory for a
// hundredth of the time. What is made first is needed last, when other maps have gone.
void TrainLayout::find_again() {
  const int side = 2 * graph_.max_stride;
  const std::vector<Shape> shapes = infer_shapes(graph_, 1, side, side);
  std::vector<int> users(values_.size(), 0);
  for (const GraphNode& node : graph_.nodes)
    if (runs(node.id))
      for (const int input : node.inputs) ++users[size_t(value_of(input))];
  for (const GraphNode& node : graph_.nodes) {
    if (!runs(node.id) || as<ops::BatchNorm>(node) == nullptr) continue;
    TrainValue& v = values_[size_t(value_of(node.id))];
    v.again = v.parent < 0 && users[size_t(value_of(node.id))] == 1 &&
              v.last_use < int(graph_.nodes.size()) &&
              as<ops::Conv2d>(graph_.nodes[size_t(v.last_use)]) != nullptr &&
              2 * shapes[size_t(node.id)][2] >= side;
  }
}

int TrainLayout::root(int id) const {
  while (value(id).parent >= 0) id = value(id).parent;
  return id;
}

int TrainLayout::channel_in_root(int id) const {
  int channel = 0;
  for (; value(id).parent >= 0; id = value(id).parent) channel += value(id).parent_channel;
  return channel;
}

}  // namespace mtyolo::models
