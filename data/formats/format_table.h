// The formats of data sets. A new one is a file here, a class derived from LabelSource, and a line in the
// table.
#pragma once

#include "data/data_cfg.h"
#include "data/formats/label_source.h"

namespace mtyolo::data {

inline constexpr const char* kYoloTxtName = "YOLO txt";

struct Format {
  const char* name;
  bool (*matches)(const EntryCfg& entry);
  std::unique_ptr<LabelSource> (*open)(const DataCfg& cfg, const EntryCfg& entry);
};

// Of the first format that takes the entry. Throws Error{kData, "data_format"}.
const Format& format_of(const EntryCfg& entry);

}  // namespace mtyolo::data
