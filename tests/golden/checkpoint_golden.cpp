// Golden cases of checkpoints: what loads must hold what case.json lists, what must be refused is refused
// with a message, exit 4 and bounded memory.
#include <sys/resource.h>

#include <chrono>
#include <cmath>

#include "models/weights/checkpoint.h"
#include "models/weights/digest.h"
#include "tests/golden/kinds.h"

namespace mtyolo::test {
namespace {

using models::Checkpoint;
using models::StateDict;
using nlohmann::json;

bool within(double got, double expected, Tolerance t) {
  return std::abs(got - expected) <= t.abs + t.rel * std::abs(expected);
}

double number(const json& j) {
  if (!j.is_string()) return j.get<double>();
  const std::string text = j.get<std::string>();
  return text == "nan" ? std::nan("") : text == "inf" ? HUGE_VAL : -HUGE_VAL;
}

bool same(double got, double expected, Tolerance t) {
  return (std::isnan(got) && std::isnan(expected)) || got == expected || within(got, expected, t);
}

void check_state_dict(const std::string& what, const StateDict& got, const json& expected,
                      const json& tolerance) {
  expect(got.size() == expected.size(), "{}: {} tensors, expected {}", what, got.size(), expected.size());
  const Tolerance sum = tolerance_from(tolerance.at("sum")),
                  abs_sum = tolerance_from(tolerance.at("abs_sum"));
  for (size_t i = 0; i < expected.size(); ++i) {
    const json& e = expected[i];
    const auto& [tensor_name, tensor] = got.entries()[i];
    const std::string at = fmt::format("{} {}", what, tensor_name);
    expect(tensor_name == e.at("name").get<std::string>(), "{}: tensor {} is {}, expected {}", what, i,
           tensor_name, e.at("name").get<std::string>());
    const Shape shape{std::span<const int64_t>(e.at("shape").get<std::vector<int64_t>>())};
    expect(tensor.shape() == shape, "{}: shape {}, expected {}", at, tensor.shape(), shape);
    expect(name(tensor.dtype()) == e.at("dtype").get<std::string>(), "{}: type {}, expected {}", at,
           tensor.dtype(), e.at("dtype").get<std::string>());
    const models::TensorDigest d = models::digest_of(tensor_name, tensor);
    expect(same(d.sum, number(e.at("sum")), sum), "{}: sum {}, expected {}", at, d.sum, number(e.at("sum")));
    expect(same(d.abs_sum, number(e.at("abs_sum")), abs_sum), "{}: abs_sum {}, expected {}", at, d.abs_sum,
           number(e.at("abs_sum")));
  }
}

void check_anchors(const StateDict& weights, const std::string& suffix, const json& expected) {
  for (const auto& [tensor_name, tensor] : weights.entries()) {
    if (!tensor_name.ends_with(suffix)) continue;
    const Tensor values = tensor.to(DType::kF64);
    size_t at = 0;
    for (const json& level : expected)
      for (const json& pair : level)
        for (const json& v : pair) {
          expect(int64_t(at) < values.numel(), "{}: {} values, expected more", tensor_name, values.numel());
          expect(values.data<double>()[at] == v.get<double>(), "{}: value {} is {}, expected {}", tensor_name,
                 at, values.data<double>()[at], v.get<double>());
          ++at;
        }
    expect(int64_t(at) == values.numel(), "{}: {} values, expected {}", tensor_name, values.numel(), at);
    return;
  }
  expect(expected.is_null(), "no tensor ends in {}", suffix);
}

void check_layers(const Checkpoint& c, const json& expected) {
  expect(c.layers.size() == expected.size(), "{} layers, expected {}", c.layers.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const json& e = expected[i];
    const models::LayerRecord& layer = c.layers[i];
    const std::vector<int> from = e.at("from").is_array() ? e.at("from").get<std::vector<int>>()
                                                          : std::vector<int>{e.at("from").get<int>()};
    expect(layer.index == e.at("i") && layer.from == from && layer.type == e.at("type").get<std::string>() &&
               layer.parameters == e.at("params"),
           "layer {}: index {} type {} parameters {}, expected {}", i, layer.index, layer.type,
           layer.parameters, e.dump());
  }
}

void check_model(const Checkpoint& c, const json& m) {
  expect(c.head_type == m.at("head").get<std::string>(), "head {}, expected {}", c.head_type,
         m.at("head").get<std::string>());
  expect(c.names == m.at("names").get<std::vector<std::string>>(), "the class names differ");
  expect(c.names.size() == m.at("nc"), "{} classes, expected {}", c.names.size(), m.at("nc").get<int>());
  expect(c.strides == m.at("stride").get<std::vector<float>>(), "the strides differ");
  expect(c.bn_eps == m.at("bn_eps") && c.bn_momentum == m.at("bn_momentum"),
         "batch norm: eps {}, momentum {}", c.bn_eps, c.bn_momentum);
  int64_t parameters = 0;
  for (const auto& layer : c.layers) parameters += layer.parameters;
  expect(parameters == m.at("parameters"), "{} parameters, expected {}", parameters,
         m.at("parameters").get<int64_t>());
  check_layers(c, m.at("layers"));
  check_anchors(c.model, ".anchors", m.at("anchors_in_grid_units"));
  check_anchors(c.model, ".anchor_grid", m.at("anchors_in_pixels"));
  expect(c.cfg.is_map() && c.cfg.find("backbone") != nullptr, "the model description is missing");
}

void check_group(const Document& got, const json& expected) {
  for (const auto& [key, value] : expected.items()) {
    const Document* field = got.find(key);
    expect(field != nullptr, "the optimizer group has no {}", key);
    if (key == "params")
      expect(field->items.size() == value, "{} parameters in a group", field->items.size());
    else if (value.is_null()) expect(field->is_null(), "{} is not None", key);
    else if (value.is_boolean())
      expect(field->as_bool(key) == value.get<bool>(), "{} is {}", key, field->text);
    else if (value.is_number())
      expect(field->as_double(key, -HUGE_VAL, HUGE_VAL) == value.get<double>(), "{} is {}", key, field->text);
  }
}

void check_optimizer(const Checkpoint& c, const json& o, Tolerance tolerance) {
  expect(c.optimizer_groups.items.size() == o.at("groups").size(), "{} optimizer groups",
         c.optimizer_groups.items.size());
  for (size_t i = 0; i < o.at("groups").size(); ++i)
    check_group(c.optimizer_groups.items[i], o.at("groups")[i]);
  int64_t states = 0;
  double abs_sum = 0;
  for (const auto& [tensor_name, tensor] : c.optimizer.entries()) {
    expect(tensor_name.starts_with("optimizer."), "optimizer tensor {}", tensor_name);
    if (!tensor_name.ends_with(".momentum_buffer")) continue;
    ++states;
    abs_sum += models::digest_of(tensor_name, tensor).abs_sum;
  }
  expect(states == o.at("states"), "{} momentum buffers, expected {}", states, o.at("states").get<int64_t>());
  if (o.contains("momentum_abs_sum"))
    expect(within(abs_sum, o.at("momentum_abs_sum"), tolerance), "momentum abs_sum {}", abs_sum);
}

void check_values(const GoldenCase& g, const Checkpoint& c) {
  const std::string prefix = "expected.";
  for (const auto& [key, expected] : g.tensors.entries()) {
    if (!key.starts_with(prefix)) continue;
    const Tensor* got = c.model.find(key.substr(prefix.size()));
    expect(got != nullptr, "no tensor {}", key.substr(prefix.size()));
    const bool scalar = got->rank() == 0 && expected.rank() == 1;  // stored with shape (1)
    expect_close(key, scalar ? got->reshape({1}) : *got, expected, {0, 0});
  }
}

void check_loaded(const GoldenCase& g, const Checkpoint& c) {
  const json& info = g.info;
  if (info.contains("state_dict"))
    check_state_dict("model", c.model, info.at("state_dict"), info.at("tolerance"));
  if (info.contains("ema_state_dict"))
    check_state_dict("ema", c.ema, info.at("ema_state_dict"), info.at("tolerance"));
  if (info.contains("model")) check_model(c, info.at("model"));
  if (info.contains("optimizer"))
    check_optimizer(c, info.at("optimizer"), tolerance_from(info.at("tolerance").at("abs_sum")));
  if (info.contains("epoch") && info.at("epoch").is_number())
    expect(c.epoch == info.at("epoch"), "epoch {}", c.epoch);
  if (info.contains("updates") && info.at("updates").is_number())
    expect(c.updates == info.at("updates"), "updates {}", c.updates);
  if (info.contains("best_fitness") && info.at("best_fitness").is_array())
    expect(c.best_fitness == info.at("best_fitness")[0], "best fitness {}", c.best_fitness);
  if (info.contains("training_results") && info.at("training_results").is_string())
    expect(c.training_results == info.at("training_results").get<std::string>(),
           "the training results differ");
  if (info.contains("top_level_keys"))
    expect(c.top_level_keys == info.at("top_level_keys").get<std::vector<std::string>>(),
           "the top level keys differ");
  check_values(g, c);
}

int64_t peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

}  // namespace

void run_checkpoint_case(const GoldenCase& g) {
  const std::string wanted = g.info.at("expect"), file = (g.folder / g.info.at("file")).string();
  const auto begin = std::chrono::steady_clock::now();
  const int64_t peak_before = peak_kib();
  std::string refused;
  Checkpoint c;
  try {
    c = models::read_checkpoint(file);
  } catch (const Error& e) {
    refused = e.what();
    expect(e.exit_code() == ExitCode::kModel, "refused with exit {}: {}", int(e.exit_code()), refused);
    expect(e.info().file == file && !e.info().message.empty(), "the message does not name the file: {}",
           refused);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  expect(seconds < 10, "reading took {:.1f} s", seconds);
  expect(peak_kib() - peak_before < 512 * 1024, "reading took {} KiB", peak_kib() - peak_before);
  if (wanted == "loads") expect(refused.empty(), "refused: {}", refused);
  if (wanted == "rejected")
    expect(!refused.empty(), "loads, expected a refusal: {}", g.info.value("why", ""));
  if (refused.empty()) check_loaded(g, c);
}

}  // namespace mtyolo::test
