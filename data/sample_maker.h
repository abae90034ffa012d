// One sample of a batch: pictures read, augmented or fitted, and written to its place.
#pragma once

#include <memory>
#include <set>

#include "data/augment/pipeline.h"
#include "data/epoch_plan.h"

namespace mtyolo::data {

// What all samples of an epoch share; never changed while threads use it.
struct Epoch {
  int64_t number = 0;
  EpochPlan plan;
  AugmentParams augmentation;
};

// What a batch says of one image (data/batch.h).
struct MadeSample {
  std::vector<BatchTarget> targets;  // `image` is left 0
  uint64_t labelled = ~0ull;
  int64_t index = 0;
  std::string path;
  Letterbox letterbox;
  int64_t replaced = 0;              // images that could not be read
  std::set<std::string> unreadable;  // their paths
};

// What a thread keeps between samples.
struct MakerSpace {
  AugmentSpace augment;
  Canvas canvas;
};

class SampleMaker {
 public:
  SampleMaker(const Dataset& dataset, const LoaderParams& params);

  // The sample at `position` as `width` x `height`; its planes go to `planes`. Thread-safe.
  MadeSample make(const Epoch& epoch, int64_t position, int width, int height, uint8_t* planes,
                  MakerSpace& space) const;

 private:
  class Tiles;
  void make_augmented(const Epoch& epoch, int64_t position, int width, int height, uint8_t* planes,
                      Tiles& tiles, MakerSpace& space, MadeSample& made) const;
  void make_plain(int64_t position, int width, int height, uint8_t* planes, Tiles& tiles, MakerSpace& space,
                  MadeSample& made) const;

  const Dataset& dataset_;
  LoaderParams params_;
  bool has_polygons_ = false;
};

}  // namespace mtyolo::data
