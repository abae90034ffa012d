#include "cli/val_output.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "core/log.h"
#include "core/text.h"
#include "data/coco_classes.h"
#include "data/formats/coco_json.h"

namespace mtyolo::cli {

namespace fs = std::filesystem;

namespace {

fs::path common_folder(const data::Dataset& dataset) {
  fs::path folder = fs::path(dataset.sample(0).path).parent_path();
  for (int64_t i = 1; i < dataset.size(); ++i) {
    const fs::path other = fs::path(dataset.sample(i).path).parent_path();
    fs::path shared;
    for (auto a = folder.begin(), b = other.begin(); a != folder.end() && b != other.end() && *a == *b;
         ++a, ++b)
      shared /= *a;
    folder = shared;
  }
  return folder;
}

std::string json_text(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string plain_id(const data::Sample& sample) {
  if (sample.image_id >= 0) return std::to_string(sample.image_id);
  const std::string stem = fs::path(sample.path).stem().string();
  const bool digits = std::all_of(stem.begin(), stem.end(), [](char c) { return c >= '0' && c <= '9'; });
  const auto number = digits ? parse_int(stem) : std::nullopt;
  return number ? std::to_string(*number) : json_text(stem);
}

}  // namespace

std::vector<std::string> unique_names(const data::Dataset& dataset) {
  const fs::path folder = common_folder(dataset);
  std::set<std::string> used;
  std::vector<std::string> names;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const fs::path path = dataset.sample(i).path;
    std::string base = path.lexically_relative(folder).replace_extension().string();
    if (base.empty() || base.starts_with("..")) base = path.stem().string();  // no folder is shared
    std::string name = base;
    for (int k = 2; !used.insert(name).second; ++k) name = base + "_" + std::to_string(k);
    names.push_back(std::move(name));
  }
  return names;
}

std::vector<std::string> image_ids(const data::Dataset& dataset, const std::vector<std::string>& names) {
  std::vector<std::string> ids;
  std::map<std::string, std::vector<int64_t>> images;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    ids.push_back(plain_id(dataset.sample(i)));
    images[ids.back()].push_back(i);
  }
  int64_t count = 0;
  std::string example;
  for (const auto& [id, same] : images) {
    if (same.size() < 2) continue;
    if (count == 0)
      example = fmt::format("{} and {}", mtyolo::quoted(dataset.sample(same[0]).path),
                            mtyolo::quoted(dataset.sample(same[1]).path));
    count += int64_t(same.size());
    for (const int64_t i : same) ids[size_t(i)] = json_text(names[size_t(i)]);
  }
  if (count > 0)
    log::warning("{} images share their id with another ({}): predictions.json names them by their path",
                 count, example);
  return ids;
}

std::vector<int64_t> category_ids(const data::DataCfg& cfg, const std::string& entry,
                                  const std::vector<std::string>& names) {
  std::vector<int64_t> ids(names.size());
  std::iota(ids.begin(), ids.end(), int64_t{0});
  // An entry with a part of the classes has no ids for the others: global ones are all there is.
  if (names == cfg.names && lower_case(entry).ends_with(".json") && cfg.entry(entry).classes.empty()) {
    const data::CocoFile coco =
        data::parse_coco_json(data::read_data_file(entry, data::kMaxCocoBytes), entry);
    const std::vector<int> classes = data::coco_classes(coco, names, entry);
    for (size_t i = 0; i < classes.size(); ++i)
      if (classes[i] >= 0) ids[size_t(classes[i])] = coco.categories[i].id;
  } else if (names == data::coco_class_names()) {
    ids.assign(data::coco_category_ids().begin(), data::coco_category_ids().end());
  }
  return ids;
}

ValOutput::ValOutput(ValOutputParams params, const data::Dataset& dataset)
    : params_(std::move(params)), dataset_(dataset) {
  if (!params_.predictions && !params_.labels) return;
  names_ = unique_names(dataset);
  if (!params_.predictions) return;
  ids_ = image_ids(dataset, names_);
  predictions_.emplace(params_.folder + "/predictions.json");
  predictions_->write("[");
}

void ValOutput::add_predictions(const data::Batch& batch, const train::EvaluateHooks::Boxes& found) {
  if (!predictions_) return;
  std::string text;
  for (size_t i = 0; i < found.size(); ++i)
    for (const train::ScoredBox& d : found[i]) {
      text += fmt::format(
          "{}\n{{\"image_id\":{},\"category_id\":{},\"bbox\":[{:.3f},{:.3f},{:.3f},{:.3f}],\"score\":{:.5f}}"
          "}",
          first_ ? "" : ",", ids_[size_t(batch.indices[i])], params_.category_ids.at(size_t(d.cls)), d.x1,
          d.y1, d.x2 - d.x1, d.y2 - d.y1, d.score);
      first_ = false;
    }
  predictions_->write(text);
}

void ValOutput::write_labels(const data::Batch& batch, const train::EvaluateHooks::Boxes& found) const {
  if (!params_.labels) return;
  for (size_t i = 0; i < found.size(); ++i) {
    const data::Sample& s = dataset_.sample(batch.indices[i]);
    std::string text;
    for (const train::ScoredBox& d : found[i]) {
      const double w = s.width, h = s.height;
      text += fmt::format("{} {:.6g} {:.6g} {:.6g} {:.6g}", d.cls, (d.x1 + d.x2) / 2 / w,
                          (d.y1 + d.y2) / 2 / h, (d.x2 - d.x1) / w, (d.y2 - d.y1) / h);
      text += params_.confidences ? fmt::format(" {:.6g}\n", d.score) : "\n";
    }
    const fs::path file = fs::path(params_.folder) / "labels" / (names_[size_t(batch.indices[i])] + ".txt");
    make_folders(file.parent_path().string());
    write_file_atomically(file.string(), text);
  }
}

void ValOutput::finish() {
  if (!predictions_) return;
  predictions_->write("\n]\n");
  predictions_->commit();
}

}  // namespace mtyolo::cli
