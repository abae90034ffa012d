// A data set in memory: drawn pictures, some of which can be made unreadable.
#pragma once

#include <set>

#include "core/error.h"
#include "data/dataset.h"
#include "tests/data/pictures.h"

namespace mtyolo::test {

class MemoryDataset : public data::Dataset {
 public:
  int64_t size() const override { return int64_t(samples_.size()); }
  const data::Sample& sample(int64_t index) const override { return samples_.at(size_t(index)); }
  const data::ScanReport& report() const override { return report_; }
  data::Image read(int64_t index) const override {
    if (unreadable.contains(index)) fail(ExitCode::kData, "image_gone", "image {} is gone", index);
    return images_.at(size_t(index));
  }

  void add(data::Image image, std::vector<data::Label> labels = {}) {
    data::Sample sample;
    sample.path = fmt::format("image{}", samples_.size());
    sample.width = image.width;
    sample.height = image.height;
    sample.labels = std::move(labels);
    samples_.push_back(std::move(sample));
    images_.push_back(std::move(image));
  }
  data::Sample& change(int64_t index) { return samples_.at(size_t(index)); }

  std::set<int64_t> unreadable;

 private:
  std::vector<data::Sample> samples_;
  std::vector<data::Image> images_;
  data::ScanReport report_;
};

// `count` pictures of different shapes and contents, with a label each; every third has a polygon.
inline MemoryDataset varied_dataset(int count) {
  MemoryDataset set;
  for (int i = 0; i < count; ++i) {
    data::Image image = pattern_image(40 + 7 * (i % 5), 36 + 5 * (i % 7));
    for (uint8_t& value : image.pixels) value = uint8_t(value + 13 * i);
    data::Label label{i % 3, 0.5f, 0.5f, 0.6f, 0.5f, {}, false};
    if (i % 3 == 0) label.polygon = {{0.2f, 0.25f}, {0.8f, 0.25f}, {0.8f, 0.75f}, {0.2f, 0.75f}};
    set.add(std::move(image), {label});
  }
  return set;
}

}  // namespace mtyolo::test
