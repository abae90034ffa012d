#include "cli/machine.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "core/text.h"
#include "core/thread_pool.h"

namespace mtyolo::cli {
namespace {

namespace fs = std::filesystem;

// Files of /proc and /sys have no size, so core/file.h cannot read them.
std::string read_system_file(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  return text.str();
}

std::string first_line(const fs::path& path) {
  const std::string text = read_system_file(path);
  return std::string(trim(std::string_view(text).substr(0, text.find('\n'))));
}

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (const auto& e : fs::directory_iterator(folder, error)) entries.push_back(e.path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

// "key : value" lines up to the first empty one.
std::map<std::string, std::string> read_fields(const fs::path& path) {
  std::map<std::string, std::string> fields;
  const std::string text = read_system_file(path);
  for (const std::string_view line : split(text, '\n')) {
    if (trim(line).empty()) break;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    fields.emplace(std::string(trim(line.substr(0, colon))), std::string(trim(line.substr(colon + 1))));
  }
  return fields;
}

void read_cpu(MachineInfo& m) {
  const std::set<std::string> wanted{"sse4_2",   "avx",         "avx2",        "fma",      "f16c",
                                     "avx512f",  "avx512bw",    "avx512dq",    "avx512vl", "avx512_vnni",
                                     "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8",
                                     "amx_tile", "asimd",       "sve"};
  const auto fields = read_fields("/proc/cpuinfo");
  const auto model = fields.find("model name");
  m.cpu_model = model == fields.end() ? "unknown" : model->second;
  const auto flags = fields.contains("flags") ? fields.find("flags") : fields.find("Features");
  if (flags != fields.end())
    for (const std::string_view f : split(flags->second, ' '))
      if (wanted.contains(std::string(f))) m.cpu_features.emplace_back(f);
  m.cores_usable = available_cores();
  m.cores_online = int(::sysconf(_SC_NPROCESSORS_ONLN));
  m.caches = read_caches();
}

uint64_t memory_field(const std::map<std::string, std::string>& fields, const std::string& name) {
  const auto it = fields.find(name);  // "16315260 kB"
  if (it == fields.end()) return 0;
  return uint64_t(parse_int(split(it->second, ' ')[0]).value_or(0)) * 1024;
}

void read_gpu(MachineInfo& m) {
  m.gpus = installed_gpus();
  const std::string version =
      first_line("/proc/driver/nvidia/version");  // "NVRM version: ...  Module  535.1  ..."
  const auto words = split(version, ' ');
  const auto number = std::find_if(words.begin(), words.end(), [](std::string_view w) {
    return !w.empty() && w.find('.') != std::string_view::npos &&
           w.find_first_not_of("0123456789.") == w.npos;
  });
  if (number != words.end()) m.gpu_driver = *number;
}

// The toolkit lies in a folder cuda-13.0; /usr/local/cuda is a link to it.
std::string toolkit_version(const fs::path& nvcc) {
  std::error_code error;
  const std::string folder = fs::canonical(nvcc, error).parent_path().parent_path().filename().string();
  return folder.starts_with("cuda-") ? folder.substr(5) : "";
}

void read_toolkit(MachineInfo& m) {
  const char* path = std::getenv("PATH");
  std::vector<fs::path> folders;
  for (const std::string_view folder : split(path == nullptr ? "" : path, ':')) folders.emplace_back(folder);
  folders.emplace_back("/usr/local/cuda/bin");
  for (const fs::path& folder : folders) {
    const fs::path nvcc = folder / "nvcc";
    if (folder.empty() || ::access(nvcc.c_str(), X_OK) != 0) continue;
    m.cuda_toolkit = nvcc.string();
    m.cuda_version = toolkit_version(nvcc);
    return;
  }
}

}  // namespace

std::vector<std::string> installed_gpus() {
  std::vector<std::string> gpus;
  for (const fs::path& gpu : sorted_entries("/proc/driver/nvidia/gpus")) {
    const auto fields = read_fields(gpu / "information");
    const auto model = fields.find("Model");
    gpus.push_back(model == fields.end() ? "NVIDIA GPU" : model->second);
  }
  if (gpus.empty()) {
    for (const fs::path& device : sorted_entries("/sys/bus/pci/devices")) {
      const bool nvidia = first_line(device / "vendor") == "0x10de";
      if (nvidia && first_line(device / "class").starts_with("0x03"))
        gpus.push_back("NVIDIA " + first_line(device / "device") + " at " + device.filename().string());
    }
  }
  return gpus;
}

MachineInfo inspect_machine() {
  MachineInfo m;
  read_cpu(m);
  const auto memory = read_fields("/proc/meminfo");
  m.ram_bytes = memory_field(memory, "MemTotal");
  m.ram_available_bytes = memory_field(memory, "MemAvailable");
  read_gpu(m);
  read_toolkit(m);
  return m;
}

}  // namespace mtyolo::cli
