#include "core/cache_sizes.h"

#include <catch2/catch.hpp>

#include "tests/support/temp_folder.h"

using namespace mtyolo;

TEST_CASE("cache sizes: what the system lists is read, nonsense is left out", "[core]") {
  const test::TempFolder folder;
  const auto add = [&](const std::string& name, const char* level, const char* type, const char* size) {
    folder.write(name + "/level", level);
    folder.write(name + "/type", type);
    folder.write(name + "/size", size);
  };
  add("index0", "1\n", "Instruction\n", "64K\n");
  add("index1", "1\n", "Data\n", "48K\n");
  add("index2", "2\n", "Unified\n", "2M\n");
  for (const char* size : {"0K\n", "-8K\n", "K\n", "many\n", "99999999999K\n", "\n"})
    add(std::string("index3") + size[0], "3\n", "Unified\n", size);
  add("index9", "third\n", "Unified\n", "32K\n");
  const auto caches = read_caches(folder.path());
  REQUIRE(caches.size() == 3);
  CHECK(caches[1].type == "Data");
  const CacheSizes sizes = choose_cache_sizes(caches);
  CHECK(sizes.l1 == 48 << 10);
  CHECK(sizes.l2 == 2 << 20);
}

TEST_CASE("cache sizes: a machine that lists nothing still has sizes", "[core]") {
  CHECK(read_caches("/no/such/folder").empty());
  for (const CacheSizes& sizes : {choose_cache_sizes({}), cache_sizes()}) {
    CHECK(sizes.l1 >= 4 << 10);
    CHECK(sizes.l2 >= 64 << 10);
    CHECK(sizes.l3 >= 64 << 10);
  }
}
