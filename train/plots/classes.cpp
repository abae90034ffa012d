#include "train/plots/classes.h"

#include <algorithm>

namespace mtyolo::train {

ClassTable::ClassTable(std::vector<std::string> names, const std::vector<data::HeadCfg>& heads)
    : names_(std::move(names)), head_(names_.size(), 0), index_(names_.size()) {
  for (size_t i = 0; i < names_.size(); ++i) index_[i] = int(i);
  for (const data::HeadCfg& head : heads) {
    for (size_t i = 0; i < head.classes.size(); ++i) {
      const int cls = head.classes[i];
      if (cls >= 0 && cls < size()) head_[size_t(cls)] = int(heads_.size()), index_[size_t(cls)] = int(i);
    }
    heads_.push_back(head.name);
    classes_of_.push_back(head.classes);
  }
}

std::string ClassTable::name(int cls) const {
  return cls >= 0 && cls < size() ? names_[size_t(cls)] : fmt::format("class {}", cls);
}

std::string ClassTable::label(int cls) const {
  const std::string text = name(cls);
  return data::has_glyphs(text) ? text : fmt::format("class {}", cls);
}

data::Rgb ClassTable::colour(int cls) const {
  if (cls < 0 || cls >= size()) return {128, 128, 128};
  return data::class_colour(index_[size_t(cls)], head_[size_t(cls)], std::max(1, int(heads_.size())));
}

int ClassTable::head_index(int cls) const { return cls < 0 || cls >= size() ? 0 : head_[size_t(cls)]; }

std::string ClassTable::head_name(int cls) const {
  return heads_.empty() ? "" : heads_[size_t(head_index(cls))];
}

}  // namespace mtyolo::train
