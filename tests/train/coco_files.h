// Truth and results of COCO's tools as what coco_metrics takes.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/file.h"
#include "train/metrics.h"

namespace mtyolo::test {

struct CocoCase {
  std::vector<train::ImageResult> images;  // by ascending id
  std::vector<int> categories;             // ids by class
};

inline CocoCase read_coco_case(const std::filesystem::path& truth_file,
                               const std::filesystem::path& found_file) {
  using nlohmann::json;
  const auto read = [](const std::filesystem::path& path) {
    return json::parse(read_file(path.string(), size_t(1) << 26));
  };
  const json truth = read(truth_file), found = read(found_file);
  std::map<int64_t, train::ImageResult> by_id;
  std::map<int, int> classes;
  for (const json& i : truth.at("images")) by_id[i.at("id")];
  for (const json& i : truth.at("categories")) classes[i.at("id")] = 0;
  CocoCase c;
  for (auto& [id, cls] : classes) {
    cls = int(c.categories.size());
    c.categories.push_back(id);
  }
  const auto box = [&](const json& a, auto out) {
    const json& b = a.at("bbox");
    const double x = b[0], y = b[1], w = b[2], h = b[3];
    out.x1 = x;
    out.y1 = y;
    out.x2 = x + w;
    out.y2 = y + h;
    out.cls = classes.at(a.at("category_id"));
    return out;
  };
  for (const json& a : truth.at("annotations")) {
    auto t = box(a, train::TruthBox{});
    t.area = a.at("area");
    t.crowd = a.at("iscrowd") != 0;
    by_id.at(a.at("image_id")).truth.push_back(t);
  }
  for (const json& a : found) {
    auto d = box(a, train::ScoredBox{});
    d.score = a.at("score");
    by_id.at(a.at("image_id")).found.push_back(d);
  }
  for (auto& [id, image] : by_id) c.images.push_back(std::move(image));
  return c;
}

}  // namespace mtyolo::test
