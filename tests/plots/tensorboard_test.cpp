#include "train/plots/tensorboard.h"

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/file.h"
#include "tests/support/temp_folder.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::train;

namespace {

constexpr size_t kMost = 1 << 24;

template <class T>
T number(const std::string& bytes, size_t at) {
  T value{};
  REQUIRE(at + sizeof(T) <= bytes.size());
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

// The data of every record, after checking both checksums.
std::vector<std::string> records_of(const std::string& file) {
  std::vector<std::string> records;
  for (size_t at = 0; at < file.size();) {
    const size_t length = size_t(number<uint64_t>(file, at));
    REQUIRE(at + 16 + length <= file.size());
    records.push_back(file.substr(at + 12, length));
    CHECK(file.substr(at, 16 + length) == tf_record(records.back()));
    at += 16 + length;
  }
  return records;
}

}  // namespace

TEST_CASE("plots: CRC-32C gives the published values", "[plots]") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xe3069283u);
  // RFC 3720, B.4
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aau);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
  std::string rising;
  for (int i = 0; i < 32; ++i) rising += char(i);
  CHECK(crc32c(rising) == 0x46dd794eu);
}

TEST_CASE("plots: a TFRecord is length, checksum, data, checksum", "[plots]") {
  const std::string record = tf_record("123456789");
  REQUIRE(record.size() == 8 + 4 + 9 + 4);
  CHECK(number<uint64_t>(record, 0) == 9);
  CHECK(record.substr(12, 9) == "123456789");
  const uint32_t crc = 0xe3069283u;
  CHECK(number<uint32_t>(record, 21) == ((crc >> 15 | crc << 17) + 0xa282ead8u));
}

TEST_CASE("plots: columns of heads get tags of their own", "[plots]") {
  CHECK(scalar_tag("train/box_loss") == "train/box_loss");
  CHECK(scalar_tag("a/metrics/mAP_0.5:0.95") == "metrics_a/mAP_0.5:0.95");
  CHECK(scalar_tag("gpu_mem_gb") == "gpu_mem_gb");
}

TEST_CASE("plots: an event file begins with its version and grows with each flush", "[plots]") {
  const test::TempFolder folder;
  EventFile events(folder.path());
  CHECK(std::filesystem::path(events.path()).filename().string().starts_with("events.out.tfevents."));
  const std::string start = read_file(events.path(), kMost);
  REQUIRE(records_of(start).size() == 1);
  CHECK(records_of(start)[0].substr(9) ==
        "\x1a\x0d"
        "brain.Event:2");
  events.scalar("loss", 0.5, 300);
  events.scalar("loss", std::nan(""), 301);
  CHECK(read_file(events.path(), kMost) == start);
  events.flush();
  const std::string grown = read_file(events.path(), kMost);
  CHECK(grown.starts_with(start));
  const auto records = records_of(grown);
  REQUIRE(records.size() == 2);
  // wall_time; step 300; summary { value { tag "loss" simple_value 0.5 } }
  const std::string expected("\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f", 18);
  CHECK(records[1].substr(9) == expected);
  CHECK(number<double>(records[1], 1) > 1.7e9);
}

TEST_CASE("plots: a resumed run says from which step on", "[plots]") {
  const test::TempFolder folder;
  const EventFile events(folder.path(), 7);
  const auto records = records_of(read_file(events.path(), kMost));
  REQUIRE(records.size() == 2);
  CHECK(records[1].substr(9) == std::string("\x10\x07\x3a\x02\x08\x01", 6));
}

TEST_CASE("plots: the last row becomes one scalar per column that has a number", "[plots]") {
  const test::TempFolder folder;
  EventFile events(folder.path());
  events.last_row({{"epoch", "time", "train/box_loss", "a/train/box_loss", "val/box_loss"},
                   {{0, 1, 9, 9, 9}, {1, 2, 0.25, 0.125, std::nan("")}}});
  events.flush();
  const auto records = records_of(read_file(events.path(), kMost));
  REQUIRE(records.size() == 3);
  CHECK(records[1].find("train/box_loss") != std::string::npos);
  CHECK(records[2].find("train_a/box_loss") != std::string::npos);
  CHECK(records[1].substr(9, 2) == "\x10\x01");
}

TEST_CASE("plots: histograms without values write nothing", "[plots]") {
  const test::TempFolder folder;
  EventFile events(folder.path());
  const size_t size = read_file(events.path(), kMost).size();
  events.histogram("w", std::vector<double>{std::nan("")}, 1);
  events.class_histogram("classes", {}, 1);
  events.last_row({});
  events.flush();
  CHECK(read_file(events.path(), kMost).size() == size);
  events.histogram("w", std::vector<double>{2, 2, 2}, 1);
  events.flush();
  CHECK(records_of(read_file(events.path(), kMost)).size() == 2);
}

TEST_CASE("plots: a file that grows keeps what it has", "[plots]") {
  const test::TempFolder folder;
  const std::string path = folder.path("log");
  { AppendFile(path).write("one "); }
  AppendFile again(path);
  again.write("two");
  CHECK(read_file(path, kMost) == "one two");
  CHECK_THROWS_AS(AppendFile(folder.path("no/such/folder")), Error);
  AppendFile full("/dev/full");
  CHECK(test::error_code([&] { full.write("x"); }) == "file_write");
}
