// Kind "train-step": some iterations of training from a start checkpoint, each compared; parameters,
// statistics and averages after some optimizer steps.
#include <cmath>
#include <set>

#include "models/model.h"
#include "models/train_graph.h"
#include "tests/golden/kinds.h"
#include "train/ema.h"
#include "train/hyp.h"
#include "train/losses/loss.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace mtyolo::test {
namespace {

using nlohmann::json;
using namespace mtyolo::train;

Hyp hyp_from(const json& values) {
  std::vector<std::pair<std::string, Document>> fields;
  for (const auto& [key, value] : values.items()) fields.emplace_back(key, Document::scalar(value.dump()));
  return hyp_from_document(Document::map(std::move(fields)));
}

ScheduleParams schedule_from(const json& params, const Hyp& hyp) {
  ScheduleParams p;
  p.kind = lr_schedule_by_name(params.at("schedule"));
  p.lr0 = hyp.lr0;
  p.lrf = hyp.lrf;
  p.momentum = hyp.momentum;
  p.warmup_momentum = hyp.warmup_momentum;
  p.warmup_bias_lr = hyp.warmup_bias_lr;
  p.momentum_warmup = params.at("optimizer") == "sgd";
  p.epochs = params.at("epochs");
  p.batches_per_epoch = params.at("batches_per_epoch");
  p.total_batch = params.at("batch_size");
  p.nominal_batch = params.at("nominal_batch_size");
  p.warmup_iterations = params.at("warmup_iterations");
  return p;
}

void expect_number(const std::string& what, double got, double want, Tolerance t) {
  expect(std::abs(got - want) <= t.abs + t.rel * std::abs(want), "{} is {}, expected {} (abs {}, rel {})",
         what, got, want, t.abs, t.rel);
}

class Run {
 public:
  explicit Run(const GoldenCase& c)
      : c_(c),
        params_(c.info.at("params")),
        hyp_(hyp_from(params_.at("hyp"))),
        model_(models::load_model((c.folder / c.info.at("checkpoint")).string())),
        store_(models::make_param_store(ctx_, model_.graph, model_.weights)),
        ema_(ctx_, *store_, params_.at("ema_decay"), params_.at("ema_tau")),
        schedule_(schedule_from(params_, hyp_)) {
    ops::register_cpu_impls(impls_);
    graph_ = std::make_unique<models::TrainGraph>(ctx_, impls_, model_.graph, *store_);
    const models::Head& head = model_.graph.heads.at(0);
    head_ = {head.anchors, head.strides, head.nc(), head.score_is_objectness};
    scaled_ = scaled_hyp(hyp_, int(head.strides.size()), head.nc(), params_.at("img_size"),
                         params_.at("batch_size"), params_.at("nominal_batch_size"));
    optimizer_ =
        std::make_unique<Optimizer>(ctx_, *store_,
                                    OptimizerParams{.kind = optimizer_by_name(params_.at("optimizer")),
                                                    .weight_decay = scaled_.weight_decay,
                                                    .beta1 = hyp_.momentum});
    ema_.restore(models::state_dict_of(model_.graph, *store_), params_.at("ema_updates_start"));
  }

  void expect_setup() const;
  void iterate(const json& want);

 private:
  LossResult loss_of(int64_t batch);
  void expect_rates(const json& want, const Rates& got) const;
  void expect_snapshot(const std::string& step) const;
  void expect_digests(const json& rows, const models::StateDict& got, const std::string& kind,
                      const std::string& step) const;
  Tolerance tolerance(const std::string& kind, const std::string& step) const;
  std::string kind_of(const std::string& name) const {
    return store_->find(name) != nullptr ? "param" : "bn";
  }

  const GoldenCase& c_;
  const json& params_;
  Context ctx_{2};
  ops::Impls impls_;
  Hyp hyp_;
  models::Model model_;
  std::unique_ptr<autograd::ParamStore> store_;
  std::unique_ptr<models::TrainGraph> graph_;
  HeadSpec head_;
  ScaledHyp scaled_;
  std::unique_ptr<Optimizer> optimizer_;
  Ema ema_;
  Schedule schedule_;
  Window window_{Compat::v7()};
  int epoch_ = -1;
};

// Gains, and which group each parameter is in.
void Run::expect_setup() const {
  const json& want = c_.info.at("scaled_hyp");
  const Tolerance t{.abs = 0, .rel = 1e-12};
  expect_number("box", scaled_.box, want.at("box"), t);
  expect_number("obj", scaled_.obj, want.at("obj"), t);
  expect_number("cls", scaled_.cls, want.at("cls"), t);
  expect_number("weight_decay", scaled_.weight_decay, want.at("weight_decay"), t);
  size_t named = 0;
  for (const auto& [title, names] : c_.info.at("optimizer_groups").items()) {
    const size_t group = size_t(title.at(0) - '0');
    for (const std::string name : names) {
      const autograd::Parameter* p = store_->find(name);
      expect(p != nullptr && size_t(p->group) == group, "{} is not in group {}", name, group);
      ++named;
    }
  }
  expect(named == store_->parameters().size(), "{} parameters, expected {}", store_->parameters().size(),
         named);
}

void Run::expect_rates(const json& want, const Rates& got) const {
  const Tolerance t = tolerance_from(c_.info.at("tolerance").at("lr_momentum"));
  for (size_t g = 0; g < 3; ++g) {
    expect_number("rate of group " + std::to_string(g), got.lr[g], want.at("lr").at(g), t);
    expect_number("momentum", got.momentum, want.at("momentum").at(g), t);
  }
  expect(got.accumulate == int(want.at("accumulate")), "accumulates {}, expected {}", got.accumulate,
         int(want.at("accumulate")));
}

LossResult Run::loss_of(int64_t batch) {
  const Tensor& all = c_.tensor("images_u8");
  const Shape s = all.shape();
  const auto maps = graph_->forward(all.slice(0, batch, batch + 1).reshape({s[1], s[2], s[3], s[4]}));
  const std::vector<Target> targets = targets_from(c_.tensor("targets." + std::to_string(batch)));
  LossParams p;
  p.box = scaled_.box;
  p.obj = scaled_.obj;
  p.cls = scaled_.cls;
  p.cls_pw = hyp_.cls_pw;
  p.obj_pw = hyp_.obj_pw;
  p.anchor_t = hyp_.anchor_t;
  p.fl_gamma = hyp_.fl_gamma;
  p.label_smoothing = params_.at("label_smoothing");
  p.ota_scale_by_height = true;
  LossInput input{.levels = maps.at(0).levels, .aux = maps.at(0).aux, .targets = targets};
  input.image_height = s[3];
  input.image_width = s[4];
  const std::string loss = params_.at("loss");
  return find_loss(loss == "plain" ? "simple" : loss)(ctx_, head_, p, input);
}

void Run::iterate(const json& want) {
  const int64_t ni = want.at("iteration");
  const int epoch = want.at("epoch");
  if (epoch != epoch_) {  // what an epoch leaves unstepped is lost
    window_.start_epoch();
    store_->zero_grad();
    epoch_ = epoch;
  }
  const Rates rates = schedule_.rates(ni, epoch);
  expect_rates(want, rates);
  const LossResult r = loss_of(want.at("batch"));
  expect_number("loss", r.loss, want.at("loss"), tolerance_from(c_.info.at("tolerance").at("loss")));
  const double items[] = {r.box, r.obj, r.cls, r.box + r.obj + r.cls};
  for (size_t i = 0; i < 4; ++i)
    expect_number("item " + std::to_string(i), items[i], want.at("items").at(i),
                  tolerance_from(c_.info.at("tolerance").at("items")));
  graph_->backward({{r.grads, r.aux_grads}});
  expect(optimizer_->first_bad_gradient(ctx_).empty(), "a gradient is not finite");
  const bool step = window_.step_after(ni, rates.accumulate, false);
  expect(step == bool(want.at("optimizer_step")), "steps: {}, expected {}", step,
         bool(want.at("optimizer_step")));
  if (!step) return;
  optimizer_->step(ctx_, rates);
  store_->zero_grad();
  ema_.update(ctx_, *store_);
  expect(optimizer_->steps() == int64_t(want.at("steps_done")), "{} steps done", optimizer_->steps());
  for (const json& k : c_.info.at("snapshots_after_optimizer_steps"))
    if (k == want.at("steps_done")) expect_snapshot(std::to_string(int64_t(k)));
}

Tolerance Run::tolerance(const std::string& kind, const std::string& step) const {
  return tolerance_from(c_.info.at("tolerance").at(kind).at(step));
}

void Run::expect_digests(const json& rows, const models::StateDict& got, const std::string& kind,
                         const std::string& step) const {
  for (const json& row : rows) {
    const std::string name = row.at("name");
    const Tensor* t = got.find(name);
    expect(t != nullptr, "no tensor {}", name);
    const Tensor values = t->to(DType::kF64).contiguous();
    double sum = 0, abs_sum = 0;
    for (int64_t i = 0; i < values.numel(); ++i) {
      sum += values.data<double>()[i];
      abs_sum += std::abs(values.data<double>()[i]);
    }
    const Tolerance each = tolerance(kind.empty() ? kind_of(name) : kind, step);
    const Tolerance all{.abs = each.abs * double(values.numel()) + each.rel * double(row.at("abs_sum")),
                        .rel = 1e-9};
    expect_number("step " + step + ": sum of " + name, sum, row.at("sum"), all);
    expect_number("step " + step + ": absolute sum of " + name, abs_sum, row.at("abs_sum"), all);
  }
}

void Run::expect_snapshot(const std::string& step) const {
  const models::StateDict state = models::state_dict_of(model_.graph, *store_);
  const models::StateDict averages = ema_.state_dict(model_.graph);
  const std::string prefix = "step" + step + ".";
  size_t compared = 0;
  for (const auto& [full_name, want] : c_.tensors.entries()) {
    if (!full_name.starts_with(prefix)) continue;
    std::string name = full_name.substr(prefix.size());
    const bool averaged = name.starts_with("ema.");
    if (averaged) name = name.substr(4);
    const Tensor* got = (averaged ? averages : state).find(name);
    expect(got != nullptr, "no tensor {}", name);
    expect_close(full_name, *got, want, tolerance(averaged ? "ema" : kind_of(name), step));
    ++compared;
  }
  for (const auto& [kind, digests] : {std::pair("", "state_digests"), std::pair("ema", "ema_digests")}) {
    if (!c_.info.at(digests).contains(step)) continue;
    expect_digests(c_.info.at(digests).at(step), kind[0] == 0 ? state : averages, kind, step);
    ++compared;
  }
  expect(compared > 0, "nothing to compare after step {}", step);
}

}  // namespace

void run_train_step_case(const GoldenCase& c) {
  Run run(c);
  run.expect_setup();
  for (const json& want : c.info.at("iterations")) {
    try {
      run.iterate(want);
    } catch (const GoldenMismatch& e) {
      throw GoldenMismatch(fmt::format("iteration {}: {}", int(want.at("iteration")), e.what()));
    }
  }
}

}  // namespace mtyolo::test
