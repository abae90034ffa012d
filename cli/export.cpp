// mtyolo export: a network as a file for other engines, checked against the native forward pass, or its
// tensors for PyTorch, read back bit for bit.
#include <algorithm>
#include <filesystem>

#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/write_model.h"
#include "core/log.h"
#include "core/text.h"
#include "models/export/onnx_run.h"
#include "models/model.h"

namespace mtyolo::cli {
namespace {

using models::OnnxOptions;

const std::vector<std::string> kFormats{"onnx", "pt"};
// Formats of the finished command (conventions.md section 2) that this version does not write.
const std::vector<std::string> kPlannedFormats{"deepstream", "triton", "ncnn",
                                               "darknet",    "wts",    "safetensors"};
constexpr const char* kOnnxFlags[] = {"decode", "head-layout", "img-size", "batch-size",
                                      "opset",  "tolerance",   "verify"};

[[noreturn]] void fail_format(const std::string& message, const std::string& suggestion) {
  throw Error({ExitCode::kUsage, "usage", message, {}, {}, suggestion});
}

bool is_one_of(const std::string& word, const std::vector<std::string>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

void check_format(const std::string& format) {
  if (is_one_of(format, kFormats)) return;
  const std::string ours = "this version writes onnx and pt";
  if (is_one_of(format, kPlannedFormats))
    fail_format(fmt::format("the format {} is not part of this version", mtyolo::quoted(format)), ours);
  const std::string near = nearest_name(format, kFormats);
  fail_format(fmt::format("unknown format {}", mtyolo::quoted(format)),
              near.empty() ? ours : fmt::format("did you mean '{}'?", near));
}

// A copy in f32 of what is floating; batch counters stay integers.
models::StateDict in_f32(const models::StateDict& tensors) {
  models::StateDict out;
  for (const auto& [name, tensor] : tensors.entries())
    out.add(name, (is_floating(tensor.dtype()) ? tensor.to(DType::kF32) : tensor).contiguous());
  return out;
}

std::string shape_list(const std::vector<models::OnnxOutput>& outputs) {
  std::string text;
  for (const models::OnnxOutput& o : outputs) text += fmt::format(" {}{}", o.name, o.shape);
  return text;
}

class Export : public Verb {
 public:
  void register_options(Options& options) override {
    options_ = &options;
    options.positional({"WEIGHTS", "the checkpoint to export", true, {"weights"}}, weights_);
    options.list("format", formats_,
                 "onnx, or pt: the plain dict {yolov7's parameter name: f32 tensor} for PyTorch's "
                 "load_state_dict(torch.load(FILE)); of a model with several heads, what belongs to one head "
                 "is named heads.NAME.model.N...");
    options.choice("decode", decode_, {"grid", "raw"}, "boxes and scores, or the logits of every level");
    options.choice("head-layout", head_layout_, {"merged", "split"},
                   "one output for all heads, or one per head");
    options.image_size("img-size", img_size_, "sides of the input");
    options.integer("batch-size", batch_size_, 1, 4096, "images per run");
    options.integer("opset", opset_, models::kMinOnnxOpset, models::kMaxOnnxOpset, "ONNX operator set");
    options.toggle("verify", verify_, "run the file and compare it with the native forward pass");
    options.real("tolerance", tolerance_, 0, 1,
                 "largest difference that passes: scores, and boxes as fractions of the side");
    options.text("out", out_, "file to write; default: WEIGHTS with the ending .onnx or _state_dict.pt");
  }

  ExitCode run(const CommonOptions& common) override {
    for (const std::string& format : formats_) check_format(format);
    if (formats_.size() != 1)
      fail_format(fmt::format("{} formats are given", formats_.size()), "this version writes one per run");
    return formats_[0] == "pt" ? export_pt(common) : export_onnx_file(common);
  }

 private:
  ExitCode export_pt(const CommonOptions& common) {
    for (const char* flag : kOnnxFlags)
      if (options_->given(flag))
        fail_format(fmt::format("--{} says how an ONNX file is made", flag), "leave it out with --format pt");
    const std::filesystem::path source = weights_;
    const std::string path =
        out_.empty() ? (source.parent_path() / (source.stem().string() + "_state_dict.pt")).string() : out_;
    if (!path.ends_with(".pt"))
      fail_format(fmt::format("--out is {}, expected a name that ends in .pt", mtyolo::quoted(path)), {});
    check_weights_out(path, weights_);
    const models::StateDict tensors = in_f32(models::load_model(weights_).weights);
    write_verified_state_dict(path, tensors);
    if (common.json) {
      Json document = json_document("export");
      document["format"] = "pt";
      document["path"] = path;
      document["size_bytes"] = file_bytes(path);
      document["tensors"] = tensors.size();
      print_json(document);
    } else {
      print(fmt::format("{}: {}, {} tensors, read back bit for bit\n", path, human_bytes(file_bytes(path)),
                        tensors.size()));
    }
    return ExitCode::kDone;
  }

  ExitCode export_onnx_file(const CommonOptions& common) {
    const models::Model model = models::load_model(weights_);
    const OnnxOptions options = onnx_options();
    const std::string path =
        out_.empty() ? std::filesystem::path(weights_).replace_extension(".onnx").string() : out_;
    log::info("exporting {}", weights_);
    export_onnx(model.graph, model.weights, {}, options, path);

    const auto outputs = onnx_outputs(model.graph, options);
    Json document = json_document("export");
    document["format"] = "onnx";
    document["path"] = path;
    document["size_bytes"] = std::filesystem::file_size(path);
    for (const auto& o : outputs)
      document["outputs"].push_back(
          {{"name", o.name}, {"shape", std::vector<int64_t>(o.shape.begin(), o.shape.end())}});
    document["verify"] = nullptr;
    std::string text =
        fmt::format("{}: {}, images[{},3,{},{}] ->{}\n", path, human_bytes(std::filesystem::file_size(path)),
                    options.batch, options.height, options.width, shape_list(outputs));
    if (verify_) text += verify(common, model, options, path, document["verify"]);
    if (common.json) print_json(document);
    else print(text);
    return ExitCode::kDone;
  }

  OnnxOptions onnx_options() const {
    OnnxOptions options;
    if (decode_ == "raw") options.decode = OnnxOptions::Decode::kRaw;
    if (head_layout_ == "split") options.head_layout = OnnxOptions::HeadLayout::kSplit;
    options.batch = batch_size_;
    options.height = options.width = img_size_;
    options.opset = opset_;
    return options;
  }

  // The verify line; throws Error{kVerify} when the difference is too large. The file stays for inspection.
  std::string verify(const CommonOptions& common, const models::Model& model, const OnnxOptions& options,
                     const std::string& path, Json& document) const {
    Context ctx = make_context(common);
    const auto v = verify_onnx(ctx, path, model.graph, model.weights, options, uint64_t(common.seed));
    const std::string line = fmt::format(
        "verify {}: max abs difference {:.2e} to the native forward pass (tolerance {:.0e}, output {})", path,
        v.max_difference, tolerance_, v.output);
    if (!(v.max_difference <= tolerance_))
      throw Error(
          {ExitCode::kVerify, "verify", line, {}, {}, "do not use the file; it stays for inspection"});
    document = {{"max_difference", v.max_difference}, {"output", v.output}, {"tolerance", tolerance_}};
    return line + "\n";
  }

  const Options* options_ = nullptr;
  std::string weights_, decode_ = "grid", head_layout_ = "merged", out_;
  std::vector<std::string> formats_{"onnx"};
  int img_size_ = 640, batch_size_ = 1, opset_ = 12;
  double tolerance_ = 1e-4;
  bool verify_ = true;
};

}  // namespace

std::unique_ptr<Verb> make_export() { return std::make_unique<Export>(); }

}  // namespace mtyolo::cli
