#include "models/weights/pickle_machine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/text.h"
#include "models/weights/limits.h"

namespace mtyolo::models {
namespace {

// Valid UTF-8 in which lone surrogates may stand, as Python's pickle writes them.
bool is_pickle_text(std::string_view text) {
  if (is_valid_utf8(text)) return true;
  size_t begin = 0;
  for (size_t i = text.find('\xed'); i != std::string_view::npos; i = text.find('\xed', i + 1)) {
    const bool surrogate =
        i + 2 < text.size() && (uint8_t(text[i + 1]) & 0xe0) == 0xa0 && (uint8_t(text[i + 2]) & 0xc0) == 0x80;
    if (!surrogate) continue;
    if (!is_valid_utf8(text.substr(begin, i - begin))) return false;
    begin = i + 3;
  }
  return is_valid_utf8(text.substr(begin));
}

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out.push_back(char(code));
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr uint8_t kLead[] = {0, 0xc0, 0xe0, 0xf0};
  out.push_back(char(kLead[more] | code >> (6 * more)));
  for (int i = more - 1; i >= 0; --i) out.push_back(char(0x80 | (code >> (6 * i) & 0x3f)));
}

std::optional<uint32_t> hex(std::string_view digits) {
  uint32_t value = 0;
  for (const char c : digits) {
    const int d = c >= '0' && c <= '9'   ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
    if (d < 0) return std::nullopt;
    value = value << 4 | uint32_t(d);
  }
  return value;
}

}  // namespace

PickleTree parse_pickle(ByteReader& reader, const PickleOptions& options) {
  const size_t begin = reader.position();
  try {
    return PickleMachine(reader, options).run();
  } catch (const Error& e) {
    ErrorInfo info = e.info();
    if (info.where.empty()) info.where = fmt::format("byte {} of the pickle", reader.position() - begin);
    throw Error(std::move(info));
  }
}

PickleMachine::PickleMachine(ByteReader& reader, const PickleOptions& options)
    : reader_(reader), options_(options) {
  memory_limit_ = kPickleMemoryBase + kPickleMemoryFactor * reader.remaining();
  none_ = make(ValueKind::kNone);
}

PickleTree PickleMachine::run() {
  if (reader_.remaining() > kMaxPickleBytes && options_.storage_bytes)
    refuse("Z7", "the pickle has {} bytes, the limit is {}", reader_.remaining(), kMaxPickleBytes);
  const auto proto = reader_.little<uint8_t>(), version = reader_.little<uint8_t>();
  if (!proto || !version || *proto != 0x80 || *version > 5)
    refuse("P4", "does not begin with a pickle protocol of 0 to 5");
  while (true) {
    const auto op = reader_.little<uint8_t>();
    if (!op) refuse("P4", "the pickle ends without STOP");
    if (*op == '.') break;
    if (++ops_ > kMaxPickleOps) refuse("P8", "the pickle has more than {} opcodes", kMaxPickleOps);
    step(*op);
  }
  if (!marks_.empty()) refuse("P6", "a mark is left at the end of the pickle");
  if (stack_.size() != 1)
    refuse("P6", "{} values are left at the end of the pickle, expected 1", stack_.size());
  tree_.root_ = stack_.back();
  check_tree(tree_);
  return std::move(tree_);
}

void PickleMachine::step(uint8_t op) {
  if (step_number(op) || step_text(op) || step_container(op) || step_stack(op) || step_object(op)) return;
  const char* known = op == 'i'    ? "INST"
                      : op == 'o'  ? "OBJ"
                      : op == 'P'  ? "PERSID"
                      : op == 'S'  ? "STRING"
                      : op == 0x82 ? "EXT1"
                      : op == 0x83 ? "EXT2"
                      : op == 0x84 ? "EXT4"
                      : op == 0x97 ? "NEXT_BUFFER"
                      : op == 0x98 ? "READONLY_BUFFER"
                      : op == 0x80 ? "PROTO"
                                   : nullptr;
  if (known != nullptr) refuse("P3", "opcode {} is not accepted here", known);
  refuse("P3", "unknown opcode {:#04x}", op);
}

bool PickleMachine::step_number(uint8_t op) {
  const auto integer = [&](auto value) {
    if (!value) refuse("P4", "the pickle ends inside a number");
    push(make(ValueKind::kInt, uint64_t(int64_t(*value))));
  };
  switch (op) {
    case 'N':
      push(none_);
      return true;
    case 0x88:
      push(make(ValueKind::kBool, 1));
      return true;
    case 0x89:
      push(make(ValueKind::kBool, 0));
      return true;
    case 'K':
      integer(reader_.little<uint8_t>());
      return true;
    case 'M':
      integer(reader_.little<uint16_t>());
      return true;
    case 'J':
      integer(reader_.little<int32_t>());
      return true;
    case 0x8a: {
      const auto size = reader_.little<uint8_t>();
      if (!size) refuse("P4", "the pickle ends inside a number");
      push_long(*size);
      return true;
    }
    case 0x8b: {
      const auto size = reader_.little<int32_t>();
      if (!size || *size < 0) refuse("P4", "an integer has a negative length");
      push_long(uint64_t(*size));
      return true;
    }
    case 'G': {
      const auto value = reader_.big<double>();
      if (!value) refuse("P4", "the pickle ends inside a number");
      push(make(ValueKind::kDouble, std::bit_cast<uint64_t>(*value)));
      return true;
    }
    case 'I':
    case 'L':
    case 'F':
      push_text_number(op);
      return true;
    default:
      return false;
  }
}

void PickleMachine::push_text_number(uint8_t op) {
  const auto line = reader_.line();
  if (!line) refuse("P4", "the pickle ends inside a number");
  std::string_view text = *line;
  if (op == 'I' && (text == "00" || text == "01")) return push(make(ValueKind::kBool, text == "01"));
  if (op == 'F') {
    const bool negative = text.starts_with('-');
    const std::string_view bare = negative ? text.substr(1) : text;
    auto value = parse_double(text);
    if (bare == "inf") value = negative ? -HUGE_VAL : HUGE_VAL;
    if (bare == "nan") value = std::numeric_limits<double>::quiet_NaN();
    if (!value) refuse("P4", "{} is not a number", quoted(text));
    return push(make(ValueKind::kDouble, std::bit_cast<uint64_t>(*value)));
  }
  if (op == 'L' && text.ends_with('L')) text.remove_suffix(1);
  if (const auto value = parse_int(text)) return push(make(ValueKind::kInt, uint64_t(*value)));
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  const bool whole = !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
  if (!whole) refuse("P4", "{} is not a whole number", quoted(text));
  push(make_text(ValueKind::kBigInt, text));
}

// Little-endian two's complement of any length.
void PickleMachine::push_long(uint64_t size) {
  const auto text = reader_.text(size);
  if (!text) refuse("P4", "an integer of {} bytes does not fit in the pickle", size);
  if (size > 8) return push(make_text(ValueKind::kBigInt, *text));
  uint64_t value = size > 0 && (uint8_t(text->back()) & 0x80) != 0 ? ~uint64_t(0) : 0;
  for (size_t i = size_t(size); i-- > 0;) value = value << 8 | uint8_t((*text)[i]);
  push(make(ValueKind::kInt, value));
}

bool PickleMachine::step_text(uint8_t op) {
  const auto length = [&](auto value) -> uint64_t {
    if (!value) refuse("P4", "the pickle ends inside a length");
    if constexpr (std::is_signed_v<typename decltype(value)::value_type>)
      if (*value < 0) refuse("P4", "a text has a negative length");
    return uint64_t(*value);
  };
  switch (op) {
    case 'X':
      push_string(length(reader_.little<uint32_t>()));
      return true;
    case 0x8c:
      push_string(length(reader_.little<uint8_t>()));
      return true;
    case 0x8d:
      push_string(length(reader_.little<uint64_t>()));
      return true;
    case 'B':
      push_bytes(length(reader_.little<uint32_t>()));
      return true;
    case 'C':
      push_bytes(length(reader_.little<uint8_t>()));
      return true;
    case 'T':
      push_string(length(reader_.little<int32_t>()));
      return true;
    case 'U':
      push_string(length(reader_.little<uint8_t>()));
      return true;
    case 'V':
      push_unicode_line();
      return true;
    default:
      return false;
  }
}

void PickleMachine::push_string(uint64_t size) {
  const auto text = reader_.text(size);
  if (!text) refuse("P4", "a string of {} bytes does not fit in the pickle", size);
  if (!is_pickle_text(*text)) refuse("P4", "the string {} is not valid UTF-8", quoted(*text));
  push(make_text(ValueKind::kString, *text));
}

void PickleMachine::push_bytes(uint64_t size) {
  const auto text = reader_.text(size);
  if (!text) refuse("P4", "{} bytes do not fit in the pickle", size);
  push(make_text(ValueKind::kBytes, *text));
}

// Latin-1 with \uXXXX and \UXXXXXXXX (Python's raw-unicode-escape).
void PickleMachine::push_unicode_line() {
  const auto line = reader_.line();
  if (!line) refuse("P4", "the pickle ends inside a string");
  charge(2 * line->size());
  std::string text;
  for (size_t i = 0; i < line->size(); ++i) {
    const char next = i + 1 < line->size() ? (*line)[i + 1] : '\0';
    const size_t digits = (*line)[i] != '\\' ? 0 : next == 'u' ? 4 : next == 'U' ? 8 : 0;
    if (digits == 0) {
      append_utf8(text, uint8_t((*line)[i]));
      continue;
    }
    const auto code = i + 2 + digits <= line->size() ? hex(line->substr(i + 2, digits)) : std::nullopt;
    if (!code || *code > 0x10ffff) refuse("P4", "the string {} has a broken escape", quoted(*line));
    append_utf8(text, *code);
    i += 1 + digits;
  }
  push(make_owned_text(ValueKind::kString, std::move(text)));
}

bool PickleMachine::step_container(uint8_t op) {
  const auto tuple = [&](size_t n) {
    std::vector<Ref> items(n);
    for (size_t i = n; i-- > 0;) items[i] = pop();
    push(make_container(ValueKind::kTuple, std::move(items)));
  };
  switch (op) {
    case '}':
      push(make(ValueKind::kDict));
      return true;
    case ']':
      push(make(ValueKind::kList));
      return true;
    case 0x8f:
      push(make(ValueKind::kSet));
      return true;
    case ')':
      tuple(0);
      return true;
    case 0x85:
      tuple(1);
      return true;
    case 0x86:
      tuple(2);
      return true;
    case 0x87:
      tuple(3);
      return true;
    case 't':
      push(make_container(ValueKind::kTuple, pop_to_mark()));
      return true;
    case 'l':
      push(make_container(ValueKind::kList, pop_to_mark()));
      return true;
    case 0x91:
    case 'd': {
      const auto items = pop_to_mark();
      push(make(op == 'd' ? ValueKind::kDict : ValueKind::kSet));
      if (op == 'd') set_items(top(), items);
      else add_to_set(top(), items);
      return true;
    }
    case 'a': {
      const Ref item = pop();
      append(top(), {item});
      return true;
    }
    case 's': {
      const Ref value = pop(), key = pop();
      set_items(top(), {key, value});
      return true;
    }
    case 'e':
    case 'u':
    case 0x90: {
      const auto items = pop_to_mark();
      if (op == 'e') append(top(), items);
      else if (op == 'u') set_items(top(), items);
      else add_to_set(top(), items);
      return true;
    }
    default:
      return false;
  }
}

bool PickleMachine::step_stack(uint8_t op) {
  const auto index = [&](auto value) -> uint64_t {
    if (!value) refuse("P4", "the pickle ends inside a memo index");
    return uint64_t(*value);
  };
  const auto line_index = [&]() -> uint64_t {
    const auto line = reader_.line();
    const auto value = line ? parse_int(*line) : std::nullopt;
    if (!value || *value < 0) refuse("P4", "a memo index is not a whole number");
    return uint64_t(*value);
  };
  switch (op) {
    case '(':
      if (marks_.size() >= kMaxPickleMarks) refuse("P8", "more than {} open marks", kMaxPickleMarks);
      marks_.push_back(stack_.size());
      return true;
    case '0':
      pop();
      return true;
    case '1':
      pop_to_mark();
      return true;
    case '2':
      push(top());
      return true;
    case 'q':
      put_memo(index(reader_.little<uint8_t>()));
      return true;
    case 'r':
      put_memo(index(reader_.little<uint32_t>()));
      return true;
    case 'p':
      put_memo(line_index());
      return true;
    case 0x94:
      put_memo(memo_.size() + sparse_memo_.size());
      return true;
    case 'h':
      get_memo(index(reader_.little<uint8_t>()));
      return true;
    case 'j':
      get_memo(index(reader_.little<uint32_t>()));
      return true;
    case 'g':
      get_memo(line_index());
      return true;
    case 0x95: {
      const auto size = reader_.little<uint64_t>();
      if (!size || *size > reader_.remaining()) refuse("P4", "a frame is longer than the pickle");
      return true;
    }
    default:
      return false;
  }
}

void PickleMachine::put_memo(uint64_t index) {
  const Ref value = top();
  if (memo_.size() + sparse_memo_.size() >= kMaxPickleMemo)
    refuse("P8", "the memo has more than {} entries", kMaxPickleMemo);
  if (index < memo_.size()) {
    memo_[size_t(index)] = value;
  } else if (index == memo_.size() && !sparse_memo_.contains(index)) {
    charge(2 * sizeof(Ref));
    memo_.push_back(value);
  } else {
    charge(48);
    sparse_memo_[index] = value;
  }
}

void PickleMachine::get_memo(uint64_t index) {
  if (index < memo_.size()) return push(memo_[size_t(index)]);
  const auto it = sparse_memo_.find(index);
  if (it == sparse_memo_.end()) refuse("P6", "memo entry {} is read but was never written", index);
  push(it->second);
}

bool PickleMachine::step_object(uint8_t op) {
  switch (op) {
    case 'c': {
      const auto module = reader_.line(), symbol = module ? reader_.line() : std::nullopt;
      if (!symbol) refuse("P4", "the pickle ends inside a name");
      push(global(*module, *symbol));
      return true;
    }
    case 0x93: {
      const Ref symbol = pop(), module = pop();
      push(global(want_string(module, "the module of a class"), want_string(symbol, "the name of a class")));
      return true;
    }
    case 'R': {
      const Ref args = pop(), callee = pop();
      push(call(callee, args));
      return true;
    }
    case 0x92:
      want_dict_or_none(pop(), "the keyword arguments of an object");
      [[fallthrough]];
    case 0x81: {
      const Ref args = pop(), callee = pop();
      push(new_object(callee, args));
      return true;
    }
    case 'b': {
      const Ref state = pop();
      build(top(), state);
      return true;
    }
    case 'Q':
      push(persistent(pop()));
      return true;
    default:
      return false;
  }
}

void PickleMachine::charge(uint64_t bytes) {
  charged_ += bytes;
  if (charged_ > memory_limit_) refuse("P8", "the pickle unfolds to more than {} bytes", memory_limit_);
}

Ref PickleMachine::make(ValueKind kind, uint64_t bits) {
  charge(sizeof(Value));
  if (tree_.values_.size() >= kMaxPickleNodes)
    refuse("P8", "the pickle has more than {} values", kMaxPickleNodes);
  tree_.values_.push_back({kind, true, 0, bits});
  return Ref(tree_.values_.size() - 1);
}

Ref PickleMachine::make_text(ValueKind kind, std::string_view text) {
  if (text.size() > std::numeric_limits<uint32_t>::max())
    refuse("P4", "a text of {} bytes is too long", text.size());
  const Ref r = make(kind, uint64_t(reinterpret_cast<uintptr_t>(text.data())));
  tree_.values_[r].length = uint32_t(text.size());
  return r;
}

Ref PickleMachine::make_owned_text(ValueKind kind, std::string text) {
  charge(sizeof(std::string) + text.size());
  return make_text(kind, tree_.texts_.emplace_back(std::move(text)));
}

Ref PickleMachine::make_container(ValueKind kind, std::vector<Ref> items) {
  const Ref r = make(kind);
  Value& v = tree_.values_[r];
  v.hashable = std::all_of(items.begin(), items.end(), [&](Ref i) { return is_hashable(i); });
  if (items.empty()) return r;
  charge(sizeof(items) + items.capacity() * sizeof(Ref));
  tree_.containers_.push_back(std::move(items));
  v.bits = tree_.containers_.size();
  return r;
}

Ref PickleMachine::make_record(Ref symbol, Ref args) {
  charge(sizeof(RecordValue));
  tree_.records_.push_back({symbol, args, none_, {}});
  return make(ValueKind::kRecord, tree_.records_.size());
}

Ref PickleMachine::make_tensor(TensorValue tensor) {
  charge(sizeof(TensorValue) + (tensor.sizes.capacity() + tensor.strides.capacity()) * sizeof(int64_t));
  tree_.tensors_.push_back(std::move(tensor));
  return make(ValueKind::kTensor, tree_.tensors_.size());
}

Ref PickleMachine::make_array(ValueKind kind, ArrayValue array) {
  charge(sizeof(ArrayValue));
  tree_.arrays_.push_back(std::move(array));
  return make(kind, tree_.arrays_.size());
}

void PickleMachine::push(Ref r) {
  if (stack_.size() >= kMaxPickleStack) refuse("P8", "more than {} values on the stack", kMaxPickleStack);
  charge(sizeof(Ref));
  stack_.push_back(r);
}

Ref PickleMachine::pop() {
  const Ref r = top();
  stack_.pop_back();
  return r;
}

Ref PickleMachine::top() {
  if (stack_.size() <= floor()) refuse("P6", "the pickle takes a value from an empty stack");
  return stack_.back();
}

std::vector<Ref> PickleMachine::pop_to_mark() {
  if (marks_.empty()) refuse("P6", "the pickle goes back to a mark that is not there");
  std::vector<Ref> items(stack_.begin() + std::ptrdiff_t(marks_.back()), stack_.end());
  stack_.resize(marks_.back());
  marks_.pop_back();
  return items;
}

bool PickleMachine::is_hashable(Ref r) const {
  const ValueKind kind = tree_.kind(r);
  if (kind == ValueKind::kTuple) return tree_.values_[r].hashable;
  return kind != ValueKind::kList && kind != ValueKind::kDict && kind != ValueKind::kSet &&
         kind != ValueKind::kArray && kind != ValueKind::kStorage;
}

std::vector<Ref>& PickleMachine::items_of(Ref r) {
  if (tree_.is(r, ValueKind::kRecord)) return tree_.records_[tree_.index(r)].items;
  Value& v = tree_.values_[r];
  if (v.bits == 0) {
    charge(sizeof(std::vector<Ref>));
    tree_.containers_.emplace_back();
    v.bits = tree_.containers_.size();
  }
  return tree_.containers_[tree_.index(r)];
}

void PickleMachine::append(Ref target, const std::vector<Ref>& items) {
  const bool record = tree_.is(target, ValueKind::kRecord) &&
                      tree_.symbol(tree_.record(target).symbol).meaning != Meaning::kModule;
  if (!record && !tree_.is(target, ValueKind::kList)) refuse("P6", "APPEND on {}", name(tree_.kind(target)));
  if (items.empty()) return;
  charge(2 * items.size() * sizeof(Ref));
  auto& list = items_of(target);
  list.insert(list.end(), items.begin(), items.end());
}

void PickleMachine::set_items(Ref target, const std::vector<Ref>& pairs) {
  const bool record = tree_.is(target, ValueKind::kRecord) &&
                      tree_.symbol(tree_.record(target).symbol).meaning != Meaning::kModule;
  if (!record && !tree_.is(target, ValueKind::kDict)) refuse("P6", "SETITEM on {}", name(tree_.kind(target)));
  if (pairs.size() % 2 != 0)
    refuse("P6", "a dict gets {} values, which is not a whole number of pairs", pairs.size());
  for (size_t i = 0; i < pairs.size(); i += 2)
    if (!is_hashable(pairs[i])) refuse("P6", "{} as the key of a dict", name(tree_.kind(pairs[i])));
  if (pairs.empty()) return;
  charge(2 * pairs.size() * sizeof(Ref));
  auto& list = items_of(target);
  list.insert(list.end(), pairs.begin(), pairs.end());
}

void PickleMachine::add_to_set(Ref target, const std::vector<Ref>& items) {
  want(target, ValueKind::kSet, "the target of ADDITEMS");
  for (const Ref r : items)
    if (!is_hashable(r)) refuse("P6", "{} in a set", name(tree_.kind(r)));
  if (items.empty()) return;
  charge(2 * items.size() * sizeof(Ref));
  auto& list = items_of(target);
  list.insert(list.end(), items.begin(), items.end());
}

}  // namespace mtyolo::models
