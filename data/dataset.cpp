#include "data/dataset.h"

#include "core/log.h"
#include "data/scan.h"

namespace mtyolo::data {
namespace {

class LoadedDataset : public Dataset {
 public:
  explicit LoadedDataset(ScannedSplit split)
      : samples_(std::move(split.samples)), report_(std::move(split.report)) {}
  int64_t size() const override { return int64_t(samples_.size()); }
  const Sample& sample(int64_t index) const override { return samples_.at(size_t(index)); }
  const ScanReport& report() const override { return report_; }
  Image read(int64_t index) const override { return read_sample_image(sample(index).path); }

 private:
  std::vector<Sample> samples_;
  ScanReport report_;
};

}  // namespace

std::string summary_of(const ScanReport& r) {
  return fmt::format("{} found, {} missing (background), {} empty, {} refused, {} boxes", r.found, r.missing,
                     r.empty, r.refused, r.boxes);
}

void log_report(const std::string& split, const ScanReport& report) {
  constexpr int kShown = 20;  // reliability.md section 8
  int shown = 0;
  for (const Finding& f : report.findings) {
    if (f.severity == Finding::Severity::kInfo || shown == kShown) {
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
  ScannedSplit split = scan_split(cfg, entries, params);
  if (split.fatal) throw Error(*split.fatal);
  return std::make_unique<LoadedDataset>(std::move(split));
}

}  // namespace mtyolo::data
