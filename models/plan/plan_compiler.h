// How a network becomes a plan: where every value lives, then the steps. Internal to models/plan.
#pragma once

#include <vector>

#include "models/plan/concat_places.h"
#include "models/plan/plan.h"

namespace mtyolo::models {

// One value: a buffer, or a channel range of one.
struct PlanValue {
  bool stored = false;
  ops::blocked::Element type = ops::blocked::Element::kF32;
  int channels = 0, h = 0, w = 0, pixel = ops::blocked::kBlock;
  int halo = 0;  // of the buffer; only on values that own one
};

class PlanLayout {
 public:
  PlanLayout(const Network& network, const std::vector<Shape>& shapes);

  const PlanValue& value(int id) const { return values_[size_t(id)]; }
  const ConcatPlaces& places() const { return places_; }

 private:
  void grow_halos(const Network& network);
  ConcatPlaces places_;
  std::vector<PlanValue> values_;
};

}  // namespace mtyolo::models
