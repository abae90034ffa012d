#include "models/weights/manifest.h"

#include <nlohmann/json.hpp>
#include <unordered_map>

#include "core/document.h"
#include "core/file.h"
#include "core/sha256.h"
#include "core/thread_pool.h"
#include "models/weights/metadata.h"

namespace mtyolo::models {
namespace {

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> text, Args&&... args) {
  fail(ExitCode::kModel, "manifest", text, std::forward<Args>(args)...);
}

std::string hash_of(const std::string& hashes) { return sha256_hex(std::as_bytes(std::span(hashes))); }

std::vector<std::string> hashes_of(const std::vector<ManifestPart>& parts) {  // on all cores
  std::vector<std::string> hashes(parts.size());
  size_t bytes = 0;
  for (const ManifestPart& part : parts) bytes += part.bytes.size();
  ThreadPool(checking_threads(bytes)).parallel_for(int64_t(parts.size()), [&](int64_t i) {
    hashes[size_t(i)] = sha256_hex(parts[size_t(i)].bytes);
  });
  return hashes;
}

std::string text_of(const Document& map, const char* key) {
  const Document* value = map.find(key);
  return value != nullptr && value->is_scalar() ? value->text : "";
}

}  // namespace

std::string manifest_of(const std::vector<ManifestPart>& parts) {
  nlohmann::ordered_json entries = nlohmann::ordered_json::object();
  const std::vector<std::string> hash_of_part = hashes_of(parts);
  std::string hashes;
  for (size_t i = 0; i < parts.size(); ++i) {
    entries[parts[i].name] = {{"size", parts[i].bytes.size()}, {"sha256", hash_of_part[i]}};
    hashes += hash_of_part[i];
  }
  const nlohmann::ordered_json manifest = {{"format", kFormat},
                                           {"version", MTYOLO_VERSION},
                                           {"entries", std::move(entries)},
                                           {"sha256", hash_of(hashes)}};
  return manifest.dump(1);
}

void check_manifest(std::string_view text, const std::vector<ManifestPart>& parts) {
  const Document manifest = document_from_json(text);
  if (!manifest.is_map() || !text_of(manifest, "format").starts_with("mtyolo/")) return;
  const Document* entries = manifest.find("entries");
  if (entries == nullptr || !entries->is_map()) refuse("manifest.json lists no entries");
  const std::vector<std::string> hash_of_part = hashes_of(parts);
  std::unordered_map<std::string_view, size_t> by_name;
  for (size_t i = 0; i < parts.size(); ++i) by_name.emplace(parts[i].name, i);
  std::string hashes;
  for (const auto& [name, entry] : entries->fields) {
    const auto part = by_name.find(name);
    if (part == by_name.end()) refuse("the entry {} of manifest.json is missing", quoted(name));
    const size_t bytes = parts[part->second].bytes.size();
    if (text_of(entry, "size") != std::to_string(bytes))
      refuse("the entry {} has {} bytes, manifest.json says {}", quoted(name), bytes,
             quoted(text_of(entry, "size")));
    const std::string& hash = hash_of_part[part->second];
    if (text_of(entry, "sha256") != hash)
      refuse("the entry {} is damaged: its SHA-256 is not that of manifest.json", quoted(name));
    hashes += hash;
    by_name.erase(part);
  }
  if (!by_name.empty()) refuse("manifest.json does not list {}", quoted(by_name.begin()->first));
  if (text_of(manifest, "sha256") != hash_of(hashes)) refuse("manifest.json is damaged");
}

}  // namespace mtyolo::models
