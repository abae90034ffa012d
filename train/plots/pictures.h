// The pictures of a run folder (conventions.md section 5), one function each. They return pixels;
// write_picture puts them on disk. No input makes them fail: what is empty or not finite is left out and said
// so in the picture.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/dataset.h"
#include "data/image.h"
#include "train/metrics.h"
#include "train/plots/classes.h"

namespace mtyolo::train {

// A picture as its file.
struct PictureFile {
  std::string name;   // "PR_curve_a.png"
  std::string bytes;  // PNG or JPEG, by the name's ending
};
PictureFile encode_picture(const std::string& name, const data::Image& image);
// Writes FOLDER/name atomically, '/' in the name as '_'. Throws Error{"file_write"}.
void write_picture(const std::string& folder, const PictureFile& picture);

// A JPEG of lower quality whose sides are at most `max_side`: what pages and event files hold of a picture.
// It is made smaller until it has at most `max_bytes` (0 = any number) or its sides are a quarter.
inline constexpr int kPreviewQuality = 85;
struct Preview {
  PictureFile file;
  int width = 0, height = 0;
};
Preview preview(const std::string& name, const data::Image& image, int max_side, size_t max_bytes = 0);

// results.csv in memory: columns as in conventions.md section 6; NaN = no value.
struct ResultsTable {
  std::vector<std::string> columns;
  std::vector<std::vector<double>> rows;                      // each as long as `columns`
  std::vector<double> column(const std::string& name) const;  // empty where there is none
};
// results.png, ten panels (train.md section 9); the heads' columns (`a/train/box_loss`) are thinner lines in
// the same panels. Losses of 0 are hidden.
data::Image draw_results(const ResultsTable& table);

// {PR,F1,P,R}_curve.png.
enum class CurveKind { kPrecisionRecall, kF1, kPrecision, kRecall };
inline constexpr CurveKind kCurveKinds[] = {CurveKind::kPrecisionRecall, CurveKind::kF1,
                                            CurveKind::kPrecision, CurveKind::kRecall};
const char* curve_name(CurveKind kind);  // "PR_curve"
data::Image draw_curve(CurveKind kind, const Metrics& metrics, const ClassTable& classes,
                       const std::string& subtitle = {});

// confusion_matrix.png; normalised: each column (true class) divided by its sum. `subset`: classes shown
// besides the background, empty = all.
data::Image draw_confusion_matrix(const ConfusionMatrix& matrix, const ClassTable& classes, bool normalised,
                                  const std::vector<int>& subset = {}, const std::string& subtitle = {});

// The curves and both matrices of all classes, then with the suffix `_a` of every head if there are several.
std::vector<PictureFile> draw_metrics(const Metrics& metrics, const ConfusionMatrix& matrix,
                                      const ClassTable& classes);

// Boxes of a data set: centre form, normalised.
struct BoxSample {
  int cls = 0;
  float x = 0, y = 0, w = 0, h = 0;
};
std::vector<BoxSample> collect_boxes(const data::Dataset& dataset);
// labels.jpg and labels_correlogram.jpg; `split` stands in the headline if it is given.
data::Image draw_labels(std::span<const BoxSample> boxes, const ClassTable& classes,
                        const std::string& split = {});
data::Image draw_label_correlogram(std::span<const BoxSample> boxes, const std::string& split = {});
struct SplitBoxes {
  std::string name;  // "train"
  std::vector<BoxSample> boxes;
};
// classes.png: the bars of labels.jpg, one row per split.
data::Image draw_class_counts(std::span<const SplitBoxes> splits, const ClassTable& classes);

// anchors.png: sizes of boxes in pixels of the network input, and the anchors over them.
struct AnchorFit {
  std::string head;                                        // "" = all
  std::vector<std::array<float, 2>> sizes;                 // w, h of every box
  std::vector<std::vector<std::array<float, 2>>> anchors;  // per level, from the finest stride
  int img_size = 640;
  double threshold = 4;                // anchor_t: greatest ratio of sides that still matches
  double best_possible_recall = 0;     // BPR
  double anchors_above_threshold = 0;  // AAT, per box
};
data::Image draw_anchors(const AnchorFit& fit);

// Batches: up to 16 images in a grid of ceil(sqrt(n)) columns (eval.md section 10), at most `max_side` pixels
// wide or high, boxes over them.
inline constexpr int kMosaicTiles = 16, kMosaicSide = 1920;
struct MosaicTile {
  data::Image image;
  std::string caption;                   // file name; 40 characters are shown
  std::string note;                      // second line, "" = none
  std::vector<data::LabelledBox> boxes;  // pixels of `image`
};
data::Image draw_mosaic(std::vector<MosaicTile> tiles, int max_side = kMosaicSide);
// train_batch*.jpg, val_batch*_labels.jpg: the batch's targets.
data::Image draw_batch_labels(const data::Batch& batch, const ClassTable& classes);
// val_batch*_pred.jpg: found[i] are the boxes of image i in pixels of the original image, brought to the
// batch by its letterboxes; scores below `min_score` are hidden.
data::Image draw_batch_predictions(const data::Batch& batch, std::span<const std::vector<ScoredBox>> found,
                                   const ClassTable& classes, double min_score = 0.25);

// How one image fared at score >= 0.25 and IoU >= 0.5: each box in order of score takes the best free truth
// of its class.
struct ImageScore {
  int index = 0;  // into the images given
  int right = 0, false_positives = 0, missed = 0;
  double f1 = 0;  // 1 when there is nothing to find and nothing was found
};
ImageScore score_image(const ImageResult& result, int index = 0);
// The `count` images of lowest F1 (then most errors, then first), those without errors left out.
std::vector<ImageScore> worst_images(std::span<const ImageResult> images, int count);
// The image with right boxes in green, false ones in red, missed truth in orange; brought to a longest side
// of `max_side`, so that the labels are small beside what they name.
data::Image draw_errors(const data::Image& image, const ImageResult& result, const ClassTable& classes,
                        int max_side = 640);

}  // namespace mtyolo::train
