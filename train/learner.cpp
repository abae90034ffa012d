#include "train/learner.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "core/fault.h"
#include "core/text.h"
#include "train/couple_l2.h"
#include "train/head_parameters.h"

namespace mtyolo::train {
namespace {

bool is_finite(const Tensor& t) {
  const float* p = t.data<float>();
  return std::all_of(p, p + t.numel(), [](float v) { return std::isfinite(v); });
}

void scale(Context& ctx, Tensor& t, double by) {
  if (!t.defined() || by == 1) return;
  constexpr int64_t kChunk = 1 << 16;
  float* const p = t.data<float>();
  const int64_t n = t.numel();
  ctx.pool().parallel_for((n + kChunk - 1) / kChunk, [&](int64_t task) {
    for (int64_t i = task * kChunk; i < std::min(n, (task + 1) * kChunk); ++i) p[i] = float(p[i] * by);
  });
}

const std::string kWeightsOfFinished = "optimizer.weights.";

// What a run goes on from, as save() puts it down.
const Tensor* weight_of(const models::Checkpoint& checkpoint, const std::string& name) {
  const Tensor* aside = checkpoint.optimizer.find(kWeightsOfFinished + name);
  return aside != nullptr ? aside : checkpoint.model.find(name);
}

models::StateDict clones(const models::StateDict& tensors) {
  models::StateDict out;
  for (const auto& [name, tensor] : tensors.entries()) out.add(name, tensor.clone());
  return out;
}

// [N, A*(5+nc), ny, nx] of a plan as [N, A, ny, nx, 5+nc] of the losses.
Tensor as_loss_map(const Tensor& raw, int64_t columns) {
  const int64_t n = raw.size(0), anchors = raw.size(1) / columns;
  return raw.contiguous()
      .reshape({n, anchors, columns, raw.size(2), raw.size(3)})
      .permute({0, 1, 3, 4, 2})
      .contiguous();
}

std::string loss_name(const models::Head& head, const LearnerParams& params) {
  const bool simple = params.assigner == "simple" || (params.assigner.empty() && params.hyp.loss_ota != 1);
  if (head.aux_raw.empty()) return simple ? "simple" : "ota";
  if (params.assigner == "simple")
    fail(ExitCode::kUsage, "assigner",
         "--assigner simple: the head {} ({}) has auxiliary outputs, which only ota trains",
         mtyolo::quoted(head.name), head.type);
  return "aux_ota";
}

void check_weights(const models::Graph& graph, const Hyp& hyp) {
  if (!hyp.cls_weights.empty() && hyp.cls_weights.size() != graph.names.size())
    fail(ExitCode::kUsage, "config", "cls_weights of --hyp has {} factors, the data {} classes",
         hyp.cls_weights.size(), graph.names.size());
  std::vector<std::string> heads;
  for (const models::Head& h : graph.heads) heads.push_back(h.name);
  for (const auto& [name, weight] : hyp.head_weights)
    if (graph.find_head(name) == nullptr)
      fail(ExitCode::kUsage, "config", "head_weights of --hyp names the head {}; there are {}{}",
           mtyolo::quoted(name), fmt::join(heads, ", "), did_you_mean(name, heads));
}

}  // namespace

Learner::Learner(Context& ctx, const ops::Impls& impls, const models::Model& model,
                 const LearnerParams& params)
    : ctx_(ctx), graph_(model.graph) {
  check_weights(graph_, params.hyp);
  for (const models::Head& head : graph_.heads) tasks_.push_back(make_task(head, params));
  store_ = models::make_param_store(ctx, graph_, model.weights);
  network_ = std::make_unique<models::TrainGraph>(
      ctx, impls, graph_, *store_,
      models::TrainGraphOptions{.recompute = params.recompute, .dtype = params.dtype});
  optimizer_params_.kind = params.optimizer;
  optimizer_params_.weight_decay = scaled_.begin()->second.weight_decay;
  optimizer_params_.beta1 = params.hyp.momentum;
  optimizer_params_.lr_groups = params.hyp.lr_groups;
  optimizer_ = std::make_unique<Optimizer>(ctx, *store_, optimizer_params_);
  ema_ = std::make_unique<Ema>(ctx, *store_, params.ema_decay, params.ema_tau);
  make_head_loss(params);
  for (const autograd::Buffer& b : store_->buffers()) {
    kept_.push_back(b.value.clone());
    before_.push_back(b.value.clone());
  }
}

// One head has nothing to weigh against.
void Learner::make_head_loss(const LearnerParams& params) {
  if (tasks_.size() < 2) return;
  if (params.head_loss == HeadLossRule::kLearned) variances_.emplace(tasks_.size());
  if (params.head_loss == HeadLossRule::kPcgrad)
    surgery_ = std::make_unique<GradientSurgery>(ctx_, *store_, parameters_of_heads(graph_), params.seed);
}

Learner::Task Learner::make_task(const models::Head& head, const LearnerParams& params) {
  Task task;
  task.spec = {head.anchors, head.strides, head.nc(), head.score_is_objectness};
  const ScaledHyp scaled = scaled_hyp(params.hyp, int(head.strides.size()), head.nc(), params.img_size,
                                      params.total_batch, params.nominal_batch);
  scaled_[head.name] = scaled;
  const Hyp& h = params.hyp;
  task.params = {scaled.box, scaled.obj, scaled.cls, h.cls_pw,
                 h.obj_pw,   h.anchor_t, h.fl_gamma, params.label_smoothing,
                 1,          params.iou, {},         params.compat.ota_scale_by_height};
  for (int c = 0; c < head.nc(); ++c) {
    const int id = head.classes[size_t(c)];
    if (size_t(id) >= task.column.size()) task.column.resize(size_t(id) + 1, -1);
    task.column[size_t(id)] = c;
    if (!h.cls_weights.empty()) task.params.class_weights.push_back(h.cls_weights.at(size_t(id)));
  }
  task.loss = find_loss(loss_name(head, params));
  for (size_t i = 0; i < params.heads.size(); ++i) {
    if (params.heads[i].name != head.name) continue;
    task.weight = params.heads[i].weight;
    task.bit = int(i);
  }
  if (const auto it = h.head_weights.find(head.name); it != h.head_weights.end()) task.weight = it->second;
  return task;
}

int64_t Learner::labelled_images(const Task& task, const data::Batch& batch) {
  return std::count_if(batch.labelled.begin(), batch.labelled.end(),
                       [&](uint64_t bits) { return (bits >> task.bit & 1) != 0; });
}

LossResult Learner::head_loss(const Task& task, LossFunction loss, std::span<const Tensor> levels,
                              std::span<const Tensor> aux, const data::Batch& batch, int64_t height,
                              int64_t width, bool gradients) {
  std::vector<Target> targets;
  for (const data::BatchTarget& t : batch.targets) {
    const int column = size_t(t.cls) < task.column.size() ? task.column[size_t(t.cls)] : -1;
    if (column >= 0) targets.push_back({t.image, column, t.x, t.y, t.w, t.h});
  }
  std::vector<uint8_t> labelled;
  for (const uint64_t bits : batch.labelled) labelled.push_back(uint8_t(bits >> task.bit & 1));
  return loss(ctx_, task.spec, task.params, {levels, aux, targets, labelled, height, width, gradients});
}

BatchLoss Learner::accumulate(const Tensor& images, const data::Batch& batch) {
  auto& buffers = store_->buffers();
  for (size_t i = 0; i < buffers.size(); ++i) before_[i].copy_from(buffers[i].value);
  const std::vector<models::HeadMaps> maps = network_->forward(images);
  std::vector<models::HeadMaps> gradients(maps.size());
  BatchLoss out;
  for (size_t h = 0; h < maps.size(); ++h) {
    const Task& task = tasks_[h];
    LossResult r =
        head_loss(task, task.loss, maps[h].levels, maps[h].aux, batch, images.size(2), images.size(3), true);
    if (fault::at("loss").nan) r.loss = std::nan("");
    out.heads.push_back({r.loss, r.box, r.obj, r.cls, labelled_images(task, batch)});
    const double count = double(out.heads.back().images);
    const double weight = task.weight * (variances_ ? variances_->factor(h) : 1);
    out.total += weight * r.loss + (variances_ ? task.weight * count * variances_->regularizer(h) : 0);
    if (!std::isfinite(weight * r.loss)) out.bad_heads.push_back(graph_.heads[h].name);
    if (count == 0) continue;
    for (Tensor& g : r.grads) scale(ctx_, g, weight);
    for (Tensor& g : r.aux_grads) scale(ctx_, g, weight);
    gradients[h] = {std::move(r.grads), std::move(r.aux_grads)};
  }
  if (out.finite()) {
    backward(gradients);
    for (size_t h = 0; variances_ && h < maps.size(); ++h)
      variances_->add(h, out.heads[h].loss, double(out.heads[h].images));
  } else {
    for (size_t i = 0; i < buffers.size(); ++i) buffers[i].value.copy_from(before_[i]);
  }
  return out;
}

// One pass for all heads, or one for each that has a gradient.
void Learner::backward(std::vector<models::HeadMaps>& gradients) {
  std::vector<size_t> heads;
  for (size_t h = 0; h < gradients.size(); ++h)
    if (!gradients[h].levels.empty()) heads.push_back(h);
  const bool spoil = fault::at("grad").nan;
  const auto pass = [&](const std::vector<models::HeadMaps>& of, bool keep) {
    network_->backward(of, keep);
    if (spoil) store_->gradients().data<float>()[0] = std::nanf("");
  };
  if (!surgery_ || heads.empty()) pass(gradients, false);
  for (size_t i = 0; surgery_ && i < heads.size(); ++i) {
    std::vector<models::HeadMaps> one(gradients.size());
    one[heads[i]] = std::move(gradients[heads[i]]);
    surgery_->begin(heads[i]);
    pass(one, i + 1 < heads.size());
    surgery_->end(heads[i]);
  }
}

std::vector<HeadLoss> Learner::validation_losses(const std::vector<models::HeadOutput>& outputs,
                                                 const data::Batch& batch) {
  static const LossFunction plain = find_loss("simple");
  std::vector<HeadLoss> losses;
  for (size_t h = 0; h < outputs.size(); ++h) {
    std::vector<Tensor> levels;
    for (const Tensor& raw : outputs[h].raw) levels.push_back(as_loss_map(raw, tasks_[h].spec.nc + 5));
    const LossResult r =
        head_loss(tasks_[h], plain, levels, {}, batch, batch.images.size(2), batch.images.size(3), false);
    losses.push_back({r.loss, r.box, r.obj, r.cls, labelled_images(tasks_[h], batch)});
  }
  return losses;
}

std::string Learner::close_window() {
  if (surgery_) surgery_->combine(ema_->updates());
  couple_l2(ctx_, *store_, graph_.couplings, true);
  return optimizer_->first_bad_gradient(ctx_);
}

void Learner::update(const Rates& rates) {
  optimizer_->step(ctx_, rates);
  if (variances_) variances_->step(rates.lr[size_t(autograd::ParamGroup::kNorm)], rates.momentum);
  if (fault::at("weight").nan) store_->values().data<float>()[0] = std::nanf("");
  ema_->update(ctx_, *store_);
  clear_gradients();
}

void Learner::clear_gradients() {
  store_->zero_grad();
  if (variances_) variances_->clear();
  if (surgery_) surgery_->clear();
}

std::vector<std::pair<std::string, double>> Learner::head_scalars() {
  std::vector<std::pair<std::string, double>> out;
  if (!graph_.couplings.empty())
    out.emplace_back("train/couple", couple_l2(ctx_, *store_, graph_.couplings, false));
  for (size_t h = 0; variances_ && h < tasks_.size(); ++h)
    out.emplace_back("train_" + graph_.heads[h].name + "/log_variance", variances_->value(h));
  if (surgery_) out.emplace_back("train/conflicts", surgery_->take_conflicts());
  return out;
}

void Learner::keep_statistics() {
  const auto& buffers = store_->buffers();
  for (size_t i = 0; i < buffers.size(); ++i) kept_[i].copy_from(buffers[i].value);
}

void Learner::restore_statistics() {
  auto& buffers = store_->buffers();
  for (size_t i = 0; i < buffers.size(); ++i) buffers[i].value.copy_from(kept_[i]);
}

std::string Learner::first_bad_weight() const {
  const auto scan = [](const models::StateDict& tensors, const std::string& prefix) -> std::string {
    for (const auto& [name, t] : tensors.entries())
      if (t.dtype() == DType::kF32 && !is_finite(t)) return prefix + name;
    return {};
  };
  const std::string weight = scan(models::state_dict_of(graph_, *store_), "");
  return weight.empty() ? scan(averages(), "ema.") : weight;
}

void Learner::freeze(const std::set<std::string>& names, bool all_statistics) {
  for (autograd::Parameter& p : store_->parameters()) p.trainable = !names.contains(p.name);
  std::set<std::string> scopes;
  if (all_statistics)
    for (const models::GraphNode& node : graph_.nodes)
      if (std::holds_alternative<ops::BatchNorm>(node.attrs)) scopes.insert(node.scope);
  network_->freeze_bn(std::move(scopes));
  take_averages();
}

// Averages are what is validated and used. A part that is frozen while it still differs from its averages (a
// run that goes on with --freeze) goes on as these, so that from then on neither of the two moves.
void Learner::take_averages() {
  const models::StateDict averages = ema_->state_dict(graph_);
  for (autograd::Parameter& p : store_->parameters())
    if (!p.trainable) p.value.copy_from(*averages.find(p.name));
  for (const models::GraphNode& node : graph_.nodes) {
    if (!std::holds_alternative<ops::BatchNorm>(node.attrs) || store_->find(node.params[0])->trainable)
      continue;
    for (const size_t i : {2u, 3u})  // mean and variance
      store_->find_buffer(node.params[i])->value.copy_from(*averages.find(node.params[i]));
  }
}

void Learner::save(models::Checkpoint& checkpoint, bool finished) const {
  checkpoint.model = clones(models::state_dict_of(graph_, *store_));
  if (ema_->updates() == 0) return;
  checkpoint.ema = clones(averages());
  checkpoint.optimizer = clones(optimizer_->state());
  if (finished) {
    for (const auto& [name, tensor] : checkpoint.model.entries())
      checkpoint.optimizer.add(kWeightsOfFinished + name, tensor);
    checkpoint.model = std::exchange(checkpoint.ema, {});
  }
  if (variances_) variances_->save(checkpoint.optimizer);
  checkpoint.updates = ema_->updates();
}

void Learner::restore(const models::Checkpoint& checkpoint) {
  const models::StateDict mine = models::state_dict_of(graph_, *store_);
  for (const auto& [name, tensor] : mine.entries()) {
    const Tensor* from = weight_of(checkpoint, name);
    if (from == nullptr || from->shape() != tensor.shape())
      throw Error({ExitCode::kModel,
                   "tensor_shape",
                   from == nullptr
                       ? fmt::format("has no tensor {}", mtyolo::quoted(name))
                       : fmt::format("{} is {}, expected {}", mtyolo::quoted(name), *from, tensor),
                   checkpoint.file,
                   {},
                   "resume with the cfg and data of the run"});
  }
  for (const auto& [name, tensor] : mine.entries()) {
    Tensor to = tensor;
    to.copy_from(*weight_of(checkpoint, name));
  }
  ema_->restore(checkpoint.inference_weights(), checkpoint.updates);
  optimizer_ = std::make_unique<Optimizer>(ctx_, *store_, optimizer_params_);
  if (!checkpoint.optimizer.empty()) optimizer_->restore(checkpoint.optimizer);
  if (variances_) variances_->restore(checkpoint.optimizer);
  clear_gradients();
}

}  // namespace mtyolo::train
