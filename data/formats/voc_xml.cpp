#include "data/formats/voc_xml.h"

#include <algorithm>
#include <filesystem>
#include <pugixml.hpp>
#include <unordered_set>

#include "core/text.h"
#include "data/paths.h"

namespace mtyolo::data {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxListBytes = size_t{256} << 20;  // reliability.md Y6

void check_depth(const pugi::xml_node& root, const std::string& file) {
  int depth = 0;
  for (pugi::xml_node node = root; node;) {
    if (depth > kMaxXmlDepth)
      throw label_error(file, "", "voc_xml", fmt::format("nested deeper than {} levels", kMaxXmlDepth));
    if (node.first_child()) {
      node = node.first_child();
      ++depth;
      continue;
    }
    while (node && node != root && !node.next_sibling()) {
      node = node.parent();
      --depth;
    }
    node = node == root ? pugi::xml_node() : node.next_sibling();
  }
}

class VocReader {
 public:
  VocReader(const std::string& file, const std::vector<std::string>& names, int width, int height)
      : file_(file), names_(names), width_(width), height_(height) {}

  Labels read(std::string_view text) {
    if (text.size() > kMaxXmlBytes)
      refuse("", fmt::format("{} bytes, an annotation has at most {}", text.size(), kMaxXmlBytes));
    if (!is_valid_utf8(text)) refuse("", "is not UTF-8 text");
    for (const char* word : {"<!DOCTYPE", "<!ENTITY"})
      if (text.find(word) != std::string_view::npos)
        refuse("", fmt::format("has a {}, which is not read", word + 2));
    pugi::xml_document document;
    const pugi::xml_parse_result result =
        document.load_buffer(text.data(), text.size(), pugi::parse_default, pugi::encoding_utf8);
    if (!result)
      refuse(fmt::format("byte {}", result.offset), fmt::format("is no XML: {}", result.description()));
    check_depth(document, file_);
    const pugi::xml_node root = document.child("annotation");
    if (!root) refuse("", "has no element <annotation>");
    check_size(root.child("size"));
    for (const pugi::xml_node& object : root.children("object")) {
      ++number_;
      add(object);
    }
    if (number_ == 0) out_.state = Labels::State::kEmpty;
    out_.drop_repeated();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& where, const std::string& message) const {
    throw label_error(file_, where, "voc_xml", message);
  }
  std::string place() const { return fmt::format("object {}", number_); }

  // A size of 0 or none is common; another size than the image's is worth a word.
  void check_size(const pugi::xml_node& size) {
    const auto width = parse_double(trim(size.child_value("width")));
    const auto height = parse_double(trim(size.child_value("height")));
    if (!width || !height || *width <= 0 || *height <= 0 || (*width == width_ && *height == height_)) return;
    out_.findings.push_back({"label_size", Finding::Severity::kWarning,
                             fmt::format("{}: size is {:g} x {:g} pixels, but the image has {} x {}", file_,
                                         *width, *height, width_, height_),
                             file_});
  }

  double edge(const pugi::xml_node& box, const char* name) const {
    const std::string_view text = trim(box.child_value(name));
    const auto value = parse_double(text);
    if (!value)
      throw label_error(file_, place(), "label_box",
                        fmt::format("{} is {}, expected a number", name, quoted(text)));
    return bounded_pixels(*value);
  }

  void add(const pugi::xml_node& object) {
    const std::string name(trim(object.child_value("name")));
    const auto at = std::find(names_.begin(), names_.end(), name);
    if (at == names_.end())
      throw label_error(file_, place(), "label_name",
                        fmt::format("class {} is not among the {} names of the data.yaml{}", quoted(name),
                                    names_.size(), did_you_mean(name, names_)));
    const pugi::xml_node box = object.child("bndbox");  // its own, not one inside <part>
    if (!box) throw label_error(file_, place(), "label_box", "has no bndbox");
    const double x1 = edge(box, "xmin"), y1 = edge(box, "ymin"), x2 = edge(box, "xmax"),
                 y2 = edge(box, "ymax");
    if (x1 > x2 || y1 > y2)
      throw label_error(
          file_, place(), "label_box",
          fmt::format("xmin {:g}, xmax {:g}, ymin {:g}, ymax {:g}: a minimum is above its maximum", x1, x2,
                      y1, y2));
    Label label;
    label.cls = int(at - names_.begin());
    label.x = float((x1 + x2) / 2 / width_);
    label.y = float((y1 + y2) / 2 / height_);
    label.w = float((x2 - x1) / width_);
    label.h = float((y2 - y1) / height_);
    label.difficult = trim(object.child_value("difficult")) == "1";
    out_.add(std::move(label));
  }

  const std::string& file_;
  const std::vector<std::string>& names_;
  int width_, height_, number_ = 0;
  Labels out_;
};

// The folder above ImageSets, or "" if the path has none.
fs::path voc_root(const std::string& path) {
  for (fs::path folder = fs::path(path).parent_path(); !folder.empty(); folder = folder.parent_path()) {
    if (folder.filename() == "ImageSets") return folder.parent_path().empty() ? "." : folder.parent_path();
    if (folder == folder.parent_path()) break;
  }
  return {};
}

// The picture of an id: VOC's are .jpg, other tools' may be anything.
std::string picture_of(const fs::path& folder, const std::string& id) {
  std::error_code ignored;
  for (const char* ending : {".jpg", ".png", ".jpeg", ".JPG", ".PNG", ".JPEG", ".bmp", ""})
    if (fs::is_regular_file(folder / (id + ending), ignored)) return (folder / (id + ending)).string();
  return (folder / (id + ".jpg")).string();
}

// "000012", or "000012 -1" in the lists of one class. "" for a blank line.
std::string id_of(std::string_view line) {
  line = trim(line);
  const size_t blank = line.find_last_of(" \t");
  if (blank != std::string_view::npos) {
    const std::string_view flag = line.substr(blank + 1);
    if (flag == "1" || flag == "0" || flag == "-1") line = trim(line.substr(0, blank));
  }
  return std::string(line);
}

class VocXml : public LabelSource {
 public:
  explicit VocXml(std::vector<std::string> names) : names_(std::move(names)) {}
  Labels labels(size_t index, int width, int height) const override {
    const std::string& file = images[index].label;
    std::error_code ignored;
    if (fs::exists(file, ignored))
      return parse_voc_xml(read_data_file(file, kMaxXmlBytes), file, names_, width, height);
    Labels none;
    none.state = Labels::State::kMissing;
    return none;
  }

 private:
  std::vector<std::string> names_;
};

}  // namespace

Labels parse_voc_xml(std::string_view text, const std::string& file, const std::vector<std::string>& names,
                     int width, int height) {
  return VocReader(file, names, width, height).read(text);
}

bool is_voc_list(const std::string& path) {
  const fs::path root = voc_root(path);
  std::error_code ignored;
  return !root.empty() && lower_case(fs::path(path).extension().string()) == ".txt" &&
         fs::is_directory(root / "Annotations", ignored);
}

std::unique_ptr<LabelSource> open_voc_xml(const DataCfg& cfg, const EntryCfg& entry) {
  auto source = std::make_unique<VocXml>(cfg.names_of(entry));
  const fs::path root = voc_root(entry.path);
  std::string text = read_data_file(entry.path, kMaxListBytes);
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  std::unordered_set<std::string> seen;
  size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    const std::string id = id_of(line);
    if (id.empty() || !seen.insert(id).second) continue;
    if (id.size() > kMaxPathBytes || id.find('\0') != std::string::npos ||
        id.find("..") != std::string::npos || id.starts_with("/") || !is_valid_utf8(id))
      throw label_error(entry.path, fmt::format("line {}", number), "path_list",
                        quoted(id) + " is no name of an image in JPEGImages");
    source->images.push_back(
        {picture_of(root / "JPEGImages", id), (root / "Annotations" / (id + ".xml")).string()});
  }
  return source;
}

}  // namespace mtyolo::data
