#include "train/losses/box_iou.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mtyolo::train {
namespace {

constexpr double kEps = 1e-7;
constexpr int kInputs = 8;  // both boxes

// A value with its derivatives by the inputs (forward-mode differentiation).
struct Dual {
  double v = 0;
  std::array<double, kInputs> d{};
};

// f(a, b) given its value and partial derivatives.
Dual chain(double v, double by_a, const Dual& a, double by_b, const Dual& b) {
  Dual out{v, {}};
  for (size_t i = 0; i < kInputs; ++i) out.d[i] = by_a * a.d[i] + by_b * b.d[i];
  return out;
}
Dual constant(double v) { return {v, {}}; }
Dual operator+(const Dual& a, const Dual& b) { return chain(a.v + b.v, 1, a, 1, b); }
Dual operator-(const Dual& a, const Dual& b) { return chain(a.v - b.v, 1, a, -1, b); }
Dual operator*(const Dual& a, const Dual& b) { return chain(a.v * b.v, b.v, a, a.v, b); }
Dual operator/(const Dual& a, const Dual& b) { return chain(a.v / b.v, 1 / b.v, a, -a.v / (b.v * b.v), b); }
Dual operator+(const Dual& a, double b) { return a + constant(b); }
Dual operator*(const Dual& a, double b) { return a * constant(b); }
Dual atan(const Dual& a) { return chain(std::atan(a.v), 1 / (1 + a.v * a.v), a, 0, a); }
Dual min(const Dual& a, const Dual& b) {
  const double share = a.v < b.v ? 1 : a.v > b.v ? 0 : 0.5;
  return chain(std::min(a.v, b.v), share, a, 1 - share, b);
}
Dual max(const Dual& a, const Dual& b) {
  const double share = a.v > b.v ? 1 : a.v < b.v ? 0 : 0.5;
  return chain(std::max(a.v, b.v), share, a, 1 - share, b);
}
Dual positive_part(const Dual& a) { return a.v >= 0 ? a : constant(0); }

struct Corners {
  Dual x1, y1, x2, y2, w, h;
};

Corners corners(const Box& box, size_t first) {
  Dual in[4];
  for (size_t i = 0; i < 4; ++i) {
    in[i].v = box[i];
    in[i].d[first + i] = 1;
  }
  const Dual half_w = in[2] * 0.5, half_h = in[3] * 0.5;
  Corners c{in[0] - half_w, in[1] - half_h, in[0] + half_w, in[1] + half_h, {}, {}};
  c.w = c.x2 - c.x1;
  c.h = c.y2 - c.y1 + kEps;
  return c;
}

// v of CIoU times alpha, which no gradient passes.
Dual aspect(const Corners& a, const Corners& b, double iou) {
  const Dual angle = atan(b.w / (b.h + kEps)) - atan(a.w / (a.h + kEps));
  const Dual v = angle * angle * (4 / (std::numbers::pi * std::numbers::pi));
  return v * (v.v / (v.v - iou + 1 + kEps));
}

Dual dual_iou(IouKind kind, const Corners& a, const Corners& b) {
  const Dual inter =
      positive_part(min(a.x2, b.x2) - max(a.x1, b.x1)) * positive_part(min(a.y2, b.y2) - max(a.y1, b.y1));
  const Dual area = a.w * a.h + b.w * b.h - inter + kEps;
  const Dual iou = inter / area;
  if (kind == IouKind::kIou) return iou;
  const Dual cw = max(a.x2, b.x2) - min(a.x1, b.x1), ch = max(a.y2, b.y2) - min(a.y1, b.y1);
  if (kind == IouKind::kGiou) {
    const Dual hull = cw * ch + kEps;
    return iou - (hull - area) / hull;
  }
  const Dual dx = b.x1 + b.x2 - a.x1 - a.x2, dy = b.y1 + b.y2 - a.y1 - a.y2;
  const Dual distance = (dx * dx + dy * dy) * 0.25 / (cw * cw + ch * ch + kEps);
  if (kind == IouKind::kDiou) return iou - distance;
  return iou - (distance + aspect(a, b, iou.v));
}

}  // namespace

BoxIou box_iou(IouKind kind, const Box& a, const Box& b) {
  const Dual iou = dual_iou(kind, corners(a, 0), corners(b, 4));
  BoxIou out{iou.v, {}, {}};
  std::copy_n(iou.d.begin(), 4, out.grad_a.begin());
  std::copy_n(iou.d.begin() + 4, 4, out.grad_b.begin());
  return out;
}

IouKind iou_by_name(const std::string& name) {
  if (name == "iou") return IouKind::kIou;
  if (name == "giou") return IouKind::kGiou;
  if (name == "diou") return IouKind::kDiou;
  if (name == "ciou") return IouKind::kCiou;
  fail(ExitCode::kUsage, "usage", "no box loss {}; there are ciou, giou, diou, iou", quoted(name));
}

}  // namespace mtyolo::train
