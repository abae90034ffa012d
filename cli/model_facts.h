// What `mtyolo info` shows of a weight file, a cfg or a run.
#pragma once

#include <optional>
#include <string>

#include "cli/common.h"
#include "cli/output.h"
#include "models/model.h"

namespace mtyolo::cli {

// What was asked for.
struct InfoRequest {
  std::string subject;         // weight file, run folder, cfg file or shipped name
  std::string cfg;             // --cfg
  std::string dtype = "fp32";  // of --impls
  int img_size = 640;
  bool layers = false, tensors = false, memory = false, flops = false, impls = false;
};

// The subject read and checked. A file whose tensors fit no network has no model; `reason` says why.
struct InfoSubject {
  std::string path;  // of the weights, empty for a cfg
  std::optional<models::Checkpoint> checkpoint;
  std::optional<models::Model> model;
  std::string reason;
};

// Reads the subject with every check of loading, all CRCs included. A folder is a run: its weights/best.pt,
// else weights/last.pt. Without a network that fits, the error is thrown unless only the tensors are asked
// for.
InfoSubject read_subject(const InfoRequest& request, const CommonOptions& common);

std::string info_text(const InfoSubject& subject, const InfoRequest& request, const CommonOptions& common);
Json info_document(const InfoSubject& subject, const InfoRequest& request, const CommonOptions& common);

}  // namespace mtyolo::cli
