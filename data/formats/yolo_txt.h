// YOLO label files: per line `class cx cy w h`, or `class x1 y1 x2 y2 x3 y3 ...`, as fractions of the image
// (data.md 1.1 to 1.6, reliability.md L1 to L5).
#pragma once

#include <string_view>

#include "data/data_cfg.h"
#include "data/formats/label_source.h"

namespace mtyolo::data {

// The label file of an image: its last component "images" becomes "labels", its ending "txt"; without such a
// component the label lies beside the image.
std::string yolo_label_path(const std::string& image);

// The rows of a label file. `classes` is nc. Throws Error{kData} with code label_text, label_columns,
// label_number, label_class, label_range or label_limits, naming file, line and token.
Labels parse_yolo_labels(std::string_view text, const std::string& file, int classes);

// The image files below `folder`, at any depth, hidden names left out; other files are noted in `findings`.
std::vector<std::string> list_image_folder(const std::string& folder, std::vector<Finding>& findings);

// `entry.path` is a folder of images or a list file.
std::unique_ptr<LabelSource> open_yolo_txt(const DataCfg& cfg, const EntryCfg& entry);

}  // namespace mtyolo::data
