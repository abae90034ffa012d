// bench train: one optimizer step on a ready batch: forward, matching and loss, backward, SGD, averaging.
// Also what bench/peers/train.py times beside PyTorch.
#include "autograd/parameter.h"
#include "cli/bench_subject.h"
#include "core/random.h"
#include "models/model.h"
#include "models/train_graph.h"
#include "train/ema.h"
#include "train/hyp.h"
#include "train/losses/loss.h"
#include "train/optimizer.h"
#include "train/settings.h"

namespace mtyolo::cli {
namespace {

constexpr int kObjectsPerImage = 8;  // COCO has 7.3

class BenchTrain : public BenchSubject {
 public:
  BenchTrain(Context& ctx, const CommonOptions& common, BenchParams& params)
      : ctx_(ctx), impls_(make_impls(common)), size_(params.size), batch_(params.batch) {
    models::Model model = load_bench_model(params, common);
    size_ = params.size;
    graph_ = std::move(model.graph);
    store_ = models::make_param_store(ctx, graph_, model.weights);
    train_graph_ = std::make_unique<models::TrainGraph>(
        ctx, impls_, graph_, *store_, models::TrainGraphOptions{.dtype = train::compute_type(params.dtype)});
    optimizer_ = std::make_unique<train::Optimizer>(ctx, *store_, train::OptimizerParams{});
    ema_ = std::make_unique<train::Ema>(ctx, *store_);
    draw_batch(uint64_t(common.seed));
  }

  void once() override {
    std::vector<models::HeadMaps> maps = train_graph_->forward(images_), gradients(maps.size());
    for (size_t h = 0; h < maps.size(); ++h) score(graph_.heads[h], maps[h], gradients[h]);
    maps.clear();
    train_graph_->backward(gradients);
    optimizer_->step(ctx_, {{1e-5, 1e-5, 1e-5}, 0.937, 1});
    store_->zero_grad();
    ema_->update(ctx_, *store_);
  }

  // Forward, and twice as much backward.
  double flops() const override { return 3 * models::conv_flops(graph_, batch_, size_, size_); }

  std::vector<BenchLayer> layers(const std::function<bool()>&) override { return {}; }

 private:
  void draw_batch(uint64_t seed) {
    RandomStream random(seed, 1, 0);
    images_ = Tensor::empty({batch_, 3, size_, size_}, DType::kU8);
    for (int64_t i = 0; i < images_.numel(); ++i) images_.data<uint8_t>()[i] = uint8_t(random.below(256));
    for (int image = 0; image < batch_; ++image)
      for (int i = 0; i < kObjectsPerImage; ++i) {
        const float w = float(random.uniform(0.03, 0.4)), h = float(random.uniform(0.03, 0.4));
        targets_.push_back({image, 0, float(random.uniform(w / 2, 1 - w / 2)),
                            float(random.uniform(h / 2, 1 - h / 2)), w, h});
      }
  }

  void score(const models::Head& head, const models::HeadMaps& maps, models::HeadMaps& gradients) {
    const train::LossFunction loss = train::find_loss(maps.aux.empty() ? "ota" : "aux_ota");
    std::vector<train::Target> targets = targets_;
    for (size_t i = 0; i < targets.size(); ++i) targets[i].cls = int(i) % head.nc();
    train::LossInput input;
    input.levels = maps.levels;
    input.aux = maps.aux;
    input.targets = targets;
    input.image_height = input.image_width = size_;
    train::LossResult result =
        loss(ctx_, {head.anchors, head.strides, head.nc(), head.score_is_objectness}, {}, input);
    gradients = {std::move(result.grads), std::move(result.aux_grads)};
  }

  Context& ctx_;
  ops::Impls impls_;
  int64_t size_;
  int batch_;
  models::Graph graph_;
  std::unique_ptr<autograd::ParamStore> store_;
  std::unique_ptr<models::TrainGraph> train_graph_;
  std::unique_ptr<train::Optimizer> optimizer_;
  std::unique_ptr<train::Ema> ema_;
  Tensor images_;
  std::vector<train::Target> targets_;
};

}  // namespace

std::unique_ptr<BenchSubject> bench_train(Context& ctx, const CommonOptions& common, BenchParams& params) {
  return std::make_unique<BenchTrain>(ctx, common, params);
}

}  // namespace mtyolo::cli
