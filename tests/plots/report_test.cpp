#include "train/plots/report.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/plots/metrics_samples.h"
#include "train/plots/report_parts.h"

using namespace mtyolo;
using namespace mtyolo::train;

namespace {

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

ReportData full_report(const std::string& name) {
  ReportData r;
  r.title = name, r.verdict = name, r.command = name;
  r.headline = {{name, name}}, r.run = {{name, name}}, r.settings = {{name, name}};
  r.classes = ClassTable({name, "b"}, {{name, {0}, 1}, {"x", {1}, 1}});
  r.splits = {{name, 5, 1, 2, 0, {2400, 7}}};
  r.findings = {{name, data::Finding::Severity::kError, name, name}};
  r.results = {{"epoch", "train/box_loss", "metrics/mAP_0.5", name + "/metrics/mAP_0.5:0.95"},
               {{0, 0.5, 0.25, 0.1}, {1, 0.25, std::nan(""), 0.2}}};
  r.metrics = test::sample_metrics(2, true);
  const PictureFile file{"x.png", "PNG bytes"};
  r.metric_pictures = r.data_pictures = r.batches = r.worst = {{name, name, file}};
  r.time = {{name, 90}, {"idle", 30}, {"bad", std::nan("")}};
  r.next_steps = {{name, name}};
  return r;
}

}  // namespace

TEST_CASE("plots: what comes from files cannot become HTML", "[plots]") {
  CHECK(html_escape("<b a=\"1\" c='2'>&</b>") == "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;&lt;/b&gt;");
  CHECK(html_escape("caf\xc3\xa9 \xe6\x97\xa5\n") == "caf\xc3\xa9 \xe6\x97\xa5\n");
  CHECK(html_escape(std::string("a\0b\x1b\x7f", 5)) ==
        "a\xef\xbf\xbd"
        "b\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(html_escape("\xff<\xc3") == "\xef\xbf\xbd&lt;\xef\xbf\xbd");
  const std::string page = report_html(full_report("<img src=x onerror='alert(1)'>\"</script>"));
  CHECK(!contains(page, "<img src=x"));
  CHECK(count(page, "</script>") == 1);
  CHECK(count(page, "onerror='") == 0);
}

TEST_CASE("plots: the report has every section once and opens what it closes", "[plots]") {
  const std::string page = report_html(full_report("name"));
  for (const char* id :
       {"training", "accuracy", "curves", "worst", "batches", "data", "time", "next", "run"}) {
    CHECK(count(page, "<section id=\"" + std::string(id) + "\">") == 1);
    CHECK(count(page, "<a href=\"#" + std::string(id) + "\">") == 1);
  }
  for (const std::string tag :
       {"section", "div",     "table", "tbody", "tr", "td",   "th",  "figure", "figcaption", "svg",
        "main",    "details", "pre",   "ol",    "li", "span", "nav", "header", "body",       "html"}) {
    INFO(tag);
    CHECK(count(page, "<" + tag + ">") + count(page, "<" + tag + " ") == count(page, "</" + tag + ">"));
  }
}

TEST_CASE("plots: the report loads nothing from elsewhere", "[plots]") {
  const std::string page = report_html(full_report("name"));
  CHECK(count(page, "http") == 1);  // http-equiv
  CHECK(count(page, "src=\"") == count(page, "src=\"data:image/"));
  CHECK(contains(page, "default-src 'none'"));
  CHECK(contains(page, "data:image/png;base64,UE5HIGJ5dGVz"));
}

TEST_CASE("plots: the report's numbers are those given", "[plots]") {
  const std::string page = report_html(full_report("name"));
  CHECK(contains(page, "<b>0.300</b><span>mAP@0.5:0.95</span>"));
  CHECK(contains(page, "2,400"));
  CHECK(contains(page, "2,407"));
  CHECK(contains(page, "1 min 30 s</td><td>75.0 %"));
  CHECK(contains(page, "width:75.00%"));
  CHECK(contains(page, "&quot;x&quot;:[0.0,1.0]"));
  CHECK(contains(page, "&quot;y&quot;:[0.25,null]"));
}

TEST_CASE("plots: an empty report is a page without sections", "[plots]") {
  const std::string page = report_html({});
  CHECK(count(page, "<section") == 0);
  CHECK(contains(page, "</html>"));
}

TEST_CASE("plots: losses of zero and columns that are missing give no chart", "[plots]") {
  const ResultsTable table{{"epoch", "train/box_loss", "train/cls_loss", "x/lr0"},
                           {{0, 1, 0, 0.1}, {1, 2, 0, 0.2}}};
  const auto charts = training_charts(table);
  REQUIRE(charts.size() == 2);
  CHECK(charts[0].title == "Box loss");
  CHECK(charts[1].lines[0].values == std::vector<double>{0.1, 0.2});
  CHECK(training_charts({}).empty());
}

TEST_CASE("plots: charts of very long trainings stay small", "[plots]") {
  std::vector<double> epochs, values;
  for (int i = 0; i < 50000; ++i) epochs.push_back(i), values.push_back(i * 0.5);
  const std::string svg = svg_chart({"t", {{"v", values}}}, epochs);
  CHECK(svg.size() < 100000);
  CHECK(contains(svg, "24999.5"));
  CHECK(contains(svg_chart({"t", {{"v", {0.5}}}}, {0}), "<circle"));
}

TEST_CASE("plots: base64 pads as RFC 4648 says", "[plots]") {
  CHECK(base64("").empty());
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foo") == "Zm9v");
  CHECK(base64("foobar") == "Zm9vYmFy");
  CHECK(base64("\xff\xfe\xfd") == "//79");
}
