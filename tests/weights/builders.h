// Small builders of pickles and zips for the tests of the weight readers: bytes are written by hand, so that
// every rule can be broken on purpose.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/crc32.h"

namespace mtyolo::test {

inline std::string little(uint64_t value, int size) {
  std::string out;
  for (int i = 0; i < size; ++i) out.push_back(char(value >> (8 * i) & 0xff));
  return out;
}

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

namespace pickle {

inline std::string text(std::string_view t) { return "X" + little(t.size(), 4) + std::string(t); }
inline std::string integer(int value) { return "J" + little(uint64_t(int64_t(value)), 4); }
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::string& items) { return "(" + items + "t"; }
inline std::string whole(const std::string& body) { return "\x80\x02" + body + "."; }

// ('storage', class, key, 'cpu', numel) as a persistent id.
inline std::string storage(const std::string& type, const std::string& key, int numel) {
  return tuple(text("storage") + global("torch", type) + text(key) + text("cpu") + integer(numel)) + "Q";
}
// _rebuild_tensor_v2 over it; sizes and strides are pickled tuples.
inline std::string tensor(const std::string& source, int offset, const std::string& sizes,
                          const std::string& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple(source + integer(offset) + sizes + strides + "\x89" + global("collections", "OrderedDict") +
               ")R") +
         "R";
}
inline std::string dict(const std::string& pairs) { return "}(" + pairs + "u"; }

}  // namespace pickle

struct TestEntry {
  std::string name, stored;
  uint16_t method = 0;
  std::string plain;  // of a deflated entry: what `stored` inflates to
};

// A zip with these entries; the bytes can be patched afterwards.
inline std::string make_zip(const std::vector<TestEntry>& entries, const std::string& comment = {}) {
  std::string out, directory;
  for (const TestEntry& e : entries) {
    const std::string& content = e.method == 0 ? e.stored : e.plain;
    const std::string common = little(0, 2) + little(e.method, 2) + little(0, 4) +
                               little(crc32(bytes_of(content)), 4) + little(e.stored.size(), 4) +
                               little(content.size(), 4) + little(e.name.size(), 2) + little(0, 2);
    directory += "PK\x01\x02" + little(20, 2) + little(20, 2) + common + little(0, 2) + little(0, 2) +
                 little(0, 2) + little(0, 4) + little(out.size(), 4) + e.name;
    out += "PK\x03\x04" + little(20, 2) + common + e.name + e.stored;
  }
  const std::string end = "PK\x05\x06" + little(0, 4) + little(entries.size(), 2) +
                          little(entries.size(), 2) + little(directory.size(), 4) + little(out.size(), 4) +
                          little(comment.size(), 2) + comment;
  return out + directory + end;
}

// A checkpoint whose data.pkl is `body` between PROTO and STOP, with one storage "0" of eight floats 0..7.
inline std::string make_pt(const std::string& body) {
  const std::vector<float> values{0, 1, 2, 3, 4, 5, 6, 7};
  const std::string storage(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  return make_zip({{"m/data.pkl", pickle::whole(body), 0, {}},
                   {"m/version", "3\n", 0, {}},
                   {"m/data/0", storage, 0, {}}});
}

}  // namespace mtyolo::test
