// --impl OP=NAME.
#include "ops/impls.h"

#include "cli/common.h"

namespace mtyolo::cli {

ops::Impls make_impls(const CommonOptions& common) {
  ops::Impls impls;
  ops::register_cpu_impls(impls);
  for (const std::string& choice : common.impl) impls.force(choice);
  return impls;
}

}  // namespace mtyolo::cli
