#include <catch2/catch.hpp>

#include "models/weights/checkpoint.h"
#include "models/weights/pickle_machine.h"
#include "models/weights/value_document.h"
#include "tests/weights/builders.h"
#include "tests/weights/expect_refused.h"

using namespace mtyolo;
using namespace mtyolo::models;
using namespace mtyolo::test;
using namespace mtyolo::test::pickle;

namespace {

// The tree keeps views of the bytes.
PickleTree parse(const std::string& bytes) {
  ByteReader reader(bytes_of(bytes));
  return parse_pickle(reader, {});
}

// The rule that refuses PROTO 2, body, STOP.
std::string rule(const std::string& body) {
  return refused([&] { parse(whole(body)); }).code;
}

// The same for a checkpoint with one storage "0" of eight floats.
std::string pt_rule(const std::string& body) {
  const std::string bytes = make_pt(body);
  return refused([&] { parse_checkpoint(bytes_of(bytes), nullptr); }).code;
}

std::string model_of(const std::string& value) { return dict(text("w") + value); }
std::string pair(int a, int b) { return tuple(integer(a) + integer(b)); }

}  // namespace

TEST_CASE("pickle P1: plain values come out as they were written", "[weights][pickle]") {
  const std::string bytes =
      whole(dict(text("i") + integer(-5) + text("d") + "G" + "\x3f\xf8" + std::string(6, '\0') + text("l") +
                 "](" + "K\x07" + "\x88" + "N" + "e" + text("big") + "\x8a\x01\xff" + text("t") + "I01\n" +
                 text("f") + "F2.5\n"));
  const PickleTree tree = parse(bytes);
  const auto at = [&](const char* key) { return *tree.find(tree.root(), key); };
  CHECK(tree.integer(at("i")) == -5);
  CHECK(tree.number(at("d")) == 1.5);
  CHECK(tree.items(at("l")).size() == 3);
  CHECK(tree.number(at("f")) == 2.5);
  CHECK(tree.is(at("t"), ValueKind::kBool));
  CHECK(rule(dict(text("a") + "N" + text("a") + "N")) == "P1");
}

TEST_CASE("pickle P3: opcodes that could run code or reach outside are refused by name",
          "[weights][pickle]") {
  const auto message = [](const std::string& body) { return refused([&] { parse(whole(body)); }).message; };
  CHECK(message("(ios\nsystem\n") == "opcode INST is not accepted here");
  CHECK(message("(o") == "opcode OBJ is not accepted here");
  CHECK(message("P0\n") == "opcode PERSID is not accepted here");
  CHECK(message("\x82\x01") == "opcode EXT1 is not accepted here");
  CHECK(message("\x97") == "opcode NEXT_BUFFER is not accepted here");
  CHECK(message("\xfe") == "unknown opcode 0xfe");
  CHECK(refused([&] { parse(whole("N0\xfe")); }).where == "byte 5 of the pickle");
}

TEST_CASE("pickle P4: lengths, texts and numbers are checked", "[weights][pickle]") {
  CHECK(refused([] { parse("N."); }).code == "P4");
  CHECK(refused([] { parse("\x80\x06N."); }).code == "P4");
  CHECK(rule("X\xff\xff\xff\xff"
             "abc") == "P4");
  CHECK(rule("T\xff\xff\xff\xff"
             "abc") == "P4");
  CHECK(rule("\x8b\xff\xff\xff\xff") == "P4");
  CHECK(rule(text("\xff\xfe")) == "P4");
  CHECK(rule(text("\xed\xa0\x80")) == "accepted");  // a lone surrogate, as Python writes it
  CHECK(rule("I12x\n") == "P4");
  CHECK(rule("F1.5e\n") == "P4");
  CHECK(rule("\x95" + little(1000, 8) + "N") == "P4");
  CHECK(rule(global(std::string(257, 'm'), "C")) == "P4");
  CHECK(rule(global("a b", "C")) == "P4");
  CHECK(refused([] { parse("\x80\x02N"); }).message == "the pickle ends without STOP");
}

TEST_CASE("pickle P5: a name of the standard library, torch or numpy outside the table refuses the file",
          "[weights][pickle]") {
  for (const auto& [module, name] :
       std::vector<std::pair<std::string, std::string>>{{"os", "system"},
                                                        {"posix", "system"},
                                                        {"nt", "system"},
                                                        {"commands", "getoutput"},
                                                        {"__builtin__", "eval"},
                                                        {"builtins", "getattr"},
                                                        {"runpy", "_run_code"},
                                                        {"subprocess", "Popen"},
                                                        {"torch.hub", "load"},
                                                        {"torch", "load"},
                                                        {"numpy", "load"},
                                                        {"pip._internal", "main"},
                                                        {"importlib.util", "x"},
                                                        {"pathlib", "Path"},
                                                        {"torch.jit", "load"},
                                                        {"functools", "partial"},
                                                        {"_io", "open"},
                                                        {"datetime", "sys.exit"},
                                                        {"torch.storage", "UntypedStorage"},
                                                        {"torch.nn.modules.module", "os.system"},
                                                        {"collections", "abc"}}) {
    INFO(module << "." << name);
    CHECK(rule(global(module, name)) == "P5");         // as a plain value
    CHECK(rule(global(module, name) + "0N") == "P5");  // popped at once
    CHECK(rule(global(module, name) + ")R") == "P5");  // called
  }
  CHECK(rule("\x8c\x02os\x8c\x06system\x93") == "P5");
}

TEST_CASE("pickle P5: harmless and foreign classes become records", "[weights][pickle]") {
  for (const std::string& symbol :
       {global("argparse", "Namespace"), global("datetime", "datetime"), global("mymodels.net", "Thing"),
        global("torch.nn.modules.conv", "Conv2d")}) {
    CHECK(rule(symbol + ")\x81}b") == "accepted");
    CHECK(rule(symbol + ")R") == "accepted");
  }
  CHECK(rule(global("torch._tensor", "_rebuild_from_type_v2") +
             tuple(global("_codecs", "encode") + global("torch", "Tensor") + ")" + "N") + "R") == "P5");
}

TEST_CASE("pickle P6: every step accepts only its types", "[weights][pickle]") {
  CHECK(rule("}Na") == "P6");                           // APPEND on a dict
  CHECK(rule("]NNs") == "P6");                          // SETITEM on a list
  CHECK(rule("}(NNNu") == "P6");                        // odd number of values
  CHECK(rule("}]Ns") == "P6");                          // a list as key
  CHECK(rule("}]\x85Ns") == "P6");                      // a tuple with a list as key
  CHECK(rule("](N\x90") == "P6");                       // ADDITEMS on a list
  CHECK(rule("N}b") == "P6");                           // BUILD on None
  CHECK(rule(global("models.x", "C") + "}b") == "P6");  // BUILD on a class
  CHECK(rule("N)R") == "P6");                           // calling None
  CHECK(rule(global("models.x", "C") + "]R") == "P6");  // arguments that are no tuple
  CHECK(rule("0") == "P6");
  CHECK(rule("t") == "P6");
  CHECK(rule("N(a") == "P6");  // values below the mark are out of reach
  CHECK(rule(global("models.x", "C") + ")(R") == "P6");
  CHECK(rule("N(") == "P6");  // a mark is left
  CHECK(rule("NN") == "P6");
  CHECK(rule("h\x05") == "P6");
}

TEST_CASE("pickle P7: storages and tensors stay inside the file", "[weights][pickle]") {
  const std::string floats = storage("FloatStorage", "0", 8);
  CHECK(pt_rule(model_of(tensor(floats, 0, pair(2, 4), pair(4, 1)))) == "accepted");
  CHECK(pt_rule(model_of(tensor(floats, 0, pair(4, 2), pair(1, 4)))) == "accepted");
  CHECK(pt_rule(model_of(tensor(floats, 1, pair(2, 4), pair(4, 1)))) == "P7");
  CHECK(pt_rule(model_of(tensor(floats, -1, pair(1, 1), pair(1, 1)))) == "P7");
  CHECK(pt_rule(model_of(tensor(floats, 0, pair(-2, 4), pair(4, 1)))) == "P7");
  CHECK(pt_rule(model_of(tensor(floats, 0, pair(2, 4), pair(-4, 1)))) == "P7");
  CHECK(pt_rule(model_of(tensor(floats, 0, pair(2, 4), tuple(integer(1))))) == "P7");
  const std::string huge = "\x8a\x08" + little(uint64_t(1) << 62, 8);
  CHECK(pt_rule(model_of(tensor(floats, 0, tuple(huge + huge), pair(0, 0)))) == "P7");
  CHECK(pt_rule(model_of(tensor(floats, 0, tuple(integer(0) + huge), pair(9, 9)))) == "P7");
  CHECK(pt_rule(model_of(tensor(floats, 9, pair(0, 4), pair(99, 99)))) == "accepted");
  CHECK(pt_rule(model_of(tensor(storage("FloatStorage", "0", 9), 0, pair(1, 1), pair(1, 1)))) == "P7");
  CHECK(pt_rule(model_of(tensor(storage("DoubleStorage", "0", 8), 0, pair(1, 1), pair(1, 1)))) == "P7");
  CHECK(pt_rule(model_of(tensor(storage("FloatStorage", "1", 8), 0, pair(1, 1), pair(1, 1)))) == "P7");
  CHECK(pt_rule(model_of(tensor(storage("FloatStorage", "../m/data/0", 8), 0, pair(1, 1), pair(1, 1)))) ==
        "P7");
  CHECK(pt_rule(model_of(tensor("N", 0, pair(1, 1), pair(1, 1)))) == "P6");
  CHECK(pt_rule(text("file") + "Q") == "P6");
  CHECK(pt_rule(tuple(text("file")) + "Q") == "P7");
}

TEST_CASE("pickle P8: cycles, depth, marks and shared explosions are refused", "[weights][pickle]") {
  CHECK(rule("]q\x01h\x01"
             "a") == "P8");
  std::string deep, marks(201, '('), explosion = "]q";
  for (int i = 0; i < 250; ++i) deep += "]";
  CHECK(rule(deep + std::string(249, 'a')) == "P8");
  CHECK(rule(deep.substr(0, 150) + std::string(149, 'a')) == "accepted");
  CHECK(rule(marks) == "P8");
  explosion = "](NNNNNNNNNNe";
  for (int level = 0; level < 9; ++level) {
    const std::string memo(1, char(level));
    std::string next = "q" + memo + "0](";
    for (int i = 0; i < 10; ++i) next += "h" + memo;
    explosion += next + "e";
  }
  CHECK(rule(explosion) == "P8");
  CHECK(rule("Nr\xff\xff\xff\xff") == "accepted");  // a huge memo index costs nothing
}

TEST_CASE("pickle P9: rank and copied-out bytes are bounded", "[weights][pickle]") {
  const std::string floats = storage("FloatStorage", "0", 8);
  std::string ones, zeros;
  for (int i = 0; i < 17; ++i) ones += integer(1), zeros += integer(0);
  CHECK(pt_rule(model_of(tensor(floats, 0, tuple(ones), tuple(zeros)))) == "P9");
  CHECK(pt_rule(model_of(tensor(floats, 0, pair(100000, 100000), pair(0, 0)))) == "P9");
}

TEST_CASE("pickle: a pickled dict reads like the YAML file it came from", "[weights][pickle]") {
  const std::string bytes =
      whole(dict(text("nc") + integer(80) + text("width") + "F1\n" + text("s") + text("12") + text("none") +
                 "N" + text("flag") + "\x88" + text("name") + text("None")));
  const PickleTree tree = parse(bytes);
  const Document d = to_document(tree, tree.root());
  CHECK(d.find("nc")->text == "80");
  CHECK(d.find("width")->text == "1.0");
  CHECK(d.find("s")->quoted_text);
  CHECK(d.find("none")->is_null());
  CHECK(d.find("flag")->as_bool("flag"));
  CHECK(d.find("name")->text == "None");
  CHECK_FALSE(d.find("name")->quoted_text);
}
