// What `infer` leaves behind for each image: annotated copy, label lines, crops, JSON.
#pragma once

#include <array>
#include <set>
#include <string>
#include <vector>

#include "cli/output.h"
#include "data/image.h"

namespace mtyolo::cli {

// One detection in pixels of the original image, not rounded.
struct FoundBox {
  std::array<double, 4> box{};  // x1, y1, x2, y2
  double confidence = 0;
  int class_id = 0;
  int head = 0;  // index among the heads that run
};

struct StageTimes {
  double preprocess_ms = 0, inference_ms = 0, postprocess_ms = 0;
};

struct ImageResult {
  std::string path;
  int width = 0, height = 0;
  StageTimes times;
  std::vector<FoundBox> boxes;  // decreasing confidence
};

struct InferOutputOptions {
  std::string folder;  // run folder, empty = write nothing
  bool pictures = true, labels = false, confidences = false, crops = false;
  int line_width = 0;
};

class InferOutput {
 public:
  InferOutput(InferOutputOptions options, std::vector<std::string> names, std::vector<std::string> heads);

  // Writes the files of one image. Two sources of the same name get different stems.
  void write(const ImageResult& result, const data::Image& image);
  // "480x640: 3 persons, 1 bus"
  std::string summary(const ImageResult& result) const;
  Json to_json(const ImageResult& result) const;  // an entry of the detections document

 private:
  std::string unique_stem(const std::string& path);
  void write_picture(const ImageResult& result, const data::Image& image, const std::string& name) const;
  void write_labels(const ImageResult& result, const std::string& stem) const;
  void write_crops(const ImageResult& result, const data::Image& image, const std::string& stem) const;

  InferOutputOptions options_;
  std::vector<std::string> names_, heads_;
  std::set<std::string> used_;
};

}  // namespace mtyolo::cli
