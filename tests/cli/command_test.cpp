#include "tests/cli/command.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/verbs.h"
#include "core/file.h"

using namespace mtyolo;
using namespace mtyolo::test;
using nlohmann::json;

TEST_CASE("command: --version and --help answer on stdout") {
  const CommandResult version = run_mtyolo({"--version"});
  CHECK(version.exit_code == 0);
  CHECK(version.out.starts_with("mtyolo "));
  CHECK(version.err.empty());
  const CommandResult help = run_mtyolo({"--help"});
  CHECK(help.exit_code == 0);
  for (const auto& verb : cli::verbs()) CHECK(help.out.find("  " + verb.name + " ") != std::string::npos);
}

TEST_CASE("command: every verb has a help that names the common flags") {
  for (const auto& verb : cli::verbs()) {
    const CommandResult r = run_mtyolo({verb.name, "--help"});
    CHECK(r.exit_code == 0);
    CHECK(r.out.find("mtyolo " + verb.name) != std::string::npos);
    CHECK(r.out.find("--threads N=0") != std::string::npos);
    CHECK(r.err.empty());
  }
}

TEST_CASE("command: without a verb the help goes to stderr with exit 2") {
  const CommandResult r = run_mtyolo({});
  CHECK(r.exit_code == 2);
  CHECK(r.out.empty());
  CHECK(r.err.find("Usage: mtyolo VERB") != std::string::npos);
}

TEST_CASE("command: a verb of another version is refused and not listed") {
  const CommandResult r = run_mtyolo({"serve", "--port", "1"});
  CHECK(r.exit_code == 2);
  CHECK(r.out.empty());
  CHECK(r.err.find("error: the verb 'serve' is not part of this version") == 0);
  CHECK(r.err.find("the nearest verb it has is '") != std::string::npos);
  CHECK(run_mtyolo({"--help"}).out.find("serve") == std::string::npos);
}

TEST_CASE("command: an unknown verb is refused with the nearest one") {
  const CommandResult r = run_mtyolo({"infoo"});
  CHECK(r.exit_code == 2);
  CHECK(r.err == "error: unknown verb 'infoo'; did you mean 'info'?\n");
  CHECK(run_mtyolo({"test"}).err == "error: 'test' belongs to the launcher; write ./mtyolo test\n");
}

TEST_CASE("command: with --json an error is one document on stdout and stderr stays empty") {
  const CommandResult r = run_mtyolo({"info", "--thraeds", "2", "--json"});
  CHECK(r.exit_code == 2);
  CHECK(r.err.empty());
  const json d = json::parse(r.out);
  CHECK(d["schema_version"] == 1);
  CHECK(d["kind"] == "error");
  CHECK(d["code"] == "usage");
  CHECK(d["exit"] == 2);
  CHECK(d["message"] == "info: unknown flag '--thraeds'");
  CHECK(d["suggestion"] == "did you mean '--threads'?");
}

TEST_CASE("command: a device this build cannot use is refused") {
  const CommandResult r = run_mtyolo({"info", "--device", "0"});
  CHECK(r.exit_code == 2);
  CHECK(r.err.find("error: --device '0': ") == 0);  // the reason is the machine's
  CHECK(r.err.find("; leave --device out or give cpu\n") != std::string::npos);
  CHECK(run_mtyolo({"info", "device=cpu"}).exit_code == 0);
  const CommandResult train = run_mtyolo({"train", "data.yaml", "--device", "0"});
  CHECK(train.exit_code == 2);
  CHECK(train.err.find("error: --device '0': train runs on the CPU only") == 0);
}

TEST_CASE("command: info tells the machine, as text and as one document") {
  const CommandResult text = run_mtyolo({"info"});
  CHECK(text.exit_code == 0);
  CHECK(text.out.find("cores ") != std::string::npos);
  const CommandResult r = run_mtyolo({"info", "--json", "--verbose"});
  const json d = json::parse(r.out);
  CHECK(d["kind"] == "info");
  CHECK(d["build"]["cuda"] == nullptr);
  CHECK(d["cpu"]["cores_usable"].get<int>() >= 1);
  CHECK(d["ram"]["total_bytes"].get<int64_t>() > (1 << 20));
  CHECK(d["limits"]["yaml_depth"] == 64);
}

TEST_CASE("command: flags without meaning get one note on stderr, none with --quiet") {
  CHECK(run_mtyolo({"info", "--no-trace"}).err == "note: --no-trace has no effect here\n");
  CHECK(run_mtyolo({"info", "--no-trace", "--quiet"}).err.empty());
}

TEST_CASE("command: --profile and --log-file write their files") {
  const TempFolder scratch;
  const CommandResult r = run_mtyolo(
      {"info", "--quad", "--profile", scratch.path("trace.json"), "--log-file", scratch.path("log")});
  CHECK(r.exit_code == 0);
  CHECK(json::parse(read_file(scratch.path("trace.json"), 1 << 20)).contains("traceEvents"));
  CHECK(read_file(scratch.path("log"), 1 << 20).find("--quad has no effect here") != std::string::npos);
}

TEST_CASE("launcher: test with a data set asks whether val was meant, before anything is built") {
  const CommandResult r = run_program({"./mtyolo", "test", "my data/coco.yaml"});
  CHECK(r.exit_code == 2);
  CHECK(r.out.empty());
  CHECK(r.err == "mtyolo: test runs the project's own tests; did you mean ./mtyolo val my data/coco.yaml?\n");
  CHECK(run_program({"./mtyolo", "build", "all"}).exit_code == 2);
}
