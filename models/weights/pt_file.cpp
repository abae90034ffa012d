#include "models/weights/pt_file.h"

#include <algorithm>
#include <cstring>

#include "core/text.h"
#include "core/zip.h"
#include "models/weights/limits.h"
#include "models/weights/manifest.h"
#include "models/weights/pickle_machine.h"
#include "models/weights/tensor_view.h"

namespace mtyolo::models {
namespace {

template <class... Args>
[[noreturn]] void refuse(const char* code, fmt::format_string<Args...> text, Args&&... args) {
  fail(ExitCode::kModel, code, text, std::forward<Args>(args)...);
}

// The folder of the only data.pkl, with its slash (Z6).
std::string_view find_root(const ZipReader& zip) {
  constexpr std::string_view kPickle = "data.pkl";
  const ZipEntry* found = nullptr;
  for (const ZipEntry& e : zip.entries()) {
    if (e.name != kPickle && !e.name.ends_with("/data.pkl")) continue;
    if (found != nullptr)
      refuse("Z6", "the zip holds two pickles, {} and {}", quoted(found->name), quoted(e.name));
    found = &e;
  }
  if (found == nullptr)
    throw Error({ExitCode::kModel,
                 "Z6",
                 "the zip holds no data.pkl, so it is not a PyTorch checkpoint",
                 {},
                 {},
                 "give the .pt file itself, not an archive around it"});
  return found->name.substr(0, found->name.size() - kPickle.size());
}

void refuse_torch_script(const ZipReader& zip, std::string_view root) {
  const std::string constants = std::string(root) + "constants.pkl", code = std::string(root) + "code/";
  for (const ZipEntry& e : zip.entries())
    if (e.name == constants || e.name.starts_with(code))
      throw Error({ExitCode::kModel,
                   "Z8",
                   "is a TorchScript archive, not a checkpoint",
                   {},
                   {},
                   "give the .pt file from training, before it was traced or scripted"});
}

// Every entry below the root with its bytes, held against manifest.json if the archive has one.
void check_entries(const ZipReader& zip, std::string_view root, const std::vector<ZipContent>& contents) {
  const std::string manifest_name = std::string(root) + kManifestName;
  if (zip.find(manifest_name) == nullptr) return;
  std::string_view manifest;
  std::vector<ManifestPart> parts;
  for (size_t i = 0; i < contents.size(); ++i) {
    const std::string_view name = zip.entries()[i].name;
    const auto bytes = contents[i].bytes;
    if (name == manifest_name) manifest = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    else parts.push_back({std::string(name.starts_with(root) ? name.substr(root.size()) : name), bytes});
  }
  check_manifest(manifest, parts);
}

// Reverses the bytes of every element.
std::shared_ptr<Storage> swapped(std::span<const std::byte> bytes, size_t item) {
  auto copy = Storage::allocate(host_allocator(), bytes.size());
  auto* to = static_cast<std::byte*>(copy->data());
  for (size_t i = 0; i < bytes.size(); ++i) to[i] = bytes[i - i % item + (item - 1 - i % item)];
  return copy;
}

}  // namespace

PtFile PtFile::open_zip(std::span<const std::byte> bytes, const std::shared_ptr<const void>& keeper,
                        Checksums checksums) {
  ZipReader zip(bytes);
  const std::string_view root = find_root(zip);
  refuse_torch_script(zip, root);
  const std::string data_prefix = std::string(root) + "data/", pickle_name = std::string(root) + "data.pkl";
  const ZipEntry& pickle_entry = *zip.find(pickle_name);
  if (pickle_entry.size > kMaxPickleBytes)
    refuse("Z7", "data.pkl has {} bytes, the limit is {}", pickle_entry.size, kMaxPickleBytes);

  PtFile file;
  ZipContent pickle;
  const std::vector<ZipContent> contents = zip.read(checksums);
  for (size_t i = 0; i < contents.size(); ++i) {
    const ZipEntry& e = zip.entries()[i];
    const ZipContent& content = contents[i];
    if (&e == &pickle_entry) pickle = content;
    if (e.name.starts_with(data_prefix))
      file.storages_[std::string(e.name.substr(data_prefix.size()))] = {
          content.bytes, content.owner ? content.owner : keeper};
    if (e.name == std::string(root) + "byteorder") {
      const std::string_view order =
          trim({reinterpret_cast<const char*>(content.bytes.data()), content.bytes.size()});
      if (order != "little" && order != "big")
        refuse("P9", "the byte order is {}, expected 'little' or 'big'", quoted(order));
      file.big_endian_ = order == "big";
    }
  }
  if (checksums == Checksums::kCheck) check_entries(zip, root, contents);
  PickleOptions options;
  options.file_bytes = bytes.size();
  options.allow_storages = true;
  options.storage_bytes = [&](std::string_view key) -> std::optional<uint64_t> {
    const auto it = file.storages_.find(std::string(key));
    return it == file.storages_.end() ? std::nullopt : std::optional<uint64_t>(it->second.bytes.size());
  };
  ByteReader reader(pickle.bytes);
  file.tree_ = parse_pickle(reader, options);
  if (!reader.at_end()) refuse("P6", "{} bytes follow the pickle in data.pkl", reader.remaining());
  file.pickle_owner_ = pickle.owner ? pickle.owner : keeper;
  return file;
}

bool looks_like_legacy(std::span<const std::byte> bytes) {
  constexpr std::string_view kBegin("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e", 15);
  return bytes.size() >= kBegin.size() && std::memcmp(bytes.data(), kBegin.data(), kBegin.size()) == 0;
}

PtFile PtFile::open_legacy(std::span<const std::byte> bytes, const std::shared_ptr<const void>& keeper) {
  ByteReader reader(bytes);
  PickleOptions plain;
  plain.file_bytes = bytes.size();
  parse_pickle(reader, plain);  // the magic number, known from looks_like_legacy
  const PickleTree version = parse_pickle(reader, plain);
  const PickleTree machine = parse_pickle(reader, plain);
  if (version.as_integer(version.root()) != 1001) refuse("legacy", "the protocol version is not 1001");
  const auto little = machine.find(machine.root(), "little_endian");
  if (!little || !machine.is(*little, ValueKind::kBool))
    refuse("legacy", "the header does not state the byte order");

  PtFile file;
  file.big_endian_ = machine.integer(*little) == 0;
  file.pickle_owner_ = keeper;
  PickleOptions full = plain;
  full.allow_storages = full.allow_modules = true;
  file.tree_ = parse_pickle(reader, full);
  const PickleTree keys = parse_pickle(reader, plain);
  file.read_legacy_storages(keys, *reader.take(reader.remaining()), keeper);
  return file;
}

// Per key of the list: int64 element count, then the elements; each as the pickle claims (reliability.md
// section 4).
void PtFile::read_legacy_storages(const PickleTree& keys, std::span<const std::byte> rest,
                                  const std::shared_ptr<const void>& keeper) {
  std::unordered_map<std::string_view, const StorageValue*> claims;
  for (const StorageValue& s : tree_.storages()) {
    const StorageValue* first = claims.emplace(s.key, &s).first->second;
    if (first->dtype != s.dtype || first->total != s.total)
      refuse("P7", "storage {} is claimed with two types or sizes", quoted(s.key));
  }
  if (!keys.is(keys.root(), ValueKind::kList)) refuse("legacy", "the list of storages is not a list");
  ByteReader reader(rest);
  for (const Ref r : keys.items(keys.root())) {
    if (!keys.is(r, ValueKind::kString))
      refuse("legacy", "a storage key is {}, expected a string", name(keys.kind(r)));
    const auto claim = claims.find(keys.text(r));
    if (claim == claims.end()) refuse("legacy", "storage {} is listed but not used", quoted(keys.text(r)));
    const StorageValue& s = *claim->second;
    const auto count = big_endian_ ? reader.big<int64_t>() : reader.little<int64_t>();
    if (!count || *count != s.total)
      refuse("P7", "storage {} has {} elements, the pickle claims {}", quoted(s.key), count.value_or(0),
             s.total);
    const auto bytes = reader.take(uint64_t(s.total) * item_size(s.dtype));
    if (!bytes)
      throw Error({ExitCode::kModel,
                   "legacy",
                   fmt::format("the file ends inside storage {}", quoted(s.key)),
                   {},
                   {},
                   "is it an incomplete download?"});
    if (!storages_.emplace(std::string(s.key), Bytes{*bytes, keeper}).second)
      refuse("legacy", "storage {} is listed twice", quoted(s.key));
  }
  for (const StorageValue& s : tree_.storages())
    if (s.total > 0 && !storages_.contains(std::string(s.key)))
      refuse("P7", "storage {} is not in the file", quoted(s.key));
  if (!reader.at_end()) refuse("legacy", "{} bytes follow the last storage", reader.remaining());
}

std::shared_ptr<Storage> PtFile::storage(const StorageValue& value) {
  auto& view = views_[{value.key, value.dtype, value.offset, value.numel}];
  if (view != nullptr) return view;
  const auto it = storages_.find(std::string(value.key));
  const size_t item = item_size(value.dtype);
  if (it == storages_.end() || value.numel == 0) {
    view = storage_over({}, value.dtype, nullptr);
    return view;
  }
  const auto part = it->second.bytes.subspan(size_t(value.offset) * item, size_t(value.numel) * item);
  view = big_endian_ && item > 1 ? swapped(part, item) : storage_over(part, value.dtype, it->second.keeper);
  return view;
}

Tensor PtFile::tensor(Ref value) {
  const TensorValue& t = tree_.tensor(value);
  const StorageValue& s = tree_.storage(t.storage);
  const Shape shape{std::span<const int64_t>(t.sizes)};
  if (shape.numel() == 0) return Tensor::empty(shape, s.dtype);
  constexpr int64_t kLargestStride = int64_t(1) << 40;
  Strides strides{std::span<const int64_t>(t.strides)};
  for (int i = 0; i < shape.rank();
       ++i)  // the stride of a single element means nothing, but could overflow later
    if (shape[i] == 1 && strides[i] > kLargestStride) strides[i] = 1;
  return Tensor::view(storage(s), t.offset, shape, strides, s.dtype);
}

}  // namespace mtyolo::models
