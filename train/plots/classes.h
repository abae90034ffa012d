// Names and colours of classes, the same in every picture and in the report.
#pragma once

#include <string>
#include <vector>

#include "data/data_cfg.h"
#include "data/draw.h"

namespace mtyolo::train {

class ClassTable {
 public:
  ClassTable() = default;
  // `names` by global class id; `heads` as in the data.yaml, empty = one head.
  ClassTable(std::vector<std::string> names, const std::vector<data::HeadCfg>& heads = {});

  int size() const { return int(names_.size()); }
  std::string name(int cls) const;   // "class 7" where there is no name
  std::string label(int cls) const;  // for pictures: the name, or "class 7" where the fonts lack letters
  data::Rgb colour(int cls) const;   // data::class_colour of the class within its head
  const std::vector<std::string>& heads() const { return heads_; }  // empty = one head
  const std::vector<int>& classes_of(int head) const { return classes_of_[size_t(head)]; }
  int head_index(int cls) const;         // 0 with one head
  std::string head_name(int cls) const;  // "" with one head

 private:
  std::vector<std::string> names_, heads_;
  std::vector<std::vector<int>> classes_of_;
  std::vector<int> head_, index_;  // by class id
};

}  // namespace mtyolo::train
