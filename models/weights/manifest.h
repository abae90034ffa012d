// The entry manifest.json of the .pt files we write: size and SHA-256 of every other entry and a hash over
// these hashes (reliability.md 9.2), so that a file that was damaged is told even where its CRCs agree.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mtyolo::models {

inline constexpr const char* kFormat = "mtyolo/1";
inline constexpr const char* kManifestName = "manifest.json";

struct ManifestPart {
  std::string name;  // without the archive's root folder
  std::span<const std::byte> bytes;
};

std::string manifest_of(const std::vector<ManifestPart>& parts);
// Throws Error{kModel, "manifest"} that names the first entry that is missing, new, or of another size or
// hash. A manifest that is not ours is left alone.
void check_manifest(std::string_view manifest, const std::vector<ManifestPart>& parts);

}  // namespace mtyolo::models
