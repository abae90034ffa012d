#include "models/weights/checkpoint.h"

#include "core/file.h"
#include "core/log.h"
#include "models/weights/digest.h"
#include "models/weights/metadata.h"
#include "models/weights/module_walk.h"
#include "models/weights/pt_file.h"
#include "models/weights/safetensors.h"
#include "models/weights/sniff.h"
#include "models/weights/value_document.h"

namespace mtyolo::models {
namespace {

constexpr size_t kMaxTensorName = 512;

[[noreturn]] void refuse_no_model(const std::string& found) {
  throw Error({ExitCode::kModel,
               "no_model",
               "no model inside: " + found,
               {},
               {},
               "expected a YOLOv7 checkpoint, or a dict of tensors"});
}

// Reads one `.pt` into a Checkpoint.
class PtInterpreter {
 public:
  explicit PtInterpreter(PtFile file) : file_(std::move(file)), tree_(file_.tree()) {}

  Checkpoint read() {
    const Ref root = tree_.root();
    list_foreign();
    if (const auto model = unwrap_model(tree_, root)) {
      checkpoint_.model = without_wrapper_prefixes(flatten_module(file_, *model));
      read_model_facts(file_, *model, checkpoint_);
    } else if (tree_.is(root, ValueKind::kDict)) {
      read_dict(root);
    } else if (tree_.is(root, ValueKind::kRecord)) {
      refuse_no_model(
          fmt::format("the file holds an object of class {}", full_name(tree_.record(root).symbol)));
    } else {
      refuse_no_model(fmt::format("the file holds {}", name(tree_.kind(root))));
    }
    return std::move(checkpoint_);
  }

 private:
  std::string full_name(Ref symbol) const {
    const Symbol& s = tree_.symbol(symbol);
    return quoted(std::string(s.module) + "." + std::string(s.name));
  }

  void list_foreign() {
    for (const Symbol& s : tree_.symbols()) {
      const bool known = s.module == "models.yolo" || s.module == "models.common" ||
                         s.name == "BatchNormXd" || s.name == "SigmoidBin";
      if (s.meaning == Meaning::kInert || (s.meaning == Meaning::kForeign && !known))
        checkpoint_.foreign.push_back(std::string(s.module) + "." + std::string(s.name));
    }
  }

  bool is_tensor_dict(Ref r) const {
    if (!tree_.is(r, ValueKind::kDict) || tree_.items(r).empty()) return false;
    const auto items = tree_.items(r);
    for (size_t i = 0; i < items.size(); i += 2)
      if (!tree_.is(items[i], ValueKind::kString) || !tree_.is(items[i + 1], ValueKind::kTensor))
        return false;
    return true;
  }

  StateDict tensors_of(Ref dict) {
    StateDict tensors;
    const auto items = tree_.items(dict);
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      const std::string_view key = tree_.text(items[i]);
      if (key.size() > kMaxTensorName) refuse_no_model("a tensor name is too long");
      tensors.add(std::string(key), file_.tensor(items[i + 1]));
    }
    return tensors;
  }

  void read_dict(Ref root) {
    if (is_tensor_dict(root)) {
      checkpoint_.model = without_wrapper_prefixes(tensors_of(root));
      return;
    }
    const auto items = tree_.items(root);
    for (size_t i = 0; i < items.size(); i += 2)
      if (tree_.is(items[i], ValueKind::kString) && tree_.text(items[i]).size() <= kMaxTensorName)
        checkpoint_.top_level_keys.emplace_back(tree_.text(items[i]));
    const auto model = tree_.find(root, "model"), ema = tree_.find(root, "ema");
    const auto state_dict = tree_.find(root, "state_dict");
    const bool model_given = model && !tree_.is(*model, ValueKind::kNone);
    if (model_given) checkpoint_.model = weights_of(*model, true);
    else if (state_dict) checkpoint_.model = weights_of(*state_dict, true);
    if (ema && !is_empty(*ema)) checkpoint_.ema = weights_of(*ema, !model_given);
    if (checkpoint_.inference_weights().empty())
      refuse_no_model(
          fmt::format("the dict has {} keys, none of which holds weights", tree_.items(root).size() / 2));
    read_settings(root);
  }

  bool is_empty(Ref r) const {
    return tree_.is(r, ValueKind::kNone) || (tree_.is(r, ValueKind::kDict) && tree_.items(r).empty());
  }

  StateDict weights_of(Ref r, bool with_facts) {
    if (const auto model = unwrap_model(tree_, r)) {
      if (with_facts) read_model_facts(file_, *model, checkpoint_);
      return without_wrapper_prefixes(flatten_module(file_, *model));
    }
    if (is_tensor_dict(r)) return without_wrapper_prefixes(tensors_of(r));
    if (tree_.is(r, ValueKind::kRecord))
      refuse_no_model(
          fmt::format("in its place is an object of class {}", full_name(tree_.record(r).symbol)));
    refuse_no_model(fmt::format("in its place is {} that does not hold tensors only", name(tree_.kind(r))));
  }

  void read_settings(Ref root) {
    const auto document = [&](const char* key, Document& to) {
      if (const auto r = tree_.find(root, key); r && !tree_.is(*r, ValueKind::kNone))
        to = to_document(tree_, *r);
    };
    document("cfg", checkpoint_.cfg);
    if (checkpoint_.cfg.is_null()) document("yaml", checkpoint_.cfg);
    document("hyp", checkpoint_.hyp);
    document("heads", checkpoint_.heads);
    document("results", checkpoint_.results);
    document("anchors", checkpoint_.anchors);
    document("rng", checkpoint_.rng);
    Document names;
    document("names", names);
    if (!names.is_null()) checkpoint_.names = names_from(names);
    const auto integer = [&](const char* key, int64_t& to) {
      if (const auto r = tree_.find(root, key)) to = tree_.as_integer(*r).value_or(to);
    };
    integer("epoch", checkpoint_.epoch);
    integer("updates", checkpoint_.updates);
    const auto number = [&](const char* key, double& to) {
      if (const auto r = tree_.find(root, key)) to = tree_.as_number(*r).value_or(to);
    };
    number("bn_eps", checkpoint_.bn_eps);
    number("bn_momentum", checkpoint_.bn_momentum);
    number("best_fitness", checkpoint_.best_fitness);
    if (const auto r = tree_.find(root, "fused"))
      checkpoint_.fused = checkpoint_.fused || (tree_.is(*r, ValueKind::kBool) && tree_.integer(*r) != 0);
    if (const auto r = tree_.find(root, "training_results"); r && tree_.is(*r, ValueKind::kString))
      checkpoint_.training_results = std::string(tree_.text(*r));
    if (const auto r = tree_.find(root, "optimizer")) read_optimizer(*r);
  }

  // Every tensor below the dict, named by the keys on its way; `param_groups` apart.
  void read_optimizer(Ref optimizer) {
    if (!tree_.is(optimizer, ValueKind::kDict)) return;
    struct Place {
      Ref ref;
      std::string name;
    };
    constexpr size_t kMaxPlaces = 1'000'000;
    size_t visited = 0;
    std::vector<Place> stack{{optimizer, "optimizer"}};
    while (!stack.empty()) {
      const Place place = std::move(stack.back());
      stack.pop_back();
      if (++visited > kMaxPlaces || place.name.size() > kMaxTensorName)
        fail(ExitCode::kModel, "optimizer",
             "the optimizer state has too many tensors, or names that are too long");
      if (tree_.is(place.ref, ValueKind::kTensor))
        checkpoint_.optimizer.add(place.name, file_.tensor(place.ref));
      if (!tree_.is(place.ref, ValueKind::kDict)) continue;
      const auto items = tree_.items(place.ref);
      for (size_t i = items.size(); i >= 2; i -= 2) {
        const Ref key = items[i - 2], value = items[i - 1];
        const std::string part = tree_.is(key, ValueKind::kInt)      ? std::to_string(tree_.integer(key))
                                 : tree_.is(key, ValueKind::kString) ? std::string(tree_.text(key))
                                                                     : std::string();
        if (place.ref == optimizer && part == "param_groups")
          checkpoint_.optimizer_groups = to_document(tree_, value);
        else if (!part.empty()) stack.push_back({value, place.name + "." + part});
      }
    }
  }

  PtFile file_;
  const PickleTree& tree_;
  Checkpoint checkpoint_;
};

Checkpoint read_safetensors_checkpoint(std::span<const std::byte> bytes,
                                       const std::shared_ptr<const void>& keeper) {
  Checkpoint c;
  std::map<std::string, std::string> metadata;
  c.model = without_wrapper_prefixes(parse_safetensors(bytes, keeper, &metadata));
  if (c.model.empty()) refuse_no_model("the file holds no tensor");
  const auto document = [&](const char* key) {
    const auto it = metadata.find(key);
    return it == metadata.end() ? Document{} : document_from_json(it->second);
  };
  c.cfg = document("cfg");
  c.heads = document("heads");
  c.names = names_from(document("names"));
  return c;
}

bool warn_of_non_finite(const Checkpoint& c) {
  const std::vector<std::string> names = non_finite_tensors(c.inference_weights());
  if (names.empty()) return false;
  std::string list;
  for (size_t i = 0; i < names.size() && i < 5; ++i) list += (i ? ", " : "") + quoted(names[i]);
  log::warning("{} tensors hold NaN or infinity: {}{}", names.size(), list, names.size() > 5 ? ", ..." : "");
  return true;
}

Checkpoint interpret(std::span<const std::byte> bytes, const std::shared_ptr<const void>& keeper,
                     Checksums checksums) {
  Checkpoint c;
  switch (recognise(bytes)) {
    case Container::kZip:
      c = PtInterpreter(PtFile::open_zip(bytes, keeper, checksums)).read();
      c.container = "zip";
      break;
    case Container::kLegacy:
      c = PtInterpreter(PtFile::open_legacy(bytes, keeper)).read();
      c.container = "legacy";
      break;
    case Container::kSafetensors:
      c = read_safetensors_checkpoint(bytes, keeper);
      c.container = "safetensors";
      break;
  }
  return c;
}

}  // namespace

Checkpoint parse_checkpoint(std::span<const std::byte> bytes, const std::shared_ptr<const void>& keeper) {
  Checkpoint c = interpret(bytes, keeper, Checksums::kCheck);
  warn_of_non_finite(c);
  return c;
}

Checkpoint read_checkpoint(const std::string& path, const CacheFolder& cache) {
  constexpr size_t kLarge = size_t(32) << 20;  // bytes; less is summed in a few milliseconds
  try {
    std::string state = cache.state_of(path);
    const auto file = MappedFile::open(path);
    if (cache.state_of(path) != state) state.clear();  // another file took its place
    const bool large = file->bytes().size() >= kLarge;
    const bool known = large && cache.was_checked(state);
    Checkpoint c = interpret(file->bytes(), file, known ? Checksums::kKnown : Checksums::kCheck);
    c.file = path;
    c.mapped = {file, state};
    const bool warned = !known && warn_of_non_finite(c);
    if (large && !known && !warned && cache.state_of(path) == state) cache.mark_checked(state);
    return c;
  } catch (const Error& e) {
    ErrorInfo info = e.in_file(path).info();
    info.exit = ExitCode::kModel;
    throw Error(std::move(info));
  }
}

}  // namespace mtyolo::models
