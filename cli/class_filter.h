// What users write for classes, heads and thresholds, turned into ids.
#pragma once

#include <string>
#include <vector>

namespace mtyolo::cli {

// Class ids from ids and names as typed. Throws Error{kUsage} that names the nearest class or the range.
std::vector<int> parse_classes(const std::vector<std::string>& words, const std::vector<std::string>& names);

// Checks head names against those of the model. Throws Error{kUsage} that names both sides.
void check_heads(const std::vector<std::string>& wanted, const std::vector<std::string>& have);

// One threshold per head from "0.3" or "a=0.3,b=0.2"; heads not named get `fallback`. Of those in `of_model`
// --heads leaves out the rest. Throws Error{kUsage}.
std::vector<float> parse_head_thresholds(const std::vector<std::string>& words,
                                         const std::vector<std::string>& heads,
                                         const std::vector<std::string>& of_model, float fallback);

}  // namespace mtyolo::cli
