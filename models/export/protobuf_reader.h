// Fields of one protobuf message, one after the other (protobuf.dev, "Encoding"). Nested messages are read by
// another reader over the field's bytes, so depth follows the schema and never the input. Internal to
// models/export.
#pragma once

#include <optional>

#include "core/byte_reader.h"
#include "core/error.h"

namespace mtyolo::models {

class ProtobufReader {
 public:
  struct Field {
    enum class Kind { kVarint, kFixed64, kBytes, kFixed32 };
    uint64_t number = 0;
    Kind kind = Kind::kVarint;
    uint64_t value = 0;                // kVarint, kFixed32, kFixed64: the bits
    std::span<const std::byte> bytes;  // kBytes
    size_t position = 0;               // in the file
    std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  };

  // `origin`: where `bytes` begin in the file.
  explicit ProtobufReader(std::span<const std::byte> bytes, size_t origin = 0)
      : reader_(bytes), origin_(origin) {}
  // A field that holds a message.
  explicit ProtobufReader(const Field& message) : ProtobufReader(message.bytes, message.position) {
    expect(message, Field::Kind::kBytes);
  }

  // The next field, or nothing at the end of the message. Throws Error{kModel, "onnx"} when the bytes are no
  // field.
  std::optional<Field> next() {
    if (reader_.at_end()) return std::nullopt;
    const uint64_t tag = varint();
    Field field;
    field.number = tag >> 3;
    if (field.number == 0) refuse(position(), "field number 0");
    switch (tag & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        field.kind = Field::Kind::kFixed64, field.value = number<uint64_t>();
        break;
      case 2:
        field.kind = Field::Kind::kBytes, take_bytes(field);
        break;
      case 5:
        field.kind = Field::Kind::kFixed32, field.value = number<uint32_t>();
        break;
      default:
        refuse(position(), fmt::format("wire type {}", tag & 7));
    }
    if (field.kind != Field::Kind::kBytes) field.position = position();
    return field;
  }

  // A number of a packed list, which has neither tag nor end mark.
  bool at_end() const { return reader_.at_end(); }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      const uint64_t byte = number<uint8_t>();
      if (shift == 63 && byte > 1) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    refuse(position(), "a number of more than 64 bits");
  }
  template <class T>
  T number() {
    const std::optional<T> value = reader_.little<T>();
    if (!value) refuse(position(), "the message ends inside a field");
    return *value;
  }

  static void expect(const Field& field, Field::Kind kind) {
    if (field.kind != kind)
      refuse(field.position,
             fmt::format("field {} has another wire type than its meaning needs", field.number));
  }
  [[noreturn]] static void refuse(size_t position, const std::string& what) {
    throw Error(
        {ExitCode::kModel, "onnx", "not an ONNX model: " + what, {}, fmt::format("byte {}", position), {}});
  }

 private:
  size_t position() const { return origin_ + reader_.position(); }
  void take_bytes(Field& field) {
    const uint64_t size = varint();
    field.position = position();
    const auto bytes = reader_.take(size);
    if (!bytes)
      refuse(position(), fmt::format("a field of {} bytes, {} are left", size, reader_.remaining()));
    field.bytes = *bytes;
  }

  ByteReader reader_;
  size_t origin_;
};

}  // namespace mtyolo::models
