// Labelled images behind one interface, whatever the files look like.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/data_cfg.h"
#include "data/image.h"

namespace mtyolo::data {

struct Point {
  float x = 0, y = 0;
};

// One object: centre form, normalised to the image after turning it upright.
struct Label {
  int cls = 0;
  float x = 0, y = 0, w = 0, h = 0;
  std::vector<Point> polygon;  // normalised; empty = none
  bool difficult = false;
};

// A region that COCO marks `iscrowd`: no training object; ignored in COCO's metric.
struct Crowd {
  int cls = 0;
  float x = 0, y = 0, w = 0, h = 0;  // as Label
  double area = 0;                   // pixels, from the file
};

struct Sample {
  std::string path;
  int width = 0, height = 0;  // upright
  std::vector<Label> labels;
  std::vector<double> areas;  // COCO JSON: the file's `area` of each label, in pixels; else empty
  std::vector<Crowd> crowds;
  int64_t image_id = -1;      // COCO JSON's id, else -1
  bool background = false;    // no label file, or an empty one
  uint64_t labelled = ~0ull;  // bit h: labelled for head h of the data.yaml
};

// What the scan met, counted; `data check` and the trainer print it.
struct Finding {
  std::string check_id;  // "label_class", "image_truncated", ...
  enum class Severity { kInfo, kWarning, kError } severity = Severity::kWarning;
  std::string message;  // one line: file:line, what was given, what was expected
  std::string path;     // the image or label concerned
  int count = 1;        // rows, boxes or files
};

struct ScanReport {
  int images = 0;  // in the set, after leaving refused ones out
  // Label files of these images: found (the empty ones too), missing, empty; and image-label pairs left out.
  int found = 0, missing = 0, empty = 0, refused = 0;
  int64_t boxes = 0;
  std::vector<Finding> findings;
};

// "18 found, 2 missing (background), 0 empty, 0 refused, 285 boxes".
std::string summary_of(const ScanReport& report);
// The summary and the findings to the log: the first 20 errors and warnings, the others to the log file only.
void log_report(const std::string& split, const ScanReport& report);

// An immutable list of samples in a fixed order (paths sorted by code point).
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual const Sample& sample(int64_t index) const = 0;
  virtual const ScanReport& report() const = 0;
  // Decoded and turned upright. Throws Error{kData}.
  virtual Image read(int64_t index) const = 0;
};

struct DatasetParams {
  bool single_cls = false;
  bool strict = false;           // the first refused file stops
  double fraction = 1.0;         // of the images, evenly spread
  bool read_every_image = true;  // decode in the scan (I3); false: headers only
  bool scan_cache = false;      // remember beside the entries which images were decoded well
  int threads = 1;
};

// Opens the entries of one split (DataCfg::train, val or test): YOLO txt, COCO JSON, VOC. Refused files are
// left out and named in the report. Throws Error{kData} when nothing usable is left (reliability.md section
// 8).
std::unique_ptr<Dataset> open_dataset(const DataCfg& cfg, const std::vector<std::string>& entries,
                                      const DatasetParams& params = {});

}  // namespace mtyolo::data
