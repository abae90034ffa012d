#include "cli/options.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/file.h"
#include "tests/cli/command.h"

using namespace mtyolo;
using namespace mtyolo::cli;
using Words = std::vector<std::string>;

namespace {

struct Verb {
  Options options{"infer", "finds objects"};
  std::vector<std::string> sources, classes{"all"};
  std::string device = "cpu", dtype = "fp32", config;
  int size = 640, batch = 1;
  double conf = 0.25;
  bool rect = true, json = false;

  Verb() {
    options.positionals({.name = "SOURCE", .help = "picture"}, sources);
    options.text("device", device, "where");
    options.text("config", config, "flags");
    options.choice("dtype", dtype, {"fp32", "bf16"}, "element type");
    options.image_size("img-size", size, "longest side");
    options.integer("batch-size", batch, -1, 64, "pictures at once");
    options.real("conf-thres", conf, 0, 1, "smallest score");
    options.list("classes", classes, "ids or names");
    options.toggle("rect", rect, "pad less");
    options.toggle("json", json, "as JSON");
  }
};

std::string refusal(const Words& words) {
  try {
    Verb().options.parse(words);
  } catch (const Error& e) {
    CHECK(e.exit_code() == ExitCode::kUsage);
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("options: values land in their variables and defaults stay") {
  Verb v;
  REQUIRE(v.options.parse(
      {"a b.jpg", "[x]", "--batch", "-1", "device=[x]", "classes=0,2", "no-rect=true", "--conf", "1"}));
  CHECK(v.sources == Words{"a b.jpg", "[x]"});
  CHECK(v.batch == -1);
  CHECK(v.device == "[x]");
  CHECK(v.classes == Words{"0", "2"});
  CHECK(v.rect == false);
  CHECK(v.conf == 1.0);
  CHECK(v.size == 640);
  CHECK(v.options.given("batch-size"));
  CHECK(!v.options.given("img-size"));
}

TEST_CASE("options: an empty value and one that looks like a flag stay values") {
  Verb v;
  REQUIRE(v.options.parse({"a.jpg", "--device", ""}));
  CHECK(v.device == "");
  REQUIRE(v.options.parse({"a.jpg", "--device=--rect"}));
  CHECK(v.device == "--rect");
}

TEST_CASE("options: the last value of a flag wins and lists add up") {
  Verb v;
  REQUIRE(v.options.parse({"a.jpg", "--conf", "0.3", "--conf", "0.5", "--classes", "1", "--classes", "2"}));
  CHECK(v.conf == 0.5);
  CHECK(v.classes == Words{"1", "2"});
}

TEST_CASE("options: a value of the wrong kind or out of range is refused with what was expected") {
  CHECK(refusal({"a", "--conf", "2"}) == "--conf-thres is '2', expected a number in 0..1");
  CHECK(refusal({"a", "--conf", "nan"}) == "--conf-thres is 'nan', expected a number in 0..1");
  CHECK(refusal({"a", "--batch", "1x"}) == "--batch-size is '1x', expected a whole number in -1..64");
  CHECK(refusal({"a", "--img", "99999999999999999999"}) ==
        "--img-size is '99999999999999999999', expected a whole number in 32..16384");
  CHECK(refusal({"a", "--half"}) == "--dtype is 'fp16', expected fp32, bf16");
}

TEST_CASE("options: a missing positional is named") {
  CHECK(refusal({"--rect"}).starts_with("infer: SOURCE is missing; write mtyolo infer SOURCE"));
}

TEST_CASE("options: --help goes before everything and shows the defaults") {
  Verb v;
  CHECK(!v.options.parse({"--unknown", "--help"}));
  const std::string help = v.options.help();
  CHECK(help.find("--conf-thres X=0.25") != std::string::npos);
  CHECK(help.find("--dtype fp32|bf16=fp32") != std::string::npos);
  CHECK(help.find("--no-rect turns it off") != std::string::npos);
}

TEST_CASE("options: a flag file gives what the command line does not") {
  const test::TempFolder scratch;
  const std::string file = scratch.path("flags.yaml");
  write_file_atomically(file, "conf: 0.4\nimgsz: 320\nrect: false\nclasses: [1, 2]\nsource: x.jpg\n");
  Verb v;
  REQUIRE(v.options.parse({"--config", file, "--img", "64"}));
  CHECK(v.conf == 0.4);
  CHECK(v.size == 64);
  CHECK(v.rect == false);
  CHECK(v.classes == Words{"1", "2"});
  CHECK(v.sources == Words{"x.jpg"});
}

TEST_CASE("options: a mistake in the flag file is refused with its line") {
  const test::TempFolder scratch;
  const std::string file = scratch.path("flags.yaml");
  write_file_atomically(file, "conf: 0.4\nwieghts_: 3\n");
  CHECK(refusal({"--config", file}).starts_with(file + ": line 2: infer: unknown flag '--wieghts_'"));
  write_file_atomically(file, "rect: perhaps\n");
  CHECK(refusal({"--config", file}).find("rect is 'perhaps', expected true or false") != std::string::npos);
  CHECK(refusal({"--config", scratch.path("missing.yaml")}) ==
        scratch.path("missing.yaml") + ": no such file");
}
