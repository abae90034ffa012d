// PASCAL VOC: lists in ImageSets/, pictures in JPEGImages/, one XML per image in Annotations/ (data.md 1.6).
#pragma once

#include <string_view>

#include "data/data_cfg.h"
#include "data/formats/label_source.h"

namespace mtyolo::data {

inline constexpr size_t kMaxXmlBytes = size_t{16} << 20;  // reliability.md section 5
inline constexpr int kMaxXmlDepth = 64;

// The objects of one annotation file, for an image of width x height pixels; difficult ones are marked.
// Throws Error{kData} with code voc_xml, label_name or label_box.
Labels parse_voc_xml(std::string_view text, const std::string& file, const std::vector<std::string>& names,
                     int width, int height);

// Whether the path is a list below a folder ImageSets with Annotations beside it.
bool is_voc_list(const std::string& path);
std::unique_ptr<LabelSource> open_voc_xml(const DataCfg& cfg, const EntryCfg& entry);

}  // namespace mtyolo::data
