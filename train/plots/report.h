// report.html: one page with everything about a run; needs no other file and no network.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "train/metrics.h"
#include "train/plots/pictures.h"

namespace mtyolo::train {

// Texts are UTF-8 and may come from anywhere: the page escapes them.
struct ReportFact {
  std::string name, value;
};
struct ReportPicture {
  std::string title, caption;
  PictureFile file;
};
struct ReportSplit {
  std::string name;  // "train", "val"
  int images = 0, background = 0, missing = 0, refused = 0;
  std::vector<int64_t> class_counts;  // boxes by class id
};
ReportSplit describe_split(const std::string& name, const data::Dataset& dataset, int nc);
struct ReportTime {
  std::string name;
  double seconds = 0;
};
struct ReportStep {
  std::string text, command;  // command "" = none
};

// Sections whose input is empty are left out.
struct ReportData {
  std::string title;    // "yolov7-tiny on coco.yaml"
  std::string verdict;  // one sentence below the title
  std::vector<ReportFact>
      headline;                 // big numbers; with `metrics` mAP, P and R come by themselves before them
  std::string command;          // as typed
  std::vector<ReportFact> run;  // version, machine, started, duration, ...
  std::vector<ReportFact> settings;  // opt.yaml and hyp.yaml
  ClassTable classes;
  std::vector<ReportSplit> splits;
  std::vector<data::Finding> findings;
  ResultsTable results;                        // of all epochs
  std::optional<Metrics> metrics;              // per class, per head by the classes' heads
  std::vector<ReportPicture> metric_pictures;  // curves and confusion matrices
  std::vector<ReportPicture> data_pictures;    // labels, anchors
  std::vector<ReportPicture> batches;
  std::vector<ReportPicture> worst;
  std::vector<ReportTime> time;  // where the time went
  std::vector<ReportStep> next_steps;
};

std::string html_escape(std::string_view text);  // also quotes; control and invalid bytes become U+FFFD
std::string report_html(const ReportData& report);
void write_report(const std::string& path, const ReportData& report);  // atomically

}  // namespace mtyolo::train
