#include "cli/write_model.h"

#include <unistd.h>

#include <filesystem>

#include "models/heads.h"

namespace mtyolo::cli {
namespace {

namespace fs = std::filesystem;

bool is_safetensors(const std::string& path) { return path.ends_with(".safetensors"); }

// Removes the file at the end of the scope unless it was renamed away.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& out)
      : path_(fmt::format("{}.{}.unverified{}", out, ::getpid(),
                          is_safetensors(out) ? ".safetensors" : ".pt")) {}
  ~TemporaryFile() {
    std::error_code ignored;  // it is gone already where all went well
    fs::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }
  void become(const std::string& out) const {
    std::error_code error;
    fs::rename(path_, out, error);
    if (error)
      fail(ExitCode::kRuntime, "file_write", "cannot rename {} to {}: {}", mtyolo::quoted(path_),
           mtyolo::quoted(out), error.message());
  }

 private:
  std::string path_;
};

[[noreturn]] void fail_read_back(const std::string& out, const std::string& what) {
  throw Error(
      {ExitCode::kVerify, "read_back", what + " differs from what was written", out, {}, "check the disk"});
}

void check_tensors(const std::string& out, const models::StateDict& wrote, const models::StateDict& read) {
  if (wrote.size() != read.size())
    fail_read_back(out, fmt::format("the number of tensors, {}, ", read.size()));
  for (const auto& [name, tensor] : wrote.entries()) {
    const Tensor* found = read.find(name);
    if (found == nullptr || !bit_equal(tensor, *found))
      fail_read_back(out, "the tensor " + mtyolo::quoted(name));
  }
}

void check_read_back(const std::string& out, const models::Checkpoint& wrote,
                     const models::Checkpoint& read) {
  check_tensors(out, wrote.inference_weights(), read.inference_weights());
  if (wrote.names != read.names) fail_read_back(out, "the list of class names");
  const int nc = int(wrote.names.size());
  if (models::heads_from_document(wrote.heads, nc) != models::heads_from_document(read.heads, nc))
    fail_read_back(out, "the list of heads");
}

}  // namespace

void check_weights_out(const std::string& out, const std::string& input) {
  const auto refuse = [&](const std::string& message, const std::string& suggestion) {
    throw Error({ExitCode::kUsage, "usage", message, {}, {}, suggestion});
  };
  if (!out.ends_with(".pt") && !is_safetensors(out))
    refuse(fmt::format("--out is {}, expected a name that ends in .pt or .safetensors", mtyolo::quoted(out)),
           {});
  const fs::path folder = fs::path(out).parent_path();
  std::error_code error;
  if (!folder.empty() && !fs::is_directory(folder, error))
    refuse(fmt::format("--out is {}, whose folder does not exist", mtyolo::quoted(out)),
           "make the folder first");
  if (fs::is_directory(out, error))
    refuse(fmt::format("--out is {}, which is a folder", mtyolo::quoted(out)), {});
  if (fs::equivalent(out, input, error) && !error)
    refuse(fmt::format("--out is {}, the file that is read", mtyolo::quoted(out)), "give another name");
}

void write_verified(const std::string& out, const models::Checkpoint& checkpoint,
                    const std::function<void(const std::string& path)>& verify) {
  const models::Checkpoint usual;
  if (is_safetensors(out) && checkpoint.bn_eps != usual.bn_eps && !checkpoint.fused)
    throw Error(
        {ExitCode::kUsage,
         "usage",
         fmt::format("a .safetensors file cannot hold this model's batch norm eps {}", checkpoint.bn_eps),
         {},
         {},
         "write a .pt"});
  const TemporaryFile file(out);
  if (is_safetensors(out)) models::write_safetensors(file.path(), checkpoint);
  else models::write_pt(file.path(), checkpoint);
  check_read_back(out, checkpoint, models::read_checkpoint(file.path()));
  verify(file.path());
  file.become(out);
}

void write_verified_state_dict(const std::string& out, const models::StateDict& tensors) {
  const TemporaryFile file(out);
  models::write_state_dict(file.path(), tensors);
  check_tensors(out, tensors, models::read_checkpoint(file.path()).model);
  file.become(out);
}

uint64_t file_bytes(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : uint64_t(size);
}

}  // namespace mtyolo::cli
