// One function per kind of golden case. Each throws GoldenMismatch when the case does not hold and
// GoldenNotBuilt when the case needs something this version does not have.
#pragma once

#include "tests/support/golden.h"
#include "train/losses/loss.h"

namespace mtyolo::test {

void run_ops_case(const GoldenCase& c);
// Cases of kind ops that are compositions: run on a tape.
void run_repconv_train_case(const GoldenCase& c);
void run_implicit_head_case(const GoldenCase& c);
void run_checkpoint_case(const GoldenCase& c);
void run_forward_case(const GoldenCase& c);
void run_nms_case(const GoldenCase& c);
void run_detect_case(const GoldenCase& c);
void run_letterbox_case(const GoldenCase& c);
void run_autoanchor_case(const GoldenCase& c);
void run_metrics_case(const GoldenCase& c);
void run_multitask_case(const GoldenCase& c);
void run_loss_case(const GoldenCase& c);
void run_train_step_case(const GoldenCase& c);

// The cases of kind "ops" that belong to the losses; false: another op.
bool run_loss_ops_case(const GoldenCase& c);

// Rows of image, class, cx, cy, w, h.
std::vector<train::Target> targets_from(const Tensor& rows);

}  // namespace mtyolo::test
