// golden_tests --list            prints KIND/CASE and its folder, one case a line
// golden_tests FOLDER            runs the case in FOLDER: exit 0 passed, 1 failed, 77 not built or no data
#include <iostream>
#include <map>

#include "tests/golden/kinds.h"
#include "tests/support/skip.h"

using namespace mtyolo::test;

namespace {

const std::map<std::string, void (*)(const GoldenCase&)> kKinds{
    {"ops", run_ops_case},
    {"checkpoint", run_checkpoint_case},
    {"forward", run_forward_case},
    {"nms", run_nms_case},
    {"detect", run_detect_case},
    {"letterbox", run_letterbox_case},
    {"autoanchor", run_autoanchor_case},
    {"metrics", run_metrics_case},
    {"multitask", run_multitask_case},
    {"loss", run_loss_case},
    {"train-step", run_train_step_case},
};

int list_cases() {
  for (const auto& folder : golden_folders()) {
    const GoldenCase c = load_golden(folder, GoldenParts::kInfo);
    std::cout << c.kind << "/" << c.name << "|" << folder.string() << "\n";
  }
  return 0;
}

int run_case(const std::string& folder) {
  try {
    const GoldenCase c = load_golden(folder);
    const auto kind = kKinds.find(c.kind);
    if (kind == kKinds.end()) throw GoldenNotBuilt("cases of kind '" + c.kind + "' are not built yet");
    kind->second(c);
    std::cout << c.kind << "/" << c.name << ": holds\n";
    return 0;
  } catch (const GoldenNotBuilt& e) {
    std::cout << "skipped: " << e.what() << "\n";
    return kSkipExitCode;
  } catch (const std::exception& e) {
    std::cout << folder << ": " << e.what() << "\n";
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: golden_tests --list | FOLDER\n";
    return 2;
  }
  return std::string(argv[1]) == "--list" ? list_cases() : run_case(argv[1]);
}
