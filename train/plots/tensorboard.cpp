#include "train/plots/tensorboard.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <filesystem>

namespace mtyolo::train {
namespace {

// Numbers of fields in event.proto and summary.proto.
namespace event_field {
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
}
namespace summary_field {
constexpr int kValue = 1, kTag = 1, kSimpleValue = 2, kImage = 4, kHisto = 5;
}
constexpr int kSessionStatus = 1, kSessionStart = 1, kColourRgb = 3;

// Writes fields of a protobuf message (protobuf.dev, "Encoding").
class Message {
 public:
  void varint(int field, uint64_t value) { key(field, 0), put_varint(value); }
  void float64(int field, double value) { key(field, 1), put_fixed(std::bit_cast<uint64_t>(value), 8); }
  void float32(int field, float value) { key(field, 5), put_fixed(std::bit_cast<uint32_t>(value), 4); }
  void bytes(int field, std::string_view value) {
    key(field, 2), put_varint(value.size());
    text_ += value;
  }
  void packed(int field, std::span<const double> values) {
    key(field, 2), put_varint(values.size() * sizeof(double));
    for (const double v : values) put_fixed(std::bit_cast<uint64_t>(v), 8);
  }
  const std::string& text() const { return text_; }

 private:
  void key(int field, uint64_t wire_type) { put_varint(uint64_t(field) << 3 | wire_type); }
  void put_varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) text_ += char(value | 0x80);
    text_ += char(value);
  }
  void put_fixed(uint64_t value, int count) {
    for (int i = 0; i < count; ++i) text_ += char(value >> (8 * i));
  }
  std::string text_;
};

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? c >> 1 ^ 0x82f63b78u : c >> 1;
    table[i] = c;
  }
  return table;
}

std::string little_endian(uint64_t value, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += char(value >> (8 * i));
  return out;
}

// A checksum of data that holds checksums is weak; TFRecord turns and shifts it.
std::string masked_crc(std::string_view bytes) {
  return little_endian(std::rotr(crc32c(bytes), 15) + 0xa282ead8u, 4);
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string file_name() {
  char host[256] = {};
  const bool known = ::gethostname(host, sizeof(host) - 1) == 0;
  return fmt::format("events.out.tfevents.{:010d}.{}.{}", int64_t(seconds_now()), known ? host : "localhost",
                     ::getpid());
}

std::string summary_value(const std::string& tag, const Message& value) {
  Message tagged, summary;
  tagged.bytes(summary_field::kTag, tag);
  summary.bytes(summary_field::kValue, tagged.text() + value.text());
  Message event;
  event.bytes(event_field::kSummary, summary.text());
  return event.text();
}

struct Histogram {
  double low = 0, high = 0, count = 0, sum = 0, squares = 0;
  std::vector<double> limits, counts;
};

std::string histogram_event(const std::string& tag, const Histogram& h) {
  Message proto, value;
  proto.float64(1, h.low);
  proto.float64(2, h.high);
  proto.float64(3, h.count);
  proto.float64(4, h.sum);
  proto.float64(5, h.squares);
  proto.packed(6, h.limits);
  proto.packed(7, h.counts);
  value.bytes(summary_field::kHisto, proto.text());
  return summary_value(tag, value);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = make_crc_table();
  uint32_t c = ~0u;
  for (const char b : bytes) c = kTable[(c ^ static_cast<unsigned char>(b)) & 0xff] ^ c >> 8;
  return ~c;
}

std::string tf_record(std::string_view data) {
  const std::string length = little_endian(data.size(), 8);
  return length + masked_crc(length) + std::string(data) + masked_crc(data);
}

std::string scalar_tag(const std::string& column) {
  const size_t first = column.find('/'),
               second = first == std::string::npos ? first : column.find('/', first + 1);
  if (second == std::string::npos) return column;
  return column.substr(first + 1, second - first - 1) + "_" + column.substr(0, first) + column.substr(second);
}

EventFile::EventFile(const std::string& folder, int64_t first_step)
    : path_((std::filesystem::path(folder) / file_name()).string()), file_(path_) {
  Message version;
  version.bytes(event_field::kFileVersion, "brain.Event:2");
  event(version.text(), 0);
  if (first_step > 0) {
    Message status, session;
    status.varint(kSessionStatus, kSessionStart);
    session.bytes(event_field::kSessionLog, status.text());
    event(session.text(), first_step);
  }
  flush();
}

void EventFile::event(std::string_view fields, int64_t step) {
  Message head;
  head.float64(event_field::kWallTime, seconds_now());
  if (step != 0) head.varint(event_field::kStep, uint64_t(step));
  pending_ += tf_record(head.text() + std::string(fields));
}

void EventFile::scalar(const std::string& tag, double value, int64_t step) {
  if (!std::isfinite(value)) return;
  Message m;
  m.float32(summary_field::kSimpleValue, float(value));
  event(summary_value(tag, m), step);
}

void EventFile::image(const std::string& tag, std::string_view encoded, int width, int height, int64_t step) {
  Message picture, value;
  picture.varint(1, uint64_t(height));
  picture.varint(2, uint64_t(width));
  picture.varint(3, kColourRgb);
  picture.bytes(4, encoded);
  value.bytes(summary_field::kImage, picture.text());
  event(summary_value(tag, value), step);
}

void EventFile::histogram(const std::string& tag, std::span<const double> values, int64_t step, int buckets) {
  Histogram h{std::numeric_limits<double>::max(), std::numeric_limits<double>::lowest(), 0, 0, 0, {}, {}};
  for (const double v : values)
    if (std::isfinite(v)) {
      h.low = std::min(h.low, v), h.high = std::max(h.high, v);
      h.count += 1, h.sum += v, h.squares += v * v;
    }
  if (h.count == 0) return;
  buckets = h.high > h.low ? std::max(1, buckets) : 1;
  // The last limit is the greatest value itself, which its bucket includes.
  for (int i = 1; i <= buckets; ++i)
    h.limits.push_back(i == buckets ? h.high : h.low + (h.high - h.low) * i / buckets);
  h.counts.resize(size_t(buckets));
  for (const double v : values)
    if (std::isfinite(v)) {
      const double share = h.high > h.low ? (v - h.low) / (h.high - h.low) : 0;
      h.counts[size_t(std::min(buckets - 1, int(share * buckets)))] += 1;
    }
  event(histogram_event(tag, h), step);
}

void EventFile::class_histogram(const std::string& tag, std::span<const int64_t> counts, int64_t step) {
  if (counts.empty()) return;
  Histogram h{-0.5, double(counts.size()) - 0.5, 0, 0, 0, {}, {}};
  for (size_t c = 0; c < counts.size(); ++c) {
    const auto n = double(counts[c]);
    h.limits.push_back(double(c) + 0.5), h.counts.push_back(n);
    h.count += n, h.sum += n * double(c), h.squares += n * double(c) * double(c);
  }
  event(histogram_event(tag, h), step);
}

void EventFile::last_row(const ResultsTable& table) {
  if (table.rows.empty()) return;
  const std::vector<double>& row = table.rows.back();
  const std::vector<double> epochs = table.column("epoch");
  const int64_t step = !epochs.empty() && std::isfinite(epochs.back()) ? int64_t(epochs.back())
                                                                       : int64_t(table.rows.size()) - 1;
  for (size_t i = 0; i < std::min(row.size(), table.columns.size()); ++i)
    if (const std::string& name = table.columns[i]; name != "epoch" && name != "time")
      scalar(scalar_tag(name), row[i], step);
}

void EventFile::flush() {
  const std::string records = std::move(pending_);
  pending_.clear();
  file_.write(records);
}

}  // namespace mtyolo::train
