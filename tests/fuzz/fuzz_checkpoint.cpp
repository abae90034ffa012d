// Whole checkpoints. The input is the pickle; the zip around it, with valid checksums, and one storage of 64
// bytes are made here, so that mutations reach the interpreter and the model reader. Accepted means: every
// tensor can be read.
#include "models/weights/checkpoint.h"
#include "models/weights/digest.h"
#include "tests/weights/builders.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mtyolo;
  const std::string pickle(reinterpret_cast<const char*>(data), size);
  const std::string bytes = test::make_zip({{"m/data.pkl", pickle, 0, {}},
                                            {"m/version", "3\n", 0, {}},
                                            {"m/data/0", std::string(64, '\1'), 0, {}}});
  try {
    const models::Checkpoint c = models::parse_checkpoint(test::bytes_of(bytes), nullptr);
    for (const models::StateDict* tensors : {&c.model, &c.ema, &c.optimizer})
      for (const auto& [name, tensor] : tensors->entries())
        if (tensor.numel() < 100'000) models::digest_of(name, tensor);
  } catch (const Error&) {
  }
  return 0;
}
