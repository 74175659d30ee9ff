"""PSNR, SSIM and LPIPS of frames against the truth, on what an 8-bit file would hold.

SSIM has two forms and LPIPS four nets with two input ranges; the variant is part of
every figure's name (`variants`), and figures of different variants are never compared.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aw_jax.core.arrays import Array, Float, UInt8
from aw_jax.core.errors import UserError
from aw_jax.images.psnr import psnr
from aw_jax.images.quantise import dequantise, quantise
from aw_jax.images.ssim import Padding, ssim
from aw_jax.metrics.accumulators import Mean, mean_of
from aw_jax.models.lpips import network, weights


@dataclass(frozen=True, kw_only=True)
class FrameMetricsConfig:
    """Which variants the figures are."""

    ssim_padding: Padding = "zero"
    """`zero` is the 3DGS form; `valid` averages over whole windows only."""
    lpips_net: str = "st-lpips-vgg"
    """A net of models/lpips, or `none`. Published figures need `lpips-vgg`."""
    lpips_fed: network.Range = "[0,1]"
    """`[0,1]` feeds images as they are, the habit of the 3DGS papers."""

    def __post_init__(self) -> None:
        if self.lpips_net not in (*weights.NETS, "none"):
            raise UserError(
                f"metrics.lpips_net: expected none or one of "
                f"{', '.join(weights.NETS)}, got {self.lpips_net!r}."
            )


@dataclass(frozen=True, kw_only=True)
class FrameFigures:
    """One value a frame."""

    psnr: Float[np.ndarray, " v"]
    """Decibels; infinite where a frame equals its truth."""
    ssim: Float[np.ndarray, " v"]
    lpips: Float[np.ndarray, " v"] | None
    """None where the net is `none` or its weights are missing."""

    def means(self) -> dict[str, float | None]:
        """The mean of each figure; frames equal to their truth stay out of PSNR's."""
        means = {name: mean.value for name, mean in self.accumulators().items()}
        return {"lpips": None} | means

    def part(self, frames: slice) -> "FrameFigures":
        """The figures of some of the frames."""
        return FrameFigures(
            psnr=self.psnr[frames],
            ssim=self.ssim[frames],
            lpips=None if self.lpips is None else self.lpips[frames],
        )

    def accumulators(self) -> dict[str, Mean]:
        """Mergeable means by figure, without those that do not exist."""
        found = {"psnr": self.psnr, "ssim": self.ssim, "lpips": self.lpips}
        return {k: mean_of(v) for k, v in found.items() if v is not None}


def variants(config: FrameMetricsConfig) -> dict[str, Any]:
    """What stands beside the figures: SSIM's form, LPIPS's net and range."""
    reason = _why_no_lpips(config)
    lpips: dict[str, Any] = {"net": config.lpips_net, "fed": config.lpips_fed}
    return {
        "frames": "uint8",
        "ssim": {"window": 11, "sigma": 1.5, "padding": config.ssim_padding},
        "lpips": {"net": None, "reason": reason} if reason else lpips,
    }


def frame_figures(
    images: Iterable[Float[np.ndarray, "_ _ 3"] | Float[Array, "_ _ 3"]],
    truths: Iterable[Float[np.ndarray, "_ _ 3"] | Float[Array, "_ _ 3"]],
    *,
    config: FrameMetricsConfig,
) -> FrameFigures:
    """The figures of pairs of images in [0, 1]; sizes may differ from pair to pair.

    Raises:
        ValueError: the images are not as many, or as large, as the truths.
        UserError: an image is too small for the net.
    """
    net = None if _why_no_lpips(config) else weights.load(config.lpips_net)
    rows = [
        _pair_figures(
            net, _pair(image, truth, net), config.ssim_padding, config.lpips_fed
        )
        for image, truth in zip(images, truths, strict=True)
    ]
    table = np.asarray(jax.device_get(rows), np.float64).reshape(-1, 3)
    return FrameFigures(
        psnr=table[:, 0], ssim=table[:, 1], lpips=None if net is None else table[:, 2]
    )


@partial(jax.jit, static_argnames=("padding", "fed"))
def _pair_figures(
    net: network.Lpips | None,
    pair: UInt8[Array, "2 h w 3"],
    padding: Padding,
    fed: network.Range,
) -> Float[Array, "3"]:
    image, truth = dequantise(pair)
    distance = jnp.zeros(())
    if net is not None:
        taps = network.features(net, dequantise(pair), fed=fed)
        a, b = (tuple(tap[i : i + 1] for tap in taps) for i in (0, 1))
        distance = network.distance(net, a, b)[0]
    return jnp.stack(
        [psnr(image, truth), ssim(image, truth, padding=padding), distance]
    )


def _pair(
    image: Array | np.ndarray, truth: Array | np.ndarray, net: network.Lpips | None
) -> UInt8[Array, "2 h w 3"]:
    if net is not None and min(image.shape[:2]) < network.smallest_side(net.name):
        raise UserError(
            f"images of {image.shape[1]}x{image.shape[0]} pixels are too small for "
            f"{net.name}: expected at least {network.smallest_side(net.name)} a side; "
            "set metrics.lpips_net=none."
        )
    return jnp.stack([quantise(jnp.asarray(image)), quantise(jnp.asarray(truth))])


def _why_no_lpips(config: FrameMetricsConfig) -> str | None:
    if config.lpips_net == "none":
        return "not asked for"
    return weights.missing(config.lpips_net)
