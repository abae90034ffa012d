// A parsed configuration: nested lists, maps and text scalars, each with its place in the source. YAML files
// and the configuration pickled inside a checkpoint both end as this, so there is one reader for each kind of
// content.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace mtyolo {

struct Document {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  std::string text;                                      // kScalar: as written
  bool quoted_text = false;                              // kScalar: quoted in the source, so it is a string
  std::vector<Document> items;                           // kList
  std::vector<std::pair<std::string, Document>> fields;  // kMap, in source order, unique keys
  int line = 0, column = 0;                              // 1-based; 0 = not from a text file
  std::string file;                                      // set on the root only

  // Defined in document.cpp: clang++ needs the whole type before it makes them.
  Document();
  ~Document();
  Document(const Document&);
  Document(Document&&) noexcept;
  Document& operator=(const Document&);
  Document& operator=(Document&&) noexcept;

  bool is_null() const { return kind == Kind::kNull; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_map() const { return kind == Kind::kMap; }
  const Document* find(const std::string& key) const;  // kMap: the value, or nullptr

  static Document scalar(std::string text, bool quoted = false);
  static Document list(std::vector<Document> items);
  static Document map(std::vector<std::pair<std::string, Document>> fields);

  // Typed access. Each throws Error{code "config", kUsage} that names `what`, the line, what was found and
  // what was expected. Integers accept "3"; booleans accept true/false/yes/no/on/off in any case.
  int64_t as_int(const std::string& what, int64_t low, int64_t high) const;
  double as_double(const std::string& what, double low, double high) const;
  bool as_bool(const std::string& what) const;
  const std::string& as_text(const std::string& what) const;
};

// An Error about a place in a document ("line 4, column 2").
Error document_error(const Document& at, std::string message, std::string suggestion = {});

}  // namespace mtyolo
