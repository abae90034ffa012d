#include "data/data_cfg.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "core/log.h"
#include "core/text.h"
#include "core/yaml.h"
#include "data/head_data.h"
#include "data/paths.h"

namespace mtyolo::data {
namespace {

// A nested Document does not know its file; errors about it get it here.
Error at_place(const Document& at, const std::string& file, const std::string& message,
               const std::string& suggestion = {}) {
  return document_error(at, message, suggestion).in_file(file);
}

std::vector<std::string> names_from_list(const Document& names) {
  std::vector<std::string> out;
  for (const Document& item : names.items) out.push_back(item.as_text(fmt::format("names[{}]", out.size())));
  return out;
}

// {0: person, 1: bicycle}: keys must be exactly 0..n-1, in any order.
std::vector<std::string> names_from_map(const Document& names) {
  std::vector<std::string> out(names.fields.size());
  std::vector<bool> given(out.size(), false);
  for (const auto& [key, value] : names.fields) {
    const auto id = parse_int(key);
    if (!id || *id < 0)
      throw document_error(
          value, fmt::format("names has the key {}, expected whole numbers from 0", mtyolo::quoted(key)));
    if (*id >= int64_t(out.size())) continue;  // then another key is missing below
    out[size_t(*id)] = value.as_text("names[" + key + "]");
    given[size_t(*id)] = true;
  }
  const auto missing = std::find(given.begin(), given.end(), false);
  if (missing != given.end())
    throw document_error(names, fmt::format("names has {} keys but none of them is {}; they must be 0 to {}",
                                            out.size(), missing - given.begin(), out.size() - 1));
  return out;
}

void warn_about_repeated_names(const std::vector<std::string>& names, const std::string& file) {
  std::set<std::string> seen;
  for (const std::string& name : names)
    if (!seen.insert(name).second)
      log::warning("{}: two classes are named {}; both ids are kept", file, mtyolo::quoted(name));
}

std::vector<std::string> parse_names(const Document& root, const std::string& file) {
  const Document *names = root.find("names"), *nc = root.find("nc");
  const bool has_names = names != nullptr && !names->is_null(), has_nc = nc != nullptr && !nc->is_null();
  if (!has_names && !has_nc)
    throw at_place(root, file, "neither names nor nc is given", "list the class names: names: [person, ...]");
  const int64_t count = has_nc ? nc->as_int("nc", 1, kMaxClasses) : 0;
  std::vector<std::string> out;
  if (!has_names) {
    for (int64_t i = 0; i < count; ++i) out.push_back("class" + std::to_string(i));
    log::warning("{}: no names given; the {} classes are called class0 to class{}", file, count, count - 1);
    return out;
  }
  if (!names->is_list() && !names->is_map())
    throw document_error(*names, "names is neither a list nor a map of class names",
                         "write names: [person, ...]");
  out = names->is_list() ? names_from_list(*names) : names_from_map(*names);
  if (out.empty() || out.size() > size_t(kMaxClasses))
    throw document_error(*names,
                         fmt::format("names lists {} classes, expected 1..{}", out.size(), kMaxClasses));
  if (has_nc && count != int64_t(out.size()))
    throw document_error(*nc, fmt::format("{} names found for nc={}", out.size(), count),
                         "leave nc out, or make both agree");
  warn_about_repeated_names(out, file);
  return out;
}

const std::string& parse_path(const Document& entry, const std::string& key) {
  const std::string& path = entry.as_text(key);
  if (path.empty() || path.size() > kMaxPathBytes || path.find('\0') != std::string::npos)
    throw document_error(
        entry, fmt::format("{} has a path of {} bytes, expected 1..{}", key, path.size(), kMaxPathBytes));
  return path;
}

// {images: DIR, heads: [a], classes: 3-5} or {json: F, images: DIR}.
EntryCfg parse_entry(const Document& entry, const std::string& key, const DataCfg& cfg) {
  static const std::array<std::string, 4> kKeys{"images", "json", "heads", "classes"};
  EntryCfg out;
  const auto add_head = [&](const Document& at) {
    const std::string& name = at.as_text(key + ".heads");
    std::vector<std::string> known;
    for (const HeadCfg& head : cfg.heads) known.push_back(head.name);
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw document_error(at, fmt::format("{} is labelled for the head {}, which heads: does not have{}",
                                           key, mtyolo::quoted(name), did_you_mean(name, known)));
    out.heads.push_back(name);
  };
  for (const auto& [name, value] : entry.fields) {
    if (name == "images") out.images = parse_path(value, key + ".images");
    else if (name == "json") out.path = parse_path(value, key + ".json");
    else if (name == "classes") out.classes = parse_class_ids(value, cfg.names);
    else if (name == "heads" && value.is_scalar()) add_head(value);
    else if (name == "heads")
      for (const Document& head : value.items) add_head(head);
    else
      throw document_error(value,
                           key + " has the unknown key " + mtyolo::quoted(name) + did_you_mean(name, kKeys));
  }
  if (out.path.empty()) std::swap(out.path, out.images);
  if (out.path.empty())
    throw document_error(entry, key + " has neither images nor json",
                         "write {images: DIR, heads: [a]} or {json: FILE, images: DIR}");
  return out;
}

// One entry of train, val or test.
void add_paths(const Document& entry, const std::string& key, std::vector<std::string>& out, DataCfg& cfg) {
  if (entry.is_null()) return;
  if (entry.is_list()) {
    for (const Document& item : entry.items) {
      if (item.is_list()) throw document_error(item, key + " holds a list inside a list, expected paths");
      add_paths(item, key, out, cfg);
    }
    return;
  }
  if (!entry.is_map()) {
    out.push_back(parse_path(entry, key));
    return;
  }
  cfg.details.push_back(parse_entry(entry, key, cfg));
  out.push_back(cfg.details.back().path);
}

// Entries are found again by their path, so one path has one meaning in a file.
void check_details(const DataCfg& cfg, const Document& root) {
  for (const EntryCfg& entry : cfg.details)
    if (cfg.entry(entry.path) != entry)
      throw at_place(root, cfg.file, mtyolo::quoted(entry.path) + " is described twice, in different ways");
}

// Unknown keys are other tools' notes and are passed over; one that nearly is a key of ours is a typing
// error.
void check_keys(const Document& root, const std::string& file) {
  static const std::array<std::string, 7> kKeys{"path", "train", "val", "test", "nc", "names", "heads"};
  for (const auto& [key, value] : root.fields) {
    if (std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end()) continue;
    if (key == "download") {
      log::warning("{}: download is ignored; nothing is fetched or run", file);
      continue;
    }
    if (!nearest_name(key, kKeys).empty())
      throw document_error(value, "unknown key " + mtyolo::quoted(key) + did_you_mean(key, kKeys));
    log::info("{}: key {} is not ours and is ignored", file, mtyolo::quoted(key));
  }
}

// The folders from which the file's relative paths are meant.
std::vector<std::string> base_folders(const Document& root, const std::string& file) {
  const std::vector<std::string> folders{folder_of(file), "."};
  const Document* path = root.find("path");
  if (path == nullptr || path->is_null()) return folders;
  std::vector<std::string> out;
  for (const std::string& folder :
       path_candidates(with_slashes(path->as_text("path")), folders, PathOrigin::kYaml))
    out.push_back(folder);
  out.insert(out.end(), folders.begin(), folders.end());
  return out;
}

struct Split {
  const char* key;
  std::vector<std::string>* paths;
};

// Where `path` is; noted in `missing` if nowhere.
std::string resolve(const std::string& path, const char* key, const std::vector<std::string>& folders,
                    std::vector<std::string>& missing) {
  const auto candidates = path_candidates(with_slashes(path), folders, PathOrigin::kYaml);
  std::string found = first_existing(candidates);
  if (!found.empty()) return found;
  const auto absolute = std::filesystem::absolute(candidates.front()).lexically_normal().string();
  missing.push_back(
      fmt::format("{} {} (looked for as {})", key, mtyolo::quoted(path), mtyolo::quoted(absolute)));
  return path;
}

// Replaces every path of a split, and those of its details, by the place it was found at.
void resolve(const Split& split, std::vector<EntryCfg>& details, const std::vector<std::string>& folders,
             std::vector<std::string>& missing) {
  for (std::string& path : *split.paths) {
    const std::string found = resolve(path, split.key, folders, missing);
    for (EntryCfg& entry : details) {
      if (entry.path != path) continue;
      entry.path = found;
      if (!entry.images.empty()) entry.images = resolve(entry.images, split.key, folders, missing);
    }
    path = found;
  }
}

// What `use` asks of a file that has data of its own.
void check_given(const DataCfg& cfg, const Document& root, DataCfgUse use) {
  if (use == DataCfgUse::kPaths && cfg.train.empty())
    throw at_place(root, cfg.file, "no train: is given, there is nothing to train on");
  if (use == DataCfgUse::kPaths && cfg.val.empty()) throw at_place(root, cfg.file, "no val: is given");
  if (use == DataCfgUse::kValPaths && cfg.val.empty() && cfg.test.empty())
    throw at_place(root, cfg.file, "neither val: nor test: is given");
  if (use == DataCfgUse::kGivenPaths && cfg.train.empty() && cfg.val.empty() && cfg.test.empty())
    throw at_place(root, cfg.file, "neither train:, val: nor test: is given");
}

void resolve_paths(DataCfg& cfg, const Document& root, DataCfgUse use) {
  const Split train{"train", &cfg.train}, val{"val", &cfg.val}, test{"test", &cfg.test};
  const std::vector<std::string> folders = base_folders(root, cfg.file);
  std::vector<std::string> missing;
  for (const Split& split : {train, val, test})
    if (use != DataCfgUse::kValPaths || split.paths != &cfg.train)
      resolve(split, cfg.details, folders, missing);
  if (!missing.empty())
    throw Error({ExitCode::kData,
                 "data_path",
                 fmt::format("not found: {}", fmt::join(missing, ", ")),
                 cfg.file,
                 {},
                 "relative paths start at the folder of the file, then at the working folder"});
}

std::vector<HeadData> read_head_data(const Document* heads, const Document& root, const std::string& file,
                                     DataCfgUse use, const ReadOther& read_other) {
  std::vector<HeadData> out;
  if (heads == nullptr || !heads->is_map()) return out;
  for (const auto& [name, body] : heads->fields) {
    const Document* path = body.is_map() ? body.find("data") : nullptr;
    if (path == nullptr) continue;
    const std::string& written = parse_path(*path, fmt::format("data of head {}", mtyolo::quoted(name)));
    const Document other = read_other(written, base_folders(root, file));
    const std::string where = other.file.empty() ? written : other.file;
    const Document* nested = other.find("heads");
    if (nested != nullptr && !nested->is_null())
      throw at_place(*nested, where,
                     fmt::format("brings data for the head {} of {}, so it cannot have heads itself",
                                 mtyolo::quoted(name), mtyolo::quoted(file)));
    out.push_back({name, parse_data_cfg(other, where, use, read_other), path});
  }
  return out;
}

void parse_into(DataCfg& cfg, const Document& document, DataCfgUse use, const ReadOther& read_other) {
  check_keys(document, cfg.file);
  const Document* heads = document.find("heads");
  const std::vector<HeadData> others = read_head_data(heads, document, cfg.file, use, read_other);
  const auto given = [&](const char* key) {
    const Document* at = document.find(key);
    return at != nullptr && !at->is_null();
  };
  if (others.empty() || given("names") || given("nc")) cfg.names = parse_names(document, cfg.file);
  const size_t own_names = cfg.names.size();
  const auto brought = add_names(others, cfg);
  if (heads != nullptr && !heads->is_null()) cfg.heads = parse_heads(*heads, cfg.names, brought);
  for (const Split& split : {Split{"train", &cfg.train}, Split{"val", &cfg.val}, Split{"test", &cfg.test}}) {
    const Document* entry = document.find(split.key);
    if (entry == nullptr) continue;
    add_paths(*entry, split.key, *split.paths, cfg);
    if (own_names == 0 && !split.paths->empty())
      throw document_error(
          *entry, fmt::format("{} is given but no names: all classes are the heads' own", split.key));
  }
  check_details(cfg, document);
  if (others.empty()) check_given(cfg, document, use);
  else limit_to_own(cfg, own_names, others);
  if (use != DataCfgUse::kNamesAndHeads) resolve_paths(cfg, document, use);
  if (use != DataCfgUse::kNamesAndHeads)
    for (const HeadData& other : others) add_entries(other, brought.at(other.head), cfg);
  tidy_details(cfg);
  check_details(cfg, document);
  if (use == DataCfgUse::kPaths) check_heads_have_data(cfg);
}

}  // namespace

EntryCfg DataCfg::entry(const std::string& path) const {
  for (const EntryCfg& e : details)
    if (e.path == path) return e;
  return {path, {}, {}};
}

std::vector<std::string> DataCfg::names_of(const EntryCfg& entry) const {
  if (entry.classes.empty()) return names;
  std::vector<std::string> out;
  for (const int id : entry.classes) out.push_back(names.at(size_t(id)));
  return out;
}

Document read_other_file(const std::string& path, const std::vector<std::string>& folders) {
  const auto candidates = path_candidates(with_slashes(path), folders, PathOrigin::kYaml);
  const std::string found = first_existing(candidates);
  if (!found.empty()) return read_yaml(found);
  throw Error({ExitCode::kData,
               "data_path",
               fmt::format("not found: the data file {} of a head (looked for as {})", mtyolo::quoted(path),
                           mtyolo::quoted(candidates.front())),
               {},
               {},
               "relative paths start at the folder of the file, then at the working folder"});
}

DataCfg parse_data_cfg(const Document& document, const std::string& file, DataCfgUse use,
                       const ReadOther& read_other) {
  if (!document.is_map())
    throw at_place(document, file,
                   document.is_null() ? "is empty: no train, val or names" : "is not a map of keys",
                   "expected train:, val: and names:");
  DataCfg cfg;
  cfg.file = file;
  try {
    parse_into(cfg, document, use, read_other);
  } catch (const Error& e) {
    throw e.in_file(file);
  }
  return cfg;
}

DataCfg read_data_cfg(const std::string& path, DataCfgUse use) {
  try {
    return parse_data_cfg(read_yaml(path), path, use);
  } catch (const Error& e) {
    ErrorInfo info = e.info();
    if (info.exit == ExitCode::kRuntime) info.exit = ExitCode::kData;  // the file is not there, or no file
    throw Error(info);
  }
}

}  // namespace mtyolo::data
