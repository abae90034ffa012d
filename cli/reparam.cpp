// mtyolo reparam: the deploy form of a network as a weight file, with the difference it makes.
#include <filesystem>

#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/write_model.h"
#include "core/log.h"
#include "models/plan/deploy.h"
#include "models/plan/detector.h"
#include "models/plan/eager.h"
#include "models/plan/probe_image.h"

namespace mtyolo::cli {
namespace {

class Reparam : public Verb {
 public:
  void register_options(Options& o) override {
    o.positional({"WEIGHTS", "checkpoint (.pt or .safetensors)", true, {"weights", "model"}}, weights_);
    o.text("out", out_, "file to write, .pt or .safetensors (<stem>_deploy.pt)");
    o.text("cfg", cfg_, "model description, when the weights bring none");
    o.real("tolerance", tolerance_, 0, 1, "largest difference allowed");
    o.image_size("img-size", size_, "side of the random image both forms are run on");
  }

  ExitCode run(const CommonOptions& common) override {
    if (out_.empty()) out_ = std::filesystem::path(weights_).stem().string() + "_deploy.pt";
    check_weights_out(out_, weights_);
    Context ctx = make_context(common);
    models::Model model = models::load_model(weights_, cfg_);
    const models::Model deploy = models::deploy_model(model);
    const int stride = model.graph.max_stride;
    if (size_ % stride != 0) {
      size_ = (size_ + stride - 1) / stride * stride;
      log::warning("--img-size is not a multiple of {}: {} is used", stride, size_);
    }
    const Tensor image =
        models::probe_image(ctx, {1, model.cfg.channels, size_, size_}, uint64_t(common.seed));
    const std::vector<Tensor> unfused = run_unfused(ctx, make_impls(common), model, image);
    write_verified(out_, checkpoint_from_model(deploy), [&](const std::string& path) {
      const models::Model written = models::load_model(path);
      models::Detector detector(ctx, written.graph, written.weights, ops::Impls());
      std::vector<Tensor> fused;
      for (const models::HeadOutput& head : detector.forward(image)) fused.push_back(head.predictions);
      difference_ = models::compare_predictions(unfused, fused);
      check_tolerance();
    });
    report(common, model, deploy);
    return ExitCode::kDone;
  }

 private:
  static std::vector<Tensor> run_unfused(Context& ctx, const ops::Impls& impls, const models::Model& model,
                                         const Tensor& image) {
    std::vector<std::string> names;
    for (const models::Head& head : model.graph.heads) names.push_back(head.name);
    const models::Graph graph = models::prune_heads(model.graph, names);  // without auxiliary outputs
    return models::head_predictions(graph, models::run_eagerly(ctx, impls, graph, model.weights, image));
  }

  void check_tolerance() const {
    if (difference_.worst(size_) <= tolerance_) return;
    throw Error({ExitCode::kVerify,
                 "tolerance",
                 fmt::format("the deploy form differs from the network: {}", difference_text()),
                 weights_,
                 {},
                 "nothing was written"});
  }

  std::string difference_text() const {
    return fmt::format(
        "max abs difference {:.3g} (probabilities {:.3g}; boxes {:.3g} pixels = {:.3g} of the side) on a "
        "random {}x{} "
        "image, tolerance {:g}",
        difference_.worst(size_), difference_.probability, difference_.box, difference_.box / size_, size_,
        size_, tolerance_);
  }

  void report(const CommonOptions& common, const models::Model& model, const models::Model& deploy) const {
    const int64_t before = model.graph.parameter_count(), after = deploy.graph.parameter_count();
    const std::string& type = model.graph.heads[0].type;
    const int from = model.cfg.rows.back().index, to = deploy.cfg.rows.back().index;
    if (common.json) {
      Json d = json_document("reparam");
      d["source"] = weights_;
      d["out"] = out_;
      d["head"] = {{"type", "Detect"}, {"row", to}, {"was", {{"type", type}, {"row", from}}}};
      d["parameters"] = after;
      d["parameters_before"] = before;
      d["difference"] = {{"max_abs", difference_.worst(size_)},
                         {"probability", difference_.probability},
                         {"box_pixels", difference_.box}};
      d["tolerance"] = tolerance_;
      d["img_size"] = size_;
      print_json(d);
      return;
    }
    print(
        fmt::format("{} in row {} -> Detect in row {}; {} -> {} parameters, {} -> {} tensors\n{}\n{} ({})\n",
                    type, from, to, before, after, model.weights.size(), deploy.weights.size(),
                    difference_text(), out_, human_bytes(file_bytes(out_))));
  }

  std::string weights_, cfg_, out_;
  double tolerance_ = 1e-4;
  int size_ = 640;
  models::PredictionDifference difference_;
};

}  // namespace

std::unique_ptr<Verb> make_reparam() { return std::make_unique<Reparam>(); }

}  // namespace mtyolo::cli
