#include <algorithm>
#include <cmath>

#include "train/plots/chart.h"
#include "train/plots/pictures.h"

namespace mtyolo::train {
namespace {

struct PanelSpec {
  const char* column;
  const char* title;
  bool is_loss;
};
constexpr PanelSpec kPanels[] = {
    {"train/box_loss", "train box loss", true},    {"train/obj_loss", "train objectness loss", true},
    {"train/cls_loss", "train class loss", true},  {"metrics/precision", "precision", false},
    {"metrics/recall", "recall", false},           {"val/box_loss", "val box loss", true},
    {"val/obj_loss", "val objectness loss", true}, {"val/cls_loss", "val class loss", true},
    {"metrics/mAP_0.5", "mAP@0.5", false},         {"metrics/mAP_0.5:0.95", "mAP@0.5:0.95", false},
};
constexpr int kColumns = 5, kPanelWidth = 560, kPanelHeight = 520, kMargin = 20, kHeading = 80;

// A line of a panel without its gaps: validation may run in every fifth epoch only.
struct Series {
  std::string name;
  std::vector<double> xs, ys;
};

Series make_series(const std::string& name, const std::vector<double>& epochs,
                   const std::vector<double>& values, bool is_loss) {
  Series s{name, {}, {}};
  for (size_t i = 0; i < values.size(); ++i)
    if (std::isfinite(values[i]) && std::isfinite(epochs[i]) && !(is_loss && values[i] == 0))
      s.xs.push_back(epochs[i]), s.ys.push_back(values[i]);
  return s;
}

// The whole first, then the heads: `a/train/box_loss`.
std::vector<Series> series_of(const ResultsTable& table, const PanelSpec& panel,
                              const std::vector<double>& epochs) {
  std::vector<Series> all;
  const std::string name = panel.column;
  for (const std::string& column : table.columns)
    if (column == name) all.push_back(make_series("all", epochs, table.column(column), panel.is_loss));
  for (const std::string& column : table.columns)
    if (column.ends_with("/" + name))
      all.push_back(make_series(column.substr(0, column.size() - name.size() - 1), epochs,
                                table.column(column), panel.is_loss));
  return all;
}

std::string best_text(const Series& s, bool is_loss) {
  if (s.ys.empty()) return "";
  if (is_loss) return "last " + short_number(s.ys.back());
  const size_t at = size_t(std::max_element(s.ys.begin(), s.ys.end()) - s.ys.begin());
  return fmt::format("best {} (epoch {})", short_number(s.ys[at]), short_number(s.xs[at]));
}

Stroke stroke_of(size_t series) {
  return {series == 0 ? 4.0 : 3.0, series_colour(series), series == 0 ? 1 : 0.8, 0};
}

void draw_panel(Canvas& canvas, const Box& outer, const PanelSpec& panel, const std::vector<Series>& all,
                const Range& epochs) {
  constexpr size_t kMarkedPoints = 40;
  std::vector<double> values;
  for (const Series& s : all) values.insert(values.end(), s.ys.begin(), s.ys.end());
  const bool empty = values.empty();
  Range range = range_of(values);
  if (!empty) range = panel.is_loss ? padded(range) : Range{0, std::max(range.high, 1e-9) * 1.05};
  Axes axes(canvas, outer, panel.title, {epochs, "", true, empty}, {range, "", false, empty});
  if (empty) return axes.say_empty();
  axes.remark(best_text(all[0], panel.is_loss));
  for (size_t i = all.size(); i-- > 0;) {
    const Stroke stroke = stroke_of(i);
    axes.line(all[i].xs, all[i].ys, stroke);
    if (all[i].xs.size() <= kMarkedPoints) axes.dots(all[i].xs, all[i].ys, i == 0 ? 5 : 4, stroke.colour);
  }
}

// The names of the lines, right of the heading.
void draw_names(Canvas& canvas, const std::vector<Series>& all) {
  constexpr int kText = 26;
  double x = 460;
  for (size_t i = 0; i < all.size() && all.size() > 1; ++i) {
    const Place ends[] = {{x, 46}, {x + 44, 46}};
    canvas.polyline(ends, stroke_of(i));
    const std::string name = fit_text(all[i].name, kText, 400);
    canvas.text({x + 58, 46}, name, {kText, kInk});
    x += 58 + width_of(name, kText) + 50;
  }
}

}  // namespace

std::vector<double> ResultsTable::column(const std::string& name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  std::vector<double> values;
  if (found == columns.end()) return values;
  const size_t at = size_t(found - columns.begin());
  for (const std::vector<double>& row : rows)
    values.push_back(at < row.size() ? row[at] : std::numeric_limits<double>::quiet_NaN());
  return values;
}

data::Image draw_results(const ResultsTable& table) {
  Canvas canvas(2 * kMargin + kColumns * kPanelWidth, kHeading + 2 * kPanelHeight + kMargin);
  std::vector<double> epochs = table.column("epoch");
  if (epochs.empty())
    for (size_t i = 0; i < table.rows.size(); ++i) epochs.push_back(double(i));
  Range range = range_of(epochs);
  if (!epochs.empty()) range = padded(range, 0.02);
  canvas.text({kMargin + 20, 44}, "Training by epoch", {36, kInk, FontWeight::kBold});
  draw_names(canvas, series_of(table, kPanels[0], epochs));
  for (size_t i = 0; i < std::size(kPanels); ++i) {
    const double x = kMargin + double(i % kColumns) * kPanelWidth,
                 y = kHeading + double(i / kColumns) * kPanelHeight;
    draw_panel(canvas, {x + 8, y, x + kPanelWidth - 8, y + kPanelHeight - 16}, kPanels[i],
               series_of(table, kPanels[i], epochs), range);
  }
  return canvas.take();
}

}  // namespace mtyolo::train
