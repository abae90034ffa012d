// How a network becomes a plan: where every value lives, then the steps. Internal to models/plan.
#pragma once

#include <vector>

#include "models/plan/plan.h"

namespace mtyolo::models {

// The place of one value: a channel range of a buffer. Concatenated values share one buffer (zero-copy
// concat).
struct PlanValue {
  bool stored = false;
  int channels = 0, h = 0, w = 0, pixel = ops::blocked::kBlock;
  int parent = -1;         // value that contains this one, -1 = has a buffer of its own
  int parent_channel = 0;  // first channel inside the parent
  int halo = 0;            // of the buffer; only on values without parent
};

class PlanLayout {
 public:
  PlanLayout(const Network& network, const std::vector<Shape>& shapes);

  const PlanValue& value(int id) const { return values_[size_t(id)]; }
  // The value that owns the buffer, and the channel in it where `id` begins.
  int root(int id) const;
  int channel_in_root(int id) const;
  // Positions of a concat's inputs that need a copy.
  const std::vector<int>& copied_inputs(int concat) const { return copied_[size_t(concat)]; }

 private:
  void place_concat(const Network& network, const GraphNode& node);
  void grow_halos(const Network& network);
  std::vector<PlanValue> values_;
  std::vector<std::vector<int>> copied_;
};

}  // namespace mtyolo::models
