// Looks at every image and label of a split once, in parallel.
#pragma once

#include <string>
#include <vector>

#include "data/formats/label_source.h"

namespace mtyolo::data {

// One image of the split: its place among the sources, and the heads it is labelled for.
struct ScanItem {
  const LabelSource* source = nullptr;
  size_t index = 0;
  uint64_t labelled = ~0ull;
  const LabelSource::Image& image() const { return source->images[index]; }
};

struct ScannedItem {
  bool refused = false;
  ErrorInfo reason;  // of the refusal
  Sample sample;
  Labels::State state = Labels::State::kFound;
  std::vector<Finding> findings;
};

// In the order of `items`, whatever the number of threads. Refused items are marked, not thrown.
std::vector<ScannedItem> scan_items(const std::vector<ScanItem>& items, const DatasetParams& params);

}  // namespace mtyolo::data
