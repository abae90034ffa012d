#include "data/sample_maker.h"

#include "core/error.h"
#include "data/image_cache.h"

namespace mtyolo::data {
namespace {

constexpr uint32_t kAugmentStream = 0xa096;

// Of every label in pixels of a canvas; not clipped (data.md section 8).
BatchTarget to_target(const PixelLabel& l, const Image& image) {
  const double w = image.width, h = image.height;
  return {0,
          l.cls,
          float((double(l.x1) + l.x2) / 2 / w),
          float((double(l.y1) + l.y2) / 2 / h),
          float((double(l.x2) - l.x1) / w),
          float((double(l.y2) - l.y1) / h)};
}

}  // namespace

// The pictures of an epoch's order. One that cannot be read is replaced by the next that can: of those
// labelled for the same heads, and only then of the others.
class SampleMaker::Tiles : public TileSource {
 public:
  Tiles(const SampleMaker& maker, const Epoch& epoch, MadeSample& made)
      : maker_(maker), plan_(epoch.plan), made_(made) {}

  int64_t draw(uint64_t labelled, RandomStream& random) override {
    const auto alike = plan_.by_label.find(labelled);
    // After a replacement by an image labelled otherwise, what is put together shares fewer heads than any.
    if (alike == plan_.by_label.end()) return random.below(int64_t(plan_.order.size()));
    return alike->second[size_t(random.below(int64_t(alike->second.size())))];
  }

  Tile tile(int64_t position, bool pixels) override {
    const auto size = int64_t(plan_.order.size());
    const uint64_t labelled = sample_at(position).labelled;
    Tile tile;
    for (const bool alike : {true, false})
      for (int64_t i = 0; i < size; ++i) {
        const int64_t at = (position + i) % size;
        if ((sample_at(at).labelled == labelled) == alike && read(at, pixels, tile)) return tile;
      }
    fail(ExitCode::kData, "images_unreadable",
         "none of the {} images of the set can be read any more; the first was {}", size,
         quoted(*made_.unreadable.begin()));
  }

 private:
  const Sample& sample_at(int64_t position) const {
    return maker_.dataset_.sample(plan_.order[size_t(position)]);
  }

  // False, and counted, when the picture cannot be read.
  bool read(int64_t position, bool pixels, Tile& tile) {
    const LoaderParams& p = maker_.params_;
    const int64_t index = plan_.order[size_t(position)];
    const Sample& sample = sample_at(position);
    if (made_.unreadable.contains(sample.path)) return false;
    tile = {index, &sample, scaled_size({sample.width, sample.height}, p.img_size), {}};
    if (!pixels) return true;
    try {
      tile.image = p.cache ? p.cache->load(index) : load_tile(maker_.dataset_, index, p.img_size, p.augment);
      return true;
    } catch (const Error& e) {
      if (e.exit_code() != ExitCode::kData) throw;
      ++made_.replaced;
      made_.unreadable.insert(sample.path);
      return false;
    }
  }

  const SampleMaker& maker_;
  const EpochPlan& plan_;
  MadeSample& made_;
};

SampleMaker::SampleMaker(const Dataset& dataset, const LoaderParams& params)
    : dataset_(dataset), params_(params) {
  for (int64_t i = 0; i < dataset.size() && !has_polygons_; ++i)
    for (const Label& label : dataset.sample(i).labels) has_polygons_ |= !label.polygon.empty();
}

MadeSample SampleMaker::make(const Epoch& epoch, int64_t position, int width, int height, uint8_t* planes,
                             MakerSpace& space) const {
  MadeSample made;
  Tiles tiles(*this, epoch, made);
  if (params_.augment) make_augmented(epoch, position, width, height, planes, tiles, space, made);
  else make_plain(position, width, height, planes, tiles, space, made);
  made.path = dataset_.sample(made.index).path;
  made.labelled = space.canvas.labelled;
  return made;
}

void SampleMaker::make_augmented(const Epoch& epoch, int64_t position, int width, int height, uint8_t* planes,
                                 Tiles& tiles, MakerSpace& space, MadeSample& made) const {
  const AugmentJob job{.params = epoch.augmentation,
                       .img_size = params_.img_size,
                       .width = width,
                       .height = height,
                       .may_mosaic = !params_.rect,
                       .has_polygons = has_polygons_};
  RandomStream random(params_.seed, kAugmentStream, uint64_t(epoch.number) << 32 | uint64_t(position));
  FlipDraws flips;
  made.index = augment_sample(tiles, position, job, random, space.augment, space.canvas, flips);
  for (const PixelLabel& label : space.canvas.labels) {
    made.targets.push_back(to_target(label, space.canvas.image));
    flip_target(made.targets.back(), flips);
  }
  write_planes(space.canvas.image, flips, planes);
}

void SampleMaker::make_plain(int64_t position, int width, int height, uint8_t* planes, Tiles& tiles,
                             MakerSpace& space, MadeSample& made) const {
  const Tile tile = tiles.tile(position, true);
  made.index = tile.index;
  Letterbox& done = made.letterbox;
  letterbox_canvas(tile, width, height, false, space.canvas, done);
  for (const PixelLabel& label : space.canvas.labels)
    made.targets.push_back(to_target(label, space.canvas.image));
  // Both steps as one: the source was scaled to the tile, the tile to the letterbox.
  done.scale *= double(tile.image->width) / tile.sample->width;
  done.scale_y *= double(tile.image->height) / tile.sample->height;
  done.source_width = tile.sample->width;
  done.source_height = tile.sample->height;
  write_planes(space.canvas.image, {}, planes);
}

}  // namespace mtyolo::data
