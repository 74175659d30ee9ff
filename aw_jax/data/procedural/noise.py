"""Colours and band-limited periodic fields, the raw material of every texture.

All textures are square, tile without a seam, and hold display values in [0, 1]. They
are painted on the host by numpy, once per world, from one generator.
"""

import colorsys

import numpy as np

from aw_jax.core.arrays import Float, Int

Image = Float[np.ndarray, "h w 3"]
Field = Float[np.ndarray, "h w"]
Color = Float[np.ndarray, "3"]


def grid(size: int) -> tuple[Field, Field]:
    """Texel centres u (right) and v (down), each in (0, 1)."""
    line = (np.arange(size) + 0.5) / size
    return np.meshgrid(line, line)


def smooth_noise(
    rng: np.random.Generator,
    size: int,
    *,
    slope: float,
    low: float = 1.0,
    high: float = 64.0,
    stretch: float = 1.0,
) -> Field:
    """Gaussian noise of spectrum f^-slope between `low` and `high` cycles per side.

    `stretch` > 1 draws it out along v (the grain of wood). Mean 0, deviation 1.
    """
    fy = np.fft.fftfreq(size, 1 / size)[:, None] * stretch
    fx = np.fft.rfftfreq(size, 1 / size)[None]
    f = np.sqrt(fx * fx + fy * fy)
    gain = np.where((f >= low) & (f <= high), np.maximum(f, 1e-9) ** -slope, 0.0)
    white = np.fft.rfft2(rng.normal(size=(size, size)))
    field = np.fft.irfft2(white * gain, s=(size, size))
    return field / max(float(field.std()), 1e-9)


def hsv(hue: float, saturation: float, value: float) -> Color:
    """An RGB colour from hue (turns), saturation and value."""
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))


def random_color(
    rng: np.random.Generator,
    *,
    saturation: tuple[float, float] = (0.15, 0.8),
    value: tuple[float, float] = (0.35, 0.95),
) -> Color:
    """One colour of uniform hue."""
    return hsv(rng.uniform(), rng.uniform(*saturation), rng.uniform(*value))


def blend(a: Image | Color, b: Image | Color, weight: Field) -> Image:
    """`a` where weight is 0, `b` where it is 1."""
    w = np.clip(weight, 0, 1)[..., None]
    return np.asarray(a) * (1 - w) + np.asarray(b) * w


def modulate(image: Image, field: Field, amount: float) -> Image:
    """The image with its brightness varied by a field of deviation 1."""
    return np.clip(image * (1 + amount * field[..., None]), 0, 1)


def edge(distance: Field, size: int) -> Field:
    """1 where a signed distance (in sides) is negative, antialiased over one texel."""
    return np.clip(0.5 - distance * size, 0, 1)


def per_cell(
    rng: np.random.Generator, index: Int[np.ndarray, "h w"], spread: float
) -> Field:
    """One normal draw per cell of a partition given as an index map."""
    draws = rng.normal(size=int(index.max()) + 1) * spread
    return draws[index]
