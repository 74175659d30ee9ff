// Matrices of one tile of tokens, packed for their products.
//
// A product is made of blocks of kGroup rows by a panel of columns: a block keeps sums
// in registers and reads packed operands in order, which is 0.9 of what a core can do.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "lanes.h"
#include "workers.h"

namespace {

constexpr int kPanel = 2 * kLanes;  // columns
constexpr int kGroup = 6;           // rows: 12 sums and 3 factors are in 16 registers
constexpr int kTile = 96;           // tokens, a multiple of both
static_assert(kTile % kGroup == 0 && kTile % kPanel == 0, "tiles of whole groups");

inline int64_t up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }

// Packed matrices lie on cache lines.
struct alignas(64) Line {
  float lane[16];
};
struct Memory {
  std::unique_ptr<Line[]> lines;
  explicit Memory(int64_t floats) : lines(uninitialised<Line>(up(floats, 16) / 16)) {}
  operator float*() const { return lines[0].lane; }
};

// Some tokens of one head as XLA has them, `stride` from one to the next.
struct Tokens {
  float* first;
  int64_t stride, width;

  float* operator[](int64_t i) const { return first + i * stride; }
};

// A tile of tokens by panels, [panel of the width, token, column]; zeros fill it up.
void pack(const Tokens& from, int64_t count, float scale, float* to) {
  for (int64_t c = 0; c < from.width; c += kPanel, to += kTile * kPanel) {
    const int64_t some = std::min<int64_t>(kPanel, from.width - c);
    if (count < kTile || some < kPanel) std::fill(to, to + kTile * kPanel, 0.0f);
    for (int64_t t = 0; t < count; ++t)
      for (int64_t i = 0; i < some; ++i) to[t * kPanel + i] = scale * from[t][c + i];
  }
}

// Back to `total` tokens, those after `count` being zeros.
void unpack(const float* from, int64_t count, int64_t total, const Tokens& to) {
  for (int64_t c = 0; c < to.width; c += kPanel, from += kTile * kPanel) {
    const int64_t some = std::min<int64_t>(kPanel, to.width - c);
    for (int64_t t = 0; t < count; ++t) std::copy_n(from + t * kPanel, some, to[t] + c);
    for (int64_t t = count; t < total; ++t) std::fill_n(to[t] + c, some, 0.0f);
  }
}

// The same transposed, [panel of tokens, width, token].
void turn(const Tokens& from, int64_t count, float scale, float* to) {
  const int64_t depth = up(from.width, kPanel);
  if (count < kTile || from.width < depth) std::fill(to, to + kTile * depth, 0.0f);
  for (int64_t t = 0; t < count; ++t) {
    float* column = to + t / kPanel * depth * kPanel + t % kPanel;
    for (int64_t i = 0; i < from.width; ++i) column[i * kPanel] = scale * from[t][i];
  }
}

// How a left operand lies: steps to the next row, column, and kPanel columns.
struct Panels {  // of tokens by width, as packed
  static constexpr int kRow = kPanel, kColumn = 1, kBlock = kTile * kPanel;
};
struct Square {  // of queries by keys, row by row
  static constexpr int kRow = kTile, kColumn = 1, kBlock = kPanel;
};
struct Turned {  // its transpose
  static constexpr int kRow = 1, kColumn = kTile, kBlock = kTile * kPanel;
};

// A right operand: panels of columns, each [depth, column], `step` apart.
struct Right {
  const float* first;
  int64_t depth, step;
};
inline Right packed(const float* p, int64_t tokens) {
  return {p, up(tokens, kPanel), kTile * kPanel};
}
inline Right turned(const float* p, int64_t width) {
  return {p, up(width, kPanel), up(width, kPanel) * kPanel};
}

// to[r][c] += sum_d a(r, d) b(d, c), for a group of rows and a panel of columns. Not
// inlined, so that all registers are its own.
template <typename A>
__attribute__((noinline)) void add_block(const float* a, const float* b, int64_t depth,
                                         float* to) {
  Vec sum[kGroup][2];
  for (int i = 0; i < kGroup; ++i)
    for (int j = 0; j < 2; ++j) sum[i][j] = load(to + i * kPanel + j * kLanes);
  for (; depth > 0; depth -= kPanel, a += A::kBlock)
#pragma GCC unroll 4
    for (int d = 0; d < kPanel; ++d, b += kPanel) {
      const Vec b0 = load(b), b1 = load(b + kLanes);
      for (int i = 0; i < kGroup; ++i) {
        const Vec x = fill(a[i * A::kRow + d * A::kColumn]);
        sum[i][0] += x * b0;
        sum[i][1] += x * b1;
      }
    }
  for (int i = 0; i < kGroup; ++i)
    for (int j = 0; j < 2; ++j) store(to + i * kPanel + j * kLanes, sum[i][j]);
}

// to += a b, `to` lying by panels.
template <typename A>
void add_product(int64_t rows, const float* a, const Right& b, int64_t width, float* to) {
  for (int64_t c = 0; c < width; c += kPanel)
    for (int64_t r = 0; r < rows; r += kGroup)
      add_block<A>(a + r * A::kRow, b.first + c / kPanel * b.step, b.depth,
                   to + c * kTile + r * kPanel);
}

}  // namespace
