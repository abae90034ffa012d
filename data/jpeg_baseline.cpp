#include "data/jpeg_baseline.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
// jpeglib.h needs the two above.
#include <jpeglib.h>

#include "data/jpeg_block.h"
#include "data/jpeg_rows.h"
#include "data/jpeg_scan.h"

namespace mtyolo::data {
namespace {

struct Component {
  const JpegCodes *dc = nullptr, *ac = nullptr;
  JpegTransform transform;
  int blocks_x = 1, blocks_y = 1;  // of an MCU
  int height = 0;                  // rows of samples
  int last_dc = 0;
  // The samples of two rows of MCUs, the even ones in the first half.
  size_t stride = 0;
  std::vector<uint8_t> samples;
  uint8_t* row(int y) { return samples.data() + size_t(y % (16 * blocks_y)) * stride; }
};

class BaselineDecoder {
 public:
  explicit BaselineDecoder(const jpeg_decompress_struct& info) : info_(info) {}
  bool run(std::span<const uint8_t> bytes, Image& image);

 private:
  bool is_usual() const;
  bool prepare();
  bool build_tables(const jpeg_component_info& from);
  bool read_mcu(int mx, int my);
  void write_rows(int begin, int end, JpegRows& rows, Image& image);

  const jpeg_decompress_struct& info_;
  bool half_x_ = false, half_y_ = false;
  int mcus_x_ = 0, mcus_y_ = 0;
  JpegCodes dc_[NUM_HUFF_TBLS], ac_[NUM_HUFF_TBLS];
  std::vector<Component> components_;
  JpegScan scan_;
  JpegBlock block_;
};

bool BaselineDecoder::is_usual() const {
  const int n = info_.num_components;
  if (info_.progressive_mode || info_.arith_code || info_.data_precision != 8 || info_.comps_in_scan != n ||
      info_.Ss != 0 || info_.Se != 63 || info_.Ah != 0 || info_.Al != 0)
    return false;
  if (n == 1) return info_.jpeg_color_space == JCS_GRAYSCALE;
  if (n != 3 || info_.jpeg_color_space != JCS_YCbCr) return false;
  for (int c = 0; c < n; ++c) {
    const jpeg_component_info& from = info_.comp_info[c];
    if (info_.cur_comp_info[c] != &from || from.h_samp_factor > (c == 0 ? 2 : 1) ||
        from.v_samp_factor > (c == 0 ? 2 : 1))
      return false;
  }
  // libjpeg widens two samples a row in another way.
  return info_.comp_info[0].h_samp_factor == 1 || info_.image_width > 4;
}

// libjpeg looks at the tables' numbers later.
bool BaselineDecoder::build_tables(const jpeg_component_info& from) {
  if (from.dc_tbl_no >= NUM_HUFF_TBLS || from.ac_tbl_no >= NUM_HUFF_TBLS) return false;
  const JHUFF_TBL *dc = info_.dc_huff_tbl_ptrs[from.dc_tbl_no], *ac = info_.ac_huff_tbl_ptrs[from.ac_tbl_no];
  return dc != nullptr && ac != nullptr && dc_[from.dc_tbl_no].build(dc->bits, dc->huffval, true) &&
         ac_[from.ac_tbl_no].build(ac->bits, ac->huffval, false);
}

bool BaselineDecoder::prepare() {
  const jpeg_component_info* from = info_.comp_info;
  half_x_ = info_.num_components == 3 && from->h_samp_factor == 2;
  half_y_ = info_.num_components == 3 && from->v_samp_factor == 2;
  const int mcu_x = half_x_ ? 16 : 8, mcu_y = half_y_ ? 16 : 8;
  mcus_x_ = (int(info_.image_width) + mcu_x - 1) / mcu_x;
  mcus_y_ = (int(info_.image_height) + mcu_y - 1) / mcu_y;
  components_.resize(size_t(info_.num_components));
  for (Component& c : components_) {
    const bool same = from != info_.comp_info && from->dc_tbl_no == from[-1].dc_tbl_no &&
                      from->ac_tbl_no == from[-1].ac_tbl_no;
    if (!same && !build_tables(*from)) return false;
    c.dc = &dc_[from->dc_tbl_no], c.ac = &ac_[from->ac_tbl_no];
    if (from->quant_tbl_no >= NUM_QUANT_TBLS || info_.quant_tbl_ptrs[from->quant_tbl_no] == nullptr)
      return false;
    std::copy_n(info_.quant_tbl_ptrs[from->quant_tbl_no]->quantval, DCTSIZE2, c.transform.quant);
    if (components_.size() > 1) c.blocks_x = from->h_samp_factor, c.blocks_y = from->v_samp_factor;
    c.height = int(from->downsampled_height);
    c.stride = size_t(mcus_x_) * size_t(c.blocks_x) * 8;
    c.samples.resize(c.stride * size_t(16 * c.blocks_y));
    ++from;
  }
  return true;
}

bool BaselineDecoder::read_mcu(int mx, int my) {
  for (Component& c : components_)
    for (int by = 0; by < c.blocks_y; ++by)
      for (int bx = 0; bx < c.blocks_x; ++bx) {
        const int last = scan_.read_block(*c.dc, *c.ac, c.last_dc, block_);
        if (last < 0) return false;
        uint8_t* to = c.row((my * c.blocks_y + by) * 8) + (mx * c.blocks_x + bx) * 8;
        c.transform.run(block_, last, to, c.stride);
      }
  return true;
}

void BaselineDecoder::write_rows(int begin, int end, JpegRows& rows, Image& image) {
  for (int y = begin; y < end; ++y) {
    if (components_.size() == 1) {
      rows.grey(components_[0].row(y), image.row(y));
      continue;
    }
    JpegRows::Samples from{};
    from.luma = components_[0].row(y);
    from.lower = y % 2 != 0;
    for (size_t c = 0; c < 2; ++c) {
      Component& chroma = components_[c + 1];
      const int here = half_y_ ? y / 2 : y;
      from.chroma[c] = chroma.row(here);
      from.next[c] = chroma.row(std::clamp(here + (from.lower ? 1 : -1), 0, chroma.height - 1));
    }
    rows.colour(from, image.row(y));
  }
}

bool BaselineDecoder::run(std::span<const uint8_t> bytes, Image& image) {
  if (!is_usual() || !prepare()) return false;
  const size_t mcus = size_t(mcus_x_) * size_t(mcus_y_);
  const size_t interval = info_.restart_interval == 0 ? mcus : info_.restart_interval;
  if (!scan_.open(bytes, (mcus + interval - 1) / interval)) return false;
  JpegRows rows(image.width, int(info_.comp_info[components_.size() - 1].downsampled_width), half_x_,
                half_y_);
  int written = 0;
  size_t left = 0;
  for (int my = 0; my < mcus_y_; ++my) {
    for (int mx = 0; mx < mcus_x_; ++mx, --left) {
      if (left == 0) {
        if (!scan_.next_segment()) return false;
        for (Component& c : components_) c.last_dc = 0;
        left = interval;
      }
      if (!read_mcu(mx, my)) return false;
    }
    // A row of halved chroma needs the one below it.
    const int done = my + 1 == mcus_y_ ? image.height : half_y_ ? 16 * (my + 1) - 1 : 8 * (my + 1);
    write_rows(written, done, rows, image);
    written = done;
  }
  return scan_.at_end() && std::all_of(components_.begin(), components_.end(),
                                       [](const Component& c) { return c.transform.in_range(); });
}

}  // namespace

bool decode_baseline(const jpeg_decompress_struct& info, std::span<const uint8_t> scan, Image& image) {
#ifdef __SSE2__
  static const bool has_avx2 = __builtin_cpu_supports("avx2");
#else
  constexpr bool has_avx2 = false;
#endif
  return has_avx2 && BaselineDecoder(info).run(scan, image);
}

}  // namespace mtyolo::data
