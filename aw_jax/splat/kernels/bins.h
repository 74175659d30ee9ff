// Which gaussians each tile of a view sees, front to back.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "tile.h"
#include "workers.h"

namespace {

constexpr int kInline = 4;  // channels that travel with the gaussian
constexpr float kMinAlpha = 1.0f / 255.0f;
constexpr float kMinLevel = -7.9943534f;  // log2 of it
constexpr double kLog2E = 1.4426950408889634;

struct View {
  int64_t gaussians;
  int width, height, channels;
  float max_alpha;
  const float *means, *conics, *opacities, *features, *depths;
  const int32_t* radii;

  int columns() const { return (width + kTile - 1) / kTile; }
  int rows() const { return (height + kTile - 1) / kTile; }
};

// A gaussian that may be seen. With d = pixel - mean,
//   log2(alpha) = level - across (dx + slope dy)^2 - along dy^2.
struct alignas(64) Drawn {
  float x, y;            // mean, pixels
  float slope;           // B / A
  float across, along;   // log2(e) A / 2 and log2(e) det / (2A)
  float level;           // log2 of the opacity
  float reach, shrink;   // alpha >= 1/255 within sqrt(reach - shrink dy^2) of a row's middle
  float half_x, half_y;  // half extents of that ellipse, pixels
  float lean;            // dy at its rightmost point
  uint32_t index;
  float feature[kInline];
};

struct Entry {
  uint32_t rank;  // in depth order
  uint32_t row;   // of the gradient sums: by index, all of a gaussian together
};

// The tiles [first, last] of one row of tiles that a gaussian meets.
struct Span {
  uint32_t rank, index;
  uint16_t tile_row, first, last;
};

struct Bins {
  int64_t drawn = 0;
  std::unique_ptr<Drawn[]> splats;    // by rank
  std::unique_ptr<float[]> features;  // by rank; only where there are more than kInline
  std::vector<uint32_t> first_row;    // by index, and one past the last
  std::vector<uint32_t> start;        // by tile, and one past the last
  std::unique_ptr<Entry[]> entries;   // by tile, then rank

  const float* feature(uint32_t rank, int channels) const {
    return channels > kInline ? &features[int64_t(rank) * channels] : splats[rank].feature;
  }
};

inline bool finite(const float* p, int n) {  // by bits: the compiler may assume finite
  bool good = true;
  for (int i = 0; i < n; ++i) {
    uint32_t bits;
    std::memcpy(&bits, p + i, 4);
    good &= (bits & 0x7f800000u) != 0x7f800000u;
  }
  return good;
}

// False for what cannot reach alpha = 1/255 at any pixel. The slack only ever widens.
inline bool prepare(const View& v, int64_t i, Drawn* out) {
  if (v.radii[2 * i] <= 0 || v.radii[2 * i + 1] <= 0) return false;
  const float *mean = v.means + 2 * i, *conic = v.conics + 3 * i;
  if (!finite(mean, 2) || !finite(conic, 3) || !finite(v.opacities + i, 1) ||
      !finite(v.depths + i, 1) || !finite(v.features + i * v.channels, v.channels))
    return false;
  const double a = conic[0], b = conic[1], c = conic[2], det = a * c - b * b;
  if (!(v.opacities[i] >= kMinAlpha && a > 0 && c > 0 && det > 0)) return false;
  const float level = std::log2(v.opacities[i]);
  const double reach = 2 * ((level - kMinLevel) / kLog2E + 1e-4);  // 2 ln(255 o)
  const double half_x = std::sqrt(reach * c / det), half_y = std::sqrt(reach * a / det);
  out->half_x = std::min<double>(half_x + 1e-3, v.radii[2 * i]);
  out->half_y = std::min<double>(half_y + 1e-3, v.radii[2 * i + 1]);
  out->x = mean[0], out->y = mean[1];
  if (out->x + out->half_x < 0.5f || out->x - out->half_x > v.width - 0.5f ||
      out->y + out->half_y < 0.5f || out->y - out->half_y > v.height - 0.5f)
    return false;
  out->slope = std::max(-1e15, std::min(1e15, b / a));  // all stays finite in float
  out->across = kLog2E * a / 2, out->along = std::min(kLog2E * det / (2 * a), 1e30);
  out->level = level;
  out->reach = std::min(reach / a, 1e30), out->shrink = std::min(det / a / a, 1e30);
  out->lean = std::max(-1e30, std::min(1e30, -b / c * half_x));
  out->index = i;
  for (int k = 0; k < std::min(v.channels, kInline); ++k)
    out->feature[k] = v.features[i * v.channels + k];
  return true;
}

// False if the ellipse meets no tile of the row of tiles.
inline bool find_span(const View& v, const Drawn& g, int tile_row, Span* out) {
  const float top = std::max(tile_row * kTile + 0.5f - g.y, -g.half_y);
  const float end = std::min(tile_row * kTile + kTile - 0.5f - g.y, g.half_y);
  if (top > end) return false;
  const float right_dy = std::min(std::max(g.lean, top), end);
  const float left_dy = std::min(std::max(-g.lean, top), end);
  const auto half = [&](float dy) {
    return std::sqrt(std::max(g.reach - g.shrink * dy * dy, 0.0f)) * 1.00001f + 1e-3f;
  };
  const float left = std::max(-g.slope * left_dy - half(left_dy), -g.half_x);
  const float right = std::min(-g.slope * right_dy + half(right_dy), g.half_x);
  const float first = std::ceil(std::max(g.x + left - 0.5f, 0.0f));
  const float last = std::floor(std::min(g.x + right - 0.5f, v.width - 1.0f));
  if (first > last) return false;
  out->tile_row = tile_row;
  out->first = int(first) / kTile, out->last = int(last) / kTile;
  return true;
}

// Stable sort by the upper 32 bits, 11 at a time. A chunk for each thread: the keys of
// neighbouring chunks end up in the same cache lines.
inline void radix_sort(std::unique_ptr<uint64_t[]>& keys, int64_t n,
                       const Workers& workers) {
  constexpr int kBits = 11, kBuckets = 1 << kBits;
  const Chunks chunks(n, std::min<int64_t>(workers.count(), 16));
  auto other = uninitialised<uint64_t>(n);
  std::vector<uint32_t> counts(chunks.count * kBuckets);
  for (int shift = 32; shift < 64; shift += kBits) {
    workers.each(chunks.count, [&](int64_t k) {
      uint32_t* count = &counts[k * kBuckets];
      std::fill_n(count, kBuckets, 0);
      for (int64_t i = chunks.begin(k); i < chunks.begin(k + 1); ++i)
        ++count[keys[i] >> shift & (kBuckets - 1)];
    });
    uint32_t total = 0;
    for (int bucket = 0; bucket < kBuckets; ++bucket)
      for (int64_t k = 0; k < chunks.count; ++k)
        total += std::exchange(counts[k * kBuckets + bucket], total);
    workers.each(chunks.count, [&](int64_t k) {
      uint32_t* place = &counts[k * kBuckets];
      for (int64_t i = chunks.begin(k); i < chunks.begin(k + 1); ++i)
        other[place[keys[i] >> shift & (kBuckets - 1)]++] = keys[i];
    });
    std::swap(keys, other);
  }
}

inline uint64_t depth_key(float depth, uint32_t position) {
  uint32_t bits;
  std::memcpy(&bits, &depth, 4);
  bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return uint64_t(bits) << 32 | position;
}

// Keeps what may be seen, front to back; equal depths in the order of their index.
inline void order_by_depth(const View& v, const Workers& workers, Bins* bins) {
  const Chunks chunks(v.gaussians);
  auto found = uninitialised<Drawn>(v.gaussians);  // each chunk from its beginning on
  std::vector<int64_t> base(chunks.count + 1, 0);
  workers.each(chunks.count, [&](int64_t k) {
    Drawn* next = &found[chunks.begin(k)];
    for (int64_t i = chunks.begin(k); i < chunks.begin(k + 1); ++i)
      next += prepare(v, i, next);
    base[k + 1] = next - &found[chunks.begin(k)];
  });
  for (int64_t k = 0; k < chunks.count; ++k) base[k + 1] += base[k];
  const int64_t n = bins->drawn = base[chunks.count];
  auto keys = uninitialised<uint64_t>(n);
  workers.each(chunks.count, [&](int64_t k) {
    uint32_t position = chunks.begin(k);
    for (int64_t i = base[k]; i < base[k + 1]; ++i, ++position)
      keys[i] = depth_key(v.depths[found[position].index], position);
  });
  radix_sort(keys, n, workers);
  bins->splats = uninitialised<Drawn>(n);
  const bool many = v.channels > kInline;
  if (many) bins->features = uninitialised<float>(n * v.channels);
  const Chunks ranks(n);
  workers.each(ranks.count, [&](int64_t k) {
    for (int64_t i = ranks.begin(k); i < ranks.begin(k + 1); ++i) {
      const Drawn& g = bins->splats[i] = found[uint32_t(keys[i])];
      if (many)
        std::copy_n(v.features + int64_t(g.index) * v.channels, v.channels,
                    &bins->features[i * v.channels]);
    }
  });
}

// Deals the ordered gaussians to their tiles: a counting sort, stable by depth.
inline void deal_to_tiles(const View& v, const Workers& workers, Bins* bins) {
  const int64_t columns = v.columns(), tiles = columns * v.rows();
  const Chunks chunks(bins->drawn);
  std::vector<std::vector<Span>> spans(chunks.count);
  std::vector<uint32_t> counts(chunks.count * tiles, 0);
  bins->first_row.assign(v.gaussians + 1, 0);
  workers.each(chunks.count, [&](int64_t k) {
    std::vector<Span> mine;  // the heads in `spans` share cache lines
    mine.reserve(2 * (chunks.begin(k + 1) - chunks.begin(k)));
    for (int64_t i = chunks.begin(k); i < chunks.begin(k + 1); ++i) {
      const Drawn& g = bins->splats[i];
      const int top = std::max(g.y - g.half_y - 0.5f, 0.0f) / kTile;
      const int end = std::min(g.y + g.half_y - 0.5f, v.height - 1.0f) / kTile;
      Span found{uint32_t(i), g.index, 0, 0, 0};
      for (int tile_row = top; tile_row <= end; ++tile_row) {
        if (!find_span(v, g, tile_row, &found)) continue;
        mine.push_back(found);
        uint32_t* count = &counts[k * tiles + tile_row * columns];
        for (int t = found.first; t <= found.last; ++t) ++count[t];
        bins->first_row[g.index] += found.last - found.first + 1;
      }
    }
    spans[k] = std::move(mine);
  });
  uint32_t total = 0;
  for (uint32_t& row : bins->first_row) total += std::exchange(row, total);
  total = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    bins->start.push_back(total);
    for (int64_t k = 0; k < chunks.count; ++k)
      total += std::exchange(counts[k * tiles + tile], total);
  }
  bins->start.push_back(total);
  bins->entries = uninitialised<Entry>(total);
  workers.each(chunks.count, [&](int64_t k) {
    uint32_t* place = &counts[k * tiles];
    uint32_t rank = 0, row = 0;
    for (const Span& s : spans[k]) {
      if (std::exchange(rank, s.rank) != s.rank || &s == spans[k].data())
        row = bins->first_row[s.index];
      for (int t = s.first; t <= s.last; ++t)
        bins->entries[place[s.tile_row * columns + t]++] = {s.rank, row++};
    }
  });
}

inline Bins bin(const View& v, const Workers& workers) {
  Bins bins;
  order_by_depth(v, workers, &bins);
  deal_to_tiles(v, workers, &bins);
  return bins;
}

}  // namespace
