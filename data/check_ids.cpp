#include "data/check_ids.h"

namespace mtyolo::data {

const std::vector<std::string>& check_ids() {
  static const std::vector<std::string> ids{
      // what two splits or a split as a whole may have
      "class_unused", "coco_image", "data_refused", "no_labels", "split_overlap",
      // files that cannot be read
      "file_kind", "file_not_found", "file_open", "file_read", "file_too_large",
      // images
      "image_corrupt", "image_empty", "image_ending", "image_format", "image_limits", "image_missing",
      "image_repeated", "image_scans", "image_small", "image_truncated", "image_unknown",
      // labels
      "label_area", "label_box", "label_class", "label_clipped", "label_columns", "label_empty",
      "label_limits", "label_missing", "label_name", "label_number", "label_range", "label_repeated",
      "label_shared", "label_size", "label_text", "voc_xml"};
  return ids;
}

}  // namespace mtyolo::data
