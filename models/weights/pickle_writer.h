// Pickles of plain values, as PyTorch's weights-only loader accepts them (checkpoint.md section 8): dict,
// list, string, number, boolean, None and tensors; no other class is ever written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/document.h"
#include "core/tensor.h"

namespace mtyolo::models {

class PickleWriter {
 public:
  void none() { put('N'); }
  void boolean(bool value) { put(value ? '\x88' : '\x89'); }
  void integer(int64_t value);
  void number(double value);
  void string(std::string_view text);
  void tensor(const Tensor& tensor);  // contiguous; its storage becomes data/<n>
  void document(const Document& document);

  // A dict: begin, then key (string) and value in turn, then end.
  void begin_dict() { bytes_ += "}("; }
  void end_dict() { put('u'); }
  void begin_list() { bytes_ += "]("; }
  void end_list() { put('e'); }

  // The finished pickle, and the storages it refers to: storages()[n] belongs into the entry data/<n>.
  std::string finish() { return "\x80\x02" + bytes_ + "."; }
  const std::vector<Tensor>& storages() const { return storages_; }

 private:
  void put(char op) { bytes_.push_back(op); }
  void little(uint64_t value, int size);
  void global(std::string_view module, std::string_view name);
  void dims(const Dims& dims);

  std::string bytes_;
  std::vector<Tensor> storages_;
};

}  // namespace mtyolo::models
