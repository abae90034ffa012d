// Golden cases: folders below $MTYOLO_SHARED/goldens (default ../shared) with case.json and
// tensors.safetensors, enumerated by the `kind` inside case.json, never by fixed names.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/weights/checkpoint.h"

namespace mtyolo::test {

struct GoldenCase {
  std::string kind, name;
  std::filesystem::path folder;  // of the case
  nlohmann::json info;           // case.json
  models::StateDict tensors;     // tensors.safetensors, empty if there is none

  const Tensor& tensor(const std::string& name) const;  // throws if missing
  // A path written in the case: relative to the goldens folder, or to its parent if it begins with data/.
  std::filesystem::path resolve(const std::string& path) const;
};

struct Tolerance {
  double abs = 0, rel = 0;  // |got - expected| <= abs + rel * |expected|
};
Tolerance tolerance_from(const nlohmann::json& json);

std::filesystem::path shared_folder();                // $MTYOLO_SHARED, may not exist
std::vector<std::filesystem::path> golden_folders();  // every folder with a case.json, sorted
enum class GoldenParts { kInfo, kAll };               // case.json alone, or the tensors too
GoldenCase load_golden(const std::filesystem::path& folder, GoldenParts parts = GoldenParts::kAll);

// Thrown to end a case: a mismatch, or something that is not built yet.
struct GoldenMismatch : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct GoldenNotBuilt : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class... Args>
void expect(bool condition, fmt::format_string<Args...> text, Args&&... args) {
  if (!condition) throw GoldenMismatch(fmt::format(text, std::forward<Args>(args)...));
}

// Compares element by element; the message names the worst element and both values.
void expect_close(const std::string& what, const Tensor& got, const Tensor& expected, Tolerance tolerance);

}  // namespace mtyolo::test
