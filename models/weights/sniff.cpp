#include "models/weights/sniff.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/text.h"
#include "models/weights/pt_file.h"
#include "models/weights/safetensors.h"

namespace mtyolo::models {
namespace {

struct Guess {
  const char* what = nullptr;  // "is ..."
  const char* suggestion = "";
};

bool looks_like_onnx(std::string_view head) {
  // Field 1 (ir_version) as a small number, then a text field or the graph.
  return head.size() > 3 && head[0] == 0x08 && head[1] > 0 && head[1] < 0x20 &&
         (head[2] == 0x12 || head[2] == 0x1a || head[2] == 0x3a || head[2] == 0x42);
}

Guess guess(std::string_view head) {
  const std::string_view text = trim(head);
  const std::string lower = lower_case(text.substr(0, 64));
  const char* again = "download the file itself";
  if (text.starts_with("version https://git-lfs"))
    return {"is a Git LFS pointer, not the weights", "run 'git lfs pull' in the repository it came from"};
  if (lower.starts_with("<!doctype html") || lower.starts_with("<html") || lower.starts_with("<head"))
    return {"is an HTML page, not weights", again};
  if (lower.starts_with("<?xml") || lower.starts_with("<"))
    return {"is an XML or HTML text, not weights", again};
  if (text.starts_with("{") || text.starts_with("[")) return {"is a JSON text, not weights", again};
  if (head.size() > 262 && head.substr(257, 5) == "ustar")
    return {"is a tar archive (PyTorch before 0.4, or a packed folder), which is not read",
            "unpack it, or save the "
            "weights again with a newer PyTorch"};
  if (head.starts_with("GGUF")) return {"is a GGUF file", "give a .pt or .safetensors file"};
  if (head.starts_with("\x89HDF\r\n\x1a\n"))
    return {"is an HDF5 file (Keras?)", "give a .pt or .safetensors file"};
  if (head.starts_with("\x1f\x8b")) return {"is compressed with gzip", "unpack it first"};
  if (head.starts_with("\x80"))
    return {"is a pickle, but not one that PyTorch wrote (wrong magic number)", ""};
  if (looks_like_onnx(head))
    return {"is an ONNX model, not a checkpoint", "give the .pt it was exported from"};
  const bool printable = std::all_of(head.begin(), head.end(), [](char c) {
    return uint8_t(c) >= 0x20 || c == '\n' || c == '\r' || c == '\t';
  });
  if (printable && is_valid_utf8(head))
    return {"is a text file, not weights", "give a .pt or .safetensors file"};
  return {};
}

}  // namespace

Container recognise(std::span<const std::byte> bytes) {
  constexpr size_t kHead = 512;
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kHead));
  if (head.starts_with("PK\x03\x04") || head.starts_with("PK\x05\x06")) return Container::kZip;
  if (looks_like_legacy(bytes)) return Container::kLegacy;
  if (looks_like_safetensors(bytes)) return Container::kSafetensors;
  if (head.empty())
    throw Error({ExitCode::kModel, "P10", "is empty", {}, {}, "was its download or copy interrupted?"});
  Guess found = guess(head);
  if (found.what == nullptr)
    found = {"is neither a PyTorch checkpoint nor a safetensors file", "give a .pt or .safetensors file"};
  throw Error({ExitCode::kModel, "P10", found.what, {}, {}, found.suggestion});
}

}  // namespace mtyolo::models
