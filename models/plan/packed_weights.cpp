#include "models/plan/packed_weights.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/crc32.h"
#include "core/file.h"
#include "core/log.h"
#include "core/sha256.h"
#include "models/weights/safetensors.h"

namespace mtyolo::models {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrefix = "packed-";

bool views(const Tensor& tensor, const FileInState& mapped) {
  if (mapped.state.empty()) return false;
  const auto bytes = mapped.file->bytes();
  const auto* at = static_cast<const std::byte*>(tensor.raw());
  return at >= bytes.data() && at < bytes.data() + bytes.size();
}

// 0 for those told by their place in a file.
std::vector<uint32_t> crcs_of(Context& ctx, const StateDict& tensors, const FileInState& mapped = {}) {
  const auto& entries = tensors.entries();
  std::vector<uint32_t> crcs(entries.size());
  ctx.pool().parallel_for(int64_t(entries.size()), [&](int64_t i) {
    if (views(entries[size_t(i)].second, mapped)) return;
    const Tensor t = entries[size_t(i)].second.contiguous();
    crcs[size_t(i)] = crc32({static_cast<const std::byte*>(t.raw()), t.size_bytes()});
  });
  return crcs;
}

std::string text_of(const FoldRecipe& recipe, const ops::Conv2d& p) {
  std::string text =
      fmt::format("conv {} {} {} {} {} {} {} {} {} eps {} implicit {} {}\n", p.kernel_h, p.kernel_w,
                  p.stride_h, p.stride_w, p.pad_h, p.pad_w, p.dilation_h, p.dilation_w, p.groups,
                  recipe.bn_eps, recipe.implicit_add, recipe.implicit_mul);
  for (const FoldRecipe::Branch& b : recipe.branches)
    text += fmt::format("branch {} {} {} {}\n", b.kernel, b.weight, b.bias, fmt::join(b.bn, " "));
  return text;
}

// Whether most mapped pages are in memory. The others are asked for: reading a quarter of them takes no
// longer than packing, and the next start finds them.
bool in_memory(std::span<const std::byte> bytes) {
  const size_t page = size_t(::sysconf(_SC_PAGESIZE));
  const size_t piece = (size_t(128) << 10) / page;  // pages; Linux reads no more at one request
  std::vector<unsigned char> pages((bytes.size() + page - 1) / page);
  auto* begin = const_cast<std::byte*>(bytes.data());
  if (::mincore(begin, bytes.size(), pages.data()) != 0) return false;
  size_t missing = 0;
  for (size_t i = 0; i < pages.size(); i += piece) {
    const size_t count = std::min(piece, pages.size() - i);
    const auto absent = std::count_if(&pages[i], &pages[i] + count, [](unsigned char p) { return !(p & 1); });
    if (absent > 0) ::madvise(begin + i * page, count * page, MADV_WILLNEED);
    missing += size_t(absent);
  }
  return missing <= pages.size() / 4;
}

// Used today, for make_room. Not at every start: that makes a new state, whose sums are checked again.
void mark_used(const std::string& path) {
  std::error_code error;
  const auto age = fs::file_time_type::clock::now() - fs::last_write_time(path, error);
  if (!error && age > std::chrono::hours(24)) ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
}

}  // namespace

std::string packed_key(Context& ctx, const FoldedGraph& folded, const StateDict& weights,
                       bool allow_fast_forms, ops::blocked::Element type, const FileInState& mapped) {
  std::string text = fmt::format("{} {} {} {} {}\n", this_program(), ops::blocked::kernels().isa,
                                 allow_fast_forms, int(type), mapped.state);
  for (const auto& [id, recipe] : folded.recipes)
    text +=
        fmt::format("{} ", id) + text_of(recipe, std::get<ops::Conv2d>(folded.graph.nodes[size_t(id)].attrs));
  const std::vector<uint32_t> crcs = crcs_of(ctx, weights, mapped);
  for (size_t i = 0; i < crcs.size(); ++i) {
    const auto& [name, tensor] = weights.entries()[i];
    text += fmt::format("{} {} {} {:08x}", name, tensor.dtype(), tensor.shape(), crcs[i]);
    if (views(tensor, mapped))
      text +=
          fmt::format(" at {} {}", static_cast<const std::byte*>(tensor.raw()) - mapped.file->bytes().data(),
                      fmt::join(tensor.strides(), " "));
    text += '\n';
  }
  return sha256_hex(std::as_bytes(std::span(text)));
}

StateDict parse_packed(Context& ctx, std::span<const std::byte> bytes,
                       const std::shared_ptr<const void>& keeper, Checksums checksums) {
  std::map<std::string, std::string> metadata;
  StateDict tensors = parse_safetensors(bytes, keeper, &metadata);
  if (checksums == Checksums::kKnown) return tensors;
  const std::vector<uint32_t> crcs = crcs_of(ctx, tensors);
  for (size_t i = 0; i < crcs.size(); ++i)
    if (const std::string& name = tensors.entries()[i].first;
        metadata[name] != fmt::format("{:08x}", crcs[i]))
      fail(ExitCode::kModel, "packed_weights", "the checksum of {} is {:08x}: the file is damaged",
           quoted(name), crcs[i]);
  return tensors;
}

PackedWeights::PackedWeights(Context& ctx, const CacheFolder& folder, const std::string& key)
    : folder_(folder), path_(folder.file(kPrefix + key + ".safetensors")) {
  std::error_code error;
  const uintmax_t bytes = fs::file_size(path_, error);
  if (error) return;
  state_ = State::kWanted;
  if (bytes == 0) return;
  try {
    look(ctx);
  } catch (const Error& e) {
    log::info("packed weights are made anew: {}", e.in_file(path_).what());
  }
}

void PackedWeights::look(Context& ctx) {
  mark_used(path_);
  const std::string state = folder_.state_of(path_);
  const auto file = MappedFile::open(path_);
  if (in_memory(file->bytes())) {
    const bool known = folder_.was_checked(state);
    tensors_ = parse_packed(ctx, file->bytes(), file, known ? Checksums::kKnown : Checksums::kCheck);
    if (!known) folder_.mark_checked(state);
  }
  state_ = State::kKept;
}

void PackedWeights::keep(Context& ctx, const StateDict& packed) const {
  if (state_ == State::kKept) return;
  try {
    make_folders(folder_.path());
    if (state_ == State::kUnknown) return write_file_atomically(path_, "");
    std::map<std::string, std::string> metadata;
    const std::vector<uint32_t> crcs = crcs_of(ctx, packed);
    uint64_t bytes = 0;
    for (size_t i = 0; i < crcs.size(); ++i) {
      const auto& [name, tensor] = packed.entries()[i];
      metadata[name] = fmt::format("{:08x}", crcs[i]);
      bytes += tensor.size_bytes();
    }
    remove_stale_temporaries(folder_.path());
    folder_.make_room(kPrefix, bytes);
    check_free_space(path_, bytes);
    write_safetensors(path_, packed, metadata);
    log::info("packed weights are kept in {} ({} MiB)", path_, bytes >> 20);
  } catch (const Error& e) {
    log::debug("packed weights are not kept: {}", e.what());
  } catch (const fs::filesystem_error& e) {
    log::debug("packed weights are not kept: {}", e.what());
  }
}

}  // namespace mtyolo::models
