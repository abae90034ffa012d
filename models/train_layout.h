// Where the values of a graph live while it is trained, and which are computed again for the backward pass.
// Depends on the graph alone. Internal to models.
#pragma once

#include <vector>

#include "models/graph.h"

namespace mtyolo::models {

struct TrainValue {
  bool needed = false;     // some raw map depends on it
  int last_use = -1;       // last node that reads it; the number of nodes for raw maps
  int parent = -1;         // concat whose buffer holds this value, -1 = none
  int parent_channel = 0;  // first channel in it
  bool again = false;      // large and read by one convolution: made again instead of kept
  int halo = 0;            // of the buffer, for the convolutions that read any part of it
};

// Nodes [begin, end), which are run together. Without recomputation there is one for the whole graph.
struct TrainSegment {
  int begin = 0, end = 0;
  std::vector<int> inputs, outputs;  // values that cross its borders and are needed
};

class TrainLayout {
 public:
  TrainLayout(const Graph& graph, bool recompute);

  // The value that a node computes: a batch norm does the activation that is its only user too.
  int value_of(int node) const { return value_of_[size_t(node)]; }
  const TrainValue& value(int id) const { return values_[size_t(id)]; }
  const std::vector<TrainSegment>& segments() const { return segments_; }
  // Whether a node is run by itself: needed, no image, no prediction, no activation of a batch norm.
  bool runs(int node) const { return runs_[size_t(node)]; }
  int root(int id) const;  // the value that owns the buffer
  int channel_in_root(int id) const;

 private:
  void find_needed();
  void merge_activations();
  void find_last_uses();
  std::vector<int> cuts() const;
  void make_segments(const std::vector<int>& borders);
  void place_concats();
  void grow_halos();
  void find_again();

  const Graph& graph_;
  std::vector<TrainValue> values_;
  std::vector<int> value_of_;
  std::vector<bool> runs_;
  std::vector<TrainSegment> segments_;
};

}  // namespace mtyolo::models
