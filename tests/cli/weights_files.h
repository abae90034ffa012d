// Weight files for the tests of the command: small networks with random weights.
#pragma once

#include <string>

#include "core/yaml.h"
#include "models/model.h"

namespace mtyolo::test {

// An eighth of the channels of a shipped network, with `nc` classes named c0, c1, ...
inline models::Model small_model(const std::string& cfg_name, int nc, uint64_t seed = 1) {
  Document document = models::with_classes(models::shipped_cfg(cfg_name), nc).document;
  std::erase_if(document.fields, [](const auto& field) { return field.first == "width_multiple"; });
  document.fields.emplace_back("width_multiple", Document::scalar("0.125"));
  models::BuildOptions options;
  for (int c = 0; c < nc; ++c) options.names.push_back(fmt::format("c{}", c));
  return models::model_from_cfg(models::cfg_from_document(document, "small"), seed, options);
}

inline void write_weights(const std::string& path, const models::Model& model) {
  models::write_pt(path, models::checkpoint_from_model(model));
}

}  // namespace mtyolo::test
