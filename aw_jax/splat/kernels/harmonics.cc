// Colors of gaussians from spherical harmonics, and their gradient, as two XLA custom
// calls. With unit direction d from view v to gaussian g:
//
//   color[v,g] = sum over u < open of  basis_u(d) sh[g,u]
//
// Each gaussian is read and written once, whatever the number of views, and sums over
// views are made in their order, so the bits do not depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "workers.h"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;
using Floats = ffi::Buffer<ffi::F32>;
using Ints = ffi::Buffer<ffi::S32>;

constexpr int kMost = 16;  // harmonics of degree 3

// A number and its derivatives by x, y and z.
struct Slope {
  float v, x, y, z;
};
inline Slope operator+(Slope a, Slope b) {
  return {a.v + b.v, a.x + b.x, a.y + b.y, a.z + b.z};
}
inline Slope operator-(Slope a, Slope b) {
  return {a.v - b.v, a.x - b.x, a.y - b.y, a.z - b.z};
}
inline Slope operator-(Slope a, float b) { return {a.v - b, a.x, a.y, a.z}; }
inline Slope operator*(float a, Slope b) { return {a * b.v, a * b.x, a * b.y, a * b.z}; }
inline Slope operator*(Slope a, Slope b) {
  return {a.v * b.v, a.v * b.x + a.x * b.v, a.v * b.y + a.y * b.v, a.v * b.z + a.z * b.v};
}

// The basis after its constant, in the order and with the signs of harmonics.py.
template <typename T>
inline void basis(T x, T y, T z, int open, T* out) {
  if (open > 1) {
    out[1] = -0.4886025119029199f * y;
    out[2] = 0.4886025119029199f * z;
    out[3] = -0.4886025119029199f * x;
  }
  const T xx = x * x, yy = y * y, zz = z * z;
  if (open > 4) {
    out[4] = 1.0925484305920792f * (x * y);
    out[5] = -1.0925484305920792f * (y * z);
    out[6] = 0.9461746957575601f * zz - 0.3153915652525201f;
    out[7] = -1.0925484305920792f * (x * z);
    out[8] = 0.5462742152960396f * (xx - yy);
  }
  if (open > 9) {
    out[9] = -0.5900435899266435f * (y * (3.0f * xx - yy));
    out[10] = 2.890611442640554f * (x * y * z);
    out[11] = -0.4570457994644658f * (y * (5.0f * zz - 1.0f));
    out[12] = z * (1.865881662950577f * zz - 1.119528997770346f);
    out[13] = -0.4570457994644658f * (x * (5.0f * zz - 1.0f));
    out[14] = 1.445305721320277f * (z * (xx - yy));
    out[15] = -0.5900435899266435f * (x * (xx - 3.0f * yy));
  }
}

// By its bits: the compiler may take a NaN for a zero.
inline bool any(const float* d) {
  uint32_t bits[3];
  std::memcpy(bits, d, sizeof bits);
  return (bits[0] | bits[1] | bits[2]) << 1;
}

constexpr float kConstant = 0.28209479177387814f;

struct Shape {
  int64_t views, gaussians, stored;
  int open;

  Shape(const Floats& sh, const Floats& x, const Ints& count)
      : views(x.dimensions()[0]), gaussians(x.dimensions()[1]),
        stored(sh.dimensions()[1]),
        open(std::min<int64_t>({count.typed_data()[0], stored, kMost})) {}

  template <typename F>
  ffi::Error each(ffi::ThreadPool pool, const F& work) const {
    const Chunks chunks(gaussians);
    Workers(&pool).each(chunks.count, [&](int64_t i) {
      for (int64_t g = chunks.begin(i); g < chunks.begin(i + 1); ++g) work(g);
    });
    return ffi::Error::Success();
  }
};

ffi::Error forward(ffi::ThreadPool pool, Floats sh, Floats x, Floats y, Floats z,
                   Ints count, ffi::Result<Floats> color) {
  const Shape shape(sh, x, count);
  return shape.each(pool, [&](int64_t g) {
    const float* own = sh.typed_data() + g * shape.stored * 3;
    for (int64_t v = 0; v < shape.views; ++v) {
      const int64_t i = v * shape.gaussians + g;
      float b[kMost] = {kConstant}, sum[3] = {};
      basis(x.typed_data()[i], y.typed_data()[i], z.typed_data()[i], shape.open, b);
      for (int u = 0; u < shape.open; ++u)
        for (int c = 0; c < 3; ++c) sum[c] += b[u] * own[3 * u + c];
      std::memcpy(color->typed_data() + 3 * i, sum, sizeof sum);
    }
  });
}

ffi::Error backward(ffi::ThreadPool pool, Floats sh, Floats x, Floats y, Floats z,
                    Ints count, Floats d_color, ffi::Result<Floats> d_sh,
                    ffi::Result<Floats> d_x, ffi::Result<Floats> d_y,
                    ffi::Result<Floats> d_z) {
  const Shape shape(sh, x, count);
  return shape.each(pool, [&](int64_t g) {
    const float* own = sh.typed_data() + g * shape.stored * 3;
    float* sums = d_sh->typed_data() + g * shape.stored * 3;
    std::fill(sums, sums + shape.stored * 3, 0.0f);
    for (int64_t v = 0; v < shape.views; ++v) {
      const int64_t i = v * shape.gaussians + g;
      const float* d = d_color.typed_data() + 3 * i;
      Slope pull = {};
      if (any(d)) {
        Slope b[kMost] = {{kConstant}};
        basis<Slope>({x.typed_data()[i], 1, 0, 0}, {y.typed_data()[i], 0, 1, 0},
                     {z.typed_data()[i], 0, 0, 1}, shape.open, b);
        for (int u = 0; u < shape.open; ++u) {
          const float* s = own + 3 * u;
          pull = pull + (s[0] * d[0] + s[1] * d[1] + s[2] * d[2]) * b[u];
          for (int c = 0; c < 3; ++c) sums[3 * u + c] += b[u].v * d[c];
        }
      }
      d_x->typed_data()[i] = pull.x;
      d_y->typed_data()[i] = pull.y;
      d_z->typed_data()[i] = pull.z;
    }
  });
}

// sh, x, y, z, open
auto inputs() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Arg<Floats>()
      .Arg<Floats>()
      .Arg<Floats>()
      .Arg<Floats>()
      .Arg<Ints>();
}

}  // namespace

// -> color
XLA_FFI_DEFINE_HANDLER_SYMBOL(aw_harmonics_forward, forward, inputs().Ret<Floats>());

// and the cotangent of color -> those of sh, x, y, z
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    aw_harmonics_backward, backward,
    inputs().Arg<Floats>().Ret<Floats>().Ret<Floats>().Ret<Floats>().Ret<Floats>());
