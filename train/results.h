// results.csv and results.txt (conventions.md section 6, train.md section 9).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "train/plots/pictures.h"

namespace mtyolo::train {

// The columns of results.csv; with several heads each has its own train, metrics and val columns at the end.
std::vector<std::string> results_columns(const std::vector<std::string>& heads);

// A value that is not finite is an empty cell.
std::string results_csv(const ResultsTable& table);
// Throws Error{kModel, "results"} that names the line.
ResultsTable parse_results_csv(std::string_view text);

// One line of yolov7's results.txt: `e/E-1`, memory, box, obj, cls, total, labels and size of the last batch,
// then P, R, mAP.5, mAP.5:.95 and the losses of validation, 15 columns in all.
struct ResultsLine {
  int epoch = 0, epochs = 1, labels = 0, img_size = 0;
  double memory_gb = 0, box = 0, obj = 0, cls = 0;
  double val[7] = {};
};
std::string results_txt_line(const ResultsLine& line);

}  // namespace mtyolo::train
