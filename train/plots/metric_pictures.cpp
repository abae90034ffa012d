#include "train/plots/chart.h"
#include "train/plots/pictures.h"

namespace mtyolo::train {

std::vector<PictureFile> draw_metrics(const Metrics& metrics, const ConfusionMatrix& matrix,
                                      const ClassTable& classes) {
  std::vector<PictureFile> files;
  const auto add = [&](const Metrics& m, const std::vector<int>& subset, const std::string& suffix,
                       const std::string& subtitle) {
    for (const CurveKind kind : kCurveKinds)
      files.push_back(
          encode_picture(curve_name(kind) + suffix + ".png", draw_curve(kind, m, classes, subtitle)));
    for (const bool normalised : {false, true})
      files.push_back(
          encode_picture((normalised ? "confusion_matrix_normalized" : "confusion_matrix") + suffix + ".png",
                         draw_confusion_matrix(matrix, classes, normalised, subset, subtitle)));
  };
  add(metrics, {}, "",
      fmt::format("{} images, {} objects", grouped(metrics.images), grouped(metrics.labels)));
  if (classes.heads().size() > 1)
    for (size_t h = 0; h < classes.heads().size(); ++h) {
      const auto& ids = classes.classes_of(int(h));
      const Metrics part = restrict_to(metrics, ids);
      add(part, ids, "_" + classes.heads()[h],
          fmt::format("head {}: {} class{}, {} objects", classes.heads()[h], ids.size(),
                      ids.size() == 1 ? "" : "es", grouped(part.labels)));
    }
  return files;
}

}  // namespace mtyolo::train
