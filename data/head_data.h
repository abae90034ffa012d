// Heads with their own data file, made part of the file that names them (data_cfg.h). Steps of
// parse_data_cfg.
#pragma once

#include "data/data_cfg.h"

namespace mtyolo::data {

inline constexpr int kMaxClasses = 100'000;  // reliability.md Y5

struct HeadData {
  std::string head;
  DataCfg cfg;         // of the head's file
  const Document* at;  // where the file is named
};

// Appends the names of all heads' files to cfg.names, one file after the other, and gives each head's global
// ids. Results name classes without their head: throws Error{kUsage} for a name of two files, naming both.
std::map<std::string, std::vector<int>> add_names(const std::vector<HeadData>& others, DataCfg& cfg);

// The entries cfg has so far: their label files have the ids of the first `own_names` names, their images are
// labelled for the heads that own these.
void limit_to_own(DataCfg& cfg, size_t own_names, const std::vector<HeadData>& others);

// The entries of a head's file join the splits; `ids`: the global ids of its classes.
void add_entries(const HeadData& other, const std::vector<int>& ids, DataCfg& cfg);

// What says nothing is left out: all heads, all classes in their order. Each entry is described once.
void tidy_details(DataCfg& cfg);

// Throws Error{kUsage} for a head that no training image is labelled for; warns of one without validation.
void check_heads_have_data(const DataCfg& cfg);

}  // namespace mtyolo::data
