// The model description: rows of the YOLOv7 cfg (graph.md section 1), from a YAML file, from the dict pickled
// inside a checkpoint, or from our own compact notation.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/document.h"
#include "models/sharing.h"

namespace mtyolo::models {

// One argument of a row. Text is looked up in tables, never evaluated.
struct CfgArg {
  enum class Kind { kNull, kNumber, kBool, kText, kList };
  Kind kind = Kind::kNull;
  double number = 0;
  bool flag = false;
  std::string text;           // "nc", "anchors", "nearest", "nn.LeakyReLU(0.1)"
  std::vector<CfgArg> items;  // kList
};

struct CfgRow {
  int index = 0;          // row number i
  std::vector<int> from;  // absolute row numbers; -1 only for the input image of row 0
  int repeats = 1;        // before depth_multiple
  std::string module;
  std::vector<CfgArg> args;
  int line = 0;  // in the file, 0 if none
};

struct Cfg {
  std::string source;  // file name, or what it came from; for messages
  int nc = 80;
  int channels = 3;  // key `ch`
  double depth_multiple = 1, width_multiple = 1;
  std::vector<std::vector<float>> anchors;  // per level: w,h,w,h,... in input pixels
  std::vector<CfgRow> rows;
  Sharing sharing;    // between heads; a network with one head ignores it
  Document document;  // in the official layout; stored in the checkpoints we write
};

// Limits on hostile files (reliability.md Y5, Y7).
inline constexpr int kMaxClasses = 100'000, kMaxCfgRows = 10'000, kMaxRepeats = 1000, kMaxLevels = 16;
inline constexpr int kMaxAnchorsPerLevel = 100;

// The official layout (graph.md 1) or our compact notation (models/compact_cfg.h, told by its key `rows`).
// Throws Error{kUsage, "config"} with line and column. `source` names the file, or where the document comes
// from.
Cfg cfg_from_document(const Document& document, const std::string& source);
Cfg cfg_from_file(const std::string& path);           // official YAML, or our compact notation
const std::vector<std::string>& shipped_cfg_names();  // "yolov7", "yolov7-deploy", "yolov7-tiny", ...
Cfg shipped_cfg(const std::string& name);             // throws Error with the nearest name
// A shipped name, else a path.
Cfg cfg_by_name(const std::string& name_or_path);

// The same network for another number of classes, with other anchors (per level w,h,... in input pixels), or
// with other sharing between heads, which throws Error{"sharing"} for rows it has not; the document follows.
Cfg with_classes(Cfg cfg, int nc);
Cfg with_anchors(Cfg cfg, const std::vector<std::vector<float>>& anchors);
Cfg with_sharing(Cfg cfg, const Sharing& sharing);

}  // namespace mtyolo::models
