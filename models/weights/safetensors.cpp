#include "models/weights/safetensors.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <unordered_set>

#include "core/byte_reader.h"
#include "core/checked.h"
#include "core/file.h"
#include "models/weights/tensor_view.h"

namespace mtyolo::models {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kLengthBytes = 8;

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> text, Args&&... args) {
  fail(ExitCode::kModel, "safetensors", text, std::forward<Args>(args)...);
}

constexpr std::array<std::pair<std::string_view, DType>, 10> kCodes{{{"F64", DType::kF64},
                                                                     {"F32", DType::kF32},
                                                                     {"F16", DType::kF16},
                                                                     {"BF16", DType::kBF16},
                                                                     {"I64", DType::kI64},
                                                                     {"I32", DType::kI32},
                                                                     {"I16", DType::kI16},
                                                                     {"I8", DType::kI8},
                                                                     {"U8", DType::kU8},
                                                                     {"BOOL", DType::kBool}}};

std::optional<DType> dtype_from_code(std::string_view code) {
  for (const auto& [name, type] : kCodes)
    if (name == code) return type;
  return std::nullopt;
}

std::string_view code_of(DType wanted) {
  for (const auto& [name, type] : kCodes)
    if (type == wanted) return name;
  MTYOLO_CHECK(false, "safetensors has no type for {}", wanted);
}

// One tensor of the header.
struct Entry {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::vector<uint64_t> offsets;
  size_t position = 0;  // in the header: decides between tensors without data
};

// Takes the header apart while it is parsed: nothing is kept that the format does not know, depth and
// duplicate keys are tested as they come. Levels: 1 the header, 2 a tensor or __metadata__, 3 shape or
// data_offsets.
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;
  std::string problem;

  bool null() override { return stop("null"); }
  bool boolean(bool) override { return stop("a boolean"); }
  bool number_float(double, const std::string&) override { return stop("a number with a fraction"); }
  bool binary(binary_t&) override { return stop("binary data"); }
  bool number_integer(int64_t value) override {
    return value < 0 ? stop("a negative number") : number_unsigned(uint64_t(value));
  }
  bool number_unsigned(uint64_t value) override {
    if (!in_array_) return stop("a number");
    if (field_ == "data_offsets") {
      entries.back().offsets.push_back(value);
      return entries.back().offsets.size() <= 2 || fail_with("has more than two data_offsets");
    }
    if (value >> 62 != 0) return fail_with("has a size above 2^62");
    entries.back().shape.push_back(int64_t(value));
    return entries.back().shape.size() <= size_t(kMaxRank) || fail_with("has more than 16 dimensions");
  }
  bool string(std::string& text) override {
    if (depth_ == 2 && in_metadata_) {
      metadata[field_] = text;
      return true;
    }
    if (depth_ != 2 || in_array_ || field_ != "dtype") return stop("a string");
    entries.back().dtype = text;
    return true;
  }
  bool start_object(size_t) override {
    if (depth_ >= 2 || in_array_) return stop("an object");
    if (++depth_ == 1) return true;
    fields_.clear();
    if (!in_metadata_) entries.push_back({name_, {}, {}, {}, entries.size()});
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1 && !in_metadata_ && fields_.size() != 3)
      return fail_with("lacks dtype, shape or data_offsets");
    return true;
  }
  bool key(std::string& text) override {
    if (depth_ == 1) {
      if (!names_.insert(text).second) return fail_with("stands twice in the header", text);
      name_ = text;
      in_metadata_ = text == "__metadata__";
      field_.clear();
      return true;
    }
    if (!fields_.insert(text).second) return fail_with("has a key twice");
    field_ = text;
    if (in_metadata_) return true;
    return text == "dtype" || text == "shape" || text == "data_offsets" || fail_with("has an unknown key");
  }
  bool start_array(size_t) override {
    if (depth_ != 2 || in_array_ || in_metadata_ || (field_ != "shape" && field_ != "data_offsets"))
      return stop("a list");
    return in_array_ = true;
  }
  bool end_array() override {
    in_array_ = false;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    problem = fmt::format("the header is not valid JSON at byte {}", kLengthBytes + position);
    return false;
  }

 private:
  bool stop(const char* found) { return fail_with(fmt::format("has {} where the format has none", found)); }
  bool fail_with(const std::string& what) { return fail_with(what, name_); }
  bool fail_with(const std::string& what, const std::string& name) {
    problem = fmt::format("{} {}", name.empty() ? "the header" : mtyolo::quoted(name), what);
    return false;
  }

  int depth_ = 0;
  bool in_array_ = false, in_metadata_ = false;
  std::string name_, field_;
  std::unordered_set<std::string> names_, fields_;
};

Tensor tensor_of(const Entry& entry, std::span<const std::byte> data,
                 const std::shared_ptr<const void>& keeper) {
  const auto type = dtype_from_code(entry.dtype);
  if (!type)
    refuse("tensor {} has the unknown type {}", mtyolo::quoted(entry.name), mtyolo::quoted(entry.dtype));
  const auto numel = checked_numel(entry.shape);
  const auto bytes = numel ? checked::mul(uint64_t(*numel), item_size(*type)) : std::nullopt;
  if (!bytes || *bytes != entry.offsets[1] - entry.offsets[0])
    refuse("tensor {} has {} bytes of data, its shape and type need {}", mtyolo::quoted(entry.name),
           entry.offsets[1] - entry.offsets[0], bytes ? std::to_string(*bytes) : "more than 2^62");
  const Shape shape{std::span<const int64_t>(entry.shape)};
  const auto storage = storage_over(data.subspan(size_t(entry.offsets[0]), size_t(*bytes)), *type, keeper);
  return Tensor::view(storage, 0, shape, contiguous_strides(shape), *type);
}

// Sorts by offset and checks that the data follow each other from 0 to `size` without gap or overlap.
void order_entries(std::vector<Entry>& entries, uint64_t size) {
  for (const Entry& e : entries)
    if (e.offsets.size() != 2 || e.offsets[0] > e.offsets[1] || e.offsets[1] > size)
      refuse("tensor {} has data_offsets outside the {} bytes of data", mtyolo::quoted(e.name), size);
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.offsets, a.position) < std::tie(b.offsets, b.position);
  });
  uint64_t position = 0;
  for (const Entry& e : entries) {
    if (e.offsets[0] != position)
      refuse("data of tensor {} begin at {}, expected {}: the data have a gap or overlap",
             mtyolo::quoted(e.name), e.offsets[0], position);
    position = e.offsets[1];
  }
  if (position != size) refuse("the data end at {}, the file has {} bytes of data", position, size);
}

}  // namespace

bool looks_like_safetensors(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  const auto length = reader.little<uint64_t>();
  const auto first = reader.little<uint8_t>();
  return length && first && *first == '{' && *length <= kMaxHeaderBytes;
}

StateDict parse_safetensors(std::span<const std::byte> bytes, const std::shared_ptr<const void>& keeper,
                            std::map<std::string, std::string>* metadata) {
  ByteReader reader(bytes);
  const auto length = reader.little<uint64_t>();
  if (!length) refuse("has {} bytes, a safetensors file has at least 8", bytes.size());
  if (*length > kMaxHeaderBytes || *length > reader.remaining())
    refuse("the header claims {} bytes, {} follow and the limit is {}", *length, reader.remaining(),
           kMaxHeaderBytes);
  const std::string_view header = *reader.text(*length);
  if (header.empty() || header.front() != '{') refuse("the header does not begin with {{");
  HeaderHandler handler;
  if (!nlohmann::json::sax_parse(header, &handler)) refuse("{}", handler.problem);

  const auto data = *reader.take(reader.remaining());
  order_entries(handler.entries, data.size());
  StateDict tensors;
  for (Entry& e : handler.entries) {
    Tensor tensor = tensor_of(e, data, keeper);
    tensors.add(std::move(e.name), std::move(tensor));
  }
  if (metadata != nullptr) *metadata = std::move(handler.metadata);
  return tensors;
}

StateDict read_safetensors(const std::string& path, std::map<std::string, std::string>* metadata) {
  const auto file = MappedFile::open(path);
  try {
    return parse_safetensors(file->bytes(), file, metadata);
  } catch (const Error& e) {
    throw e.in_file(path);
  }
}

void write_safetensors(const std::string& path, const StateDict& tensors,
                       const std::map<std::string, std::string>& metadata) {
  using Json = nlohmann::ordered_json;
  Json header = Json::object();
  header["__metadata__"] = metadata;
  uint64_t position = 0;
  for (const auto& [name, tensor] : tensors.entries()) {
    const uint64_t end = position + tensor.size_bytes();
    Json shape = Json::array();
    for (const int64_t d : tensor.shape()) shape.push_back(d);
    header[name] = {
        {"dtype", code_of(tensor.dtype())}, {"shape", std::move(shape)}, {"data_offsets", {position, end}}};
    position = end;
  }
  constexpr size_t kAlignment = 64;
  std::string text = header.dump();
  text.append((kAlignment - (kLengthBytes + text.size()) % kAlignment) % kAlignment, ' ');
  AtomicFile file(path);
  std::string length;
  for (size_t i = 0; i < kLengthBytes; ++i) length.push_back(char(uint64_t(text.size()) >> (8 * i) & 0xff));
  file.write(length + text);
  for (const auto& [name, tensor] : tensors.entries()) {
    const Tensor t = tensor.contiguous();
    file.write({static_cast<const std::byte*>(t.raw()), t.size_bytes()});
  }
  file.commit();
}

}  // namespace mtyolo::models
