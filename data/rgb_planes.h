// R,G,B pixels taken apart into one array per colour, and put together.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mtyolo::data {

// `count` pixels; planes[c] receives count bytes.
void split_rgb(const uint8_t* pixels, size_t count, uint8_t* const planes[3]);
void join_rgb(const uint8_t* const planes[3], size_t count, uint8_t* pixels);

}  // namespace mtyolo::data
