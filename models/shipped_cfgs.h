// The cfg files of models/cfgs, compiled into the program (models/CMakeLists.txt writes shipped_cfgs.cpp).
#pragma once

#include <span>
#include <string_view>

namespace mtyolo::models {

struct ShippedCfg {
  std::string_view name;  // "yolov7-tiny"
  std::string_view text;  // of the file
};

std::span<const ShippedCfg> shipped_cfgs();

}  // namespace mtyolo::models
