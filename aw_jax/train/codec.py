"""Training of a video autoencoder: pixels and their edges, and a faint prior.

    z     = mean + exp(logvar / 2) eps                       what the encoder draws
    z_t   = (1 - t) z + t s n                                what the decoder is given
    loss  = |x - y| + a |x - y|^2 + b |grad x - grad y| + c KL(z || N(0, 1))

with y = decode(z_t, t) and all terms means over elements. The decoder is trained at
t = 0 and, for a share of the clips, at small t (s: the batch's own spread of latents),
so that its timestep means what it does upstream. Pixels are in [0, 1].
"""

import dataclasses
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from aw_jax.core.arrays import Array, Float, Key, PyTree
from aw_jax.core.keys import named
from aw_jax.models.ltx.vae import VideoVAE
from aw_jax.train.step import Loss, Metrics

Video = Float[Array, "b f h w 3"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodecObjective:
    """Weights of the terms, relative to the mean absolute error of pixels."""

    square: float = 5.0
    edges: float = 0.5
    divergence: float = 1e-6
    noisy_share: float = 0.25
    """Share of the clips that are decoded from noisy latents."""
    noise_limit: float = 0.1
    """Largest t of those clips."""


def split(vae: VideoVAE) -> tuple[nnx.GraphDef, PyTree, PyTree]:
    """The structure, the trained parameters and the fixed buffers of `vae`."""
    graphdef, params, frozen = nnx.split(vae, nnx.Param, ...)
    return graphdef, nnx.to_pure_dict(params), nnx.to_pure_dict(frozen)


def join(graphdef: nnx.GraphDef, params: PyTree, frozen: PyTree) -> VideoVAE:
    """Inverse of `split`."""
    return nnx.merge(graphdef, params, frozen)


def codec_loss(graphdef: nnx.GraphDef, objective: CodecObjective) -> Loss:
    """The loss over (params, frozen, videos, key), as the train step takes it.

    Its metrics hold the terms and `psnr`, in dB over the batch.
    """

    def loss(
        params: PyTree, frozen: PyTree, batch: Video, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Metrics]:
        vae = join(graphdef, params, frozen)
        mean, log_variance = vae.moments(batch)
        log_variance = jnp.clip(log_variance, -30, 20)
        drawn = jax.random.normal(named(key, "posterior"), mean.shape)
        z = mean + jnp.exp(log_variance / 2) * drawn
        z, t = _noisy(z, objective, named(key, "decoder"))
        found = (vae.decoder(z, t) + 1) / 2
        terms = distortion(found, batch)
        terms["divergence"] = divergence(mean, log_variance)
        return _total(terms, objective), terms | {"psnr": _psnr(terms["square"])}

    return loss


def distortion(found: Video, wanted: Video) -> Metrics:
    """Mean absolute and squared error, and the absolute error of differences."""
    error = found - wanted
    edges = [jnp.mean(jnp.abs(jnp.diff(error, axis=axis))) for axis in (2, 3)]
    return {
        "absolute": jnp.mean(jnp.abs(error)),
        "square": jnp.mean(jnp.square(error)),
        "edges": (edges[0] + edges[1]) / 2,
    }


def divergence(
    mean: Float[Array, "b f h w c"], log_variance: Float[Array, "b f h w 1"]
) -> Float[Array, ""]:
    """KL divergence of N(mean, variance) from N(0, 1), per element of the latents."""
    excess = jnp.exp(log_variance) - 1 - log_variance
    return 0.5 * (jnp.mean(jnp.square(mean)) + jnp.mean(excess))


def measure_statistics(
    vae: VideoVAE,
    videos: Iterable[Float[np.ndarray, "b f h w 3"]],
    whitening: float = 1.0,
) -> VideoVAE:
    """`vae` with the channel statistics of its latents over `videos`.

    Args:
        vae: the autoencoder.
        videos: what it is measured on.
        whitening: 1 scales every channel to unit variance; 0 scales all by one number,
            to unit variance on average; between, the deviations that are left are the
            measured ones to the power 1 - whitening.

    Raises:
        ValueError: `videos` is empty.
    """
    graphdef, params, frozen = split(vae)
    moments = jax.jit(lambda params, video: _moments(graphdef, params, frozen, video))
    found = [jax.device_get(moments(params, video)) for video in videos]
    if not found:
        raise ValueError("measure_statistics needs at least one batch of videos.")
    count, total, square = (
        np.sum(part, axis=0, dtype=np.float64) for part in zip(*found, strict=True)
    )
    mean = total / count
    std = np.sqrt(np.maximum(square / count - mean**2, 1e-12))
    left = std ** (1 - whitening)
    scale = std / left * np.sqrt(np.mean(np.square(left)))
    measured = {"latents_mean": mean, "latents_std": scale}
    measured = {
        name: jnp.asarray(value, jnp.float32) for name, value in measured.items()
    }
    return join(graphdef, params, frozen | measured)


def _moments(
    graphdef: nnx.GraphDef, params: PyTree, frozen: PyTree, video: Video
) -> tuple[Float[Array, ""], Float[Array, " c"], Float[Array, " c"]]:
    """Number, sum and sum of squares of the latents of `video`, by channel."""
    mean, _ = join(graphdef, params, frozen).moments(video)
    z = mean.reshape(-1, mean.shape[-1])
    return jnp.asarray(float(len(z))), z.sum(axis=0), jnp.square(z).sum(axis=0)


def _noisy(
    z: Float[Array, "b f h w c"], objective: CodecObjective, key: Key[Array, ""]
) -> tuple[Float[Array, "b f h w c"], Float[Array, " b"]]:
    """Latents with noise for a share of the clips, and each clip's t."""
    batch = z.shape[0]
    chosen = jax.random.bernoulli(named(key, "share"), objective.noisy_share, (batch,))
    t = jax.random.uniform(named(key, "t"), (batch,), maxval=objective.noise_limit)
    t = jnp.where(chosen, t, 0.0)
    weight = t[:, None, None, None, None]
    axes = (0, 1, 2, 3)
    center = jax.lax.stop_gradient(z.mean(axes))
    spread = jax.lax.stop_gradient(z.std(axes))
    noise = center + spread * jax.random.normal(named(key, "noise"), z.shape)
    return (1 - weight) * z + weight * noise, t


def _total(terms: Metrics, objective: CodecObjective) -> Float[Array, ""]:
    return (
        terms["absolute"]
        + objective.square * terms["square"]
        + objective.edges * terms["edges"]
        + objective.divergence * terms["divergence"]
    )


def _psnr(square: Float[Array, ""]) -> Float[Array, ""]:
    return -10 * jnp.log10(square)
