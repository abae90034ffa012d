// Batches for training and validation, made ahead by threads.
//
// A sample is a function of (seed, epoch, position in the epoch's order) alone: the batches are the same for
// any number of workers, and for a start in the middle of an epoch. One thread calls the Loader.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/augment/params.h"
#include "data/batch.h"
#include "data/dataset.h"

namespace mtyolo::data {

class ImageCache;  // data/image_cache.h

struct LoaderParams {
  int batch_size = 16, img_size = 640, stride = 32;  // batch_size: at most the number of images
  // Batches of images of like shape (data.md section 5), else squares; pad in units of stride: 0.5 in
  // validation, 0 in training. Turned off by begin_epoch's `order`.
  bool rect = false;
  double pad = 0;
  bool augment = false;  // mosaic, warp, colour, flips; with rect no mosaic
  AugmentParams augmentation;
  bool shuffle = false;  // keyed permutation of (seed, epoch), with rect of the batches (known-issues T10)
  int workers = 8;       // threads; min(workers, cores, batches); 0 = in the caller
  uint64_t seed = 0;
  int prefetch = 4;                   // batches held ready or in the making at most
  bool merge_last_image = false;      // a last batch of 1 image joins the one before (known-issues T16)
  std::shared_ptr<ImageCache> cache;  // may be empty; made for the same data set, img_size and augment
};

struct LoaderStats {
  double wait_seconds = 0;                    // spent in next() until a batch was there
  int64_t unreadable = 0;                     // times that an image was replaced by the next one
  std::vector<std::string> unreadable_paths;  // distinct, in the order of the batches
};

class Loader {
 public:
  // `dataset` outlives the loader. Throws Error{kData} for an empty one.
  Loader(const Dataset& dataset, const LoaderParams& params);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  int64_t batches() const;  // per epoch
  // From the next begin_epoch on, for example without mosaic.
  void set_augmentation(const AugmentParams& augmentation);
  // order: indices to use instead of the usual order, as many as there are images (image weights); empty =
  // usual. Drops what was made ahead for another epoch.
  void begin_epoch(int64_t epoch, int64_t first_batch = 0, std::vector<int64_t> order = {});
  // False: the epoch is over. An image that cannot be read any more is replaced by the next of the epoch's
  // order and counted; Error{kData, "images_unreadable"} beyond half of the set or 1,000 distinct ones
  // (reliability.md section 8). Throws what a worker threw, when its batch comes up.
  bool next(Batch& batch);
  const LoaderStats& stats() const;  // since the construction

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mtyolo::data
