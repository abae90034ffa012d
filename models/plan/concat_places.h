// Zero-copy concat: which values are channel ranges of another value's buffer. Needs no sizes of images.
#pragma once

#include <vector>

#include "models/graph.h"

namespace mtyolo::models {

class ConcatPlaces {
 public:
  // An input of a concat becomes a slice of it when it begins at a multiple of `block` channels (and, with
  // `whole`, has a multiple) and is no slice of another value yet. The image is none.
  ConcatPlaces(const Graph& graph, const std::vector<int>& value_of, int block, bool whole);

  int parent(int id) const { return places_[size_t(id)].parent; }  // -1: has a buffer of its own
  int channel_in_parent(int id) const { return places_[size_t(id)].channel; }
  // The value that owns the buffer, and the channel in it where `id` begins.
  int root(int id) const;
  int channel_in_root(int id) const;
  // Positions of a concat's inputs that need a copy.
  const std::vector<int>& copied_inputs(int concat) const { return copied_[size_t(concat)]; }

 private:
  struct Place {
    int parent = -1, channel = 0;
  };
  std::vector<Place> places_;
  std::vector<std::vector<int>> copied_;
};

}  // namespace mtyolo::models
