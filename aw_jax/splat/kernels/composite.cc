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
#include <cstdint>
#include <cstring>
#include <new>

#include "bins.h"
#include "tile.h"
#include "workers.h"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;

constexpr int kMaxChannels = 32;
constexpr int kBatch = 16;  // gaussians between two looks for finished units
constexpr float kMinTransmittance = 1e-4f;

// ---------------------------------------------------------------- one tile

// One bit per unit with a pixel centre in the ellipse; (x, y) from the tile's corner.
inline uint32_t touched_units(const Drawn& g, float x, float y) {
  Mask found = {};
  for (int r = 0; r < kTile; r += kLanes) {
    const Vec dy = load(kLayout.row + r) - y;
    const Vec room = g.reach - g.shrink * dy * dy;
    const Vec half = root(greater(room, Vec{})) * 1.00001f + 1e-3f;
    const Vec middle = x - g.slope * dy;
    const Vec none = {}, all = fill(kTile);
    const Vec upto = lesser(greater(middle + half + 0.5f, none), all);
    const Vec from = lesser(greater(kTile + 0.5f - middle + half, none), all);
    const Mask right = __builtin_convertvector(upto, Mask);  // pixels up to the end
    const Mask left = __builtin_convertvector(from, Mask);   // and from the start on
    const Mask one = Mask{} + 1, last = ((right - 1) & (kTile - 1)) >> kUnitShift;
    const Mask bits = (2 * one << last) - (one << ((kTile - left) >> kUnitShift));
    Mask shift;
    std::memcpy(&shift, kLayout.shift + r, sizeof shift);
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

struct Tile {
  int left, top;  // pixels
  Vec t[kVecs];

  Tile(const View& v, int64_t tile)
      : left(tile % v.columns() * kTile), top(tile / v.columns() * kTile) {
    float* lane = reinterpret_cast<float*>(t);
    for (int i = 0; i < kPixels; ++i) lane[i] = at(v, i) < 0 ? -1 : 1;
  }

  // Position in the image of the tile's pixel i; negative if outside.
  int64_t at(const View& v, int i) const {
    const int x = left + int(kLayout.x[i]), y = top + int(kLayout.y[i]);
    return x < v.width && y < v.height ? int64_t(y) * v.width + x : -1;
  }
};

// Calls visit(entry, gaussian, x, y, units) front to back, units being those with work;
// returns the first entry that was not visited since every pixel had finished. `rows`, if
// any, are what visits will write, `size` floats for each entry.
template <typename Visit>
uint32_t walk(const Bins& bins, int64_t tile, const Tile& pixels, const Visit& visit,
              float* rows = nullptr, int64_t size = 0) {
  const uint32_t start = bins.start[tile], end = bins.start[tile + 1];
  // Inlined at once, or gcc takes it for a function without effect and drops the calls.
  const auto fetch = [&](uint32_t begin) __attribute__((always_inline)) {
    for (uint32_t n = begin; n < std::min(begin + kBatch, end); ++n) {
      __builtin_prefetch(&bins.splats[bins.entries[n].rank]);
      if (rows) __builtin_prefetch(rows + bins.entries[n].row * size, 1);
      if (rows) __builtin_prefetch(rows + bins.entries[n].row * size + size - 1, 1);
    }
  };
  fetch(start);
  for (uint32_t begin = start; begin < end; begin += kBatch) {
    const uint32_t live = live_units(pixels.t);
    if (!live) return begin;
    fetch(begin + kBatch);
    const uint32_t count = std::min<uint32_t>(kBatch, end - begin);
    uint32_t units[kBatch];
    for (uint32_t n = 0; n < count; ++n) {
      const Drawn& g = bins.splats[bins.entries[begin + n].rank];
      units[n] = live & touched_units(g, g.x - pixels.left, g.y - pixels.top);
    }
    for (uint32_t n = 0; n < count; ++n) {
      const Drawn& g = bins.splats[bins.entries[begin + n].rank];
      visit(bins.entries[begin + n], g, g.x - pixels.left, g.y - pixels.top, units[n]);
    }
  }
  return end;
}

// A gaussian at the pixels of one vector.
struct Pair {
  Vec dx, dy, raw, alpha, weight;
  Mask blended;
};

inline Pair meet(const Drawn& g, float x, float y, float max_alpha, int i, Vec* t) {
  Pair p;
  p.dx = load(kLayout.x + i * kLanes) - x;
  p.dy = load(kLayout.y + i * kLanes) - y;
  const Vec u = p.dx + g.slope * p.dy;
  const Vec level = g.level - g.along * (p.dy * p.dy) - g.across * (u * u);
  p.raw = exp2(level);  // meaningless far below the threshold, and masked
  p.alpha = lesser(p.raw, fill(max_alpha));
  const Mask hit = level >= kMinLevel;
  const Vec before = t[i], weight = p.alpha * before, next = before - weight;
  p.blended = hit & (next > kMinTransmittance);
  p.weight = keep(weight, p.blended);
  const Mask closed = (Mask)before | (hit & INT32_MIN);
  t[i] = p.blended ? next : (Vec)closed;
  return p;
}

// Arrays per channel are sized at compile time; C = 0 stands for any number.
constexpr int room(int channels) { return channels ? channels : kMaxChannels; }
constexpr int row_size(int channels) { return (6 + channels + 3) / 4 * 4; }

template <int C>
uint32_t composite(const View& v, const Bins& bins, int64_t tile, float* features,
                   float* transmittance) {
  const int c = C ? C : v.channels;
  Tile pixels(v, tile);
  Vec sum[kVecs][room(C)];
  for (int i = 0; i < kVecs; ++i)
    for (int k = 0; k < c; ++k) sum[i][k] = Vec{};
  uint32_t evaluated = 0;
  walk(bins, tile, pixels,
       [&](Entry entry, const Drawn& g, float x, float y, uint32_t units) {
         const float* feature = C ? g.feature : bins.feature(entry.rank, c);
         evaluated += __builtin_popcount(units) * kVecsPerUnit;
         for (; units; units &= units - 1) {
           const int first = __builtin_ctz(units) * kVecsPerUnit;
           for (int i = first; i < first + kVecsPerUnit; ++i) {
             const Pair p = meet(g, x, y, v.max_alpha, i, pixels.t);
             for (int k = 0; k < c; ++k) sum[i][k] += p.weight * feature[k];
           }
         }
       });
  for (int i = 0; i < kPixels; ++i) {
    const int64_t at = pixels.at(v, i);
    if (at < 0) continue;
    transmittance[at] = std::fabs(pixels.t[i / kLanes][i % kLanes]);
    for (int k = 0; k < c; ++k)
      features[at * c + k] = sum[i / kLanes][k][i % kLanes];
  }
  return evaluated;
}

struct Cotangents {
  const float *features_out, *transmittance, *d_features, *d_transmittance;
};

template <int C>
struct Sums {
  Vec lanes[row_size(room(C))];
};

// Writes the rows {sum s, s dx, s dy, s dx^2, s dx dy, s dy^2, w g...}, s = dL/dsigma.
template <int C>
void composite_gradient(const View& v, const Bins& bins, const Cotangents& cotangents,
                        int64_t tile, float* rows) {
  const int c = C ? C : v.channels;
  const int64_t size = row_size(c);
  Tile pixels(v, tile);
  Vec rest[kVecs], gradient[kVecs][room(C)];
  for (int i = 0; i < kPixels; ++i) {
    const int64_t at = std::max<int64_t>(0, pixels.at(v, i));  // outside: never used
    float total = cotangents.transmittance[at] * cotangents.d_transmittance[at];
    for (int k = 0; k < c; ++k) {
      const float g = cotangents.d_features[at * c + k];
      total += cotangents.features_out[at * c + k] * g;
      gradient[i / kLanes][k][i % kLanes] = g;
    }
    rest[i / kLanes][i % kLanes] = total;
  }
  const uint32_t seen = walk(
      bins, tile, pixels,
      [&](Entry entry, const Drawn& g, float x, float y, uint32_t units) {
        const float* feature = C ? g.feature : bins.feature(entry.rank, c);
        Sums<C> sum;
        for (int k = 0; k < size; ++k) sum.lanes[k] = Vec{};
        for (; units; units &= units - 1) {
          const int first = __builtin_ctz(units) * kVecsPerUnit;
          for (int i = first; i < first + kVecsPerUnit; ++i) {
            const Pair p = meet(g, x, y, v.max_alpha, i, pixels.t);
            Vec q = {};
            for (int k = 0; k < c; ++k) {
              q += gradient[i][k] * feature[k];
              sum.lanes[6 + k] += gradient[i][k] * p.weight;
            }
            const Vec shown = p.weight * q;
            rest[i] -= shown;
            const Vec slope = p.alpha / (1.0f - p.alpha) * rest[i] - shown;
            const Vec s = keep(slope, p.blended & (p.raw <= v.max_alpha));
            const Vec sx = s * p.dx, sy = s * p.dy;
            sum.lanes[0] += s;
            sum.lanes[1] += sx;
            sum.lanes[2] += sy;
            sum.lanes[3] += sx * p.dx;
            sum.lanes[4] += sx * p.dy;
            sum.lanes[5] += sy * p.dy;
          }
        }
        for (int k = 0; k < size; k += 4) {
          const Vec* lanes = sum.lanes + k;
          const Quad four = sums(lanes[0], lanes[1], lanes[2], lanes[3]);
          std::memcpy(rows + entry.row * size + k, &four, sizeof four);
        }
      },
      rows, size);
  for (uint32_t n = seen; n < bins.start[tile + 1]; ++n)
    std::fill_n(rows + bins.entries[n].row * size, size, 0.0f);
}

// ---------------------------------------------------------------- one view

struct Gradients {
  float *means, *conics, *opacities, *features;
};

// Adds the rows of gaussian `i` and turns the moments into gradients.
void gather(const View& v, const Bins& bins, const float* rows, int64_t i,
            const Gradients& out) {
  const int c = v.channels, size = row_size(c);
  const uint32_t begin = bins.first_row[i], end = bins.first_row[i + 1];
  float sum[row_size(kMaxChannels)] = {};
  for (uint32_t r = begin; r < end; ++r)
    for (int k = 0; k < size; ++k) sum[k] += rows[int64_t(r) * size + k];
  const float* conic = v.conics + 3 * i;
  const bool drawn = begin < end;  // what is not may hold numbers that are not finite
  out.opacities[i] = drawn ? -sum[0] / v.opacities[i] : 0;
  out.means[2 * i] = drawn ? -(conic[0] * sum[1] + conic[1] * sum[2]) : 0;
  out.means[2 * i + 1] = drawn ? -(conic[1] * sum[1] + conic[2] * sum[2]) : 0;
  out.conics[3 * i] = 0.5f * sum[3];
  out.conics[3 * i + 1] = sum[4];
  out.conics[3 * i + 2] = 0.5f * sum[5];
  for (int k = 0; k < c; ++k) out.features[i * c + k] = sum[6 + k];
}

template <int C>
void forward_view(const View& v, const Workers& workers, float* features,
                  float* transmittance, int32_t* counts) {
  const Bins bins = bin(v, workers);
  std::atomic<int64_t> evaluated{0};
  workers.each(bins.start.size() - 1, [&](int64_t tile) {
    evaluated += composite<C>(v, bins, tile, features, transmittance);
  });
  counts[0] = bins.start.back();
  counts[1] = std::min<int64_t>(evaluated * kLanes, INT32_MAX);
}

template <int C>
void backward_view(const View& v, const Workers& workers, const Cotangents& cotangents,
                   const Gradients& out) {
  const Bins bins = bin(v, workers);
  const int64_t size = row_size(v.channels);
  const auto rows = uninitialised<float>(bins.start.back() * size);
  workers.each(bins.start.size() - 1, [&](int64_t tile) {
    composite_gradient<C>(v, bins, cotangents, tile, rows.get());
  });
  const Chunks chunks(v.gaussians);
  workers.each(chunks.count, [&](int64_t k) {
    for (int64_t i = chunks.begin(k); i < chunks.begin(k + 1); ++i)
      gather(v, bins, rows.get(), i, out);
  });
}

// ---------------------------------------------------------------- all views

using Floats = ffi::Buffer<ffi::F32>;
using Ints = ffi::Buffer<ffi::S32>;

struct Batch {
  int64_t views = 1;
  View first;
  bool fits;  // all arrays have the sizes that `features` and the image imply

  Batch(const Floats& means, const Floats& conics, const Floats& opacities,
        const Floats& features, const Floats& depths, const Ints& radii,
        const Floats& image, float max_alpha) {
    const auto dims = features.dimensions(), shape = image.dimensions();
    for (size_t i = 0; i + 2 < dims.size(); ++i) views *= dims[i];
    first.gaussians = dims[dims.size() - 2], first.channels = dims.back();
    first.height = shape[shape.size() - 2], first.width = shape.back();
    first.max_alpha = max_alpha;
    first.means = means.typed_data(), first.conics = conics.typed_data();
    first.opacities = opacities.typed_data(), first.features = features.typed_data();
    first.depths = depths.typed_data(), first.radii = radii.typed_data();
    const size_t all = views * first.gaussians;
    fits = means.element_count() == 2 * all && conics.element_count() == 3 * all &&
           opacities.element_count() == all && depths.element_count() == all &&
           radii.element_count() == 2 * all && first.channels <= kMaxChannels &&
           int64_t(image.element_count()) == views * first.width * first.height;
  }

  View at(int64_t i) const {
    View v = first;
    const int64_t skipped = i * v.gaussians;
    v.means += 2 * skipped, v.conics += 3 * skipped, v.opacities += skipped;
    v.features += v.channels * skipped, v.depths += skipped, v.radii += 2 * skipped;
    return v;
  }

  // Many views: one thread each, without barriers. Few: all threads share a view.
  template <typename F>
  ffi::Error each(ffi::ThreadPool pool, const F& work) const {
    if (!fits) return ffi::Error::InvalidArgument("rasterizer: shapes do not fit");
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
    const int64_t pixel = i * v.width * v.height;
    run(v, workers, features_out->typed_data() + pixel * v.channels,
        transmittance->typed_data() + pixel, counts->typed_data() + 2 * i);
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
    const int64_t pixel = i * v.width * v.height, gaussian = i * v.gaussians;
    const int64_t c = v.channels;
    run(v, workers,
        {features_out.typed_data() + pixel * c, transmittance.typed_data() + pixel,
         d_features_out.typed_data() + pixel * c, d_transmittance.typed_data() + pixel},
        {d_means->typed_data() + 2 * gaussian, d_conics->typed_data() + 3 * gaussian,
         d_opacities->typed_data() + gaussian, d_features->typed_data() + c * gaussian});
  });
}

// means, conics, opacities, features, depths, radii
auto inputs() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Arg<Floats>()
      .Arg<Floats>()
      .Arg<Floats>()
      .Arg<Floats>()
      .Arg<Floats>()
      .Arg<Ints>();
}

}  // namespace

// -> features, transmittance, {intersections, lanes evaluated}
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    aw_composite_forward, forward,
    inputs().Attr<float>("max_alpha").Ret<Floats>().Ret<Floats>().Ret<Ints>());

// features, transmittance and their cotangents -> those of the first four inputs
XLA_FFI_DEFINE_HANDLER_SYMBOL(aw_composite_backward, backward,
                              inputs()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Attr<float>("max_alpha")
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>());
