// Plain values of a pickle as a Document, the form in which configurations are read everywhere.
#pragma once

#include "core/document.h"
#include "models/weights/pickle_value.h"

namespace mtyolo::models {

// None becomes null, numbers and booleans the text a YAML file would carry (numbers in full precision),
// strings text that is marked as quoted where YAML would take it for something else; tuples and sets become
// lists. Values without such a form (tensors, objects) become null. Throws Error{kModel} beyond 500,000
// values or 16 MiB of text.
Document to_document(const PickleTree& tree, Ref value);

// True if YAML 1.1 would not read the plain text as a string: a number, true, null, an empty text ...
bool needs_quotes(std::string_view text);

}  // namespace mtyolo::models
