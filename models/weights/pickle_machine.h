// The closed pickle interpreter (reliability.md section 4): opcodes in, a tree of plain values out. It has no
// table of functions; what a REDUCE does is a switch over the fixed list of meanings in pickle_symbols.h.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <unordered_map>

#include "core/byte_reader.h"
#include "models/weights/pickle_value.h"

namespace mtyolo::models {

struct PickleOptions {
  uint64_t file_bytes = 0;      // of the whole file, for the budget of P9
  bool allow_storages = false;  // persistent ids ('storage', ...)
  bool allow_modules = false;   // persistent ids ('module', ...) of the legacy stream
  // Bytes of the storage with that key, nothing if there is none. Empty: sizes are checked later.
  std::function<std::optional<uint64_t>(std::string_view key)> storage_bytes;
};

// Interprets one pickle, from the reader's position up to and with its STOP. The tree keeps views of the
// reader's bytes. Throws Error{kModel} whose code is the rule ("P5") and whose `where` is the byte.
PickleTree parse_pickle(ByteReader& reader, const PickleOptions& options);

// One run of the interpreter; use parse_pickle.
class PickleMachine {
 public:
  PickleMachine(ByteReader& reader, const PickleOptions& options);
  PickleTree run();

 private:
  using Value = PickleTree::Value;

  // pickle_machine.cpp: opcodes
  void step(uint8_t op);
  bool step_number(uint8_t op);
  bool step_text(uint8_t op);
  bool step_container(uint8_t op);
  bool step_stack(uint8_t op);
  bool step_object(uint8_t op);
  void push_text_number(uint8_t op);
  void push_long(uint64_t size);
  void push_string(uint64_t size);
  void push_bytes(uint64_t size);
  void push_unicode_line();
  void put_memo(uint64_t index);
  void get_memo(uint64_t index);

  // pickle_machine.cpp: stack and values
  void charge(uint64_t bytes);
  Ref make(ValueKind kind, uint64_t bits = 0);
  Ref make_text(ValueKind kind, std::string_view text);
  Ref make_owned_text(ValueKind kind, std::string text);
  Ref make_container(ValueKind kind, std::vector<Ref> items);
  Ref make_record(Ref symbol, Ref args);
  Ref make_tensor(TensorValue tensor);
  Ref make_array(ValueKind kind, ArrayValue array);
  void push(Ref r);
  Ref pop();
  Ref top();
  std::vector<Ref> pop_to_mark();
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  bool is_hashable(Ref r) const;
  std::vector<Ref>& items_of(Ref container);
  void append(Ref target, const std::vector<Ref>& items);
  void set_items(Ref target, const std::vector<Ref>& pairs);
  void add_to_set(Ref target, const std::vector<Ref>& items);

  // pickle_objects.cpp: names, calls, state, persistent ids
  Ref global(std::string_view module, std::string_view name);
  Ref call(Ref callee, Ref args);
  Ref call_builtin(const Symbol& symbol, Ref callee, Ref args);
  Ref call_numpy(const Symbol& symbol, Ref args);
  Ref call_from_type(Ref args);
  Ref new_object(Ref callee, Ref args);
  void build(Ref target, Ref state);
  void build_array(ArrayValue& array, Ref state);
  Ref copy_items(ValueKind kind, Ref args);
  Ref encode(Ref args);
  Ref path(const Symbol& symbol, Ref args);
  Ref rebuild_tensor(Ref args, bool old_form);
  Ref rebuild_parameter(Ref args, bool with_state);
  Ref numpy_scalar(Ref args);
  std::vector<int64_t> dims(Ref tuple, const char* what);
  void check_tensor(const TensorValue& t);
  Ref persistent(Ref id);
  Ref persistent_storage(std::span<const Ref> id);
  int64_t want_integer(Ref r, const char* what);
  std::string_view want_string(Ref r, const char* what);
  void want(Ref r, ValueKind kind, const char* what);
  void want_dict_or_none(Ref r, const char* what);

  template <class... Args>
  [[noreturn]] void refuse(const char* code, fmt::format_string<Args...> text, Args&&... args) const {
    fail(ExitCode::kModel, code, text, std::forward<Args>(args)...);
  }

  ByteReader& reader_;
  const PickleOptions& options_;
  PickleTree tree_;
  std::vector<Ref> stack_;
  std::vector<size_t> marks_;
  std::vector<Ref> memo_;                          // entries 0..n-1, as all known writers number them
  std::unordered_map<uint64_t, Ref> sparse_memo_;  // any others
  std::unordered_map<std::string, Ref> globals_;
  uint64_t ops_ = 0, charged_ = 0, memory_limit_ = 0, tensor_bytes_ = 0;
  Ref none_ = 0;
};

}  // namespace mtyolo::models
