#include "data/head_data.h"

#include <algorithm>

#include "core/log.h"

namespace mtyolo::data {

std::map<std::string, std::vector<int>> add_names(const std::vector<HeadData>& others, DataCfg& cfg) {
  std::map<std::string, std::string> owner;
  for (const std::string& name : cfg.names) owner.emplace(name, "names: of " + quoted(cfg.file));
  std::map<std::string, std::vector<int>> brought;
  for (const HeadData& other : others) {
    const std::string mine = fmt::format("head {} ({})", other.head, quoted(other.cfg.file));
    for (const std::string& name : other.cfg.names) {
      const auto [at, is_new] = owner.emplace(name, mine);
      if (!is_new && at->second != mine)
        throw document_error(
            *other.at, fmt::format("the class {} of {} is also one of {}", quoted(name), mine, at->second),
            "class names tell the heads' objects apart in results: rename one of them");
      brought[other.head].push_back(int(cfg.names.size()));
      cfg.names.push_back(name);
    }
  }
  if (cfg.names.size() > size_t(kMaxClasses))
    throw document_error(*others.back().at, fmt::format("{} classes in all, at most {} are possible",
                                                        cfg.names.size(), kMaxClasses));
  return brought;
}

void limit_to_own(DataCfg& cfg, size_t own_names, const std::vector<HeadData>& others) {
  EntryCfg own;
  for (size_t c = 0; c < own_names; ++c) own.classes.push_back(int(c));
  for (const HeadCfg& head : cfg.heads)
    if (std::none_of(others.begin(), others.end(), [&](const HeadData& o) { return o.head == head.name; }))
      own.heads.push_back(head.name);
  for (const std::vector<std::string>* paths : {&cfg.train, &cfg.val, &cfg.test})
    for (const std::string& path : *paths)
      if (cfg.entry(path) == EntryCfg{path, {}, {}}) cfg.details.push_back({path, {}, {}});
  for (EntryCfg& entry : cfg.details) {
    if (entry.heads.empty()) entry.heads = own.heads;
    if (entry.classes.empty()) entry.classes = own.classes;
  }
}

void add_entries(const HeadData& other, const std::vector<int>& ids, DataCfg& cfg) {
  const auto add = [&](const std::vector<std::string>& from, std::vector<std::string>& to) {
    for (const std::string& path : from) {
      EntryCfg entry = other.cfg.entry(path);
      entry.heads = {other.head};
      if (entry.classes.empty()) entry.classes = ids;
      else
        for (int& id : entry.classes) id = ids.at(size_t(id));
      cfg.details.push_back(std::move(entry));
      to.push_back(path);
    }
  };
  add(other.cfg.train, cfg.train);
  add(other.cfg.val, cfg.val);
  add(other.cfg.test, cfg.test);
}

void tidy_details(DataCfg& cfg) {
  std::vector<EntryCfg> kept;
  for (EntryCfg& entry : cfg.details) {
    const auto has = [&](const HeadCfg& h) {
      return std::find(entry.heads.begin(), entry.heads.end(), h.name) != entry.heads.end();
    };
    if (std::all_of(cfg.heads.begin(), cfg.heads.end(), has)) entry.heads.clear();
    bool in_order = entry.classes.size() == cfg.names.size();
    for (size_t c = 0; in_order && c < entry.classes.size(); ++c) in_order = entry.classes[c] == int(c);
    if (in_order) entry.classes.clear();
    const bool says_nothing = entry == EntryCfg{entry.path, {}, {}};
    if (!says_nothing && std::find(kept.begin(), kept.end(), entry) == kept.end())
      kept.push_back(std::move(entry));
  }
  cfg.details = std::move(kept);
}

void check_heads_have_data(const DataCfg& cfg) {
  const auto labelled = [&](const std::vector<std::string>& paths, const std::string& head) {
    return std::any_of(paths.begin(), paths.end(), [&](const std::string& path) {
      const std::vector<std::string> heads = cfg.entry(path).heads;
      return heads.empty() || std::find(heads.begin(), heads.end(), head) != heads.end();
    });
  };
  for (const HeadCfg& head : cfg.heads) {
    if (!labelled(cfg.train, head.name))
      throw Error(
          {ExitCode::kUsage,
           "config",
           fmt::format("head {} has no training data: no entry of train: is labelled for it",
                       quoted(head.name)),
           cfg.file,
           {},
           fmt::format("add {{images: FOLDER, heads: [{}]}} to train:, or leave the head out", head.name)});
    if (!labelled(cfg.val, head.name))
      log::warning("{}: no entry of val: is labelled for head {}: it is not validated", cfg.file, head.name);
  }
}

}  // namespace mtyolo::data
