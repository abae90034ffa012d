// TensorBoard event files: TFRecord framing (u64 length, masked CRC32C of it, data, masked CRC32C of the
// data; tensorflow/core/lib/io/record_writer) around the protobuf messages Event and Summary
// (tensorflow/core/util/event.proto, framework/summary.proto), version "brain.Event:2".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/file.h"
#include "train/plots/pictures.h"

namespace mtyolo::train {

uint32_t crc32c(std::string_view bytes);  // Castagnoli, reflected polynomial 0x82F63B78
std::string tf_record(std::string_view data);

// The tag of a column of results.csv: per head `a/train/box_loss` becomes `train_a/box_loss`, others stay.
std::string scalar_tag(const std::string& column);

// One file of a run, FOLDER/events.out.tfevents.SECONDS.HOST.PROCESS. Records collect in memory; flush()
// appends them. A failed flush throws Error{"file_write"}, drops them and leaves the file as it was, so that
// the next may succeed.
class EventFile {
 public:
  // first_step > 0: the run is resumed; TensorBoard then forgets what older files say from that step on.
  explicit EventFile(const std::string& folder, int64_t first_step = 0);

  // Values that are not finite are left out.
  void scalar(const std::string& tag, double value, int64_t step);
  // `encoded`: PNG or JPEG bytes.
  void image(const std::string& tag, std::string_view encoded, int width, int height, int64_t step);
  // Counts of `values` in `buckets` of equal width.
  void histogram(const std::string& tag, std::span<const double> values, int64_t step, int buckets = 30);
  // How often each class occurs: one bucket of width 1 per class.
  void class_histogram(const std::string& tag, std::span<const int64_t> counts, int64_t step);
  // Every column but epoch and time of the last row, at step `epoch`.
  void last_row(const ResultsTable& table);
  void flush();

  const std::string& path() const { return path_; }

 private:
  void event(std::string_view fields, int64_t step);
  std::string path_, pending_;
  AppendFile file_;
};

}  // namespace mtyolo::train
