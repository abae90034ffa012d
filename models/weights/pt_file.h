// A `.pt` container opened: the interpreted pickle and the storages its tensors view (checkpoint.md sections
// 2 and 3).
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "core/file.h"
#include "core/tensor.h"
#include "models/weights/pickle_value.h"

namespace mtyolo::models {

class PtFile {
 public:
  // `bytes` stay alive as long as `keeper`, of which tensors keep a copy (null: the caller keeps them). Every
  // check of reliability.md sections 3 and 4 is done here; CRCs and manifest unless their sums are known.
  // Throws Error{kModel} with the rule as code.
  static PtFile open_zip(std::span<const std::byte> bytes, const std::shared_ptr<const void>& keeper,
                         Checksums checksums);
  static PtFile open_legacy(std::span<const std::byte> bytes, const std::shared_ptr<const void>& keeper);

  const PickleTree& tree() const { return tree_; }
  // The tensor of a kTensor value: a view of the file where alignment and byte order allow it.
  Tensor tensor(Ref value);

 private:
  struct Bytes {
    std::span<const std::byte> bytes;
    std::shared_ptr<const void> keeper;
  };
  std::shared_ptr<Storage> storage(const StorageValue& value);
  void read_legacy_storages(const PickleTree& keys, std::span<const std::byte> rest,
                            const std::shared_ptr<const void>& keeper);

  PickleTree tree_;
  std::shared_ptr<const void> pickle_owner_;  // the inflated pickle, if it was compressed
  bool big_endian_ = false;
  std::unordered_map<std::string, Bytes> storages_;
  std::map<std::tuple<std::string_view, DType, int64_t, int64_t>, std::shared_ptr<Storage>> views_;
};

// True if the bytes begin with the magic number of the legacy stream.
bool looks_like_legacy(std::span<const std::byte> bytes);

}  // namespace mtyolo::models
