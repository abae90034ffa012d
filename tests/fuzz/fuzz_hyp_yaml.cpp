// Hostile hyper-parameter files. Accepted means: hyp.yaml made from them reads back as the same values.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "core/log.h"
#include "core/yaml.h"
#include "train/hyp.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mtyolo;
  log::configure(log::Level::kOff);
  train::Hyp hyp;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    hyp = train::hyp_from_document(parse_yaml(text, "fuzz.yaml"));
  } catch (const Error&) {
    return 0;
  }
  try {
    if (!(train::hyp_from_document(parse_yaml(train::hyp_yaml(hyp), "hyp.yaml")) == hyp)) std::abort();
  } catch (const Error&) {
    std::abort();
  }
  return 0;
}
