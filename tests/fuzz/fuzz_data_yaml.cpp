// Hostile data.yaml files. Names and heads only: no path of the input is looked up; what follows a line "%%"
// is the data file of every head that names one. Accepted means: the heads share the classes out, each to
// exactly one head, and the classes and heads of every entry are there.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "core/log.h"
#include "core/yaml.h"
#include "data/data_cfg.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mtyolo;
  log::configure(log::Level::kOff);
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size), marker = "\n%%\n";
    const size_t end = std::min(text.find(marker), size);
    const std::string_view other = text.substr(std::min(size, end + marker.size()));
    const data::DataCfg cfg = data::parse_data_cfg(
        parse_yaml(text.substr(0, end), "fuzz.yaml"), "fuzz.yaml", data::DataCfgUse::kNamesAndHeads,
        [&](const auto&, const auto&) { return parse_yaml(other, "other.yaml"); });
    std::vector<int> heads_of(cfg.names.size());
    for (const data::HeadCfg& head : cfg.heads)
      for (const int id : head.classes) ++heads_of.at(size_t(id));
    for (const int count : heads_of)
      if (!cfg.heads.empty() && count != 1) std::abort();
    for (const data::EntryCfg& entry : cfg.details)
      if (cfg.names_of(entry).empty()) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
