#include <algorithm>
#include <cmath>

#include "train/plots/chart.h"
#include "train/plots/pictures.h"

namespace mtyolo::train {
namespace {

constexpr int kSide = 1960, kText = 28, kMostLabel = 420, kKeyWidth = 190;
constexpr Rgb kWrong[] = {{255, 255, 255}, {254, 230, 206}, {253, 174, 107}, {230, 85, 13}, {127, 39, 4}};

// White over orange to brown: what was taken for something else.
Rgb wrong_colour(double share) {
  const double at = std::clamp(share, 0.0, 1.0) * 4;
  const int low = std::min(3, int(at));
  const auto mix = [&](uint8_t a, uint8_t b) { return uint8_t(std::lrint(a + (b - a) * (at - low))); };
  const Rgb a = kWrong[low], b = kWrong[low + 1];
  return {mix(a.r, b.r), mix(a.g, b.g), mix(a.b, b.b)};
}

// The cells shown, row = predicted, column = true; the last of each is the background.
struct Cells {
  int n = 0;
  std::vector<double> values;
  std::vector<std::string> labels;
  double most = 0;
  double at(int row, int column) const { return values[size_t(row * n + column)]; }
};

Cells cells_of(const ConfusionMatrix& matrix, const ClassTable& classes, bool normalised,
               const std::vector<int>& subset) {
  std::vector<int> shown;
  for (int c = 0; c < matrix.nc; ++c)
    if (subset.empty() || std::find(subset.begin(), subset.end(), c) != subset.end()) shown.push_back(c);
  Cells cells;
  for (const int c : shown) cells.labels.push_back(classes.label(c));
  cells.labels.push_back("background");
  shown.push_back(matrix.nc);
  cells.n = int(shown.size());
  cells.values.resize(size_t(cells.n) * size_t(cells.n));
  if (matrix.counts.size() < size_t(matrix.nc + 1) * size_t(matrix.nc + 1)) return cells;
  for (int column = 0; column < cells.n; ++column) {
    double sum = 0;
    for (int row = 0; row < cells.n; ++row)
      sum += double(matrix.at(shown[size_t(row)], shown[size_t(column)]));
    for (int row = 0; row < cells.n; ++row) {
      const auto count = double(matrix.at(shown[size_t(row)], shown[size_t(column)]));
      cells.values[size_t(row * cells.n + column)] = normalised ? count / (sum + 1e-6) : count;
      cells.most = std::max(cells.most, count);
    }
  }
  if (normalised && cells.most > 0) cells.most = 1;
  return cells;
}

// What a cell says; values below half a hundredth stay blank in the normalised matrix.
std::string cell_text(double value, bool normalised) {
  if (normalised) return value < 0.005 ? "" : fmt::format("{:.2f}", value);
  return value == 0 ? "" : value < 1e5 ? fmt::format("{:.0f}", value) : short_number(value);
}

double shade(double value, const Cells& cells, bool normalised) {
  if (normalised) return value < 0.005 ? 0 : value;
  return cells.most > 0 ? std::sqrt(value / cells.most) : 0;
}

void draw_cells(Canvas& canvas, const Box& frame, const Cells& cells, bool normalised) {
  const double side = frame.width() / cells.n;
  const int size = std::clamp(int(side * 0.3), 16, 40);
  double widest = 0;
  for (const double v : cells.values)
    widest = std::max(widest, double(width_of(cell_text(v, normalised), size)));
  const bool numbers = widest <= side * 0.92 && side >= 24;
  for (int row = 0; row < cells.n; ++row)
    for (int column = 0; column < cells.n; ++column) {
      const double v = cells.at(row, column), share = shade(v, cells, normalised);
      const Rgb ground = row == column ? heat_colour(share) : wrong_colour(share);
      const Box box{frame.x1 + column * side, frame.y1 + row * side, frame.x1 + (column + 1) * side,
                    frame.y1 + (row + 1) * side};
      if (share > 0) canvas.fill(box, ground);
      if (numbers)
        canvas.text({(box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2}, cell_text(v, normalised),
                    {size, readable_on(ground), FontWeight::kRegular, Align::kCentre});
    }
}

void draw_grid(Canvas& canvas, const Box& frame, int n) {
  const double side = frame.width() / n;
  constexpr double kLeastSide = 8;  // finer cells touch
  for (int i = 1; i < n && side >= kLeastSide; ++i) {
    const bool background = i == n - 1;
    const Rgb colour = background ? kAxis : kGrid;
    canvas.fill({frame.x1 + i * side - 1, frame.y1, frame.x1 + i * side + 1, frame.y2}, colour);
    canvas.fill({frame.x1, frame.y1 + i * side - 1, frame.x2, frame.y1 + i * side + 1}, colour);
  }
  canvas.frame(frame, kAxis, 2);
}

// How the names stand: every k-th where the cells are lower than the letters, below the matrix turned if need
// be.
struct Names {
  int size = 0, every = 1;
  double widest = 0;
  bool upright = false;
};

Names lay_out_names(const Cells& cells) {
  const double side = kSide / double(cells.n);
  Names names{std::clamp(int(side * 0.9), 18, kText)};
  names.every = std::max(1, int(std::ceil(names.size / side)));
  for (const std::string& label : cells.labels)
    names.widest =
        std::max(names.widest, double(width_of(fit_text(label, names.size, kMostLabel), names.size)));
  names.upright = names.widest > side * names.every * 0.9;
  return names;
}

void draw_names(Canvas& canvas, const Box& frame, const Cells& cells, const Names& names) {
  const double side = frame.width() / cells.n;
  const int last = cells.n - 1, size = names.size;
  for (int i = 0; i <= last; ++i) {
    const bool room_to_last = names.every == 1 || last - i >= names.every;
    if (i != last && (i % names.every != 0 || !room_to_last)) continue;
    const std::string label = fit_text(cells.labels[size_t(i)], size, kMostLabel);
    const double middle = (i + 0.5) * side;
    TextStyle style{size, i == last ? kMuted : kInk, FontWeight::kRegular, Align::kEnd};
    canvas.text({frame.x1 - 14, frame.y1 + middle}, label, style);
    style.vertical = names.upright;
    if (!names.upright) style.across = Align::kCentre;
    canvas.text({frame.x1 + middle, frame.y2 + (names.upright ? 14 : size)}, label, style);
  }
}

void draw_key(Canvas& canvas, double x, double top, double most, bool normalised) {
  constexpr double kWidth = 34, kHeight = 420;
  for (const bool right : {true, false}) {
    canvas.text({x, top + 12}, right ? "right" : "wrong", {kText, kInk});
    for (int i = 0; i < int(kHeight); ++i)
      canvas.fill({x, top + 40 + i, x + kWidth, top + 41 + i},
                  right ? heat_colour(1 - i / kHeight) : wrong_colour(1 - i / kHeight));
    canvas.frame({x, top + 40, x + kWidth, top + 40 + kHeight}, kAxis, 2);
    for (int i = 0; i <= 4; ++i) {
      const double share = i / 4.0, value = normalised ? share : share * share * most;
      canvas.text({x + kWidth + 12, top + 40 + kHeight * (1 - share)},
                  normalised ? fmt::format("{:.2f}", share) : short_number(std::round(value)), {24, kMuted});
    }
    top += kHeight + 110;
  }
}

}  // namespace

data::Image draw_confusion_matrix(const ConfusionMatrix& matrix, const ClassTable& classes, bool normalised,
                                  const std::vector<int>& subset, const std::string& subtitle) {
  const Cells cells = cells_of(matrix, classes, normalised, subset);
  const Names names = lay_out_names(cells);
  const double left = 90 + names.widest, heading = subtitle.empty() ? 110 : 150;
  const double below = (names.upright ? names.widest : names.size) + 100;
  Canvas canvas(int(left) + kSide + kKeyWidth + 40, int(heading + kSide + below));
  draw_heading(canvas, normalised ? "Confusion matrix, share of each true class" : "Confusion matrix, counts",
               subtitle);
  const Box frame{left, heading, left + kSide, heading + kSide};
  draw_cells(canvas, frame, cells, normalised);
  draw_grid(canvas, frame, cells.n);
  draw_names(canvas, frame, cells, names);
  if (cells.most > 0) draw_key(canvas, frame.x2 + 40, frame.y1, cells.most, normalised);
  const TextStyle style{32, kMuted, FontWeight::kRegular, Align::kCentre};
  canvas.text({(frame.x1 + frame.x2) / 2, canvas.height() - 34.0}, "true", style);
  TextStyle turned = style;
  turned.vertical = true;
  canvas.text({40, (frame.y1 + frame.y2) / 2}, "predicted", turned);
  return canvas.take();
}

}  // namespace mtyolo::train
