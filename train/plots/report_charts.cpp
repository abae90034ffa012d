#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "train/plots/chart.h"
#include "train/plots/report_parts.h"

namespace mtyolo::train {
namespace {

// Units of the drawing; the page scales it.
constexpr double kWidth = 340, kHeight = 210, kLeft = 44, kRight = 10, kTop = 10, kBottom = 24;
// Of more epochs, evenly picked ones are drawn.
constexpr size_t kMostPoints = 1000;

struct Scale {
  Range x, y;
  double to_x(double v) const { return kLeft + (v - x.low) / x.span() * (kWidth - kLeft - kRight); }
  double to_y(double v) const {
    return kHeight - kBottom - (v - y.low) / y.span() * (kHeight - kTop - kBottom);
  }
};

std::string grid(const Scale& s) {
  std::string out;
  const Ticks ys = nice_ticks(s.y, 5), xs = nice_ticks(s.x, 7, true);
  for (size_t i = 0; i < ys.at.size(); ++i)
    out += fmt::format(
        "<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
        "<text x=\"{3}\" y=\"{4:.1f}\" class=\"end\">{5}</text>",
        kLeft, kWidth - kRight, s.to_y(ys.at[i]), kLeft - 6, s.to_y(ys.at[i]) + 3.5, ys.labels[i]);
  for (size_t i = 0; i < xs.at.size(); ++i)
    out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" class=\"mid\">{}</text>", s.to_x(xs.at[i]), kHeight - 8,
                       xs.labels[i]);
  return out;
}

std::string path(const Scale& s, const std::vector<double>& epochs, const std::vector<double>& values,
                 size_t series) {
  std::string points;
  int count = 0;
  double last_x = 0, last_y = 0;
  for (size_t i = 0; i < std::min(epochs.size(), values.size()); ++i) {
    if (!std::isfinite(values[i]) || !std::isfinite(epochs[i])) continue;
    last_x = s.to_x(epochs[i]), last_y = s.to_y(values[i]);
    points += fmt::format("{}{:.1f} {:.1f}", count++ == 0 ? "M" : "L", last_x, last_y);
  }
  if (count == 1)
    return fmt::format("<circle class=\"dot s{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>", series % 8, last_x,
                       last_y);
  return count == 0 ? "" : fmt::format("<path class=\"line s{}\" d=\"{}\"/>", series % 8, points);
}

nlohmann::json numbers(const std::vector<double>& values) {
  nlohmann::json out = nlohmann::json::array();
  for (const double v : values) out.push_back(std::isfinite(v) ? nlohmann::json(v) : nlohmann::json());
  return out;
}

std::string chart_data(const ReportChart& chart, const std::vector<double>& epochs, const Scale& s) {
  nlohmann::json lines = nlohmann::json::array();
  for (const auto& line : chart.lines) lines.push_back({{"name", line.name}, {"y", numbers(line.values)}});
  const nlohmann::json all{{"x", numbers(epochs)}, {"lines", lines}, {"low", s.x.low}, {"high", s.x.high}};
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::vector<double> picked(const std::vector<double>& values, size_t step) {
  if (step <= 1) return values;
  std::vector<double> out;
  for (size_t i = 0; i < values.size(); ++i)
    if (i % step == 0 || i + 1 == values.size()) out.push_back(values[i]);
  return out;
}

bool shows_anything(const ReportChart::Line& line) {
  return std::any_of(line.values.begin(), line.values.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace

std::vector<ReportChart> training_charts(const ResultsTable& table) {
  std::vector<ReportChart> charts;
  // column, name in the legend
  using Lines = std::vector<std::pair<std::string, std::string>>;
  const auto add = [&](const std::string& title, const Lines& lines, bool zero_is_none = false) {
    ReportChart chart{title, {}};
    for (const auto& [column, name] : lines) {
      ReportChart::Line line{name, table.column(column)};
      for (double& v : line.values)
        if (zero_is_none && v == 0) v = std::numeric_limits<double>::quiet_NaN();
      if (shows_anything(line)) chart.lines.push_back(std::move(line));
    }
    if (!chart.lines.empty()) charts.push_back(std::move(chart));
  };
  add("mAP", {{"metrics/mAP_0.5", "mAP@0.5"}, {"metrics/mAP_0.5:0.95", "mAP@0.5:0.95"}});
  add("Precision and recall", {{"metrics/precision", "precision"}, {"metrics/recall", "recall"}});
  const std::string of_head = "/metrics/mAP_0.5:0.95";
  Lines heads;
  for (const std::string& column : table.columns)
    if (column.ends_with(of_head))
      heads.emplace_back(column, column.substr(0, column.size() - of_head.size()));
  add("mAP@0.5:0.95 per head", heads);
  add("Box loss", {{"train/box_loss", "train"}, {"val/box_loss", "val"}}, true);
  add("Objectness loss", {{"train/obj_loss", "train"}, {"val/obj_loss", "val"}}, true);
  add("Class loss", {{"train/cls_loss", "train"}, {"val/cls_loss", "val"}}, true);
  add("Learning rate", {{"x/lr0", "weights"}, {"x/lr1", "norms"}, {"x/lr2", "biases"}});
  add("Images per second", {{"images_per_s", "images/s"}});
  return charts;
}

std::string svg_chart(const ReportChart& chart, const std::vector<double>& all_epochs) {
  const size_t step = all_epochs.size() / kMostPoints + 1;
  const std::vector<double> epochs = picked(all_epochs, step);
  ReportChart drawn{chart.title, {}};
  std::vector<double> every;
  for (const auto& line : chart.lines) {
    drawn.lines.push_back({line.name, picked(line.values, step)});
    every.insert(every.end(), line.values.begin(), line.values.end());
  }
  const Range tight = range_of(every);
  Range y = padded(tight);
  const bool negative = std::any_of(every.begin(), every.end(), [](double v) { return v < 0; });
  if (!negative && (tight.low < 0.5 * tight.high || y.low < 0)) y.low = 0;
  const Scale scale{range_of(epochs), y};
  std::string lines, legend;
  for (size_t i = 0; i < drawn.lines.size(); ++i) {
    lines += path(scale, epochs, drawn.lines[i].values, i);
    legend += fmt::format("<span class=\"key s{}\">{}</span>", i % 8, html_escape(drawn.lines[i].name));
  }
  return fmt::format(
      "<figure class=\"card chart\"><figcaption><b>{0}</b><span class=\"keys\">{1}</span></figcaption>"
      "<svg viewBox=\"0 0 {2} {3}\" role=\"img\" aria-label=\"{0} by epoch\" data-chart=\"{4}\">{5}{6}"
      "<line class=\"cursor\" y1=\"{7}\" y2=\"{8}\"/></svg><div class=\"tip\" hidden></div></figure>\n",
      html_escape(chart.title), legend, kWidth, kHeight, html_escape(chart_data(drawn, epochs, scale)),
      grid(scale), lines, kTop, kHeight - kBottom);
}

std::string base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : kDigits[group >> (18 - 6 * k) & 63];
  }
  return out;
}

}  // namespace mtyolo::train
