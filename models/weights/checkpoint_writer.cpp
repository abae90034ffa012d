#include <nlohmann/json.hpp>

#include "core/file.h"
#include "core/zip.h"
#include "models/weights/checkpoint.h"
#include "models/weights/manifest.h"
#include "models/weights/metadata.h"
#include "models/weights/pickle_writer.h"
#include "models/weights/safetensors.h"

namespace mtyolo::models {
namespace {

constexpr std::string_view kOptimizerPrefix = "optimizer.";

std::span<const std::byte> bytes_of(const Tensor& t) {
  return {static_cast<const std::byte*>(t.raw()), t.size_bytes()};
}

void put_tensors(PickleWriter& out, const StateDict& tensors) {
  if (tensors.empty()) return out.none();
  out.begin_dict();
  for (const auto& [name, tensor] : tensors.entries()) {
    out.string(name);
    out.tensor(tensor);
  }
  out.end_dict();
}

// {name without "optimizer.": tensor, ..., "param_groups": [...]}, or None.
void put_optimizer(PickleWriter& out, const Checkpoint& c) {
  if (c.optimizer.empty() && c.optimizer_groups.is_null()) return out.none();
  out.begin_dict();
  for (const auto& [name, tensor] : c.optimizer.entries()) {
    MTYOLO_CHECK(name.starts_with(kOptimizerPrefix), "optimizer tensor {} does not begin with {}",
                 mtyolo::quoted(name), kOptimizerPrefix);
    out.string(std::string_view(name).substr(kOptimizerPrefix.size()));
    out.tensor(tensor);
  }
  if (!c.optimizer_groups.is_null()) {
    out.string("param_groups");
    out.document(c.optimizer_groups);
  }
  out.end_dict();
}

Document names_document(const std::vector<std::string>& names) {
  if (names.empty()) return {};
  std::vector<Document> items;
  for (const std::string& name : names) items.push_back(Document::scalar(name, true));
  return Document::list(std::move(items));
}

std::string pickle_of(const Checkpoint& c, PickleWriter& out) {
  const auto entry = [&](const char* key, auto&& put) {
    out.string(key);
    put();
  };
  const auto document = [&](const char* key, const Document& d) { entry(key, [&] { out.document(d); }); };
  out.begin_dict();
  entry("format", [&] { out.string(kFormat); });
  entry("model", [&] { put_tensors(out, c.model); });
  entry("ema", [&] { put_tensors(out, c.ema); });
  entry("optimizer", [&] { put_optimizer(out, c); });
  entry("epoch", [&] { out.integer(c.epoch); });
  entry("updates", [&] { out.integer(c.updates); });
  entry("best_fitness", [&] { out.number(c.best_fitness); });
  document("results", c.results);
  document("names", names_document(c.names));
  document("heads", c.heads);
  document("anchors", c.anchors);
  document("cfg", c.cfg);
  document("hyp", c.hyp);
  document("rng", c.rng);
  // Facts of a foreign model that our own networks never need: only where they differ from what is usual.
  const Checkpoint usual;
  if (c.bn_eps != usual.bn_eps) entry("bn_eps", [&] { out.number(c.bn_eps); });
  if (c.bn_momentum != usual.bn_momentum) entry("bn_momentum", [&] { out.number(c.bn_momentum); });
  if (c.fused) entry("fused", [&] { out.boolean(true); });
  if (!c.training_results.empty()) entry("training_results", [&] { out.string(c.training_results); });
  out.end_dict();
  return out.finish();
}

// The zip around a finished pickle and its storages.
void write_archive(const std::string& path, const std::string& pickle, const PickleWriter& writer,
                   const std::function<void()>& before_rename) {
  const std::string version = "3\n", order = "little";
  const auto text = [](const std::string& t) { return std::as_bytes(std::span(t)); };
  std::vector<ManifestPart> parts{
      {"data.pkl", text(pickle)}, {"version", text(version)}, {"byteorder", text(order)}};
  for (size_t i = 0; i < writer.storages().size(); ++i)
    parts.push_back({"data/" + std::to_string(i), bytes_of(writer.storages()[i])});
  const std::string manifest = manifest_of(parts);
  parts.push_back({kManifestName, text(manifest)});

  uint64_t size = 0;
  for (const ManifestPart& part : parts) size += part.bytes.size();
  check_free_space(path, size);
  AtomicFile file(path);
  ZipWriter zip(file);
  for (const ManifestPart& part : parts) zip.add("archive/" + part.name, part.bytes);
  zip.finish();
  file.commit(before_rename);
}

}  // namespace

void write_pt(const std::string& path, const Checkpoint& checkpoint,
              const std::function<void()>& before_rename) {
  PickleWriter writer;
  write_archive(path, pickle_of(checkpoint, writer), writer, before_rename);
}

void write_state_dict(const std::string& path, const StateDict& tensors) {
  MTYOLO_CHECK(!tensors.empty(), "no tensors to write to {}", mtyolo::quoted(path));
  PickleWriter writer;
  put_tensors(writer, tensors);
  write_archive(path, writer.finish(), writer, {});
}

void write_safetensors(const std::string& path, const Checkpoint& checkpoint) {
  write_safetensors(path, checkpoint.inference_weights(),
                    {{"format", kFormat},
                     {"cfg", document_to_json(checkpoint.cfg)},
                     {"names", document_to_json(names_document(checkpoint.names))},
                     {"heads", document_to_json(checkpoint.heads)}});
}

}  // namespace mtyolo::models
