// What `val` and `train` leave in their run folders: predictions.json and labels/*.txt (eval.md section 1.2).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/file.h"
#include "data/batch.h"
#include "data/data_cfg.h"
#include "data/dataset.h"
#include "train/evaluate.h"

namespace mtyolo::cli {

// One name for each image, never twice: its path below the folder that all share, without ending; a second
// a.png beside a.jpg becomes a_2.
std::vector<std::string> unique_names(const data::Dataset& dataset);

// The ids of COCO results as JSON text: the id of a COCO file; else the stem as a number where it has only
// digits, else the stem. Images whose id another has as well get their unique name, and a warning.
std::vector<std::string> image_ids(const data::Dataset& dataset, const std::vector<std::string>& names);

// Of COCO results, by class id: those of the COCO file `entry` (one of the split's), else COCO's for its
// classes, else the class ids.
std::vector<int64_t> category_ids(const data::DataCfg& cfg, const std::string& entry,
                                  const std::vector<std::string>& names);

struct ValOutputParams {
  std::string folder;
  bool predictions = false, labels = false, confidences = false;
  std::vector<int64_t> category_ids;  // by class id
};

class ValOutput {
 public:
  ValOutput(ValOutputParams params, const data::Dataset& dataset);
  void add_predictions(const data::Batch& batch, const train::EvaluateHooks::Boxes& found);
  void write_labels(const data::Batch& batch, const train::EvaluateHooks::Boxes& found) const;
  void finish();  // predictions.json appears

 private:
  ValOutputParams params_;
  const data::Dataset& dataset_;
  std::vector<std::string> names_, ids_;
  std::optional<AtomicFile> predictions_;
  bool first_ = true;
};

}  // namespace mtyolo::cli
