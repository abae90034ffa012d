// What `infer` is given: images, folders, patterns, list files, standard input (data.md section 10).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/image.h"

namespace mtyolo::data {

inline constexpr const char* kStdinSource = "-";  // one image on standard input

// Expands the sources of the command line into image paths, in the order given; folders and patterns sorted
// by code point, not recursive, hidden names and other endings than those of images left out. A list file
// `x.txt` has one path per line, taken from its folder, then the working folder (data.md 1.6); a line that is
// nowhere stays as written, so that reading it fails by name. No path appears twice. Throws Error{kData} for
// what is not there or holds no image, Error{kUsage, "not_built"} for videos, stream addresses and cameras.
std::vector<std::string> list_sources(const std::vector<std::string>& sources);

// The lines of a list file as paths, under the limits of reliability.md Y6. Also read by data sets.
std::vector<std::string> read_path_list(const std::string& path);
// The same from memory; `file` names the list and the folder its lines are taken from.
std::vector<std::string> parse_path_list(std::string_view text, const std::string& file);

// Whether the name ends like an image: bmp jpg jpeg png tif tiff dng webp mpo, in any case.
bool has_image_ending(const std::string& path);

// read_image, or decode_image of what stands on standard input for "-".
Image read_source(const std::string& source);

}  // namespace mtyolo::data
