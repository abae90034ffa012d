#include "models/weights/digest.h"

#include <cmath>

#include "core/file.h"
#include "core/sha256.h"
#include "core/thread_pool.h"

namespace mtyolo::models {
namespace {

// True if an element has all exponent bits set. Works on bits, so that it runs at the speed of memory.
template <class Bits>
bool any_with_exponent(const void* data, int64_t n, Bits exponent) {
  const Bits* bits = static_cast<const Bits*>(data);
  constexpr int64_t kBlock = 4096;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    Bits found = 0;
    for (int64_t i = begin, end = std::min(n, begin + kBlock); i < end; ++i)
      found |= Bits((bits[i] & exponent) == exponent);
    if (found != 0) return true;
  }
  return false;
}

bool has_non_finite(const Tensor& tensor) {
  if (!is_floating(tensor.dtype())) return false;
  const Tensor t = tensor.contiguous();
  switch (t.dtype()) {
    case DType::kF16:
      return any_with_exponent<uint16_t>(t.raw(), t.numel(), 0x7c00);
    case DType::kBF16:
      return any_with_exponent<uint16_t>(t.raw(), t.numel(), 0x7f80);
    case DType::kF32:
      return any_with_exponent<uint32_t>(t.raw(), t.numel(), 0x7f800000);
    default:
      return any_with_exponent<uint64_t>(t.raw(), t.numel(), 0x7ff0000000000000);
  }
}

}  // namespace

TensorDigest digest_of(const std::string& name, const Tensor& tensor) {
  static_assert(std::endian::native == std::endian::little,
                "the hash is defined over little-endian elements");
  TensorDigest d{name, tensor.dtype(), tensor.shape(), 0, 0, {}};
  const Tensor t = tensor.contiguous();
  d.sha256 = sha256_hex({static_cast<const std::byte*>(t.raw()), t.size_bytes()});
  dispatch_dtype(t.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* values = t.data<T>();
    for (int64_t i = 0; i < t.numel(); ++i) {
      const double value = to_double(values[i]);
      d.sum += value;
      d.abs_sum += std::abs(value);
    }
  });
  return d;
}

std::vector<TensorDigest> digests_of(const StateDict& tensors, const std::string& prefix) {
  std::vector<TensorDigest> digests;
  for (const auto& [name, tensor] : tensors.entries()) digests.push_back(digest_of(prefix + name, tensor));
  return digests;
}

std::vector<std::string> non_finite_tensors(const StateDict& tensors) {
  const auto& entries = tensors.entries();
  std::vector<char> found(entries.size());
  size_t bytes = 0;
  for (const auto& [name, tensor] : entries) bytes += tensor.size_bytes();
  ThreadPool(checking_threads(bytes)).parallel_for(int64_t(entries.size()), [&](int64_t i) {
    found[size_t(i)] = has_non_finite(entries[size_t(i)].second);
  });
  std::vector<std::string> names;
  for (size_t i = 0; i < found.size(); ++i)
    if (found[i]) names.push_back(entries[i].first);
  return names;
}

}  // namespace mtyolo::models
