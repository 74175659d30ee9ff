"""Training of the transformer: the base in full, or one adapter on a frozen base.

Clips come as cached latents. A window of them may be cut out, with its own positions:
then every position of the full frame is learned at the cost of a small one.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from einops import rearrange

from aw_jax.core.arrays import Array, Bool, Float, Int, Key, PyTree
from aw_jax.core.keys import named
from aw_jax.core.pytrees import pytree, replace
from aw_jax.flow import timesteps
from aw_jax.flow.timesteps import TimestepLaw
from aw_jax.restoration.losses import (
    Example,
    Permissions,
    predictor_loss,
    restorer_loss,
)
from aw_jax.restoration.method import MethodConfig, bind
from aw_jax.restoration.objective import Velocity, damage_weight
from aw_jax.restoration.ridge import Estimates, estimate
from aw_jax.train.step import Loss, Metrics

Task = Literal["base", "predictor", "restorer"]


@pytree
class LatentClips:
    """A batch of clips as latents."""

    clean: Float[Array, "b n y x c"]
    artifact: Float[Array, "b n y x c"]
    reference: Float[Array, "b n y x c"]
    """z_ref of Eq. 1."""
    heatmap: Float[Array, "b n y x c"]
    """Latents of the heatmap video; meaningless where not `labelled`."""
    labelled: Bool[Array, " b"]


@pytree
class Context:
    """What the loss needs beside the model and the batch; never trained."""

    prompt: Float[Array, "l t"]
    coords: Float[Array, "n y x 3"]
    full: Float[Array, "n y x c"]
    """z_full of Eq. 2."""
    null: Float[Array, "n y x c"]
    """z_null of Eq. 2."""
    ridge: Estimates | None = None
    """Where the paths start, for the source `ridge`."""
    channels: Float[Array, " c"] | None = None
    """Weights of squared errors by channel (`pixel_weights`); None: all 1."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenoisingConfig:
    """What is drawn for a training example."""

    method: MethodConfig = MethodConfig()
    times: TimestepLaw = TimestepLaw()
    window: int | None = None
    """Side, in latent pixels, of a window that is cut out; None: the whole frame."""
    windows: int = 1
    """Cut out of every clip of a batch."""
    damage_floor: float | None = None
    """Floor of `damage_weight`, by which the errors of base and restorer count; None:
    every error counts alike, as in Eq. 3."""
    errors: Literal["latents", "pixels"] = "latents"
    """`pixels` weighs each channel's squared error by the channel's variance: where the
    codec keeps lengths, as principal components do, that is the error of pixels, while
    the model sees channels of one scale. `latents` is Eq. 3."""
    label_share: float = 1.0
    """Probability that the restorer sees the heatmap of a labelled clip, not z_full."""
    predicted: float = 1.0
    """Of the base: share of a batch, its first clips, that the predictor's objective is
    computed on. That many are labelled."""
    predictor_weight: float = 1.0
    """Of the base: of the predictor's objective, beside 1 for the restorer's."""


def denoising_loss(
    task: Task,
    model_of: Callable[[PyTree, PyTree], Callable[..., Array]],
    config: DenoisingConfig,
) -> Loss:
    """The loss of one task, as the train step takes it.

    Args:
        task: `predictor` is the doublet with the heatmap as target, `restorer` the
            triplet with the clean clip as target, `base` the sum of both, so that
            either adapter finds features of use to it.
        model_of: builds the transformer from (trained, frozen) parameters.
        config: what is drawn.

    Returns:
        A loss over (trained, (frozen, context), batch of `LatentClips`, key).
    """
    parts: dict[str, Callable[..., Float[Array, ""]]] = {
        "predictor": _predictor_part,
        "restorer": _restorer_part,
    }

    def loss(
        params: PyTree,
        frozen: tuple[PyTree, Context],
        batch: LatentClips,
        key: Key[Array, ""],
    ) -> tuple[Float[Array, ""], Metrics]:
        base, context = frozen
        size = len(batch.labelled)
        weight = clip_weights(batch, config, context.channels)
        batch, context = _windowed(batch, context, config, named(key, "window"))
        velocity = bind(
            model_of(params, base),
            prompt=context.prompt,
            coords=_flat(context.coords),
            segment_offset=config.method.segment_offset,
        )
        count = config.windows * labelled_clips(config, task, size)
        known = jax.tree.map(lambda x: x[:count], batch)
        shown = {"predictor": known, "restorer": batch}
        found = {
            name: part(velocity, shown[name], weight, context, config, key)
            for name, part in parts.items()
            if task in ("base", name)
        }
        weights = {"predictor": config.predictor_weight} if task == "base" else {}
        total = sum((weights.get(n, 1.0) * v for n, v in found.items()), jnp.zeros(()))
        return total, found if task == "base" else {}

    return loss


def labelled_clips(config: DenoisingConfig, task: Task, size: int) -> int:
    """How many clips of a batch of `size`, its first, must be labelled."""
    shares = {"base": config.predicted, "predictor": 1.0, "restorer": 0.0}
    return math.ceil(shares[task] * size)


def _predictor_part(
    velocity: Velocity,
    batch: LatentClips,
    _: Float[Array, "c n"] | None,
    context: Context,
    config: DenoisingConfig,
    key: Key[Array, ""],
) -> Float[Array, ""]:
    """Eq. 3 for the heatmap, whose errors count alike; none where it is not known."""
    example = _example(batch, context, batch.heatmap, "heatmap")
    known = jnp.broadcast_to(batch.labelled[:, None], example.clean.shape[:2])
    example = replace(example, weight=known.astype(jnp.float32))
    t, noise = _draw(example, config, key)
    source = config.method.source
    return predictor_loss(velocity, example, t, noise, source=source)


def _restorer_part(
    velocity: Velocity,
    batch: LatentClips,
    weight: Float[Array, "c n"] | None,
    context: Context,
    config: DenoisingConfig,
    key: Key[Array, ""],
) -> Float[Array, ""]:
    """Eq. 3 for the clean clip; z_full stands in for a heatmap that is not shown."""
    share = config.label_share
    shown = jax.random.bernoulli(named(key, "label"), share, batch.labelled.shape)
    shown = (shown & batch.labelled)[:, None, None, None, None]
    heatmap = jnp.where(shown, batch.heatmap, context.full)
    example = _example(batch, context, heatmap, "clean")
    example = replace(example, weight=_spread(weight, example.clean))
    t, noise = _draw(example, config, key)
    return restorer_loss(
        velocity,
        example,
        t,
        noise,
        permissions=Permissions(full=_flat(context.full), null=_flat(context.null)),
        schedule=config.method.schedule,
        source=config.method.source,
    )


def _example(
    batch: LatentClips,
    context: Context,
    heatmap: Float[Array, "b n y x c"],
    target: Literal["clean", "heatmap"],
) -> Example:
    """A batch as tokens, with the linear estimate of `target` if paths start there."""
    estimated = None
    if context.ridge is not None:
        weights = getattr(context.ridge, target)
        estimated = _flat(estimate(weights, batch.reference, batch.artifact))
    return Example(
        clean=_flat(batch.clean),
        artifact=_flat(batch.artifact),
        reference=_flat(batch.reference),
        heatmap=_flat(heatmap),
        estimate=estimated,
        channels=context.channels,
    )


def _draw(
    example: Example, config: DenoisingConfig, key: Key[Array, ""]
) -> tuple[Float[Array, " w"], Float[Array, "w m c"]]:
    """Noise levels and noise."""
    count, tokens, _ = example.clean.shape
    t = timesteps.sample(config.times, named(key, "t"), count, tokens=tokens)
    return t, jax.random.normal(named(key, "noise"), example.clean.shape)


def pixel_weights(std: Float[Array, " c"]) -> Float[Array, " c"]:
    """Variance of every channel before it was normalised, 1 on average."""
    return jnp.square(std) / jnp.mean(jnp.square(std))


def clip_weights(
    batch: LatentClips, config: DenoisingConfig, channels: Float[Array, " c"] | None
) -> Float[Array, "b n"] | None:
    """Weights of latent frames by their damage, if errors are to be weighed so."""
    floor = config.damage_floor
    if floor is None:
        return None
    return damage_weight(batch.clean, batch.artifact, floor=floor, channels=channels)


def _spread(
    weight: Float[Array, "b n"] | None, tokens: Float[Array, "w m c"]
) -> Float[Array, "w m"] | None:
    """The weight of every token of every window."""
    if weight is None:
        return None
    windows = tokens.shape[0] // weight.shape[0]
    places = tokens.shape[1] // weight.shape[1]
    return jnp.repeat(jnp.repeat(weight, windows, axis=0), places, axis=1)


def _flat(grid: Float[Array, "*b n y x c"]) -> Float[Array, "*b m c"]:
    return rearrange(grid, "... n y x c -> ... (n y x) c")


def _windowed(
    batch: LatentClips, context: Context, config: DenoisingConfig, key: Key[Array, ""]
) -> tuple[LatentClips, Context]:
    """`config.windows` cut-outs of every clip, each at a random place of its own.

    Attention sees differences of coordinates alone, so those of one window serve all.
    """
    grid, side = batch.clean.shape[2:4], config.window
    if side is None or side >= min(grid):
        return batch, context
    batch = jax.tree.map(lambda x: jnp.repeat(x, config.windows, axis=0), batch)
    span = jnp.asarray(grid) - side + 1
    corners = jax.random.randint(key, (len(batch.labelled), 2), 0, span)
    cut = lambda clip, corner: jax.tree.map(partial(_cut, corner, side), clip)
    return jax.vmap(cut)(batch, corners), cut(context, jnp.zeros(2, int))


def _cut(corner: Int[Array, " 2"], side: int, grid: Array) -> Array:
    """Rows and columns from `corner` on; what has none is left as it is."""
    if grid.ndim < 4:
        return grid
    size = (grid.shape[0], side, side, grid.shape[3])
    zero = jnp.zeros((), corner.dtype)
    return jax.lax.dynamic_slice(grid, (zero, corner[0], corner[1], zero), size)
