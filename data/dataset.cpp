#include "data/dataset.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/log.h"
#include "data/formats/format_table.h"
#include "data/formats/yolo_txt.h"
#include "data/scan.h"

namespace mtyolo::data {
namespace {

using Severity = Finding::Severity;

class LoadedDataset : public Dataset {
 public:
  int64_t size() const override { return int64_t(samples.size()); }
  const Sample& sample(int64_t index) const override { return samples.at(size_t(index)); }
  const ScanReport& report() const override { return scan; }
  Image read(int64_t index) const override { return read_sample_image(sample(index).path); }

  std::vector<Sample> samples;
  ScanReport scan;
};

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
      items.push_back({sources[s].get(), i, labelled[s]});
  std::stable_sort(items.begin(), items.end(),
                   [](const ScanItem& a, const ScanItem& b) { return a.image().path < b.image().path; });
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

[[noreturn]] void fail_set(const DataCfg& cfg, const char* code, std::string message,
                           std::string suggestion) {
  throw Error({ExitCode::kData, code, std::move(message), cfg.file, {}, std::move(suggestion)});
}

std::string joined(const std::vector<std::string>& entries) {
  std::vector<std::string> shown;
  for (const std::string& entry : entries) shown.push_back(quoted(entry));
  return fmt::format("{}", fmt::join(shown, ", "));
}

// The rules of reliability.md section 8 for a set as a whole.
void check_set(const DataCfg& cfg, const std::vector<std::string>& entries,
               const std::vector<ScanItem>& items, const std::vector<ScannedItem>& scanned,
               const ScanReport& report) {
  const std::string where = joined(entries);
  const auto first = std::find_if(scanned.begin(), scanned.end(), [](const auto& s) { return s.refused; });
  const std::string reason =
      first == scanned.end() ? "" : "the first: " + std::string(Error(first->reason).what());
  if (report.refused * 2 > int(items.size())) {
    fail_set(cfg, "data_refused",
             fmt::format("{} of the {} images in {} are refused, a set may lose half of them{}",
                         report.refused, items.size(), where, common_fault(items, scanned, cfg.names.size())),
             reason);
  }
  if (report.found == 0)
    fail_set(cfg, "no_labels",
             fmt::format("no labels found for the {} images in {}; looked for {}", items.size(), where,
                         quoted(items.front().image().label)),
             reason.empty() ? "labels lie in labels/ beside images/, or beside the images" : reason);
  if (report.boxes == 0)
    fail_set(cfg, "no_labels",
             fmt::format("no objects in the {} label files of {}: all are empty", report.found, where),
             reason);
}

void fold(std::vector<ScannedItem>& scanned, const DatasetParams& params, LoadedDataset& out) {
  ScanReport& report = out.scan;
  for (ScannedItem& s : scanned) {
    if (s.refused && params.strict) throw Error(s.reason);
    report.findings.insert(report.findings.end(), s.findings.begin(), s.findings.end());
    if (s.refused) {
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

}  // namespace

std::string summary_of(const ScanReport& r) {
  return fmt::format("{} found, {} missing (background), {} empty, {} refused, {} boxes", r.found, r.missing,
                     r.empty, r.refused, r.boxes);
}

void log_report(const std::string& split, const ScanReport& report) {
  constexpr int kShown = 20;  // reliability.md section 8
  int shown = 0;
  for (const Finding& f : report.findings) {
    if (f.severity == Severity::kInfo || shown == kShown) {
      log::debug("{}: {}", split, f.message);
      continue;
    }
    log::warning("{}: {}", split, f.message);
    ++shown;
  }
  log::info("{}: {}", split, summary_of(report));
}

std::unique_ptr<Dataset> open_dataset(const DataCfg& cfg, const std::vector<std::string>& entries,
                                      const DatasetParams& params) {
  auto out = std::make_unique<LoadedDataset>();
  std::vector<std::unique_ptr<LabelSource>> sources;
  std::vector<uint64_t> labelled;
  for (const std::string& path : entries) {
    const EntryCfg entry = cfg.entry(path);
    sources.push_back(format_of(entry).open(cfg, entry));
    labelled.push_back(labelled_bits(cfg, entry));
    out->scan.findings.insert(out->scan.findings.end(), sources.back()->findings.begin(),
                              sources.back()->findings.end());
  }
  const std::vector<ScanItem> items = spread(collect_items(sources, labelled, out->scan), params.fraction);
  if (items.empty())
    fail_set(cfg, "no_images", "no images found in " + joined(entries),
             "names ending in bmp jpg jpeg png tif tiff dng webp mpo are taken");
  note_shared_labels(items, out->scan);
  std::vector<ScannedItem> scanned = scan_items(items, params);
  fold(scanned, params, *out);
  check_set(cfg, entries, items, scanned, out->scan);
  return out;
}

}  // namespace mtyolo::data
