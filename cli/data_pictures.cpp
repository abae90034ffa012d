#include "cli/data_pictures.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "data/formats/format_table.h"

namespace mtyolo::cli {
namespace {

namespace fs = std::filesystem;
using train::MosaicTile;

constexpr int kTileSide = 640;

std::string write(const std::string& folder, const std::string& name, const data::Image& image) {
  train::write_picture(folder, train::encode_picture(name, image));
  return (fs::path(folder) / name).string();
}

// The images of one split: by their own path and by that of a label file that is theirs alone.
class SplitImages {
 public:
  SplitImages(const data::DataCfg& cfg, const CheckedSplit& split) {
    for (const data::Sample& s : split.scan.samples) samples_[s.path] = &s;
    std::map<std::string, int> uses;
    for (const std::string& entry : split.entries) {
      const auto source = data::format_of(cfg.entry(entry)).open(cfg, cfg.entry(entry));
      for (const auto& image : source->images) {
        image_of_[image.path] = image.path;
        if (++uses[image.label] == 1) image_of_[image.label] = image.path;
        else image_of_.erase(image.label);
      }
    }
  }
  // "" where a finding names no image.
  std::string image_of(const std::string& path) const {
    const auto found = image_of_.find(path);
    return found == image_of_.end() ? "" : found->second;
  }
  const data::Sample* sample(const std::string& image) const {
    const auto found = samples_.find(image);
    return found == samples_.end() ? nullptr : found->second;
  }

 private:
  std::map<std::string, const data::Sample*> samples_;
  std::map<std::string, std::string> image_of_;
};

MosaicTile tile_of(const std::string& path, const data::Sample* sample, const train::ClassTable& classes) {
  MosaicTile tile{{}, fs::path(path).filename().string(), {}, {}};
  try {
    tile.image = data::load_scaled(data::read_sample_image(path), kTileSide, false);
  } catch (const Error&) {
    tile.image = data::Image(kTileSide, kTileSide * 3 / 4, 90);
    return tile;
  }
  if (sample == nullptr) return tile;
  const double w = tile.image.width, h = tile.image.height;
  for (const data::Label& l : sample->labels)
    tile.boxes.push_back({(l.x - l.w / 2) * w, (l.y - l.h / 2) * h, (l.x + l.w / 2) * w, (l.y + l.h / 2) * h,
                          classes.label(l.cls), classes.colour(l.cls)});
  return tile;
}

std::vector<MosaicTile> example_tiles(const data::ScannedSplit& scan, const train::ClassTable& classes) {
  std::vector<const data::Sample*> labelled;
  for (const data::Sample& s : scan.samples)
    if (!s.labels.empty()) labelled.push_back(&s);
  const size_t count = std::min<size_t>(labelled.size(), train::kMosaicTiles);
  std::vector<MosaicTile> tiles;
  for (size_t i = 0; i < count; ++i) {
    const data::Sample* s = labelled[i * labelled.size() / count];
    tiles.push_back(tile_of(s->path, s, classes));
  }
  return tiles;
}

std::vector<MosaicTile> finding_tiles(const FindingGroup& group, const SplitImages& images,
                                      const train::ClassTable& classes) {
  std::vector<MosaicTile> tiles;
  std::set<std::string> shown;
  for (size_t i = 0; i < group.paths.size() && tiles.size() < size_t(train::kMosaicTiles); ++i) {
    const std::string image = images.image_of(group.paths[i]);
    if (image.empty() || !shown.insert(image).second) continue;
    tiles.push_back(tile_of(image, images.sample(image), classes));
    // The message without the path it begins with; the file's name stands beside it.
    const std::string &text = group.messages[i], start = group.paths[i] + ": ";
    tiles.back().note = text.starts_with(start) ? text.substr(start.size()) : group.check_id;
  }
  return tiles;
}

}  // namespace

std::vector<std::string> write_check_pictures(const std::string& folder, const data::DataCfg& cfg,
                                              const std::vector<CheckedSplit>& splits,
                                              const std::vector<FindingGroup>& groups) {
  const train::ClassTable classes(cfg.names, cfg.heads);
  std::vector<std::string> written;
  for (const CheckedSplit& split : splits) {
    if (auto tiles = example_tiles(split.scan, classes); !tiles.empty())
      written.push_back(write(folder, split.name + "_examples.jpg", train::draw_mosaic(std::move(tiles))));
    const SplitImages images(cfg, split);
    for (const FindingGroup& group : groups)
      if (group.split == split.name)
        if (auto tiles = finding_tiles(group, images, classes); !tiles.empty())
          written.push_back(write(folder, split.name + "_" + group.check_id + ".jpg",
                                  train::draw_mosaic(std::move(tiles))));
  }
  return written;
}

std::vector<std::string> write_stats_pictures(const std::string& folder, const data::DataCfg& cfg,
                                              const std::vector<train::SplitBoxes>& splits) {
  const train::ClassTable classes(cfg.names, cfg.heads);
  std::vector<std::string> written;
  for (const train::SplitBoxes& split : splits) {
    const std::string suffix = &split == &splits[0] ? ".jpg" : "_" + split.name + ".jpg";
    written.push_back(write(folder, "labels" + suffix, train::draw_labels(split.boxes, classes, split.name)));
    written.push_back(
        write(folder, "labels_correlogram" + suffix, train::draw_label_correlogram(split.boxes, split.name)));
  }
  written.push_back(write(folder, "classes.png", train::draw_class_counts(splits, classes)));
  return written;
}

}  // namespace mtyolo::cli
