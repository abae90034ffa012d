// What report.cpp is made of: style, script and the charts in SVG.
#pragma once

#include <string>
#include <vector>

#include "train/plots/report.h"

namespace mtyolo::train {

std::string_view report_style();
std::string_view report_script();

// One chart of the training, drawn by the browser: x = epochs.
struct ReportChart {
  std::string title;
  struct Line {
    std::string name;
    std::vector<double> values;  // per epoch; NaN = none
  };
  std::vector<Line> lines;
};
// The charts that have anything to show.
std::vector<ReportChart> training_charts(const ResultsTable& table);
// <figure> with an <svg>; the numbers travel along for the script that shows them under the pointer.
std::string svg_chart(const ReportChart& chart, const std::vector<double>& epochs);

std::string base64(std::string_view bytes);

}  // namespace mtyolo::train
