#include "data/formats/coco_json.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "core/text.h"
#include "data/paths.h"

namespace mtyolo::data {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kMaxExactInt = 9007199254740992.0;  // 2^53

// Where the parser stands is a text of its open brackets: "{[{" = in a record of a list of the document.
class CocoSax : public nlohmann::json_sax<json> {
 public:
  explicit CocoSax(const std::string& file) : file_(file) {}

  CocoFile coco;

  bool null() override { return true; }
  bool boolean(bool value) override { return number(value ? 1 : 0); }
  bool number_integer(int64_t value) override { return integer(value); }
  bool number_unsigned(uint64_t value) override {
    if (value > uint64_t(INT64_MAX)) refuse(fmt::format("{} does not fit 63 bits", value));
    return integer(int64_t(value));
  }
  bool number_float(double value, const std::string&) override {
    if (value == std::floor(value) && std::abs(value) < kMaxExactInt && open_ == "{[{")
      return integer(int64_t(value));
    return number(value);
  }
  bool binary(binary_t&) override { return true; }
  bool string(std::string& text) override {
    if (open_ != "{[{") return true;
    if (section_ == "images" && field_ == "file_name") image().file_name = text;
    else if (section_ == "categories" && field_ == "name") category().name = text;
    else if (is_number_field())
      refuse(fmt::format("{} is the text {}, expected a number", field_, quoted(text)));
    return true;
  }
  bool start_object(size_t) override {
    if (open_ == "{[") new_record();
    return open('{');
  }
  bool end_object() override { return close(); }
  bool start_array(size_t) override {
    half_ = false;
    if (open_.empty()) refuse("is a list, expected an object with images, annotations and categories");
    return open('[');
  }
  bool end_array() override { return close(); }
  bool key(std::string& text) override {
    if (open_ == "{") section_ = text;
    else if (open_ == "{[{") field_ = text;
    return true;
  }
  bool parse_error(size_t position, const std::string& token, const nlohmann::detail::exception&) override {
    throw label_error(file_, fmt::format("byte {}", position), "coco_json",
                      "is no JSON from here on: " + quoted(token));
  }

 private:
  [[noreturn]] void refuse(const std::string& message) const {
    throw label_error(file_, place(), "coco_json", message);
  }
  std::string place() const {
    const size_t n = section_ == "images"        ? coco.images.size()
                     : section_ == "annotations" ? coco.annotations.size()
                                                 : coco.categories.size();
    return n == 0 || open_.size() < 3 ? "" : fmt::format("{}[{}]", section_, n - 1);
  }

  bool open(char bracket) {
    open_ += bracket;
    if (open_.size() > kMaxCocoDepth) refuse(fmt::format("nested deeper than {} levels", kMaxCocoDepth));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  void new_record() {
    field_.clear();
    if (section_ == "images") coco.images.emplace_back();
    if (section_ == "annotations") coco.annotations.emplace_back();
    if (section_ == "categories") coco.categories.emplace_back();
  }
  CocoImage& image() { return coco.images.back(); }
  CocoAnnotation& annotation() { return coco.annotations.back(); }
  CocoCategory& category() { return coco.categories.back(); }

  bool is_number_field() const {
    if (section_ == "annotations")
      return field_ == "id" || field_ == "image_id" || field_ == "category_id" || field_ == "iscrowd" ||
             field_ == "area";
    return (section_ == "images" && (field_ == "id" || field_ == "width" || field_ == "height")) ||
           (section_ == "categories" && field_ == "id");
  }
  int side(int64_t value) const {
    if (value < 0 || value > kMaxImageSide)
      refuse(fmt::format("{} is {}, expected 0..{}", field_, value, kMaxImageSide));
    return int(value);
  }

  bool integer(int64_t value) {
    if (open_ != "{[{") return number(double(value));
    if (section_ == "images") {
      if (field_ == "id") image().id = value;
      if (field_ == "width") image().width = side(value);
      if (field_ == "height") image().height = side(value);
    } else if (section_ == "annotations") {
      if (field_ == "id") annotation().id = value;
      if (field_ == "image_id") annotation().image_id = value;
      if (field_ == "category_id") annotation().category_id = value;
      if (field_ == "iscrowd") annotation().crowd = value != 0;
      if (field_ == "area") annotation().area = double(value);
    } else if (section_ == "categories" && field_ == "id") {
      category().id = value;
    }
    return true;
  }
  bool number(double value) {
    if (open_ == "{[{") {
      if (section_ == "annotations" && field_ == "area") annotation().area = value;
      else if (section_ == "annotations" && field_ == "iscrowd") annotation().crowd = value != 0;
      else if (is_number_field()) refuse(fmt::format("{} is {}, expected a whole number", field_, value));
    } else if (section_ != "annotations") {
      return true;
    } else if (open_ == "{[{[" && field_ == "bbox") {
      CocoAnnotation& a = annotation();
      if (a.bbox_size < 4) a.bbox[size_t(a.bbox_size)] = value;
      a.bbox_size = std::min(a.bbox_size + 1, 5);
    } else if (open_ == "{[{[[" && field_ == "segmentation") {
      coordinate(value);
    }
    return true;
  }
  void coordinate(double value) {
    if (half_) annotation().points.push_back({x_, float(value)});
    x_ = float(value);
    half_ = !half_;
  }

  const std::string& file_;
  std::string open_, section_, field_;
  float x_ = 0;
  bool half_ = false;  // x_ waits for its y
};

// Ids are there and no two are equal.
template <class Record>
void check_ids(const std::vector<Record>& records, const char* section, const std::string& file) {
  std::unordered_set<int64_t> seen;
  for (size_t i = 0; i < records.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", section, i);
    if (records[i].id < 0) throw label_error(file, place, "coco_json", "has no id of 0 or more");
    if (!seen.insert(records[i].id).second)
      throw label_error(file, place, "coco_json", fmt::format("the id {} is given twice", records[i].id));
  }
}

// The file's own part of the path if it leaves the folder of the images: nothing outside is read.
std::string image_path(const std::string& folder, const std::string& file_name) {
  const fs::path name = fs::path(with_slashes(file_name)).lexically_normal();
  const bool leaves = name.is_absolute() || (!name.empty() && *name.begin() == "..");
  return (fs::path(folder) / (leaves ? name.filename() : name)).string();
}

// instances_val2017.json -> images/val2017 beside it or above it, val2017 above it, or its own folder.
std::string image_folder(const CocoFile& coco, const std::string& file) {
  const std::string stem = fs::path(file).stem().string();
  const std::string split = stem.substr(stem.rfind('_') + 1);
  const fs::path own = folder_of(file);
  std::vector<std::string> shown;
  std::error_code ignored;
  for (const fs::path& folder :
       {own / "images" / split, own / ".." / "images" / split, own / ".." / split, own}) {
    const std::string path = folder.lexically_normal().string();
    shown.push_back(quoted(path));
    const size_t tried = std::min<size_t>(coco.images.size(), 100);
    for (size_t i = 0; i < tried; ++i)
      if (fs::exists(image_path(path, coco.images[i].file_name), ignored)) return path;
  }
  throw label_error(file, "", "data_path",
                    fmt::format("its images are in none of {}", fmt::join(shown, ", ")),
                    "write {json: FILE, images: FOLDER} in the data.yaml");
}

class CocoSource : public LabelSource {
 public:
  CocoSource(CocoFile coco, const std::vector<std::string>& names, const std::string& file)
      : coco_(std::move(coco)), file_(file), of_image_(coco_.images.size()) {
    const std::vector<int> classes = coco_classes(coco_, names, file);
    for (size_t i = 0; i < classes.size(); ++i) class_of_[coco_.categories[i].id] = classes[i];
    std::unordered_map<int64_t, size_t> index;
    for (size_t i = 0; i < coco_.images.size(); ++i) index[coco_.images[i].id] = i;
    for (size_t i = 0; i < coco_.annotations.size(); ++i) {
      const CocoAnnotation& a = coco_.annotations[i];
      const auto image = index.find(a.image_id);
      if (image != index.end()) of_image_[image->second].push_back(i);
      else
        findings.push_back(
            {"coco_image", Finding::Severity::kWarning,
             fmt::format("{}: annotations[{}]: the image {} is not listed: dropped", file, i, a.image_id),
             file});
    }
  }

  Labels labels(size_t index, int width, int height) const override {
    const CocoImage& image = coco_.images[index];
    Labels out;
    out.image_id = image.id;
    if (of_image_[index].empty()) out.state = Labels::State::kMissing;
    if (image.width > 0 && image.height > 0 && (image.width != width || image.height != height))
      out.findings.push_back({"label_size", Finding::Severity::kWarning,
                              fmt::format("{}: image {} is said to have {} x {} pixels, but has {} x {}",
                                          file_, image.id, image.width, image.height, width, height),
                              images[index].path});
    for (const size_t i : of_image_[index]) add(i, width, height, out);
    return out;
  }

 private:
  void add(size_t i, int width, int height, Labels& out) const {
    const CocoAnnotation& a = coco_.annotations[i];
    const std::string place = fmt::format("annotations[{}] (id {})", i, a.id);
    if (a.bbox_size == 0) {
      out.findings.push_back({"label_box", Finding::Severity::kWarning,
                              fmt::format("{}: {}: no bbox: dropped", file_, place), file_});
      return;
    }
    const double x = bounded_pixels(a.bbox[0]), y = bounded_pixels(a.bbox[1]), w = bounded_pixels(a.bbox[2]),
                 h = bounded_pixels(a.bbox[3]);
    if (a.bbox_size != 4)
      throw label_error(file_, place, "label_box", "bbox has not four numbers (x, y, width, height)");
    if (w < 0 || h < 0)
      throw label_error(file_, place, "label_box", fmt::format("bbox is {:g} x {:g} pixels", w, h));
    Label label;
    label.cls = class_of_.at(a.category_id);
    label.x = float((x + w / 2) / width);
    label.y = float((y + h / 2) / height);
    label.w = float(w / width);
    label.h = float(h / height);
    const double area = a.area >= 0 ? a.area : w * h;
    if (a.crowd) {
      out.crowds.push_back({label.cls, label.x, label.y, label.w, label.h, area});
      return;
    }
    if (a.points.size() >= 3)
      for (const Point& p : a.points) label.polygon.push_back({p.x / float(width), p.y / float(height)});
    if (out.add(std::move(label))) out.areas.push_back(area);
  }

  CocoFile coco_;
  std::string file_;
  std::unordered_map<int64_t, int> class_of_;
  std::vector<std::vector<size_t>> of_image_;  // indices of annotations
};

}  // namespace

CocoFile parse_coco_json(std::string_view text, const std::string& file) {
  CocoSax sax(file);
  json::sax_parse(text.begin(), text.end(), &sax);
  CocoFile coco = std::move(sax.coco);
  if (coco.images.empty()) throw label_error(file, "", "coco_json", "lists no images");
  if (coco.categories.empty()) throw label_error(file, "", "coco_json", "lists no categories");
  check_ids(coco.images, "images", file);
  check_ids(coco.categories, "categories", file);
  for (size_t i = 0; i < coco.images.size(); ++i) {
    const std::string& name = coco.images[i].file_name;
    if (name.empty() || name.size() > kMaxPathBytes || name.find('\0') != std::string::npos)
      throw label_error(file, fmt::format("images[{}]", i), "coco_json",
                        fmt::format("file_name has {} bytes, expected 1..{}", name.size(), kMaxPathBytes));
  }
  std::sort(coco.categories.begin(), coco.categories.end(),
            [](const CocoCategory& a, const CocoCategory& b) { return a.id < b.id; });
  return coco;
}

std::vector<int> coco_classes(const CocoFile& coco, const std::vector<std::string>& names,
                              const std::string& file) {
  std::unordered_map<std::string, int> by_name;
  for (size_t i = 0; i < names.size(); ++i) by_name.emplace(names[i], int(i));
  std::unordered_map<int64_t, bool> used;
  for (const CocoCategory& c : coco.categories) used[c.id] = false;
  for (size_t i = 0; i < coco.annotations.size(); ++i) {
    const auto at = used.find(coco.annotations[i].category_id);
    if (at == used.end())
      throw label_error(file, fmt::format("annotations[{}] (id {})", i, coco.annotations[i].id),
                        "coco_categories",
                        fmt::format("the category {} is not listed", coco.annotations[i].category_id));
    at->second = true;
  }
  std::vector<int> classes;
  const CocoCategory* unknown = nullptr;
  for (const CocoCategory& c : coco.categories) {
    const auto at = by_name.find(c.name);
    classes.push_back(at == by_name.end() ? -1 : at->second);
    if (at == by_name.end() && used[c.id] && unknown == nullptr) unknown = &c;
  }
  if (unknown == nullptr) return classes;
  if (coco.categories.size() != names.size())
    throw label_error(
        file, "", "coco_categories",
        fmt::format("its category {} {} is not among the {} names of the data.yaml, and it lists {} "
                    "categories",
                    unknown->id, quoted(unknown->name), names.size(), coco.categories.size()),
        "give the data.yaml the names of the file");
  for (size_t i = 0; i < classes.size(); ++i) classes[i] = int(i);
  return classes;
}

std::unique_ptr<LabelSource> make_coco_source(CocoFile coco, const std::vector<std::string>& names,
                                              const std::string& file, const std::string& folder) {
  std::vector<LabelSource::Image> images;
  for (const CocoImage& image : coco.images) images.push_back({image_path(folder, image.file_name), file});
  auto source = std::make_unique<CocoSource>(std::move(coco), names, file);
  source->images = std::move(images);
  return source;
}

std::unique_ptr<LabelSource> open_coco_json(const DataCfg& cfg, const EntryCfg& entry) {
  CocoFile coco = parse_coco_json(read_data_file(entry.path, kMaxCocoBytes), entry.path);
  const std::string folder = entry.images.empty() ? image_folder(coco, entry.path) : entry.images;
  return make_coco_source(std::move(coco), cfg.names_of(entry), entry.path, folder);
}

}  // namespace mtyolo::data
