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
constexpr uint64_t kMostBytes = uint64_t(2) << 30;  // of all files; the oldest go
constexpr size_t kMostFiles = 64;

std::vector<uint32_t> crcs_of(Context& ctx, const StateDict& tensors) {
  const auto& entries = tensors.entries();
  std::vector<uint32_t> crcs(entries.size());
  ctx.pool().parallel_for(int64_t(entries.size()), [&](int64_t i) {
    const Tensor t = entries[size_t(i)].second.contiguous();
    crcs[size_t(i)] = crc32({static_cast<const std::byte*>(t.raw()), t.size_bytes()});
  });
  return crcs;
}

// Another build of the program may pack otherwise.
std::string this_program() {
  struct stat s {};
  return ::stat("/proc/self/exe", &s) == 0
             ? fmt::format("{} {}.{}", s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec)
             : fmt::format("process {}", ::getpid());  // fits no other start
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

// Mapped pages that are in memory; the others are asked for, so that the next start finds them.
bool in_memory(std::span<const std::byte> bytes) {
  const size_t page = size_t(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages((bytes.size() + page - 1) / page);
  void* begin = const_cast<std::byte*>(bytes.data());
  if (::mincore(begin, bytes.size(), pages.data()) != 0) return false;
  const auto present = std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return p & 1; });
  if (size_t(present) >= pages.size() - pages.size() / 20) return true;
  ::madvise(begin, bytes.size(), MADV_WILLNEED);
  return false;
}

// Removes the files used longest ago until `bytes` more fit.
void make_room(const std::string& folder, uint64_t bytes) {
  std::vector<std::pair<fs::file_time_type, fs::directory_entry>> files;
  for (const fs::directory_entry& file : fs::directory_iterator(folder))
    if (file.path().filename().string().starts_with(kPrefix))
      files.emplace_back(file.last_write_time(), file);
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (size_t i = 0; i < files.size(); ++i) {
    bytes += files[i].second.file_size();
    if (bytes > kMostBytes || i + 1 >= kMostFiles) fs::remove(files[i].second.path());
  }
}

}  // namespace

std::string packed_key(Context& ctx, const FoldedGraph& folded, const StateDict& weights,
                       bool allow_fast_forms, ops::blocked::Element type) {
  std::string text =
      fmt::format("{} {} {} {}\n", this_program(), ops::blocked::kernels().isa, allow_fast_forms, int(type));
  for (const auto& [id, recipe] : folded.recipes)
    text +=
        fmt::format("{} ", id) + text_of(recipe, std::get<ops::Conv2d>(folded.graph.nodes[size_t(id)].attrs));
  const std::vector<uint32_t> crcs = crcs_of(ctx, weights);
  for (size_t i = 0; i < crcs.size(); ++i) {
    const auto& [name, tensor] = weights.entries()[i];
    text += fmt::format("{} {} {} {:08x}\n", name, tensor.dtype(), tensor.shape(), crcs[i]);
  }
  return sha256_hex(std::as_bytes(std::span(text)));
}

StateDict parse_packed(Context& ctx, std::span<const std::byte> bytes,
                       const std::shared_ptr<const void>& keeper) {
  std::map<std::string, std::string> metadata;
  StateDict tensors = parse_safetensors(bytes, keeper, &metadata);
  const std::vector<uint32_t> crcs = crcs_of(ctx, tensors);
  for (size_t i = 0; i < crcs.size(); ++i)
    if (const std::string& name = tensors.entries()[i].first;
        metadata[name] != fmt::format("{:08x}", crcs[i]))
      fail(ExitCode::kModel, "packed_weights", "the checksum of {} is {:08x}: the file is damaged",
           quoted(name), crcs[i]);
  return tensors;
}

PackedWeights::PackedWeights(Context& ctx, const std::string& folder, const std::string& key)
    : folder_(folder), path_(fmt::format("{}/{}{}.safetensors", folder, kPrefix, key)) {
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
  const auto file = MappedFile::open(path_);
  if (!in_memory(file->bytes())) {
    state_ = State::kKept;
    return;
  }
  tensors_ = parse_packed(ctx, file->bytes(), file);
  state_ = State::kKept;
  ::utimensat(AT_FDCWD, path_.c_str(), nullptr, 0);  // used now (make_room)
}

void PackedWeights::keep(Context& ctx, const StateDict& packed) const {
  if (state_ == State::kKept) return;
  try {
    make_folders(folder_);
    if (state_ == State::kUnknown) return write_file_atomically(path_, "");
    std::map<std::string, std::string> metadata;
    const std::vector<uint32_t> crcs = crcs_of(ctx, packed);
    uint64_t bytes = 0;
    for (size_t i = 0; i < crcs.size(); ++i) {
      const auto& [name, tensor] = packed.entries()[i];
      metadata[name] = fmt::format("{:08x}", crcs[i]);
      bytes += tensor.size_bytes();
    }
    remove_stale_temporaries(folder_);
    make_room(folder_, bytes);
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
