// Exported files give what the native forward pass gives, in the documented layout, and other files are
// refused. (the cross-check with ONNX Runtime runs only where a Python has it)
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "models/export/onnx_run.h"
#include "models/init.h"
#include "models/model.h"
#include "tests/support/skip.h"
#include "tests/support/temp_folder.h"

namespace mtyolo::models {
namespace {

using mtyolo::test::TempFolder;
using Decode = OnnxOptions::Decode;
using HeadLayout = OnnxOptions::HeadLayout;

// Every module whose pattern is written: ReOrg, Conv with each activation, pools, RepConv, Shortcut,
// Upsample.
const std::string kSmallCfg = R"(
nc: 6
depth_multiple: 1
width_multiple: 1
anchors:
  - [5,7, 11,9, 14,20]
  - [25,30, 40,22, 33,60]
backbone:
  - [-1, 1, ReOrg, []]
  - [-1, 1, Conv, [8, 3, 1]]
  - [-1, 1, Conv, [16, 3, 2, None, 1, nn.LeakyReLU(0.1)]]
  - [-1, 1, MP, []]
  - [-1, 1, Conv, [16, 1, 1]]
  - [-1, 1, Conv, [16, 3, 1]]
  - [[-1, -2], 1, Shortcut, [1]]
  - [-1, 1, SPPCSPC, [16]]
  - [-1, 1, nn.Upsample, [None, 2, 'nearest']]
  - [[-1, 2], 1, Concat, [1]]
head:
  - [-1, 1, RepConv, [16, 3, 1]]
  - [7, 1, RepConv, [24, 3, 1]]
  - [[10, 11], 1, IDetect, [nc, anchors]]
)";

Model small_model(const std::vector<HeadGroup>& heads = {}) {
  const TempFolder folder;
  write_file_atomically(folder.path("small.yaml"), kSmallCfg);
  BuildOptions options;
  options.heads = heads;
  return model_from_cfg(cfg_from_file(folder.path("small.yaml")), 7, options);
}

// Exports and compares; the program of the file for further questions.
OnnxProgram exported(const Model& model, const OnnxOptions& options, const std::string& path) {
  export_onnx(model.graph, model.weights, {}, options, path);
  Context ctx(2);
  const OnnxVerification v = verify_onnx(ctx, path, model.graph, model.weights, options);
  INFO("worst output " << v.output);
  CHECK(v.max_difference < 1e-4);
  return OnnxProgram(read_onnx(path));
}

std::string output_list(const OnnxModel& model) {
  std::string text;
  for (const OnnxValue& v : model.outputs) text += fmt::format("{}{} ", v.name, v.shape);
  return text;
}

const std::vector<HeadGroup> kTwoHeads{{"a", {4, 0, 2}}, {"b", {5, 1, 3}}};

TEST_CASE("onnx: a network of one head gives one output equal to the forward pass") {
  const TempFolder folder;
  const OnnxProgram program =
      exported(small_model(), {.batch = 2, .height = 48, .width = 80}, folder.path("m.onnx"));
  const OnnxModel& m = program.model();
  CHECK(m.ir_version == 7);
  CHECK(m.opset == 12);
  CHECK(m.inputs[0].name == "images");
  CHECK(m.inputs[0].shape == Shape{2, 3, 48, 80});
  CHECK(output_list(m) == "output[2,900,11] ");
}

TEST_CASE("onnx: rows of a head's own and cross-stitch units are exported") {
  const TempFolder folder;
  Model model = small_model();
  const Sharing sharing = GENERATE(Sharing{.until = 3}, Sharing{.mode = Sharing::Mode::kNone},
                                   Sharing{.mode = Sharing::Mode::kSoft, .cross_stitch = {2, 10}});
  model.cfg = with_sharing(model.cfg, sharing);
  Model heads = split_heads(model, kTwoHeads);
  StateDict weights;
  for (const auto& [name, tensor] : heads.weights.entries()) {
    Tensor t = tensor.clone();
    for (int64_t i = 0; name.ends_with("cross_stitch.weight") && i < t.numel(); ++i)
      t.data<float>()[i] = 0.3f + 0.01f * float(i);
    weights.add(name, t);
  }
  heads.weights = weights;
  CHECK(output_list(exported(heads, {.height = 48, .width = 32}, folder.path("m.onnx")).model()) ==
        "output[1,720,11] ");
}

TEST_CASE("onnx: two heads merge into rows with the columns of all classes") {
  const TempFolder folder;
  const OnnxProgram program =
      exported(small_model(kTwoHeads), {.height = 48, .width = 32}, folder.path("m.onnx"));
  CHECK(output_list(program.model()) == "output[1,720,11] ");
  Context ctx(1);
  ops::Impls impls;
  ops::register_cpu_impls(impls);
  const Tensor y = program.run(ctx, impls, Tensor::full({1, 3, 48, 32}, 0.25))[0];
  for (int64_t row : {0, 359, 360, 719})
    for (int column = 0; column < 6; ++column) {
      INFO("row " << row << ", class " << column);
      const bool owned = (row < 360) == (column % 2 == 0);  // head a has the even classes
      CHECK((y.at({0, row, 5 + column}) > 0) == owned);
    }
}

TEST_CASE("onnx: two heads apart have an output each, decoded or raw per level") {
  const TempFolder folder;
  const Model model = small_model(kTwoHeads);
  OnnxOptions options{.head_layout = HeadLayout::kSplit, .height = 32, .width = 48};
  CHECK(output_list(exported(model, options, folder.path("s.onnx")).model()) ==
        "output_a[1,360,8] output_b[1,360,8] ");
  options.decode = Decode::kRaw;
  CHECK(output_list(exported(model, options, folder.path("r.onnx")).model()) ==
        "output_a_p2[1,3,8,12,8] output_a_p3[1,3,4,6,8] output_b_p2[1,3,8,12,8] output_b_p3[1,3,4,6,8] ");
}

TEST_CASE("onnx: every activation is written in terms of the operator set") {
  const auto kind = GENERATE(ops::ActivationKind::kIdentity, ops::ActivationKind::kSilu,
                             ops::ActivationKind::kRelu, ops::ActivationKind::kLeakyRelu,
                             ops::ActivationKind::kSigmoid, ops::ActivationKind::kHardswish);
  Model model = small_model();
  for (GraphNode& node : model.graph.nodes)
    if (auto* p = std::get_if<ops::Activation>(&node.attrs)) p->kind = kind;
  const TempFolder folder;
  exported(model, {.height = 16, .width = 16}, folder.path("m.onnx"));
}

TEST_CASE("onnx: the published networks give the forward pass") {
  const std::string name = GENERATE(as<std::string>(), "yolov7-tiny", "yolov7-tiny-silu", "yolor-p6");
  const Model model = model_from_cfg(shipped_cfg(name), 3);
  const TempFolder folder;
  const int64_t stride = model.graph.max_stride;
  exported(model, {.height = stride * 2, .width = stride * 3}, folder.path("m.onnx"));
}

TEST_CASE("onnx: metadata names classes, heads, strides, anchors and the size") {
  const TempFolder folder;
  const Model model = small_model(kTwoHeads);
  export_onnx(model.graph, model.weights, {"a\xff", "b", "c", "d", "e", "f"}, {.height = 16, .width = 32},
              folder.path("m.onnx"));
  const auto metadata = read_onnx(folder.path("m.onnx")).metadata;
  CHECK(metadata.at("author") == "mtyolo");
  CHECK(metadata.at("names") == "[\"a\xEF\xBF\xBD\",\"b\",\"c\",\"d\",\"e\",\"f\"]");
  CHECK(metadata.at("heads") == R"({"a":[4,0,2],"b":[5,1,3]})");
  CHECK(metadata.at("stride") == "[4.0,8.0]");
  CHECK(metadata.at("imgsz") == "[16,32]");
  CHECK(nlohmann::json::parse(metadata.at("anchors"))[1] == nlohmann::json({25, 30, 40, 22, 33, 60}));
}

TEST_CASE("onnx: equal arguments give equal bytes") {
  const TempFolder folder;
  const Model model = small_model();
  for (const char* name : {"1.onnx", "2.onnx"})
    export_onnx(model.graph, model.weights, {}, {.height = 16, .width = 16}, folder.path(name));
  CHECK(read_file(folder.path("1.onnx"), 1 << 24) == read_file(folder.path("2.onnx"), 1 << 24));
}

TEST_CASE("onnx: sides, batch and operator set out of range are refused with what is expected") {
  const Model model = small_model();
  const auto refusal = [&](const OnnxOptions& options) -> std::string {
    try {
      export_onnx(model.graph, model.weights, {}, options, "/nonexistent/m.onnx");
    } catch (const Error& e) {
      CHECK(e.exit_code() == ExitCode::kUsage);
      return e.what();
    }
    return "nothing";
  };
  CHECK(refusal({.height = 20, .width = 16}) == "the input is 20 rows of 16 pixels, expected multiples of 8");
  CHECK(refusal({.batch = 0, .height = 16, .width = 16}) == "a batch of 0 images, expected at least 1");
  CHECK(refusal({.height = 16, .width = 16, .opset = 11}) ==
        "operator set 11 is not written, expected 12 to 17");
}

TEST_CASE("onnx: verification finds a changed weight and other outputs") {
  const TempFolder folder;
  Model model = small_model();
  const OnnxOptions options{.height = 16, .width = 16};
  export_onnx(model.graph, model.weights, {}, options, folder.path("m.onnx"));
  Context ctx(1);
  CHECK_THROWS_WITH(verify_onnx(ctx, folder.path("m.onnx"), model.graph, model.weights,
                                {.decode = Decode::kRaw, .height = 16, .width = 16}),
                    Catch::Contains("the outputs are output[1,60,11], expected output_p2[1,3,4,4,11]"));
  Tensor bias = *model.weights.find(model.graph.heads[0].prefix + "m.0.bias");
  bias.fill(bias.at({0}) + 1);
  CHECK(verify_onnx(ctx, folder.path("m.onnx"), model.graph, model.weights, options).max_difference > 0.01);
}

TEST_CASE("onnx: a file cut or changed anywhere is refused or still keeps its limits") {
  const TempFolder folder;
  const Model model = small_model();
  export_onnx(model.graph, model.weights, {}, {.height = 16, .width = 16}, folder.path("m.onnx"));
  const std::string good = read_file(folder.path("m.onnx"), 1 << 24);
  const auto compiles = [](const std::string& bytes) {
    try {
      OnnxProgram(parse_onnx(std::as_bytes(std::span(bytes))));
      return true;
    } catch (const Error& e) {
      CHECK(e.exit_code() == ExitCode::kModel);
      return false;
    }
  };
  REQUIRE(compiles(good));
  for (size_t cut = 0; cut < 4000; cut += 37) CHECK_FALSE(compiles(good.substr(0, cut)));
  for (size_t at = 0; at < good.size(); at += at < 6000 ? 13 : 4099) {
    std::string bad = good;
    bad[at] = char(bad[at] ^ 0x91);
    compiles(bad);
  }
}

TEST_CASE("onnx: files with what is not read are refused by name") {
  const auto message = [](const std::string& bytes) -> std::string {
    try {
      OnnxProgram(parse_onnx(std::as_bytes(std::span(bytes))));
    } catch (const Error& e) {
      return e.what();
    }
    return "nothing";
  };
  const auto field = [](int number, const std::string& content) {
    return std::string(1, char(number << 3 | 2)) + char(content.size()) + content;
  };
  const std::string opset = field(8, "\x10\x0c");
  CHECK_THAT(message(""), Catch::Contains("it has no graph"));
  CHECK_THAT(message(field(7, "")), Catch::Contains("it names no operator set"));
  CHECK_THAT(message(opset + field(7, field(5, field(8, "w") + "\x70\x01"))),
             Catch::Contains("tensor 'w' lies in another file"));
  CHECK_THAT(message(opset + field(7, field(5, field(8, "w") + "\x08\x7f\x10\x01" + field(9, "1234")))),
             Catch::Contains("4 bytes of data do not fit its shape and type"));
  const std::string input =
      field(11, field(1, "x") + field(2, field(1, "\x08\x01" + field(2, field(1, "\x08\x02")))));
  CHECK_THAT(message(opset + field(7, input + field(1, field(1, "x") + field(2, "y") + field(4, "Loop")))),
             Catch::Contains("the operator 'Loop' is not known"));
  CHECK_THAT(message(opset + field(7, input + field(1, field(1, "z") + field(2, "y") + field(4, "Relu")))),
             Catch::Contains("it reads 'z', which nothing before it makes"));
}

// The interpreter named by MTYOLO_PYTHON, or python3, if it has onnx and onnxruntime.
std::string python_with_onnx() {
  const char* named = std::getenv("MTYOLO_PYTHON");
  const std::string python = named != nullptr ? named : "python3";
  return std::system((python + " -c 'import onnx, onnxruntime' 2>/dev/null").c_str()) == 0 ? python : "";
}

TEST_CASE("onnx: ONNX's checker accepts the files and ONNX Runtime gives our values") {
  const std::string python = python_with_onnx();
  if (python.empty()) MTYOLO_SKIP("no python with onnx and onnxruntime; MTYOLO_PYTHON names one");
  const TempFolder folder;
  Context ctx(2);
  ops::Impls impls;
  ops::register_cpu_impls(impls);
  const Model model = small_model(kTwoHeads);
  for (const OnnxOptions& options :
       {OnnxOptions{.batch = 2, .height = 48, .width = 32},
        OnnxOptions{.decode = Decode::kRaw, .height = 16, .width = 32},
        OnnxOptions{.head_layout = HeadLayout::kSplit, .height = 16, .width = 16, .opset = 17}}) {
    const OnnxProgram program = exported(model, options, folder.path("m.onnx"));
    Tensor images = Tensor::empty(program.model().inputs[0].shape);
    for (int64_t i = 0; i < images.numel(); ++i) images.data<float>()[i] = float(i * 37 % 101) / 100;
    const auto raw_bytes = [](const Tensor& t) {
      const Tensor c = t.contiguous();
      return std::string(static_cast<const char*>(c.raw()), c.size_bytes());
    };
    const std::vector<Tensor> outputs = program.run(ctx, impls, images);
    write_file_atomically(folder.path("images.bin"), raw_bytes(images));
    for (size_t i = 0; i < outputs.size(); ++i)
      write_file_atomically(folder.path(program.model().outputs[i].name + ".bin"), raw_bytes(outputs[i]));
    CHECK(std::system(fmt::format("{} tests/python/check_onnx.py '{}'", python, folder.path()).c_str()) == 0);
  }
}

}  // namespace
}  // namespace mtyolo::models
