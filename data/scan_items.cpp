#include "data/scan_items.h"

#include <algorithm>
#include <cmath>

#include "data/formats/format_table.h"

namespace mtyolo::data {
namespace {

uint64_t labelled_bits(const DataCfg& cfg, const EntryCfg& entry) {
  uint64_t bits = 0;
  for (size_t h = 0; h < std::min(cfg.heads.size(), kMaxHeads); ++h)
    if (std::count(entry.heads.begin(), entry.heads.end(), cfg.heads[h].name) > 0) bits |= uint64_t{1} << h;
  return bits;
}

// Where one entry gives areas, every label gets one: that of its box.
void fill_areas(Labels& labels, const ImageSize& size) {
  for (size_t i = labels.areas.size(); i < labels.labels.size(); ++i)
    labels.areas.push_back(double(labels.labels[i].w) * size.width * double(labels.labels[i].h) *
                           size.height);
}

}  // namespace

ScanSetup make_scan_setup(const DataCfg& cfg, const DatasetParams& params) {
  ScanSetup setup{cfg, params, {}, ~0ull, {}};
  const std::vector<HeadCfg>& heads = cfg.heads;
  if (heads.empty()) return setup;
  if (heads.size() < kMaxHeads) setup.all_heads = (uint64_t{1} << heads.size()) - 1;
  setup.heads_of_class.resize(cfg.names.size(), ~0ull);
  for (size_t h = 0; h < std::min(heads.size(), kMaxHeads); ++h)
    for (const int cls : heads[h].classes) setup.heads_of_class.at(size_t(cls)) = uint64_t{1} << h;
  return setup;
}

void open_source(ScanSetup& setup, const std::string& path, ScanReport& report) {
  const EntryCfg entry = setup.cfg.entry(path);
  if (setup.params.single_cls && !entry.heads.empty())
    throw Error(
        {ExitCode::kUsage,
         "single_cls",
         fmt::format("--single-cls: {} is labelled for {} alone, so objects of other classes in it have "
                     "no box",
                     quoted(path), fmt::join(entry.heads, ", ")),
         setup.cfg.file,
         {},
         "leave --single-cls out, or give a data set that is labelled for all classes"});
  setup.sources.push_back({format_of(entry).open(setup.cfg, entry), entry,
                           entry.heads.empty() ? setup.all_heads : labelled_bits(setup.cfg, entry)});
  const std::vector<Finding>& found = setup.sources.back().labels->findings;
  report.findings.insert(report.findings.end(), found.begin(), found.end());
}

std::vector<ScanItem> collect_items(const ScanSetup& setup, ScanReport& report) {
  std::vector<ScanItem> items;
  for (size_t s = 0; s < setup.sources.size(); ++s)
    for (size_t i = 0; i < setup.sources[s].labels->images.size(); ++i)
      items.push_back({&setup.sources[s].labels->images[i], {{s, i, setup.sources[s].heads}}});
  std::sort(items.begin(), items.end(), [](const ScanItem& a, const ScanItem& b) {
    const int order = a.image->path.compare(b.image->path);
    const ScanItem::Part &p = a.parts[0], &q = b.parts[0];
    return order != 0 ? order < 0 : std::pair(p.source, p.index) < std::pair(q.source, q.index);
  });
  std::vector<ScanItem> once;
  for (ScanItem& item : items) {
    if (once.empty() || once.back().image->path != item.image->path) {
      once.push_back(std::move(item));
      continue;
    }
    ScanItem::Part part = item.parts[0];
    part.heads &= ~once.back().heads();
    if (part.heads != 0) once.back().parts.push_back(part);
    else
      report.findings.push_back({"image_repeated", Finding::Severity::kWarning,
                                 item.image->path + ": given twice, used once", item.image->path});
  }
  return once;
}

std::vector<ScanItem> spread(std::vector<ScanItem> items, double fraction) {
  const size_t n = items.size();
  const size_t keep =
      std::clamp<size_t>(size_t(std::llround(fraction * double(n))), 1, std::max<size_t>(n, 1));
  if (keep >= n) return items;
  std::vector<ScanItem> kept;
  for (size_t i = 0; i < keep; ++i) kept.push_back(items[i * n / keep]);
  return kept;
}

Labels labels_of_part(const ScanSetup& setup, const ScanItem::Part& part, const ImageSize& size,
                      int& foreign) {
  const ScanSource& source = setup.sources[part.source];
  Labels labels = source.labels->labels(part.index, size.width, size.height);
  const auto to_global = [&](int& cls) {
    if (!source.entry.classes.empty()) cls = source.entry.classes.at(size_t(cls));
  };
  const auto is_foreign = [&](int cls) {
    return !setup.heads_of_class.empty() && (setup.heads_of_class.at(size_t(cls)) & part.heads) == 0;
  };
  for (Crowd& crowd : labels.crowds) to_global(crowd.cls);
  foreign = int(std::erase_if(labels.crowds, [&](const Crowd& c) { return is_foreign(c.cls); }));
  size_t kept = 0;
  for (size_t i = 0; i < labels.labels.size(); ++i) {
    to_global(labels.labels[i].cls);
    if (is_foreign(labels.labels[i].cls)) continue;
    if (!labels.areas.empty()) labels.areas[kept] = labels.areas[i];
    if (kept != i) labels.labels[kept] = std::move(labels.labels[i]);
    ++kept;
  }
  foreign += int(labels.labels.size() - kept);
  labels.labels.resize(kept);
  labels.areas.resize(std::min(labels.areas.size(), kept));
  return labels;
}

void append_labels(Labels& into, Labels part, const ImageSize& size) {
  if (!into.areas.empty() || !part.areas.empty()) {
    fill_areas(into, size);
    fill_areas(part, size);
  }
  into.labels.insert(into.labels.end(), part.labels.begin(), part.labels.end());
  into.areas.insert(into.areas.end(), part.areas.begin(), part.areas.end());
  into.crowds.insert(into.crowds.end(), part.crowds.begin(), part.crowds.end());
  if (into.image_id < 0) into.image_id = part.image_id;
  if (part.state == Labels::State::kFound || into.state == Labels::State::kMissing) into.state = part.state;
}

}  // namespace mtyolo::data
