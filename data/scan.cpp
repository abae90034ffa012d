#include "data/scan.h"

#include <filesystem>

#include "core/file.h"
#include "core/thread_pool.h"

namespace mtyolo::data {
namespace {

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

ScannedItem scan_item(const ScanItem& item, const DatasetParams& params) {
  ScannedItem out;
  const LabelSource::Image& image = item.image();
  try {
    std::error_code ignored;
    if (!std::filesystem::exists(image.path, ignored))
      throw label_error(image.path, "", "image_missing",
                        "the data set names this image, but it is not there");
    const ImageSize size = checked_size(image.path, params.read_every_image);
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

}  // namespace

std::vector<ScannedItem> scan_items(const std::vector<ScanItem>& items, const DatasetParams& params) {
  std::vector<ScannedItem> out(items.size());
  ThreadPool pool(params.threads);
  pool.parallel_for(int64_t(items.size()),
                    [&](int64_t i) { out[size_t(i)] = scan_item(items[size_t(i)], params); });
  return out;
}

}  // namespace mtyolo::data
