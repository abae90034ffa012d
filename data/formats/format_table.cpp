#include "data/formats/format_table.h"

#include <filesystem>

#include "core/text.h"
#include "data/formats/coco_json.h"
#include "data/formats/voc_xml.h"
#include "data/formats/yolo_txt.h"

namespace mtyolo::data {
namespace {

namespace fs = std::filesystem;

bool is_yolo_txt(const EntryCfg& entry) {
  std::error_code ignored;
  return fs::is_directory(entry.path, ignored) ||
         lower_case(fs::path(entry.path).extension().string()) == ".txt";
}

bool is_coco_json(const EntryCfg& entry) {
  return lower_case(fs::path(entry.path).extension().string()) == ".json";
}

bool is_voc_xml(const EntryCfg& entry) { return is_voc_list(entry.path); }

constexpr Format kFormats[] = {
    {"COCO JSON", is_coco_json, open_coco_json},
    {"PASCAL VOC", is_voc_xml, open_voc_xml},
    {kYoloTxtName, is_yolo_txt, open_yolo_txt},
};

}  // namespace

const Format& format_of(const EntryCfg& entry) {
  for (const Format& format : kFormats)
    if (format.matches(entry)) return format;
  throw Error({ExitCode::kData,
               "data_format",
               quoted(entry.path) + " is no data set that is known by its name",
               {},
               {},
               "give a folder of images, a list .txt, a COCO .json or a VOC ImageSets/Main/x.txt"});
}

}  // namespace mtyolo::data
