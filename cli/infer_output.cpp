#include "cli/infer_output.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "core/file.h"
#include "core/text.h"
#include "data/draw.h"
#include "data/encode.h"

namespace mtyolo::cli {

namespace fs = std::filesystem;

namespace {

// A class name as a folder name: it comes from a file and must not lead elsewhere.
std::string safe_name(const std::string& name) {
  std::string out;
  for (char c : name) out += c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20 ? '_' : c;
  return out.empty() || out == "." || out == ".." ? "_" : out;
}

data::Image cut(const data::Image& image, const std::array<double, 4>& box) {
  const int x1 = std::clamp(int(std::floor(box[0])), 0, image.width - 1);
  const int y1 = std::clamp(int(std::floor(box[1])), 0, image.height - 1);
  const int x2 = std::clamp(int(std::ceil(box[2])), x1 + 1, image.width);
  const int y2 = std::clamp(int(std::ceil(box[3])), y1 + 1, image.height);
  data::Image out(x2 - x1, y2 - y1);
  for (int y = 0; y < out.height; ++y)
    std::copy_n(image.row(y1 + y) + size_t(x1) * 3, size_t(out.width) * 3, out.row(y));
  return out;
}

}  // namespace

InferOutput::InferOutput(InferOutputOptions options, std::vector<std::string> names,
                         std::vector<std::string> heads)
    : options_(std::move(options)), names_(std::move(names)), heads_(std::move(heads)) {}

std::string InferOutput::unique_stem(const std::string& path) {
  const std::string stem = path == "-" ? "stdin" : fs::path(path).stem().string();
  std::string name = stem;
  for (int i = 2; !used_.insert(name).second; ++i) name = stem + "_" + std::to_string(i);
  return name;
}

void InferOutput::write(const ImageResult& result, const data::Image& image) {
  if (options_.folder.empty()) return;
  const std::string stem = unique_stem(result.path);
  const std::string ending = lower_case(fs::path(result.path).extension().string());
  // Formats that are read but not written come out as JPEG.
  const bool same = ending == ".jpg" || ending == ".jpeg" || ending == ".png" || ending == ".bmp";
  const std::string name = stem + (same ? fs::path(result.path).extension().string() : ".jpg");
  if (options_.pictures) write_picture(result, image, name);
  if (options_.labels) write_labels(result, stem);
  if (options_.crops) write_crops(result, image, stem);
}

void InferOutput::write_picture(const ImageResult& result, const data::Image& image,
                                const std::string& name) const {
  data::Image picture = image;
  std::vector<data::LabelledBox> boxes;
  for (const FoundBox& f : result.boxes) {
    const std::string label = fmt::format("{} {:.2f}", names_[size_t(f.class_id)], f.confidence);
    boxes.push_back({f.box[0], f.box[1], f.box[2], f.box[3], label,
                     data::class_colour(f.class_id, f.head, int(heads_.size()))});
  }
  data::draw_boxes(picture, boxes, options_.line_width);
  data::write_image((fs::path(options_.folder) / name).string(), picture);
}

void InferOutput::write_labels(const ImageResult& result, const std::string& stem) const {
  std::string text;
  for (const FoundBox& f : result.boxes) {
    const double w = result.width, h = result.height;
    text += fmt::format("{} {:.6g} {:.6g} {:.6g} {:.6g}", f.class_id, (f.box[0] + f.box[2]) / 2 / w,
                        (f.box[1] + f.box[3]) / 2 / h, (f.box[2] - f.box[0]) / w, (f.box[3] - f.box[1]) / h);
    if (options_.confidences) text += fmt::format(" {:.6g}", f.confidence);
    text += '\n';
  }
  const fs::path folder = fs::path(options_.folder) / "labels";
  make_folders(folder.string());
  write_file_atomically((folder / (stem + ".txt")).string(), text);
}

void InferOutput::write_crops(const ImageResult& result, const data::Image& image,
                              const std::string& stem) const {
  std::map<int, int> counts;
  for (const FoundBox& f : result.boxes) {
    const fs::path folder = fs::path(options_.folder) / "crops" / safe_name(names_[size_t(f.class_id)]);
    make_folders(folder.string());
    const int number = ++counts[f.class_id];
    const std::string name = number == 1 ? stem : stem + "_" + std::to_string(number);
    data::write_image((folder / (name + ".jpg")).string(), cut(image, f.box));
  }
}

std::string InferOutput::summary(const ImageResult& result) const {
  std::map<int, int> counts;
  for (const FoundBox& f : result.boxes) ++counts[f.class_id];
  std::string text = fmt::format("{}x{}: ", result.width, result.height);
  if (counts.empty()) return text + "nothing found";
  bool first = true;
  for (const auto& [id, count] : counts) {
    text += fmt::format("{}{} {}{}", first ? "" : ", ", count, names_[size_t(id)], count > 1 ? "s" : "");
    first = false;
  }
  return text;
}

Json InferOutput::to_json(const ImageResult& result) const {
  Json detections = Json::array();
  for (const FoundBox& f : result.boxes)
    detections.push_back({{"name", names_[size_t(f.class_id)]},
                          {"class", f.class_id},
                          {"confidence", f.confidence},
                          {"head", heads_[size_t(f.head)]},
                          {"box", {{"x1", f.box[0]}, {"y1", f.box[1]}, {"x2", f.box[2]}, {"y2", f.box[3]}}},
                          {"track_id", nullptr}});
  return {{"path", result.path},
          {"width", result.width},
          {"height", result.height},
          {"frame", nullptr},
          {"speed_ms",
           {{"preprocess", result.times.preprocess_ms},
            {"inference", result.times.inference_ms},
            {"postprocess", result.times.postprocess_ms}}},
          {"detections", detections}};
}

}  // namespace mtyolo::cli
