// The 16 x 16 tile of pixels as vectors of lanes.h.

#pragma once

#include <cstdint>

#include "lanes.h"

namespace {

constexpr int kTile = 16;
constexpr int kPixels = kTile * kTile;
constexpr int kVecs = kPixels / kLanes;

// A unit is what a gaussian touches or not: kUnitWidth x 2 pixels, one bit of 32.
constexpr int kUnitShift = kLanes == 16 ? 3 : 2;
constexpr int kUnitWidth = 1 << kUnitShift;
constexpr int kUnitsPerRow = kTile / kUnitWidth;
constexpr int kUnits = kUnitsPerRow * kTile / 2;
constexpr int kVecsPerUnit = 2 * kUnitWidth / kLanes;

// Pixels of a tile are stored unit by unit.
struct Layout {
  alignas(64) float x[kPixels], y[kPixels];  // centre of each pixel
  alignas(64) float row[kTile];              // centre of each row
  alignas(64) int32_t shift[kTile];          // first bit of each row's units
};

constexpr Layout make_layout() {
  Layout t{};
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

constexpr Layout kLayout = make_layout();

}  // namespace
