// Average precision by yolov7's rule and by COCO's, and the confusion matrix (eval.md section 3). All sums
// are in double; nothing here depends on threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mtyolo::train {

// Corners in pixels of the original image.
struct ScoredBox {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  float score = 0;
  int cls = 0;  // global id
};
struct TruthBox {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  int cls = 0;
  double area = -1;  // COCO's `area`; negative: width * height
  bool crowd = false;
};
struct ImageResult {
  std::vector<ScoredBox> found;  // by decreasing score
  std::vector<TruthBox> truth;
  uint64_t labelled = ~0ull;  // bit h: labelled for head h of the data.yaml
};

inline constexpr int kIouThresholds = 10;  // 0.50, 0.55, ... 0.95

// Bit j of entry i: found[i] is a true positive at threshold j of yolov7's matching, where one object is
// taken once for all thresholds. Crowds take no part in yolov7's rule.
std::vector<uint16_t> match_detections(const ImageResult& image);

// Means of `Metrics` over a set of classes.
struct MetricsMeans {
  double precision = 0, recall = 0, map50 = 0, map75 = 0, map50_95 = 0;
  int64_t images = 0, labels = 0;
  // 0.1 * mAP@.5 + 0.9 * mAP@.5:.95
  double fitness() const { return 0.1 * map50 + 0.9 * map50_95; }
};
struct ClassMetrics {
  int cls = 0;
  int64_t images = 0, labels = 0;
  double precision = 0, recall = 0, f1 = 0;  // at the confidence of the best mean F1
  std::array<double, kIouThresholds> ap{};
  double ap50() const { return ap[0]; }
  double ap75() const { return ap[5]; }
  double ap50_95() const;
};
// On 1000 confidences 0..1, per entry of Metrics::classes, at IoU 0.5; pr: precision at 1000 recalls 0..1.
struct Curves {
  std::vector<std::vector<double>> precision, recall, f1, pr;
};
inline constexpr int kCurvePoints = 1000;

struct Metrics : MetricsMeans {
  std::vector<ClassMetrics> classes;  // those that occur in the labels, ascending
  Curves curves;
  double confidence = 0;  // of the best mean F1
};

enum class ApRule : uint8_t { kV7, kV5 };  // the recall curve ends at its last value + 0.01, or at 1
Metrics yolo_metrics(const std::vector<ImageResult>& images, int nc, ApRule rule = ApRule::kV7);
// A head: means over the classes given that occur in the labels, at the same confidence; `images` is that of
// all.
Metrics restrict_to(const Metrics& all, const std::vector<int>& classes);

// -1: no object of that range.
struct CocoNumbers {
  double ap = -1, ap50 = -1, ap75 = -1, ap_small = -1, ap_medium = -1, ap_large = -1;
  double ar1 = -1, ar10 = -1, ar100 = -1, ar_small = -1, ar_medium = -1, ar_large = -1;
};
struct CocoMetrics : CocoNumbers {
  struct PerClass : CocoNumbers {
    int cls = 0;
  };
  std::vector<PerClass> classes;  // 0..nc-1
};
// pycocotools' numbers on the same boxes. At equal scores the earlier image goes first (there: the smaller
// id). Without any detection every AP is 0.
CocoMetrics coco_metrics(const std::vector<ImageResult>& images, int nc);
CocoNumbers restrict_to(const CocoMetrics& all, const std::vector<int>& classes);

// counts[predicted][true], (nc + 1) square, index nc = background; score > 0.25, IoU > 0.45; all images, no
// crowds. A pair of different classes counts as a confusion; of several candidates the one of largest IoU.
struct ConfusionMatrix {
  int nc = 0;
  std::vector<int64_t> counts;
  int64_t at(int predicted, int truth) const { return counts[std::size_t(predicted * (nc + 1) + truth)]; }
};
ConfusionMatrix confusion_matrix(const std::vector<ImageResult>& images, int nc);

}  // namespace mtyolo::train
