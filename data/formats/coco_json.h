// COCO instances JSON, read as a stream (reliability.md section 5): images, annotations, categories.
#pragma once

#include <array>
#include <string_view>

#include "data/data_cfg.h"
#include "data/formats/label_source.h"

namespace mtyolo::data {

inline constexpr size_t kMaxCocoBytes = size_t{512} << 20;
inline constexpr size_t kMaxCocoDepth = 64;

struct CocoImage {
  int64_t id = -1;
  std::string file_name;
  int width = 0, height = 0;  // 0 = not given
};

struct CocoAnnotation {
  int64_t id = -1, image_id = -1, category_id = -1;
  std::array<double, 4> bbox{};  // x, y, w, h in pixels
  int bbox_size = 0;             // numbers in the file's bbox; 4 unless it is faulty
  double area = -1;              // -1 = not given
  bool crowd = false;
  std::vector<Point> points;  // pixels, all parts of the polygon one after the other; a mask is passed over
};

struct CocoCategory {
  int64_t id = -1;
  std::string name;
};

struct CocoFile {
  std::vector<CocoImage> images;
  std::vector<CocoAnnotation> annotations;
  std::vector<CocoCategory> categories;  // by ascending id
};

// Throws Error{kData, "coco_json"}: no JSON, a type that is wrong, no images or categories, an image or
// category id given twice.
CocoFile parse_coco_json(std::string_view text, const std::string& file);

// For each category of the file the class id, -1 for one that is not used: by name where all used names are
// among `names`, else by ascending id where both have the same number. Throws Error{kData,
// "coco_categories"}.
std::vector<int> coco_classes(const CocoFile& coco, const std::vector<std::string>& names,
                              const std::string& file);

// `entry.path` is the JSON, `entry.images` the folder of its images or "" for the one beside it.
std::unique_ptr<LabelSource> open_coco_json(const DataCfg& cfg, const EntryCfg& entry);

// The same from memory, with the images in `folder`.
std::unique_ptr<LabelSource> make_coco_source(CocoFile coco, const std::vector<std::string>& names,
                                              const std::string& file, const std::string& folder);

}  // namespace mtyolo::data
