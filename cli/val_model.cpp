#include "cli/val_model.h"

#include <algorithm>

#include "core/log.h"

namespace mtyolo::cli {
namespace {

std::string some_names(const std::vector<std::string>& names) {
  constexpr size_t kShown = 4;
  std::vector<std::string> shown;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) shown.push_back(names[i]);
  return mtyolo::quoted(fmt::format("{}{}", fmt::join(shown, ", "), names.size() > kShown ? ", ..." : ""));
}

// "a (10 classes: 0 .. 9), b (70 classes: 10 .. 79)"
std::string heads_text(const std::vector<data::HeadCfg>& heads) {
  if (heads.empty()) return "one head";
  std::vector<std::string> parts;
  for (const data::HeadCfg& h : heads)
    parts.push_back(fmt::format("{} ({} class{}: {}{})", mtyolo::quoted(h.name), h.classes.size(),
                                h.classes.size() == 1 ? "" : "es", h.classes.front(),
                                h.classes.size() == 1 ? "" : fmt::format(" .. {}", h.classes.back())));
  return fmt::format("{}", fmt::join(parts, ", "));
}

bool same_heads(const std::vector<data::HeadCfg>& a, const std::vector<data::HeadCfg>& b) {
  const auto key = [](const std::vector<data::HeadCfg>& heads) {
    std::vector<std::pair<std::string, std::vector<int>>> all;
    for (const data::HeadCfg& h : heads) {
      all.emplace_back(h.name, h.classes);
      std::sort(all.back().second.begin(), all.back().second.end());
    }
    std::sort(all.begin(), all.end());
    return all;
  };
  return key(a) == key(b);
}

[[noreturn]] void refuse(const std::string& file, const char* code, std::string message,
                         std::string suggestion) {
  throw Error({ExitCode::kUsage, code, std::move(message), file, {}, std::move(suggestion)});
}

}  // namespace

std::vector<data::HeadCfg> heads_of(const models::Graph& graph) {
  std::vector<data::HeadCfg> heads;
  for (const models::Head& h : graph.heads) heads.push_back({h.name, h.classes, 1});
  return heads;
}

void check_same_classes(const models::Graph& graph, const data::DataCfg& data, const std::string& weights) {
  const auto& mine = graph.names;
  if (mine.size() != data.names.size())
    refuse(data.file, "classes",
           fmt::format("has {} class{} ({}), the model {} has {} ({})", data.names.size(),
                       data.names.size() == 1 ? "" : "es", some_names(data.names), mtyolo::quoted(weights),
                       mine.size(), some_names(mine)),
           "give weights trained on these classes, or the data.yaml the weights were trained with");
  const std::vector<data::HeadCfg> model_heads = heads_of(graph);
  const bool split = model_heads.size() > 1;
  const auto differ = std::mismatch(mine.begin(), mine.end(), data.names.begin());
  if (data.heads.size() > 1 && !split)
    refuse(data.file, "heads",
           fmt::format("has the heads {}, the model {} has one head", heads_text(data.heads),
                       mtyolo::quoted(weights)),
           fmt::format("split it first: mtyolo import {} --heads {}", weights, data.file));
  if (!data.heads.empty() && split && !same_heads(model_heads, data.heads))
    refuse(data.file, "heads",
           fmt::format("has the heads {}, the model {} has {}", heads_text(data.heads),
                       mtyolo::quoted(weights), heads_text(model_heads)),
           "give the data.yaml the model was made with");
  if (differ.first == mine.end()) return;
  const auto at = differ.first - mine.begin();
  if (split && data.heads.empty())
    refuse(
        data.file, "heads",
        fmt::format("has no heads and other names than the model {} (class {}: {} against {}), whose heads "
                    "are {}",
                    mtyolo::quoted(weights), at, mtyolo::quoted(*differ.second),
                    mtyolo::quoted(*differ.first), heads_text(model_heads)),
        "give it the model's names, or heads");
  log::warning("{}: class {} is {}, in the model {}; the names of the data are used", data.file, at,
               mtyolo::quoted(*differ.second), mtyolo::quoted(*differ.first));
}

}  // namespace mtyolo::cli
