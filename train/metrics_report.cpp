#include "train/metrics_report.h"

#include <algorithm>

#include "core/error.h"

namespace mtyolo::train {
namespace {

using Json = nlohmann::ordered_json;

// COCO's numbers in place of yolov7's.
void put_coco(const CocoNumbers& c, MetricsRow& row) {
  row.map50_95 = c.ap;
  row.map50 = c.ap50;
  row.map75 = c.ap75;
  row.small = c.ap_small;
  row.medium = c.ap_medium;
  row.large = c.ap_large;
}

MetricsRow means_row(std::string name, std::string head, const Metrics& m) {
  MetricsRow row;
  static_cast<MetricsMeans&>(row) = m;
  row.name = std::move(name);
  row.head = std::move(head);
  return row;
}

MetricsRow class_row(const ClassMetrics& c, std::string name, std::string head) {
  MetricsRow row;
  static_cast<MetricsMeans&>(row) = {c.precision, c.recall, c.ap50(), c.ap75(),
                                     c.ap50_95(), c.images, c.labels};
  row.name = std::move(name);
  row.head = std::move(head);
  row.cls = c.cls;
  return row;
}

Json number(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json row_json(const MetricsRow& r) {
  return {{"P", r.precision},           {"R", r.recall},
          {"mAP50", r.map50},           {"mAP50_95", r.map50_95},
          {"mAP75", r.map75},           {"small", number(r.small)},
          {"medium", number(r.medium)}, {"large", number(r.large)},
          {"images", r.images},         {"labels", r.labels}};
}

std::string table_row(const MetricsRow& r) {
  return fmt::format("{:>20} {:>12} {:>12} {:>12.3g} {:>12.3g} {:>12.3g} {:>12.3g}\n", r.name, r.images,
                     r.labels, r.precision, r.recall, r.map50, r.map50_95);
}

}  // namespace

MetricKind metric_kind(const std::string& name) {
  for (const MetricKind kind : {MetricKind::kCoco, MetricKind::kV7, MetricKind::kV5})
    if (name == metric_name(kind)) return kind;
  fail(ExitCode::kRuntime, "check", "there is no metric {}", quoted(name));
}

const char* metric_name(MetricKind kind) {
  return kind == MetricKind::kCoco ? "coco" : kind == MetricKind::kV7 ? "v7" : "v5";
}

MetricsReport report_metrics(const std::vector<ImageResult>& images, MetricKind kind,
                             const std::vector<std::string>& names, const std::vector<data::HeadCfg>& heads) {
  const int nc = int(names.size());
  MetricsReport r;
  r.kind = kind;
  r.yolo = yolo_metrics(images, nc, kind == MetricKind::kV5 ? ApRule::kV5 : ApRule::kV7);
  r.confusion = confusion_matrix(images, nc);
  const auto head_of = [&](int cls) -> std::string {
    for (const data::HeadCfg& h : heads)
      if (std::find(h.classes.begin(), h.classes.end(), cls) != h.classes.end()) return h.name;
    return "all";
  };
  r.all = means_row("all", "", r.yolo);
  if (heads.size() > 1)
    for (size_t h = 0; h < heads.size(); ++h) {
      r.heads.push_back(
          means_row("head:" + heads[h].name, heads[h].name, restrict_to(r.yolo, heads[h].classes)));
      r.heads.back().images = std::count_if(images.begin(), images.end(), [h](const ImageResult& image) {
        return (image.labelled >> h & 1) != 0;
      });
    }
  for (const ClassMetrics& c : r.yolo.classes)
    r.classes.push_back(class_row(c, names[size_t(c.cls)], head_of(c.cls)));
  if (kind != MetricKind::kCoco) return r;
  const CocoMetrics coco = coco_metrics(images, nc);
  put_coco(coco, r.all);
  for (size_t h = 0; h < r.heads.size(); ++h) put_coco(restrict_to(coco, heads[h].classes), r.heads[h]);
  for (MetricsRow& row : r.classes) put_coco(coco.classes[size_t(row.cls)], row);
  return r;
}

std::string metrics_table(const MetricsReport& report, bool per_class) {
  std::string text = fmt::format("{:>20} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12}\n", "Class", "Images",
                                 "Labels", "P", "R", "mAP@.5", "mAP@.5:.95");
  text += table_row(report.all);
  for (const MetricsRow& row : report.heads) text += table_row(row);
  if (per_class)
    for (const MetricsRow& row : report.classes) text += table_row(row);
  return text;
}

nlohmann::ordered_json metrics_document(const MetricsReport& report, const SpeedMs& speed) {
  Json d{{"schema_version", 1}, {"kind", "metrics"}, {"metric", metric_name(report.kind)}};
  d["all"] = row_json(report.all);
  d["heads"] = Json::object();
  for (const MetricsRow& row : report.heads) d["heads"][row.head] = row_json(row);
  d["classes"] = Json::array();
  for (const MetricsRow& row : report.classes) {
    Json entry{{"id", row.cls}, {"name", row.name}, {"head", row.head}};
    entry.update(row_json(row));
    d["classes"].push_back(std::move(entry));
  }
  d["confidence_of_best_f1"] = report.yolo.confidence;
  Json& ms = d["speed_ms"];
  ms["preprocess"] = speed.preprocess;
  ms["inference"] = speed.inference;
  ms["postprocess"] = speed.nms;
  return d;
}

}  // namespace mtyolo::train
