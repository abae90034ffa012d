#include "train/losses/terms.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "train/losses/bce.h"
#include "train/losses/box_iou.h"

namespace mtyolo::train {
namespace {

struct Sums {
  double box = 0, obj = 0, cls = 0;
};

// Weight of a level's objectness.
double balance_of(size_t level, size_t levels) {
  constexpr std::array<double, 3> kThree{4.0, 1.0, 0.4};
  constexpr std::array<double, 5> kOther{4.0, 1.0, 0.25, 0.06, 0.02};
  if (levels == kThree.size()) return kThree[level];
  return kOther[std::min(level, kOther.size() - 1)];
}

// Everything that one (image, level) needs.
struct Part {
  const HeadSpec& head;
  const LossParams& params;
  const Grid& grid;
  std::span<const Target> targets;
  std::span<const Match> matches;
  Sums scale;         // of each element's loss in the items, gains included
  double images = 0;  // B
};

// Predicted box of a match, relative to its cell, and its derivatives by the logits (diagonal).
struct Prediction {
  Box box{}, slope{};
};

template <class T>
Prediction predict(const T* row, const Grid& grid, int anchor) {
  Prediction p;
  for (size_t i = 0; i < 2; ++i) {
    const double s = sigmoid(row[i]);
    p.box[i] = 2 * s - 0.5;
    p.slope[i] = 2 * s * (1 - s);
  }
  for (size_t i = 2; i < 4; ++i) {
    const double s = sigmoid(row[i]), side = grid.anchors[size_t(2 * anchor) + i - 2];
    p.box[i] = 4 * s * s * side;
    p.slope[i] = 8 * s * s * (1 - s) * side;
  }
  return p;
}

Box target_box(const Target& t, const Grid& grid, const Match& m) {
  const double nx = double(grid.nx), ny = double(grid.ny);
  return {t.x * nx - m.gi, t.y * ny - m.gj, t.w * nx, t.h * ny};
}

template <class T>
double class_terms(const Part& part, const T* row, T* grad, int cls) {
  const LossParams& p = part.params;
  const BceParams bce{.pos_weight = p.cls_pw, .gamma = p.fl_gamma};
  const double positive = 1 - 0.5 * p.label_smoothing, negative = 0.5 * p.label_smoothing;
  double sum = 0;
  for (int k = 0; k < part.head.nc; ++k) {
    const double factor = p.class_weights.empty() ? 1 : p.class_weights[size_t(k)];
    const Bce e = bce_with_logits(row[5 + k], k == cls ? positive : negative, bce);
    sum += factor * e.loss;
    if (grad != nullptr) grad[5 + k] += T(part.images * part.scale.cls * factor * e.grad);
  }
  return sum;
}

// Objectness over all cells of the image: the one dense pass.
template <class T>
double objectness(const Part& part, const T* map, T* grad, const std::vector<double>& goals) {
  const BceParams bce{.pos_weight = part.params.obj_pw, .gamma = part.params.fl_gamma};
  const int64_t columns = 5 + part.head.nc, cells = int64_t(goals.size());
  const double scale = part.images * part.scale.obj;
  double sum = 0;
  for (int64_t i = 0; i < cells; ++i) {
    const Bce e = bce_with_logits(map[i * columns + 4], goals[size_t(i)], bce);
    sum += e.loss;
    if (grad != nullptr) grad[i * columns + 4] = T(scale * e.grad);
  }
  return sum;
}

// map and grad begin at the image; grad is zero or null.
template <class T>
Sums terms_of_image(const Part& part, const T* map, T* grad) {
  const int64_t columns = 5 + part.head.nc;
  const bool with_classes = part.head.nc > 1 || !part.head.score_is_objectness;
  std::vector<double> goals(static_cast<size_t>(part.grid.cells()), 0.0);  // of objectness
  Sums sums;
  for (const Match& m : part.matches) {
    const int64_t cell = part.grid.cell(m);
    const T* row = map + cell * columns;
    T* row_grad = grad == nullptr ? nullptr : grad + cell * columns;
    const Target& t = part.targets[size_t(m.target)];
    const Prediction p = predict(row, part.grid, m.anchor);
    const BoxIou iou = box_iou(part.params.iou, p.box, target_box(t, part.grid, m));
    sums.box += 1 - iou.value;
    goals[size_t(cell)] = 1 - part.params.gr + part.params.gr * std::max(iou.value, 0.0);
    if (with_classes) sums.cls += class_terms(part, row, row_grad, t.cls);
    if (grad == nullptr) continue;
    for (size_t i = 0; i < 4; ++i)
      row_grad[i] -= T(part.images * part.scale.box * iou.grad_a[i] * p.slope[i]);
  }
  sums.obj = objectness(part, map, grad, goals);
  return {sums.box * part.scale.box, sums.obj * part.scale.obj, sums.cls * part.scale.cls};
}

template <class T>
Sums run_part(const Part& part, const Tensor& map, Tensor* grad, int64_t image, bool labelled) {
  const int64_t elements = part.grid.cells() * (5 + part.head.nc);
  T* g = grad == nullptr ? nullptr : grad->data<T>() + image * elements;
  if (g != nullptr) std::memset(g, 0, size_t(elements) * sizeof(T));
  if (!labelled) return {};
  return terms_of_image<T>(part, map.data<T>() + image * elements, g);
}

// Matches of one image in a list that is ordered by image.
std::span<const Match> matches_of(const std::vector<Match>& all, int64_t image) {
  const auto first =
      std::lower_bound(all.begin(), all.end(), image, [](const Match& m, int64_t i) { return m.image < i; });
  const auto last =
      std::upper_bound(first, all.end(), image, [](int64_t i, const Match& m) { return i < m.image; });
  return {first, last};
}

// Means become sums times these: 1 / matches, 1 / (matches * classes), balance / cells.
Sums scales_of(const HeadSpec& head, const LossParams& p, const Grid& grid, size_t level, size_t matches,
               double images, double weight) {
  const double n = double(std::max<size_t>(matches, 1));
  return {.box = weight * p.box / n,
          .obj = weight * p.obj * balance_of(level, head.strides.size()) / (images * double(grid.cells())),
          .cls = weight * p.cls / (n * head.nc)};
}

}  // namespace

void add_terms(Context& ctx, const HeadSpec& head, const LossParams& params, const LossInput& input,
               std::span<const Tensor> maps, const std::vector<std::vector<Match>>& matches, double weight,
               LossResult& result, std::vector<Tensor>& grads) {
  MTYOLO_CHECK(params.class_weights.empty() || int(params.class_weights.size()) == head.nc,
               "loss: {} class weights for {} classes", params.class_weights.size(), head.nc);
  const std::vector<Grid> grids = grids_of(head, maps);
  const int64_t batch = maps[0].size(0), levels = int64_t(maps.size());
  const auto labelled = [&](int64_t b) { return input.labelled.empty() || input.labelled[size_t(b)] != 0; };
  int64_t images = 0;
  for (int64_t b = 0; b < batch; ++b) images += labelled(b);
  if (input.want_gradients)
    for (const Tensor& map : maps) grads.push_back(Tensor::empty(map.shape(), map.dtype(), ctx.allocator()));

  std::vector<Sums> sums(static_cast<size_t>(batch * levels));
  ctx.pool().parallel_for(batch * levels, [&](int64_t task) {
    const int64_t image = task % batch;
    const size_t level = size_t(task / batch);  // the finest, so the longest tasks, first
    const Sums scale =
        scales_of(head, params, grids[level], level, matches[level].size(), double(images), weight);
    const Part part{head,  params,        grids[level], input.targets, matches_of(matches[level], image),
                    scale, double(images)};
    Tensor* grad = input.want_gradients ? &grads[level] : nullptr;
    const auto run = maps[level].dtype() == DType::kF32 ? run_part<float> : run_part<double>;
    sums[size_t(task)] = run(part, maps[level], grad, image, labelled(image));
  });
  Sums total;
  for (const Sums& s : sums) {
    total.box += s.box;
    total.obj += s.obj;
    total.cls += s.cls;
  }
  result.box += total.box;
  result.obj += total.obj;
  result.cls += total.cls;
  result.loss += double(images) * (total.box + total.obj + total.cls);
}

}  // namespace mtyolo::train
