#include "data/augment/mixup.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace mtyolo::data {

double draw_mixup_ratio(RandomStream& random) {
  // The 8th smallest of 15 uniform numbers follows Beta(8, 8) exactly (order statistics).
  std::array<double, 15> u;
  for (double& value : u) value = random.uniform();
  std::nth_element(u.begin(), u.begin() + 7, u.end());
  return u[7];
}

void mixup(Canvas& into, const Canvas& other, double ratio) {
  MTYOLO_CHECK(into.image.width == other.image.width && into.image.height == other.image.height,
               "mixup: {} x {} with {} x {}", into.image.width, into.image.height, other.image.width,
               other.image.height);
  uint8_t* a = into.image.pixels.data();
  const uint8_t* b = other.image.pixels.data();
  const double rest = 1 - ratio;
  const size_t n = into.image.pixels.size();
  for (size_t i = 0; i < n; ++i) a[i] = uint8_t(int(a[i] * ratio + b[i] * rest));
  into.labels.insert(into.labels.end(), other.labels.begin(), other.labels.end());
  into.labelled &= other.labelled;
}

}  // namespace mtyolo::data
