// mtyolo info: a weight file, a cfg or a run; without one, what this machine and this build are.
#include "cli/backend.h"
#include "cli/build_info.h"
#include "cli/machine.h"
#include "cli/model_facts.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "core/fault.h"
#include "core/yaml.h"
#include "core/zip.h"
#include "cuda/cuda_device.h"
#include "data/image.h"
#include "models/cfg.h"
#include "models/weights/limits.h"

namespace mtyolo::cli {
namespace {

// Limits of the readers, shown by --verbose.
const std::vector<std::pair<std::string, uint64_t>>& reader_limits() {
  static const std::vector<std::pair<std::string, uint64_t>> limits{
      {"yaml_bytes", kMaxYamlBytes},
      {"yaml_depth", kMaxYamlDepth},
      {"yaml_aliases", kMaxYamlAliases},
      {"yaml_nodes", kMaxYamlNodes},
      {"zip_entries", kZipMaxEntries},
      {"zip_name_bytes", kZipMaxName},
      {"zip_inflate_base_bytes", kZipInflateBase},
      {"zip_inflate_factor", kZipInflateFactor},
      {"pickle_bytes", models::kMaxPickleBytes},
      {"pickle_ops", models::kMaxPickleOps},
      {"pickle_stack", models::kMaxPickleStack},
      {"pickle_marks", models::kMaxPickleMarks},
      {"pickle_depth", models::kMaxPickleDepth},
      {"pickle_memo", models::kMaxPickleMemo},
      {"pickle_nodes", models::kMaxPickleNodes},
      {"pickle_symbol_bytes", models::kMaxSymbolBytes},
      {"pickle_memory_base_bytes", models::kPickleMemoryBase},
      {"pickle_memory_factor", models::kPickleMemoryFactor},
      {"tensor_bytes_base", models::kTensorBytesBase},
      {"tensor_bytes_factor", models::kTensorBytesFactor},
      {"cfg_rows", models::kMaxCfgRows},
      {"cfg_classes", models::kMaxClasses},
      {"image_side", uint64_t(data::kMaxImageSide)},
      {"image_pixels", uint64_t(data::kMaxImagePixels)},
      {"image_file_bytes", data::kMaxImageFileBytes},
      {"jpeg_scans", uint64_t(data::kMaxJpegScans)},
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
                {"architectures", Json::array()}, {"jpeg", kJpegReader}, {"png", kPngReader},
                {"faults", fault::compiled()}};
  Json caches = Json::array();
  for (const CpuCache& c : m.caches)
    caches.push_back({{"level", c.level}, {"type", c.type}, {"size_bytes", c.bytes}});
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
  if (fault::compiled()) row("faults", "compiled in (MTYOLO_FAULT): for tests only");
  row("cpu", m.cpu_model);
  row("features", or_none(fmt::format("{}", fmt::join(m.cpu_features, " "))));
  row("cores", fmt::format("{} usable of {} online", m.cores_usable, m.cores_online));
  for (const CpuCache& c : m.caches)
    row(fmt::format("cache L{}", c.level), fmt::format("{} {}", human_bytes(uint64_t(c.bytes)), c.type));
  row("ram", fmt::format("{}, {} available", human_bytes(m.ram_bytes), human_bytes(m.ram_available_bytes)));
  row("gpu", or_none(fmt::format("{}", fmt::join(m.gpus, ", "))));
  row("gpu driver", or_none(m.gpu_driver));
  row("cuda toolkit", toolkit_text(m));
  row("cuda in build", cuda_archs().empty() ? "none" : "kernels for " + cuda_archs());
  return text;
}

class Info : public Verb {
 public:
  void register_options(Options& o) override {
    o.positional({"SUBJECT",
                  "weight file, cfg (name or file) or run folder; none: this machine",
                  false,
                  {"weights", "model"}},
                 request_.subject);
    o.text("cfg", request_.cfg, "model description, when the weights bring none");
    o.toggle("layers", request_.layers, "every row with its parameters and output");
    o.toggle("tensors", request_.tensors, "every tensor: name dtype shape sum abs_sum sha256");
    o.toggle("memory", request_.memory, "what inference on one image takes");
    o.toggle("flops", request_.flops, "work of one image");
    o.toggle("impls", request_.impls, "what runs each convolution (on --device), and why others do not");
    add_dtype(o, request_.dtype);
    o.image_size("img-size", request_.img_size, "side of the input that shapes and work are for");
  }

  bool takes_device() const override { return true; }
  ExitCode run(const CommonOptions& common) override {
    if (!request_.impls) refuse_device(common.device, "info without --impls");
    if (request_.subject.empty()) return show_machine(common);
    const InfoSubject subject = read_subject(request_, common);
    if (common.json) print_json(info_document(subject, request_, common));
    else print(info_text(subject, request_, common));
    return ExitCode::kDone;
  }

 private:
  ExitCode show_machine(const CommonOptions& common) const {
    if (request_.layers || request_.tensors || request_.memory || request_.flops || request_.impls)
      fail(ExitCode::kUsage, "usage",
           "info: --layers, --tensors, --memory, --flops and --impls need a file or a cfg");
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

  InfoRequest request_;
};

}  // namespace

std::unique_ptr<Verb> make_info() { return std::make_unique<Info>(); }

}  // namespace mtyolo::cli
