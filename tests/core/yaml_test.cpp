#include "core/yaml.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <functional>

#include "tests/support/golden.h"
#include "tests/support/skip.h"

namespace mtyolo {
namespace {

std::string refusal(const std::string& text) {
  try {
    parse_yaml(text, "f.yaml");
  } catch (const Error& e) {
    CHECK(e.exit_code() == ExitCode::kUsage);
    CHECK(e.info().file == "f.yaml");
    return e.what();
  }
  return "accepted";
}

TEST_CASE("yaml: scalars keep their text, place and whether they were quoted") {
  const Document d =
      parse_yaml("names: [no, 007, \"it's \\u00e9, [x]: #1\"]\nnc: '3' # three\nnone: ~\nempty:\n", "f");
  const Document& names = *d.find("names");
  REQUIRE(names.items.size() == 3);
  CHECK(names.items[0].text == "no");
  CHECK(names.items[1].text == "007");
  CHECK(names.items[2].text == "it's \xc3\xa9, [x]: #1");
  CHECK(names.items[2].quoted_text);
  CHECK_FALSE(names.items[1].quoted_text);
  CHECK(names.items[1].line == 1);
  CHECK(names.items[1].column == 13);
  CHECK(d.find("nc")->as_int("nc", 1, 9) == 3);
  CHECK(d.find("none")->is_null());
  CHECK(d.find("empty")->is_null());
  CHECK(d.file == "f");
}

TEST_CASE("yaml: fields keep their order and block lists may stand at the key's own indent") {
  const Document d = parse_yaml("b: 1\na:\n- x\n- \"y\"\n- 'z'\n", "f");
  REQUIRE(d.fields.size() == 2);
  CHECK(d.fields[0].first == "b");
  CHECK(d.fields[1].second.items[2].text == "z");
}

TEST_CASE("yaml: an empty file is nothing and a byte order mark with CRLF is read") {
  CHECK(parse_yaml("", "f").is_null());
  CHECK(parse_yaml("# only a comment\n", "f").is_null());
  const Document d = parse_yaml("\xEF\xBB\xBFtrain: ./a\r\nnc: 3\r\n", "f");
  CHECK(d.find("train")->text == "./a");
  CHECK(d.find("nc")->line == 2);
}

TEST_CASE("yaml: aliases are unfolded") {
  const Document d = parse_yaml("a: &x [1, 2]\nb: *x\nc: {k: *x}\n", "f");
  CHECK(d.find("b")->items[1].text == "2");
  CHECK(d.find("c")->find("k")->items.size() == 2);
}

TEST_CASE("yaml: a key given twice is refused with both lines") {
  CHECK(refusal("nc: 3\nx: 1\nnc: 5\n") ==
        "f.yaml: line 3, column 1: the key 'nc' is given twice, first in line 1");
  CHECK(refusal("a: {k: 1, k: 2}\n").find("'k' is given twice, first in line 1") != std::string::npos);
}

TEST_CASE("yaml: faults are refused with the line") {
  CHECK(refusal("a: 1\nb:\n\t- x\n").find("line 3, column 2: a tab is used as indent") != std::string::npos);
  CHECK(refusal("a: 1\nb: [1, 2\n").find("line ") != std::string::npos);
  CHECK(refusal("a: 1\n---\nb: 2\n").find("a second document begins here") != std::string::npos);
  CHECK(refusal("a: !!python/object:os.system x\n").find("the tag 'tag:yaml.org,2002:python/object") !=
        std::string::npos);
  CHECK(refusal("a: !mine x\n").find("the tag '!mine' is not read") != std::string::npos);
  CHECK(refusal("a: b\x01\n").find("line 1, column 5: control byte \\x01") != std::string::npos);
  CHECK(refusal("a: \xff\xfe\n").find("not UTF-8") != std::string::npos);
  CHECK(refusal("a: &x [1, *x]\n").find("an alias refers to the list or map that contains it") !=
        std::string::npos);
  CHECK(refusal("a: *nothing\n").find("line 1") != std::string::npos);
  CHECK(refusal("? [1, 2]\n: 3\n").find("a list or map as a key") != std::string::npos);
  CHECK(refusal("a: &x {k: 1}\nb:\n  <<: *x\n").find("merge keys") != std::string::npos);
}

TEST_CASE("yaml: plain tags are accepted and !!str makes text of a number") {
  const Document d = parse_yaml("a: !!str 007\nb: !!int 7\nc: !!seq [1]\nd: !!null ''\n", "f");
  CHECK(d.find("a")->quoted_text);
  CHECK(d.find("b")->as_int("b", 0, 9) == 7);
  CHECK(d.find("c")->items.size() == 1);
  CHECK(d.find("d")->is_null());
}

TEST_CASE("yaml: nesting is allowed to 64 levels and refused beyond, in every form") {
  const auto flow = [](int n) { return std::string(size_t(n), '[') + std::string(size_t(n), ']'); };
  CHECK(parse_yaml(flow(64), "f").is_list());
  CHECK(refusal(flow(65)).find("nested deeper than 64") != std::string::npos);
  CHECK(refusal(std::string(1'000'000, '[')).find("nested deeper than 64") != std::string::npos);
  CHECK(refusal(std::string(1'000'000, '{')).find("nested deeper than 64") != std::string::npos);
  std::string dashes, maps;
  for (int i = 0; i < 100'000; ++i) dashes += "- ";
  for (int i = 0; i < 100; ++i) maps += std::string(size_t(i), ' ') + "a:\n";
  CHECK(refusal(dashes).find("nested deeper than 64") != std::string::npos);
  CHECK(refusal(maps).find("nested deeper than 64") != std::string::npos);
}

TEST_CASE("yaml: brackets inside quotes, comments and block text are no nesting") {
  std::string many(100, '[');
  CHECK(parse_yaml("a: \"" + many + "\"\nb: '''" + many + "'\n# " + many + "\nc: |\n  " + many +
                       "\n  \td\nd: x" + many + "\n",
                   "f")
            .find("a")
            ->text == many);
}

TEST_CASE("yaml: aliases that unfold to millions are refused at once") {
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c <= 'i'; ++c) {
    const std::string p = fmt::format("*{}", char(c - 1));
    bomb += fmt::format("{0}: &{0} [{1},{1},{1},{1},{1},{1},{1},{1},{1}]\n", c, p);
  }
  CHECK(refusal(bomb).find("more than 1000000 values once aliases are unfolded") != std::string::npos);
  std::string text = "a: &a " + std::string(1'000'000, 'x') + "\nb: [";
  for (int i = 0; i < 100; ++i) text += "*a, ";
  CHECK(refusal(text + "]\n").find("bytes of text once aliases are unfolded") != std::string::npos);
  std::string many = "a: &a 1\nb: [";
  for (int i = 0; i < 1001; ++i) many += "*a, ";
  CHECK(refusal(many + "]\n").find("more than 1000 aliases") != std::string::npos);
}

// The verdicts of data/bad/expected.md on what is a matter of YAML alone.
TEST_CASE("yaml: the deliberately bad files are refused, the odd ones read") {
  const std::filesystem::path folder = test::shared_folder() / "data/bad/yaml";
  if (!std::filesystem::exists(folder)) MTYOLO_SKIP("no shared folder");
  const std::vector<std::string> refused{"tabs", "unclosed", "key-twice", "alias-bomb"};
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    const std::string file = entry.path() / "data.yaml";
    INFO(name);
    ++seen;
    if (std::find(refused.begin(), refused.end(), name) != refused.end()) {
      CHECK_THROWS_AS(read_yaml(file), Error);
    } else if (std::filesystem::file_size(file) > 0) {
      CHECK(read_yaml(file).is_map());
    } else {
      CHECK(read_yaml(file).is_null());
    }
  }
  CHECK(seen >= 24);
}

}  // namespace
}  // namespace mtyolo

TEST_CASE("yaml: what to_yaml writes is read back the same", "[core][yaml]") {
  using mtyolo::Document;
  using mtyolo::parse_yaml;
  using mtyolo::to_yaml;
  const std::string text =
      "nc: 80\nempty: {}\nnone: null\nflag: true\nlist: [1, 2.5, a]\nnested: [[1, 2], [3]]\n"
      "rows:\n  - [-1, 1, Conv, [32, 3, 1]]\n  - [[-1, 3], 1, nn.LeakyReLU(0.1), [None, 2, nearest]]\n"
      "heads:\n  a: {classes: [0, 1], weight: 1.0}\n  \"b c\": {classes: 2-9}\n"
      "maps:\n  - {path: x/y.txt, heads: [a]}\n  - plain\n"
      "number_text: \"007\"\nodd: \"a: b # c\\n\\\"d\\\"\"\ndash: \"-\"\nblank: \"\"\nplus: 1e-4\n";
  const Document first = parse_yaml(text, "t");
  const std::string written = to_yaml(first);
  INFO(written);
  const Document second = parse_yaml(written, "t");
  CHECK(to_yaml(second) == written);
  const std::function<void(const Document&, const Document&)> same = [&](const Document& a,
                                                                         const Document& b) {
    CHECK(a.kind == b.kind);
    CHECK(a.text == b.text);
    REQUIRE(a.items.size() == b.items.size());
    REQUIRE(a.fields.size() == b.fields.size());
    for (size_t i = 0; i < a.items.size(); ++i) same(a.items[i], b.items[i]);
    for (size_t i = 0; i < a.fields.size(); ++i) {
      CHECK(a.fields[i].first == b.fields[i].first);
      same(a.fields[i].second, b.fields[i].second);
    }
  };
  same(first, second);
  CHECK(second.find("number_text")->quoted_text);
  CHECK(!second.find("nc")->quoted_text);
}
