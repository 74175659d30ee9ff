// Softmax attention and its gradient in float32, as two XLA custom calls. For each head,
// with scores s in powers of two and c = 1 / sqrt(width):
//
//   s = c log2(e) q k^T,  lse = log2 sum 2^s,  p = 2^(s - lse),  o = p v
//   dv = p^T do,  ds = p * (do v^T - <do, o>),  dq = c ds k,  dk = c ds^T q
//
// Scores exist as tiles of kTile queries by kTile keys in the cache of one core, and are
// computed again for the gradient, so memory grows with tokens, not with their square.
//
// Each sum is made by one task in a fixed order, and how work is cut follows from the
// shapes alone, so the bits do not depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "lanes.h"
#include "packed.h"
#include "workers.h"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;
using Floats = ffi::Buffer<ffi::F32>;
using Ints = ffi::Buffer<ffi::S32>;
using Result = ffi::Result<Floats>;

constexpr float kLowest = -1e30f;  // below any score; finite, as it is subtracted
constexpr float kLog2E = 1.44269504f;

// ---------------------------------------------------------------- scores

// finish(r, c, start(r, c) + (a b)(r, c)) for vectors of columns from c on.
template <typename Start, typename Finish>
inline void scores(int64_t rows, const float* a, const Right& b, int64_t columns,
                   const Start& start, const Finish& finish) {
  for (int64_t c = 0; c < columns; c += kPanel)
    for (int64_t r = 0; r < rows; r += kGroup) {
      alignas(64) float block[kGroup * kPanel];
      for (int i = 0; i < kGroup; ++i)
        for (int j = 0; j < kPanel; j += kLanes)
          store(block + i * kPanel + j, start(r + i, c + j));
      add_block<Panels>(a + r * kPanel, b.first + c / kPanel * b.step, b.depth, block);
      for (int i = 0; i < kGroup; ++i)
        for (int j = 0; j < kPanel; j += kLanes)
          finish(r + i, c + j, load(block + i * kPanel + j));
    }
}

// 2^x for x <= 0 or a little more, and 2^-100 for less than that: as good as 0, and what
// it multiplies does not underflow, which is slow. NaN stays NaN.
inline Vec power(Vec x) { return exp2(greater(fill(-100), x)); }

template <typename F>
inline float over_lanes(Vec v, const F& f) {
  float lane[kLanes];
  std::memcpy(lane, &v, sizeof v);
  for (int half = kLanes / 2; half; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] = f(lane[i], lane[i + half]);
  return lane[0];
}

// ---------------------------------------------------------------- shapes

inline int64_t tiles(int64_t n) { return (n + kTile - 1) / kTile; }
inline int64_t in_tile(int64_t n, int64_t tile) {
  return std::clamp<int64_t>(n - tile * kTile, 0, kTile);
}

struct Shape {
  int64_t samples = 1, queries, keys, heads, width;
  const int32_t* lengths;

  Shape(const Floats& q, const Floats& k, const Ints& lengths)
      : lengths(lengths.typed_data()) {
    const auto d = q.dimensions();
    const size_t last = d.size() - 1;
    for (size_t i = 0; i + 3 < d.size(); ++i) samples *= d[i];
    queries = d[last - 2], heads = d[last - 1], width = d[last];
    keys = k.dimensions()[last - 2];
  }

  int64_t all() const { return samples * heads; }
  int64_t size() const { return kTile * up(width, kPanel); }  // floats of a packed tile
  float scale() const { return 1 / std::sqrt(float(width)); }
  int64_t seen(int64_t head) const {  // keys that count
    return std::clamp<int64_t>(lengths[head / heads], 0, keys);
  }

  // Tokens of a head from a tile on, in q and its like, or in k and its like.
  Tokens at_query(const Floats& x, int64_t head, int64_t tile) const {
    return tokens(x.typed_data(), queries, head, tile);
  }
  Tokens at_key(const Floats& x, int64_t head, int64_t tile) const {
    return tokens(x.typed_data(), keys, head, tile);
  }

  // Calls work(head, tile, task) for `count` tiles of every head.
  template <typename F>
  void each_tile(const Workers& workers, int64_t count, const F& work) const {
    workers.each(all() * count,
                 [&](int64_t task) { work(task / count, task % count, task); });
  }

 private:
  Tokens tokens(const float* p, int64_t count, int64_t head, int64_t tile) const {
    const int64_t first = head / heads * count + tile * kTile;
    const int64_t at = (first * heads + head % heads) * width;
    return {const_cast<float*>(p) + at, heads * width, width};
  }
};

ffi::Error too_little_scratch() {
  return ffi::Error::Internal("attention: too little scratch memory");
}

// ---------------------------------------------------------------- forward

// Softmax over keys that come tile by tile: highest score, and sum of powers, so far.
struct Running {
  float top[kTile], factor[kTile];
  Vec total[kTile];

  Running() : total{} { std::fill(top, top + kTile, kLowest); }

  // Scores of `count` more keys become their powers. What was summed is worth `factor`.
  void take(int64_t rows, float* scores, int64_t count) {
    const int64_t columns = up(count, kPanel);
    if (count < columns)
      for (int64_t r = 0; r < rows; ++r)
        std::fill(scores + r * kTile + count, scores + r * kTile + columns, kLowest);
    for (int64_t r = 0; r < rows; ++r) raise(r, scores + r * kTile, columns);
    for (int64_t r = 0; r < rows; ++r) {
      float *row = scores + r * kTile, next = top[r];
      Vec sum[2] = {total[r] * factor[r]};
      for (int64_t c = 0; c < columns; c += kPanel)
        for (int j = 0; j < 2; ++j) {
          const Vec p = power(load(row + c + j * kLanes) - next);
          store(row + c + j * kLanes, p);
          sum[j] += p;
        }
      total[r] = sum[0] + sum[1];
    }
  }

  void raise(int64_t r, const float* row, int64_t columns) {
    Vec highest[2] = {fill(top[r]), fill(top[r])};
    for (int64_t c = 0; c < columns; c += kPanel)
      for (int j = 0; j < 2; ++j)
        highest[j] = greater(highest[j], load(row + c + j * kLanes));
    const float next = over_lanes(greater(highest[0], highest[1]),
                                  [](float a, float b) { return a > b ? a : b; });
    factor[r] = power(fill(top[r] - next))[0];
    top[r] = next;
  }

  float sum(int64_t r) const {
    return over_lanes(total[r], [](float a, float b) { return a + b; });
  }
};

void scale_rows(const float* factor, int64_t rows, int64_t width, float* x) {
  for (int64_t c = 0; c < width; c += kPanel, x += kTile * kPanel)
    for (int64_t i = 0; i < rows * kPanel; i += kLanes)
      store(x + i, load(x + i) * factor[i / kPanel]);
}

// What the queries of one tile read, and their lse.
void read_tile(const Shape& shape, int64_t seen, const Tokens& q, int64_t count,
               const float* keys, const float* values, const Tokens& out, float* lse) {
  const Memory query(shape.size()), read(shape.size()), p(kTile * kTile);
  const int64_t rows = up(count, kGroup);
  Running softmax;
  pack(q, count, shape.scale(), query);
  std::fill_n(static_cast<float*>(read), shape.size(), 0.0f);
  for (int64_t i = 0; i < tiles(seen); ++i) {
    const int64_t some = in_tile(seen, i);
    scores(
        rows, query, turned(keys + i * shape.size(), shape.width), some,
        [](int64_t, int64_t) { return Vec{}; },
        [&](int64_t r, int64_t c, Vec s) { store(p + r * kTile + c, s); });
    softmax.take(rows, p, some);
    scale_rows(softmax.factor, rows, shape.width, read);
    add_product<Square>(rows, p, packed(values + i * shape.size(), some), shape.width,
                        read);
  }
  float factor[kTile];
  for (int64_t r = 0; r < count; ++r) {
    const float sum = softmax.sum(r);
    lse[r] = softmax.top[r] + std::log2(sum);
    factor[r] = 1 / sum;
  }
  scale_rows(factor, count, shape.width, read);
  unpack(read, count, count, out);
}

ffi::Error forward(ffi::ThreadPool pool, Floats q, Floats k, Floats v, Ints lengths,
                   Result out, Result lse, Result scratch) {
  const Shape shape(q, k, lengths);
  const Workers workers(&pool);
  const int64_t of_keys = tiles(shape.keys), size = shape.size();
  const int64_t all = shape.all() * of_keys;
  if (int64_t(scratch->element_count()) < 2 * all * size) return too_little_scratch();
  float *keys = scratch->typed_data(), *values = keys + all * size;
  shape.each_tile(workers, of_keys, [&](int64_t head, int64_t i, int64_t task) {
    const int64_t some = in_tile(shape.seen(head), i);
    turn(shape.at_key(k, head, i), some, kLog2E, keys + task * size);
    pack(shape.at_key(v, head, i), some, 1, values + task * size);
  });
  shape.each_tile(workers, tiles(shape.queries), [&](int64_t head, int64_t i, int64_t) {
    const int64_t own = head * of_keys * size;
    read_tile(shape, shape.seen(head), shape.at_query(q, head, i),
              in_tile(shape.queries, i), keys + own, values + own,
              shape.at_query(*out, head, i),
              lse->typed_data() + head * shape.queries + i * kTile);
  });
  return ffi::Error::Success();
}

// ---------------------------------------------------------------- backward

// Queries of all heads and what is known of each, packed; `dq` in parts to be added.
struct Queries {
  float *q, *d_out, *inner, *lse, *dq;

  Queries(float* scratch, int64_t tiles, int64_t size)
      : q(scratch),
        d_out(q + tiles * size),
        inner(d_out + tiles * size),
        lse(inner + tiles * kTile),
        dq(lse + tiles * kTile) {}

  static int64_t floats(int64_t tiles, int64_t parts, int64_t size) {
    return tiles * ((2 + parts) * size + 2 * kTile);
  }
};

// One tile of keys and its gradients.
struct Keys {
  Memory k, turned_k, turned_v, dk, dv, hidden;

  explicit Keys(int64_t size)
      : k(size), turned_k(size), turned_v(size), dk(size), dv(size), hidden(kTile) {}

  void begin(const Tokens& key, const Tokens& value, int64_t count, float scale,
             int64_t size) const {
    pack(key, count, scale, k);
    turn(key, count, kLog2E, turned_k);
    turn(value, count, 1, turned_v);
    std::fill_n(static_cast<float*>(dk), size, 0.0f);
    std::fill_n(static_cast<float*>(dv), size, 0.0f);
    for (int64_t i = 0; i < kTile; ++i) hidden[i] = i < count ? 0 : kLowest;
  }
};

void pack_queries(const Shape& shape, const Tokens& q, const Tokens& out,
                  const Tokens& d_out, const float* lse, int64_t count,
                  const Queries& to, int64_t tile) {
  pack(q, count, shape.scale(), to.q + tile * shape.size());
  pack(d_out, count, 1, to.d_out + tile * shape.size());
  for (int64_t r = 0; r < kTile; ++r) {
    float inner = 0;
    for (int64_t c = 0; r < count && c < shape.width; ++c)
      inner += d_out[r][c] * out[r][c];
    to.inner[tile * kTile + r] = inner;
    to.lse[tile * kTile + r] = r < count ? lse[r] : 0;
  }
}

// The gradients by one tile of queries and one of keys, added to all three.
void add_gradients(const Shape& shape, const Queries& from, int64_t tile, int64_t count,
                   const Keys& keys, int64_t some, float* p, float* ds, float* dq) {
  const float *q = from.q + tile * shape.size(), *lse = from.lse + tile * kTile;
  const float *d_out = from.d_out + tile * shape.size();
  const float *inner = from.inner + tile * kTile;
  const int64_t rows = up(count, kPanel), width = shape.width;
  scores(
      rows, q, turned(keys.turned_k, width), some,
      [&](int64_t r, int64_t c) { return load(keys.hidden + c) - lse[r]; },
      [&](int64_t r, int64_t c, Vec s) { store(p + r * kTile + c, power(s)); });
  scores(
      rows, d_out, turned(keys.turned_v, width), some,
      [&](int64_t r, int64_t) { return fill(-inner[r]); },
      [&](int64_t r, int64_t c, Vec dp) {
        store(ds + r * kTile + c, load(p + r * kTile + c) * dp);
      });
  add_product<Turned>(some, p, packed(d_out, count), width, keys.dv);
  add_product<Turned>(some, ds, packed(q, count), width, keys.dk);
  add_product<Square>(rows, ds, packed(keys.k, some), width, dq);
}

// dk and dv of a tile of keys, and what it adds to `dq` of all queries of the head.
void tile_gradients(const Shape& shape, const Queries& queries, const Keys& keys,
                    int64_t head, int64_t some, float* dq) {
  const Memory p(kTile * kTile), ds(kTile * kTile);
  const int64_t of_queries = tiles(shape.queries);
  for (int64_t i = 0; i < of_queries; ++i)
    add_gradients(shape, queries, head * of_queries + i, in_tile(shape.queries, i),
                  keys, some, p, ds, dq + i * shape.size());
}

ffi::Error backward(ffi::ThreadPool pool, Floats q, Floats k, Floats v, Ints lengths,
                    Floats out, Floats lse, Floats d_out, Result d_q, Result d_k,
                    Result d_v, Result scratch, int64_t parts) {
  const Shape shape(q, k, lengths);
  const Workers workers(&pool);
  const int64_t of_keys = tiles(shape.keys), of_queries = tiles(shape.queries);
  const int64_t all = shape.all() * of_queries, size = shape.size();
  if (int64_t(scratch->element_count()) < Queries::floats(all, parts, size))
    return too_little_scratch();
  const Queries queries(scratch->typed_data(), all, size);
  shape.each_tile(workers, of_queries, [&](int64_t head, int64_t i, int64_t task) {
    pack_queries(shape, shape.at_query(q, head, i), shape.at_query(out, head, i),
                 shape.at_query(d_out, head, i),
                 lse.typed_data() + head * shape.queries + i * kTile,
                 in_tile(shape.queries, i), queries, task);
  });
  shape.each_tile(workers, parts, [&](int64_t head, int64_t part, int64_t task) {
    const Keys keys(size);
    float* dq = queries.dq + task * of_queries * size;
    std::fill_n(dq, of_queries * size, 0.0f);
    for (int64_t j = of_keys * part / parts; j < of_keys * (part + 1) / parts; ++j) {
      const int64_t some = in_tile(shape.seen(head), j), total = in_tile(shape.keys, j);
      keys.begin(shape.at_key(k, head, j), shape.at_key(v, head, j), some, shape.scale(),
                 size);
      tile_gradients(shape, queries, keys, head, some, dq);
      unpack(keys.dk, some, total, shape.at_key(*d_k, head, j));
      unpack(keys.dv, some, total, shape.at_key(*d_v, head, j));
    }
  });
  shape.each_tile(workers, of_queries, [&](int64_t head, int64_t i, int64_t) {
    const int64_t count = in_tile(shape.queries, i);
    float* sum = queries.dq + (head * parts * of_queries + i) * size;
    for (int64_t part = 1; part < parts; ++part)
      for (int64_t x = 0; x < size; ++x) sum[x] += sum[part * of_queries * size + x];
    unpack(sum, count, count, shape.at_query(*d_q, head, i));
  });
  return ffi::Error::Success();
}

// q, k, v, lengths
auto inputs() {
  auto threads = ffi::Ffi::Bind().Ctx<ffi::ThreadPool>();
  return std::move(threads).Arg<Floats>().Arg<Floats>().Arg<Floats>().Arg<Ints>();
}

// and out, lse, the cotangent of out -> cotangents of q, k and v, scratch
auto gradient() {
  auto with_kept = inputs().Arg<Floats>().Arg<Floats>().Arg<Floats>();
  return std::move(with_kept).Ret<Floats>().Ret<Floats>().Ret<Floats>().Ret<Floats>();
}

}  // namespace

// -> out, lse, scratch
XLA_FFI_DEFINE_HANDLER_SYMBOL(aw_attention_forward, forward,
                              inputs().Ret<Floats>().Ret<Floats>().Ret<Floats>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(aw_attention_backward, backward,
                              gradient().Attr<int64_t>("parts"));
