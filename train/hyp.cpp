#include "train/hyp.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/log.h"
#include "core/text.h"
#include "core/yaml.h"
#include "train/schedule.h"

namespace mtyolo::train {
namespace {

struct Field {
  const char* name;
  double Hyp::*member;
  double low, high;  // known-issues L12
};

// In the order of yolov7's files. A momentum of 1 never forgets; max(r, 1/r) < anchor_t has no solution at 1;
// a scale of 1 shrinks pictures to nothing.
constexpr Field kFields[] = {{"lr0", &Hyp::lr0, 0, 10},
                             {"lrf", &Hyp::lrf, 0, 1},
                             {"momentum", &Hyp::momentum, 0, 0.9999},
                             {"weight_decay", &Hyp::weight_decay, 0, 1},
                             {"warmup_epochs", &Hyp::warmup_epochs, 0, 1000},
                             {"warmup_momentum", &Hyp::warmup_momentum, 0, 0.9999},
                             {"warmup_bias_lr", &Hyp::warmup_bias_lr, 0, 10},
                             {"box", &Hyp::box, 0, 100},
                             {"cls", &Hyp::cls, 0, 100},
                             {"cls_pw", &Hyp::cls_pw, 0.001, 1000},
                             {"obj", &Hyp::obj, 0, 100},
                             {"obj_pw", &Hyp::obj_pw, 0.001, 1000},
                             {"iou_t", &Hyp::iou_t, 0, 1},
                             {"anchor_t", &Hyp::anchor_t, 1.01, 100},
                             {"fl_gamma", &Hyp::fl_gamma, 0, 10},
                             {"hsv_h", &Hyp::hsv_h, 0, 1},
                             {"hsv_s", &Hyp::hsv_s, 0, 1},
                             {"hsv_v", &Hyp::hsv_v, 0, 1},
                             {"degrees", &Hyp::degrees, 0, 180},
                             {"translate", &Hyp::translate, 0, 1},
                             {"scale", &Hyp::scale, 0, 0.99},
                             {"shear", &Hyp::shear, 0, 89},
                             {"perspective", &Hyp::perspective, 0, 0.001},
                             {"flipud", &Hyp::flipud, 0, 1},
                             {"fliplr", &Hyp::fliplr, 0, 1},
                             {"mosaic", &Hyp::mosaic, 0, 1},
                             {"mixup", &Hyp::mixup, 0, 1},
                             {"copy_paste", &Hyp::copy_paste, 0, 1},
                             {"paste_in", &Hyp::paste_in, 0, 1},
                             {"loss_ota", &Hyp::loss_ota, 0, 1}};

// Keys of conventions.md section 4 that no code acts on yet.
const std::array<std::string, 5> kNotBuilt{"gridmask", "cutmix", "clahe", "noise", "auto_augment"};

constexpr double kMaxFactor = 1000;
constexpr int64_t kMaxEpochs = 1'000'000;

const Field* find_field(const std::string& name) {
  for (const Field& f : kFields)
    if (name == f.name) return &f;
  return nullptr;
}

std::vector<std::string> known_keys() {
  std::vector<std::string> keys{"close_mosaic", "repeat_thr", "cls_weights", "head_weights", "lr_groups"};
  for (const Field& f : kFields) keys.push_back(f.name);
  return keys;
}

std::map<std::string, double> factors(const Document& value, const std::string& key) {
  if (!value.is_map())
    throw document_error(value, fmt::format("{} is no map of names to factors", key),
                         fmt::format("write {}: {{name: 1.0}}", key));
  std::map<std::string, double> out;
  for (const auto& [name, factor] : value.fields)
    out[name] = factor.as_double(fmt::format("{} of {}", key, quoted(name)), 0, kMaxFactor);
  return out;
}

std::vector<float> class_factors(const Document& value) {
  if (!value.is_list()) throw document_error(value, "cls_weights is no list with one factor for each class");
  std::vector<float> out;
  for (const Document& item : value.items)
    out.push_back(float(item.as_double(fmt::format("cls_weights[{}]", out.size()), 0, kMaxFactor)));
  return out;
}

void set_key(Hyp& hyp, const std::string& key, const Document& value) {
  if (const Field* f = find_field(key)) {
    hyp.*(f->member) = value.as_double(key, f->low, f->high);
  } else if (key == "close_mosaic") {
    hyp.close_mosaic = int(value.as_int(key, 0, kMaxEpochs));
  } else if (key == "repeat_thr") {
    hyp.repeat_thr = value.as_double(key, 0, 1);
  } else if (key == "cls_weights") {
    hyp.cls_weights = class_factors(value);
  } else if (key == "head_weights") {
    hyp.head_weights = factors(value, key);
  } else if (key == "lr_groups") {
    hyp.lr_groups = factors(value, key);
  } else if (key == "anchors") {
    // The reference numbers anchors 0..k and relies on its search to mend them (known-issues T24).
    if (value.as_double(key, 0, 100) != 0)
      throw document_error(value, "anchors of a hyp file are not built", "write the anchors into the cfg");
  } else if (std::find(kNotBuilt.begin(), kNotBuilt.end(), key) != kNotBuilt.end()) {
    throw document_error(value, fmt::format("{} is not built", key), "leave it out");
  } else {
    throw document_error(
        value, fmt::format("unknown hyper-parameter {}{}", quoted(key), did_you_mean(key, known_keys())));
  }
}

Hyp built_in(const std::string& name) {
  Hyp h;  // p5
  if (name == "p6") h.lrf = 0.2;
  if (name == "custom") {
    h.scale = 0.5;
    h.mixup = h.paste_in = 0;
  }
  if (name == "tiny") {
    h.lrf = 0.01;
    h.cls = 0.5;
    h.obj = 1;
    h.translate = 0.1;
    h.scale = 0.5;
    h.mixup = h.paste_in = 0.05;
  }
  return h;
}

std::string join(const std::vector<std::string>& parts) { return fmt::format("{}", fmt::join(parts, ", ")); }

}  // namespace

std::vector<std::string> built_in_hyps() { return {"p5", "p6", "tiny", "custom"}; }

Hyp hyp_from_document(const Document& document) {
  if (!document.is_map()) throw document_error(document, "hyper-parameters are no map of names to values");
  Hyp hyp;
  for (const auto& [key, value] : document.fields) set_key(hyp, key, value);
  return hyp;
}

Hyp read_hyp(const std::string& name_or_path) {
  const std::vector<std::string> names = built_in_hyps();
  if (std::find(names.begin(), names.end(), name_or_path) != names.end()) return built_in(name_or_path);
  Document document;
  try {
    document = read_yaml(name_or_path);
  } catch (const Error& e) {
    if (e.info().code != "file_not_found") throw;
    fail(ExitCode::kUsage, "config", "no file {} and no built-in hyper-parameters of that name; there are {}",
         quoted(name_or_path), join(names));
  }
  try {
    const Hyp hyp = hyp_from_document(document);
    std::vector<std::string> missing;
    for (const Field& f : kFields)
      if (document.find(f.name) == nullptr) missing.push_back(f.name);
    if (!missing.empty()) log::info("{}: not given, as in p5: {}", name_or_path, join(missing));
    return hyp;
  } catch (const Error& e) {
    throw e.in_file(name_or_path);
  }
}

Document hyp_to_document(const Hyp& hyp) {
  std::vector<std::pair<std::string, Document>> fields;
  const auto number = [](double x) { return Document::scalar(fmt::format("{}", x)); };
  const auto map = [&](const std::map<std::string, double>& values) {
    std::vector<std::pair<std::string, Document>> out;
    for (const auto& [name, value] : values) out.emplace_back(name, number(value));
    return Document::map(std::move(out));
  };
  for (const Field& f : kFields) fields.emplace_back(f.name, number(hyp.*(f.member)));
  fields.emplace_back("close_mosaic", Document::scalar(std::to_string(hyp.close_mosaic)));
  fields.emplace_back("repeat_thr", number(hyp.repeat_thr));
  if (!hyp.cls_weights.empty()) {
    std::vector<Document> items;
    for (const float w : hyp.cls_weights) items.push_back(Document::scalar(fmt::format("{}", w)));
    fields.emplace_back("cls_weights", Document::list(std::move(items)));
  }
  if (!hyp.head_weights.empty()) fields.emplace_back("head_weights", map(hyp.head_weights));
  if (!hyp.lr_groups.empty()) fields.emplace_back("lr_groups", map(hyp.lr_groups));
  return Document::map(std::move(fields));
}

ScaledHyp scaled_hyp(const Hyp& hyp, int levels, int nc, int64_t img_size, int64_t total_batch,
                     int64_t nominal_batch) {
  const double by_level = 3.0 / levels, side = double(img_size) / 640;
  const double steps = double(total_batch) * accumulation(total_batch, nominal_batch) / double(nominal_batch);
  return {.box = hyp.box * by_level,
          .obj = hyp.obj * side * side * by_level,
          .cls = hyp.cls * nc / 80.0 * by_level,
          .weight_decay = hyp.weight_decay * steps};
}

std::string hyp_yaml(const Hyp& hyp, const std::map<std::string, ScaledHyp>& scaled) {
  // A double-quoted YAML text is a JSON string: names from files may hold anything.
  const auto name_text = [](const std::string& name) {
    std::string out = "\"";
    for (const char c : name) {
      if (c == '"' || c == '\\') out += '\\';
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) out += fmt::format("\\x{:02x}", int(c));
      else out += c;
    }
    return out + "\"";
  };
  std::string out;
  for (const auto& [key, value] : hyp_to_document(hyp).fields) {
    out += key + ": ";
    std::vector<std::string> parts;
    for (const Document& item : value.items) parts.push_back(item.text);
    for (const auto& [name, factor] : value.fields) parts.push_back(name_text(name) + ": " + factor.text);
    if (value.is_scalar()) out += value.text;
    else if (value.is_list()) out += "[" + join(parts) + "]";
    else out += "{" + join(parts) + "}";
    out += "\n";
  }
  for (const auto& [head, s] : scaled)
    out += fmt::format("# {} of this run: box {:.6g}, obj {:.6g}, cls {:.6g}, weight_decay {:.6g}\n",
                       name_text(head), s.box, s.obj, s.cls, s.weight_decay);
  return out;
}

}  // namespace mtyolo::train
