// Binary cross-entropy with logits, plain and focal, of one element (train.md section 8.1).
#pragma once

#include <algorithm>
#include <cmath>

namespace mtyolo::train {

struct BceParams {
  double pos_weight = 1;
  double gamma = 0, alpha = 0.25;  // focal (Lin et al. 2017) if gamma > 0
};

struct Bce {
  double loss = 0, grad = 0;  // grad by the logit
};

inline double sigmoid(double z) {
  const double e = std::exp(-std::abs(z));
  return (z >= 0 ? 1 : e) / (1 + e);
}

// -[w t ln s + (1-t) ln(1-s)], s = sigmoid(z). Exact in both tails: s and 1-s come from one e = exp(-|z|).
inline Bce bce_with_logits(double z, double t, const BceParams& p) {
  const double e = std::exp(-std::abs(z)), big = 1 / (1 + e), small = e * big;
  const double s = z >= 0 ? big : small, rest = z >= 0 ? small : big;
  const double tail = std::log1p(e), wt = p.pos_weight * t;
  Bce bce{wt * (std::max(-z, 0.0) + tail) + (1 - t) * (std::max(z, 0.0) + tail), (1 - t) * s - wt * rest};
  if (p.gamma == 0) return bce;
  // times (t alpha + (1-t)(1-alpha)) m^gamma with m = 1 - p_t = t (1-s) + (1-t) s
  const double m = t * rest + (1 - t) * s, dm = (1 - 2 * t) * s * rest;
  const double weight = t * p.alpha + (1 - t) * (1 - p.alpha), power = std::pow(m, p.gamma);
  const double slope = m > 0 ? p.gamma * power / m * dm : 0;
  return {weight * power * bce.loss, weight * (power * bce.grad + slope * bce.loss)};
}

}  // namespace mtyolo::train
