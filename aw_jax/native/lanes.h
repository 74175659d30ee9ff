// Vectors of AW_LANES floats in the GCC and clang vector extension. The width must be one
// that the instruction set has: wider vectors are taken apart by the compiler and run
// several times slower.

#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#ifndef AW_LANES
#define AW_LANES 4
#endif

namespace {

constexpr int kLanes = AW_LANES;
typedef float Vec __attribute__((vector_size(4 * AW_LANES)));
typedef int32_t Mask __attribute__((vector_size(4 * AW_LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * AW_LANES)));
typedef float Quad __attribute__((vector_size(16)));

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline Vec fill(float value) { return value - Vec{}; }
inline Vec lesser(Vec a, Vec b) { return a < b ? a : b; }
inline Vec greater(Vec a, Vec b) { return a > b ? a : b; }
inline Vec keep(Vec v, Mask where) { return (Vec)((Mask)v & where); }

inline Vec root(Vec v) {
  float lane[kLanes];
  std::memcpy(lane, &v, sizeof v);
  for (int i = 0; i < kLanes; ++i) lane[i] = __builtin_sqrtf(lane[i]);
  std::memcpy(&v, lane, sizeof v);
  return v;
}

// 2^p to 1e-7 for |p| < 126, anything beyond: the nearest integer goes to the exponent, a
// polynomial does the rest.
inline Vec exp2(Vec p) {
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const Vec rounded = p + magic;
  const Vec f = p - (rounded - magic);
  Vec r = f * 1.32647e-3f + 9.67151e-3f;
  r = r * f + 5.550734e-2f;
  r = r * f + 2.4022242e-1f;
  r = r * f + 6.9314698e-1f;
  r = r * f + 1.0f;
  return (Vec)((Bits)r + ((Bits)rounded << 23));
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define AW_SHUFFLE 1
#endif
#endif

#ifdef AW_SHUFFLE
// Two lanes of `a` and two of `b`, from lane `kFirst` of each group of four on: a b a b
// if interleaved, else a a b b.
template <int kFirst, bool kInterleaved, size_t... I>
inline Vec pick(Vec a, Vec b, std::index_sequence<I...>) {
  return __builtin_shufflevector(
      a, b,
      (int(I & ~3u) + kFirst +
       (kInterleaved ? int(I & 3) / 2 + int(I & 1) * kLanes
                     : int(I & 1) + int(I & 3) / 2 * kLanes))...);
}

// The sums over all lanes of four vectors.
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

}  // namespace
