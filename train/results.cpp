#include "train/results.h"

#include <cmath>

#include "core/error.h"
#include "core/text.h"

namespace mtyolo::train {
namespace {

// Of all classes, and again per head.
const std::vector<std::string> kPerHead{
    "train/box_loss",  "train/obj_loss",       "train/cls_loss", "metrics/precision", "metrics/recall",
    "metrics/mAP_0.5", "metrics/mAP_0.5:0.95", "val/box_loss",   "val/obj_loss",      "val/cls_loss"};

}  // namespace

std::vector<std::string> results_columns(const std::vector<std::string>& heads) {
  std::vector<std::string> columns{"epoch", "time"};
  columns.insert(columns.end(), kPerHead.begin(), kPerHead.end());
  for (const char* name : {"x/lr0", "x/lr1", "x/lr2", "gpu_mem_gb", "images_per_s"}) columns.push_back(name);
  if (heads.size() < 2) return columns;
  for (const std::string& head : heads)
    for (const std::string& name : kPerHead) columns.push_back(head + "/" + name);
  return columns;
}

std::string results_csv(const ResultsTable& table) {
  std::string text = fmt::format("{}\n", fmt::join(table.columns, ","));
  for (const auto& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) text += ',';
      if (std::isfinite(row[i]))
        text += i == 0 ? fmt::format("{}", int64_t(row[i])) : fmt::format("{:.7g}", row[i]);
    }
    text += '\n';
  }
  return text;
}

ResultsTable parse_results_csv(std::string_view text) {
  ResultsTable table;
  int line = 0;
  for (const std::string_view raw : split(text, '\n')) {
    ++line;
    if (trim(raw).empty()) continue;
    const auto cells = split(raw, ',');
    if (table.columns.empty()) {
      for (const std::string_view cell : cells) table.columns.emplace_back(trim(cell));
      continue;
    }
    auto& row = table.rows.emplace_back();
    for (const std::string_view cell : cells) {
      const auto value = parse_double(trim(cell));
      if (!value && !trim(cell).empty())
        fail(ExitCode::kModel, "results", "line {} holds {}, expected a number", line, quoted(cell));
      row.push_back(value.value_or(std::nan("")));
    }
    if (row.size() != table.columns.size())
      fail(ExitCode::kModel, "results", "line {} has {} columns, expected {}", line, row.size(),
           table.columns.size());
  }
  return table;
}

std::string results_txt_line(const ResultsLine& l) {
  std::string text = fmt::format("{:>10}{:>10}", fmt::format("{}/{}", l.epoch, l.epochs - 1),
                                 fmt::format("{:.3g}G", l.memory_gb));
  const auto number = [&](double v) { text += fmt::format("{:>10.4g}", v); };
  for (const double v : {l.box, l.obj, l.cls, l.box + l.obj + l.cls, double(l.labels), double(l.img_size)})
    number(v);
  for (const double v : l.val) number(v);
  return text + "\n";
}

}  // namespace mtyolo::train
