// mtyolo info: what this machine and this build are.
#include "cli/build_info.h"
#include "cli/machine.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "core/yaml.h"

namespace mtyolo::cli {
namespace {

// Limits of the readers, shown by --verbose.
const std::vector<std::pair<std::string, uint64_t>>& reader_limits() {
  static const std::vector<std::pair<std::string, uint64_t>> limits{
      {"yaml_bytes", kMaxYamlBytes},
      {"yaml_depth", kMaxYamlDepth},
      {"yaml_aliases", kMaxYamlAliases},
      {"yaml_nodes", kMaxYamlNodes},
  };
  return limits;
}

std::string or_none(const std::string& text) { return text.empty() ? "none found" : text; }

std::string toolkit_text(const MachineInfo& m) {
  if (m.cuda_toolkit.empty()) return "none found";
  return m.cuda_version.empty() ? m.cuda_toolkit : fmt::format("{} ({})", m.cuda_version, m.cuda_toolkit);
}

Json machine_document(const MachineInfo& m) {
  Json d = json_document("info");
  d["version"] = kVersion;
  d["build"] = {{"compiler", kCompiler},          {"type", kBuildType},  {"cuda", nullptr},
                {"architectures", Json::array()}, {"jpeg", kJpegReader}, {"png", kPngReader}};
  Json caches = Json::array();
  for (const CacheInfo& c : m.caches)
    caches.push_back({{"level", c.level}, {"type", c.type}, {"size_bytes", c.size_bytes}});
  d["cpu"] = {{"model", m.cpu_model},
              {"features", m.cpu_features},
              {"cores_usable", m.cores_usable},
              {"cores_online", m.cores_online},
              {"caches", caches}};
  d["ram"] = {{"total_bytes", m.ram_bytes}, {"available_bytes", m.ram_available_bytes}};
  d["gpu"] = {{"devices", m.gpus}, {"driver", m.gpu_driver.empty() ? Json() : Json(m.gpu_driver)}};
  d["cuda_toolkit"] =
      m.cuda_toolkit.empty() ? Json() : Json{{"nvcc", m.cuda_toolkit}, {"version", m.cuda_version}};
  return d;
}

std::string machine_text(const MachineInfo& m) {
  std::string text;
  const auto row = [&](const std::string& name, const std::string& value) {
    text += fmt::format("{:14} {}\n", name, value);
  };
  row("version", kVersion);
  row("build", fmt::format("{}, {}", kCompiler, kBuildType));
  row("images", fmt::format("JPEG by {}, PNG by {}", kJpegReader, kPngReader));
  row("cpu", m.cpu_model);
  row("features", or_none(fmt::format("{}", fmt::join(m.cpu_features, " "))));
  row("cores", fmt::format("{} usable of {} online", m.cores_usable, m.cores_online));
  for (const CacheInfo& c : m.caches)
    row(fmt::format("cache L{}", c.level), fmt::format("{} {}", human_bytes(c.size_bytes), c.type));
  row("ram", fmt::format("{}, {} available", human_bytes(m.ram_bytes), human_bytes(m.ram_available_bytes)));
  row("gpu", or_none(fmt::format("{}", fmt::join(m.gpus, ", "))));
  row("gpu driver", or_none(m.gpu_driver));
  row("cuda toolkit", toolkit_text(m));
  row("cuda in build", "none (compiled architectures: none)");
  return text;
}

class Info : public Verb {
 public:
  void register_options(Options&) override {}

  ExitCode run(const CommonOptions& common) override {
    const MachineInfo m = inspect_machine();
    if (common.json) {
      Json d = machine_document(m);
      if (common.verbose)
        for (const auto& [name, value] : reader_limits()) d["limits"][name] = value;
      print_json(d);
      return ExitCode::kDone;
    }
    std::string text = machine_text(m);
    if (common.verbose)
      for (const auto& [name, value] : reader_limits())
        text += fmt::format("{:14} {} = {}\n", "limit", name, value);
    print(text);
    return ExitCode::kDone;
  }
};

}  // namespace

std::unique_ptr<Verb> make_info() { return std::make_unique<Info>(); }

}  // namespace mtyolo::cli
