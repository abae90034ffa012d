// A stable sort by decreasing key. (std::stable_sort of GCC 12's library uses what clang calls deprecated.)
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace mtyolo::train {

template <class T, class Key>
void sort_descending(std::vector<T>& values, Key key) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const auto ka = key(values[a]), kb = key(values[b]);
    return ka != kb ? ka > kb : a < b;
  });
  std::vector<T> sorted;
  sorted.reserve(values.size());
  for (const std::size_t i : order) sorted.push_back(values[i]);
  values = std::move(sorted);
}

}  // namespace mtyolo::train
