#include "train/plots/report.h"

#include <algorithm>
#include <cmath>

#include "core/file.h"
#include "core/text.h"
#include "train/plots/chart.h"
#include "train/plots/report_parts.h"

namespace mtyolo::train {
namespace {

constexpr size_t kMostFindings = 200;

std::string share(double value) { return std::isfinite(value) ? fmt::format("{:.3f}", value) : "-"; }

std::string duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "-";
  if (seconds < 60) return fmt::format("{:.3g} s", seconds);
  const auto whole = int64_t(std::min(seconds, 1e12));
  if (whole < 3600) return fmt::format("{} min {:02d} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02d} min", whole / 3600, whole / 60 % 60);
}

std::string hex(Rgb c) { return fmt::format("#{:02x}{:02x}{:02x}", c.r, c.g, c.b); }

// A cell with a number and a bar below it, `part` of the width.
std::string bar_cell(const std::string& text, double part, int series = 0) {
  return fmt::format("<td class=\"bar\">{}<i class=\"s{}\" style=\"width:{:.1f}%\"></i></td>", text, series,
                     100 * std::clamp(std::isfinite(part) ? part : 0, 0.0, 1.0));
}

std::string picture(const ReportPicture& p) {
  const char* type = p.file.name.ends_with(".png") ? "png" : "jpeg";
  std::string caption = p.title.empty() ? "" : "<b>" + html_escape(p.title) + "</b>";
  if (!p.caption.empty()) caption += (caption.empty() ? "" : "<br>") + html_escape(p.caption);
  return fmt::format(
      "<figure class=\"card picture\"><img loading=\"lazy\" alt=\"{}\" src=\"data:image/{};base64,{}\">"
      "<figcaption>{}</figcaption></figure>\n",
      html_escape(p.title.empty() ? p.file.name : p.title), type, base64(p.file.bytes), caption);
}

std::string pictures(const std::vector<ReportPicture>& all) {
  std::string out = "<div class=\"grid wide\">\n";
  for (const ReportPicture& p : all) out += picture(p);
  return out + "</div>\n";
}

std::string facts(const std::vector<ReportFact>& all) {
  std::string out = "<div class=\"card scroll\"><table><tbody>\n";
  for (const ReportFact& f : all)
    out += fmt::format("<tr><td class=\"text muted\">{}</td><td class=\"text\">{}</td></tr>\n",
                       html_escape(f.name), html_escape(f.value));
  return out + "</tbody></table></div>\n";
}

std::string headline(const ReportData& r) {
  std::vector<ReportFact> all;
  if (r.metrics)
    all = {{"mAP@0.5:0.95", share(r.metrics->map50_95)},
           {"mAP@0.5", share(r.metrics->map50)},
           {"precision", share(r.metrics->precision)},
           {"recall", share(r.metrics->recall)}};
  all.insert(all.end(), r.headline.begin(), r.headline.end());
  if (all.empty()) return "";
  std::string out = "<div class=\"tiles\">\n";
  for (const ReportFact& f : all)
    out += fmt::format("<div class=\"card tile\"><b>{}</b><span>{}</span></div>\n", html_escape(f.value),
                       html_escape(f.name));
  return out + "</div>\n";
}

std::string training(const ReportData& r) {
  std::vector<double> epochs = r.results.column("epoch");
  if (epochs.empty())
    for (size_t i = 0; i < r.results.rows.size(); ++i) epochs.push_back(double(i));
  std::string out;
  for (const ReportChart& chart : training_charts(r.results)) out += svg_chart(chart, epochs);
  return out.empty() ? "" : "<div class=\"grid\">\n" + out + "</div>\n";
}

std::string metric_cells(double p, double rec, double f1, double ap50, double ap) {
  return fmt::format("<td>{}</td><td>{}</td><td>{}</td>{}{}", share(p), share(rec), share(f1),
                     bar_cell(share(ap50), ap50, 1), bar_cell(share(ap), ap));
}

std::string mean_row(const std::string& name, const Metrics& m, bool with_head) {
  const double f1 = 2 * m.precision * m.recall / (m.precision + m.recall + 1e-16);
  return fmt::format("<tr class=\"all\"><td class=\"text\">{}</td>{}<td>{}</td><td>{}</td>{}</tr>\n",
                     html_escape(name), with_head ? "<td class=\"text\"></td>" : "", grouped(m.images),
                     grouped(m.labels), metric_cells(m.precision, m.recall, f1, m.map50, m.map50_95));
}

std::string accuracy(const ReportData& r) {
  if (!r.metrics) return "";
  const Metrics& m = *r.metrics;
  const bool heads = r.classes.heads().size() > 1;
  std::string out = fmt::format(
      "<p class=\"muted\">Precision, recall and F1 at IoU 0.5 and confidence {}, where the mean F1 is "
      "highest. Click a column to sort.</p>\n<div class=\"card scroll\"><table><thead><tr>",
      share(m.confidence));
  std::vector<std::string> columns{"class"};
  if (heads) columns.emplace_back("head");
  for (const char* c : {"images", "objects", "precision", "recall", "F1", "mAP@0.5", "mAP@0.5:0.95"})
    columns.emplace_back(c);
  for (const std::string& c : columns)
    out += fmt::format("<th{} data-sort>{}</th>", c == "class" || c == "head" ? " class=\"text\"" : "", c);
  out += "</tr></thead><tbody>\n" + mean_row("all classes", m, heads);
  for (size_t h = 0; h < r.classes.heads().size() && heads; ++h)
    out += mean_row("head " + r.classes.heads()[h], restrict_to(m, r.classes.classes_of(int(h))), true);
  for (const ClassMetrics& c : m.classes)
    out += fmt::format(
        "<tr><td class=\"text\"><span class=\"swatch\" style=\"background:{}\"></span>{}</td>{}"
        "<td data-v=\"{}\">{}</td><td data-v=\"{}\">{}</td>{}</tr>\n",
        hex(r.classes.colour(c.cls)), html_escape(r.classes.name(c.cls)),
        heads ? "<td class=\"text\">" + html_escape(r.classes.head_name(c.cls)) + "</td>" : "", c.images,
        grouped(c.images), c.labels, grouped(c.labels),
        metric_cells(c.precision, c.recall, c.f1, c.ap50(), c.ap50_95()));
  return out + "</tbody></table></div>\n";
}

std::string split_table(const ReportData& r) {
  std::string out =
      "<div class=\"card scroll\"><table><thead><tr><th "
      "class=\"text\">split</th><th>images</th><th>boxes</th>"
      "<th>backgrounds</th><th>without label file</th><th>refused</th></tr></thead><tbody>\n";
  for (const ReportSplit& s : r.splits) {
    int64_t boxes = 0;
    for (const int64_t n : s.class_counts) boxes += n;
    out += fmt::format(
        "<tr><td class=\"text\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        html_escape(s.name), grouped(s.images), grouped(boxes), grouped(s.background), grouped(s.missing),
        grouped(s.refused));
  }
  return out + "</tbody></table></div>\n";
}

std::string class_counts(const ReportData& r) {
  std::string out =
      "<h3>Boxes per class</h3>\n<div class=\"card scroll\"><table><thead><tr><th class=\"text\" "
      "data-sort>class</th>";
  std::vector<int64_t> most;
  size_t classes = 0;
  for (const ReportSplit& s : r.splits) {
    out += fmt::format("<th data-sort>{}</th>", html_escape(s.name));
    most.push_back(s.class_counts.empty() ? 0
                                          : *std::max_element(s.class_counts.begin(), s.class_counts.end()));
    classes = std::max(classes, s.class_counts.size());
  }
  if (classes == 0) return "";
  out += "</tr></thead><tbody>\n";
  for (size_t c = 0; c < classes; ++c) {
    out += fmt::format("<tr><td class=\"text\"><span class=\"swatch\" style=\"background:{}\"></span>{}</td>",
                       hex(r.classes.colour(int(c))), html_escape(r.classes.name(int(c))));
    for (size_t s = 0; s < r.splits.size(); ++s) {
      const int64_t n = c < r.splits[s].class_counts.size() ? r.splits[s].class_counts[c] : 0;
      // The bar lies in the number's cell, which sorts by the plain number.
      std::string cell = bar_cell(grouped(n), double(n) / double(std::max<int64_t>(1, most[s])), int(s % 2));
      out += cell.replace(0, 3, fmt::format("<td data-v=\"{}\"", n));
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string findings(const ReportData& r) {
  if (r.findings.empty()) return "";
  std::string out = fmt::format("<h3>Findings ({})</h3>\n<div class=\"card scroll\"><table><tbody>\n",
                                grouped(int64_t(r.findings.size())));
  for (size_t i = 0; i < std::min(kMostFindings, r.findings.size()); ++i) {
    const data::Finding& f = r.findings[i];
    const char* severity = f.severity == data::Finding::Severity::kError     ? "error"
                           : f.severity == data::Finding::Severity::kWarning ? "warning"
                                                                             : "info";
    out += fmt::format(
        "<tr><td class=\"text\"><span class=\"badge {0}\">{0}</span></td><td class=\"text\">{1}</td>"
        "<td class=\"text\">{2}</td></tr>\n",
        severity, html_escape(f.check_id), html_escape(f.message));
  }
  if (r.findings.size() > kMostFindings)
    out += fmt::format(
        "<tr><td class=\"text\"></td><td class=\"text\"></td><td class=\"text muted\">and {} "
        "more</td></tr>\n",
        grouped(int64_t(r.findings.size() - kMostFindings)));
  return out + "</tbody></table></div>\n";
}

std::string data_section(const ReportData& r) {
  std::string out;
  if (!r.splits.empty()) out += split_table(r) + class_counts(r);
  out += findings(r);
  if (!r.data_pictures.empty()) out += "<h3>Labels</h3>\n" + pictures(r.data_pictures);
  return out;
}

std::string time_section(const ReportData& r) {
  double total = 0;
  for (const ReportTime& t : r.time) total += std::isfinite(t.seconds) ? std::max(0.0, t.seconds) : 0;
  if (total <= 0) return "";
  std::string bar = "<div class=\"card\"><div class=\"time\">", rows;
  for (size_t i = 0; i < r.time.size(); ++i) {
    const ReportTime& t = r.time[i];
    const double part = std::isfinite(t.seconds) ? 100 * std::max(0.0, t.seconds) / total : 0;
    bar += fmt::format("<i class=\"s{}\" style=\"width:{:.2f}%\" title=\"{}\"></i>", i % 8, part,
                       html_escape(t.name));
    rows += fmt::format(
        "<tr><td class=\"text\"><span class=\"key s{}\">{}</span></td><td>{}</td><td>{:.1f} %</td></tr>\n",
        i % 8, html_escape(t.name), duration(t.seconds), part);
  }
  return bar + "</div><table><tbody>\n" + rows + "</tbody></table></div>\n";
}

std::string steps(const ReportData& r) {
  if (r.next_steps.empty()) return "";
  std::string out = "<div class=\"card\"><ol class=\"steps\">\n";
  for (const ReportStep& s : r.next_steps)
    out += "<li>" + html_escape(s.text) +
           (s.command.empty() ? "" : "<pre>" + html_escape(s.command) + "</pre>") + "</li>\n";
  return out + "</ol></div>\n";
}

std::string run_section(const ReportData& r) {
  std::string out;
  if (!r.command.empty()) out += "<pre>" + html_escape(r.command) + "</pre><br>\n";
  if (!r.run.empty()) out += facts(r.run);
  if (!r.settings.empty())
    out += "<details><summary><h3 style=\"display:inline-block\">Settings</h3></summary>\n" +
           facts(r.settings) + "</details>\n";
  return out;
}

}  // namespace

std::string html_escape(std::string_view text) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t length = 1;
    while (i + length < text.size() && length < 4 && (text[i + length] & 0xc0) == 0x80) ++length;
    const std::string_view character = text.substr(i, length);
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) length = 1;
    if (byte == '&') out += "&amp;";
    else if (byte == '<') out += "&lt;";
    else if (byte == '>') out += "&gt;";
    else if (byte == '"') out += "&quot;";
    else if (byte == '\'') out += "&#39;";
    else if (byte == '\n' || byte == '\t' || (byte >= 0x20 && byte < 0x7f)) out += char(byte);
    else if (byte >= 0x80 && is_valid_utf8(character)) out += character;
    else out += kReplacement;
    i += length;
  }
  return out;
}

ReportSplit describe_split(const std::string& name, const data::Dataset& dataset, int nc) {
  const data::ScanReport& scan = dataset.report();
  ReportSplit split{name,         int(dataset.size()), 0,
                    scan.missing, scan.refused,        std::vector<int64_t>(size_t(std::max(0, nc)))};
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const data::Sample& sample = dataset.sample(i);
    split.background += sample.labels.empty() ? 1 : 0;
    for (const data::Label& label : sample.labels)
      if (label.cls >= 0 && label.cls < nc) ++split.class_counts[size_t(label.cls)];
  }
  return split;
}

std::string report_html(const ReportData& r) {
  struct Section {
    const char *id, *title;
    std::string body;
  };
  const Section sections[] = {
      {"training", "Training", training(r)},
      {"accuracy", "Accuracy", accuracy(r)},
      {"curves", "Curves and confusion", r.metric_pictures.empty() ? "" : pictures(r.metric_pictures)},
      {"worst", "Worst images", r.worst.empty() ? "" : pictures(r.worst)},
      {"batches", "Batches", r.batches.empty() ? "" : pictures(r.batches)},
      {"data", "Data", data_section(r)},
      {"time", "Where the time went", time_section(r)},
      {"next", "Next steps", steps(r)},
      {"run", "This run", run_section(r)},
  };
  std::string nav, body;
  for (const Section& s : sections) {
    if (s.body.empty()) continue;
    nav += fmt::format("<a href=\"#{}\">{}</a>", s.id, s.title);
    body += fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n", s.id, s.title) + s.body + "</section>\n";
  }
  const std::string title = html_escape(r.title);
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      // Nothing is loaded from anywhere, whatever a name in a file says.
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>" +
      title + "</title>\n<style>";
  out += report_style();
  out += "</style>\n</head>\n<body>\n<header>\n<h1>" + title + "</h1>\n";
  if (!r.verdict.empty()) out += "<p class=\"verdict\">" + html_escape(r.verdict) + "</p>\n";
  out += headline(r) + "</header>\n<nav><div>" + nav + "</div></nav>\n<main>\n" + body + "</main>\n";
  out +=
      "<footer>Made by mtyolo. This page needs no other file.</footer>\n<dialog><img "
      "alt=\"\"></dialog>\n<script>";
  out += report_script();
  return out + "</script>\n</body>\n</html>\n";
}

void write_report(const std::string& path, const ReportData& report) {
  write_file_atomically(path, report_html(report));
}

}  // namespace mtyolo::train
