// The numbers of an evaluation as people and programs read them: the table of `val`, metrics.json
// (conventions.md sections 6 and 7).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/data_cfg.h"
#include "train/evaluate.h"
#include "train/metrics.h"

namespace mtyolo::train {

enum class MetricKind : uint8_t { kCoco, kV7, kV5 };
MetricKind metric_kind(const std::string& name);  // "coco", "v7", "v5"; throws Error{"check"}
const char* metric_name(MetricKind kind);

// One line of the table. mAPs are those of the kind of metric, P and R always yolov7's at the confidence of
// the best mean F1. Small, medium and large exist with COCO's alone; -1 = no object of that size.
struct MetricsRow : MetricsMeans {
  std::string name;  // "all", "head:a", a class
  int cls = -1;      // of a class row
  std::string head;  // of a class row and a head row
  std::optional<double> small, medium, large;
};

struct MetricsReport {
  MetricKind kind = MetricKind::kV7;
  MetricsRow all;
  std::vector<MetricsRow> heads;    // empty with one head
  std::vector<MetricsRow> classes;  // those that occur in the labels
  Metrics yolo;                     // curves; the rule is v5's with kV5
  ConfusionMatrix confusion;
};

// `heads`: of the model, for rows and the heads of classes; one or none gives no head rows.
MetricsReport report_metrics(const std::vector<ImageResult>& images, MetricKind kind,
                             const std::vector<std::string>& names, const std::vector<data::HeadCfg>& heads);

// Class Images Labels P R mAP@.5 mAP@.5:.95, yolov7's columns.
std::string metrics_table(const MetricsReport& report, bool per_class);
// The metrics document without what only the caller knows (model, data, img_size).
nlohmann::ordered_json metrics_document(const MetricsReport& report, const SpeedMs& speed);

}  // namespace mtyolo::train
