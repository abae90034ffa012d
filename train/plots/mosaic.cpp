#include <algorithm>
#include <cmath>
#include <filesystem>

#include "train/plots/canvas.h"
#include "train/plots/pictures.h"

namespace mtyolo::train {
namespace {

constexpr int kMostTileSide = 640, kLeastTileSide = 320, kBand = 26, kGap = 4, kCaption = 18;
constexpr size_t kCaptionCharacters = 40;
constexpr Rgb kGround{28, 30, 34}, kCaptionColour{230, 232, 236}, kNoteColour{255, 183, 77};

data::Image scaled(const data::Image& image, double scale) {
  if (scale == 1) return image;
  const int w = std::max(1, int(std::lrint(image.width * scale))),
            h = std::max(1, int(std::lrint(image.height * scale)));
  return scale < 1 ? data::resize_area(image, w, h) : data::resize_linear(image, w, h);
}

void draw_tile(Canvas& canvas, const MosaicTile& tile, double scale, int left, int top, int width) {
  data::Image picture = scaled(tile.image, scale);
  const double sx = double(picture.width) / tile.image.width, sy = double(picture.height) / tile.image.height;
  std::vector<data::LabelledBox> boxes = tile.boxes;
  for (data::LabelledBox& b : boxes) b.x1 *= sx, b.x2 *= sx, b.y1 *= sy, b.y2 *= sy;
  data::draw_boxes(picture, boxes, 2);
  canvas.paste(picture, left, top + kBand);
  const std::string name = first_characters(tile.caption, kCaptionCharacters);
  // Half of the line is the note's at least, and all that the name leaves.
  const int room = std::max(width / 2, width - 20 - width_of(name, kCaption));
  const int note = tile.note.empty() ? 0 : std::min(width_of(tile.note, kCaption), room) + 12;
  canvas.text({left + 4.0, top + kBand / 2.0}, fit_text(name, kCaption, width - 8 - note),
              {kCaption, kCaptionColour, FontWeight::kRegular});
  canvas.text({left + width - 4.0, top + kBand / 2.0}, fit_text(tile.note, kCaption, room),
              {kCaption, kNoteColour, FontWeight::kRegular, Align::kEnd});
}

// Image `n` of [B,3,H,W] u8.
data::Image image_of(const Tensor& images, int n) {
  const int h = int(images.shape()[2]), w = int(images.shape()[3]);
  data::Image out(w, h);
  const size_t plane = size_t(w) * size_t(h);
  const uint8_t* from = images.data<uint8_t>() + size_t(n) * 3 * plane;
  for (size_t c = 0; c < 3; ++c)
    for (size_t i = 0; i < plane; ++i) out.pixels[i * 3 + c] = from[c * plane + i];
  return out;
}

// The batch's images without boxes.
std::vector<MosaicTile> tiles_of(const data::Batch& batch, const ClassTable& classes) {
  const Shape& shape = batch.images.shape();
  if (shape.rank() != 4 || shape[1] != 3) return {};
  const int count = int(std::min<int64_t>({shape[0], kMosaicTiles, batch.size()}));
  std::vector<MosaicTile> tiles;
  for (int i = 0; i < count; ++i) {
    MosaicTile tile{image_of(batch.images, i), {}, {}, {}};
    if (size_t(i) < batch.paths.size())
      tile.caption = std::filesystem::path(batch.paths[size_t(i)]).filename().string();
    for (size_t h = 0; h < classes.heads().size() && size_t(i) < batch.labelled.size(); ++h)
      if ((batch.labelled[size_t(i)] >> h & 1) == 0)
        tile.note += (tile.note.empty() ? "not labelled: " : ", ") + classes.heads()[h];
    tiles.push_back(std::move(tile));
  }
  return tiles;
}

}  // namespace

data::Image draw_mosaic(std::vector<MosaicTile> tiles, int max_side) {
  std::erase_if(tiles, [](const MosaicTile& t) { return t.image.width < 1 || t.image.height < 1; });
  if (tiles.size() > size_t(kMosaicTiles)) tiles.resize(kMosaicTiles);
  if (tiles.empty()) {
    Canvas canvas(640, 160, kGround);
    canvas.text({320, 80}, "no images", {28, kCaptionColour, FontWeight::kRegular, Align::kCentre});
    return canvas.take();
  }
  const int n = int(tiles.size()), rows = int(std::ceil(std::sqrt(double(n)))),
            columns = (n + rows - 1) / rows;
  int wide = 1, high = 1;
  for (const MosaicTile& t : tiles)
    wide = std::max(wide, t.image.width), high = std::max(high, t.image.height);
  const double room = double(max_side) / rows - kGap - kBand;
  const int longest = std::max(wide, high);
  // Small images are enlarged, or their labels would hide them.
  const double scale = std::min(
      {std::max(1.0, double(kLeastTileSide) / longest), room / longest, double(kMostTileSide) / longest});
  const int w = std::max(1, int(std::lrint(wide * scale))), h = std::max(1, int(std::lrint(high * scale)));
  Canvas canvas(columns * (w + kGap) + kGap, rows * (h + kBand + kGap) + kGap, kGround);
  for (int i = 0; i < n; ++i)
    draw_tile(canvas, tiles[size_t(i)], scale, kGap + i / rows * (w + kGap),
              kGap + i % rows * (h + kBand + kGap), w);
  return canvas.take();
}

data::Image draw_batch_labels(const data::Batch& batch, const ClassTable& classes) {
  std::vector<MosaicTile> tiles = tiles_of(batch, classes);
  for (const data::BatchTarget& t : batch.targets) {
    if (t.image < 0 || size_t(t.image) >= tiles.size()) continue;
    MosaicTile& tile = tiles[size_t(t.image)];
    const double w = tile.image.width, h = tile.image.height;
    tile.boxes.push_back({(t.x - t.w / 2) * w, (t.y - t.h / 2) * h, (t.x + t.w / 2) * w, (t.y + t.h / 2) * h,
                          classes.label(t.cls), classes.colour(t.cls)});
  }
  return draw_mosaic(std::move(tiles));
}

data::Image draw_batch_predictions(const data::Batch& batch, std::span<const std::vector<ScoredBox>> found,
                                   const ClassTable& classes, double min_score) {
  std::vector<MosaicTile> tiles = tiles_of(batch, classes);
  for (size_t i = 0; i < std::min(tiles.size(), found.size()); ++i) {
    tiles[i].note.clear();
    data::Letterbox fit;
    if (i < batch.letterboxes.size()) fit = batch.letterboxes[i];
    for (const ScoredBox& b : found[i])
      if (b.score >= min_score)
        tiles[i].boxes.push_back({b.x1 * fit.scale + fit.left, b.y1 * fit.scale_y + fit.top,
                                  b.x2 * fit.scale + fit.left, b.y2 * fit.scale_y + fit.top,
                                  fmt::format("{} {:.2f}", classes.label(b.cls), b.score),
                                  classes.colour(b.cls)});
  }
  return draw_mosaic(std::move(tiles));
}

}  // namespace mtyolo::train
