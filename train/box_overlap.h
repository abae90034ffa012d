// Overlap of boxes in pixels, in double and without +1.
#pragma once

#include <algorithm>

namespace mtyolo::train {

template <class Box>
double area_of(const Box& b) {
  return (b.x2 - b.x1) * (b.y2 - b.y1);
}

template <class A, class B>
double intersection(const A& a, const B& b) {
  const double w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  const double h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  return w > 0 && h > 0 ? w * h : 0;
}

// 0 when both are empty.
template <class A, class B>
double box_iou(const A& a, const B& b) {
  const double shared = intersection(a, b), all = area_of(a) + area_of(b) - shared;
  return all > 0 ? shared / all : 0;
}

}  // namespace mtyolo::train
