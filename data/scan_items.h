// What a scan goes through: the images of all entries of a split, each once, and the labels that the entries
// have for it. Steps of scan_split.
#pragma once

#include "data/dataset.h"
#include "data/formats/label_source.h"

namespace mtyolo::data {

// An entry of the split: where its labels come from, and for which heads (bits) it is labelled.
struct ScanSource {
  std::unique_ptr<LabelSource> labels;
  EntryCfg entry;
  uint64_t heads = ~0ull;
};

// An image of the split. Entries that share it are parts, each giving the labels of its own heads.
struct ScanItem {
  struct Part {
    size_t source, index;  // of its images
    uint64_t heads;
  };
  const LabelSource::Image* image;
  std::vector<Part> parts;
  uint64_t heads() const {
    uint64_t bits = 0;
    for (const Part& p : parts) bits |= p.heads;
    return bits;
  }
};

struct ScanSetup {
  const DataCfg& cfg;
  const DatasetParams& params;
  std::vector<ScanSource> sources;
  uint64_t all_heads = ~0ull;
  std::vector<uint64_t> heads_of_class;  // by global id; empty: one head
};

ScanSetup make_scan_setup(const DataCfg& cfg, const DatasetParams& params);

// Adds the entry at `path`. Throws Error{kData} when it cannot be opened, Error{kUsage} for one that is
// labelled for some heads where all classes shall be one.
void open_source(ScanSetup& setup, const std::string& path, ScanReport& report);

// The images of all entries, sorted, each once. An image of several entries is labelled for the heads of all;
// a head's labels are those of the first entry that is labelled for it.
std::vector<ScanItem> collect_items(const ScanSetup& setup, ScanReport& report);

// fraction * n of n items, at least one, evenly spread.
std::vector<ScanItem> spread(std::vector<ScanItem> items, double fraction);

// Labels of one entry for one image, with global ids, without classes of heads it is not labelled for: these
// are counted in `foreign`.
Labels labels_of_part(const ScanSetup& setup, const ScanItem::Part& part, const ImageSize& size,
                      int& foreign);

// Those of another entry join the labels of an image.
void append_labels(Labels& into, Labels part, const ImageSize& size);

}  // namespace mtyolo::data
