#include "tests/support/golden.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/file.h"
#include "models/weights/safetensors.h"

namespace mtyolo::test {

namespace fs = std::filesystem;

const Tensor& GoldenCase::tensor(const std::string& tensor_name) const {
  const Tensor* t = tensors.find(tensor_name);
  expect(t != nullptr, "the case has no tensor {}", tensor_name);
  return *t;
}

fs::path GoldenCase::resolve(const std::string& path) const {
  fs::path goldens = folder.parent_path().parent_path();
  if (path.starts_with("data/")) return goldens.parent_path() / path;
  if (fs::exists(folder / path) && !fs::exists(goldens / path)) return folder / path;
  return goldens / path;
}

Tolerance tolerance_from(const nlohmann::json& json) {
  return {json.value("abs", 0.0), json.value("rel", 0.0)};
}

fs::path shared_folder() {
  const char* set = std::getenv("MTYOLO_SHARED");
  return set != nullptr ? fs::path(set) : fs::path("../shared");
}

std::vector<fs::path> golden_folders() {
  std::vector<fs::path> folders;
  const fs::path root = shared_folder() / "goldens";
  if (!fs::is_directory(root)) return folders;
  for (const auto& kind : fs::directory_iterator(root)) {
    if (!kind.is_directory()) continue;
    for (const auto& entry : fs::directory_iterator(kind))
      if (fs::exists(entry.path() / "case.json"))
        folders.push_back(fs::absolute(entry.path()).lexically_normal());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

GoldenCase load_golden(const fs::path& folder, GoldenParts parts) {
  GoldenCase c;
  c.folder = fs::absolute(folder).lexically_normal();
  if (!c.folder.has_filename()) c.folder = c.folder.parent_path();  // "case/" is "case"
  c.info = nlohmann::json::parse(read_file((folder / "case.json").string(), size_t(64) << 20));
  c.kind = c.info.at("kind");
  c.name = c.info.at("name");
  const fs::path tensors = folder / "tensors.safetensors";
  if (parts == GoldenParts::kAll && fs::exists(tensors))
    c.tensors = models::read_safetensors(tensors.string());
  return c;
}

void expect_close(const std::string& what, const Tensor& got, const Tensor& expected, Tolerance tolerance) {
  expect(got.shape() == expected.shape(), "{}: shape {}, expected {}", what, got.shape(), expected.shape());
  const Tensor a = got.to(DType::kF64), b = expected.to(DType::kF64);
  const double *x = a.data<double>(), *y = b.data<double>();
  double worst = 0;
  int64_t worst_at = -1;
  for (int64_t i = 0; i < a.numel(); ++i) {
    if (x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i]))) continue;
    const double excess = std::abs(x[i] - y[i]) / (tolerance.abs + tolerance.rel * std::abs(y[i]));
    if (!(excess <= worst)) {
      worst = excess;
      worst_at = i;
    }
  }
  expect(worst <= 1, "{}: element {} is {}, expected {} (abs {}, rel {}; {:.2f} times the tolerance)", what,
         worst_at, worst_at < 0 ? 0 : x[worst_at], worst_at < 0 ? 0 : y[worst_at], tolerance.abs,
         tolerance.rel, worst);
}

}  // namespace mtyolo::test
