#include "data/scan.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "core/file.h"
#include "core/thread_pool.h"
#include "data/formats/format_table.h"
#include "data/formats/yolo_txt.h"
#include "data/scan_cache.h"

namespace mtyolo::data {
namespace {

using Severity = Finding::Severity;

// One image of the split: its place among the sources, and the heads it is labelled for.
struct ScanItem {
  const LabelSource* source = nullptr;
  size_t source_index = 0, index = 0;
  uint64_t labelled = ~0ull;
  const LabelSource::Image& image() const { return source->images[index]; }
};

struct ScannedItem {
  bool refused = false;
  ErrorInfo reason;  // of the refusal
  Sample sample;
  Labels::State state = Labels::State::kFound;
  std::vector<Finding> findings;
  std::optional<FileStamp> stamp;  // of the image before it was read
  bool from_cache = false;
};

ImageSize checked_size(const std::string& path, bool decode) {
  if (decode) {
    const Image image = read_sample_image(path);
    return {image.width, image.height};
  }
  const std::string bytes = read_data_file(path, kMaxImageFileBytes);
  const ImageSize size = image_size(std::as_bytes(std::span(bytes)), path);
  check_sample_size(size, path);
  return size;
}

void note(ScannedItem& item, const char* check_id, Finding::Severity severity, int count, const char* what,
          const std::string& path) {
  if (count == 0) return;
  item.findings.push_back({check_id, severity, fmt::format("{}: {} {}", path, count, what), path, count});
}

void note_labels(ScannedItem& item, const Labels& labels, const LabelSource::Image& image) {
  using enum Finding::Severity;
  note(item, "label_repeated", kWarning, labels.repeated, "repeated rows dropped", image.label);
  note(item, "label_area", kWarning, labels.flat, "boxes without area dropped", image.label);
  note(item, "label_clipped", kWarning, labels.clipped, "boxes clipped to the image", image.label);
  if (labels.state == Labels::State::kMissing)
    item.findings.push_back({"label_missing", kInfo,
                             fmt::format("{}: no labels in {}: background", image.path, image.label),
                             image.path});
  if (labels.state == Labels::State::kEmpty)
    item.findings.push_back({"label_empty", kInfo, image.label + ": empty: background", image.label});
  item.findings.insert(item.findings.end(), labels.findings.begin(), labels.findings.end());
}

ScannedItem scan_item(const ScanItem& item, const DatasetParams& params, const ScanCache& cache) {
  ScannedItem out;
  const LabelSource::Image& image = item.image();
  try {
    out.stamp = stamp_of(image.path);
    if (!out.stamp)
      throw label_error(image.path, "", "image_missing",
                        "the data set names this image, but it is not there");
    const auto known = cache.find(image.path, *out.stamp);
    out.from_cache = known.has_value();
    const ImageSize size = known ? *known : checked_size(image.path, params.read_every_image);
    Labels labels = item.source->labels(item.index, size.width, size.height);
    note_labels(out, labels, image);
    out.state = labels.state;
    Sample& s = out.sample;
    s.path = image.path;
    s.width = size.width;
    s.height = size.height;
    s.labels = std::move(labels.labels);
    s.areas = std::move(labels.areas);
    s.crowds = std::move(labels.crowds);
    s.image_id = labels.image_id;
    s.background = s.labels.empty();
    s.labelled = item.labelled;
    if (params.single_cls) {
      for (Label& label : s.labels) label.cls = 0;
      for (Crowd& crowd : s.crowds) crowd.cls = 0;
    }
  } catch (const Error& e) {
    out.refused = true;
    out.reason = e.in_file(image.path).info();
    out.findings.assign(
        1, {out.reason.code, Finding::Severity::kError, e.in_file(image.path).what(), out.reason.file});
  }
  return out;
}

uint64_t labelled_bits(const DataCfg& cfg, const EntryCfg& entry) {
  if (entry.heads.empty()) return ~0ull;
  uint64_t bits = 0;
  for (size_t h = 0; h < cfg.heads.size() && h < 64; ++h)
    if (std::count(entry.heads.begin(), entry.heads.end(), cfg.heads[h].name) > 0) bits |= 1ull << h;
  return bits;
}

// The images of all sources, sorted, each once; an image of two entries is labelled for the heads of both.
std::vector<ScanItem> collect_items(const std::vector<std::unique_ptr<LabelSource>>& sources,
                                    const std::vector<uint64_t>& labelled, ScanReport& report) {
  std::vector<ScanItem> items;
  for (size_t s = 0; s < sources.size(); ++s)
    for (size_t i = 0; i < sources[s]->images.size(); ++i)
      items.push_back({sources[s].get(), s, i, labelled[s]});
  std::sort(items.begin(), items.end(), [](const ScanItem& a, const ScanItem& b) {
    const int order = a.image().path.compare(b.image().path);
    return order != 0 ? order < 0 : std::pair(a.source_index, a.index) < std::pair(b.source_index, b.index);
  });
  std::vector<ScanItem> once;
  for (const ScanItem& item : items) {
    if (once.empty() || once.back().image().path != item.image().path) {
      once.push_back(item);
      continue;
    }
    once.back().labelled |= item.labelled;
    report.findings.push_back({"image_repeated", Severity::kWarning,
                               item.image().path + ": given twice, used once", item.image().path});
  }
  return once;
}

// fraction * n of n items, at least one, evenly spread.
std::vector<ScanItem> spread(std::vector<ScanItem> items, double fraction) {
  const size_t n = items.size();
  const size_t keep =
      std::clamp<size_t>(size_t(std::llround(fraction * double(n))), 1, std::max<size_t>(n, 1));
  if (keep >= n) return items;
  std::vector<ScanItem> kept;
  for (size_t i = 0; i < keep; ++i) kept.push_back(items[i * n / keep]);
  return kept;
}

// s.jpg and s.png have the same s.txt; a JSON is the label file of all its images.
void note_shared_labels(const std::vector<ScanItem>& items, ScanReport& report) {
  std::map<std::string, std::string> first;  // label file -> image
  for (const ScanItem& item : items) {
    const LabelSource::Image& image = item.image();
    if (!image.label.ends_with(".txt") && !image.label.ends_with(".xml")) continue;
    const auto [at, is_first] = first.emplace(image.label, image.path);
    if (!is_first)
      report.findings.push_back({"label_shared", Severity::kWarning,
                                 fmt::format("{}: shared by {} and {}", image.label, at->second, image.path),
                                 image.label});
  }
}

// The class ids in the refused label files, however large; only the first files are looked at.
std::set<int> used_classes(const std::vector<ScanItem>& items, const std::vector<ScannedItem>& scanned) {
  constexpr int kAnyClass = 1 << 30, kFiles = 1000;
  std::set<int> ids;
  int files = 0;
  for (size_t i = 0; i < items.size() && files < kFiles; ++i) {
    if (!scanned[i].refused || scanned[i].reason.code != "label_class") continue;
    ++files;
    try {
      const std::string& file = items[i].image().label;
      for (const Label& l : parse_yolo_labels(read_data_file(file, kMaxLabelBytes), file, kAnyClass).labels)
        ids.insert(l.cls);
    } catch (const Error&) {
      continue;  // a second fault of the file does not matter here
    }
  }
  return ids;
}

// What most of the refusals have in common, as far as there is a hint worth giving.
std::string common_fault(const std::vector<ScanItem>& items, const std::vector<ScannedItem>& scanned,
                         size_t classes) {
  std::map<std::string, int> codes;
  for (const ScannedItem& s : scanned)
    if (s.refused) ++codes[s.reason.code];
  const auto most = std::max_element(codes.begin(), codes.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most->first == "label_range")
    return "; the numbers look like pixels (values over 1), expected fractions of the image's sides";
  if (most->first != "label_class") return "";
  const std::set<int> ids = used_classes(items, scanned);
  if (ids.empty()) return "";
  constexpr size_t kShown = 10;
  std::vector<int> shown(ids.begin(), ids.end());
  const std::string last = shown.size() > kShown ? fmt::format(" ... {}", shown.back()) : "";
  shown.resize(std::min(shown.size(), kShown));
  return fmt::format("; they use the class ids {}{}, but nc is {}, so ids may be 0..{}",
                     fmt::join(shown, ", "), last, classes, classes - 1);
}

std::string joined(const std::vector<std::string>& entries) {
  std::vector<std::string> shown;
  for (const std::string& entry : entries) shown.push_back(quoted(entry));
  return fmt::format("{}", fmt::join(shown, ", "));
}

// The rules of reliability.md section 8 for a set as a whole.
std::optional<ErrorInfo> check_set(const DataCfg& cfg, const std::string& where,
                                   const std::vector<ScanItem>& items,
                                   const std::vector<ScannedItem>& scanned, const ScanReport& report) {
  // In a handful of images one bad file is already a large share.
  constexpr size_t kLeastForShare = 10;
  const auto fatal = [&](const char* code, std::string message, std::string suggestion) {
    return ErrorInfo{ExitCode::kData, code, std::move(message), cfg.file, {}, std::move(suggestion)};
  };
  if (items.empty())
    return fatal("no_images", "no images found in " + where,
                 "names ending in bmp jpg jpeg png tif tiff dng webp mpo are taken");
  const auto first = std::find_if(scanned.begin(), scanned.end(), [](const auto& s) { return s.refused; });
  const std::string reason =
      first == scanned.end() ? "" : "the first: " + std::string(Error(first->reason).what());
  if (report.images == 0 || (items.size() >= kLeastForShare && size_t(report.refused) * 2 > items.size()))
    return fatal(
        "data_refused",
        fmt::format("{} of the {} images in {} are refused, a set may lose half of them{}", report.refused,
                    items.size(), where, common_fault(items, scanned, cfg.names.size())),
        reason);
  if (report.found == 0)
    return fatal("no_labels",
                 fmt::format("no labels found for the {} images in {}; looked for {}", items.size(), where,
                             quoted(items.front().image().label)),
                 reason.empty() ? "labels lie in labels/ beside images/, or beside the images" : reason);
  if (report.boxes == 0)
    return fatal("no_labels", fmt::format("no objects in the labels of {}: all are empty", where), reason);
  return {};
}

void fold(std::vector<ScannedItem>& scanned, const DatasetParams& params, ScannedSplit& out) {
  ScanReport& report = out.report;
  for (ScannedItem& s : scanned) {
    report.findings.insert(report.findings.end(), s.findings.begin(), s.findings.end());
    if (s.refused) {
      if (params.strict && !out.fatal) out.fatal = s.reason;
      ++report.refused;
      continue;
    }
    (s.state == Labels::State::kMissing ? report.missing : report.found) += 1;
    report.empty += s.state == Labels::State::kEmpty ? 1 : 0;
    report.boxes += int64_t(s.sample.labels.size());
    out.samples.push_back(std::move(s.sample));
  }
  report.images = int(out.samples.size());
}

// The caches of all entries as one; each entry's file is written anew if it lacks an image.
class EntryCaches {
 public:
  explicit EntryCaches(bool used) : used_(used) {}
  void load(const std::string& entry) {
    if (!used_) return;
    files_.push_back(scan_cache_path(entry));
    caches_.push_back(ScanCache::load(files_.back()));
  }
  const ScanCache& of(size_t source) const {
    static const ScanCache none;
    return used_ ? caches_[source] : none;
  }
  void save(const std::vector<ScanItem>& items, const std::vector<ScannedItem>& scanned) const {
    for (size_t c = 0; c < caches_.size(); ++c) {
      ScanCache fresh;
      bool changed = false;
      for (size_t i = 0; i < items.size(); ++i) {
        const ScannedItem& s = scanned[i];
        if (items[i].source_index != c || s.refused) continue;
        changed = changed || !s.from_cache;
        fresh.add(s.sample.path, *s.stamp, {s.sample.width, s.sample.height});
      }
      if (changed) fresh.save(files_[c]);
    }
  }

 private:
  bool used_;
  std::vector<std::string> files_;
  std::vector<ScanCache> caches_;
};

}  // namespace

ScannedSplit scan_split(const DataCfg& cfg, const std::vector<std::string>& entries,
                        const DatasetParams& params) {
  ScannedSplit out;
  std::vector<std::unique_ptr<LabelSource>> sources;
  std::vector<uint64_t> labelled;
  EntryCaches caches(params.scan_cache && params.read_every_image);
  for (const std::string& path : entries) {
    const EntryCfg entry = cfg.entry(path);
    sources.push_back(format_of(entry).open(cfg, entry));
    labelled.push_back(labelled_bits(cfg, entry));
    caches.load(path);
    out.report.findings.insert(out.report.findings.end(), sources.back()->findings.begin(),
                               sources.back()->findings.end());
  }
  const std::vector<ScanItem> items = spread(collect_items(sources, labelled, out.report), params.fraction);
  note_shared_labels(items, out.report);
  std::vector<ScannedItem> scanned(items.size());
  ThreadPool pool(params.threads);
  pool.parallel_for(int64_t(items.size()), [&](int64_t i) {
    const ScanItem& item = items[size_t(i)];
    scanned[size_t(i)] = scan_item(item, params, caches.of(item.source_index));
  });
  caches.save(items, scanned);
  fold(scanned, params, out);
  if (!out.fatal) out.fatal = check_set(cfg, joined(entries), items, scanned, out.report);
  return out;
}

}  // namespace mtyolo::data
