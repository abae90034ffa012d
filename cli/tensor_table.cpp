#include "cli/tensor_table.h"

#include <cmath>

namespace mtyolo::cli {
namespace {

Json number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

}  // namespace

std::vector<models::TensorDigest> all_digests(const models::Checkpoint& checkpoint) {
  std::vector<models::TensorDigest> all = models::digests_of(checkpoint.model);
  for (const auto& part :
       {models::digests_of(checkpoint.ema, "ema."), models::digests_of(checkpoint.optimizer)})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

std::string tensor_lines(const std::vector<models::TensorDigest>& digests) {
  std::string text;
  for (const models::TensorDigest& d : digests)
    text += fmt::format("{} {} {} {} {} {}\n", d.name, d.dtype, d.shape, d.sum, d.abs_sum, d.sha256);
  return text;
}

Json tensor_json(const std::vector<models::TensorDigest>& digests) {
  Json list = Json::array();
  for (const models::TensorDigest& d : digests) {
    Json shape = Json::array();
    for (const int64_t side : d.shape) shape.push_back(side);
    list.push_back({{"name", d.name},
                    {"dtype", name(d.dtype)},
                    {"shape", std::move(shape)},
                    {"sum", number(d.sum)},
                    {"abs_sum", number(d.abs_sum)},
                    {"sha256", d.sha256}});
  }
  return list;
}

}  // namespace mtyolo::cli
