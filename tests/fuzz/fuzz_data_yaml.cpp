// Hostile data.yaml files. Names and heads only: no path of the input is looked up.
#include <cstddef>
#include <cstdint>

#include "core/error.h"
#include "core/log.h"
#include "core/yaml.h"
#include "data/data_cfg.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mtyolo::log::configure(mtyolo::log::Level::kOff);
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    mtyolo::data::parse_data_cfg(mtyolo::parse_yaml(text, "fuzz.yaml"), "fuzz.yaml",
                                 mtyolo::data::DataCfgUse::kNamesAndHeads);
  } catch (const mtyolo::Error&) {
    return 0;  // refusing is right; crashing, hanging and other exceptions are not
  }
  return 0;
}
