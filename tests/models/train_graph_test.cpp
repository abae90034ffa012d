// The graph in training mode: values, gradients, what stays frozen, what memory it takes.
#include "models/train_graph.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "core/random.h"
#include "core/yaml.h"
#include "models/model.h"
#include "models/plan/eager.h"
#include "tests/models/random_model.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"
#include "tests/support/throws.h"

using namespace mtyolo;
using namespace mtyolo::models;

namespace {

Tensor random_like(const Shape& shape, uint64_t seed) {
  Tensor t = Tensor::empty(shape);
  RandomStream random(seed, 1, 0);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = float(random.normal());
  return t;
}

// Not those of random_model.h: differences of losses need images at which no maximum changes its place.
Tensor random_images(const Shape& shape) {
  Tensor t = Tensor::empty(shape);
  RandomStream random(3, 1, 0);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = float(random.uniform());
  return t;
}

// Two levels and everything that a module is made of, at strides 8 and 16. Widths are no multiples of 16 on
// purpose.
Cfg small_cfg(const std::string& head) {
  const std::string text = fmt::format(R"(
nc: 2
depth_multiple: 1.0
width_multiple: 1.0
anchors: [[10,13, 16,30, 33,23], [30,61, 62,45, 59,119]]
backbone:
  - [-1, 1, ReOrg, []]
  - [-1, 1, Conv, [12, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, MP, []]
  - [-2, 1, Conv, [24, 3, 2, None, 4]]
  - [[-1, -2], 1, Concat, [1]]
  - [-1, 1, RepConv, [40, 3, 1]]
head:
  - [-1, 1, SPPCSPC, [16]]
  - [-1, 1, nn.Upsample, [None, 2, 'nearest']]
  - [[-1, 2, 2], 1, Concat, [1]]
  - [-1, 1, Conv, [16, 1, 1, None, 1, nn.LeakyReLU(0.1)]]
  - [[-1, 2], 1, Shortcut, [1]]
  - [[11, 7{}], 1, {}, [nc, anchors]]
)",
                                       head == "IAuxDetect" ? ", 10, 6" : "", head);
  return cfg_from_document(parse_yaml(text, "small"), "small");
}

// A network, its parameters and the graph that trains it.
struct Training {
  Context ctx;
  ops::Impls impls;
  Model model;
  std::unique_ptr<autograd::ParamStore> store;
  std::unique_ptr<TrainGraph> graph;

  explicit Training(const Model& m, bool reference = false, TrainGraphOptions options = {}, int threads = 2)
      : ctx(threads), model(m) {
    ops::register_cpu_impls(impls);
    if (reference)
      for (const auto& [op, names] : impls.names()) impls.force(op + "=cpu.reference");
    store = make_param_store(ctx, model.graph, model.weights);
    graph = std::make_unique<TrainGraph>(ctx, impls, model.graph, *store, options);
  }
  void freeze(const std::function<bool(const std::string&)>& is_frozen) {
    for (autograd::Parameter& p : store->parameters()) p.trainable = !is_frozen(p.name);
  }
  // The gradients of sum(maps * r) with r random, added to those in the store; returns the sum.
  double step(const Tensor& images) {
    double sum = 0;
    graph->backward(upstream(graph->forward(images), &sum));
    return sum;
  }
  // Bytes that steps took beyond what lives between them.
  double peak() const {
    const AllocatorStats stats = ctx.allocator()->stats();
    return double(stats.peak_bytes - stats.in_use_bytes);
  }
  double loss(const Tensor& images) {
    double sum = 0;
    upstream(graph->forward(images), &sum);
    return sum;
  }
  static std::vector<HeadMaps> upstream(const std::vector<HeadMaps>& maps, double* sum) {
    std::vector<HeadMaps> gradients(maps.size());
    uint64_t seed = 100;
    const auto append = [&](const std::vector<Tensor>& levels, std::vector<Tensor>& to) {
      for (const Tensor& y : levels) {
        to.push_back(random_like(y.shape(), ++seed));
        for (int64_t i = 0; i < y.numel(); ++i)
          *sum += double(y.data<float>()[i]) * double(to.back().data<float>()[i]);
      }
    };
    for (size_t h = 0; h < maps.size(); ++h) {
      append(maps[h].levels, gradients[h].levels);
      append(maps[h].aux, gradients[h].aux);
    }
    return gradients;
  }
};

double largest(const Tensor& t) {
  double worst = 0;
  for (int64_t i = 0; i < t.numel(); ++i) worst = std::max(worst, std::abs(double(t.data<float>()[i])));
  return worst;
}

// Largest difference of the gradients of any parameter, relative to the parameter's largest gradient.
double gradient_difference(const autograd::ParamStore& a, const autograd::ParamStore& b) {
  double worst = 0;
  for (size_t k = 0; k < a.parameters().size(); ++k) {
    const Tensor &x = a.parameters()[k].grad, &y = b.parameters()[k].grad;
    const double scale = std::max(largest(y), 1e-6);
    for (int64_t i = 0; i < x.numel(); ++i) {
      const double d = std::abs(double(x.data<float>()[i]) - double(y.data<float>()[i])) / scale;
      if (!(d <= worst)) worst = d;
    }
  }
  return worst;
}

// |a - b| / |b|.
double relative_distance(const Tensor& a, const Tensor& b) {
  double difference = 0, size = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    const double x = a.data<float>()[i], y = b.data<float>()[i];
    difference += (x - y) * (x - y), size += y * y;
  }
  return std::sqrt(difference / size);
}

std::set<std::string> batch_norms(const Graph& graph) {
  std::set<std::string> scopes;
  for (const GraphNode& node : graph.nodes)
    if (std::holds_alternative<ops::BatchNorm>(node.attrs)) scopes.insert(node.scope);
  return scopes;
}

// Everything that a step may change: gradients, running statistics, counters.
bool same_state(const autograd::ParamStore& a, const autograd::ParamStore& b) {
  bool same = bit_equal(a.gradients(), b.gradients()) && bit_equal(a.values(), b.values());
  for (size_t i = 0; i < a.buffers().size(); ++i)
    same = same && bit_equal(a.buffers()[i].value, b.buffers()[i].value);
  return same;
}

// Two heads, with copies of rows and cross-stitch units that are no longer equal.
Model shared_by_heads(Model model, const Sharing& sharing) {
  model.cfg = with_sharing(model.cfg, sharing);
  std::vector<HeadGroup> groups{{"a", {0}}, {"b", {}}};
  for (int c = 1; c < model.cfg.nc; ++c) groups[1].classes.push_back(c);
  Model out = split_heads(model, groups);
  RandomStream random(9, 1, 0);
  StateDict weights;
  for (const ParamInfo& p : out.graph.params) {
    Tensor t = out.weights.find(p.name)->clone();
    const bool moves = p.kind == ParamInfo::Kind::kConvWeight || p.kind == ParamInfo::Kind::kCrossStitch;
    for (int64_t i = 0; moves && i < t.numel(); ++i) t.data<float>()[i] += float(0.1 * random.normal());
    weights.add(p.name, t);
  }
  out.weights = weights;
  return out;
}

// Along the signs of a parameter's gradient the loss changes by the sum of its magnitudes.
void check_slopes(Training& t, const Tensor& images) {
  t.step(images);
  for (autograd::Parameter& p : t.store->parameters()) {
    constexpr double kChange = 0.05;  // of a loss of some hundred with noise of 1e-7
    const Tensor at = p.value.clone();
    double slope = 0, sides[2];
    for (int64_t i = 0; i < p.grad.numel(); ++i) slope += std::abs(double(p.grad.data<float>()[i]));
    INFO(p.name << " " << slope);
    const double step = kChange / slope;
    for (int side = 0; side < 2; ++side) {
      for (int64_t i = 0; i < p.value.numel(); ++i) {
        const double up = p.grad.data<float>()[i] > 0 ? step : -step;
        p.value.data<float>()[i] = float(double(at.data<float>()[i]) + (side == 0 ? up : -up));
      }
      sides[side] = t.loss(images);
    }
    p.value.copy_from(at);
    CHECK((sides[0] - sides[1]) / (2 * kChange) == Approx(1).epsilon(0.01));
  }
}

}  // namespace

TEST_CASE("parameters of yolov7 fall into the groups of its optimiser and come back under their names",
          "[train_graph]") {
  Context ctx(1);
  const Model model = model_from_cfg(shipped_cfg("yolov7"), 1);
  const auto store = make_param_store(ctx, model.graph, model.weights);
  int counts[autograd::kParamGroups] = {};
  for (const auto& p : store->parameters()) ++counts[size_t(p.group)];
  // train.md section 4
  CHECK(counts[size_t(autograd::ParamGroup::kBias)] == 95);
  CHECK(counts[size_t(autograd::ParamGroup::kWeight)] == 95);
  CHECK(counts[size_t(autograd::ParamGroup::kNorm)] == 98);
  CHECK(store->find("model.105.im.2.implicit")->group == autograd::ParamGroup::kNorm);
  CHECK(store->find_buffer("model.105.anchor_grid") != nullptr);
  const StateDict back = state_dict_of(model.graph, *store);
  REQUIRE(back.size() == model.weights.size());
  for (size_t i = 0; i < back.size(); ++i) {
    CHECK(back.entries()[i].first == model.weights.entries()[i].first);
    CHECK(bit_equal(back.entries()[i].second, model.weights.entries()[i].second));
  }
}

TEST_CASE("a frozen graph computes what the un-fused network computes, for every shipped cfg",
          "[train_graph]") {
  const std::string name = GENERATE(from_range(shipped_cfg_names()));
  Training t(test::narrow_model(name, name == "x50-csp" ? 0.5 : 0.125));
  t.freeze([](const std::string&) { return true; });
  const Tensor images = random_images({2, 3, t.model.graph.max_stride, 2 * t.model.graph.max_stride});
  const std::vector<HeadMaps> maps = t.graph->forward(images);
  const auto values = run_eagerly(t.ctx, t.impls, t.model.graph, t.model.weights, images, true);
  const Head& head = t.model.graph.heads[0];
  INFO(name);
  const auto check = [&](const std::vector<int>& raw, const std::vector<Tensor>& levels) {
    REQUIRE(levels.size() == raw.size());
    for (size_t i = 0; i < raw.size(); ++i) {
      const Tensor& want = values[size_t(raw[i])];
      const Tensor& got = levels[i];
      CHECK(got.shape() == Shape({2, 3, want.size(2), want.size(3), int64_t(5 + head.nc())}));
      test::expect_close("raw map", got.permute({0, 1, 4, 2, 3}).reshape(want.shape()), want, {1e-4, 1e-4});
    }
  };
  check(head.raw, maps[0].levels);
  check(head.aux_raw, maps[0].aux);
}

TEST_CASE("gradients of all parameters agree with the reference ops, for every shipped cfg",
          "[train_graph]") {
  const std::string name = GENERATE(from_range(shipped_cfg_names()));
  const Model model = test::narrow_model(name, name == "x50-csp" ? 0.5 : 0.0625);
  Training fast(model), reference(model, true);
  // By running statistics: those of a few pixels would make noise of the rounding.
  for (Training* t : {&fast, &reference}) t->graph->freeze_bn(batch_norms(model.graph));
  const int side = model.graph.max_stride;
  const Tensor images = random_images({2, 3, side, side});
  INFO(name);
  CHECK(fast.step(images) == Approx(reference.step(images)).epsilon(1e-4));
  CHECK(gradient_difference(*fast.store, *reference.store) < 1e-4);
}

TEST_CASE("gradients through batch statistics agree with the reference ops", "[train_graph]") {
  const std::string name = GENERATE("yolov7-tiny", "yolov7", "yolor-csp", "yolov7-w6");
  const Model model = test::narrow_model(name, 0.0625);
  Training fast(model), reference(model, true);
  const Tensor images = random_images({4, 3, 2 * model.graph.max_stride, 2 * model.graph.max_stride});
  INFO(name);
  CHECK(fast.step(images) == Approx(reference.step(images)).epsilon(1e-3));
  CHECK(gradient_difference(*fast.store, *reference.store) < 5e-3);
}

TEST_CASE("the loss changes with every parameter as its gradient says", "[train_graph]") {
  const std::string head = GENERATE("Detect", "IDetect", "IAuxDetect");
  const bool reference = GENERATE(true, false);
  Training t(model_from_cfg(small_cfg(head), 5), reference);
  const Tensor images = random_images({4, 3, 32, 32});
  INFO(head << (reference ? " by the reference" : ""));
  check_slopes(t, images);
}

TEST_CASE("the loss changes with every parameter of split and stitched rows as its gradient says",
          "[train_graph]") {
  const Sharing sharing =
      GENERATE(Sharing{.until = 8}, Sharing{.mode = Sharing::Mode::kSoft, .cross_stitch = {3, 6, 11}});
  Training t(shared_by_heads(model_from_cfg(small_cfg("IAuxDetect"), 5), sharing));
  INFO(describe(sharing, 13));
  check_slopes(t, random_images({4, 3, 32, 32}));
}

TEST_CASE("gradients of split and stitched rows agree with the reference ops, recomputed ones bit for bit",
          "[train_graph]") {
  const Sharing sharing =
      GENERATE(Sharing{.until = 50}, Sharing{.until = 60}, Sharing{.mode = Sharing::Mode::kNone},
               Sharing{.mode = Sharing::Mode::kSoft, .cross_stitch = {7, 28, 47, 65}});
  const Model model = shared_by_heads(test::narrow_model("yolov7-tiny", 0.125), sharing);
  Training fast(model), reference(model, true), again(model, false, {.recompute = true});
  for (Training* t : {&fast, &reference, &again}) t->graph->freeze_bn(batch_norms(model.graph));
  const Tensor images = random_images({2, 3, 64, 32});
  INFO(describe(sharing, 78));
  const double sum = fast.step(images);
  CHECK(sum == Approx(reference.step(images)).epsilon(1e-4));
  CHECK(gradient_difference(*fast.store, *reference.store) < 1e-4);
  CHECK(again.step(images) == sum);
  CHECK(same_state(*fast.store, *again.store));
}

TEST_CASE("a cross-stitch unit learns without decay and starts as the identity", "[train_graph]") {
  const Sharing sharing{.mode = Sharing::Mode::kSoft, .cross_stitch = {3}};
  Model model = model_from_cfg(small_cfg("Detect"), 5);
  model.cfg = with_sharing(model.cfg, sharing);
  Training t(split_heads(model, {{"a", {0}}, {"b", {1}}}));
  const autograd::Parameter* unit = t.store->find("heads.b.model.3.cross_stitch.weight");
  REQUIRE(unit != nullptr);
  CHECK(unit->group == autograd::ParamGroup::kNorm);
  for (int64_t c = 0; c < 16; ++c) CHECK((unit->value.at({0, c}) == 0 && unit->value.at({1, c}) == 1));
}

TEST_CASE("gradients are the same bits for one and two threads", "[train_graph]") {
  const Model model = test::narrow_model("yolov7-tiny", 0.25);
  Training one(model, false, {}, 1), two(model, false, {}, 2);
  const Tensor images = random_images({3, 3, 64, 96});
  CHECK(one.step(images) == two.step(images));
  CHECK(same_state(*one.store, *two.store));
}

TEST_CASE("training moves statistics and counters once per forward pass", "[train_graph]") {
  Training t(test::narrow_model("yolov7-tiny"));
  const Tensor images = random_images({2, 3, 64, 64});
  t.step(images);
  CHECK(t.store->find_buffer("model.0.bn.num_batches_tracked")->value.data<int64_t>()[0] == 2);
  const Tensor first = t.store->find_buffer("model.0.bn.running_mean")->value.clone();
  CHECK_FALSE(bit_equal(first, *t.model.weights.find("model.0.bn.running_mean")));
  // 0.97 old + 0.03 batch, and the batch is the same again.
  t.step(images);
  const Tensor& second = t.store->find_buffer("model.0.bn.running_mean")->value;
  for (int64_t c = 0; c < first.numel(); ++c)
    CHECK(second.data<float>()[c] == Approx(1.97 * double(first.data<float>()[c])).margin(1e-7));
}

TEST_CASE("u8 images count as value / 255", "[train_graph]") {
  Training a(test::narrow_model("yolov7-tiny")), b(test::narrow_model("yolov7-tiny"));
  Tensor u8 = Tensor::empty({1, 3, 64, 64}, DType::kU8);
  for (int64_t i = 0; i < u8.numel(); ++i) u8.data<uint8_t>()[i] = uint8_t(i * 37 % 256);
  Tensor f32 = u8.to(DType::kF32);
  for (int64_t i = 0; i < f32.numel(); ++i) f32.data<float>()[i] /= 255.0f;
  CHECK(a.step(u8) == b.step(f32));
  CHECK(same_state(*a.store, *b.store));
}

TEST_CASE("what is frozen keeps its bits and costs no backward pass", "[train_graph]") {
  const Model model = test::narrow_model("yolov7-tiny", 0.25);
  const auto in_trunk = [](const std::string& name) {
    for (int row = 0; row < 51; ++row)
      if (name.starts_with(fmt::format("model.{}.", row))) return true;
    return false;
  };
  Training whole(model), head(model);
  head.freeze(in_trunk);
  const Tensor images = random_images({2, 3, 128, 128});
  head.step(images);
  for (const autograd::Buffer& b : head.store->buffers())
    if (in_trunk(b.name)) CHECK(bit_equal(b.value, model.weights.find(b.name)->to(b.value.dtype())));
  for (const autograd::Parameter& p : head.store->parameters()) {
    INFO(p.name);
    CHECK((largest(p.grad) == 0) == in_trunk(p.name));
  }
  whole.step(images);
  // Nothing below the lowest trained row is kept; the whole keeps no large maps of its first rows either.
  CHECK(head.peak() < 0.55 * whole.peak());
}

TEST_CASE("a batch norm frozen by name uses its running statistics and is trained all the same",
          "[train_graph]") {
  Training t(test::narrow_model("yolov7-tiny"));
  t.graph->freeze_bn({"model.3.bn"});
  t.step(random_images({2, 3, 64, 64}));
  const auto unchanged = [&](const std::string& name) {
    return bit_equal(t.store->find_buffer(name)->value, *t.model.weights.find(name));
  };
  for (const char* entry : {"running_mean", "running_var", "num_batches_tracked"}) {
    CHECK(unchanged(fmt::format("model.3.bn.{}", entry)));
    CHECK_FALSE(unchanged(fmt::format("model.4.bn.{}", entry)));
  }
  CHECK(largest(t.store->find("model.3.bn.weight")->grad) > 0);
}

TEST_CASE("recomputation gives the same bits in less memory", "[train_graph]") {
  const std::string name = GENERATE("yolov7-tiny", "yolov7", "yolov7-e6e", "yolov3-spp");
  const Model model = test::narrow_model(name, 0.25);
  Training plain(model), again(model, false, {.recompute = true});
  const Tensor images = random_images({1, 3, 128, 128});
  for (int i = 0; i < 2; ++i) CHECK(plain.step(images) == again.step(images));
  CHECK(same_state(*plain.store, *again.store));
  WARN(name << ": " << plain.peak() / 1048576 << " MiB, recomputing " << again.peak() / 1048576 << " MiB");
  CHECK(again.peak() < 0.7 * plain.peak());
}

// By running statistics: in a network that was just drawn, those of a batch carry even a change of the
// weights by 1e-5 into the gradients a thousandfold.
TEST_CASE("a step in bf16 stays near the one in f32, in less memory", "[train_graph]") {
  const std::string name = GENERATE("yolov7-tiny", "yolov7", "yolov7-w6");
  const Model model = test::narrow_model(name, 0.25);
  Training f32(model), bf16(model, false, {.dtype = DType::kBF16});
  for (Training* t : {&f32, &bf16}) t->graph->freeze_bn(batch_norms(model.graph));
  const Tensor images = random_images({2, 3, 256, 256});
  const auto want = f32.graph->forward(images), got = bf16.graph->forward(images);
  INFO(name);
  for (size_t i = 0; i < want[0].levels.size(); ++i) {
    REQUIRE(got[0].levels[i].dtype() == DType::kF32);
    CHECK(relative_distance(got[0].levels[i], want[0].levels[i]) < 0.01);
  }
  f32.step(images), bf16.step(images);
  CHECK(relative_distance(bf16.store->gradients(), f32.store->gradients()) < 0.02);
  WARN(name << ": " << f32.peak() / 1048576 << " MiB, in bf16 " << bf16.peak() / 1048576 << " MiB");
  CHECK(bf16.peak() < 0.6 * f32.peak());
}

TEST_CASE("bf16 gives the same bits for any number of threads and with recomputation", "[train_graph]") {
  const Model model = test::narrow_model("yolov7-tiny", 0.25);
  const Tensor images = random_images({3, 3, 64, 96});
  Training one(model, false, {.dtype = DType::kBF16}, 1), two(model, false, {.dtype = DType::kBF16}, 2),
      again(model, false, {.recompute = true, .dtype = DType::kBF16});
  const double loss = one.step(images);
  CHECK(two.step(images) == loss);
  CHECK(again.step(images) == loss);
  CHECK(same_state(*one.store, *two.store));
  CHECK(same_state(*one.store, *again.store));
}

TEST_CASE("bf16 refuses implementations that know no bf16 maps", "[train_graph]") {
  const TrainGraphOptions options{.dtype = DType::kBF16};
  CHECK_THROWS_WITH(Training(test::narrow_model("yolov7-tiny"), true, options), Catch::Contains("--impl"));
}

TEST_CASE("a step asks the system for no memory once it is warm", "[train_graph]") {
  const bool recompute = GENERATE(false, true);
  const DType dtype = GENERATE(DType::kF32, DType::kBF16);
  Training t(test::narrow_model("yolov7", 0.125), false, {.recompute = recompute, .dtype = dtype},
             GENERATE(1, 2, 5));
  const Tensor images = random_images({2, 3, 64, 96});
  t.step(images);
  const AllocatorStats warm = t.ctx.allocator()->stats(), host = host_allocator()->stats();
  for (int i = 0; i < 3; ++i) t.step(images);
  CHECK(t.ctx.allocator()->stats().system_requests == warm.system_requests);
  CHECK(host_allocator()->stats().system_requests == host.system_requests);
  CHECK(t.ctx.allocator()->stats().in_use_bytes == warm.in_use_bytes);
}

// PyTorch keeps, until their gradients are computed, the output of each convolution, batch norm, activation
// and concat; and those of other layers that are counted here too.
TEST_CASE("a step of yolov7 takes at most 0.75 of the memory that PyTorch needs for its values",
          "[train_graph]") {
  Training t(test::narrow_model("yolov7", 0.5));
  const int64_t side = 256;
  t.step(random_images({1, 3, side, side}));
  const std::vector<Shape> shapes = infer_shapes(t.model.graph, 1, side, side);
  double theirs = 0;
  for (const GraphNode& node : t.model.graph.nodes)
    theirs += double(shapes[size_t(node.id)].numel()) * sizeof(float);
  WARN("yolov7: " << t.peak() / 1048576 << " MiB, PyTorch " << theirs / 1048576 << " MiB");
  CHECK(t.peak() < 0.75 * theirs);
}

TEST_CASE("heads with no gradient leave their parameters alone, and auxiliary maps train theirs",
          "[train_graph]") {
  Training t(split_heads(test::narrow_model("yolov7-tiny", 0.25), {{"a", {0, 1}}, {"b", {2}}}));
  std::vector<HeadMaps> gradients(2);
  double sum = 0;
  gradients[0] = Training::upstream(t.graph->forward(random_images({1, 3, 64, 64})), &sum)[0];
  t.graph->backward(gradients);
  for (const autograd::Parameter& p : t.store->parameters()) {
    INFO(p.name);
    CHECK((largest(p.grad) == 0) == p.name.starts_with("heads.b."));
  }
}

TEST_CASE("a checkpoint with auxiliary heads goes forward and back", "[train_graph]") {
  const auto folder = test::shared_folder() / "goldens/checkpoint/e6e-narrow";
  if (!std::filesystem::exists(folder)) MTYOLO_SKIP("no golden data");
  Training t(load_model((folder / "e6e-narrow.pt").string()));
  const Tensor images = random_images({1, 3, 128, 128});
  const auto maps = t.graph->forward(images);
  CHECK(maps[0].levels.size() == 4);
  CHECK(maps[0].aux.size() == 4);
  double sum = 0;
  t.graph->backward(Training::upstream(maps, &sum));
  for (const autograd::Parameter& p : t.store->parameters()) {
    INFO(p.name);
    CHECK(largest(p.grad) > 0);
    CHECK(std::isfinite(largest(p.grad)));
  }
}

TEST_CASE("a training graph refuses sides that are no multiple of the stride, and a second backward pass",
          "[train_graph]") {
  Training t(test::narrow_model("yolov7-tiny"));
  CHECK_THROWS_WITH(t.graph->forward(random_images({1, 3, 64, 50})),
                    Catch::Contains("[1,3,64,50]") && Catch::Contains("multiples of 32"));
  t.step(random_images({1, 3, 64, 64}));
  CHECK_THROWS_WITH(t.graph->backward({{}}), Catch::Contains("without a forward pass"));
}
