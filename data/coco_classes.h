// The 80 classes of COCO and their category ids in its files, 1..90 with gaps (eval.md section 1.2).
#pragma once

#include <string>
#include <vector>

namespace mtyolo::data {

const std::vector<std::string>& coco_class_names();
// By class id 0..79: 1..11, 13..25, 27, 28, 31..44, 46..65, 67, 70, 72..82, 84..90.
const std::vector<int>& coco_category_ids();

}  // namespace mtyolo::data
