#include "models/model.h"

namespace mtyolo::models {

Model load_model(const std::string& weights_path, const std::string& cfg, const CacheFolder& cache) {
  return model_from_checkpoint(read_checkpoint(weights_path, cache), cfg);
}

}  // namespace mtyolo::models
