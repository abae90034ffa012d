// What every label format gives: images, and the objects of each.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace mtyolo::data {

inline constexpr size_t kMaxLabelBytes = size_t{64} << 20;  // reliability.md L4
inline constexpr size_t kMaxLabelLine = size_t{1} << 20;
inline constexpr size_t kMaxLabelRows = 1'000'000;
// A box this much beyond the frame is rounding of the writing tool and stays as it is; more is clipped.
inline constexpr float kFrameSlack = 1e-4f;
// Sides below this have no area: 0.07 pixels of the widest image.
inline constexpr float kMinBoxSide = 1e-6f;

// A coordinate in pixels, kept within what a float label can hold: what lies so far out is clipped to the
// frame anyway.
double bounded_pixels(double value);

// The objects of one image.
struct Labels {
  enum class State { kFound, kEmpty, kMissing } state = State::kFound;
  std::vector<Label> labels;
  std::vector<double> areas;  // as Sample::areas
  std::vector<Crowd> crowds;
  int64_t image_id = -1;
  int repeated = 0, flat = 0, clipped = 0;  // rows dropped as repeated, as without area; boxes clipped
  std::vector<Finding> findings;            // others

  // Clips the box to the frame; false, and counted, if it has no area then.
  bool add(Label label);
  // Drops rows with the class and box of an earlier row (reliability.md L3).
  void drop_repeated();
};

// Images of one entry of a split, and their labels. labels() is called from several threads.
class LabelSource {
 public:
  struct Image {
    std::string path;
    std::string label;  // the file its labels are in; messages name it
  };

  virtual ~LabelSource() = default;
  // For image `index` of `images`, upright width x height pixels; class ids are those of DataCfg::names_of
  // the entry. Throws Error{kData, "label_..."} to refuse.
  virtual Labels labels(size_t index, int width, int height) const = 0;

  std::vector<Image> images;
  std::vector<Finding> findings;  // of the entry as a whole
};

// Error{kData, code} about a place in a label file.
Error label_error(const std::string& file, const std::string& where, const char* code, std::string message,
                  std::string suggestion = {});

// read_file whose errors have the exit code of data.
std::string read_data_file(const std::string& path, size_t limit_bytes);

}  // namespace mtyolo::data
