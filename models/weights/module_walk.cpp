#include "models/weights/module_walk.h"

#include <algorithm>
#include <unordered_set>

#include "core/text.h"
#include "models/weights/value_document.h"

namespace mtyolo::models {
namespace {

constexpr size_t kMaxTensors = 200'000, kMaxTensorName = 512;

template <class... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> text, Args&&... args) {
  fail(ExitCode::kModel, "model_object", text, std::forward<Args>(args)...);
}

// Key and value pairs of a dict attribute of a module; none if the attribute is missing.
std::vector<std::pair<std::string_view, Ref>> children(const PickleTree& tree, Ref module,
                                                       std::string_view what) {
  std::vector<std::pair<std::string_view, Ref>> pairs;
  const auto dict = attribute(tree, module, what);
  if (!dict) return pairs;
  if (!tree.is(*dict, ValueKind::kDict)) refuse("{} of a module is {}", what, name(tree.kind(*dict)));
  const auto items = tree.items(*dict);
  for (size_t i = 0; i < items.size(); i += 2) {
    if (!tree.is(items[i], ValueKind::kString)) refuse("{} of a module has a key that is no string", what);
    if (!tree.is(items[i + 1], ValueKind::kNone)) pairs.emplace_back(tree.text(items[i]), items[i + 1]);
  }
  return pairs;
}

std::unordered_set<std::string_view> non_persistent(const PickleTree& tree, Ref module) {
  std::unordered_set<std::string_view> names;
  const auto set = attribute(tree, module, "_non_persistent_buffers_set");
  if (!set || !tree.is(*set, ValueKind::kSet)) return names;
  for (const Ref r : tree.items(*set))
    if (tree.is(r, ValueKind::kString)) names.insert(tree.text(r));
  return names;
}

struct Place {
  Ref module;
  std::string prefix;
};

void add_tensors(PtFile& file, const Place& place, StateDict& tensors) {
  const PickleTree& tree = file.tree();
  const auto add = [&](std::string_view key, Ref value) {
    if (!tree.is(value, ValueKind::kTensor))
      refuse("{} is {}, expected a tensor", quoted(place.prefix + std::string(key)), name(tree.kind(value)));
    if (tensors.size() >= kMaxTensors || place.prefix.size() + key.size() > kMaxTensorName)
      refuse("the model has more than {} tensors, or names longer than {}", kMaxTensors, kMaxTensorName);
    tensors.add(place.prefix + std::string(key), file.tensor(value));
  };
  for (const auto& [key, value] : children(tree, place.module, "_parameters")) add(key, value);
  const auto skipped = non_persistent(tree, place.module);
  for (const auto& [key, value] : children(tree, place.module, "_buffers"))
    if (!skipped.contains(key)) add(key, value);
}

// Calls visit(place) for a module and all below it: depth first, in registration order, without recursion.
template <class Visit>
void walk(const PickleTree& tree, Ref module, Visit&& visit) {
  constexpr size_t kMaxModules = 1'000'000;
  size_t visited = 0;
  std::vector<Place> stack{{module, ""}};
  while (!stack.empty()) {
    const Place place = std::move(stack.back());
    stack.pop_back();
    if (!tree.is(place.module, ValueKind::kRecord))
      refuse("module {} is {}", quoted(place.prefix), name(tree.kind(place.module)));
    if (++visited > kMaxModules || place.prefix.size() > kMaxTensorName)
      refuse("the model has more than {} modules, or names longer than {}", kMaxModules, kMaxTensorName);
    visit(place);
    auto below = children(tree, place.module, "_modules");
    for (auto it = below.rbegin(); it != below.rend(); ++it)
      stack.push_back({it->second, place.prefix + std::string(it->first) + "."});
  }
}

std::optional<Ref> child_module(const PickleTree& tree, Ref module, std::string_view wanted) {
  for (const auto& [key, value] : children(tree, module, "_modules"))
    if (key == wanted && tree.is(value, ValueKind::kRecord)) return value;
  return std::nullopt;
}

LayerRecord layer_record(const PickleTree& tree, Ref row, int position) {
  LayerRecord layer;
  const auto integer = [&](const char* key, int64_t otherwise) {
    const auto r = attribute(tree, row, key);
    return r ? tree.as_integer(*r).value_or(otherwise) : otherwise;
  };
  layer.index = int(integer("i", position));
  layer.parameters = integer("np", 0);
  layer.type = class_name(tree, row);
  if (const auto f = attribute(tree, row, "f")) {
    if (tree.is(*f, ValueKind::kInt)) layer.from = {int(tree.integer(*f))};
    else if (tree.is(*f, ValueKind::kList) && tree.items(*f).size() <= 1000)
      for (const Ref r : tree.items(*f)) layer.from.push_back(int(tree.as_integer(r).value_or(-1)));
  }
  if (const auto act = child_module(tree, row, "act")) layer.activation = class_name(tree, *act);
  return layer;
}

void read_batch_norm(const PickleTree& tree, Ref module, Checkpoint& c) {
  const auto number = [&](const char* key, double otherwise) {
    const auto r = attribute(tree, module, key);
    return r ? tree.as_number(*r).value_or(otherwise) : otherwise;
  };
  c.bn_eps = number("eps", c.bn_eps);
  c.bn_momentum = number("momentum", c.bn_momentum);
}

std::vector<float> read_strides(PtFile& file, Ref module) {
  const auto r = attribute(file.tree(), module, "stride");
  if (!r || !file.tree().is(*r, ValueKind::kTensor)) return {};
  const Tensor t = file.tensor(*r).to(DType::kF32);
  if (t.rank() != 1 || t.numel() > 64) return {};
  return {t.data<float>(), t.data<float>() + t.numel()};
}

}  // namespace

std::optional<Ref> attribute(const PickleTree& tree, Ref record, std::string_view wanted) {
  if (!tree.is(record, ValueKind::kRecord)) return std::nullopt;
  const Ref state = tree.record(record).state;
  const bool with_slots = tree.is(state, ValueKind::kTuple) && !tree.items(state).empty();
  return tree.find(with_slots ? tree.items(state)[0] : state, wanted);
}

std::string_view class_name(const PickleTree& tree, Ref record) {
  return tree.symbol(tree.record(record).symbol).name;
}

std::optional<Ref> unwrap_model(const PickleTree& tree, Ref value) {
  constexpr int kMaxWrappers = 4;
  for (int i = 0; i <= kMaxWrappers && tree.is(value, ValueKind::kRecord); ++i) {
    const Symbol& symbol = tree.symbol(tree.record(value).symbol);
    if (symbol.module == "models.yolo" && symbol.name == "Model") return value;
    if (!symbol.module.starts_with("torch.nn.parallel.")) return std::nullopt;
    const auto inner = child_module(tree, value, "module");
    if (!inner) return std::nullopt;
    value = *inner;
  }
  return std::nullopt;
}

StateDict flatten_module(PtFile& file, Ref module) {
  StateDict tensors;
  walk(file.tree(), module, [&](const Place& place) { add_tensors(file, place, tensors); });
  return tensors;
}

void read_model_facts(PtFile& file, Ref model, Checkpoint& c) {
  const PickleTree& tree = file.tree();
  if (const auto yaml = attribute(tree, model, "yaml")) c.cfg = to_document(tree, *yaml);
  if (const auto hyp = attribute(tree, model, "hyp"); hyp && c.hyp.is_null()) c.hyp = to_document(tree, *hyp);
  if (const auto names = attribute(tree, model, "names")) c.names = names_from(to_document(tree, *names));
  c.strides = read_strides(file, model);
  if (const auto rows = child_module(tree, model, "model")) {
    std::optional<Ref> last;
    for (const auto& [key, row] : children(tree, *rows, "_modules")) {
      if (!tree.is(row, ValueKind::kRecord)) refuse("row {} is {}", quoted(key), name(tree.kind(row)));
      c.layers.push_back(layer_record(tree, row, int(c.layers.size())));
      last = row;
    }
    if (last) c.head_type = class_name(tree, *last);
    if (last && c.strides.empty()) c.strides = read_strides(file, *last);
  }
  bool norm_seen = false;
  walk(tree, model, [&](const Place& place) {
    const std::string_view type = class_name(tree, place.module);
    if (!norm_seen && (type == "BatchNorm2d" || type == "SyncBatchNorm" || type == "BatchNormXd")) {
      norm_seen = true;
      read_batch_norm(tree, place.module, c);
    }
    const auto conv = type == "Conv" ? child_module(tree, place.module, "conv") : std::nullopt;
    if (!conv || child_module(tree, place.module, "bn")) return;
    for (const auto& [key, value] : children(tree, *conv, "_parameters")) c.fused = c.fused || key == "bias";
  });
}

std::vector<std::string> names_from(const Document& d) {
  std::vector<std::string> names;
  for (const Document& item : d.items)
    if (item.is_scalar()) names.push_back(item.text);
  if (names.size() != d.items.size()) refuse("a class name is not a text");
  names.resize(names.size() + d.fields.size());
  std::vector<bool> seen(names.size(), false);
  for (const auto& [key, value] : d.fields) {
    const auto index = parse_int(key);
    if (!index || *index < 0 || size_t(*index) >= names.size() || seen[size_t(*index)] || !value.is_scalar())
      refuse("class names are numbered by {}, expected 0 to {}", quoted(key), names.size() - 1);
    seen[size_t(*index)] = true;
    names[size_t(*index)] = value.text;
  }
  return names;
}

namespace {

bool begins_with_number(std::string_view name) {
  const size_t dot = name.find('.');
  return dot != std::string_view::npos && dot > 0 && name.find_first_not_of("0123456789") == dot;
}

template <class Test>
bool all_names(const std::vector<std::string>& names, Test&& test) {
  return !names.empty() && std::all_of(names.begin(), names.end(), test);
}

bool is_row_name(const std::string& n) { return n.starts_with("model.") && begins_with_number(n.substr(6)); }

}  // namespace

StateDict without_wrapper_prefixes(const StateDict& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors.entries()) names.push_back(name);
  const auto cut = [&](size_t n) {
    for (std::string& name : names) name.erase(0, n);
  };
  bool changed = true;
  while (changed) {
    changed = true;
    if (all_names(names, [](const std::string& n) { return n.size() > 7 && n.starts_with("module."); }))
      cut(7);
    else if (!all_names(names, is_row_name) && all_names(names, [](const std::string& n) {
               return n.starts_with("model.model.") || n.starts_with("model.module.");
             }))
      cut(6);
    else changed = false;
  }
  const bool bare = all_names(names, [](const std::string& n) { return begins_with_number(n); });
  StateDict result;
  for (size_t i = 0; i < names.size(); ++i)
    result.add((bare ? "model." : "") + names[i], tensors.entries()[i].second);
  return result;
}

}  // namespace mtyolo::models
