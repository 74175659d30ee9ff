// Alpha compositing of projected gaussians, and its gradient, as two XLA custom calls.
//
// A view is cut into tiles of 16 x 16 pixels. One stable radix sort orders the drawn
// gaussians by depth; a counting sort then deals them to the tiles their ellipse of
// alpha >= 1/255 truly meets. Inside a tile a gaussian touches only the units (a few
// pixels by two rows) that its ellipse crosses. With pixel p, mean m, d = p - m:
//
//   sigma = (A dx^2 + C dy^2) / 2 + B dx dy = A/2 (dx + B/A dy)^2 + det/(2A) dy^2
//   alpha = min(max_alpha, o exp(-sigma)),  w = alpha T,  T <- T (1 - alpha)
//
// Backward, with q = feature . g and R = what of C . g + T_end g_T is still to come:
//
//   R <- R - w q;  dL/dsigma = alpha R / (1 - alpha) - w q
//
// Each (gaussian, tile) writes its own row of sums and the rows of a gaussian are added
// in tile order, so the bits do not depend on the number of threads.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "xla/ffi/api/ffi.h"

#ifndef AW_LANES
#define AW_LANES 4
#endif

namespace {

namespace ffi = xla::ffi;

// ---------------------------------------------------------------- lanes

constexpr int kLanes = AW_LANES;
typedef float Vec __attribute__((vector_size(4 * AW_LANES)));
typedef int32_t Mask __attribute__((vector_size(4 * AW_LANES)));
typedef float Quad __attribute__((vector_size(16)));

constexpr int kTile = 16;
constexpr int kPixels = kTile * kTile;
constexpr int kVecs = kPixels / kLanes;
constexpr int kUnitWidth = kLanes == 16 ? 8 : 4;      // a unit: this many pixels, 2 rows
constexpr int kUnitShift = kLanes == 16 ? 3 : 2;      // log2 of it
constexpr int kUnitsPerRow = kTile / kUnitWidth;
constexpr int kUnits = kUnitsPerRow * kTile / 2;      // at most 32: one bit each
constexpr int kVecsPerUnit = 2 * kUnitWidth / kLanes;
constexpr int kMaxChannels = 32;
constexpr int kBatch = 16;  // gaussians between two looks for finished units

constexpr float kMinAlpha = 1.0f / 255.0f;
constexpr float kMinTransmittance = 1e-4f;
constexpr double kLog2E = 1.4426950408889634;

struct Tables {
  alignas(64) float x[kPixels], y[kPixels];  // centre of pixel i of a tile, unit by unit
  alignas(64) float row[kTile];              // centre of each pixel row
  alignas(64) int32_t shift[kTile];          // first bit of the row's units
};

constexpr Tables make_tables() {
  Tables t{};
  for (int i = 0; i < kPixels; ++i) {
    const int unit = i / (2 * kUnitWidth), inside = i % (2 * kUnitWidth);
    t.x[i] = unit % kUnitsPerRow * kUnitWidth + inside % kUnitWidth + 0.5f;
    t.y[i] = unit / kUnitsPerRow * 2 + inside / kUnitWidth + 0.5f;
  }
  for (int r = 0; r < kTile; ++r) {
    t.row[r] = r + 0.5f;
    t.shift[r] = r / 2 * kUnitsPerRow;
  }
  return t;
}

constexpr Tables kTables = make_tables();

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline Vec fill(float value) { return value - Vec{}; }
inline Vec lesser(Vec a, Vec b) { return a < b ? a : b; }
inline Vec greater(Vec a, Vec b) { return a > b ? a : b; }

inline Vec root(Vec v) {
  float lane[kLanes];
  std::memcpy(lane, &v, sizeof v);
  for (int i = 0; i < kLanes; ++i) lane[i] = __builtin_sqrtf(lane[i]);
  std::memcpy(&v, lane, sizeof v);
  return v;
}

// 2^p to 1e-7: the nearest integer goes to the exponent, a polynomial does the rest.
inline Vec exp2(Vec p) {
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  p = greater(p, fill(-100.0f));
  const Vec rounded = p + magic;
  const Vec f = p - (rounded - magic);
  Vec r = f * 1.32647e-3f + 9.67151e-3f;
  r = r * f + 5.550734e-2f;
  r = r * f + 2.4022242e-1f;
  r = r * f + 6.9314698e-1f;
  r = r * f + 1.0f;
  return (Vec)((Mask)r + ((Mask)rounded << 23));
}

// The sums over all lanes of four vectors at once.
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define AW_SHUFFLE 1
#endif
#endif
#ifdef AW_SHUFFLE
// Lanes p, q of `a` and of `b` within each group of four, a's first or interleaved.
template <int kFirst, bool kInterleave, size_t... I>
inline Vec pick(Vec a, Vec b, std::index_sequence<I...>) {
  return __builtin_shufflevector(
      a, b,
      (kInterleave ? int(I & ~3u) + kFirst + int(I & 3) / 2 + int(I & 1) * kLanes
                   : int(I & ~3u) + kFirst + int(I & 1) + int(I & 3) / 2 * kLanes)...);
}

inline Quad sums(Vec a, Vec b, Vec c, Vec d) {
  constexpr auto lanes = std::make_index_sequence<kLanes>();
  const Vec ab = pick<0, true>(a, b, lanes) + pick<2, true>(a, b, lanes);
  const Vec cd = pick<0, true>(c, d, lanes) + pick<2, true>(c, d, lanes);
  const Vec all = pick<0, false>(ab, cd, lanes) + pick<2, false>(ab, cd, lanes);
  Quad part[kLanes / 4];
  std::memcpy(part, &all, sizeof all);
  for (int i = 1; i < kLanes / 4; ++i) part[0] += part[i];
  return part[0];
}
#else
inline Quad sums(Vec a, Vec b, Vec c, Vec d) {
  Quad total = {};
  for (int i = 0; i < kLanes; ++i) total += Quad{a[i], b[i], c[i], d[i]};
  return total;
}
#endif

// ---------------------------------------------------------------- threads

// Runs loops on XLA's own pool. The caller works too and never waits for a task that has
// not begun, so a pool that is busy, or is the caller's own, cannot deadlock.
class Workers {
 public:
  Workers() = default;
  explicit Workers(ffi::ThreadPool* pool)
      : pool_(pool), count_(std::max<int64_t>(1, pool->num_threads())) {}

  int64_t count() const { return count_; }

  template <typename F>
  void each(int64_t n, const F& work) const {
    if (count_ == 1 || n <= 1) {
      for (int64_t i = 0; i < n; ++i) work(i);
      return;
    }
    auto loop = std::make_shared<Loop>();
    auto turn = [loop, n, &work] {  // `work` is touched only while an item is left
      for (int64_t i; (i = loop->next.fetch_add(1)) < n;) {
        try {
          work(i);
        } catch (...) {
          loop->failed = true;
        }
        if (loop->finished.fetch_add(1) + 1 == n) {
          std::lock_guard<std::mutex> lock(loop->mutex);
          loop->done.notify_one();
        }
      }
    };
    for (int64_t i = 1; i < std::min(count_, n); ++i) pool_->Schedule(decltype(turn)(turn));
    turn();
    std::unique_lock<std::mutex> lock(loop->mutex);
    loop->done.wait(lock, [&] { return loop->finished == n; });
    if (loop->failed) throw std::bad_alloc();
  }

 private:
  struct Loop {
    std::atomic<int64_t> next{0}, finished{0};
    std::atomic<bool> failed{false};
    std::mutex mutex;
    std::condition_variable done;
  };
  ffi::ThreadPool* pool_ = nullptr;
  int64_t count_ = 1;
};

template <typename T>
std::unique_ptr<T[]> uninitialised(int64_t n) {
  return std::unique_ptr<T[]>(new T[n]);
}

// ---------------------------------------------------------------- one view

struct View {
  int64_t gaussians;
  int width, height, channels;
  float max_alpha;
  const float *means, *conics, *opacities, *features, *depths;
  const int32_t* radii;

  int columns() const { return (width + kTile - 1) / kTile; }
  int rows() const { return (height + kTile - 1) / kTile; }
};

// A gaussian that may be seen, in depth order.
struct Drawn {
  float x, y;              // mean, pixels
  float slope;             // B / A
  float across, along;     // log2(e) A / 2 and log2(e) det / (2A)
  float level;             // log2 of the opacity
  float reach, shrink;     // half width of a row: sqrt(reach - shrink dy^2)
  float half_x, half_y;    // half extents of the ellipse, pixels
  float lean;              // dy at its rightmost point
  uint32_t index;
};

struct Entry {
  uint32_t rank;  // in depth order
  uint32_t row;   // of the gradient sums: all rows of a gaussian are neighbours
};

struct Span {
  uint32_t rank;
  uint16_t tile_row, first, last;
};

// The gaussians of every tile, front to back.
struct Bins {
  int64_t drawn = 0;
  std::unique_ptr<Drawn[]> splats;
  std::unique_ptr<float[]> features;
  std::unique_ptr<uint32_t[]> first_row;  // drawn + 1
  std::vector<uint32_t> start;            // tiles + 1
  std::unique_ptr<Entry[]> entries;
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
bool prepare(const View& v, int64_t i, Drawn* out) {
  const int32_t* radius = v.radii + 2 * i;
  if (radius[0] <= 0 || radius[1] <= 0) return false;
  const float *mean = v.means + 2 * i, *conic = v.conics + 3 * i;
  if (!finite(mean, 2) || !finite(conic, 3) || !finite(v.opacities + i, 1) ||
      !finite(v.depths + i, 1) || !finite(v.features + i * v.channels, v.channels))
    return false;
  const double a = conic[0], b = conic[1], c = conic[2], det = a * c - b * b;
  if (!(v.opacities[i] >= kMinAlpha && a > 0 && c > 0 && det > 0)) return false;
  const float level = std::log2(v.opacities[i]);
  const double reach = 2 * ((level + 7.9943534) / kLog2E + 1e-4);  // 2 ln(255 o)
  out->half_x = std::min<double>(std::sqrt(reach * c / det) + 1e-3, radius[0]);
  out->half_y = std::min<double>(std::sqrt(reach * a / det) + 1e-3, radius[1]);
  out->x = mean[0], out->y = mean[1];
  if (out->x + out->half_x < 0.5f || out->x - out->half_x > v.width - 0.5f ||
      out->y + out->half_y < 0.5f || out->y - out->half_y > v.height - 0.5f)
    return false;
  out->slope = b / a;
  out->across = kLog2E * a / 2, out->along = kLog2E * det / (2 * a);
  out->level = level;
  out->reach = std::min(reach / a, 1e30), out->shrink = std::min(det / a / a, 1e30);
  out->lean = std::max(-1e30, std::min(1e30, -b / c * std::sqrt(reach * c / det)));
  out->index = i;
  return true;
}

// The tiles of one tile row that the ellipse meets: false if none.
bool span(const View& v, const Drawn& g, int tile_row, Span* out) {
  const float top = std::max(tile_row * kTile + 0.5f - g.y, -g.half_y);
  const float end = std::min(tile_row * kTile + kTile - 0.5f - g.y, g.half_y);
  if (top > end) return false;
  const float right_dy = std::min(std::max(g.lean, top), end);
  const float left_dy = std::min(std::max(-g.lean, top), end);
  const auto half = [&](float dy) {
    return std::sqrt(std::max(g.reach - g.shrink * dy * dy, 0.0f)) * 1.00001f + 1e-3f;
  };
  float left = -g.slope * left_dy - half(left_dy);
  float right = -g.slope * right_dy + half(right_dy);
  left = g.x + std::max(left, -g.half_x) - 0.5f;  // first pixel: the ceiling of it
  right = g.x + std::min(right, g.half_x) - 0.5f;
  left = std::ceil(std::max(left, 0.0f));
  right = std::floor(std::min(right, v.width - 1.0f));
  if (left > right) return false;
  out->tile_row = tile_row;
  out->first = int(left) / kTile, out->last = int(right) / kTile;
  return true;
}

// Chunks of a loop: how many, and where each begins. Results never depend on them.
struct Chunks {
  int64_t n, count;
  explicit Chunks(int64_t n) : n(n), count(std::min<int64_t>(16, n / 4096 + 1)) {}
  int64_t begin(int64_t i) const { return n * i / count; }
};

// Stable sort by the upper 32 bits, 11 at a time.
void radix_sort(std::unique_ptr<uint64_t[]>& keys, int64_t n, const Workers& workers) {
  constexpr int kBits = 11, kBuckets = 1 << kBits;
  const Chunks chunks(n);
  auto other = uninitialised<uint64_t>(n);
  std::vector<uint32_t> counts(chunks.count * kBuckets);
  for (int shift = 32; shift < 64; shift += kBits) {
    std::fill(counts.begin(), counts.end(), 0);
    workers.each(chunks.count, [&](int64_t k) {
      uint32_t* count = &counts[k * kBuckets];
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

uint64_t depth_key(float depth, uint32_t position) {
  uint32_t bits;
  std::memcpy(&bits, &depth, 4);
  bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return uint64_t(bits) << 32 | position;
}

// Keeps what may be seen, front to back; equal depths in the order of their index.
void order_by_depth(const View& v, const Workers& workers, Bins* bins) {
  const Chunks chunks(v.gaussians);
  std::vector<std::vector<Drawn>> kept(chunks.count);
  workers.each(chunks.count, [&](int64_t k) {
    Drawn splat;
    for (int64_t i = chunks.begin(k); i < chunks.begin(k + 1); ++i)
      if (prepare(v, i, &splat)) kept[k].push_back(splat);
  });
  std::vector<int64_t> base(chunks.count + 1, 0);
  for (int64_t k = 0; k < chunks.count; ++k) base[k + 1] = base[k] + kept[k].size();
  const int64_t n = bins->drawn = base[chunks.count];
  auto keys = uninitialised<uint64_t>(n);
  auto unsorted = uninitialised<Drawn>(n);
  workers.each(chunks.count, [&](int64_t k) {
    std::copy(kept[k].begin(), kept[k].end(), &unsorted[base[k]]);
    for (int64_t i = base[k]; i < base[k + 1]; ++i)
      keys[i] = depth_key(v.depths[unsorted[i].index], i);
  });
  radix_sort(keys, n, workers);
  bins->splats = uninitialised<Drawn>(n);
  bins->features = uninitialised<float>(n * v.channels);
  const Chunks ranks(n);
  workers.each(ranks.count, [&](int64_t k) {
    for (int64_t i = ranks.begin(k); i < ranks.begin(k + 1); ++i) {
      bins->splats[i] = unsorted[uint32_t(keys[i])];
      std::copy_n(v.features + int64_t(bins->splats[i].index) * v.channels, v.channels,
                  &bins->features[i * v.channels]);
    }
  });
}

// Deals the ordered gaussians to their tiles: a counting sort, stable by depth.
void deal_to_tiles(const View& v, const Workers& workers, Bins* bins) {
  const int64_t tiles = int64_t(v.columns()) * v.rows();
  const Chunks chunks(bins->drawn);
  std::vector<uint32_t> counts(chunks.count * tiles, 0);
  std::vector<std::vector<Span>> spans(chunks.count);
  bins->first_row = uninitialised<uint32_t>(bins->drawn + 1);
  std::vector<uint32_t> rows(chunks.count + 1, 0);
  workers.each(chunks.count, [&](int64_t k) {
    uint32_t row = 0;
    for (int64_t i = chunks.begin(k); i < chunks.begin(k + 1); ++i) {
      const Drawn& g = bins->splats[i];
      const int top = std::max(g.y - g.half_y - 0.5f, 0.0f) / kTile;
      const int end = std::min(g.y + g.half_y - 0.5f, v.height - 1.0f) / kTile;
      bins->first_row[i] = row;  // within the chunk, for now
      Span found{uint32_t(i), 0, 0, 0};
      for (int tile_row = top; tile_row <= end; ++tile_row) {
        if (!span(v, g, tile_row, &found)) continue;
        spans[k].push_back(found);
        uint32_t* count = &counts[k * tiles + int64_t(tile_row) * v.columns()];
        for (int t = found.first; t <= found.last; ++t) ++count[t];
        row += found.last - found.first + 1;
      }
    }
    rows[k + 1] = row;
  });
  bins->start.resize(tiles + 1);
  uint32_t total = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    bins->start[tile] = total;
    for (int64_t k = 0; k < chunks.count; ++k)
      total += std::exchange(counts[k * tiles + tile], total);
  }
  bins->start[tiles] = total;
  for (int64_t k = 0; k < chunks.count; ++k) rows[k + 1] += rows[k];
  bins->first_row[bins->drawn] = total;
  bins->entries = uninitialised<Entry>(total);
  workers.each(chunks.count, [&](int64_t k) {
    uint32_t* place = &counts[k * tiles];
    uint32_t row = rows[k];
    for (int64_t i = chunks.begin(k); i < chunks.begin(k + 1); ++i)
      bins->first_row[i] += rows[k];
    for (const Span& s : spans[k])
      for (int t = s.first; t <= s.last; ++t)
        bins->entries[place[int64_t(s.tile_row) * v.columns() + t]++] = {s.rank, row++};
  });
}

Bins bin(const View& v, const Workers& workers) {
  Bins bins;
  order_by_depth(v, workers, &bins);
  deal_to_tiles(v, workers, &bins);
  return bins;
}

// ---------------------------------------------------------------- one tile

// One bit per unit of the tile with a pixel centre in the ellipse; (x, y) from its corner.
inline uint32_t touched_units(const Drawn& g, float x, float y) {
  Mask found = {};
  for (int r = 0; r < kTile; r += kLanes) {
    const Vec dy = load(kTables.row + r) - y;
    const Vec room = g.reach - g.shrink * dy * dy;
    const Vec half = root(greater(room, Vec{})) * 1.00001f + 1e-3f;
    const Vec middle = x - g.slope * dy;
    const Vec none = {}, all = fill(kTile);
    const Vec upto = lesser(greater(middle + half + 0.5f, none), all);
    const Vec from = lesser(greater(kTile + 0.5f - middle + half, none), all);
    const Mask right = __builtin_convertvector(upto, Mask);       // pixels up to the end
    const Mask left = __builtin_convertvector(from, Mask);        // and from the start on
    const Mask one = Mask{} + 1, last = ((right - 1) & (kTile - 1)) >> kUnitShift;
    const Mask bits = (2 * one << last) - (one << ((kTile - left) >> kUnitShift));
    Mask shift;
    std::memcpy(&shift, kTables.shift + r, sizeof shift);
    found |= (bits << shift) & (room >= 0.0f) & (left + right > kTile);
  }
  uint32_t lane[kLanes], any = 0;
  std::memcpy(lane, &found, sizeof found);
  for (int i = 0; i < kLanes; ++i) any |= lane[i];
  return any;
}

// A finished pixel, or one outside the image, has its transmittance negated.
inline uint32_t live_units(const Vec* t) {
  uint32_t live = 0;
  for (int unit = 0; unit < kUnits; ++unit) {
    Mask open = {};
    for (int j = 0; j < kVecsPerUnit; ++j) open |= t[unit * kVecsPerUnit + j] > 0.0f;
    uint64_t word[kLanes / 2], any = 0;
    std::memcpy(word, &open, sizeof open);
    for (int i = 0; i < kLanes / 2; ++i) any |= word[i];
    live |= uint32_t(any != 0) << unit;
  }
  return live;
}

inline void open_pixels(const View& v, int left, int top, Vec* t) {
  float* lane = reinterpret_cast<float*>(t);
  for (int i = 0; i < kPixels; ++i)
    lane[i] = left + kTables.x[i] < v.width && top + kTables.y[i] < v.height ? 1 : -1;
}

// Calls visit(entry, gaussian, x, y, units) front to back, units being those with work;
// returns the first entry that was not visited since every pixel had finished.
template <typename Visit>
uint32_t walk(const Bins& bins, int64_t tile, int left, int top, const Vec* t,
              const Visit& visit) {
  const uint32_t end = bins.start[tile + 1];
  for (uint32_t begin = bins.start[tile]; begin < end; begin += kBatch) {
    const uint32_t live = live_units(t);
    if (!live) return begin;
    const uint32_t count = std::min<uint32_t>(kBatch, end - begin);
    uint32_t units[kBatch];
    for (uint32_t n = 0; n < count; ++n) {
      const Drawn& g = bins.splats[bins.entries[begin + n].rank];
      units[n] = live & touched_units(g, g.x - left, g.y - top);
    }
    for (uint32_t n = 0; n < count; ++n) {
      const Drawn& g = bins.splats[bins.entries[begin + n].rank];
      visit(bins.entries[begin + n], g, g.x - left, g.y - top, units[n]);
    }
  }
  return end;
}

// A gaussian at the pixels of one vector.
struct Pair {
  Vec dx, dy, raw, alpha, next, weight;
  Mask blended;
};

inline Pair meet(const Drawn& g, float x, float y, float max_alpha, int i, Vec* t) {
  Pair p;
  p.dx = load(kTables.x + i * kLanes) - x;
  p.dy = load(kTables.y + i * kLanes) - y;
  const Vec u = p.dx + g.slope * p.dy;
  p.raw = exp2(g.level - g.along * (p.dy * p.dy) - g.across * (u * u));
  p.alpha = lesser(p.raw, fill(max_alpha));
  const Vec before = t[i];
  p.next = before - before * p.alpha;
  const Mask hit = p.raw >= kMinAlpha;
  p.blended = hit & (p.next > kMinTransmittance);
  p.weight = (Vec)((Mask)(p.alpha * before) & p.blended);
  const Mask closed = (Mask)before | (hit & INT32_MIN);
  t[i] = p.blended ? p.next : (Vec)closed;
  return p;
}

template <int C>
uint32_t composite(const View& v, const Bins& bins, int64_t tile, float* features,
                   float* transmittance) {
  constexpr int kRoom = C ? C : kMaxChannels;
  const int c = C ? C : v.channels;
  const int left = tile % v.columns() * kTile, top = tile / v.columns() * kTile;
  Vec t[kVecs], sum[kVecs][kRoom];
  for (int i = 0; i < kVecs; ++i)
    for (int k = 0; k < c; ++k) sum[i][k] = Vec{};
  open_pixels(v, left, top, t);
  uint32_t evaluated = 0;
  walk(bins, tile, left, top, t,
       [&](Entry entry, const Drawn& g, float x, float y, uint32_t units) {
         const float* feature = &bins.features[int64_t(entry.rank) * c];
         for (; units; units &= units - 1) {
           const int first = __builtin_ctz(units) * kVecsPerUnit;
           for (int i = first; i < first + kVecsPerUnit; ++i) {
             const Pair p = meet(g, x, y, v.max_alpha, i, t);
             for (int k = 0; k < c; ++k) sum[i][k] += p.weight * feature[k];
             ++evaluated;
           }
         }
       });
  for (int i = 0; i < kPixels; ++i) {
    const int px = left + int(kTables.x[i]), py = top + int(kTables.y[i]);
    if (px >= v.width || py >= v.height) continue;
    const int64_t at = int64_t(py) * v.width + px;
    transmittance[at] = std::fabs(t[i / kLanes][i % kLanes]);
    for (int k = 0; k < c; ++k)
      features[at * c + k] = sum[i / kLanes][k][i % kLanes];
  }
  return evaluated;
}

struct Cotangents {
  const float *features_out, *transmittance, *d_features, *d_transmittance;
};

template <int kRoom>
struct Sums {  // padded to whole groups of four
  Vec lanes[(6 + kRoom + 3) / 4 * 4] = {};
  float row[(6 + kRoom + 3) / 4 * 4];
};

// Writes the rows {sum s, s dx, s dy, s dx^2, s dx dy, s dy^2, w g...}, s = dL/dsigma.
template <int C>
void composite_gradient(const View& v, const Bins& bins, const Cotangents& cotangents,
                        int64_t tile, float* rows) {
  constexpr int kRoom = C ? C : kMaxChannels;
  const int c = C ? C : v.channels;
  const int left = tile % v.columns() * kTile, top = tile / v.columns() * kTile;
  Vec t[kVecs], rest[kVecs], gradient[kVecs][kRoom];
  open_pixels(v, left, top, t);
  for (int i = 0; i < kPixels; ++i) {
    const int px = left + int(kTables.x[i]), py = top + int(kTables.y[i]);
    const bool inside = px < v.width && py < v.height;
    const int64_t at = inside ? int64_t(py) * v.width + px : 0;
    float total = cotangents.transmittance[at] * cotangents.d_transmittance[at];
    for (int k = 0; k < c; ++k) {
      const float g = cotangents.d_features[at * c + k];
      total += cotangents.features_out[at * c + k] * g;
      gradient[i / kLanes][k][i % kLanes] = g;
    }
    rest[i / kLanes][i % kLanes] = total;
  }
  const uint32_t seen = walk(
      bins, tile, left, top, t,
      [&](Entry entry, const Drawn& g, float x, float y, uint32_t units) {
        const float* feature = &bins.features[int64_t(entry.rank) * c];
        Sums<kRoom> sums_of;
        Vec* sum = sums_of.lanes;
        for (; units; units &= units - 1) {
          const int first = __builtin_ctz(units) * kVecsPerUnit;
          for (int i = first; i < first + kVecsPerUnit; ++i) {
            const Pair p = meet(g, x, y, v.max_alpha, i, t);
            Vec q = {};
            for (int k = 0; k < c; ++k) {
              q += gradient[i][k] * feature[k];
              sum[6 + k] += gradient[i][k] * p.weight;
            }
            const Vec shown = p.weight * q;
            rest[i] -= shown;
            const Vec slope = p.alpha / (1.0f - p.alpha) * rest[i] - shown;
            const Mask moves = p.blended & (p.raw <= v.max_alpha);
            const Vec s = (Vec)((Mask)slope & moves);
            const Vec sx = s * p.dx, sy = s * p.dy;
            sum[0] += s;
            sum[1] += sx;
            sum[2] += sy;
            sum[3] += sx * p.dx;
            sum[4] += sx * p.dy;
            sum[5] += sy * p.dy;
          }
        }
        float* row = sums_of.row;
        for (int k = 0; k < 6 + c; k += 4) {
          const Quad four = sums(sum[k], sum[k + 1], sum[k + 2], sum[k + 3]);
          std::memcpy(row + k, &four, sizeof four);
        }
        std::copy_n(row, 6 + c, rows + int64_t(entry.row) * (6 + c));
      });
  for (uint32_t n = seen; n < bins.start[tile + 1]; ++n)
    std::fill_n(rows + int64_t(bins.entries[n].row) * (6 + c), 6 + c, 0.0f);
}

struct Gradients {
  float *means, *conics, *opacities, *features;
};

// Adds the rows of one gaussian and turns the moments into gradients.
void gather(const View& v, const Bins& bins, const float* rows, int64_t rank,
            const Gradients& out) {
  const int c = v.channels;
  float sum[6 + kMaxChannels] = {};
  for (uint32_t r = bins.first_row[rank]; r < bins.first_row[rank + 1]; ++r)
    for (int k = 0; k < 6 + c; ++k) sum[k] += rows[int64_t(r) * (6 + c) + k];
  const int64_t i = bins.splats[rank].index;
  const float *conic = v.conics + 3 * i;
  out.opacities[i] = -sum[0] / v.opacities[i];
  out.means[2 * i] = -(conic[0] * sum[1] + conic[1] * sum[2]);
  out.means[2 * i + 1] = -(conic[1] * sum[1] + conic[2] * sum[2]);
  out.conics[3 * i] = 0.5f * sum[3];
  out.conics[3 * i + 1] = sum[4];
  out.conics[3 * i + 2] = 0.5f * sum[5];
  std::copy_n(sum + 6, c, out.features + i * c);
}

// ---------------------------------------------------------------- all views

template <int C>
void forward_view(const View& v, const Workers& workers, float* features,
                  float* transmittance, int32_t* counts) {
  const Bins bins = bin(v, workers);
  std::atomic<uint32_t> evaluated{0};
  workers.each(bins.start.size() - 1, [&](int64_t tile) {
    evaluated += composite<C>(v, bins, tile, features, transmittance);
  });
  counts[0] = bins.start.back();
  counts[1] = evaluated * kLanes;
}

template <int C>
void backward_view(const View& v, const Workers& workers, const Cotangents& cotangents,
                   const Gradients& out) {
  const Bins bins = bin(v, workers);
  const int c = v.channels;
  auto rows = uninitialised<float>(int64_t(bins.start.back()) * (6 + c));
  workers.each(bins.start.size() - 1, [&](int64_t tile) {
    composite_gradient<C>(v, bins, cotangents, tile, rows.get());
  });
  std::fill_n(out.means, 2 * v.gaussians, 0.0f);
  std::fill_n(out.conics, 3 * v.gaussians, 0.0f);
  std::fill_n(out.opacities, v.gaussians, 0.0f);
  std::fill_n(out.features, c * v.gaussians, 0.0f);
  const Chunks chunks(bins.drawn);
  workers.each(chunks.count, [&](int64_t k) {
    for (int64_t i = chunks.begin(k); i < chunks.begin(k + 1); ++i)
      gather(v, bins, rows.get(), i, out);
  });
}

using Floats = ffi::Buffer<ffi::F32>;
using Ints = ffi::Buffer<ffi::S32>;

struct Batch {
  int64_t views = 1;
  View view;
  Batch(const Floats& means, const Floats& conics, const Floats& opacities,
        const Floats& features, const Floats& depths, const Ints& radii,
        const Floats& image, float max_alpha) {
    const auto dims = features.dimensions(), shape = image.dimensions();
    for (size_t i = 0; i + 2 < dims.size(); ++i) views *= dims[i];
    view = {dims[dims.size() - 2],    int(shape[shape.size() - 1]),
            int(shape[shape.size() - 2]), int(dims.back()), max_alpha,
            means.typed_data(),       conics.typed_data(),
            opacities.typed_data(),   features.typed_data(),
            depths.typed_data(),      radii.typed_data()};
  }

  View at(int64_t i) const {
    View v = view;
    v.means += 2 * i * v.gaussians, v.conics += 3 * i * v.gaussians;
    v.opacities += i * v.gaussians, v.depths += i * v.gaussians;
    v.features += i * v.gaussians * v.channels, v.radii += 2 * i * v.gaussians;
    return v;
  }

  // Many views: one thread each, without barriers. Few: all threads share a view.
  template <typename F>
  ffi::Error each(ffi::ThreadPool pool, const F& work) const {
    if (view.channels > kMaxChannels)
      return ffi::Error::InvalidArgument("features: at most 32 channels");
    try {
      const Workers workers(&pool);
      if (views >= 2 * workers.count())
        workers.each(views, [&](int64_t i) { work(at(i), i, Workers()); });
      else
        for (int64_t i = 0; i < views; ++i) work(at(i), i, workers);
    } catch (const std::bad_alloc&) {
      return ffi::Error(ffi::ErrorCode::kResourceExhausted, "rasterizer: out of memory");
    }
    return ffi::Error::Success();
  }
};

ffi::Error forward(ffi::ThreadPool pool, Floats means, Floats conics, Floats opacities,
                   Floats features, Floats depths, Ints radii, float max_alpha,
                   ffi::Result<Floats> features_out, ffi::Result<Floats> transmittance,
                   ffi::Result<Ints> counts) {
  const Batch batch(means, conics, opacities, features, depths, radii, *transmittance,
                    max_alpha);
  return batch.each(pool, [&](const View& v, int64_t i, const Workers& workers) {
    const auto run = v.channels == 3   ? forward_view<3>
                     : v.channels == 4 ? forward_view<4>
                                       : forward_view<0>;
    const int64_t pixels = int64_t(v.width) * v.height;
    run(v, workers, features_out->typed_data() + i * pixels * v.channels,
        transmittance->typed_data() + i * pixels, counts->typed_data() + 2 * i);
  });
}

ffi::Error backward(ffi::ThreadPool pool, Floats means, Floats conics, Floats opacities,
                    Floats features, Floats depths, Ints radii, Floats features_out,
                    Floats transmittance, Floats d_features_out, Floats d_transmittance,
                    float max_alpha, ffi::Result<Floats> d_means,
                    ffi::Result<Floats> d_conics, ffi::Result<Floats> d_opacities,
                    ffi::Result<Floats> d_features) {
  const Batch batch(means, conics, opacities, features, depths, radii, transmittance,
                    max_alpha);
  return batch.each(pool, [&](const View& v, int64_t i, const Workers& workers) {
    const auto run = v.channels == 3   ? backward_view<3>
                     : v.channels == 4 ? backward_view<4>
                                       : backward_view<0>;
    const int64_t at = i * v.width * v.height, first = i * v.gaussians;
    const int64_t c = v.channels;
    run(v, workers,
        {features_out.typed_data() + at * c, transmittance.typed_data() + at,
         d_features_out.typed_data() + at * c, d_transmittance.typed_data() + at},
        {d_means->typed_data() + 2 * first, d_conics->typed_data() + 3 * first,
         d_opacities->typed_data() + first, d_features->typed_data() + c * first});
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(aw_composite_forward, forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Floats>()   // means
                                  .Arg<Floats>()   // conics
                                  .Arg<Floats>()   // opacities
                                  .Arg<Floats>()   // features
                                  .Arg<Floats>()   // depths
                                  .Arg<Ints>()     // radii
                                  .Attr<float>("max_alpha")
                                  .Ret<Floats>()   // features_out
                                  .Ret<Floats>()   // transmittance
                                  .Ret<Ints>());   // intersections, lanes evaluated

XLA_FFI_DEFINE_HANDLER_SYMBOL(aw_composite_backward, backward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Floats>()   // means
                                  .Arg<Floats>()   // conics
                                  .Arg<Floats>()   // opacities
                                  .Arg<Floats>()   // features
                                  .Arg<Floats>()   // depths
                                  .Arg<Ints>()     // radii
                                  .Arg<Floats>()   // features_out
                                  .Arg<Floats>()   // transmittance
                                  .Arg<Floats>()   // d_features_out
                                  .Arg<Floats>()   // d_transmittance
                                  .Attr<float>("max_alpha")
                                  .Ret<Floats>()   // d_means
                                  .Ret<Floats>()   // d_conics
                                  .Ret<Floats>()   // d_opacities
                                  .Ret<Floats>()); // d_features
