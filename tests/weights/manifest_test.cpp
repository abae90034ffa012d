#include "models/weights/manifest.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "models/weights/checkpoint.h"
#include "tests/support/temp_folder.h"
#include "tests/weights/builders.h"
#include "tests/weights/expect_refused.h"

using namespace mtyolo;
using namespace mtyolo::models;
using namespace mtyolo::test;

namespace {

const std::string kWeights = std::string(8, '\1'), kPickle = "pickle";

std::vector<ManifestPart> sample_parts() {
  return {{"data.pkl", bytes_of(kPickle)}, {"data/0", bytes_of(kWeights)}};
}

std::string complaint(std::string_view manifest, const std::vector<ManifestPart>& parts) {
  return refused([&] { check_manifest(manifest, parts); }).message;
}

}  // namespace

TEST_CASE("manifest: what manifest_of wrote is accepted, other makers' manifests are left alone",
          "[weights][manifest]") {
  CHECK(complaint(manifest_of(sample_parts()), sample_parts()) == "accepted");
  CHECK(complaint(R"({"format": "apk", "entries": 3})", sample_parts()) == "accepted");
}

TEST_CASE("manifest: a changed byte, size or entry is named", "[weights][manifest]") {
  const std::string manifest = manifest_of(sample_parts());
  const std::string other(8, '\2'), longer(9, '\1');
  CHECK(complaint(manifest, {{"data.pkl", bytes_of(kPickle)}, {"data/0", bytes_of(other)}}) ==
        "the entry 'data/0' is damaged: its SHA-256 is not that of manifest.json");
  CHECK(complaint(manifest, {{"data.pkl", bytes_of(kPickle)}, {"data/0", bytes_of(longer)}}) ==
        "the entry 'data/0' has 9 bytes, manifest.json says '8'");
  CHECK(complaint(manifest, {{"data/0", bytes_of(kWeights)}}) ==
        "the entry 'data.pkl' of manifest.json is missing");
  auto more = sample_parts();
  more.push_back({"data/1", bytes_of(kWeights)});
  CHECK(complaint(manifest, more) == "manifest.json does not list 'data/1'");
  auto json = nlohmann::ordered_json::parse(manifest);
  json["sha256"] = std::string(64, '0');
  CHECK(complaint(json.dump(), sample_parts()) == "manifest.json is damaged");
}

TEST_CASE("manifest: a checkpoint whose CRC was made to agree is still refused", "[weights][manifest]") {
  const TempFolder folder;
  Checkpoint c;
  c.model.add("w", Tensor::from<float>({1, 2, 3, 4}, {4}));
  write_pt(folder.path("a.pt"), c);
  std::string bytes = read_file(folder.path("a.pt"), 1 << 20);
  const std::string three = little(0x40400000, 4), five = little(0x40a00000, 4);
  const size_t at = bytes.find(three);
  REQUIRE(at != std::string::npos);
  const std::string before = bytes.substr(at - 8, 16);
  bytes.replace(at, 4, five);
  const std::string after = bytes.substr(at - 8, 16);
  const std::string old_crc = little(crc32(bytes_of(before)), 4), crc = little(crc32(bytes_of(after)), 4);
  for (size_t p = bytes.find(old_crc); p != std::string::npos; p = bytes.find(old_crc, p + 4))
    bytes.replace(p, 4, crc);
  CHECK(refused([&] { parse_checkpoint(bytes_of(bytes), nullptr); }).code == "manifest");
}
