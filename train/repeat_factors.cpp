#include "train/repeat_factors.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/random.h"
#include "data/epoch_plan.h"

namespace mtyolo::train {
namespace {

constexpr uint32_t kStartStream = 0x72707468;  // "rpth"

std::set<int> classes_of(const data::Sample& sample) {
  std::set<int> classes;
  for (const data::Label& l : sample.labels) classes.insert(l.cls);
  return classes;
}

}  // namespace

std::vector<double> repeat_factors(const data::Dataset& set, const std::vector<data::HeadCfg>& heads,
                                   double threshold) {
  std::map<int, size_t> head_of;
  for (size_t h = 0; h < heads.size(); ++h)
    for (const int c : heads[h].classes) head_of[c] = h;
  std::vector<int64_t> labelled(std::max<size_t>(heads.size(), 1));  // images
  std::map<int, int64_t> with_class;
  for (int64_t i = 0; i < set.size(); ++i) {
    const data::Sample& s = set.sample(i);
    for (size_t h = 0; h < labelled.size(); ++h) labelled[h] += int64_t(s.labelled >> h & 1);
    for (const int c : classes_of(s)) ++with_class[c];
  }
  std::vector<double> factors;
  for (int64_t i = 0; i < set.size(); ++i) {
    double factor = 1;
    for (const int c : classes_of(set.sample(i))) {
      const auto head = head_of.find(c);
      const double f = double(with_class[c]) / double(labelled[head == head_of.end() ? 0 : head->second]);
      factor = std::max(factor, std::sqrt(threshold / f));
    }
    factors.push_back(factor);
  }
  return factors;
}

std::vector<int64_t> draw_repeated(const std::vector<double>& factors, uint64_t seed, int64_t epoch) {
  const size_t n = factors.size();
  double sum = 0;
  for (const double f : factors) sum += f;
  RandomStream random(seed, kStartStream, uint64_t(epoch));
  const double start = random.uniform();
  const std::vector<int64_t> places = data::permutation(int64_t(n), seed, epoch);
  std::vector<int64_t> order(n);
  double upto = n == 0 ? 0 : factors[0];
  for (size_t k = 0, image = 0; k < n; ++k) {
    const double at = (double(k) + start) * sum / double(n);
    while (image + 1 < n && upto <= at) upto += factors[++image];
    order[size_t(places[k])] = int64_t(image);
  }
  return order;
}

}  // namespace mtyolo::train
