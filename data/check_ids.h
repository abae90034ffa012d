// The names of everything `data check` can find, for --only and --skip.
#pragma once

#include <string>
#include <vector>

namespace mtyolo::data {

// A new Finding::check_id is added here; tests/repo compares.
const std::vector<std::string>& check_ids();

}  // namespace mtyolo::data
