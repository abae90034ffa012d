#include "models/weights/checkpoint.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/file.h"
#include "core/log.h"
#include "models/weights/digest.h"
#include "models/weights/metadata.h"
#include "models/weights/module_walk.h"
#include "models/weights/safetensors.h"
#include "tests/support/golden.h"
#include "tests/support/skip.h"
#include "tests/support/temp_folder.h"
#include "tests/weights/builders.h"
#include "tests/weights/expect_refused.h"

using namespace mtyolo;
using namespace mtyolo::models;
using namespace mtyolo::test;

namespace {

std::string temporary(const char* name) { return (std::filesystem::temp_directory_path() / name).string(); }

// The message of refusing a file with this content.
std::string message(const std::string& bytes) {
  return refused([&] { parse_checkpoint(bytes_of(bytes), nullptr); }).message;
}

void check_equal(const StateDict& a, const StateDict& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(a.entries()[i].first == b.entries()[i].first);
    CHECK(bit_equal(a.entries()[i].second, b.entries()[i].second));
  }
}

Checkpoint sample() {
  Checkpoint c;
  c.model.add("model.0.conv.weight", Tensor::from<float>({1, 2, 3, 4, 5, 6}, {3, 2}));
  c.model.add("heads.a.model.1.m.0.bias", Tensor::full({4}, 0.5, DType::kF16));
  c.model.add("model.0.bn.num_batches_tracked", Tensor::from<int64_t>({7}, {}));
  c.model.add("empty", Tensor::empty({0, 5}, DType::kBF16));
  c.model.add("transposed", Tensor::from<double>({1, 2, 3, 4, 5, 6}, {2, 3}).permute({1, 0}));
  c.ema.add("model.0.conv.weight", Tensor::full({3, 2}, -1.25));
  c.optimizer.add("optimizer.state.0.momentum_buffer", Tensor::full({2}, 9));
  c.optimizer_groups = Document::list({Document::map({{"lr", Document::scalar("0.01")}})});
  c.cfg = Document::map({{"nc", Document::scalar("2")},
                         {"flag", Document::scalar("true")},
                         {"text", Document::scalar("12", true)},
                         {"none", Document{}}});
  c.heads = Document::map({{"a", Document::map({{"classes", Document::list({Document::scalar("0")})}})}});
  c.hyp = Document::map({{"lr0", Document::scalar("0.01")}});
  c.names = {"cat", "1", "na\"me\xc3\xa9"};
  c.epoch = 70000;
  c.updates = int64_t(1) << 40;
  c.best_fitness = 0.1;
  return c;
}

}  // namespace

TEST_CASE("checkpoint: what write_pt writes is read back bit for bit", "[weights][checkpoint]") {
  const Checkpoint c = sample();
  const std::string path = temporary("mtyolo_round_trip.pt");
  write_pt(path, c);
  const Checkpoint back = read_checkpoint(path);
  std::filesystem::remove(path);
  check_equal(back.model, c.model);
  check_equal(back.ema, c.ema);
  check_equal(back.optimizer, c.optimizer);
  for (const auto& [a, b] :
       {std::pair(&back.cfg, &c.cfg), std::pair(&back.heads, &c.heads), std::pair(&back.hyp, &c.hyp),
        std::pair(&back.optimizer_groups, &c.optimizer_groups)})
    CHECK(document_to_json(*a) == document_to_json(*b));
  CHECK(back.names == c.names);
  CHECK(back.epoch == 70000);
  CHECK(back.updates == int64_t(1) << 40);
  CHECK(back.best_fitness == 0.1);
  CHECK(back.container == "zip");
  CHECK(back.top_level_keys.front() == "format");
}

TEST_CASE("checkpoint: write_safetensors keeps the inference weights, cfg, names and heads",
          "[weights][checkpoint]") {
  const Checkpoint c = sample();
  const std::string path = temporary("mtyolo_round_trip.safetensors");
  write_safetensors(path, c);
  const Checkpoint back = read_checkpoint(path);
  std::filesystem::remove(path);
  check_equal(back.model, c.ema);
  CHECK(document_to_json(back.cfg) == document_to_json(c.cfg));
  CHECK(document_to_json(back.heads) == document_to_json(c.heads));
  CHECK(back.names == c.names);
  CHECK(back.container == "safetensors");
}

TEST_CASE("checkpoint P10: a file that is something else is called by its name", "[weights][checkpoint]") {
  CHECK(message("") == "is empty");
  CHECK(message("<!DOCTYPE html><html>") == "is an HTML page, not weights");
  CHECK(message(R"({"error": 404})") == "is a JSON text, not weights");
  CHECK(message("version https://git-lfs.github.com/spec/v1\n") == "is a Git LFS pointer, not the weights");
  CHECK(message(std::string(257, '\0') + "ustar" + std::string(250, '\0')).starts_with("is a tar archive"));
  CHECK(message(std::string("GGUF\3\0\0\0", 8)) == "is a GGUF file");
  CHECK(message("\x89HDF\r\n\x1a\n") == "is an HDF5 file (Keras?)");
  CHECK(message("\x08\x07\x12\x07pytorch") == "is an ONNX model, not a checkpoint");
  CHECK(message("just some words\n") == "is a text file, not weights");
  CHECK(message("PK\x03\x04") == "the zip has no end record");
  CHECK(message(make_zip({{"m/data.pkl", pickle::whole("N"), 0, {}}, {"m/constants.pkl", "", 0, {}}})) ==
        "is a TorchScript archive, not a checkpoint");
}

TEST_CASE("checkpoint: a file without a model says what it holds instead", "[weights][checkpoint]") {
  CHECK(message(make_pt("K\x05")) == "no model inside: the file holds an integer");
  CHECK(message(make_pt("}")) == "no model inside: the dict has 0 keys, none of which holds weights");
  CHECK(message(make_pt(pickle::dict(pickle::text("model") + pickle::global("models.x", "Net") + ")\x81"))) ==
        "no model inside: in its place is an object of class 'models.x.Net'");
}

TEST_CASE("checkpoint 7.5: prefixes of wrappers are removed and bare rows gain one",
          "[weights][checkpoint]") {
  const auto first = [](const std::string& name) {
    StateDict s;
    s.add(name, Tensor::full({1}, 0));
    return without_wrapper_prefixes(s).entries().front().first;
  };
  CHECK(first("module.model.0.conv.weight") == "model.0.conv.weight");
  CHECK(first("model.module.model.0.conv.weight") == "model.0.conv.weight");
  CHECK(first("model.model.0.conv.weight") == "model.0.conv.weight");
  CHECK(first("0.conv.weight") == "model.0.conv.weight");
  CHECK(first("model.0.conv.weight") == "model.0.conv.weight");
  CHECK(first("whole") == "whole");
}

TEST_CASE("checkpoint: a legacy file cut or lengthened anywhere is refused", "[weights][checkpoint]") {
  const auto path = shared_folder() / "goldens/checkpoint/legacy_state_dict/model.pt";
  if (!std::filesystem::exists(path)) MTYOLO_SKIP("no golden data");
  const std::string bytes = read_file(path.string(), size_t(1) << 24);
  for (size_t n = 1; n < bytes.size(); n += 997) CHECK(message(bytes.substr(0, n)) != "accepted");
  CHECK(message(bytes + "x") == "1 bytes follow the last storage");
}

TEST_CASE("checkpoint: truncated at any byte the nano checkpoint is refused", "[weights][checkpoint]") {
  const auto path = shared_folder() / "goldens/checkpoint/nano/nano.pt";
  if (!std::filesystem::exists(path)) MTYOLO_SKIP("no golden data");
  const std::string bytes = read_file(path.string(), size_t(1) << 24);
  for (size_t n = 0; n < bytes.size(); n += 7) CHECK(message(bytes.substr(0, n)) != "accepted");
}

TEST_CASE("checkpoint: a flipped byte either loads or is refused, in bounded memory",
          "[weights][checkpoint]") {
  const auto path = shared_folder() / "goldens/checkpoint/nano/nano.pt";
  if (!std::filesystem::exists(path)) MTYOLO_SKIP("no golden data");
  const std::string bytes = read_file(path.string(), size_t(1) << 24);
  size_t loaded = 0;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    std::string flipped = bytes;
    flipped[at] = char(flipped[at] ^ char(1u << (at % 8)));
    loaded += message(flipped) == "accepted";
  }
  CHECK(loaded < bytes.size() / 3);  // padding and times may flip unseen, data may not
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  CHECK(usage.ru_maxrss < 512 * 1024);
}

TEST_CASE("checkpoint: weights that are not finite are named in one warning", "[weights][checkpoint]") {
  StateDict s;
  s.add("fine", Tensor::full({3}, 1, DType::kF16));
  s.add("bad", Tensor::from<float>({1, HUGE_VALF}, {2}));
  s.add("nan", Tensor::full({2}, NAN, DType::kBF16));
  CHECK(non_finite_tensors(s) == std::vector<std::string>{"bad", "nan"});
}

TEST_CASE("checkpoint: a large file's sums are checked once, and again after a change",
          "[weights][checkpoint]") {
  const TempFolder folder;
  const CacheFolder cache(folder.path("cache"));
  const std::string path = folder.path("large.pt");
  const auto write = [&](float value) {
    Checkpoint c;
    c.model.add("weight", Tensor::full({9 << 20}, value));
    write_pt(path, c);
  };
  const auto settled_state = [&] {
    while (cache.state_of(path).empty()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return cache.state_of(path);
  };
  const auto read = [&] { return refused([&] { read_checkpoint(path, cache); }).code; };
  write(1);
  CHECK(read_checkpoint(path, cache).mapped.state.empty());  // changed a moment ago
  const std::string state = settled_state();
  CHECK(read_checkpoint(path, cache).mapped.state == state);
  CHECK(cache.was_checked(state));

  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(1 << 20).put('\x41');
  CHECK(read() == "Z2");
  const std::string damaged = settled_state();
  CHECK(read() == "Z2");
  CHECK_FALSE(cache.was_checked(damaged));
  cache.mark_checked(damaged);
  CHECK(read() == "accepted");  // not summed

  write(NAN);
  const std::string warned = settled_state();
  CHECK(read() == "accepted");
  CHECK_FALSE(cache.was_checked(warned));  // the next start warns too
}

TEST_CASE("digest: sums are of the stored values and the hash is of the row-major bytes",
          "[weights][checkpoint]") {
  const TensorDigest d = digest_of("t", Tensor::from<float>({1, -2, 3, -4}, {2, 2}).permute({1, 0}));
  CHECK(d.sum == -2);
  CHECK(d.abs_sum == 10);
  CHECK(d.sha256 == digest_of("u", Tensor::from<float>({1, 3, -2, -4}, {2, 2})).sha256);
  CHECK(d.sha256 != digest_of("u", Tensor::from<float>({1, -2, 3, -4}, {2, 2})).sha256);
}
