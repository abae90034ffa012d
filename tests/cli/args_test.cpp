#include "cli/args.h"

#include <catch2/catch.hpp>

#include "core/error.h"

using namespace mtyolo;
using namespace mtyolo::cli;
using Words = std::vector<std::string>;

namespace {

ArgTable infer_table() {
  ArgTable t;
  t.verb = "infer";
  t.flags = {
      {"img-size", FlagKind::kImageSize}, {"conf-thres", FlagKind::kValue}, {"config", FlagKind::kValue},
      {"iou-thres", FlagKind::kValue},    {"classes", FlagKind::kList},     {"rect", FlagKind::kSwitch},
      {"nosave", FlagKind::kSwitch},      {"weights", FlagKind::kValue},    {"dtype", FlagKind::kValue},
      {"save-txt", FlagKind::kSwitch},    {"save-conf", FlagKind::kSwitch}, {"batch-size", FlagKind::kValue},
      {"impl", FlagKind::kList}};
  t.aliases = {{"imgsz", "img-size"}, {"conf", "conf-thres"}, {"model", "weights"}, {"adam-x", "missing"}};
  t.shorthands = {{"half", {"dtype", "fp16"}}, {"adam", {"optimizer", "adam"}}};
  t.positional_flags = {"source"};
  return t;
}

// "flag=value,value flag=value | positional positional | notes"
std::string spelled(const Words& words) {
  const NormalArgs n = normalise(words, infer_table());
  std::string text;
  for (const Setting& s : n.settings) text += fmt::format("{}={} ", s.flag, fmt::join(s.values, ","));
  text += fmt::format("| {} |", fmt::join(n.positionals, " "));
  for (const std::string& note : n.notes) text += " " + note;
  return text;
}

std::string refusal(const Words& words) {
  try {
    normalise(words, infer_table());
  } catch (const Error& e) {
    CHECK(e.exit_code() == ExitCode::kUsage);
    CHECK(e.info().code == "usage");
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("args: a unique prefix stands for the flag and an exact alias goes before a prefix") {
  CHECK(spelled({"--img", "640"}) == "img-size=640 |  |");
  CHECK(spelled({"--imgs", "640"}) == "img-size=640 |  |");
  CHECK(spelled({"--batch", "-1"}) == "batch-size=-1 |  |");
  CHECK(spelled({"--conf", "0.3"}) == "conf-thres=0.3 |  |");
  CHECK(spelled({"--confi", "f.yaml"}) == "config=f.yaml |  |");
  CHECK(spelled({"--model", "a.pt"}) == "weights=a.pt |  |");
}

TEST_CASE("args: an ambiguous prefix is refused with the flags it could be") {
  CHECK(refusal({"--save"}) == "--save is ambiguous; write one of --save-conf, --save-txt");
  CHECK(refusal({"--i", "1"}).find("--img-size") != std::string::npos);
}

TEST_CASE("args: underscores, one dash, equals signs and key=value are the same flag") {
  CHECK(spelled({"--conf_thres", "0.3"}) == "conf-thres=0.3 |  |");
  CHECK(spelled({"-conf-thres", "0.3"}) == "conf-thres=0.3 |  |");
  CHECK(spelled({"--conf-thres=0.3"}) == "conf-thres=0.3 |  |");
  CHECK(spelled({"conf=0.3", "imgsz=320", "rect=False"}) == "conf-thres=0.3 img-size=320 rect=false |  |");
  CHECK(spelled({"conf=a=0.3,b=0.2"}) == "conf-thres=a=0.3,b=0.2 |  |");
  CHECK(spelled({"--weights="}) == "weights= |  |");
}

TEST_CASE(
    "args: a switch is turned off by --no-FLAG, also by prefix, and named flags beginning with no stay") {
  CHECK(spelled({"--no-rect"}) == "rect=false |  |");
  CHECK(spelled({"--no-re"}) == "rect=false |  |");
  CHECK(spelled({"--no-rect=false"}) == "rect=true |  |");
  CHECK(spelled({"--nosave"}) == "nosave=true |  |");
  CHECK(refusal({"--no-weights"}) == "infer: unknown flag '--no-weights'; did you mean '--weights'?");
  CHECK(refusal({"--rect=maybe"}) == "--rect is 'maybe', expected true or false");
}

TEST_CASE("args: lists are separated by commas or blanks and end at the next flag") {
  CHECK(spelled({"--classes", "0,2,5", "a.jpg"}) == "classes=0,2,5 | a.jpg |");
  CHECK(spelled({"--classes", "0", "2", "5", "--rect"}) == "classes=0,2,5 rect=true |  |");
  CHECK(spelled({"--classes", "0,", "2", "rect=1"}) == "classes=0,2 rect=true |  |");
  CHECK(spelled({"classes=[0, 2]", "a.jpg"}) == "classes=0,2 | a.jpg |");
}

TEST_CASE("args: the size of yolov7's training and testing pair must be one") {
  CHECK(spelled({"--img", "640", "640", "a.jpg"}) == "img-size=640 | a.jpg |");
  CHECK(spelled({"--img", "640", "0"}) == "img-size=640 | 0 |");
  CHECK(refusal({"--img", "640", "1280"}) ==
        "--img-size is given 640 and 1280, expected one size; training and testing run at one size; pictures "
        "keep "
        "their shape, so give the longer side");
}

TEST_CASE("args: --source is the positional, and words after -- are positionals whatever they look like") {
  CHECK(spelled({"--source", "a,b.jpg", "c.jpg", "--rect"}) == "rect=true | a,b.jpg c.jpg |");
  CHECK(spelled({"source=a.jpg"}) == "| a.jpg |");
  CHECK(spelled({"--rect", "--", "--rect", "x=1"}) == "rect=true | --rect x=1 |");
  CHECK(spelled({"-", "-5"}) == "| - -5 |");
}

TEST_CASE("args: a shorthand sets its flag where the verb has it") {
  CHECK(spelled({"--half"}) == "dtype=fp16 |  |");
  CHECK(refusal({"--adam"}).starts_with("infer: unknown flag '--adam'"));
  CHECK(refusal({"--half=no"}) == "--half takes no value");
}

TEST_CASE("args: yolov7 flags without meaning are noted and swallow no positional") {
  CHECK(spelled({"--no-trace", "--view-img", "a.jpg"}) == "| a.jpg | --no-trace --view-img");
  CHECK(spelled({"--quad", "--local_rank", "0", "a.jpg"}) == "| a.jpg | --quad --local_rank");
  CHECK(spelled({"--local_rank=1", "a.jpg"}) == "| a.jpg | --local_rank");
}

TEST_CASE("args: an unknown flag is refused with the nearest one") {
  CHECK(refusal({"--wieghts", "a.pt"}) == "infer: unknown flag '--wieghts'; did you mean '--weights'?");
  CHECK(refusal({"--confidence", "1"}) == "infer: unknown flag '--confidence'; did you mean '--conf'?");
  CHECK(refusal({"imgsize=3"}) == "infer: unknown flag '--imgsize'; did you mean '--img-size'?");
  CHECK(refusal({"--zzzzzzzz"}) == "infer: unknown flag '--zzzzzzzz'; mtyolo infer --help lists the flags");
  CHECK(refusal({"--weights"}) == "--weights needs a value");
  CHECK(refusal({"--weights", "--rect"}) == "--weights needs a value");
}
